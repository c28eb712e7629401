//! Where children were, and why they went on elsewhere: what one node has seen of it.

use crate::entry::{ClaimEntry, Reason};
use crate::supervisor::children::Child;
use crate::{Passage, PassageCause, Replica};

/// How many moves of a child are kept.
const KEPT: usize = 8;

impl Child {
    /// Notes that it goes on on `replica`, if it was seen to be on another node before.
    pub(super) fn note_passage(&mut self, replica: &Replica, entry: &ClaimEntry) {
        if self.is_claimed() {
            // They will meet; who goes on was there already.
            return;
        }
        let silent = self.claims.iter().max_by_key(|claim| claim.entry.epoch);
        let past = || self.past.as_ref().map(|past| (&past.node, cause(past.released)));
        let last = silent.map(|claim| (claim.replica.node(), PassageCause::NodeDown));
        let Some((from, cause)) = last.or_else(past) else { return };
        if from == replica.node() {
            return;
        }
        let at = entry.standing.stamp.wall();
        let passage = Passage { at, from: from.clone(), to: replica.node().clone(), cause };
        if self.history.len() == KEPT {
            self.history.remove(0);
        }
        self.history.push(passage);
    }
}

const fn cause(released: Option<Reason>) -> PassageCause {
    match released {
        None => PassageCause::NodeDown,
        Some(Reason::Left) => PassageCause::NodeLeft,
        Some(Reason::Moved) => PassageCause::Redistributed,
        Some(Reason::GivenUp) => PassageCause::GivenUp,
        Some(Reason::Beaten) => PassageCause::Beaten,
        Some(Reason::Lapsed) => PassageCause::Lapsed,
        Some(Reason::NoQuorum) => PassageCause::NoQuorum,
        Some(Reason::Ended | Reason::Unregistered | Reason::Ungranted) => PassageCause::Released,
    }
}
