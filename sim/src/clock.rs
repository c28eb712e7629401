//! The clocks of a machine, as functions of true time.

use std::time::Duration;

use ordu_core::{Time, Wall};

/// The wall time at the start of every world: a morning in November 2026.
const WALL_AT_START: Wall = Wall::from_millis(1_795_000_000_000);

/// Parts in a million.
const MILLION: u128 = 1_000_000;

/// A machine's monotonic clock, which may run fast or slow, and its wall clock, which may be wrong.
///
/// Invariant: the monotonic clock never goes back, so its rate is fixed when the machine is made.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    origin: Time,
    rate_ppm: u32,
    wall_offset_ms: i64,
}

impl Clock {
    /// Creates a clock that shows `origin` when the world starts, and gains `gain_ppm` microseconds
    /// a second on true time.
    pub(crate) fn new(origin: Time, gain_ppm: i32) -> Self {
        let rate_ppm = 1_000_000_u32.checked_add_signed(gain_ppm).expect("a clock does not stop");
        assert!(rate_ppm > 0, "a clock does not stop");
        Self { origin, rate_ppm, wall_offset_ms: 0 }
    }

    /// Moves the wall clock to `offset_ms` milliseconds ahead of true time.
    pub(crate) fn set_wall_offset_ms(&mut self, offset_ms: i64) {
        self.wall_offset_ms = offset_ms;
    }

    /// Returns what the monotonic clock shows at `now`.
    pub(crate) fn local(&self, now: Time) -> Time {
        let us = u128::from(now.as_micros()) * u128::from(self.rate_ppm) / MILLION;
        self.origin + duration_of(us)
    }

    /// Returns the first moment at which the monotonic clock shows `local` or more.
    pub(crate) fn when(&self, local: Time) -> Time {
        let us = u128::from(local.as_micros().saturating_sub(self.origin.as_micros()));
        let when = Time::ZERO + duration_of((us * MILLION).div_ceil(u128::from(self.rate_ppm)));

        debug_assert!(local <= self.local(when), "a timer is never early");
        when
    }

    /// Returns what the wall clock shows at `now`.
    pub(crate) fn wall(&self, now: Time) -> Wall {
        let true_ms = WALL_AT_START.as_millis() + now.as_micros() / 1_000;
        Wall::from_millis(true_ms.saturating_add_signed(self.wall_offset_ms))
    }
}

fn duration_of(us: u128) -> Duration {
    Duration::from_micros(u64::try_from(us).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_fires_at_the_first_moment_that_is_late_enough() {
        for gain_ppm in [-30_000, -1, 0, 1, 30_000] {
            let clock = Clock::new(Time::from_millis(77), gain_ppm);
            for us in [77_000, 77_001, 100_000, 5_000_003, 60_000_000_000] {
                let local = Time::from_micros(us);
                let when = clock.when(local);
                assert!(local <= clock.local(when), "{gain_ppm} {us}");
                if when > Time::ZERO {
                    let before = Time::from_micros(when.as_micros() - 1);
                    assert!(clock.local(before) < local, "{gain_ppm} {us}");
                }
            }
        }
    }

    #[test]
    fn a_fast_clock_gains_what_it_is_said_to_gain() {
        let clock = Clock::new(Time::ZERO, 10_000);
        assert_eq!(clock.local(Time::from_millis(100_000)), Time::from_millis(101_000));
    }

    #[test]
    fn the_wall_clock_is_wrong_by_its_offset() {
        let mut clock = Clock::new(Time::ZERO, 0);
        let right = clock.wall(Time::from_millis(1_000));
        clock.set_wall_offset_ms(-400);
        assert_eq!(clock.wall(Time::from_millis(1_400)), right);
    }
}
