//! Sessions: whom to dial, and the comparison of clocks and rules before anything is believed.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Answer, GREETING_BEATS, Known, Membership, Output, Phase, Seed, Session, State};
use crate::electorate::Electorate;
use crate::limits::MEMBERS_MAX;
use crate::message::{Hello, Link, Message};
use crate::placement::Ring;
use crate::{Address, Event, NodeId, ReplicaKey, Time, Wall};

/// Least time between two beats, however many links break.
const BEATS_APART: Duration = Duration::from_millis(10);

impl Membership {
    /// Takes in that a session with `peer` is up, and greets it.
    pub(crate) fn handle_connected(&mut self, now: Time, peer: &NodeId) {
        self.advance(now);
        assert!(*peer != self.settings.id, "no transport has a session with itself");
        let session = Session {
            since: now,
            heard: now,
            agreed: false,
            barred: false,
            ending: false,
            answer: Answer::Awaited,
            complained: false,
            denied: None,
            next_greeting: now,
        };
        if !self.nodes.contains_key(peer) && self.nodes.len() >= MEMBERS_MAX {
            let reason = String::from("the cluster is full");
            self.outputs.push_back(Output::Event(Event::Refused { peer: peer.clone(), reason }));
            self.outputs.push_back(Output::Disconnect { peer: peer.clone() });
            return;
        }
        let known = self.nodes.entry(peer.clone()).or_default();
        known.since = now;
        known.session = Some(session);
        known.redial_at = None;
        if let Some(current) = known.current {
            self.reach(current);
        }
        self.greet(peer);
        self.check();
    }

    /// Takes in that the session with `peer` is over, and dials it again.
    pub(crate) fn handle_disconnected(&mut self, now: Time, peer: &NodeId) {
        self.advance(now);
        let settings = &self.settings;
        let Some(known) = self.nodes.get_mut(peer) else { return };
        let Some(session) = known.session.take() else { return };

        let lived = now.since(session.since);
        let wait = if session.barred {
            settings.failure_timeout
        } else if !session.agreed || lived < settings.beat_interval {
            // Whatever ends a session as soon as it is up is not to be met in a tight loop.
            settings.beat_interval
        } else {
            Duration::ZERO
        };
        known.redial_at = Some(now + wait);
        if self.nodes.values().all(|known| known.session.is_none()) {
            self.seeds_redial_at = Some(now + wait);
        }
        self.redial();
        self.check();
    }

    /// Takes in that nobody listens at `address`, and lets the others know.
    pub(crate) fn handle_refused(&mut self, now: Time, address: &Address) {
        self.advance(now);
        if let Some(seed) = self.seeds.get_mut(address) {
            *seed = Seed::Refused;
        }
        let mut broken = false;
        for known in self.nodes.values() {
            let (Some(current), None) = (known.current, &known.session) else { continue };
            let is_up = self.lives.get(&current).is_some_and(|life| life.state.is_up());
            let here = known.address.as_ref() == Some(address) && self.own != Some(current);
            if here && is_up && self.unreachable.insert(current) {
                broken = true;
            }
        }
        if broken {
            self.beat_soon();
        }
        self.weigh_doom();
        self.try_to_join();
        self.check();
    }

    /// Takes in a greeting: answers it, or finds in an answer whether the clocks agree.
    pub(crate) fn handle_hello(&mut self, now: Time, peer: &NodeId, hello: &Hello) {
        self.advance(now);
        let Some(session) = self.nodes.get_mut(peer).and_then(|known| known.session.as_mut())
        else {
            return;
        };
        session.heard = now;
        if session.ending {
            return;
        }
        if hello.rule != self.settings.rule {
            let rule = hello.rule.clone();
            return self.bar(peer, Event::RuleRefused { peer: peer.clone(), rule });
        }
        if hello.ring != Ring::VERSION {
            let version = hello.ring;
            return self.bar(peer, Event::RingRefused { peer: peer.clone(), version });
        }
        let terms = &self.settings.terms;
        if !terms.agree(&hello.terms) {
            let (ours, theirs) = (terms.clone(), hello.terms.clone());
            let refused = Event::TermsRefused { peer: peer.clone(), ours, theirs };
            return self.bar(peer, refused);
        }
        if let Some(electorate) = &hello.terms.electorate
            && hello.terms.electorate != terms.electorate
        {
            let (node, electorate) = (peer.clone(), electorate.clone());
            self.outputs.push_back(Output::Electorate { node, electorate });
        }
        match hello.echo {
            None => self.send_hello(peer, Some(hello.sent)),
            // An answer to no greeting of this session says nothing.
            Some(echo) if session.since <= echo && echo <= now => {
                let known = self.nodes.get_mut(peer).expect("just seen");
                known.round_trip = Some(now.since(echo));
                self.compare_clocks(peer, echo, hello.wall);
            }
            Some(_) => (),
        }
    }

