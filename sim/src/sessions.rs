//! Sessions between nodes: one for each pair, set up by dialling, ended by either side or by a
//! fault.

use std::collections::BTreeMap;
use std::time::Duration;

use ordu_core::limits::FRAME_BYTES_MAX;
use ordu_core::message::{Envelope, Message};
use ordu_core::transport::Lane;
use ordu_core::{Address, Input, NodeId, Time, wire};

use crate::World;
use crate::event::{Due, Event};
use crate::host::Host;
use crate::network::{after, happens};
use crate::tampering::{LATE, Tamper, Tampering};
use crate::verdict::Class;
use crate::world::Absence;

/// How long a node waits for an answer before it gives an attempt up.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a node waits for the end of a handshake that has an answer before it gives it up.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a node waits between its first and its second attempt; doubled for each after that.
const RETRY_MIN: Duration = Duration::from_millis(100);
/// The longest wait between two attempts.
const RETRY_MAX: Duration = Duration::from_secs(2);

/// The newest session of every pair of machines.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    newest: BTreeMap<(Host, Host), Session>,
    made: u64,
    pub(crate) tampering: Tampering,
}

/// A session, as the network knows it; each side learns of its beginning and its end later.
#[derive(Debug)]
struct Session {
    number: u64,
    /// The lives of the nodes that it connects.
    lives: BTreeMap<Host, u64>,
    /// When each side learns of it.
    opened: BTreeMap<Host, Time>,
    /// When the last frame of each direction and lane arrives.
    last: BTreeMap<(Host, Lane), Time>,
    over: bool,
    /// Whether the side that still believes in it is told nothing when it sends.
    is_void: bool,
}

impl Sessions {
    fn between(&self, a: Host, b: Host) -> Option<&Session> {
        self.newest.get(&(a.min(b), a.max(b)))
    }

    fn between_mut(&mut self, a: Host, b: Host) -> Option<&mut Session> {
        self.newest.get_mut(&(a.min(b), a.max(b)))
    }
}

impl Session {
    /// Returns when a frame arrives at `to` that would arrive at `arrival` by itself, on the lane
    /// `lane` of its sender.
    fn arrival(&mut self, to: Host, lane: (Host, Lane), arrival: Time, in_order: bool) -> Time {
        let last = self.last.entry(lane).or_default();
        let mut arrival = after(self.opened[&to], arrival);
        if in_order {
            arrival = after(*last, arrival);
        }
        *last = arrival;
        arrival
    }
}

/// Returns whether a message counts on the transport to bring it once, to the life that it was sent
/// to: questions and their answers, which a session's end calls off. All others tell what is so.
fn is_of_session(message: &Message) -> bool {
    match message {
        Message::Forward(_)
        | Message::Forwarded(_)
        | Message::Call(_)
        | Message::Reply(_)
        | Message::Cast(_)
        | Message::Probe(_)
        | Message::Condition(_)
        | Message::Publish(_) => true,
        Message::Hello(_)
        | Message::Join
        | Message::Welcome(_)
        | Message::Beat(_)
        | Message::Digest(_)
        | Message::Need(_)
        | Message::Delta(_)
        | Message::Ack(_)
        | Message::Won(_)
        | Message::Yield(_)
        | Message::Excluded(_)
        | Message::LeaseRequest(_)
        | Message::LeaseReply(_)
        | Message::Electorate(_)
        | Message::Proposal(_)
        | Message::Vote(_) => false,
    }
}

/// Returns whether nothing tells a second copy of a message from another one like it: that it comes
/// once at most is up to the transport, and no link repeats it.
fn has_no_number(message: &Message) -> bool {
    matches!(message, Message::Cast(_) | Message::Publish(_))
}

impl World {
    /// Begins to dial `address`, unless that goes on already.
    pub(crate) fn dial(&mut self, host: Host, address: Address) {
        let dials = &mut self.running_mut(host).dials;
        if dials.contains_key(&address) {
            return;
        }
        dials.insert(address.clone(), 0);
        self.plan(Duration::ZERO, host, Event::Attempt { address });
    }

