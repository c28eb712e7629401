//! Changes of the voters, over a network that loses, repeats and reorders, among nodes that crash
//! with what they stored last.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use super::*;
use crate::{Incarnation, Random, Replica, Time};

const PROMISE: Duration = Duration::from_secs(5);

fn id(number: usize) -> NodeId {
    NodeId::new(format!("n{number}")).unwrap()
}

fn first(count: usize) -> Electorate {
    Electorate { epoch: 1, nodes: (0..count).map(id).collect(), lineage: Vec::new() }
}

enum Said {
    Proposal(Proposal),
    Vote(Vote),
    Electorate(Electorate),
}

/// A node, as far as voters are concerned.
struct Member {
    me: NodeId,
    life: u64,
    acceptor: Acceptor,
    proposer: Proposer,
    /// What is on its disk, and what is on the way there.
    disk: VoterStore,
    saving: Vec<Persist>,
    configured: Electorate,
}

impl Member {
    fn new(number: usize, electorate: &Electorate) -> Self {
        Self {
            me: id(number),
            life: 1,
            acceptor: Acceptor::new(electorate.clone(), &VoterStore::Empty, PROMISE, Time::ZERO),
            proposer: Proposer::new(Random::new(number as u64)),
            disk: VoterStore::Empty,
            saving: Vec::new(),
            configured: electorate.clone(),
        }
    }

    fn crash(&mut self, now: Time) {
        self.life += 1;
        self.saving.clear();
        self.acceptor = Acceptor::new(self.configured.clone(), &self.disk, PROMISE, now);
        self.proposer = Proposer::new(Random::new(self.life));
    }

    fn key(&self) -> ReplicaKey {
        let incarnation = Incarnation { counter: self.life, nonce: 1 };
        Replica::new(self.me.clone(), incarnation).key()
    }

    fn go_by(&mut self, now: Time, electorate: Electorate) {
        if self.acceptor.electorate().epoch < electorate.epoch {
            self.saving.extend(self.acceptor.handle_electorate(now, electorate.clone()));
            self.proposer.handle_electorate(now, &electorate);
        }
    }
}

/// Nodes, what is under way between them, and all that was ever decided.
struct Model {
    random: Random,
    now: Time,
    members: Vec<Member>,
    mail: Vec<(NodeId, NodeId, Said)>,
    decided: Vec<Electorate>,
    tickets: u64,
    done: usize,
}

impl Model {
    fn new(seed: u64, count: usize, voters: usize) -> Self {
        let electorate = first(voters);
        Self {
            random: Random::new(seed),
            now: Time::ZERO,
            members: (0..count).map(|number| Member::new(number, &electorate)).collect(),
            mail: Vec::new(),
            decided: Vec::from([electorate]),
            tickets: 0,
            done: 0,
        }
    }

    fn member(&mut self, node: &NodeId) -> &mut Member {
        self.members.iter_mut().find(|member| member.me == *node).unwrap()
    }

    fn ask(&mut self, at: usize, change: VoterChange) {
        self.tickets += 1;
        let (now, ticket) = (self.now, self.tickets);
        self.members[at].proposer.ask(now, ticket, change);
    }

    fn deliver(&mut self, at: usize) {
        let (from, to, said) = self.mail.swap_remove(at);
        let now = self.now;
        let member = self.member(&to);
        let mut answers = Vec::new();
        match said {
            Said::Proposal(proposal) if proposal.epoch != member.acceptor.electorate().epoch => {
                answers.push(Said::Electorate(member.acceptor.electorate().clone()));
            }
            Said::Proposal(proposal) => {
                match member.acceptor.handle_proposal(now, &from, proposal) {
                    Ok(persist) => member.saving.extend(persist),
                    Err(vote) => answers.push(Said::Vote(vote)),
                }
            }
            Said::Vote(vote) => member.proposer.handle_vote(now, &from, vote),
            Said::Electorate(theirs) => {
                let ours = member.acceptor.electorate().clone();
                if theirs.epoch < ours.epoch {
                    answers.push(Said::Electorate(ours));
                }
                member.go_by(now, theirs);
            }
        }
        self.mail.extend(answers.into_iter().map(|said| (to.clone(), from.clone(), said)));
        self.drain();
    }

    fn save(&mut self, at: usize) {
        let member = &mut self.members[at];
        if member.saving.is_empty() {
            return;
        }
        let Persist { number, record } = member.saving.remove(0);
        member.disk = VoterStore::Holds(record);
        if let Some((to, vote)) = member.acceptor.handle_stored(number, true) {
            self.mail.push((member.me.clone(), to, Said::Vote(vote)));
        }
    }

