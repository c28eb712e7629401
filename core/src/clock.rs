//! The hybrid logical clock: order between nodes that never runs far from wall time.

use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Wall;

/// A reading of a [`HybridClock`]: 48 bits of milliseconds since 1970, then a 16-bit counter.
///
/// Stamps of one node only grow, and a stamp taken after seeing another node's is above it.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize,
)]
pub struct Stamp(u64);

impl Stamp {
    /// Bits below the milliseconds.
    const COUNTER_BITS: u32 = 16;

    /// Returns the first stamp of the millisecond `wall`.
    pub const fn first_of(wall: Wall) -> Self {
        Self(wall.as_millis() << Self::COUNTER_BITS)
    }

    /// Returns the wall time the stamp lies in.
    pub const fn wall(self) -> Wall {
        Wall::from_millis(self.0 >> Self::COUNTER_BITS)
    }

    /// Returns the stamp as one number, in the same order.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Returns the stamp that [`as_u64`](Self::as_u64) made `number` of.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.wall().as_millis(), self.0 & 0xffff)
    }
}

/// A clock whose readings respect causality and stay close to wall time.
///
/// Invariant: `last` is never more than `bound` past the greatest wall time sampled, but for its
/// own counter's overflow. A stamp of a peer further ahead is taken in up to the bound only: the
/// entry that carries it stays valid, since order is all that depends on it, never safety.
///
/// Source: Kulkarni et al., "Logical Physical Clocks and Consistent Snapshots in Globally
/// Distributed Databases", OPODIS 2014; we pack both parts into one word and bound the drift.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HybridClock {
    wall: Wall,
    last: Stamp,
    bound: Duration,
}

impl HybridClock {
    /// Creates a clock that peers may push at most `bound` past its own wall time.
    pub fn new(bound: Duration) -> Self {
        Self { wall: Wall::default(), last: Stamp::default(), bound }
    }

    /// Takes in a reading of the wall clock; one that went backwards changes nothing but the bound.
    pub fn handle_wall(&mut self, wall: Wall) {
        self.wall = wall;
    }

    /// Takes in a stamp of a peer, as far as the bound allows.
    pub fn handle_stamp(&mut self, stamp: Stamp) {
        let bound_ms = u64::try_from(self.bound.as_millis()).unwrap_or(u64::MAX);
        let most = Wall::from_millis(self.wall.as_millis().saturating_add(bound_ms));
        self.last = self.last.max(stamp.min(Stamp::first_of(most)));
    }

    /// Returns a stamp above every one returned or taken in before.
    pub fn stamp(&mut self) -> Stamp {
        let before = self.last;
        self.last = before.next().max(Stamp::first_of(self.wall));
        assert!(before < self.last, "stamps only grow");
        self.last
    }

    /// Returns the last reading of the wall clock.
    pub const fn wall(&self) -> Wall {
        self.wall
    }

    /// Returns the last stamp given or taken in.
    pub const fn last(&self) -> Stamp {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_grow_though_the_wall_clock_steps_back() {
        let mut clock = HybridClock::new(Duration::from_millis(500));
        clock.handle_wall(Wall::from_millis(10_000));
        let before = clock.stamp();

        clock.handle_wall(Wall::from_millis(0));
        let after = clock.stamp();
        assert!(before < after);
        assert_eq!(after.wall(), Wall::from_millis(10_000));
    }

    #[test]
    fn a_peer_from_the_future_pushes_the_clock_no_further_than_the_bound() {
        let mut clock = HybridClock::new(Duration::from_millis(500));
        clock.handle_wall(Wall::from_millis(1_000));
        clock.handle_stamp(Stamp::first_of(Wall::MAX));

        assert_eq!(clock.stamp().wall(), Wall::from_millis(1_500));
    }

    #[test]
    fn a_stamp_taken_after_a_peers_is_above_it() {
        let mut clock = HybridClock::new(Duration::from_millis(500));
        clock.handle_wall(Wall::from_millis(1_000));
        let theirs = Stamp::first_of(Wall::from_millis(1_200));
        clock.handle_stamp(theirs);

        assert!(theirs < clock.stamp());
    }
}
