//! The part of the node that was asked to change the voters.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::electorate::{
    Accepted, Ballot, EPOCHS_MAX, Electorate, Proposal, Vote, VoteAnswer, VoterChange,
};
use crate::{ChangeVotersError, NodeId, Random, ReplicaKey, Time};

/// How soon voters that have not answered are asked again: longer than disks and networks take.
const PERIOD: Duration = Duration::from_millis(500);

/// How long it is tried to decide what nobody asks for any more; it is tried again later.
const UNASKED_MAX: Duration = Duration::from_secs(5);

/// Times that the wait before another attempt doubles.
const DOUBLINGS_MAX: u32 = 5;

/// Something that follows for a proposer.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) enum Verdict {
    /// Something to say to a voter.
    Send(NodeId, Proposal),
    /// These voters are decided on.
    Decided(Electorate),
    /// A request is answered.
    Answer(u64, Result<Electorate, ChangeVotersError>),
}

/// The changes that this node was asked for, one after the other.
///
/// Feed it with the `handle_…` verbs, drain it with [`poll_verdict`](Self::poll_verdict).
///
/// Invariant: there is an attempt, or a time of the next one, as long as something is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Proposer {
    random: Random,
    asked: VecDeque<(u64, VoterChange)>,
    attempt: Option<Attempt>,
    /// When to ask again, or to begin the next attempt.
    next: Option<Time>,
    /// The highest round that was heard of.
    round: u64,
    /// How often in a row an attempt was outbid.
    outbid: u32,
    /// Who cannot store what it says.
    without_store: BTreeSet<NodeId>,
    /// Voters that some have accepted, and that nobody brings to a decision any more.
    unfinished: Option<BTreeSet<NodeId>>,
    /// Until when the leases of the electorate before may last, as voters said.
    early: Option<Time>,
    verdicts: VecDeque<Verdict>,
}

/// An attempt to change the voters.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Attempt {
    ballot: Ballot,
    /// The voters that decide.
    before: Electorate,
    stage: Stage,
    began: Time,
}

/// How far an attempt is.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Stage {
    /// Hears what was accepted before.
    Prepare {
        /// The voters to be, unless something was.
        wanted: BTreeSet<NodeId>,
        /// Who promised, and what it had accepted.
        promised: BTreeMap<NodeId, Option<Accepted>>,
    },
    /// Has it accepted.
    Accept {
        /// The voters to be.
        nodes: BTreeSet<NodeId>,
        /// Who has accepted it.
        accepted: BTreeSet<NodeId>,
    },
}

impl Proposer {
    /// Creates a proposer of nothing.
    pub(crate) fn new(random: Random) -> Self {
        Self {
            random,
            asked: VecDeque::new(),
            attempt: None,
            next: None,
            round: 0,
            outbid: 0,
            without_store: BTreeSet::new(),
            unfinished: None,
            early: None,
            verdicts: VecDeque::new(),
        }
    }

    /// Returns what follows next, in order.
    pub(crate) fn poll_verdict(&mut self) -> Option<Verdict> {
        self.verdicts.pop_front()
    }

