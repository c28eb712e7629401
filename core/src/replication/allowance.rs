//! How often a peer may make us send again what it was sent.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Time;

/// What may be had at once, and comes back with time.
///
/// Whatever a peer says, it makes us do no more than that: it may be broken, or mean harm.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Allowance {
    used: u32,
    /// Until when what came back was counted.
    counted: Time,
}

impl Allowance {
    /// Takes one of `most`, if any is left; one comes back in each time of `every`.
    pub(super) fn take(&mut self, now: Time, most: u32, every: Duration) -> bool {
        assert!(!every.is_zero(), "else all would come back at once");
        let back = now.since(self.counted).as_micros() / every.as_micros().max(1);
        let back = u32::try_from(back).unwrap_or(u32::MAX);
        self.counted =
            if back < self.used { self.counted + every.saturating_mul(back) } else { now };
        self.used = self.used.saturating_sub(back);
        if most <= self.used {
            return false;
        }
        self.used += 1;
        assert!(self.used <= most, "no more is had than there is");
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_up_comes_back_one_by_one() {
        let (every, mut now) = (Duration::from_millis(100), Time::ZERO);
        let mut allowance = Allowance::default();
        let taken = (0..10).filter(|_| allowance.take(now, 4, every)).count();
        assert_eq!(taken, 4);

        for _ in 0..5 {
            now = now + Duration::from_millis(50);
            assert!(!allowance.take(now, 4, every));
            now = now + Duration::from_millis(50);
            assert!(allowance.take(now, 4, every), "half of the time was not lost");
            assert!(!allowance.take(now, 4, every));
        }
        now = now + Duration::from_secs(60);
        let taken = (0..10).filter(|_| allowance.take(now, 4, every)).count();
        assert_eq!(taken, 4, "no more gathers than there was");
    }
}