    /// Takes in which voters this node goes by from now on.
    pub(crate) fn handle_electorate(&mut self, electorate: &Electorate) {
        self.settings.terms.electorate = Some(electorate.clone());
    }

    /// Returns how our own session with a life is.
    pub(super) fn link(&self, key: ReplicaKey) -> Link {
        let Some(life) = self.lives.get(&key) else { return Link::Closed };
        let session = self.nodes[life.replica.node()].session.as_ref();
        let open = session.is_some_and(|session| session.agreed && !session.ending);
        if self.own == Some(key) || (open && life.state != State::Retired) {
            Link::Open
        } else if self.unreachable.contains(&key) {
            Link::Refused
        } else {
            Link::Closed
        }
    }

    /// Returns the peers that clocks and rules agree with, in the order of their ids.
    pub(crate) fn peers(&self) -> impl Iterator<Item = &NodeId> {
        let agreed = |known: &Known| {
            known.session.as_ref().is_some_and(|session| session.agreed && !session.ending)
        };
        self.nodes.iter().filter(move |(_, known)| agreed(known)).map(|(node, _)| node)
    }

    /// Returns whether a session with `node` is up that clocks and rules agree on.
    pub(crate) fn is_open(&self, node: &NodeId) -> bool {
        let session = self.nodes.get(node).and_then(|known| known.session.as_ref());
        session.is_some_and(|session| session.agreed && !session.ending)
    }

    /// Greets who has not answered, ends the sessions that nothing arrives on, and redials.
    pub(super) fn tend_sessions(&mut self) {
        let now = self.now;
        let patience = self.stretched(self.settings.failure_timeout);
        let (mut silent, mut due, mut unanswered) = (Vec::new(), Vec::new(), Vec::new());
        for (peer, known) in &mut self.nodes {
            let Some(session) = &mut known.session else { continue };
            if session.ending {
                continue;
            }
            if now.since(session.heard) >= patience {
                session.ending = true;
                silent.push(peer.clone());
                continue;
            }
            if !session.agreed || session.next_greeting <= now {
                due.push(peer.clone());
            }
            if session.agreed && session.answer == Answer::Awaited {
                unanswered.push(peer.clone());
            }
        }
        for peer in silent {
            self.outputs.push_back(Output::Disconnect { peer });
        }
        for peer in due {
            self.greet(&peer);
        }
        if matches!(self.phase, Phase::Joining(_)) {
            for to in unanswered {
                self.outputs.push_back(Output::Send { to, message: Message::Join });
            }
        }
        self.redial();
    }

    /// Learns where `node` listens, and dials it if there is no session.
    pub(super) fn learn_address(&mut self, node: &NodeId, address: &Address) {
        if *node == self.settings.id || *address == self.settings.address {
            return;
        }
        let (now, room) = (self.now, self.nodes.len() < MEMBERS_MAX);
        if !room && !self.nodes.contains_key(node) {
            self.refused = self.refused.saturating_add(1);
            return;
        }
        let known = self.nodes.entry(node.clone()).or_default();
        known.since = now;
        if known.address.as_ref() == Some(address) {
            return;
        }
        let before = known.address.replace(address.clone());
        known.redial_at = None;
        let dials = known.session.is_none();
        if let Some(before) = before {
            self.hang_up(before);
        }
        if dials {
            self.outputs.push_back(Output::Dial { address: address.clone() });
        }
    }

    /// Stops dialling `address`, unless somebody else may still be there.
    pub(super) fn hang_up(&mut self, address: Address) {
        let listens = |known: &Known| known.address.as_ref() == Some(&address);
        if !self.seeds.contains_key(&address) && !self.nodes.values().any(listens) {
            self.outputs.push_back(Output::HangUp { address });
        }
    }

    /// Tells `peer` alone what we heard of whom.
    pub(super) fn send_beat_to(&mut self, peer: &NodeId) {
        if self.own.is_some() {
            let message = Message::Beat(self.pulses());
            self.outputs.push_back(Output::Send { to: peer.clone(), message });
        }
    }

