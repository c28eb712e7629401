//! How a node finds its place: what the peers know of it, and what their clocks say.

use alloc::collections::BTreeSet;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::membership::{Membership, MembershipOutput};
use crate::message::{Hello, Message, Welcome};
use crate::{Address, Config, Event, Incarnation, NodeId, Random, Replica, Stamp, Time, Wall};

/// What a node knows before it takes its place.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Join {
    /// Where members may be found.
    seeds: BTreeSet<Address>,
    /// Seeds where nobody listens.
    refused: BTreeSet<Address>,
    /// Peers that were asked.
    asked: BTreeSet<NodeId>,
    /// Peers that have answered.
    answered: BTreeSet<NodeId>,
    /// The highest counter of an incarnation of ours that anybody knows.
    counter: u64,
    /// The latest stamp that anybody knows.
    stamp: Stamp,
    /// When the node goes ahead alone.
    deadline: Time,
    /// When the node goes ahead with the answers that it has.
    patience: Option<Time>,
    beat_interval: Duration,
}

impl Join {
    pub(super) fn new(now: Time, config: &Config) -> Self {
        let seeds = config.seeds.iter().filter(|seed| **seed != config.address);
        Self {
            seeds: seeds.cloned().collect(),
            refused: BTreeSet::new(),
            asked: BTreeSet::new(),
            answered: BTreeSet::new(),
            counter: 0,
            stamp: Stamp::default(),
            deadline: now + config.failure_timeout,
            patience: None,
            beat_interval: config.beat_interval,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Time> {
        Some(self.patience.unwrap_or(self.deadline).min(self.deadline))
    }

    pub(super) fn stamp(&self) -> Stamp {
        self.stamp
    }

    pub(super) fn handle_refused(&mut self, address: &Address) {
        if self.seeds.contains(address) {
            self.refused.insert(address.clone());
        }
    }

    pub(super) fn handle_disconnected(&mut self, peer: &NodeId) {
        self.asked.remove(peer);
    }

    pub(super) fn handle_counter(&mut self, counter: u64) {
        self.counter = self.counter.max(counter);
    }

    pub(super) fn handle_counter_of(&mut self, replica: &Replica, own: &NodeId) {
        if replica.node() == own {
            self.handle_counter(replica.incarnation().counter);
        }
    }

    pub(super) fn next_incarnation(&mut self, random: &mut Random) -> Incarnation {
        self.counter = self.counter.saturating_add(1);
        Incarnation { counter: self.counter, nonce: random.next().max(1) }
    }

    /// Returns whether the node has waited for everything that is worth waiting for.
    fn is_ready(&self, now: Time) -> bool {
        let all_answered = self.asked.is_subset(&self.answered);
        let all_found = self.seeds.len() <= self.refused.len() + self.asked.len();
        let alone = self.seeds.len() == self.refused.len() && self.asked.is_empty();
        let welcomed = !self.answered.is_empty()
            && (all_answered && all_found || self.patience.is_some_and(|at| at <= now));
        alone || welcomed || self.deadline <= now
    }
}

impl Membership {
    /// Takes in a comparison of clocks and rules.
    pub(crate) fn handle_hello(&mut self, now: Time, from: &NodeId, hello: &Hello) {
        if hello.rule != self.rule {
            let (peer, rule) = (from.clone(), hello.rule.clone());
            self.outputs.push_back(MembershipOutput::Event(Event::RuleRefused { peer, rule }));
            return self.outputs.push_back(MembershipOutput::Disconnect { peer: from.clone() });
        }
        let Some(echo) = hello.echo else {
            let answer = Hello { echo: Some(hello.sent), ..self.hello(now) };
            let (to, message) = (from.clone(), Message::Hello(answer));
            return self.outputs.push_back(MembershipOutput::Send { to, message });
        };
        let round_trip = now.since(echo);
        if !is_near(self.wall, hello.wall, round_trip, self.config.clock_bound) {
            let (ours, theirs) = (self.wall, hello.wall);
            let event = Event::ClockRefused { peer: from.clone(), ours, theirs };
            self.outputs.push_back(MembershipOutput::Event(event));
            return self.outputs.push_back(MembershipOutput::Disconnect { peer: from.clone() });
        }
        if let Some(session) = self.sessions.get_mut(from) {
            session.is_greeted = true;
            session.round_trip = Some(round_trip);
        }
    }

    /// Tells a joiner what it must know.
    pub(crate) fn handle_join(&mut self, from: &NodeId, stamp: Stamp) {
        let counters = self.members.keys().filter(|replica| replica.node() == from);
        let counter = counters.map(|replica| replica.incarnation().counter).max().unwrap_or(0);
        let members = self
            .members()
            .filter_map(|member| Some((member.replica.node().clone(), member.address?.clone())));
        let welcome = Welcome { counter, stamp, members: members.collect() };
        let (to, message) = (from.clone(), Message::Welcome(welcome));
        self.outputs.push_back(MembershipOutput::Send { to, message });
    }

    /// Takes in what a peer knows.
    pub(crate) fn handle_welcome(&mut self, now: Time, from: &NodeId, welcome: &Welcome) {
        if self.me.is_some() {
            return;
        }
        self.join.handle_counter(welcome.counter);
        self.join.stamp = self.join.stamp.max(welcome.stamp);
        self.join.answered.insert(from.clone());
        let patience = now + self.join.beat_interval;
        self.join.patience.get_or_insert(patience);
        for (node, address) in &welcome.members {
            if *node != self.config.id && !self.sessions.contains_key(node) {
                self.outputs.push_back(MembershipOutput::Dial { address: address.clone() });
            }
        }
        self.check_join(now);
    }

    /// Takes this node's place, once nothing more is worth waiting for.
    pub(super) fn check_join(&mut self, now: Time) {
        if self.me.is_none() && self.join.is_ready(now) {
            self.begin_life(now);
        }
    }

    /// Greets a peer, and asks what it knows.
    pub(super) fn greet(&mut self, now: Time, peer: &NodeId) {
        let hello = Message::Hello(self.hello(now));
        self.outputs.push_back(MembershipOutput::Send { to: peer.clone(), message: hello });
        if self.me.is_none() {
            self.join.asked.insert(peer.clone());
            let message = Message::Join;
            self.outputs.push_back(MembershipOutput::Send { to: peer.clone(), message });
        }
    }

    /// Repeats greetings and questions that were not answered.
    pub(super) fn repeat_greetings(&mut self, now: Time) {
        let open = self.sessions.iter().filter(|(peer, session)| {
            !session.is_greeted || self.me.is_none() && !self.join.answered.contains(*peer)
        });
        let open: alloc::vec::Vec<NodeId> = open.map(|(peer, _)| peer.clone()).collect();
        for peer in open {
            self.greet(now, &peer);
        }
    }

    fn hello(&self, now: Time) -> Hello {
        Hello { sent: now, wall: self.wall, rule: self.rule.clone(), echo: None }
    }
}

/// Returns whether two clocks may be within `bound` of each other, given that `theirs` was read at
/// some moment of the `round_trip` that ends with `ours`.
fn is_near(ours: Wall, theirs: Wall, round_trip: Duration, bound: Duration) -> bool {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let (ours, theirs) = (ours.as_millis(), theirs.as_millis());
    let earliest = ours.saturating_sub(ms(round_trip)).saturating_sub(ms(bound));
    let latest = ours.saturating_add(ms(bound));
    // A wall clock is sampled, not read on the spot: allow for one sample's age on both sides.
    const SAMPLE_MS: u64 = 100;
    earliest.saturating_sub(SAMPLE_MS) <= theirs && theirs <= latest.saturating_add(SAMPLE_MS)
}
