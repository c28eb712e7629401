//! The clocks of a machine, as functions of true time.

use std::time::Duration;

use ordu_core::{Time, Wall};

/// The wall time at the start of every world: a morning in November 2026.
const WALL_AT_START: Wall = Wall::from_millis(1_795_000_000_000);

/// Parts in a million.
const MILLION: u128 = 1_000_000;

/// A machine's monotonic clock, which may run fast or slow, and its wall clock, which may be wrong.
///
/// Invariant: the monotonic clock never goes back. A change of its rate goes on from what it shows.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    /// Since when it runs at its present rate, on true time; before that it stands still.
    since: Time,
    /// What it shows then.
    shown: Time,
    rate_ppm: u32,
    wall_offset_ms: i64,
}

impl Clock {
    /// Creates a clock that shows `origin` when the world starts, and gains `gain_ppm` microseconds
    /// a second on true time.
    pub(crate) fn new(origin: Time, gain_ppm: i32) -> Self {
        let rate_ppm = rate_of(gain_ppm);
        Self { since: Time::ZERO, shown: origin, rate_ppm, wall_offset_ms: 0 }
    }

    /// Lets it gain `gain_ppm` microseconds a second from `now` on, or from when it goes on if it
    /// stands still.
    pub(crate) fn set_gain_ppm(&mut self, now: Time, gain_ppm: i32) {
        let since = self.since.max(now);
        self.shown = self.local(since);
        self.since = since;
        self.rate_ppm = rate_of(gain_ppm);

        assert!(now <= self.since, "a rate holds from now on, never for what has passed");
    }

    /// Lets it stand still from `now` until `until`.
    pub(crate) fn stand_still(&mut self, now: Time, until: Time) {
        assert!(now <= until, "a clock stands still from now on");
        self.shown = self.local(now);
        self.since = until;
    }

    /// Lets it go on at `now`, if it stands still.
    pub(crate) fn go_on(&mut self, now: Time) {
        self.since = self.since.min(now);
    }

    /// Moves the wall clock to `offset_ms` milliseconds ahead of true time.
    pub(crate) fn set_wall_offset_ms(&mut self, offset_ms: i64) {
        self.wall_offset_ms = offset_ms;
    }

    /// Returns what the monotonic clock shows at `now`, which is no moment before the last change
    /// of its rate.
    pub(crate) fn local(&self, now: Time) -> Time {
        let us = now.since(self.since).as_micros() * u128::from(self.rate_ppm);
        self.shown + duration_of(us / MILLION)
    }

    /// Returns the first moment from the last change of its rate on at which the monotonic clock
    /// shows `local` or more.
    pub(crate) fn when(&self, local: Time) -> Time {
        let us = u128::from(local.as_micros().saturating_sub(self.shown.as_micros()));
        let when = self.since + duration_of((us * MILLION).div_ceil(u128::from(self.rate_ppm)));

        debug_assert!(local <= self.local(when), "a timer is never early");
        when
    }

    /// Returns what the wall clock shows at `now`.
    pub(crate) fn wall(&self, now: Time) -> Wall {
        let true_ms = WALL_AT_START.as_millis() + now.as_micros() / 1_000;
        Wall::from_millis(true_ms.saturating_add_signed(self.wall_offset_ms))
    }
}

fn rate_of(gain_ppm: i32) -> u32 {
    let rate_ppm = 1_000_000_u32.checked_add_signed(gain_ppm).expect("a clock does not stop");
    assert!(rate_ppm > 0, "a clock does not stop");
    rate_ppm
}

fn duration_of(us: u128) -> Duration {
    Duration::from_micros(u64::try_from(us).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use ordu_core::Random;

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
    fn a_change_of_rate_moves_the_clock_neither_back_nor_on() {
        let mut random = Random::new(3);
        let mut clock = Clock::new(Time::from_millis(5), 0);
        let (mut now, mut last) = (Time::ZERO, Time::ZERO);
        for _ in 0..1_000 {
            now = now + Duration::from_micros(random.below(3_000_000));
            let before = clock.local(now);
            assert!(last <= before, "at {now}");
            let gain_ppm = i32::try_from(random.below(1_000_000)).unwrap() - 500_000;
            clock.set_gain_ppm(now, gain_ppm);
            last = clock.local(now);
            assert_eq!(last, before, "at {now}");

            let local = last + Duration::from_micros(1 + random.below(5_000_000));
            let when = clock.when(local);
            assert!(now < when && local <= clock.local(when), "at {now}");
            let earlier = Time::from_micros(when.as_micros() - 1);
            assert!(clock.local(earlier) < local, "at {now}");
        }
    }

    #[test]
    fn a_clock_that_slept_lags_by_its_sleep_and_the_wall_clock_does_not() {
        let mut clock = Clock::new(Time::ZERO, 0);
        clock.stand_still(Time::from_millis(1_000), Time::from_millis(61_000));
        assert_eq!(clock.local(Time::from_millis(30_000)), Time::from_millis(1_000));
        assert_eq!(clock.local(Time::from_millis(62_000)), Time::from_millis(2_000));
        assert_eq!(clock.when(Time::from_millis(1_500)), Time::from_millis(61_500));
        assert_eq!(clock.wall(Time::from_millis(62_000)).as_millis() % 1_000_000, 62_000);

        // Asleep, it takes a new rate for when it goes on; woken early, it goes on early.
        clock.set_gain_ppm(Time::from_millis(30_000), 1_000_000);
        assert_eq!(clock.local(Time::from_millis(61_000)), Time::from_millis(1_000));
        clock.go_on(Time::from_millis(40_000));
        assert_eq!(clock.local(Time::from_millis(41_000)), Time::from_millis(3_000));
        clock.go_on(Time::from_millis(42_000));
        assert_eq!(clock.local(Time::from_millis(42_000)), Time::from_millis(5_000));
    }

    #[test]
    fn a_wall_clock_may_be_years_away_and_stays_on_the_calendar() {
        let mut clock = Clock::new(Time::ZERO, 0);
        let now = Time::from_millis(1_000);
        let right = clock.wall(now).as_millis();
        const YEAR_MS: i64 = 365 * 86_400_000;
        for offset_ms in [-YEAR_MS, -3_600_000, 3_600_000, YEAR_MS, 300 * YEAR_MS] {
            clock.set_wall_offset_ms(offset_ms);
            assert_eq!(clock.wall(now).as_millis(), right.saturating_add_signed(offset_ms));
        }
        clock.set_wall_offset_ms(i64::MIN);
        assert_eq!(clock.wall(now), Wall::from_millis(0), "1970 is the first year there is");
        clock.set_wall_offset_ms(i64::MAX);
        assert_eq!(clock.wall(now), Wall::MAX);
    }

    #[test]
    fn the_wall_clock_is_wrong_by_its_offset() {
        let mut clock = Clock::new(Time::ZERO, 0);
        let right = clock.wall(Time::from_millis(1_000));
        clock.set_wall_offset_ms(-400);
        assert_eq!(clock.wall(Time::from_millis(1_400)), right);
    }
}