    /// Brings the next beat forward, so that the others learn of a link that changed.
    fn beat_soon(&mut self) {
        self.next_beat = self.next_beat.min(self.now.max(self.beat_sent + BEATS_APART));
    }

    /// Forgets that a life's address refused us.
    fn reach(&mut self, key: ReplicaKey) {
        self.unreachable.remove(&key);
        if let Some(life) = self.lives.get_mut(&key) {
            life.doomed = None;
        }
    }

    /// Dials whoever has no session and has waited long enough.
    fn redial(&mut self) {
        let now = self.now;
        if self.seeds_redial_at.is_some_and(|at| at <= now) {
            self.seeds_redial_at = None;
            if self.nodes.values().all(|known| known.session.is_none()) {
                self.dial_seeds();
            }
        }
        for known in self.nodes.values_mut() {
            if known.redial_at.is_none_or(|at| now < at) {
                continue;
            }
            known.redial_at = None;
            let current = known.current.and_then(|key| self.lives.get(&key));
            let gone = current.is_some_and(|life| life.state == State::Retired);
            if let (Some(address), None, false) = (&known.address, &known.session, gone) {
                self.outputs.push_back(Output::Dial { address: address.clone() });
            }
        }
    }

    fn greet(&mut self, peer: &NodeId) {
        let next = self.now + self.settings.beat_interval.saturating_mul(GREETING_BEATS);
        if let Some(session) = self.nodes.get_mut(peer).and_then(|known| known.session.as_mut()) {
            session.next_greeting = next;
            self.send_hello(peer, None);
        }
    }

    fn send_hello(&mut self, to: &NodeId, echo: Option<Time>) {
        // Without a wall clock there is nothing to compare; the greeting is repeated each beat.
        let Some((low, _)) = self.walls_at(self.now, self.now) else { return };
        let (sent, rule) = (self.now, self.settings.rule.clone());
        let terms = self.settings.terms.clone();
        let hello = Hello { sent, wall: low, rule, echo, ring: Ring::VERSION, terms };
        self.outputs.push_back(Output::Send { to: to.clone(), message: Message::Hello(hello) });
    }

    /// Returns our wall clock at two times, reckoned from its last reading.
    fn walls_at(&self, early: Time, late: Time) -> Option<(Wall, Wall)> {
        let (read, wall) = self.wall?;
        let at = |time: Time| {
            let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
            let ahead = wall.as_millis().saturating_add(ms(time.since(read)));
            Wall::from_millis(ahead.saturating_sub(ms(read.since(time))))
        };
        Some((at(early), at(late)))
    }

    /// Compares `theirs`, read at some time from `sent` until now, with our own clock.
    ///
    /// The peer is refused only if no moment of the round trip brings the clocks together. Once a
    /// session was agreed on, no reading ends it.
    fn compare_clocks(&mut self, peer: &NodeId, sent: Time, theirs: Wall) {
        let Some((early, late)) = self.walls_at(sent, self.now) else { return };
        let bound = u64::try_from(self.settings.clock_bound.as_millis()).unwrap_or(u64::MAX);
        let ahead = theirs.as_millis().saturating_sub(late.as_millis());
        let behind = early.as_millis().saturating_sub(theirs.as_millis());

        let session = self.nodes.get_mut(peer).and_then(|known| known.session.as_mut());
        let Some(session) = session.filter(|session| !session.agreed) else { return };
        if ahead > bound || behind > bound {
            let refused = Event::ClockRefused { peer: peer.clone(), ours: late, theirs };
            return self.bar(peer, refused);
        }
        session.agreed = true;
        let current = self.nodes.get(peer).and_then(|known| known.current);
        if current.and_then(|key| self.lives.get(&key)).is_some_and(|life| life.state.is_up()) {
            // Those whom we told that this link was closed learn that it is not.
            self.beat_soon();
        }
        self.outputs.push_back(Output::Opened { peer: peer.clone() });
        if matches!(self.phase, Phase::Joining(_)) {
            self.outputs.push_back(Output::Send { to: peer.clone(), message: Message::Join });
        }
        self.send_beat_to(peer);
    }

    /// Ends the session with `peer`, and leaves it alone for a while.
    fn bar(&mut self, peer: &NodeId, event: Event) {
        if let Some(session) = self.nodes.get_mut(peer).and_then(|known| known.session.as_mut()) {
            session.agreed = false;
            session.barred = true;
            session.ending = true;
        }
        self.outputs.push_back(Output::Event(event));
        self.outputs.push_back(Output::Disconnect { peer: peer.clone() });
    }
}