    /// Lets proposers say what they have to say.
    fn drain(&mut self) {
        for at in 0..self.members.len() {
            let now = self.now;
            let member = &mut self.members[at];
            let (key, electorate) = (member.key(), member.acceptor.electorate().clone());
            member.proposer.handle_timeout(now, key, &electorate);
            while let Some(verdict) = self.members[at].proposer.poll_verdict() {
                let me = self.members[at].me.clone();
                match verdict {
                    Verdict::Send(to, proposal) => {
                        self.mail.push((me, to, Said::Proposal(proposal)));
                    }
                    Verdict::Decided(electorate) => {
                        self.check_decided(&electorate);
                        self.members[at].go_by(now, electorate.clone());
                        for other in (0..self.members.len()).map(id).filter(|other| *other != me) {
                            let said = Said::Electorate(electorate.clone());
                            self.mail.push((me.clone(), other, said));
                        }
                    }
                    Verdict::Answer(_, result) => self.done += usize::from(result.is_ok()),
                }
            }
        }
    }

    /// Checks that nothing else was decided for that epoch.
    fn check_decided(&mut self, electorate: &Electorate) {
        let known = self.decided.iter().find(|known| known.epoch == electorate.epoch);
        match known {
            Some(known) => assert_eq!(known, electorate, "two are decided for one epoch"),
            None => self.decided.push(electorate.clone()),
        }
    }

    /// Checks that no two electorates that have no voter in common in their majorities could grant
    /// something now: what could a restarted node grant counts, too.
    fn check_grants(&self) {
        let live = |electorate: &&Electorate| {
            let goes_by = |member: &&Member| {
                let stored = member.disk.record().map_or(1, |record| record.electorate.epoch);
                let now = member.acceptor.electorate().epoch;
                let epochs = stored.min(now)..=now;
                electorate.nodes.contains(&member.me) && epochs.contains(&electorate.epoch)
            };
            electorate.majority() <= self.members.iter().filter(goes_by).count()
        };
        let live: Vec<&Electorate> = self.decided.iter().filter(live).collect();
        for (at, one) in live.iter().enumerate() {
            for other in &live[at + 1..] {
                let disjoint = one.nodes.difference(&other.nodes).count()
                    + other.nodes.difference(&one.nodes).count();
                assert!(disjoint <= 1, "{one} and {other} may both grant something");
            }
        }
    }

    /// Lets one thing happen, by chance.
    fn step(&mut self, faults: bool) {
        self.now = self.now + Duration::from_millis(self.random.below(20));
        let at = usize::try_from(self.random.below(self.members.len() as u64)).unwrap();
        match self.random.below(if faults { 1_000 } else { 990 }) {
            0..800 if !self.mail.is_empty() => {
                let at = usize::try_from(self.random.below(self.mail.len() as u64)).unwrap();
                self.deliver(at);
            }
            990..993 => {
                let now = self.now;
                self.members[at].crash(now);
            }
            993.. if !self.mail.is_empty() => {
                let at = usize::try_from(self.random.below(self.mail.len() as u64)).unwrap();
                self.mail.swap_remove(at);
            }
            _ => self.save(at),
        }
        self.drain();
        self.check_grants();
    }
}

/// Whatever is lost, repeated or forgotten in between, and however many ask for changes at once: of
/// each epoch one electorate is decided, and whoever could still grant something by two of them has
/// a voter in common with every other majority.
#[test]
fn of_each_epoch_one_electorate_is_decided_and_those_that_could_grant_meet() {
    let mut changes = 0;
    for seed in 0..120 {
        let mut model = Model::new(seed, 6, 1 + usize::try_from(seed % 4).unwrap());
        for step in 0..4_000 {
            if step % 400 == 0 {
                let (at, whom) = (model.random.below(6), model.random.below(6));
                let (at, whom) = (usize::try_from(at).unwrap(), usize::try_from(whom).unwrap());
                let adds = model.random.below(2) == 0;
                let change = if adds { VoterChange::Add } else { VoterChange::Remove };
                model.ask(at, change(id(whom)));
            }
            model.step(true);
        }
        changes += model.decided.len() - 1;
    }
    assert!(changes > 120, "only {changes} changes came about");
}