    pub(crate) fn attempt(&mut self, host: Host, address: Address) {
        let known = Host::at(&address).filter(|target| self.hosts.contains_key(target));
        let dials = &mut self.running_mut(host).dials;
        let Some(attempts) = dials.get_mut(&address) else { return };
        *attempts += 1;
        let doublings = (*attempts - 1).min(10);
        let backoff = self.random.jittered((RETRY_MIN * (1 << doublings)).min(RETRY_MAX));
        let Some(target) = known else {
            return self.plan(ATTEMPT_TIMEOUT + backoff, host, Event::Attempt { address });
        };
        if target == host {
            self.running_mut(host).dials.remove(&address);
            return self.feed(host, Input::Refused { address });
        }
        if self.is_connected(host, target) {
            self.running_mut(host).dials.remove(&address);
            return;
        }
        if !self.is_reachable(host, target) {
            return self.plan(ATTEMPT_TIMEOUT + backoff, host, Event::Attempt { address });
        }
        let there = self.links.network(host, target).trip(&mut self.random);
        let back = self.links.network(target, host).trip(&mut self.random);
        let trip = there + back;
        if HANDSHAKE_TIMEOUT < trip {
            return self.plan(HANDSHAKE_TIMEOUT + backoff, host, Event::Attempt { address });
        }
        if self.listens(target) {
            let target_life = self.state(target).life;
            self.plan(trip, host, Event::Meet { address, target, target_life });
        } else {
            self.plan(trip, host, Event::Refused { address: address.clone() });
            self.plan(trip + backoff, host, Event::Attempt { address });
        }
    }

    pub(crate) fn meet(&mut self, host: Host, address: Address, target: Host, target_life: u64) {
        if !self.running(host).dials.contains_key(&address) {
            return;
        }
        let there = self.state(target).life == target_life && self.listens(target);
        if self.is_connected(host, target) || !self.is_reachable(host, target) || !there {
            return self.plan(RETRY_MIN, host, Event::Attempt { address });
        }
        self.running_mut(host).dials.remove(&address);
        self.open(host, target);
    }

    /// Sets up a session that `host` dialled; an older one that only one side remembers ends there.
    fn open(&mut self, host: Host, target: Host) {
        let trip = self.links.network(host, target).trip(&mut self.random);
        self.sessions.made += 1;
        let number = self.sessions.made;
        let opened = BTreeMap::from([(host, self.now), (target, self.now + trip)]);
        let lives = BTreeMap::from([host, target].map(|side| (side, self.state(side).life)));
        for (side, peer) in [(host, target), (target, host)] {
            self.plan_at(opened[&side], side, Event::Opened { session: number, peer });
        }
        let session =
            Session { number, lives, opened, last: BTreeMap::new(), over: false, is_void: false };
        self.sessions.newest.insert((host.min(target), host.max(target)), session);
    }

    pub(crate) fn opened(&mut self, host: Host, session: u64, peer: Host) {
        let before = self.running_mut(host).peers.insert(peer, session);
        if before.is_some() {
            self.feed(host, Input::Disconnected { peer: peer.id() });
        }
        self.feed(host, Input::Connected { peer: peer.id() });
    }

    pub(crate) fn closed(&mut self, host: Host, session: u64, peer: Host) {
        let peers = &mut self.running_mut(host).peers;
        if peers.get(&peer) == Some(&session) {
            peers.remove(&peer);
            self.feed(host, Input::Disconnected { peer: peer.id() });
        }
    }

