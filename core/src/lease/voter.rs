//! The voter: what it has promised to whom.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::crdt::Version;
use crate::lease::{LeaseKey, Voters};
use crate::limits::REFUSALS_MAX;
use crate::message::{LeaseReply, Unpromised};
use crate::{Replica, Time};

/// How long the ballots of a key are kept that nobody claims, of which is not known that it has
/// ended: a name, or a child whose specification has not come.
const UNKNOWN_KEPT: Duration = Duration::from_secs(10 * 60);

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
    seats: BTreeMap<LeaseKey, Seat>,
    /// Seats that nobody claims, and since when; to be forgotten once their children have ended.
    idle: BTreeMap<LeaseKey, Time>,
}

/// What a life of a node claims, and how long what it was promised is promised.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Session {
    until: Time,
    open: BTreeMap<Version, LeaseKey>,
    held: BTreeSet<LeaseKey>,
    /// Whether that life is over, or was: it is promised nothing more, and releases nothing.
    is_over: bool,
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
    /// `None` if it cannot be read here, as one of a later version may: it is never promised.
    ballot: Option<u64>,
    /// Whether its process runs, and so was granted it once: it may go on, whoever was promised it
    /// since in vain.
    runs: bool,
}

impl Voter {
    /// Creates a voter on a node that started at `began`: what it promised before it has forgotten.
    pub(crate) fn new(voters: &Voters, began: Time) -> Self {
        Self {
            epoch: voters.epoch,
            promise: voters.promise(),
            abstains_until: began + voters.abstention(),
            sessions: BTreeMap::new(),
            seats: BTreeMap::new(),
            idle: BTreeMap::new(),
        }
    }

