//! What a new life takes in before it acts as a member.
//!
//! A node that has just joined has heard of nothing: it would take a name for free that is held,
//! and start what has ended. So it waits until each member that is up has told it once, in a
//! digest, which journals there are and how far they go, and until its own copies reach that far.
//! From then on it knows whatever any of them knew when they told it.
//!
//! Nobody is waited for in vain. Whoever goes down counts no more, nor what it alone told of; and
//! once nothing of what is missing has come for the failure timeout, the rest is given up.

use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::crdt::Version;
use crate::{Replica, Time};

/// What is missing of what a new life was told of.
///
/// Invariant: who is owed something has told what there is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Arrival {
    /// When something that was missing last came.
    moved: Time,
    /// Who has told what there is.
    told: BTreeSet<Replica>,
    /// How far a journal has to come, by who told of it and by journal.
    missing: BTreeMap<Replica, BTreeMap<Replica, Version>>,
}

impl Arrival {
    /// Creates the arrival of a life that begins at `now`.
    pub(crate) fn new(now: Time) -> Self {
        Self { moved: now, told: BTreeSet::new(), missing: BTreeMap::new() }
    }

    /// Takes in that `member` tells of journals; `ahead` are those that go further than ours, and
    /// `names` says which it told of.
    ///
    /// What it tells first is waited for. Of that it takes back later what it no longer has.
    pub(crate) fn handle_told(
        &mut self,
        now: Time,
        member: &Replica,
        ahead: impl Iterator<Item = (Replica, Version)>,
        names: impl Fn(&Replica) -> bool,
    ) {
        if self.told.insert(member.clone()) {
            self.moved = now;
            self.missing.insert(member.clone(), ahead.collect());
        } else if let Some(missing) = self.missing.get_mut(member) {
            missing.retain(|journal, _| names(journal));
        }
        self.tidy();
    }

    /// Takes in that a part of `journal` came.
    pub(crate) fn handle_moved(&mut self, now: Time, journal: &Replica) {
        if self.missing.values().any(|missing| missing.contains_key(journal)) {
            self.moved = now;
        }
    }

    /// Takes in that the copy of `journal` is closed up to `head`.
    pub(crate) fn handle_closed(&mut self, journal: &Replica, head: Version) {
        for missing in self.missing.values_mut() {
            if missing.get(journal).is_some_and(|wanted| *wanted <= head) {
                missing.remove(journal);
            }
        }
        self.tidy();
    }

    /// Takes in that there is no copy of `journal` here, and will be none.
    pub(crate) fn handle_forgotten(&mut self, journal: &Replica) {
        self.handle_closed(journal, Version::MAX);
    }

    /// Takes in that `member` is not up any more.
    pub(crate) fn handle_down(&mut self, member: &Replica) {
        self.told.remove(member);
        self.missing.remove(member);
        self.tidy();
    }

    /// Returns whether `member` has told what there is.
    pub(crate) fn has_told(&self, member: &Replica) -> bool {
        self.told.contains(member)
    }

    /// Returns whether `member` has told what there is, and all of that is here.
    pub(crate) fn is_done_with(&self, member: &Replica) -> bool {
        self.told.contains(member) && !self.missing.contains_key(member)
    }

    /// Returns whether nothing is missing of what was told.
    pub(crate) fn has_all(&self) -> bool {
        self.missing.is_empty()
    }

    /// Returns whether nothing that was missing has come for `patience`.
    pub(crate) fn is_stuck(&self, now: Time, patience: Duration) -> bool {
        patience <= now.since(self.moved)
    }

    fn tidy(&mut self) {
        self.missing.retain(|_, missing| !missing.is_empty());
        debug_assert!(self.missing.keys().all(|member| self.told.contains(member)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Incarnation, NodeId};

    fn life(name: &str) -> Replica {
        Replica::new(NodeId::new(name).unwrap(), Incarnation { counter: 1, nonce: 1 })
    }

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    fn told(arrival: &mut Arrival, now: Time, member: &str, journals: &[(&str, Version)]) {
        let ahead = journals.iter().map(|&(journal, head)| (life(journal), head));
        let names = |journal: &Replica| journals.iter().any(|&(named, _)| life(named) == *journal);
        arrival.handle_told(now, &life(member), ahead, names);
    }

    #[test]
    fn who_has_told_is_done_with_once_all_of_it_is_here() {
        let mut arrival = Arrival::new(at(0));
        assert!(!arrival.is_done_with(&life("a")), "it has said nothing");
        told(&mut arrival, at(1), "a", &[("a", 7), ("b", 3)]);
        told(&mut arrival, at(1), "b", &[("b", 4)]);
        arrival.handle_closed(&life("a"), 6);
        arrival.handle_closed(&life("b"), 3);
        assert!(!arrival.is_done_with(&life("a")));
        arrival.handle_closed(&life("a"), 9);
        assert!(arrival.is_done_with(&life("a")));
        assert!(!arrival.is_done_with(&life("b")) && !arrival.has_all());
        arrival.handle_closed(&life("b"), 4);
        assert!(arrival.is_done_with(&life("b")) && arrival.has_all());
    }

    #[test]
    fn what_is_told_later_adds_nothing_and_takes_back_what_is_gone() {
        let mut arrival = Arrival::new(at(0));
        told(&mut arrival, at(1), "a", &[("a", 7), ("b", 3)]);
        told(&mut arrival, at(2), "a", &[("a", 9), ("c", 5)]);
        arrival.handle_closed(&life("a"), 7);
        assert!(arrival.is_done_with(&life("a")), "b is gone, and c came later");
    }

    #[test]
    fn neither_the_dead_nor_the_forgotten_are_waited_for() {
        let mut arrival = Arrival::new(at(0));
        told(&mut arrival, at(1), "a", &[("x", 7)]);
        told(&mut arrival, at(1), "b", &[("x", 6), ("y", 1)]);
        arrival.handle_down(&life("a"));
        assert!(!arrival.is_done_with(&life("a")), "it would have to tell again");
        arrival.handle_closed(&life("x"), 6);
        arrival.handle_forgotten(&life("y"));
        assert!(arrival.has_all());
    }

    #[test]
    fn it_is_stuck_once_nothing_of_what_is_missing_comes() {
        let patience = Duration::from_millis(100);
        let mut arrival = Arrival::new(at(0));
        assert!(!arrival.is_stuck(at(99), patience) && arrival.is_stuck(at(100), patience));
        told(&mut arrival, at(50), "a", &[("a", 7)]);
        arrival.handle_moved(at(120), &life("b"));
        assert!(arrival.is_stuck(at(150), patience), "nobody waits for b");
        arrival.handle_moved(at(120), &life("a"));
        assert!(!arrival.is_stuck(at(219), patience) && arrival.is_stuck(at(220), patience));
    }
}
