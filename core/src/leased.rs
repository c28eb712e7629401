//! The names that processes of this node ask for under leases.
//!
//! ```text
//!   asked for ──(granted)──▶ held ──(unregistered, or the process ends)──▶ free
//!    ▲     │                   └───(lapsed: the process is told)──────────▶ free
//!    │     └──(not granted)──▶ backing off
//!    └──────────────────────────┘    at the deadline of the request: refused
//! ```
//!
//! What is asked for stands in the journal as what is held does, and is seen by nobody who looks
//! names up. Who is not granted a name withdraws, and asks again after a while, each time twice as
//! long, so that votes that are split come together.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::lease::Voters;
use crate::{Blob, Name, Random, Replicas, Scope, Stamp, Time};

/// How soon is asked again with a higher ballot, about.
const STEP: Duration = Duration::from_millis(100);

/// What processes of this node ask for.
///
/// Invariant: `timers` holds the end of each back-off in `asks`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct LeasedNames {
    /// How often leases are renewed: how soon at most who was not granted one asks again first.
    period: Duration,
    /// The longest back-off.
    back_off_max: Duration,
    /// The highest ballot of a claim of this node: no two have the same.
    ballot: u64,
    asks: BTreeMap<(Scope, Name), Ask>,
    timers: BTreeSet<(Time, (Scope, Name))>,
}

/// A request for a name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ask {
    /// Whom to answer.
    pub(crate) ticket: u64,
    /// The process that is to hold it.
    pub(crate) number: u64,
    /// Bytes to store beside the name.
    pub(crate) value: Blob,
    /// How many members must hold the entry before the answer.
    pub(crate) replicas: Replicas,
    /// The highest ballot that voters are known to have promised the name for.
    known: u64,
    /// How often in a row it was not granted.
    refusals: u32,
    /// Until when it backs off; `None` while it is claimed.
    until: Option<Time>,
}

impl Ask {
    /// Returns a request that was not refused yet.
    pub(crate) const fn new(ticket: u64, number: u64, value: Blob, replicas: Replicas) -> Self {
        Self { ticket, number, value, replicas, known: 0, refusals: 0, until: None }
    }
}

impl LeasedNames {
    /// Creates the names of a node on which nobody asked for one.
    pub(crate) fn new(voters: Option<&Voters>) -> Self {
        let period = voters.map_or(Duration::ZERO, Voters::period);
        let back_off_max = voters.map_or(Duration::ZERO, Voters::promise);
        Self { period, back_off_max, ..Self::default() }
    }

    /// Returns when to ask again.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Returns the ballot of a claim on `seat` made at `stamp`: above all that are known.
    pub(crate) fn next_ballot(&mut self, seat: &(Scope, Name), stamp: Stamp) -> u64 {
        let known = self.asks.get(seat).map_or(0, |ask| ask.known).max(self.ballot);
        self.ballot = stamp.as_u64().max(known.saturating_add(1));
        self.ballot
    }

    /// Takes in that a name is asked for: it stands in the journal.
    pub(crate) fn insert(&mut self, seat: (Scope, Name), ask: Ask) {
        let twin = self.asks.insert(seat, ask);
        assert!(twin.is_none(), "a name is asked for once at a time");
    }

    /// Returns the process that asks for a name, be it that it backs off.
    pub(crate) fn asker(&self, seat: &(Scope, Name)) -> Option<u64> {
        self.asks.get(seat).map(|ask| ask.number)
    }

    /// Takes out who asks for a name: it was granted, or given up.
    pub(crate) fn remove(&mut self, seat: &(Scope, Name)) -> Option<Ask> {
        let ask = self.asks.remove(seat)?;
        if let Some(at) = ask.until {
            self.timers.remove(&(at, seat.clone()));
        }
        Some(ask)
    }

    /// Returns what the process `number` asks for.
    pub(crate) fn of(&self, number: u64) -> Vec<(Scope, Name)> {
        let of = self.asks.iter().filter(|(_, ask)| ask.number == number);
        of.map(|(seat, _)| seat.clone()).collect()
    }

    /// Takes in that nobody grants a name, which `ballot` was promised for, and that it is claimed
    /// no more; it is asked for again after a while.
    pub(crate) fn back_off(
        &mut self,
        now: Time,
        seat: &(Scope, Name),
        ballot: u64,
        is_outbid: bool,
        random: &mut Random,
    ) {
        let Some(ask) = self.asks.get_mut(seat) else { return };
        let least = if is_outbid { STEP } else { self.period };
        let wait = least.saturating_mul(1 << ask.refusals.min(10)).min(self.back_off_max);
        ask.refusals = ask.refusals.saturating_add(1);
        ask.known = ask.known.max(ballot);
        let until = now + random.jittered(wait);
        if let Some(before) = ask.until.replace(until) {
            self.timers.remove(&(before, seat.clone()));
        }
        self.timers.insert((until, seat.clone()));
    }

    /// Takes out a name that is to be asked for again by now.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<((Scope, Name), Ask)> {
        let (_, seat) = self.timers.first().filter(|(at, _)| *at <= now).cloned()?;
        let ask = self.remove(&seat).expect("only who asks backs off");
        Some((seat, Ask { until: None, ..ask }))
    }
}