    /// Sends a frame; without a session it is lost, as with a real transport.
    pub(crate) fn send(&mut self, host: Host, to: &NodeId, envelope: &Envelope) {
        let frame = wire::encode_frame(envelope);
        if frame.len() > FRAME_BYTES_MAX {
            let reason = format!("{host} sends a frame of {} bytes", frame.len());
            self.violate(Class::Bounds, "S28", reason);
        }
        let peer = Host::of(to).filter(|peer| self.hosts.contains_key(peer));
        let Some(peer) = peer else { self.fail(format!("{host} sends to the stranger {to}")) };
        let Some(&session) = self.running(host).peers.get(&peer) else { return };
        let current = self.sessions.between(host, peer).filter(|s| s.number == session);
        if current.is_some_and(|current| current.is_void) {
            return;
        }
        if current.is_none() || !self.is_connected(host, peer) {
            return self.reset(host, peer, session);
        }
        if self.links.is_cut(host, peer) {
            return;
        }
        let tamper = self.sessions.tampering.handle_message(host, peer, &envelope.message);
        let network = self.links.network(host, peer).clone();
        let lane = envelope.message.lane();
        match tamper {
            Some(Tamper::Lose) => return,
            Some(Tamper::Delay) => {
                return self.plan(LATE, peer, Event::Frame { session, from: host, frame });
            }
            Some(Tamper::Repeat) => {
                let frame = frame.clone();
                self.plan(network.delay * 2, peer, Event::Frame { session, from: host, frame });
            }
            Some(Tamper::KillSender | Tamper::KillReceiver | Tamper::Cut) | None => {}
        }
        if happens(network.reset_per_mille, &mut self.random) {
            return self.break_by_frame(host, peer, lane);
        }
        let mut trips = network.trips(&mut self.random);
        if has_no_number(&envelope.message) {
            trips.truncate(1);
        }
        for trip in trips {
            let current = self.sessions.between_mut(host, peer).expect("it was just seen");
            let arrival = current.arrival(peer, (host, lane), self.now + trip, network.in_order);
            let frame = frame.clone();
            self.plan_at(arrival, peer, Event::Frame { session, from: host, frame });
        }
        if is_of_session(&envelope.message) {
            return;
        }
        if let Some(after) = network.hoard(&mut self.random) {
            let event = Event::Hoarded { from: host, frame };
            self.queue.plan(self.now + after, Due { host: peer, life: None, event });
        }
    }

    pub(crate) fn arrive(&mut self, host: Host, session: u64, from: Host, frame: &[u8]) {
        if self.running(host).peers.get(&from) == Some(&session) {
            self.take_frame(host, from, frame);
        }
    }

    /// Takes in a frame that was hoarded, if there is any session with its sender by now, and the
    /// node knows of the life that sent it, or of a later one: to who has forgotten both, nothing
    /// tells an old life from a new one.
    pub(crate) fn arrive_late(&mut self, host: Host, from: Host, frame: &[u8]) {
        if !self.running(host).peers.contains_key(&from) {
            return;
        }
        let known = self.members(host).get(&from.id()).map(|member| member.incarnation);
        let sender = wire::decode_frame(frame).ok().flatten().map(|envelope| envelope.incarnation);
        let is_toy = self.running(host).machine.node().is_none();
        if sender <= known || is_toy {
            self.take_frame(host, from, frame);
        }
    }

    fn take_frame(&mut self, host: Host, from: Host, frame: &[u8]) {
        if self.links.is_cut(from, host) {
            return;
        }
        match wire::decode_frame(frame) {
            Ok(Some(envelope)) => {
                let from = self.state(from).config.id.clone();
                self.feed(host, Input::Message { from, envelope });
            }
            Ok(None) => {}
            Err(wrong) => {
                let reason = format!("{from} sent {host} a frame that is none: {wrong}");
                self.violate(Class::Safety, "S7", reason);
            }
        }
    }

    /// Ends the session with `peer` because the node asks for it.
    pub(crate) fn disconnect(&mut self, host: Host, peer: &NodeId) {
        let Some(peer) = Host::of(peer) else { return };
        let Some(&session) = self.running(host).peers.get(&peer) else { return };
        self.plan(Duration::ZERO, host, Event::Closed { session, peer });
        let current = self.sessions.between_mut(host, peer).filter(|s| s.number == session);
        if let Some(current) = current {
            current.over = true;
            self.tell_closed(host, peer);
        }
    }

