//! What was asked of this node lately, so that a frame that comes twice is carried out once.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::Replica;

/// The numbers of the last requests of each peer's life.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Seen {
    by_life: BTreeMap<Replica, Numbers>,
}

/// Invariant: `order` holds each of `numbers` once, and no more than [`Seen::EACH_MAX`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Numbers {
    numbers: BTreeSet<u64>,
    order: VecDeque<u64>,
}

impl Seen {
    /// How many requests of one life are remembered: more than can be on their way at once.
    const EACH_MAX: usize = 1_024;

    /// Takes in request `number` of `from`; returns whether it is none of the last ones.
    pub(crate) fn is_new(&mut self, from: &Replica, number: u64) -> bool {
        let Numbers { numbers, order } = self.by_life.entry(from.clone()).or_default();
        if !numbers.insert(number) {
            return false;
        }
        order.push_back(number);
        if order.len() > Self::EACH_MAX {
            let oldest = order.pop_front().expect("it is over its limit");
            numbers.remove(&oldest);
        }
        assert_eq!(numbers.len(), order.len(), "each number is in order once");
        true
    }

    /// Forgets what `life` asked: it is over, and nothing that it says is believed any more.
    pub(crate) fn forget(&mut self, life: &Replica) {
        self.by_life.remove(life);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Incarnation, NodeId};

    fn life(counter: u64) -> Replica {
        Replica::new(NodeId::new("a").unwrap(), Incarnation { counter, nonce: 1 })
    }

    #[test]
    fn each_life_asks_each_thing_once() {
        let mut seen = Seen::default();
        for number in [7, 3, 8] {
            assert!(seen.is_new(&life(1), number));
            assert!(!seen.is_new(&life(1), number));
            assert!(seen.is_new(&life(2), number));
        }
        seen.forget(&life(1));
        assert!(seen.is_new(&life(1), 7));
        assert!(!seen.is_new(&life(2), 7));
    }

    #[test]
    fn only_the_last_requests_are_remembered() {
        let mut seen = Seen::default();
        for number in 0..3 * Seen::EACH_MAX as u64 {
            assert!(seen.is_new(&life(1), number));
        }
        let Numbers { numbers, order } = &seen.by_life[&life(1)];
        assert_eq!((numbers.len(), order.len()), (Seen::EACH_MAX, Seen::EACH_MAX));
    }
}
