//! Who wins when two processes claim one thing.

use core::cmp::{Ordering, Reverse};

use serde::{Deserialize, Serialize};

use crate::{ChildId, Contender, Precedence, ProcessId, Stamp};

/// Where a process comes from: the specification of its child, or itself.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Origin {
    /// When the specification was accepted.
    pub stamp: Stamp,
    /// The child, or the hash of a process that no supervisor looks after.
    pub id: ChildId,
}

/// The standing of one process, which it has in every conflict that it is part of.
///
/// A process wins or loses against another in all their names alike: with a rank for each name, two
/// crossing claims would stop both. The rank never changes while the process runs.
///
/// Ordered as the default rule has it: from left to right, lower first, but for `moves`, of which
/// the higher comes first, and without `precedence`. Other rules see origin, lineage and precedence
/// alone, and have this order decide between equals; see [`Rule`](crate::Rule).
///
/// So a planned move beats the process that it moved under every rule. A takeover on suspicion
/// (`lineage`) loses to the process that it took for dead, unless a user's rule says otherwise: an
/// isolated node that took everything over wins nothing when it returns.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct Rank {
    /// Where the process comes from.
    pub origin: Origin,
    /// How often its child was taken over from a node that went silent.
    pub lineage: u32,
    /// How often it was moved on purpose since; the ballot of its lease where it runs under one
    /// ([`Mode::Exclusive`](crate::Mode::Exclusive)), of which the later is the higher.
    pub moves: u64,
    /// When this process was given its place.
    pub stamp: Stamp,
    /// The process itself: no two ranks are equal.
    pub process: ProcessId,
    /// What a user's rule goes by; the default order does not.
    pub precedence: Precedence,
}

impl Rank {
    /// Returns what a user's rule sees of it.
    pub fn contender(&self) -> Contender<'_> {
        let (origin, lineage) = (self.origin, self.lineage);
        Contender { origin, lineage, precedence: self.precedence.as_bytes() }
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |rank: &Self| (rank.origin, rank.lineage, Reverse(rank.moves), rank.stamp);
        key(self).cmp(&key(other)).then_with(|| self.process.cmp(&other.process))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::{Incarnation, NodeId, Replica, Wall};

    fn rank(origin: u64, lineage: u32, moves: u64, stamp: u64, node: &str) -> Rank {
        let at = |ms| Stamp::first_of(Wall::from_millis(ms));
        let replica =
            Replica::new(NodeId::new(node).unwrap(), Incarnation { counter: 1, nonce: 1 });
        Rank {
            origin: Origin { stamp: at(origin), id: ChildId::from_bytes([0; 16]) },
            lineage,
            moves,
            stamp: at(stamp),
            process: ProcessId { replica, number: 1 },
            precedence: Precedence::default(),
        }
    }

    #[test]
    fn what_came_first_wins_but_a_planned_move_beats_what_it_moved() {
        // From the best to the worst, each by another part of the rank.
        let ranks = [
            rank(1, 0, 1, 90, "z"),
            rank(1, 0, 0, 10, "a"),
            rank(1, 0, 0, 20, "a"),
            rank(1, 0, 0, 20, "b"),
            rank(1, 1, 9, 1, "a"),
            rank(2, 0, 9, 1, "a"),
        ];
        for (place, better) in ranks.iter().enumerate() {
            for worse in &ranks[place + 1..] {
                assert!(better < worse, "{better:?} against {worse:?}");
                assert!(worse > better, "{worse:?} against {better:?}");
            }
        }
    }

    #[test]
    fn the_order_is_total_however_it_is_asked() {
        let mut ranks: Vec<Rank> = Vec::new();
        for bits in 0..32u64 {
            let bit = |place: u64| bits >> place & 1;
            let node = if bit(4) == 0 { "a" } else { "b" };
            ranks.push(rank(bit(0), bit(1) as u32, bit(2), bit(3), node));
        }
        for a in &ranks {
            for b in &ranks {
                assert_eq!(a.cmp(b), b.cmp(a).reverse());
                assert_eq!(a.cmp(b) == Ordering::Equal, a == b);
                for c in &ranks {
                    assert!(!(a < b && b < c) || a < c, "{a:?} {b:?} {c:?}");
                }
            }
        }
    }
}