/// Two that want different voters at one time both get what they want, one after the other.
#[test]
fn changes_that_meet_are_made_one_after_the_other() {
    for seed in 0..50 {
        let mut model = Model::new(seed, 5, 3);
        model.ask(0, VoterChange::Add(id(3)));
        model.ask(1, VoterChange::Add(id(4)));
        for _ in 0..6_000 {
            model.step(false);
        }
        assert_eq!(model.done, 2, "seed {seed}");
        let last = model.decided.last().unwrap();
        assert_eq!((last.epoch, last.nodes.len()), (3, 5), "seed {seed}");
        assert_eq!(last.lineage.len(), 2);
    }
}

/// A change that some have accepted, and whose proposer is gone, is brought to its end by the next.
#[test]
fn what_was_accepted_is_decided_before_anything_else() {
    let mut voters: Vec<Acceptor> =
        (0..3).map(|_| Acceptor::new(first(3), &VoterStore::Empty, PROMISE, Time::ZERO)).collect();
    let now = Time::ZERO + PROMISE;
    let lost = Ballot { round: 1, proposer: ReplicaKey(0) };
    let nodes = BTreeSet::from([id(0), id(1), id(2), id(3)]);
    let accept = Proposal { epoch: 1, ballot: lost, nodes: Some(nodes.clone()) };
    let stored = voters[2].handle_proposal(now, &id(9), accept).unwrap().unwrap();
    assert_eq!(stored.record.accepted, Some(Accepted { ballot: lost, nodes: nodes.clone() }));

    let mut proposer = Proposer::new(Random::new(1));
    proposer.ask(now, 7, VoterChange::Remove(id(0)));
    proposer.handle_timeout(now, ReplicaKey(1), &first(3));
    let mut decided = None;
    while let Some(verdict) = proposer.poll_verdict() {
        match verdict {
            Verdict::Send(to, proposal) => {
                let at = (0..4).position(|number| id(number) == to).unwrap();
                // The first does not answer, and the one to join has nothing to add.
                let Some(voter) = voters.get_mut(at).filter(|_| at > 0) else {
                    if at == 3 {
                        let (epoch, ballot) = (proposal.epoch, proposal.ballot);
                        let vote = Vote { epoch, ballot, answer: VoteAnswer::Accepted };
                        proposer.handle_vote(now, &to, vote);
                    }
                    continue;
                };
                if let Ok(Some(persist)) = voter.handle_proposal(now, &id(8), proposal) {
                    let (_, vote) = voter.handle_stored(persist.number, true).unwrap();
                    proposer.handle_vote(now, &to, vote);
                }
            }
            Verdict::Decided(electorate) => decided = Some(electorate),
            Verdict::Answer(..) => panic!("nothing that was asked for is done"),
        }
        proposer.handle_timeout(now, ReplicaKey(1), &first(3));
    }
    assert_eq!(decided.unwrap().nodes, nodes);
}

/// What cannot be stored is not said, and what was not stored yet is not known after a crash.
#[test]
fn nothing_is_said_that_is_not_stored() {
    let now = Time::ZERO + PROMISE;
    let ballot = Ballot { round: 1, proposer: ReplicaKey(9) };
    let proposal = Proposal { epoch: 1, ballot, nodes: None };
    let vote = |answer| Vote { epoch: 1, ballot, answer };

    let mut without = Acceptor::new(first(3), &VoterStore::Absent, PROMISE, Time::ZERO);
    let said = without.handle_proposal(now, &id(9), proposal.clone());
    assert_eq!(said, Err(vote(VoteAnswer::NoStore)));

    let mut voter = Acceptor::new(first(3), &VoterStore::Empty, PROMISE, Time::ZERO);
    let early = voter.handle_proposal(Time::from_millis(4_000), &id(9), proposal.clone());
    assert_eq!(early, Err(vote(VoteAnswer::Early { remaining_ms: 1_000 })));
    let first_persist = voter.handle_proposal(now, &id(9), proposal.clone()).unwrap().unwrap();
    assert_eq!(voter.handle_stored(first_persist.number + 1, true), None);
    let failed = voter.handle_stored(first_persist.number, false);
    assert_eq!(failed, Some((id(9), vote(VoteAnswer::NotStored))));

    let record = first_persist.record;
    let bytes = record.to_bytes();
    assert_eq!(VoterRecord::from_bytes(&bytes), Ok(record.clone()));
    assert_eq!(VoterRecord::from_bytes(&bytes[1..]), Err(VoterRecordError));
    let mut again = Acceptor::new(first(3), &VoterStore::Holds(record), PROMISE, now);
    let lower = Ballot { round: 0, proposer: ReplicaKey(9) };
    let late = Proposal { ballot: lower, ..proposal };
    let outbid = again.handle_proposal(now + PROMISE, &id(9), late).unwrap_err();
    assert_eq!(outbid.answer, VoteAnswer::Outbid { ballot });
}

