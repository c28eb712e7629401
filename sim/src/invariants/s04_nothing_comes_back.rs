//! S4. What a node saw deleted, it never sees again: no entry comes back at an old version.

use std::collections::BTreeMap;

use ordu_core::Replica;
use ordu_core::crdt::Journal;

use crate::World;
use crate::host::Host;
use crate::invariants::{Finding, Invariant, Promise};
use crate::verdict::Class;

/// Remembers what each copy held at the last look.
#[derive(Default)]
pub(crate) struct NothingComesBack {
    copies: BTreeMap<(Host, u64), BTreeMap<Replica, Snapshot>>,
}

/// What a copy held.
struct Snapshot {
    head: u64,
    fingerprint: u64,
    /// The versions of the live entries, ascending; a version is one write.
    live: Vec<u64>,
}

impl Snapshot {
    fn of(journal: &Journal) -> Self {
        let live = journal.iter().map(|(_, version, _)| version).collect();
        Self { head: journal.head(), fingerprint: journal.fingerprint(), live }
    }

    /// Returns the first version at or below our head that `journal` has and we had not.
    fn returned(&self, journal: &Journal) -> Option<u64> {
        // A copy that was forgotten and is fetched anew may be in the middle of that.
        if journal.head() < self.head {
            return None;
        }
        let mut live = self.live.iter().peekable();
        let versions = journal.iter().map(|(_, version, _)| version);
        let mut old = versions.take_while(|version| *version <= self.head);
        old.find(|version| {
            while live.next_if(|before| *before < version).is_some() {}
            live.next_if_eq(&version).is_none()
        })
    }
}

impl Invariant for NothingComesBack {
    fn promise(&self) -> Promise {
        Promise {
            id: "S4",
            says: "an entry that a node saw deleted or overwritten never comes back to it",
            made_in: "ordu_core::crdt::JournalCopy",
            class: Class::Safety,
        }
    }

    fn audit(&mut self, world: &World) -> Finding {
        let mut copies = BTreeMap::new();
        for (host, life, node) in world.nodes() {
            let mut before = self.copies.remove(&(host, life)).unwrap_or_default();
            let mut held = BTreeMap::new();
            for (replica, journal) in node.journals() {
                let is_as_before = |snapshot: &Snapshot| {
                    snapshot.head == journal.head() && snapshot.fingerprint == journal.fingerprint()
                };
                let snapshot = match before.remove(replica) {
                    Some(snapshot) if is_as_before(&snapshot) => snapshot,
                    Some(snapshot) => {
                        if let Some(version) = snapshot.returned(journal) {
                            return Err(format!(
                                "version {version} of {replica:?} is back on {host}, which had \
                                 all up to {} without it",
                                snapshot.head
                            ));
                        }
                        Snapshot::of(journal)
                    }
                    None => Snapshot::of(journal),
                };
                held.insert(replica.clone(), snapshot);
            }
            copies.insert((host, life), held);
        }
        self.copies = copies;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ordu_core::Blob;

    #[test]
    fn an_entry_that_was_deleted_and_is_there_again_is_found() {
        let (a, b) = (Blob::from("a"), Blob::from("b"));
        let mut journal = Journal::new();
        let _ = journal.put(a.clone(), Blob::from("1"));
        let _ = journal.put(b.clone(), Blob::from("2"));
        let older = journal.clone();
        let _ = journal.delete(&a, 0);
        let _ = journal.put(b, Blob::from("3"));
        let snapshot = Snapshot::of(&journal);
        assert_eq!(snapshot.returned(&journal), None);
        assert_eq!(snapshot.returned(&older), None, "it is fetched anew");

        // A copy that stands where we did, and has not heard that `a` is gone.
        let mut resurrected = older;
        let _ = resurrected.put(Blob::from("c"), Blob::from("4"));
        let _ = resurrected.put(Blob::from("d"), Blob::from("5"));
        assert_eq!(snapshot.returned(&resurrected), Some(1));
    }
}
