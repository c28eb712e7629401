//! One seeded generator for each node: jitter and the choice of peers, nothing that must be secret.

use core::time::Duration;

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

/// A deterministic source of random numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Random(Xoshiro256PlusPlus);

impl Random {
    /// Creates the generator of `seed`; equal seeds give equal numbers.
    pub fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Returns any number.
    pub fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Returns a number below `end`, near enough to uniform for `end` far below 2⁶⁴.
    ///
    /// # Panics
    ///
    /// Panics if `end` is 0: there is no such number.
    pub fn below(&mut self, end: u64) -> u64 {
        assert!(end > 0, "no number is below zero");
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// Returns `duration` changed by up to a quarter either way.
    pub fn jittered(&mut self, duration: Duration) -> Duration {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / 2);
        let quarter = us / 4;
        Duration::from_micros(us - quarter + self.below(2 * quarter + 1))
    }
}
