//! Who grants leases, for how long, and what follows from that.

use alloc::collections::BTreeSet;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::NodeId;
use crate::electorate::EPOCHS_MAX;
use crate::limits::VOTERS_MAX;

/// Parts in a million.
const MILLION: u32 = 1_000_000;

/// The nodes that grant leases, and how long a lease is.
///
/// A node is no voter by being a member, nor stops being one by being silent: with voters that come
/// and go by what each node sees, both sides of a split would find that they are the majority. So
/// they are named once, the same on all nodes, which refuse each other otherwise; and they are
/// changed by their own decision, one at a time ([`VoterChange`](crate::VoterChange)).
///
/// Whatever the network does, no two leases on one child overlap, as long as
/// * all nodes that run are told the same: to change how long a lease is, or to name other voters
///   by configuration, all of them are stopped first, and the old promise is waited out;
/// * of any two clocks of nodes, neither runs faster than it should by more than `rate_error_ppm`,
///   nor slower, also while the machine sleeps ([`Runtime`](crate::transport::Runtime));
/// * no two nodes that run go by the name of one voter;
/// * a voter that is started again does so as a new [`Node`](crate::Node), with what it stored last
///   if it has a store ([`VoterStore`](crate::VoterStore)); one that was ever a voter, and has lost
///   its store since voters were changed, comes back under another name, or is told the present
///   voters and their epoch.
///
/// Nothing is assumed of how far apart clocks are, of delays, loss, repetition or order of
/// messages, or of how long a node stands still.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct Voters {
    /// Tells one list of voters from the next; 1 by default.
    pub epoch: u64,
    /// The voters, 1 to 7 of them: any member, whether it runs children or not. Of an even number
    /// one more must be up than of the odd number below.
    pub nodes: BTreeSet<NodeId>,
    /// How long a lease is, from the moment on at which it was asked for; 5 s by default, 200 ms at
    /// least and an hour at most. Asked for again five times as often. Low has a child run
    /// elsewhere sooner after its node died, and high lets it outlast longer disturbances.
    pub lease: Duration,
    /// How much faster or slower than it should the clock of a node may run, in millionths; 10,000
    /// by default, which is 1 %, and 100,000 at most. It makes promises longer than leases.
    pub rate_error_ppm: u32,
}

impl Voters {
    /// Returns `nodes` as voters, with the defaults.
    pub fn new(nodes: impl IntoIterator<Item = NodeId>) -> Self {
        let nodes = nodes.into_iter().collect();
        Self { epoch: 1, nodes, lease: Duration::from_secs(5), rate_error_ppm: 10_000 }
    }

    /// Returns how many of the voters are a majority.
    pub fn majority(&self) -> usize {
        self.nodes.len() / 2 + 1
    }

    /// Returns for how long a voter that grants a lease promises not to grant it to another, by its
    /// own clock: as long as the lease may last by the slowest clock, if its own is the fastest.
    pub fn promise(&self) -> Duration {
        let (slow, fast) = (MILLION - self.rate_error_ppm, MILLION + self.rate_error_ppm);
        let us = self.lease.as_micros() * u128::from(fast);
        let us = us.div_ceil(u128::from(slow));
        Duration::from_micros(u64::try_from(us).unwrap_or(u64::MAX).saturating_add(1))
    }

    /// Returns for how long a voter that starts grants nothing: it may have made promises before
    /// that it does not remember.
    pub fn abstention(&self) -> Duration {
        self.promise()
    }

    /// Returns how often leases are asked for again.
    pub fn period(&self) -> Duration {
        self.lease / 5
    }

