//! Whether supervisors have a quorum here, since when, and what is seen of that.

use alloc::collections::BTreeMap;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::minority::Tally;
use crate::mode::Modes;
use crate::{Electorate, Mode, Scope, Time};

/// Whether the children of a supervisor may run on a node, as that node sees it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QuorumView {
    /// What becomes of its children when the network splits.
    pub mode: Mode,
    /// Whether its children may run here. Under leases: whether somebody could grant one.
    pub may_run: bool,
    /// How many are up of those that count by the mode: voters, or members.
    pub up: usize,
    /// Of how many; where a fixed number is needed, that one.
    pub of: usize,
    /// For how long it has been so that they may run here, or may not.
    pub lasts: Duration,
    /// For how long `up` and `of` have been what they are.
    pub unchanged: Duration,
    /// Who grants leases, as this node goes by; `None` if it was told of nobody.
    pub electorate: Option<Electorate>,
    /// If this node is a voter, for how long it grants nothing yet, as it may have granted before
    /// it was started what it does not remember; zero once it grants.
    pub abstains: Option<Duration>,
    /// How many children of the supervisor run here under leases.
    pub leases_held: usize,
    /// How many children of the supervisor wait here for a lease.
    pub leases_asked: usize,
    /// In how long the first of these leases ends, unless it is renewed before.
    pub lease_ends: Option<Duration>,
}

/// How this node judged for each supervisor whose children do not run in any case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Quorums {
    began: Time,
    judged: BTreeMap<Scope, Judged>,
}

/// How this node judged for a supervisor last.
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
        let judged = modes.iter().map(|(scope, mode)| (scope, judged(mode)));
        Self { began: now, judged: judged.collect() }
    }

    /// Iterates over the supervisors that are judged for, with their modes.
    pub(crate) fn scopes(&self) -> impl Iterator<Item = (Scope, Mode)> {
        self.judged.iter().map(|(scope, judged)| (*scope, judged.mode))
    }

    /// Returns how was judged for `scope`, unless its children run in any case.
    pub(crate) fn judged(&self, scope: Scope) -> Option<&Judged> {
        self.judged.get(&scope)
    }

    /// Returns since when children run here that run in any case.
    pub(crate) fn began(&self) -> Time {
        self.began
    }

    /// Takes in how is judged now; returns how was judged before.
    pub(crate) fn handle_tally(&mut self, now: Time, scope: Scope, tally: Tally) -> Tally {
        let judged = self.judged.get_mut(&scope).expect("the supervisor is judged for");
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
