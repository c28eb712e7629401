//! The holder: what it asks for, what it was granted, and until when.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::crdt::Version;
use crate::lease::{LeaseKey, Voters};
use crate::limits::REFUSALS_MAX;
use crate::message::{LeaseReply, LeaseRequest, Message, Unpromised};
use crate::supervisor::ChildKey;
use crate::{NodeId, Time};

/// How soon voters are asked again, at the soonest, but for what was claimed since a majority of
/// them answered.
const RETRY_MIN: Duration = Duration::from_millis(100);

/// Most requests whose answers still count.
const ATTEMPTS_MAX: usize = 32;

/// What this node asks voters for.
///
/// Invariant: `earliest` is no later than the end of any lease that is held; `attempts` are in the
/// order in which they were made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LeaseHolder {
    voters: Voters,
    /// The number of the last request.
    attempt: u64,
    /// The requests whose answers still count: each for itself, however late they come.
    attempts: VecDeque<Attempt>,
    claims: BTreeMap<LeaseKey, Claim>,
    /// The claims on names, as answers tell of them: of some perhaps alike.
    names: BTreeMap<ChildKey, BTreeSet<LeaseKey>>,
    /// When to ask again.
    next: Time,
    /// Whether there are claims that were not asked for yet.
    is_fresh: bool,
    earliest: Option<Time>,
    news: VecDeque<News>,
}

/// A request, and who answered it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Attempt {
    number: u64,
    /// When it was sent: read before it was.
    sent: Time,
    /// How far our journal went then.
    head: Version,
    replies: BTreeMap<NodeId, Grants>,
}

/// What a voter answered.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Grants {
    have: Version,
    /// Of our claims.
    refused: BTreeMap<ChildKey, Unpromised>,
    /// How many parts of the answer there are, and which have come: one bit for each.
    parts: u32,
    came: u64,
}

/// A claim of ours.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Claim {
    number: u64,
    /// The version at which it was made; it was rewritten since, but never withdrawn.
    version: Version,
    ballot: u64,
    made: Time,
    /// The highest ballot that it was refused for.
    outbid: u64,
    /// Until when each voter said first that the key is promised to another.
    owed: BTreeMap<NodeId, Time>,
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

impl Grants {
    fn is_whole(&self) -> bool {
        0 < self.parts && self.came.count_ones() == self.parts
    }
}

