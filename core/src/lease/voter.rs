//! The voter: what it has promised to whom.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::crdt::Version;
use crate::lease::Voters;
use crate::limits::REFUSALS_MAX;
use crate::message::{LeaseReply, Unpromised};
use crate::supervisor::ChildKey;
use crate::{Replica, Time};

/// What this node has promised as a voter.
///
/// A session is a life of a node: the writer of one journal. What is promised to it is promised to
/// nobody else until the time of its last request and a promise have passed, or its journal says
/// that it is released.
///
/// Invariant: `open` of a session holds the claims of its journal that are not promised to it, by
/// their versions; a seat's holder is a session that is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Voter {
    epoch: u64,
    promise: Duration,
    /// It grants nothing before: it may have promised before it was started.
    abstains_until: Time,
    sessions: BTreeMap<Replica, Session>,
    seats: BTreeMap<ChildKey, Seat>,
    /// Seats that nobody claims, to be forgotten once their children are over.
    idle: BTreeSet<ChildKey>,
}

/// What a life of a node claims, and how long what it was promised is promised.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Session {
    until: Time,
    open: BTreeMap<Version, ChildKey>,
    held: BTreeSet<ChildKey>,
}

/// A key that is claimed, or was.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Seat {
    /// The highest ballot that it was promised for, and to whom.
    ballot: u64,
    promised: Option<Replica>,
    /// To whom it is promised still, as long as that session's promise lasts.
    holder: Option<Replica>,
    claims: BTreeMap<Replica, Claim>,
}

/// A claim in our closed copy of a journal.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Claim {
    version: Version,
    ballot: u64,
    /// Whether it was promised once: its holder may go on with it, whoever was promised it since
    /// in vain.
    was_promised: bool,
}

impl Voter {
    /// Creates a voter that has just started.
    pub(crate) fn new(voters: &Voters, now: Time) -> Self {
        Self {
            epoch: voters.epoch,
            promise: voters.promise(),
            abstains_until: now + voters.abstention(),
            sessions: BTreeMap::new(),
            seats: BTreeMap::new(),
            idle: BTreeSet::new(),
        }
    }

    /// Takes in that the journal of `session` claims `key` at `version` with `ballot`.
    pub(crate) fn handle_claimed(
        &mut self,
        session: &Replica,
        key: ChildKey,
        version: Version,
        ballot: u64,
    ) {
        let seat = self.seats.entry(key).or_default();
        self.idle.remove(&key);
        let own = self.sessions.entry(session.clone()).or_default();
        let before = seat.claims.get(session).copied();
        if let Some(before) = before {
            own.open.remove(&before.version);
        }
        let is_same = before.is_some_and(|before| before.ballot == ballot);
        let was_promised = is_same && before.is_some_and(|before| before.was_promised);
        seat.claims.insert(session.clone(), Claim { version, ballot, was_promised });
        if !(is_same && seat.holder.as_ref() == Some(session)) {
            own.open.insert(version, key);
        }
    }

    /// Takes in that the journal of `session` does not claim `key` any more: it is released.
    pub(crate) fn handle_released(&mut self, session: &Replica, key: ChildKey) {
        self.drop_claim(session, key);
        let Some(seat) = self.seats.get_mut(&key) else { return };
        if seat.holder.as_ref() == Some(session) {
            seat.holder = None;
            if let Some(own) = self.sessions.get_mut(session) {
                own.held.remove(&key);
            }
        }
    }

    /// Takes in that the life `session` is over, or forgotten here. It may run still where nobody
    /// hears it, so what it was promised stays so for its time.
    pub(crate) fn handle_over(&mut self, session: &Replica) {
        let Some(own) = self.sessions.get(session) else { return };
        let keys: BTreeSet<ChildKey> = own.open.values().chain(&own.held).copied().collect();
        for key in keys {
            self.drop_claim(session, key);
        }
    }

    fn drop_claim(&mut self, session: &Replica, key: ChildKey) {
        let Some(seat) = self.seats.get_mut(&key) else { return };
        if let Some(claim) = seat.claims.remove(session)
            && let Some(own) = self.sessions.get_mut(session)
        {
            own.open.remove(&claim.version);
        }
        if seat.claims.is_empty() {
            self.idle.insert(key);
        }
    }

