//! Who is there: joining, beating, going silent, coming back, leaving.
//!
//! ```text
//!             rising beat                 half of the timeout        the whole timeout
//!   (unknown) ──────────▶ returning ─▶ alive ──────────▶ suspect ──────────▶ down
//!                            ▲   copy    ▲   rising beat    │                  │
//!                            │  closed   └──────────────────┘                  │
//!                            └─────────────────────────────────────────────────┘ rising beat
//! ```
//!
//! Only a node itself says that it is alive or leaving. *Down* is this node's own judgement: the
//! beat counter of the other has not risen *here*, by any path, for the failure timeout. Counters
//! are relayed with their age, and only a frame on a replica's own session raises one at its
//! source: two dead nodes cannot vouch for each other, and one cut link makes nobody down.
//!
//! Source: beats with relayed counters after van Renesse et al., "A Gossip-Style Failure Detection
//! Service", Middleware 1998; local health after Dadgar et al., "Lifeguard", 2018.

mod detector;
mod joining;
mod member;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::crdt::Version;
use crate::entry::{MemberEntry, Presence};
use crate::membership::member::{Member, Session, State};
use crate::message::{Beat, Message};
use crate::{
    Address, Config, Event, Incarnation, MemberStatus, NodeId, Random, Replica, ReplicaKey, Stamp,
    Time, Wall,
};

/// What the membership asks of the node.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) enum MembershipOutput {
    /// Say something to a peer.
    Send {
        /// The peer.
        to: NodeId,
        /// What to say.
        message: Message,
    },
    /// Try to have a session with whoever listens at `address`.
    Dial {
        /// Where.
        address: Address,
    },
    /// Stop dialling `address`.
    HangUp {
        /// Where.
        address: Address,
    },
    /// End the session with a peer that cannot be believed.
    Disconnect {
        /// The peer.
        peer: NodeId,
    },
    /// A beat has passed.
    Beat,
    /// Something about a member changed.
    Changed,
    /// Something that a log wants to know.
    Event(Event),
    /// This node's life begins.
    Joined {
        /// The life.
        replica: Replica,
        /// The latest stamp that the peers know.
        stamp: Stamp,
    },
    /// The life at the other end of a session is known.
    Peer {
        /// The peer.
        peer: NodeId,
        /// Its life.
        replica: Replica,
    },
    /// A member beats, and our copy of its journal is complete.
    Up {
        /// Its life.
        replica: Replica,
    },
    /// A member has been silent for half of the failure timeout.
    Suspect {
        /// Its life.
        replica: Replica,
    },
    /// A member has been silent for the whole failure timeout.
    Down {
        /// Its life.
        replica: Replica,
        /// For how long nothing was heard.
        silent: Duration,
    },
    /// A life is over: it left, or a newer one of its node beats.
    Retired {
        /// The life.
        replica: Replica,
    },
    /// A member has been silent for so long that nobody waits for it any more.
    Forgotten {
        /// Its life.
        replica: Replica,
    },
    /// A newer life of this very node beats: this one must end.
    Superseded {
        /// The newer life.
        by: Incarnation,
    },
}

/// Another life of this very node, later than the present one.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Rival {
    replica: Replica,
    /// The highest beat counter of it that was seen.
    counter: Option<u64>,
    /// When somebody told of it.
    since: Time,
}

/// A member, as the node sees it.
pub(crate) struct MemberRow<'a> {
    /// Its present life.
    pub(crate) replica: &'a Replica,
    /// How it is.
    pub(crate) status: MemberStatus,
    /// Where it listens, once it said so.
    pub(crate) address: Option<&'a Address>,
    /// The kinds of processes that it can run.
    pub(crate) kinds: &'a [String],
}

/// Who is there.
///
/// Invariant: `current` names the one life of each node that is not over, and `by_key` every
/// replica of `members`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Membership {
    config: Config,
    rule: String,
    random: Random,
    wall: Wall,
    me: Option<Replica>,
    beat: u64,
    next_beat: Time,
    /// When the node started, and until when it waits for a welcome.
    join: joining::Join,
    sessions: BTreeMap<NodeId, Session>,
    members: BTreeMap<Replica, Member>,
    current: BTreeMap<NodeId, Replica>,
    by_key: BTreeMap<ReplicaKey, Replica>,
    /// Addresses that refused the last attempt to dial them.
    refused: BTreeSet<Address>,
    /// How much slower than it should this node was of late: 0 is healthy.
    slowness: u32,
    /// Nobody is judged before this: the node has just thawed.
    no_verdict_before: Time,
    /// Until when children of silent members are not taken over: perhaps we are cut off.
    doubt: Option<Time>,
    /// Other lives of this very node, of which somebody knows.
    rivals: BTreeMap<ReplicaKey, Rival>,
    last_handled: Time,
    is_leaving: bool,
    outputs: VecDeque<MembershipOutput>,
}