    /// Goes by the electorate of that epoch from now on, which it belongs to; it keeps what it has
    /// promised.
    pub(crate) fn handle_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
    }

    /// Takes in that the journal of `session` claims `key` at `version` with `ballot`, if that can
    /// be read, for a process that `runs` or does not yet.
    pub(crate) fn handle_claimed(
        &mut self,
        session: &Replica,
        key: LeaseKey,
        version: Version,
        ballot: Option<u64>,
        runs: bool,
    ) {
        let own = self.sessions.entry(session.clone()).or_default();
        if own.is_over {
            return;
        }
        let seat = self.seats.entry(key.clone()).or_default();
        self.idle.remove(&key);
        let before = seat.claims.insert(session.clone(), Claim { version, ballot, runs });
        if let Some(before) = before {
            own.open.remove(&before.version);
        }
        let is_same = before.is_some_and(|before| before.ballot == ballot);
        if !(is_same && seat.holder.as_ref() == Some(session)) {
            own.open.insert(version, key);
        }
    }

    /// Takes in that the journal of `session` does not claim `key` any more: it is released, unless
    /// that life is over, and its journal is only forgotten.
    pub(crate) fn handle_released(&mut self, now: Time, session: &Replica, key: &LeaseKey) {
        if self.sessions.get(session).is_none_or(|own| own.is_over) {
            return;
        }
        self.drop_claim(now, session, key);
        let Some(seat) = self.seats.get_mut(key) else { return };
        if seat.holder.as_ref() == Some(session) {
            seat.holder = None;
            if let Some(own) = self.sessions.get_mut(session) {
                own.held.remove(key);
            }
        }
    }

    /// Takes in that the life `session` is over, or forgotten here. It may run still where nobody
    /// hears it, so what it was promised stays so for its time.
    pub(crate) fn handle_over(&mut self, now: Time, session: &Replica) {
        let Some(own) = self.sessions.get_mut(session) else { return };
        own.is_over = true;
        let keys: BTreeSet<LeaseKey> = own.open.values().chain(&own.held).cloned().collect();
        for key in &keys {
            self.drop_claim(now, session, key);
        }
    }

    fn drop_claim(&mut self, now: Time, session: &Replica, key: &LeaseKey) {
        let Some(seat) = self.seats.get_mut(key) else { return };
        if let Some(claim) = seat.claims.remove(session)
            && let Some(own) = self.sessions.get_mut(session)
        {
            own.open.remove(&claim.version);
        }
        if seat.claims.is_empty() {
            self.idle.entry(key.clone()).or_insert(now);
        }
    }

    /// Answers a request of `session`, whose journal we have up to `have`, in as many parts as it
    /// takes.
    ///
    /// Costs what it claims and is not promised, not what it holds.
    pub(crate) fn handle_request(
        &mut self,
        now: Time,
        session: &Replica,
        attempt: u64,
        have: Version,
    ) -> Vec<LeaseReply> {
        let (life, epoch) = (session.key(), self.epoch);
        let reply = |part, parts, have, refused, abstains_ms| LeaseReply {
            session: life,
            epoch,
            attempt,
            part,
            parts,
            have,
            refused,
            abstains_ms,
        };
        if now < self.abstains_until {
            let abstains_ms = millis(self.abstains_until.since(now));
            return Vec::from([reply(0, 1, 0, Vec::new(), abstains_ms)]);
        }
        let own = self.sessions.entry(session.clone()).or_default();
        if own.is_over {
            return Vec::from([reply(0, 1, 0, Vec::new(), 0)]);
        }
        own.until = now + self.promise;
        let open: Vec<(Version, LeaseKey)> =
            own.open.iter().map(|(version, key)| (*version, key.clone())).collect();
        let refused = open.into_iter().filter_map(|(v, key)| self.promise(now, session, v, key));
        let refused: Vec<Unpromised> = refused.collect();
        let parts = refused.len().div_ceil(REFUSALS_MAX).max(1);
        let Some(parts) = u32::try_from(parts).ok().filter(|parts| *parts <= u64::BITS) else {
            // More than can be said is no promise at all.
            return Vec::from([reply(0, 1, 0, Vec::new(), 0)]);
        };
        let mut rows = refused.chunks(REFUSALS_MAX).map(<[Unpromised]>::to_vec);
        let part = |part| reply(part, parts, have, rows.next().unwrap_or_default(), 0);
        (0..parts).map(part).collect()
    }

    /// Promises `key` to `session`, or says why not.
    fn promise(
        &mut self,
        now: Time,
        session: &Replica,
        version: Version,
        key: LeaseKey,
    ) -> Option<Unpromised> {
        let seat = self.seats.get_mut(&key).expect("what is claimed has a seat");
        let claim = seat.claims[session];
        let refusal = |seat: &Seat, remaining| {
            let (scope, child) = key.on_the_wire();
            Some(Unpromised { scope, child, remaining_ms: millis(remaining), ballot: seat.ballot })
        };
        let holder = seat.holder.clone().filter(|holder| holder != session);
        if let Some(holder) = &holder {
            let until = self.sessions.get(holder).map_or(Time::ZERO, |other| other.until);
            if now < until {
                return refusal(seat, until.since(now));
            }
        }
        let Some(ballot) = claim.ballot else { return refusal(seat, Duration::ZERO) };
        let is_other = seat.promised.as_ref() != Some(session);
        let is_outbid = ballot < seat.ballot || ballot == seat.ballot && is_other;
        if is_outbid && !claim.runs {
            return refusal(seat, Duration::ZERO);
        }
        if seat.ballot <= ballot {
            seat.ballot = ballot;
            seat.promised = Some(session.clone());
        }
        seat.holder = Some(session.clone());
        if let Some(before) = holder
            && let Some(other) = self.sessions.get_mut(&before)
        {
            other.held.remove(&key);
            if let Some(claim) = seat.claims.get(&before) {
                other.open.insert(claim.version, key.clone());
            }
        }
        let own = self.sessions.get_mut(session).expect("it has just asked");
        own.open.remove(&version);
        own.held.insert(key);
        None
    }

    /// Forgets promises that have passed of sessions that claim nothing, and keys whose children
    /// have ended, as `has_ended` says, or of which that is not known (`None`) for long; once a
    /// beat.
    pub(crate) fn tidy(&mut self, now: Time, has_ended: impl Fn(&LeaseKey) -> Option<bool>) {
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
        self.idle.retain(|key, since| {
            let is_held = seats[key].holder.is_some();
            let is_over = has_ended(key).unwrap_or_else(|| UNKNOWN_KEPT <= now.since(*since));
            if !is_held && is_over {
                seats.remove(key);
            }
            is_held || !is_over
        });
    }

    /// Returns for how long it grants nothing yet.
    pub(crate) fn abstains_for(&self, now: Time) -> Duration {
        self.abstains_until.since(now)
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
            if seat.claims.is_empty() != self.idle.contains_key(key) {
                return Err("the seats that nobody claims are not those that are idle");
            }
        }
        Ok(())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
}