    /// Returns when to call [`handle_timeout`](Self::handle_timeout) at the latest.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.next
    }

    /// Begins to make `change`, once those are made that were asked for before.
    pub(crate) fn ask(&mut self, now: Time, ticket: u64, change: VoterChange) {
        self.asked.push_back((ticket, change));
        if self.attempt.is_none() && self.next.is_none() {
            self.next = Some(now);
        }
    }

    /// Brings `nodes` to a decision, which some have accepted as voters, and whose proposer is
    /// gone; unless there is something to decide anyway, which would bring it about, too.
    pub(crate) fn finish(&mut self, now: Time, nodes: BTreeSet<NodeId>) {
        if self.attempt.is_none() && self.asked.is_empty() {
            self.unfinished = Some(nodes);
            // Whoever else has accepted it does the same.
            self.next = Some(now + self.random.jittered(4 * PERIOD));
        }
    }

    /// Lets go of a request, and says what it waited for; the change may still come about.
    pub(crate) fn cancel(
        &mut self,
        now: Time,
        ticket: u64,
        electorate: &Electorate,
    ) -> ChangeVotersError {
        let is_first = self.asked.front().is_some_and(|(first, _)| *first == ticket);
        self.asked.retain(|(other, _)| *other != ticket);
        let error = ChangeVotersError::TimedOut {
            silent: self.silent(electorate).into_iter().collect(),
            settles_in: self.early.filter(|at| now < *at).map(|at| at.since(now)),
        };
        if is_first {
            self.drop_attempt();
            self.next = (!self.asked.is_empty()).then_some(now);
        }
        error
    }

    /// Returns whose word an attempt waits for.
    fn silent(&self, electorate: &Electorate) -> BTreeSet<NodeId> {
        let Some(attempt) = &self.attempt else { return electorate.nodes.clone() };
        attempt.missing().cloned().collect()
    }

    /// Takes in which voters this node goes by now.
    pub(crate) fn handle_electorate(&mut self, now: Time, electorate: &Electorate) {
        self.unfinished = None;
        if self.attempt.as_ref().is_some_and(|own| own.before.epoch < electorate.epoch) {
            self.drop_attempt();
            self.outbid = 0;
            self.early = None;
        }
        let (done, left): (Vec<_>, Vec<_>) =
            self.asked.drain(..).partition(|(_, change)| change.is_done(electorate));
        self.asked = left.into();
        for (ticket, _) in done {
            self.verdicts.push_back(Verdict::Answer(ticket, Ok(electorate.clone())));
        }
        if self.attempt.is_none() {
            self.next = (!self.asked.is_empty()).then_some(now);
        }
    }

    /// Asks again, or begins an attempt, if it is time; `me` is this life of the node, which goes
    /// by `electorate`.
    pub(crate) fn handle_timeout(&mut self, now: Time, me: ReplicaKey, electorate: &Electorate) {
        if self.next.is_none_or(|at| now < at) {
            return;
        }
        self.next = None;
        if self.attempt.is_none() {
            self.begin(now, me, electorate);
        }
        let is_unasked = self.asked.is_empty();
        self.attempt.take_if(|attempt| is_unasked && attempt.began + UNASKED_MAX <= now);
        if let Some(attempt) = &self.attempt {
            let proposal = attempt.proposal();
            let sends = attempt.missing().map(|to| Verdict::Send(to.clone(), proposal.clone()));
            self.verdicts.extend(sends);
            self.next = Some(now + PERIOD);
        }
    }

    /// Begins an attempt for what was asked for first, or to finish what somebody else began.
    fn begin(&mut self, now: Time, me: ReplicaKey, electorate: &Electorate) {
        while let Some((ticket, change)) = self.asked.front() {
            let wanted = if change.is_done(electorate) {
                Err(Ok(electorate.clone()))
            } else {
                change.apply(electorate).map_err(Err)
            };
            match wanted {
                Ok(wanted) => return self.begin_with(now, me, electorate, wanted),
                Err(answer) => {
                    self.verdicts.push_back(Verdict::Answer(*ticket, answer));
                    self.asked.pop_front();
                }
            }
        }
        if let Some(wanted) = self.unfinished.take() {
            self.begin_with(now, me, electorate, wanted);
        }
    }

    fn begin_with(
        &mut self,
        now: Time,
        me: ReplicaKey,
        electorate: &Electorate,
        wanted: BTreeSet<NodeId>,
    ) {
        self.round += 1;
        let ballot = Ballot { round: self.round, proposer: me };
        let stage = Stage::Prepare { wanted, promised: BTreeMap::new() };
        self.attempt = Some(Attempt { ballot, before: electorate.clone(), stage, began: now });
        self.without_store.clear();
    }

    /// Takes in what a voter answers.
    pub(crate) fn handle_vote(&mut self, now: Time, from: &NodeId, vote: Vote) {
        let Some(attempt) = &mut self.attempt else { return };
        let is_asked = attempt.before.nodes.contains(from) || attempt.target().contains(from);
        if !is_asked || (vote.epoch, vote.ballot) != (attempt.before.epoch, attempt.ballot) {
            return;
        }
        match (vote.answer, &mut attempt.stage) {
            (VoteAnswer::Promised { accepted }, Stage::Prepare { promised, .. }) => {
                let mut nodes = accepted.iter().map(|accepted| &accepted.nodes);
                if nodes.all(|nodes| attempt.before.may_become(nodes)) {
                    promised.insert(from.clone(), accepted);
                    self.advance(now);
                }
            }
            (VoteAnswer::Accepted, Stage::Accept { accepted, .. }) => {
                accepted.insert(from.clone());
                self.advance(now);
            }
            // It comes late: the attempt is past that.
            (VoteAnswer::Promised { .. }, Stage::Accept { .. })
            | (VoteAnswer::Accepted, Stage::Prepare { .. }) => (),
            (VoteAnswer::Outbid { ballot }, _) => {
                self.round = self.round.max(ballot.round.min(EPOCHS_MAX));
                self.attempt = None;
                let wait = PERIOD.saturating_mul(1 << self.outbid.min(DOUBLINGS_MAX));
                self.outbid = self.outbid.saturating_add(1);
                self.next = Some(now + self.random.jittered(wait));
            }
            (VoteAnswer::Early { remaining_ms }, _) => {
                let at = now + Duration::from_millis(remaining_ms);
                self.early = Some(self.early.map_or(at, |early| early.max(at)));
            }
            (VoteAnswer::NoStore, _) => {
                self.without_store.insert(from.clone());
                self.give_up_without_stores(now);
            }
            (VoteAnswer::NotStored, _) => (),
        }
    }

    /// Goes on once enough have answered: also of the voters after, before they are to accept
    /// anything, as what some have accepted can be taken back by nobody.
    fn advance(&mut self, now: Time) {
        let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.is_answered()) else {
            return;
        };
        match &attempt.stage {
            Stage::Prepare { wanted, promised } => {
                let before = promised.iter().filter(|(node, _)| {
                    // Who joins decides nothing yet.
                    attempt.before.nodes.contains(*node)
                });
                let last = before.filter_map(|(_, accepted)| accepted.as_ref());
                let last = last.max_by_key(|accepted| accepted.ballot);
                let nodes = last.map_or(wanted, |accepted| &accepted.nodes).clone();
                attempt.stage = Stage::Accept { nodes, accepted: BTreeSet::new() };
                self.next = Some(now);
            }
            Stage::Accept { nodes, .. } => {
                let after = attempt.before.followed_by(nodes.clone());
                self.drop_attempt();
                self.verdicts.push_back(Verdict::Decided(after));
            }
        }
    }

    /// Refuses what was asked for first, if those without a store are so many that nothing can be
    /// decided.
    fn give_up_without_stores(&mut self, now: Time) {
        let Some(attempt) = &self.attempt else { return };
        let is_hopeless = [&attempt.before.nodes, attempt.target()].iter().any(|nodes| {
            let with = nodes.difference(&self.without_store).count();
            with <= nodes.len() / 2
        });
        if is_hopeless {
            let nodes = self.without_store.iter().cloned().collect();
            if let Some((ticket, _)) = self.asked.pop_front() {
                let error = ChangeVotersError::NoStore { nodes };
                self.verdicts.push_back(Verdict::Answer(ticket, Err(error)));
            }
            self.drop_attempt();
            self.next = (!self.asked.is_empty()).then_some(now);
        }
    }

    fn drop_attempt(&mut self) {
        self.attempt = None;
        self.next = None;
    }

    /// Begins anew with what it was asked for: this life of the node is over.
    pub(crate) fn begin_again(&mut self, now: Time) {
        self.drop_attempt();
        self.next = (!self.asked.is_empty()).then_some(now);
    }
}

