//! The conflicts that a node was part of last.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use ordu_core::Conflict;

/// The last conflicts that processes of this node won or lost; written by one task.
#[derive(Debug, Default)]
pub(crate) struct ConflictJournal(Mutex<VecDeque<Conflict>>);

impl ConflictJournal {
    /// How many are kept; after a split thousands may come at once.
    const KEPT: usize = 256;

    /// Adds a conflict, and lets go of the oldest over the limit.
    pub(crate) fn add(&self, conflict: &Conflict) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == Self::KEPT {
            kept.pop_front();
        }
        kept.push_back(conflict.clone());
    }

    /// Returns those that are kept, the oldest first.
    pub(crate) fn all(&self) -> Vec<Conflict> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use ordu_core::{ChildId, Incarnation, NodeId, Precedence, ProcessId, Scope};
    use ordu_core::{Origin, Rank, Replica, Stamp, Wall};

    use super::*;

    fn conflict(number: u64) -> Conflict {
        let life = Incarnation { counter: 1, nonce: 1 };
        let replica = Replica::new(NodeId::new("a").unwrap(), life);
        let stamp = Stamp::first_of(Wall::from_millis(1));
        let rank = Rank {
            origin: Origin { stamp, id: ChildId::from_bytes([0; 16]) },
            lineage: 0,
            moves: 0,
            precedence: Precedence::default(),
            stamp,
            process: ProcessId { replica, number },
        };
        let (scope, rule) = (Scope::named("default"), "oldest/1".to_owned());
        Conflict { scope, name: None, child: None, rule, winner: rank.clone(), loser: rank }
    }

    #[test]
    fn the_last_ones_are_kept_in_order() {
        let journal = ConflictJournal::default();
        let count = ConflictJournal::KEPT as u64 + 10;
        for number in 0..count {
            journal.add(&conflict(number));
        }
        let numbers = journal.all().into_iter().map(|kept| kept.winner.process.number);
        assert!(numbers.eq(10..count));
    }
}