/// A disk that takes longer than a proposer waits until it asks again is not asked more for it, and
/// the answer leaves once it has stored what it was asked first.
#[test]
fn what_is_asked_again_while_it_is_being_stored_is_stored_and_answered_once() {
    let now = Time::ZERO + PROMISE;
    let ballot = Ballot { round: 1, proposer: ReplicaKey(9) };
    let vote = |answer| Vote { epoch: 1, ballot, answer };
    let mut voter = Acceptor::new(first(3), &VoterStore::Empty, PROMISE, Time::ZERO);
    for nodes in [None, Some(first(4).nodes)] {
        let answer = match nodes {
            None => VoteAnswer::Promised { accepted: None },
            Some(_) => VoteAnswer::Accepted,
        };
        let proposal = Proposal { epoch: 1, ballot, nodes };
        let persist = voter.handle_proposal(now, &id(9), proposal.clone()).unwrap().unwrap();
        assert_eq!(voter.handle_proposal(now, &id(9), proposal.clone()), Ok(None));
        let said = voter.handle_stored(persist.number, true);
        assert_eq!(said, Some((id(9), vote(answer))));

        // What was said may be lost: asked once more it says it once more.
        let again = voter.handle_proposal(now, &id(9), proposal).unwrap().unwrap();
        assert!(voter.handle_stored(again.number, true).is_some());
    }
}

/// Voters that cannot store anything say so, and nobody waits for them in vain.
#[test]
fn a_change_that_needs_voters_without_a_store_is_refused_at_once() {
    let mut proposer = Proposer::new(Random::new(1));
    proposer.ask(Time::ZERO, 7, VoterChange::Add(id(3)));
    proposer.handle_timeout(Time::ZERO, ReplicaKey(1), &first(3));
    let ballot = Ballot { round: 1, proposer: ReplicaKey(1) };
    for voter in 0..2 {
        let vote = Vote { epoch: 1, ballot, answer: VoteAnswer::NoStore };
        proposer.handle_vote(Time::ZERO, &id(voter), vote);
    }
    let answer = core::iter::from_fn(|| proposer.poll_verdict()).last().unwrap();
    let nodes = Vec::from([id(0), id(1)]);
    assert_eq!(answer, Verdict::Answer(7, Err(ChangeVotersError::NoStore { nodes })));
    assert_eq!(proposer.poll_timeout(), None);
}

/// Electorates know each other by where they came from, however they were told of first.
#[test]
fn an_electorate_follows_those_that_it_came_from_and_no_others() {
    let one = first(3);
    let two = one.followed_by((0..4).map(id).collect());
    let three = two.followed_by((0..5).map(id).collect());
    assert!(three.follows(&one) && three.follows(&two) && three.follows(&three));
    assert!(!one.follows(&three) && one.is_kin(&three));
    let named = Electorate { lineage: Vec::new(), ..two.clone() };
    assert!(named.is_kin(&two) && three.follows(&named) && !named.is_kin(&one));
    let other = one.followed_by((0..2).map(id).collect());
    assert!(!other.is_kin(&two), "of one epoch there is one");

    let mut last = two.clone();
    for round in 1..LINEAGE_MAX {
        last = last.followed_by((0..3 + round % 2).map(id).collect());
    }
    assert!(last.follows(&one) && last.is_sound());
    let next = last.followed_by((0..3).map(id).collect());
    assert!(next.follows(&one), "the first is always known");
    assert!(next.follows(&last) && next.follows(&two), "and with it all of its line");
    let named = |electorate: &Electorate| Electorate { lineage: Vec::new(), ..electorate.clone() };
    assert!(next.follows(&named(&last)), "of those that were named since, the latest are known");
    assert!(!next.follows(&named(&two)));
    assert!(next.is_sound());
}

/// What no electorate may be is refused before anybody is asked.
#[test]
fn voters_are_neither_none_nor_too_many() {
    let one = first(1);
    assert_eq!(VoterChange::Remove(id(0)).apply(&one), Err(ChangeVotersError::Last));
    let all = first(VOTERS_MAX);
    let error = VoterChange::Add(id(9)).apply(&all).unwrap_err();
    assert_eq!(error, ChangeVotersError::TooMany { max: VOTERS_MAX });
    let two_at_once = BTreeSet::from([id(0), id(1), id(2)]);
    assert!(!one.may_become(&two_at_once));
    assert!(!one.may_become(&BTreeSet::from([id(1)])), "no majority is of both");
    assert!(one.may_become(&BTreeSet::from([id(0), id(1)])));
}
