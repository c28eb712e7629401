//! What only a test asks of [`Membership`].

use crate::membership::Membership;
use crate::{Replica, ReplicaKey};

impl Membership {
    /// Returns the life that `key` is short for.
    pub(super) fn replica(&self, key: ReplicaKey) -> Option<&Replica> {
        self.lives.get(&key).map(|life| &life.replica)
    }

    /// Iterates over all lives known, those that are over included.
    pub(super) fn remembered(&self) -> impl Iterator<Item = &Replica> {
        self.lives.values().map(|life| &life.replica)
    }

    /// Iterates over the members that have no session of their own with `replica`, by their last
    /// beats: who hears whom.
    pub(super) fn cut_off_from(&self, replica: &Replica) -> impl Iterator<Item = &Replica> {
        let key = self.current_key(replica);
        let witnesses = key.into_iter().flat_map(|key| &self.lives[&key].cut_off_by);
        witnesses.filter_map(|witness| self.replica(*witness))
    }

    /// Returns how many envelopes, pulses and lives were not believed.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }
}