    /// Ends all sessions of a node that is over; a silent one does not say so.
    pub(crate) fn end_sessions(&mut self, host: Host, silent: bool) {
        for peer in self.hosts_but(host) {
            let open = self.sessions.between_mut(host, peer).filter(|session| !session.over);
            if let Some(session) = open {
                session.over = true;
                if !silent {
                    self.tell_closed(host, peer);
                }
            }
        }
    }

    /// Ends the session between two machines, and lets both know.
    pub(crate) fn end_session_between(&mut self, a: Host, b: Host) {
        let Some(session) = self.sessions.between_mut(a, b) else { return };
        session.over = true;
        let (number, opened) = (session.number, session.opened.clone());
        for (side, peer) in [(a, b), (b, a)] {
            let at = after(opened[&side], self.now);
            self.plan_at(at, side, Event::Closed { session: number, peer });
        }
    }

    /// Ends the session between two machines at `a` alone.
    pub(crate) fn end_session_at(&mut self, a: Host, b: Host) {
        let open = self.sessions.between_mut(a, b).filter(|session| !session.over);
        let Some(session) = open else { return };
        session.over = true;
        session.is_void = true;
        let (number, opened) = (session.number, session.opened[&a]);
        let at = after(opened, self.now);
        self.plan_at(at, a, Event::Closed { session: number, peer: b });
    }

    /// Ends a session because a frame from `host` arrives broken.
    fn break_by_frame(&mut self, host: Host, peer: Host, lane: Lane) {
        let network = self.links.network(host, peer).clone();
        let sent = self.now + network.trip(&mut self.random);
        let back = self.links.network(peer, host).trip(&mut self.random);
        let session = self.sessions.between_mut(host, peer).expect("only a session breaks");
        session.over = true;
        let arrival = session.arrival(peer, (host, lane), sent, network.in_order);
        let (number, learned) = (session.number, after(session.opened[&host], arrival + back));
        self.plan_at(arrival, peer, Event::Closed { session: number, peer: host });
        if !self.links.is_cut(peer, host) {
            self.plan_at(learned, host, Event::Closed { session: number, peer });
        }
    }

    /// Lets `peer` know that its session with `host` is over, if the news gets through.
    fn tell_closed(&mut self, host: Host, peer: Host) {
        if self.links.is_cut(host, peer) {
            return;
        }
        let trip = self.links.network(host, peer).trip(&mut self.random);
        let session = self.sessions.between(host, peer).expect("only a session closes");
        let (number, opened) = (session.number, session.opened[&peer]);
        let at = after(opened, self.now + trip);
        self.plan_at(at, peer, Event::Closed { session: number, peer: host });
    }

    /// Answers a frame of a session that the other side does not know: it is over.
    fn reset(&mut self, host: Host, peer: Host, session: u64) {
        if self.is_reachable(host, peer) {
            let trip = self.links.network(peer, host).trip(&mut self.random);
            self.plan(trip, host, Event::Closed { session, peer });
        }
    }

    /// Returns whether a session between the present lives of both nodes is up.
    fn is_connected(&self, a: Host, b: Host) -> bool {
        self.sessions.between(a, b).is_some_and(|session| {
            let lives = |side: Host| session.lives[&side] == self.state(side).life;
            !session.over && lives(a) && lives(b)
        })
    }

    /// Returns whether `target` answers to what `host` sends, if only to refuse it.
    fn is_reachable(&self, host: Host, target: Host) -> bool {
        let state = self.state(target);
        let mute = !self.listens(target) && state.absence == Absence::Silent;
        self.links.is_whole(host, target) && !state.paused && !mute
    }

    /// Returns whether the node of `host` is there to take a session.
    fn listens(&self, host: Host) -> bool {
        self.state(host).node.as_ref().is_some_and(|running| running.exit.is_none())
    }
}