    /// Checks that there are voters, and that times are such that leases work.
    ///
    /// # Errors
    ///
    /// Says what does not fit.
    pub fn check(&self) -> Result<(), VotersError> {
        let (count, most) = (self.nodes.len(), VOTERS_MAX);
        if count == 0 || most < count {
            return Err(VotersError::Count { count, most });
        }
        let (least, most) = (Duration::from_millis(200), Duration::from_secs(60 * 60));
        if self.lease < least || most < self.lease {
            return Err(VotersError::Lease { lease: self.lease, least, most });
        }
        if EPOCHS_MAX <= self.epoch {
            return Err(VotersError::Epoch { epoch: self.epoch });
        }
        if MILLION / 10 < self.rate_error_ppm {
            return Err(VotersError::RateError { ppm: self.rate_error_ppm, most: MILLION / 10 });
        }
        Ok(())
    }
}

/// Why voters make no sense.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VotersError {
    /// There are none, or too many for one round to ask them all.
    #[error("{count} voters are named; name 1 to {most}, best 3 or 5")]
    Count {
        /// How many were named.
        count: usize,
        /// The most that may be.
        most: usize,
    },
    /// Leases are too short to be renewed in time, or so long that they stand for nothing.
    #[error("a lease of {lease:?} is out of bounds: {least:?} to {most:?}")]
    Lease {
        /// What was asked for.
        lease: Duration,
        /// The least that works.
        least: Duration,
        /// The most that works.
        most: Duration,
    },
    /// No epoch comes after that.
    #[error("the epoch {epoch} is too high for voters to be followed; count from 1")]
    Epoch {
        /// What was asked for.
        epoch: u64,
    },
    /// Clocks that run so differently measure nothing.
    #[error("a clock that is wrong by {ppm} millionths measures no leases; at most {most}")]
    RateError {
        /// What was asked for.
        ppm: u32,
        /// The most that works.
        most: u32,
    },
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString as _;

    use super::*;

    fn voters(count: usize) -> Voters {
        Voters::new((0..count).map(|number| NodeId::new(format!("n{number}")).unwrap()))
    }

    #[test]
    fn more_than_half_of_the_voters_are_a_majority_and_half_are_none() {
        for (count, majority) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)] {
            assert_eq!(voters(count).majority(), majority, "of {count}");
            assert!(2 * majority > count, "two majorities have a voter in common");
        }
    }

    #[test]
    fn a_promise_by_the_fastest_clock_outlasts_a_lease_by_the_slowest() {
        for rate_error_ppm in [0, 1, 10_000, 30_000, 100_000] {
            for lease_us in [200_000_u64, 999_999, 5_000_000, 3_600_000_000] {
                let lease = Duration::from_micros(lease_us);
                let promise = Voters { lease, rate_error_ppm, ..voters(3) }.promise();
                let slow = u128::from(MILLION - rate_error_ppm);
                let fast = u128::from(MILLION + rate_error_ppm);
                // In true time: the promise lasts promise / fast, the lease at most lease / slow.
                assert!(
                    promise.as_micros() * slow > lease.as_micros() * fast,
                    "{rate_error_ppm} {lease:?} {promise:?}"
                );
            }
        }
        assert_eq!(voters(3).promise().as_millis(), 5_101);
    }

    #[test]
    fn voters_that_make_no_sense_are_refused_and_told_why() {
        assert_eq!(voters(1).check(), Ok(()));
        assert_eq!(voters(VOTERS_MAX).check(), Ok(()));
        let refusal = |voters: Voters| voters.check().unwrap_err().to_string();
        assert_eq!(refusal(voters(0)), "0 voters are named; name 1 to 7, best 3 or 5");
        assert_eq!(refusal(voters(8)), "8 voters are named; name 1 to 7, best 3 or 5");
        for lease in [Duration::ZERO, Duration::from_millis(199), Duration::from_secs(3_601)] {
            let refusal = refusal(Voters { lease, ..voters(3) });
            assert!(refusal.contains("is out of bounds: 200ms to 3600s"), "{refusal}");
        }
        let refusal = refusal(Voters { rate_error_ppm: 100_001, ..voters(3) });
        assert!(refusal.contains("by 100001 millionths"), "{refusal}");
    }
}
