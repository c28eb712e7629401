//! One seeded generator for each node: jitter and the choice of peers, nothing that must be secret.

use core::time::Duration;

use serde::{Deserialize, Serialize};

/// A deterministic source of random numbers: xoshiro256++, seeded through SplitMix64.
///
/// Invariant: the state is never all zero, from which it would not move.
///
/// Source: Blackman and Vigna, "Scrambled Linear Pseudorandom Number Generators", 2021. Written out
/// here because it is this short, and because the whole state must be serializable without `std`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Random([u64; 4]);

impl Random {
    /// Creates the generator of `seed`; equal seeds give equal numbers.
    pub fn new(seed: u64) -> Self {
        let mut mixed = seed;
        let random = Self([(); 4].map(|()| split_mix(&mut mixed)));
        assert!(random.0 != [0; 4], "four steps of SplitMix64 give at most one zero");
        random
    }

    /// Returns any number.
    pub fn draw(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);

        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// Returns a number below `end`, near enough to uniform for `end` far below 2⁶⁴.
    ///
    /// # Panics
    ///
    /// Panics if `end` is 0: there is no such number.
    pub fn below(&mut self, end: u64) -> u64 {
        assert!(end > 0, "no number is below zero");
        ((u128::from(self.draw()) * u128::from(end)) >> 64) as u64
    }

    /// Returns `duration` changed by up to a quarter either way; beyond 292,000 years it is that.
    pub fn jittered(&mut self, duration: Duration) -> Duration {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).min(US_MAX);
        let quarter = us / 4;
        Duration::from_micros(us - quarter + self.below(2 * quarter + 1))
    }
}

/// The longest duration that is changed, so that a quarter more can still be said.
const US_MAX: u64 = u64::MAX / 2;

/// One step of SplitMix64: a permutation of all numbers, so four steps differ.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of the authors' own programs.
    #[test]
    fn the_numbers_are_the_published_ones() {
        let mut random = Random([1, 2, 3, 4]);
        let numbers = [(); 4].map(|()| random.draw());
        assert_eq!(numbers, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);

        let mut state = 1_234_567;
        assert_eq!(split_mix(&mut state), 6_457_827_717_110_365_317);
        assert_eq!(split_mix(&mut state), 3_203_168_211_198_807_973);
    }

    #[test]
    fn the_longest_durations_are_jittered_too() {
        let mut random = Random::new(7);
        for duration in [Duration::MAX, Duration::from_micros(u64::MAX)] {
            let us = random.jittered(duration).as_micros();
            assert!(u128::from(US_MAX / 2) < us, "{us}");
        }
    }

    #[test]
    fn jitter_stays_within_a_quarter() {
        let mut random = Random::new(7);
        for _ in 0..1_000 {
            let us = random.jittered(Duration::from_micros(1_000)).as_micros();
            assert!((750..=1_250).contains(&us), "{us}");
        }
    }
}