impl Attempt {
    fn target(&self) -> &BTreeSet<NodeId> {
        match &self.stage {
            Stage::Prepare { wanted, .. } => wanted,
            Stage::Accept { nodes, .. } => nodes,
        }
    }

    fn proposal(&self) -> Proposal {
        let nodes = match &self.stage {
            Stage::Prepare { .. } => None,
            Stage::Accept { nodes, .. } => Some(nodes.clone()),
        };
        Proposal { epoch: self.before.epoch, ballot: self.ballot, nodes }
    }

    /// Iterates over those whose word is asked for and has not come.
    fn missing(&self) -> impl Iterator<Item = &NodeId> {
        let before = &self.before.nodes;
        let joins = self.target().iter().filter(|node| !before.contains(*node));
        before.iter().chain(joins).filter(|node| !self.has_answered(node))
    }

    fn has_answered(&self, node: &NodeId) -> bool {
        match &self.stage {
            Stage::Prepare { promised, .. } => promised.contains_key(node),
            Stage::Accept { accepted, .. } => accepted.contains(node),
        }
    }

    /// Returns whether so many have answered that nothing can be decided without one of them, of
    /// the voters before as of those after.
    fn is_answered(&self) -> bool {
        [&self.before.nodes, self.target()].iter().all(|nodes| {
            let answered = nodes.iter().filter(|node| self.has_answered(node)).count();
            nodes.len() / 2 < answered
        })
    }
}
