//! The whole of a replicated state: one journal for each replica.

use alloc::collections::BTreeMap;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::Replica;
use crate::crdt::{Applied, Delta, DeltaError, Journal, JournalCopy};
use crate::laws::{DeltaLattice, Lattice};

/// Copies of many replicas' journals: their product, which joins replica by replica.
///
/// For whoever replicates a map of their own. Two of them are equal if they show the same; what is
/// staged does not count.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Journals(BTreeMap<Replica, JournalCopy>);

impl Journals {
    /// Creates a state without journals.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Returns the closed content of `replica`'s journal, if anything is known of it.
    pub fn journal(&self, replica: &Replica) -> Option<&Journal> {
        self.0.get(replica).map(JournalCopy::journal)
    }

    /// Returns the copy of `replica`'s journal, if there is one.
    pub fn copy(&self, replica: &Replica) -> Option<&JournalCopy> {
        self.0.get(replica)
    }

    /// Takes in a newer state of `replica`'s journal, as a whole; an older one changes nothing.
    pub fn insert(&mut self, replica: &Replica, journal: &Journal) {
        let copy = self.0.entry(replica.clone()).or_default();
        copy.join(journal);
    }

    /// Takes `delta` in, as far as it leads on from what is held.
    ///
    /// # Errors
    ///
    /// As [`JournalCopy::apply`]; nothing is changed.
    pub fn apply(&mut self, delta: Delta) -> Result<Applied, DeltaError> {
        delta.check()?;
        self.0.entry(delta.replica.clone()).or_default().apply(delta)
    }

    /// Drops `replica`'s journal.
    pub fn remove(&mut self, replica: &Replica) -> Option<Journal> {
        self.0.remove(replica).map(JournalCopy::into_journal)
    }

    /// Iterates over the journals that anything was written to, in the order of their replicas.
    pub fn iter(&self) -> impl Iterator<Item = (&Replica, &Journal)> {
        let journals = self.0.iter().map(|(replica, copy)| (replica, copy.journal()));
        journals.filter(|(_, journal)| journal.head() > 0)
    }
}

impl PartialEq for Journals {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Journals {}

impl fmt::Debug for Journals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Lattice for Journals {
    fn join(&mut self, other: &Self) {
        for (replica, journal) in other.iter() {
            self.insert(replica, journal);
        }
    }
}

impl DeltaLattice for Journals {
    type Delta = Delta;

    fn join_delta(&mut self, delta: &Delta) {
        let _ = self.apply(delta.clone()).expect("the delta is one of a journal");
    }
}
