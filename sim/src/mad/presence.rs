//! Which processes of users really run, whatever any node believes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use ordu::ProcessId;

use crate::Host;
use crate::mad::Cluster;

thread_local! {
    /// What runs, and what ever ran at once. A simulation is a thread of its own, and so is this.
    static PRESENT: RefCell<Present> = const { RefCell::new(Present::new()) };
}

struct Present {
    /// The names of the processes that run, on frozen machines, too.
    names: BTreeMap<ProcessId, String>,
    /// The first two processes that ran under a name at once.
    twins: BTreeMap<String, (ProcessId, ProcessId)>,
}

impl Present {
    const fn new() -> Self {
        Self { names: BTreeMap::new(), twins: BTreeMap::new() }
    }
}

/// Says that a process runs under a name for as long as this is kept: a process keeps it beside its
/// state, from its start on.
///
/// The simulation drops whatever runs on a machine that it kills, and so learns the truth.
#[derive(Debug)]
pub struct Presence(ProcessId);

impl Presence {
    /// Says that `process` runs under `name` from now on.
    pub fn new(name: &str, process: &ProcessId) -> Self {
        PRESENT.with_borrow_mut(|present| {
            let twin = present.names.iter().find(|(_, theirs)| *theirs == name);
            if let Some((twin, _)) = twin {
                let twins = (twin.clone(), process.clone());
                present.twins.entry(name.to_owned()).or_insert(twins);
            }
            let before = present.names.insert(process.clone(), name.to_owned());
            assert_eq!(before, None, "{process} begins once");
        });
        Self(process.clone())
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        // At the end of a simulation the thread may have no more use for it.
        let _ = PRESENT.try_with(|present| present.borrow_mut().names.remove(&self.0));
    }
}

/// What can be expected of a name; each counts processes that keep a [`Presence`].
impl Cluster {
    /// Returns the machines that really run `name`, once for each process, frozen ones too.
    pub fn running(&self, name: &str) -> Vec<Host> {
        PRESENT.with_borrow(|present| {
            let named = present.names.iter().filter(|(_, theirs)| *theirs == name);
            let host = |process: &ProcessId| Host::of(process.replica.node());
            named.map(|(process, _)| host(process).expect("nodes are called as hosts")).collect()
        })
    }

    /// Checks that never yet two processes ran under `name` at once, anywhere. No cluster keeps
    /// that through a split or a long freeze.
    ///
    /// # Panics
    ///
    /// Panics if two did.
    #[track_caller]
    pub fn assert_at_most_one(&self, name: &str) {
        PRESENT.with_borrow(|present| {
            if let Some((a, b)) = present.twins.get(name) {
                panic!("at_most_one({name:?}): {a} and {b} ran at once");
            }
        });
    }

    /// Lets time pass until a process runs under `name`.
    ///
    /// # Panics
    ///
    /// Panics once that takes longer than `within`.
    pub async fn eventually_running(&self, name: &str, within: Duration) {
        let what = format!("eventually_running({name:?})");
        self.until(&what, within, async || !self.running(name).is_empty()).await;
    }

    /// Lets time pass until exactly one process runs under `name`, and every node that runs finds
    /// it by that name.
    ///
    /// # Panics
    ///
    /// Panics once that takes longer than `within`.
    pub async fn eventually_one(&self, name: &str, within: Duration) {
        let what = format!("eventually_one({name:?})");
        let is_one = async || {
            let [runs_on] = self.running(name)[..] else { return false };
            self.up().into_iter().all(|host| {
                let holder = self.node(host).registry("default").lookup(name);
                let found = holder.map(|holder| Host::of(holder.process.replica.node()));
                found == Some(Some(runs_on))
            })
        };
        self.until(&what, within, is_one).await;
    }
}
