//! Whether supervisors and registries have a quorum here, since when, and what is seen of that.

use alloc::collections::BTreeMap;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::minority::Tally;
use crate::mode::Modes;
use crate::{Domain, Electorate, Mode, Time};

/// Whether the children of a supervisor may run on a node, or the names of a registry be held
/// there, as that node sees it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QuorumView {
    /// What becomes of them when the network splits.
    pub mode: Mode,
    /// Whether they may. Under leases: whether somebody could grant one.
    pub may_run: bool,
    /// How many are up of those that count by the mode: voters, or members.
    pub up: usize,
    /// Of how many; where a fixed number is needed, that one.
    pub of: usize,
    /// For how long it has been so that they may, or may not.
    pub lasts: Duration,
    /// For how long `up` and `of` have been what they are.
    pub unchanged: Duration,
    /// Who grants leases, as this node goes by; `None` if it was told of nobody.
    pub electorate: Option<Electorate>,
    /// If this node is a voter, for how long it grants nothing yet, as it may have granted before
    /// it was started what it does not remember; zero once it grants.
    pub abstains: Option<Duration>,
    /// How many of them run, or are held, here under leases.
    pub leases_held: usize,
    /// How many of them wait here for a lease.
    pub leases_asked: usize,
    /// In how long the first of these leases ends, unless it is renewed before.
    pub lease_ends: Option<Duration>,
}

/// How this node judged for all that takes a quorum.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Quorums {
    began: Time,
    judged: BTreeMap<Domain, Judged>,
}

/// How this node judged last.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Judged {
    pub(crate) mode: Mode,
    pub(crate) tally: Tally,
    /// Since when there is a quorum, or there is none.
    pub(crate) since: Time,
    /// Since when the numbers are what they are.
    pub(crate) changed: Time,
}

impl Quorums {
    /// Creates the judgement of a node that has seen nobody yet: there is no quorum.
    pub(crate) fn new(modes: &Modes, now: Time) -> Self {
        let judged = |mode| Judged { mode, tally: Tally::default(), since: now, changed: now };
        let judged = modes.judged().map(|(domain, mode)| (domain, judged(mode)));
        Self { began: now, judged: judged.collect() }
    }

    /// Iterates over what is judged for, with its mode.
    pub(crate) fn domains(&self) -> impl Iterator<Item = (Domain, Mode)> {
        self.judged.iter().map(|(domain, judged)| (*domain, judged.mode))
    }

    /// Returns how was judged for `domain`, unless it takes no quorum.
    pub(crate) fn judged(&self, domain: Domain) -> Option<&Judged> {
        self.judged.get(&domain)
    }

    /// Returns since when children run here that run in any case.
    pub(crate) fn began(&self) -> Time {
        self.began
    }

    /// Takes in how is judged now; returns how was judged before.
    pub(crate) fn handle_tally(&mut self, now: Time, domain: Domain, tally: Tally) -> Tally {
        let judged = self.judged.get_mut(&domain).expect("what takes a quorum is judged for");
        let before = core::mem::replace(&mut judged.tally, tally);
        if before.is_met != tally.is_met {
            judged.since = now;
        }
        if (before.up, before.of) != (tally.up, tally.of) {
            judged.changed = now;
        }
        before
    }
}
