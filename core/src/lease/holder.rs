//! The holder: what it asks for, what it was granted, and until when.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::crdt::Version;
use crate::lease::Voters;
use crate::message::{LeaseReply, LeaseRequest, Message, Unpromised};
use crate::supervisor::ChildKey;
use crate::{NodeId, Time};

/// How soon a claim that was not granted is asked for again, at the soonest.
const RETRY_MIN: Duration = Duration::from_millis(100);

/// What this node asks voters for.
///
/// Invariant: `earliest` is no later than the end of any lease that is held.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LeaseHolder {
    voters: Voters,
    /// The number of the last request, and when it was sent: read before it was.
    attempt: u64,
    sent: Time,
    /// Who answered the last request.
    replies: BTreeMap<NodeId, Grants>,
    claims: BTreeMap<ChildKey, Claim>,
    /// When to ask again.
    next: Time,
    /// Whether there are claims that were not asked for yet.
    is_fresh: bool,
    earliest: Option<Time>,
    news: VecDeque<News>,
}

/// What a voter answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Grants {
    have: Version,
    refused: BTreeMap<ChildKey, Unpromised>,
}

/// A claim of ours.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Claim {
    number: u64,
    /// The version at which it was made; it was rewritten since, but never withdrawn.
    version: Version,
    ballot: u64,
    made: Time,
    state: State,
}

/// How far a claim is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
enum State {
    /// No majority has granted it yet.
    Waits {
        /// When it is given up.
        hopeless_at: Time,
    },
    /// It is held.
    Held {
        /// Until when.
        until: Time,
        /// The last request by which it was granted.
        by: u64,
    },
    /// It was held or given up, and is to be withdrawn.
    Over,
}

impl Claim {
    fn until(&self) -> Option<Time> {
        match self.state {
            State::Held { until, .. } => Some(until),
            State::Waits { .. } | State::Over => None,
        }
    }
}

/// What follows for processes of this node.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) enum News {
    /// A process may run.
    Granted {
        /// Its number.
        number: u64,
        /// Until when.
        until: Time,
    },
    /// All that run under a lease may go on.
    Renewed {
        /// Until when.
        until: Time,
        /// The numbers of those that may not; they run until they were told last.
        but: Vec<u64>,
    },
    /// The lease of a process has ended: it is over for good.
    Lapsed {
        /// Its number.
        number: u64,
    },
    /// No majority grants a claim.
    Ungranted {
        /// The number of the process that waits for it.
        number: u64,
        /// The ballot that a next claim must exceed.
        ballot: u64,
    },
    /// Something to say to a voter.
    Ask {
        /// The voter.
        to: NodeId,
        /// What to say.
        message: Message,
    },
}

impl LeaseHolder {
    /// Creates a holder of nothing.
    pub(crate) fn new(voters: Voters, now: Time) -> Self {
        Self {
            voters,
            attempt: 0,
            sent: now,
            replies: BTreeMap::new(),
            claims: BTreeMap::new(),
            next: now,
            is_fresh: false,
            earliest: None,
            news: VecDeque::new(),
        }
    }

