//! The clocks the core knows: numbers that its caller hands in.

use core::fmt;
use core::ops::Add;
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// A point on a node's own monotonic clock, in microseconds since an origin of the node's choice.
///
/// Times of different nodes are not comparable and are never sent over the wire.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize,
)]
pub struct Time(u64);

impl Time {
    /// The origin of the clock.
    pub const ZERO: Self = Self(0);

    /// Returns the point `us` microseconds after the origin.
    pub const fn from_micros(us: u64) -> Self {
        Self(us)
    }

    /// Returns the point `ms` milliseconds after the origin.
    ///
    /// # Panics
    ///
    /// Panics if the point lies more than 584,000 years after the origin.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms.checked_mul(1_000).expect("584 000 years are enough"))
    }

    /// Returns the microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Returns how long after `earlier` this point lies, or zero if it does not.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// Returns the point `duration` earlier, or the origin if that lies before it.
    pub fn saturating_sub(self, duration: Duration) -> Self {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(us))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    /// Returns the point `duration` later; the end of time is never passed.
    fn add(self, duration: Duration) -> Self {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(us))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// A reading of a wall clock, in milliseconds since 1970-01-01 UTC.
///
/// It orders events of different nodes and nothing else: no promise of safety rests on it.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize,
)]
pub struct Wall(u64);

impl Wall {
    /// Latest reading that the hybrid clock can hold, in the year 10889.
    pub const MAX: Self = Self((1 << 48) - 1);

    /// Returns the reading `ms` milliseconds after 1970, or [`Wall::MAX`] past it.
    pub const fn from_millis(ms: u64) -> Self {
        if ms > Self::MAX.0 { Self::MAX } else { Self(ms) }
    }

    /// Returns the milliseconds since 1970.
    pub const fn as_millis(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}s after 1970", self.0 / 1_000, self.0 % 1_000)
    }
}