impl Membership {
    /// Creates the membership of a node that has not joined; it dials its seeds.
    pub(crate) fn new(config: &Config, rule: &str, random: Random, now: Time) -> Self {
        let mut this = Self {
            config: config.clone(),
            rule: String::from(rule),
            random,
            wall: Wall::default(),
            me: None,
            beat: 0,
            next_beat: now + config.beat_interval,
            join: joining::Join::new(now, config),
            sessions: BTreeMap::new(),
            members: BTreeMap::new(),
            current: BTreeMap::new(),
            by_key: BTreeMap::new(),
            refused: BTreeSet::new(),
            slowness: 0,
            no_verdict_before: now,
            doubt: None,
            rivals: BTreeMap::new(),
            last_handled: now,
            is_leaving: false,
            outputs: VecDeque::new(),
        };
        for address in config.seeds.iter().filter(|seed| **seed != config.address) {
            this.outputs.push_back(MembershipOutput::Dial { address: address.clone() });
        }
        this.check_join(now);
        this
    }

    /// Returns the next output, in order.
    pub(crate) fn poll_output(&mut self) -> Option<MembershipOutput> {
        self.outputs.pop_front()
    }

    /// Returns when the next beat, verdict or other step is due.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        let verdict = self.next_verdict();
        let joining = self.me.is_none().then(|| self.join.poll_timeout()).flatten();
        let timers = [Some(self.next_beat), verdict, self.doubt, joining];
        timers.into_iter().flatten().min()
    }

    /// Takes in a reading of the wall clock.
    pub(crate) fn handle_wall(&mut self, wall: Wall) {
        self.wall = wall;
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, now: Time) {
        self.check_join(now);
        self.judge(now);
        if self.next_beat <= now {
            let late = now.since(self.next_beat);
            self.slowness = if self.config.beat_interval < late {
                (self.slowness + 1).min(detector::SLOWNESS_MAX)
            } else {
                self.slowness.saturating_sub(1)
            };
            self.next_beat = now + self.config.beat_interval;
            self.beat += u64::from(self.me.is_some());
            self.outlive_rivals(now);
            self.send_beat(now);
            self.repeat_greetings(now);
            self.outputs.push_back(MembershipOutput::Beat);
        }
        if self.doubt.is_some_and(|until| until <= now) {
            self.doubt = None;
            self.outputs.push_back(MembershipOutput::Changed);
        }
    }

    /// Takes in a new session.
    pub(crate) fn handle_connected(&mut self, now: Time, peer: &NodeId) {
        self.sessions.insert(peer.clone(), Session::default());
        if let Some(address) = self.address_of(peer) {
            self.refused.remove(&address);
        }
        self.greet(now, peer);
        if self.me.is_some() {
            self.send_beat_to(now, peer);
        }
    }

    /// Takes in the end of a session; the peer is dialled again at once.
    pub(crate) fn handle_disconnected(&mut self, now: Time, peer: &NodeId) {
        self.sessions.remove(peer);
        self.join.handle_disconnected(peer);
        let is_over = self.current.get(peer).is_none();
        if let (Some(address), false) = (self.address_of(peer), is_over) {
            self.outputs.push_back(MembershipOutput::Dial { address });
        }
        self.check_join(now);
    }

    /// Takes in that nobody listens at `address`.
    pub(crate) fn handle_refused(&mut self, now: Time, address: &Address) {
        self.join.handle_refused(address);
        if self.refused.insert(address.clone()) && self.me.is_some() {
            self.send_beat(now);
        }
        self.check_join(now);
    }

    /// Takes in what a member says of itself, in its journal.
    pub(crate) fn handle_member(&mut self, now: Time, replica: &Replica, entry: &MemberEntry) {
        if self.me.as_ref() == Some(replica) {
            return;
        }
        self.admit(now, replica);
        let Some(member) = self.members.get_mut(replica) else { return };
        let is_news = member.address.as_ref() != Some(&entry.address);
        member.address = Some(entry.address.clone());
        member.kinds.clone_from(&entry.kinds);
        member.is_leaving = entry.presence == Presence::Leaving;
        self.outputs.push_back(MembershipOutput::Changed);
        if entry.presence == Presence::Left {
            self.outputs.push_back(MembershipOutput::HangUp { address: entry.address.clone() });
            return self.retire(replica);
        }
        if is_news && !self.sessions.contains_key(replica.node()) {
            self.outputs.push_back(MembershipOutput::Dial { address: entry.address.clone() });
        }
    }

    /// Takes in that our copy of the journal of `replica` is complete up to `head`.
    pub(crate) fn handle_closed(&mut self, now: Time, replica: &Replica, head: Version) {
        self.set_head(replica, head);
        let Some(member) = self.members.get_mut(replica) else { return };
        if let State::Returning { head: wanted } = member.state
            && wanted <= head
            && now.since(member.risen) < self.config.failure_timeout
        {
            member.state = State::Alive;
            self.outputs.push_back(MembershipOutput::Up { replica: replica.clone() });
        }
    }

    /// Takes in that a journal of `replica` exists somewhere.
    pub(crate) fn handle_remembered(&mut self, now: Time, replica: &Replica) {
        if *replica.node() != self.config.id {
            return self.admit(now, replica);
        }
        let is_later = self.me.as_ref().is_none_or(|me| me < replica);
        if is_later {
            let rival = Rival { replica: replica.clone(), counter: None, since: now };
            self.rivals.entry(replica.key()).or_insert(rival);
        }
    }

    /// Starts again above a later life of this node that somebody remembers and nobody hears.
    fn outlive_rivals(&mut self, now: Time) {
        let patience = self.config.failure_timeout;
        let silent = |rival: &Rival| patience <= now.since(rival.since);
        let counters = self.rivals.values().filter(|rival| silent(rival));
        let highest = counters.map(|rival| rival.replica.incarnation().counter).max();
        if let Some(counter) = highest {
            self.rivals.clear();
            self.join.handle_counter(counter);
            self.begin_life(now);
        }
    }

    /// Takes in that this node hands its children over.
    pub(crate) fn handle_leave(&mut self) {
        self.is_leaving = true;
        self.outputs.push_back(MembershipOutput::Changed);
    }

    /// Takes in that nothing depends on `replica` any more.
    pub(crate) fn handle_forgotten(&mut self, replica: &Replica) {
        if let Some(member) = self.members.remove(replica) {
            self.by_key.remove(&replica.key());
            let is_current = self.current.get(replica.node()) == Some(replica);
            if is_current {
                self.current.remove(replica.node());
            }
            if let (Some(address), false) =
                (member.address, self.current.contains_key(replica.node()))
            {
                self.outputs.push_back(MembershipOutput::HangUp { address });
            }
        }
    }

    /// Takes in how far our copy of the journal of `replica` is.
    pub(crate) fn set_head(&mut self, replica: &Replica, head: Version) {
        if let Some(member) = self.members.get_mut(replica) {
            member.head = head;
        }
    }

    /// Returns this node's beat counter.
    pub(crate) fn beat(&self) -> u64 {
        self.beat
    }

    /// Iterates over the members, this node included, in the order of their ids.
    pub(crate) fn members(&self) -> impl Iterator<Item = MemberRow<'_>> {
        self.current.values().filter_map(|replica| {
            let member = self.members.get(replica)?;
            let is_me = self.me.as_ref() == Some(replica);
            let status = match member.state {
                _ if is_me && self.is_leaving => MemberStatus::Leaving,
                _ if is_me => MemberStatus::Alive,
                State::Down | State::Returning { .. } => MemberStatus::Down,
                State::Suspect => MemberStatus::Suspect,
                State::Alive if member.is_leaving => MemberStatus::Leaving,
                State::Alive => MemberStatus::Alive,
            };
            let address = if is_me { Some(&self.config.address) } else { member.address.as_ref() };
            Some(MemberRow { replica, status, address, kinds: &member.kinds })
        })
    }

    /// Iterates over the lives that are not over and not forgotten, this one included.
    pub(crate) fn not_forgotten(&self) -> impl Iterator<Item = &Replica> {
        self.current.values()
    }

    /// Iterates over the other members that are not down and have a session.
    pub(crate) fn listeners(&self) -> impl Iterator<Item = &Replica> {
        self.members().filter_map(|member| {
            let is_me = self.me.as_ref() == Some(member.replica);
            let listens =
                member.status != MemberStatus::Down && self.is_connected(member.replica.node());
            (!is_me && listens).then_some(member.replica)
        })
    }

    /// Returns whether `replica` is down, or not back yet.
    pub(crate) fn is_down(&self, replica: &Replica) -> bool {
        self.members.get(replica).is_none_or(|member| match member.state {
            State::Down | State::Returning { .. } => true,
            State::Alive | State::Suspect => false,
        })
    }

    /// Returns whether a session with `node` is up.
    pub(crate) fn is_connected(&self, node: &NodeId) -> bool {
        self.sessions.contains_key(node)
    }

    /// Returns for how long nothing was heard of `replica`, by any path.
    pub(crate) fn silence(&self, replica: &Replica, now: Time) -> Duration {
        if self.me.as_ref() == Some(replica) {
            return Duration::ZERO;
        }
        self.members.get(replica).map_or(Duration::ZERO, |member| now.since(member.risen))
    }

    /// Returns whether children of silent members may be taken over yet.
    ///
    /// When over half of the members go silent within one timeout, it is more likely that we are
    /// cut off: takeovers wait as long again.
    pub(crate) fn may_take_over(&self) -> bool {
        self.doubt.is_none()
    }

    /// Makes `replica` a member, if it is not one, and not older than one of its node.
    fn admit(&mut self, now: Time, replica: &Replica) {
        if self.members.contains_key(replica) || self.members.len() >= crate::limits::REPLICAS_MAX {
            return;
        }
        if let Some(known) = self.current.get(replica.node()).cloned() {
            if replica.incarnation() < known.incarnation() {
                return;
            }
            self.retire(&known);
        }
        self.members.insert(replica.clone(), Member::new(now));
        self.by_key.insert(replica.key(), replica.clone());
        self.current.insert(replica.node().clone(), replica.clone());
        self.join.handle_counter_of(replica, &self.config.id);
        self.outputs.push_back(MembershipOutput::Changed);
    }

    fn retire(&mut self, replica: &Replica) {
        if self.current.get(replica.node()) == Some(replica) {
            self.current.remove(replica.node());
            self.outputs.push_back(MembershipOutput::Retired { replica: replica.clone() });
        }
    }

    fn address_of(&self, peer: &NodeId) -> Option<Address> {
        let replica = self.current.get(peer)?;
        self.members.get(replica)?.address.clone()
    }

    fn begin_life(&mut self, now: Time) {
        let incarnation = self.join.next_incarnation(&mut self.random);
        let replica = Replica::new(self.config.id.clone(), incarnation);
        if let Some(before) = self.me.take() {
            self.current.remove(before.node());
        }
        self.beat = 1;
        let mut member = Member::new(now);
        member.state = State::Alive;
        member.kinds.clone_from(&self.config.kinds);
        self.members.insert(replica.clone(), member);
        self.by_key.insert(replica.key(), replica.clone());
        self.current.insert(replica.node().clone(), replica.clone());
        self.me = Some(replica.clone());
        let stamp = self.join.stamp();
        self.outputs.push_back(MembershipOutput::Joined { replica, stamp });
        self.outputs.push_back(MembershipOutput::Changed);
        self.send_beat(now);
        self.next_beat = now + self.config.beat_interval;
    }

    fn send_beat(&mut self, now: Time) {
        let peers: Vec<NodeId> = self.sessions.keys().cloned().collect();
        if self.me.is_some() {
            let beat = self.pulses(now);
            for to in peers {
                let message = Message::Beat(beat.clone());
                self.outputs.push_back(MembershipOutput::Send { to, message });
            }
        }
    }

    fn send_beat_to(&mut self, now: Time, peer: &NodeId) {
        let message = Message::Beat(self.pulses(now));
        self.outputs.push_back(MembershipOutput::Send { to: peer.clone(), message });
    }

    fn pulses(&self, now: Time) -> Beat {
        let me = self.me.as_ref().expect("only a node that has joined beats");
        let mut pulses = Vec::with_capacity(self.current.len());
        for replica in
            core::iter::once(me).chain(self.current.values().filter(|other| *other != me))
        {
            let member = self.members.get(replica).expect("current replicas are members");
            pulses.push(self.pulse(now, replica, member));
        }
        Beat { pulses }
    }
}
