//! The book of what really ran: every process of a child writes its beginning and its end into it.
//!
//! It is the one truth that does not come from the cluster itself; all nodes of a scenario are in
//! this process, and so is their book.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use ordu::{Child, ChildId, NodeId, ProcessId};

/// All processes of the present scenario, by what they are.
static BOOK: Mutex<BTreeMap<ProcessId, Entry>> = Mutex::new(BTreeMap::new());

struct Entry {
    child: ChildId,
    has_ended: bool,
}

fn book() -> MutexGuard<'static, BTreeMap<ProcessId, Entry>> {
    BOOK.lock().expect("nobody panics with the lock")
}

/// A process that exists, for as long as this value does.
pub(crate) struct Presence(ProcessId);

impl Presence {
    /// Writes the beginning of `process` into the book.
    pub(crate) fn new(child: ChildId, process: ProcessId) -> Self {
        book().insert(process.clone(), Entry { child, has_ended: false });
        Self(process)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        // What outlives its scenario is in no book any more.
        if let Some(entry) = book().get_mut(&self.0) {
            entry.has_ended = true;
        }
    }
}

/// Begins a new book for a new scenario.
pub(crate) fn open() {
    book().clear();
}

/// Returns how many processes of `child` have begun so far.
pub(crate) fn begun(child: ChildId) -> usize {
    book().values().filter(|entry| entry.child == child).count()
}

/// Returns how many processes have begun on `node` so far.
pub(crate) fn begun_on(node: &NodeId) -> usize {
    book().keys().filter(|process| process.replica.node() == node).count()
}

/// Returns how many processes are there on `node`.
pub(crate) fn alive_on(node: &NodeId) -> usize {
    let is_there = |(process, entry): &(&ProcessId, &Entry)| {
        !entry.has_ended && process.replica.node() == node
    };
    book().iter().filter(is_there).count()
}

/// What the book says of some children.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Census {
    /// Children that run.
    pub running: usize,
    /// Those of them that run more than once.
    pub double: usize,
    /// Processes that have begun after the first of each child.
    pub restarts: usize,
}

/// Returns what the book says of `children`.
pub(crate) fn census(children: &[Child]) -> Census {
    let mut counts: BTreeMap<ChildId, (usize, usize)> = BTreeMap::new();
    for Entry { child, has_ended } in book().values() {
        let (begun, alive) = counts.entry(*child).or_default();
        *begun += 1;
        *alive += usize::from(!has_ended);
    }
    let mut census = Census::default();
    for child in children {
        let (begun, alive) = counts.get(&child.id()).copied().unwrap_or_default();
        census.running += usize::from(0 < alive);
        census.double += usize::from(1 < alive);
        census.restarts += begun.saturating_sub(1);
    }
    census
}