    /// Returns what follows next, in order.
    pub(crate) fn poll_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// Returns when a lease may end, or it is time to ask again.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        let asks = (!self.claims.is_empty()).then_some(self.next);
        asks.into_iter().chain(self.earliest).min()
    }

    /// Takes in that our journal claims `key` at `version`, with `ballot`, for process `number`.
    ///
    /// With the same ballot it is the same claim, rewritten.
    pub(crate) fn handle_claimed(
        &mut self,
        now: Time,
        key: ChildKey,
        number: u64,
        version: Version,
        ballot: u64,
    ) {
        if self.claims.get(&key).is_some_and(|claim| claim.ballot == ballot) {
            return;
        }
        let state = State::Waits { hopeless_at: now + 2 * self.voters.period() };
        self.claims.insert(key, Claim { number, version, ballot, made: now, state });
        self.is_fresh = true;
    }

    /// Takes in that our journal does not claim `key` any more.
    pub(crate) fn handle_withdrawn(&mut self, key: &ChildKey) {
        self.claims.remove(key);
        if self.claims.is_empty() {
            self.earliest = None;
        }
    }

    /// Lets go of everything: this life is over.
    pub(crate) fn abandon(&mut self) {
        self.claims.clear();
        self.replies.clear();
        self.earliest = None;
        // No answer to a request of that life counts for the next.
        self.attempt += 1;
    }

    /// Asks for what was claimed since the last request, behind the journal that says so.
    pub(crate) fn handle_flush(&mut self, now: Time) {
        let is_decided = self.replies.len() >= self.voters.majority();
        if self.is_fresh && (is_decided || self.sent + RETRY_MIN <= now || self.attempt == 0) {
            self.ask(now);
        }
    }

    /// Lets leases end whose time has come: before anything else that a thawed node does.
    pub(crate) fn lapse(&mut self, now: Time) {
        if self.earliest.is_none_or(|at| now < at) {
            return;
        }
        for claim in self.claims.values_mut() {
            if claim.until().is_some_and(|until| until <= now) {
                claim.state = State::Over;
                self.news.push_back(News::Lapsed { number: claim.number });
            }
        }
        self.earliest = self.claims.values().filter_map(Claim::until).min();
    }

    /// Asks again, and gives up what nobody grants.
    pub(crate) fn handle_timeout(&mut self, now: Time) {
        self.lapse(now);
        if self.claims.is_empty() || now < self.next {
            return;
        }
        for claim in self.claims.values_mut() {
            if matches!(claim.state, State::Waits { hopeless_at } if hopeless_at <= now) {
                claim.state = State::Over;
                self.news.push_back(News::Ungranted { number: claim.number, ballot: 0 });
            }
        }
        self.ask(now);
    }

    fn ask(&mut self, now: Time) {
        self.attempt += 1;
        self.sent = now;
        self.is_fresh = false;
        self.replies.clear();
        let waits = |claim: &Claim| matches!(claim.state, State::Waits { .. });
        let soon = if self.claims.values().any(waits) {
            self.voters.period().min(2 * RETRY_MIN)
        } else {
            self.voters.period()
        };
        self.next = now + soon;
        for to in &self.voters.nodes {
            let request = LeaseRequest { epoch: self.voters.epoch, attempt: self.attempt };
            let message = Message::LeaseRequest(request);
            self.news.push_back(News::Ask { to: to.clone(), message });
        }
    }

    /// Takes in the answer of a voter.
    pub(crate) fn handle_reply(&mut self, now: Time, from: &NodeId, reply: LeaseReply) {
        let until = self.sent + self.voters.lease;
        let is_voter = self.voters.nodes.contains(from);
        let is_ours = (reply.epoch, reply.attempt) == (self.voters.epoch, self.attempt);
        if !is_voter || !is_ours || self.replies.contains_key(from) {
            return;
        }
        self.lapse(now);
        self.wait_for(now, &reply);
        let rows = reply.refused.into_iter();
        let refused = rows.map(|refusal| ((refusal.scope, refusal.child), refusal)).collect();
        self.replies.insert(from.clone(), Grants { have: reply.have, refused });
        if self.replies.len() < self.voters.majority() || until <= now {
            return;
        }
        self.count(until);
    }

    /// Lets claims wait for what keeps a voter from granting them, for as long as a promise to
    /// somebody who is gone may last.
    fn wait_for(&mut self, now: Time, reply: &LeaseReply) {
        let period = self.voters.period();
        let most = self.voters.promise() + 2 * period;
        let mut soonest = None;
        let mut wait = |claim: &mut Claim, remaining_ms: u64| {
            let at = now + Duration::from_millis(remaining_ms);
            if let State::Waits { hopeless_at } = &mut claim.state {
                *hopeless_at = (*hopeless_at).max(at + period).min(claim.made + most);
                soonest = Some(soonest.map_or(at, |soonest: Time| soonest.min(at)));
            }
        };
        if reply.abstains_ms > 0 {
            for claim in self.claims.values_mut() {
                wait(claim, reply.abstains_ms);
            }
        }
        for refusal in reply.refused.iter().filter(|refusal| refusal.remaining_ms > 0) {
            if let Some(claim) = self.claims.get_mut(&(refusal.scope, refusal.child)) {
                wait(claim, refusal.remaining_ms);
            }
        }
        if let Some(at) = soonest {
            self.next = self.next.min(at);
        }
    }

    /// Counts who grants what, once a majority has answered.
    fn count(&mut self, until: Time) {
        let majority = self.voters.majority();
        let most_lost = self.voters.nodes.len() - majority;
        let (mut renews, mut but) = (false, Vec::new());
        for (key, claim) in &mut self.claims {
            let replies = self.replies.values().filter(|reply| claim.version <= reply.have);
            let grants = replies.filter(|reply| !reply.refused.contains_key(key)).count();
            match claim.state {
                State::Held { by, .. } if by == self.attempt => (),
                State::Held { until: before, .. } if grants >= majority => {
                    claim.state = State::Held { until: before.max(until), by: self.attempt };
                    renews = true;
                }
                // What is over runs no more, whatever the shell has got round to.
                State::Held { .. } | State::Over => but.push(claim.number),
                State::Waits { .. } if grants >= majority => {
                    claim.state = State::Held { until, by: self.attempt };
                    self.earliest = Some(self.earliest.map_or(until, |at| at.min(until)));
                    self.news.push_back(News::Granted { number: claim.number, until });
                }
                State::Waits { .. } => {
                    let outbid = |reply: &Grants| {
                        let refusal = reply.refused.get(key)?;
                        (refusal.remaining_ms == 0).then_some(refusal.ballot)
                    };
                    let bids: Vec<u64> = self.replies.values().filter_map(outbid).collect();
                    if most_lost < bids.len() {
                        let ballot = bids.into_iter().max().unwrap_or(0);
                        claim.state = State::Over;
                        self.news.push_back(News::Ungranted { number: claim.number, ballot });
                    }
                }
            }
        }
        if renews {
            self.news.push_back(News::Renewed { until, but });
        }
    }

    /// Returns until when the process that runs `key` may run, if it may.
    pub(crate) fn until(&self, key: &ChildKey) -> Option<Time> {
        self.claims.get(key)?.until()
    }

    /// Returns how many of our claims were granted, and how many there are.
    pub(crate) fn held(&self) -> (usize, usize) {
        let held = self.claims.values().filter(|claim| claim.until().is_some()).count();
        (held, self.claims.len())
    }
}