    /// Answers a request of `session`, whose journal we have up to `have`.
    ///
    /// Costs what it claims and is not promised, not what it holds.
    pub(crate) fn handle_request(
        &mut self,
        now: Time,
        session: &Replica,
        attempt: u64,
        have: Version,
    ) -> LeaseReply {
        let epoch = self.epoch;
        if now < self.abstains_until {
            let abstains_ms = millis(self.abstains_until.since(now));
            let (session, refused) = (session.key(), Vec::new());
            return LeaseReply { session, epoch, attempt, have: 0, refused, abstains_ms };
        }
        let own = self.sessions.entry(session.clone()).or_default();
        own.until = now + self.promise;
        let open: Vec<(Version, ChildKey)> = own.open.iter().map(|(v, key)| (*v, *key)).collect();
        let (mut have, mut refused) = (have, Vec::new());
        for (version, key) in open {
            let Some(refusal) = self.promise(now, session, version, key) else { continue };
            if refused.len() == REFUSALS_MAX {
                // The rest waits for the next request, as if we had not got that far.
                have = have.min(version.saturating_sub(1));
                break;
            }
            refused.push(refusal);
        }
        LeaseReply { session: session.key(), epoch, attempt, have, refused, abstains_ms: 0 }
    }

    /// Promises `key` to `session`, or says why not.
    fn promise(
        &mut self,
        now: Time,
        session: &Replica,
        version: Version,
        key: ChildKey,
    ) -> Option<Unpromised> {
        let seat = self.seats.get_mut(&key).expect("what is claimed has a seat");
        let claim = seat.claims.get_mut(session).expect("an open claim stands in its seat");
        let refusal = |seat: &Seat, remaining| {
            let (scope, child) = key;
            Some(Unpromised { scope, child, remaining_ms: millis(remaining), ballot: seat.ballot })
        };
        let holder = seat.holder.clone().filter(|holder| holder != session);
        if let Some(holder) = &holder {
            let until = self.sessions.get(holder).map_or(Time::ZERO, |other| other.until);
            if now < until {
                return refusal(seat, until.since(now));
            }
        }
        let is_other = seat.promised.as_ref() != Some(session);
        let is_outbid = claim.ballot < seat.ballot || claim.ballot == seat.ballot && is_other;
        if is_outbid && !claim.was_promised {
            return refusal(seat, Duration::ZERO);
        }
        claim.was_promised = true;
        seat.ballot = seat.ballot.max(claim.ballot);
        seat.promised = Some(session.clone());
        seat.holder = Some(session.clone());
        if let Some(before) = holder
            && let Some(other) = self.sessions.get_mut(&before)
        {
            other.held.remove(&key);
            if let Some(claim) = seat.claims.get(&before) {
                other.open.insert(claim.version, key);
            }
        }
        let own = self.sessions.get_mut(session).expect("it has just asked");
        own.open.remove(&version);
        own.held.insert(key);
        None
    }

    /// Forgets promises that have passed of sessions that claim nothing, and keys whose children
    /// are over, as `is_over` says; once a beat.
    pub(crate) fn tidy(&mut self, now: Time, is_over: impl Fn(&ChildKey) -> bool) {
        let seats = &mut self.seats;
        self.sessions.retain(|session, own| {
            if own.until <= now {
                own.held.retain(|key| {
                    let seat = seats.get_mut(key).expect("what is held has a seat");
                    let is_claimed = seat.claims.contains_key(session);
                    if !is_claimed {
                        seat.holder = None;
                    }
                    is_claimed
                });
            }
            now < own.until || !own.open.is_empty() || !own.held.is_empty()
        });
        let idle: Vec<ChildKey> = self.idle.iter().copied().collect();
        for key in idle {
            let seat = &self.seats[&key];
            if seat.holder.is_none() && is_over(&key) {
                self.seats.remove(&key);
                self.idle.remove(&key);
            }
        }
    }

    /// Returns for how long it grants nothing yet.
    pub(crate) fn abstains_for(&self, now: Time) -> Duration {
        self.abstains_until.since(now)
    }

    /// Returns how many keys and how many lives it knows of.
    pub(crate) fn len(&self) -> (usize, usize) {
        (self.seats.len(), self.sessions.len())
    }

    /// Checks that claims are open exactly where they are not promised.
    ///
    /// # Errors
    ///
    /// Says what is wrong.
    pub(crate) fn audit(&self) -> Result<(), &'static str> {
        for (session, own) in &self.sessions {
            for (version, key) in &own.open {
                let claim = self.seats.get(key).and_then(|seat| seat.claims.get(session));
                if claim.is_none_or(|claim| claim.version != *version) {
                    return Err("what is open is not claimed");
                }
            }
            for key in &own.held {
                if self.seats.get(key).is_none_or(|seat| seat.holder.as_ref() != Some(session)) {
                    return Err("what a session holds is not promised to it");
                }
            }
        }
        for (key, seat) in &self.seats {
            if let Some(holder) = &seat.holder
                && self.sessions.get(holder).is_none_or(|own| !own.held.contains(key))
            {
                return Err("what is promised is not held");
            }
            if seat.claims.is_empty() != self.idle.contains(key) {
                return Err("the seats that nobody claims are not those that are idle");
            }
        }
        Ok(())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
}