/// What follows for processes of this node.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) enum News {
    /// A process may run, or has a name.
    Granted {
        /// What was granted.
        key: LeaseKey,
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
    /// A lease of a process has ended for good.
    Lapsed {
        /// What was granted.
        key: LeaseKey,
        /// Its number.
        number: u64,
    },
    /// No majority grants a claim.
    Ungranted {
        /// What was claimed.
        key: LeaseKey,
        /// The number of the process that waits for it.
        number: u64,
        /// The ballot that a next claim must exceed.
        ballot: u64,
        /// Whether that is all that is wrong with it.
        is_outbid: bool,
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
            attempts: VecDeque::new(),
            claims: BTreeMap::new(),
            names: BTreeMap::new(),
            next: now,
            is_fresh: false,
            earliest: None,
            news: VecDeque::new(),
        }
    }

    /// Asks `voters` from now on. What was granted stays granted for its time; what was asked of
    /// others counts no more.
    pub(crate) fn handle_voters(&mut self, now: Time, voters: Voters) {
        self.voters = voters;
        self.attempts.clear();
        if self.has_open() {
            self.next = now;
        }
    }

    /// Returns what follows next, in order.
    pub(crate) fn poll_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// Returns when a lease may end, or it is time to ask again.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        let asks = self.has_open().then_some(self.next);
        asks.into_iter().chain(self.earliest).min()
    }

    /// Takes in that our journal claims `key` at `version`, with `ballot`, for process `number`.
    ///
    /// With the same ballot it is the same claim, rewritten.
    pub(crate) fn handle_claimed(
        &mut self,
        now: Time,
        key: LeaseKey,
        number: u64,
        version: Version,
        ballot: u64,
    ) {
        if self.claims.get(&key).is_some_and(|claim| claim.ballot == ballot) {
            return;
        }
        let state = State::Waits { hopeless_at: now + 2 * self.voters.period() };
        let (made, outbid, owed) = (now, 0, BTreeMap::new());
        if let LeaseKey::Name(..) = key {
            self.names.entry(key.on_the_wire()).or_default().insert(key.clone());
        }
        self.claims.insert(key, Claim { number, version, ballot, made, outbid, owed, state });
        self.is_fresh = true;
    }

    /// Takes in that our journal does not claim `key` any more.
    pub(crate) fn handle_withdrawn(&mut self, key: &LeaseKey) {
        self.claims.remove(key);
        let said = key.on_the_wire();
        if let Some(alike) = self.names.get_mut(&said) {
            alike.remove(key);
            if alike.is_empty() {
                self.names.remove(&said);
            }
        }
        if self.claims.is_empty() {
            self.earliest = None;
        }
    }

    /// Lets go of everything: this life is over.
    pub(crate) fn abandon(&mut self) {
        self.claims.clear();
        self.names.clear();
        self.attempts.clear();
        self.news.clear();
        self.is_fresh = false;
        self.earliest = None;
    }

    /// Asks for what was claimed since the last request, behind the journal that says so; `head` is
    /// how far that goes.
    pub(crate) fn handle_flush(&mut self, now: Time, head: Version) {
        let is_due = self.attempts.back().is_none_or(|last| {
            let answered = last.replies.values().filter(|reply| reply.is_whole()).count();
            self.voters.majority() <= answered || last.sent + RETRY_MIN <= now
        });
        if self.is_fresh && is_due {
            self.ask(now, head);
        }
    }

    /// Lets leases end whose time has come: before anything else that a thawed node does.
    pub(crate) fn lapse(&mut self, now: Time) {
        if self.earliest.is_none_or(|at| now < at) {
            return;
        }
        for (key, claim) in &mut self.claims {
            if claim.until().is_some_and(|until| until <= now) {
                claim.state = State::Over;
                let (key, number) = (key.clone(), claim.number);
                self.news.push_back(News::Lapsed { key, number });
            }
        }
        self.earliest = self.claims.values().filter_map(Claim::until).min();
    }

    /// Asks again, and gives up what nobody grants; `head` is how far our journal goes.
    pub(crate) fn handle_timeout(&mut self, now: Time, head: Version) {
        self.lapse(now);
        if !self.has_open() || now < self.next {
            return;
        }
        for (key, claim) in &mut self.claims {
            if matches!(claim.state, State::Waits { hopeless_at } if hopeless_at <= now) {
                claim.state = State::Over;
                let (key, is_outbid) = (key.clone(), false);
                let (number, ballot) = (claim.number, claim.outbid);
                self.news.push_back(News::Ungranted { key, number, ballot, is_outbid });
            }
        }
        self.ask(now, head);
    }

    /// Returns whether there is anything to ask for.
    fn has_open(&self) -> bool {
        self.claims.values().any(|claim| claim.state != State::Over)
    }

    fn ask(&mut self, now: Time, head: Version) {
        let lease = self.voters.lease;
        self.attempts.retain(|attempt| now < attempt.sent + lease);
        if self.attempts.len() == ATTEMPTS_MAX {
            self.attempts.pop_front();
        }
        self.attempt += 1;
        self.is_fresh = false;
        let (number, replies) = (self.attempt, BTreeMap::new());
        self.attempts.push_back(Attempt { number, sent: now, head, replies });
        let waits = |claim: &Claim| matches!(claim.state, State::Waits { .. });
        let period = self.voters.period();
        let soon = if self.claims.values().any(waits) { period.min(2 * RETRY_MIN) } else { period };
        self.next = now + soon;
        for to in &self.voters.nodes {
            let request = LeaseRequest { epoch: self.voters.epoch, attempt: self.attempt };
            let message = Message::LeaseRequest(request);
            self.news.push_back(News::Ask { to: to.clone(), message });
        }
    }

    /// Takes in the answer of a voter, or a part of it.
    pub(crate) fn handle_reply(&mut self, now: Time, from: &NodeId, reply: &LeaseReply) {
        self.lapse(now);
        let is_sound = self.voters.nodes.contains(from)
            && reply.epoch == self.voters.epoch
            && reply.refused.len() <= REFUSALS_MAX
            && (1..=u64::BITS).contains(&reply.parts)
            && reply.part < reply.parts;
        let asked = self.attempts.iter_mut().find(|attempt| attempt.number == reply.attempt);
        let Some(attempt) = asked.filter(|_| is_sound) else { return };
        if attempt.head < reply.have || attempt.sent + self.voters.lease <= now {
            return;
        }
        let grants = attempt.replies.entry(from.clone()).or_default();
        let is_other = (grants.have, grants.parts) != (reply.have, reply.parts);
        if grants.is_whole() || 0 < grants.came && is_other {
            return;
        }
        (grants.have, grants.parts) = (reply.have, reply.parts);
        grants.came |= 1 << reply.part;
        let rows = reply.refused.iter().map(|refusal| ((refusal.scope, refusal.child), *refusal));
        let is_claimed = |&(scope, child): &ChildKey| {
            self.names.contains_key(&(scope, child))
                || self.claims.contains_key(&LeaseKey::Child(scope, child))
        };
        grants.refused.extend(rows.filter(|(key, _)| is_claimed(key)));
        let is_whole = grants.is_whole();
        self.wait_for(now, from, reply);
        if is_whole {
            self.count(reply.attempt);
        }
    }

    /// Lets claims wait for what keeps a voter from granting them, for as long as a promise to
    /// somebody who is gone may last. Who renews it is there, and is not waited for.
    fn wait_for(&mut self, now: Time, from: &NodeId, reply: &LeaseReply) {
        let period = self.voters.period();
        let most = self.voters.promise() + 2 * period;
        let mut soonest = None;
        let mut wait = |claim: &mut Claim, remaining_ms: u64| {
            let State::Waits { hopeless_at } = &mut claim.state else { return };
            let at = now + Duration::from_millis(remaining_ms);
            let first = *claim.owed.entry(from.clone()).or_insert(at);
            if first + period < at {
                *hopeless_at = (*hopeless_at).min(claim.made + 2 * period);
            } else {
                *hopeless_at = (*hopeless_at).max(at + period).min(claim.made + most);
            }
            soonest = Some(soonest.map_or(at, |soonest: Time| soonest.min(at)));
        };
        if reply.abstains_ms > 0 {
            for claim in self.claims.values_mut() {
                wait(claim, reply.abstains_ms);
            }
        }
        for refusal in &reply.refused {
            let child = LeaseKey::Child(refusal.scope, refusal.child);
            let names = self.names.get(&(refusal.scope, refusal.child));
            for key in names.into_iter().flatten().chain([&child]) {
                let Some(claim) = self.claims.get_mut(key) else { continue };
                claim.outbid = claim.outbid.max(refusal.ballot);
                if refusal.remaining_ms > 0 {
                    wait(claim, refusal.remaining_ms);
                }
            }
        }
        if let (Some(at), Some(last)) = (soonest, self.attempts.back()) {
            self.next = self.next.min(at.max(last.sent + RETRY_MIN));
        }
    }

    /// Counts who granted what of the request `number`, once a majority has answered it.
    fn count(&mut self, number: u64) {
        let majority = self.voters.majority();
        let most_lost = self.voters.nodes.len() - majority;
        let Some(attempt) = self.attempts.iter().find(|attempt| attempt.number == number) else {
            return;
        };
        let whole: Vec<&Grants> =
            attempt.replies.values().filter(|reply| reply.is_whole()).collect();
        if whole.len() < majority {
            return;
        }
        let until = attempt.sent + self.voters.lease;
        let (mut renews, mut but) = (false, Vec::new());
        for (key, claim) in &mut self.claims {
            let replies = whole.iter().filter(|reply| claim.version <= reply.have);
            let said = key.on_the_wire();
            let grants = replies.filter(|reply| !reply.refused.contains_key(&said)).count();
            match claim.state {
                State::Held { by, .. } if number <= by => (),
                State::Held { until: before, .. } if grants >= majority => {
                    claim.state = State::Held { until: before.max(until), by: number };
                    renews = true;
                }
                // What is over runs no more, whatever the shell has got round to.
                State::Held { .. } | State::Over => but.push(claim.number),
                State::Waits { .. } if grants >= majority => {
                    claim.state = State::Held { until, by: number };
                    self.earliest = Some(self.earliest.map_or(until, |at| at.min(until)));
                    let (key, number) = (key.clone(), claim.number);
                    self.news.push_back(News::Granted { key, number, until });
                }
                State::Waits { .. } => {
                    let is_outbid = |reply: &&&Grants| {
                        reply.refused.get(&said).is_some_and(|refusal| refusal.remaining_ms == 0)
                    };
                    if most_lost < whole.iter().filter(is_outbid).count() {
                        claim.state = State::Over;
                        let (key, is_outbid) = (key.clone(), true);
                        let (number, ballot) = (claim.number, claim.outbid);
                        self.news.push_back(News::Ungranted { key, number, ballot, is_outbid });
                    }
                }
            }
        }
        if renews {
            self.news.push_back(News::Renewed { until, but });
        }
    }

    /// Returns until when `key` is held, if it is.
    pub(crate) fn until(&self, key: &LeaseKey) -> Option<Time> {
        self.claims.get(key)?.until()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Incarnation, Name, Replica, Scope};

    /// Returns a name that is told of as each other that this returns: what XXH3 multiplies is
    /// zero, and what it adds up is the same.
    fn twin(first: u8) -> LeaseKey {
        let mut bytes = [b'x'; 300];
        bytes[..8].copy_from_slice(&[first, 0, 0, 0, 0x23, 0xa4, 0x4b, 0xbe]);
        bytes[64..72].copy_from_slice(&[7 - first, 0, 0, 0, 0xf7, 0x21, 0xad, 0x1c]);
        LeaseKey::Name(Scope::named("locks"), Name::new(bytes).unwrap())
    }

    #[test]
    fn a_refusal_counts_for_a_name_whose_twin_was_withdrawn() {
        let voters = ["n1", "n2", "n3"].map(|node| NodeId::new(node).unwrap());
        let (kept, withdrawn) = (twin(1), twin(2));
        assert_ne!(kept, withdrawn);
        assert_eq!(kept.on_the_wire(), withdrawn.on_the_wire());
        let mut holder = LeaseHolder::new(Voters::new(voters.clone()), Time::ZERO);
        holder.handle_claimed(Time::ZERO, kept.clone(), 1, 1, 7);
        holder.handle_claimed(Time::ZERO, withdrawn.clone(), 2, 2, 8);
        holder.handle_withdrawn(&withdrawn);
        holder.handle_flush(Time::ZERO, 3);

        let life = Replica::new(voters[0].clone(), Incarnation { counter: 1, nonce: 1 });
        let (scope, child) = kept.on_the_wire();
        for voter in &voters {
            let refusal = Unpromised { scope, child, remaining_ms: 1_000, ballot: 9 };
            let reply = LeaseReply {
                session: life.key(),
                epoch: 1,
                attempt: 1,
                part: 0,
                parts: 1,
                have: 3,
                refused: [refusal].into(),
                abstains_ms: 0,
            };
            holder.handle_reply(Time::ZERO, voter, &reply);
        }
        assert_eq!(holder.until(&kept), None);
        while let Some(news) = holder.poll_news() {
            assert!(!matches!(news, News::Granted { .. }), "{news:?}");
        }
    }
}
