//! Who is there: sessions, joining, beats, and the judgement of who is alive.
//!
//! Every node counts its own beats, and every frame carries the count. The others pass on what they
//! heard of whom and how long ago, so that a count travels round a broken link. A member is down
//! when its count has not risen *here, by any path,* for the failure timeout; only a frame on the
//! member's own session raises it at its source, so that two dead nodes cannot vouch for each
//! other. The judgement is every node's own and is written into nobody's state.
//!
//! Source: the beats are those of van Renesse et al., "A Gossip-Style Failure Detection Service",
//! Middleware '98, with ages beside the counters; the patience of a slow observer is that of Dadgar
//! et al., "Lifeguard: Local Health Awareness for More Accurate Failure Detection", DSN-W 2018.

mod detect;
mod join;
mod judge;
mod links;
mod policy;
mod seeds;
mod session;
mod view;

#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use self::links::Hearing;
use self::policy::Policy;

use crate::crdt::Version;
use crate::message::Message;
use crate::placement::Weight;
use crate::targets::Said;
use crate::{
    Address, Config, Electorate, Event, ExitReason, Incarnation, Labels, NodeId, Random, Replica,
    ReplicaKey, Role, Stamp, Terms, Time, Wall,
};

pub(crate) use self::policy::Eviction;

/// Everything a [`Membership`] asks of its node, in the order it must be done.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[must_use]
pub(crate) enum Output {
    /// Send `message` to `to`, in an envelope with [`Membership::incarnation`] and
    /// [`Membership::beat`].
    Send {
        /// The peer to send to.
        to: NodeId,
        /// What to say.
        message: Message,
    },
    /// Try to have a session with whoever listens at `address`.
    Dial {
        /// Where to try.
        address: Address,
    },
    /// Stop dialling `address`.
    HangUp {
        /// Where it was tried.
        address: Address,
    },
    /// End the session with `peer`.
    Disconnect {
        /// The peer.
        peer: NodeId,
    },
    /// Clocks and rules agree with `peer`'s: begin to exchange journals with it.
    Opened {
        /// The peer.
        peer: NodeId,
    },
    /// A peer goes by these voters, which are others than ours and of one line with them.
    Electorate {
        /// The peer.
        node: NodeId,
        /// Its voters.
        electorate: Electorate,
    },
    /// This node has a life: begin its journal, after taking in `stamp_floor`.
    Joined {
        /// The life.
        replica: Replica,
        /// The highest hybrid clock among the peers that welcomed us.
        stamp_floor: Stamp,
    },
    /// A higher life of our name is remembered: stop every process and begin a new journal.
    Reborn {
        /// The life that is over.
        was: Replica,
        /// The life that begins.
        replica: Replica,
    },
    /// A higher life of our name beats: stop every process and exit.
    Superseded {
        /// The higher life.
        by: Incarnation,
    },
    /// Operators want this node to be no member: leave, and exit for this reason.
    Unwanted(ExitReason),
    /// This node is no member any more, or is not let in: stop every process and exit.
    Excluded(ExitReason),
    /// Show the replica's journal.
    Up {
        /// Whose journal.
        replica: Replica,
    },
    /// Mask the replica's journal.
    Down {
        /// Whose journal.
        replica: Replica,
        /// For how long nothing was heard of it.
        silent: Duration,
    },
    /// Mask the replica's journal for good: that life is over.
    Retired {
        /// Whose journal.
        replica: Replica,
        /// Whether a later life took its place; else the node left by itself.
        superseded: bool,
    },
    /// Nothing was heard of the replica for `forget_after`, or there is no room to remember it.
    Forgotten {
        /// Whose journal.
        replica: Replica,
    },
    /// [`Membership::member`] of the node is no longer what it was.
    Changed {
        /// Which member.
        node: NodeId,
    },
    /// Tell whoever listens.
    Event(Event),
}

/// How far an envelope is to be believed, in the order of trust.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub(crate) enum Verdict {
    /// Clocks and rules were not compared yet: only [`Message::Hello`] counts.
    Unchecked,
    /// The sender's life is over, or was refused: [`Message::Hello`] counts, and what it says of
    /// lives of ours.
    Stale,
    /// The sender left by itself: what it holds of the journals of others counts, too.
    Left(Replica),
    /// The sender has not joined yet: only [`Message::Hello`], [`Message::Join`] and
    /// [`Message::Welcome`] count.
    Stranger,
    /// The sender is this replica: everything counts.
    Member(Replica),
}

/// What a member says of itself, in its own journal.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct MemberEntry {
    /// Where it listens.
    pub(crate) address: Address,
    /// The kinds of processes it can run.
    pub(crate) kinds: Vec<String>,
    /// Whether it stays.
    pub(crate) presence: Presence,
    /// What it does for the cluster.
    pub(crate) role: Role,
    /// What its operator says of it.
    pub(crate) labels: Labels,
    /// Whether it runs as many children as it may.
    pub(crate) is_full: bool,
    /// The strategies of users that it has code for.
    pub(crate) strategies: Vec<String>,
    /// How much it takes, beside others.
    pub(crate) weight: Weight,
    /// Whether it reaches so many voters that they could grant it a lease.
    pub(crate) can_lease: bool,
    /// When this life of it joined, by its hybrid clock: after all that had welcomed it.
    pub(crate) joined: Stamp,
}

impl MemberEntry {
    /// Returns what counts when children are placed.
    pub(crate) fn said(&self) -> Said<'_> {
        let Self { kinds, strategies, labels, weight, is_full, can_lease, .. } = self;
        let (weight, is_full, can_lease) = (*weight, *is_full, *can_lease);
        Said { kinds, strategies, labels, weight, is_full, can_lease }
    }
}

/// Whether a member stays.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) enum Presence {
    /// It stays.
    Here,
    /// It hands its children over and will leave.
    Leaving,
    /// It has left for good.
    Left,
    /// It takes in what there is, and takes on nothing yet.
    Arriving,
}

/// Furthest that a counter of lives or beats may jump at once.
///
/// Whoever could raise one to the top of its range would silence its owner, who could not go
/// higher; at a jump of 2³² at a time that takes 2³² lies, and each is answered by the owner's next
/// beat.
const JUMP_MAX: u64 = 1 << 32;

/// Times between two greetings of an open session, which measure its round trip, in beats.
const GREETING_BEATS: u32 = 20;

/// The machine that knows who is there.
///
/// Feed it with the `handle_…` verbs, drain it with [`poll_output`](Self::poll_output), and call
/// [`handle_tick`](Self::handle_tick) after each input and no later than
/// [`poll_timeout`](Self::poll_timeout) says. What it believes is read from `members`, `live`,
/// `is_visible` and their like.
///
/// An envelope costs O(log n) for n members; a beat, sent or received, O(n log n).
///
/// Invariant: `nodes[n].current` is a key of `lives` whose replica is of node `n` and has the
/// incarnation `nodes[n].highest`; every other life of `n` is retired and not above that. `own` is
/// a key of `lives` as long as this node has a life. `unreachable` holds keys of `lives` alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Membership {
    settings: Settings,
    random: Random,
    now: Time,
    /// The last reading of the wall clock, and when it was taken.
    wall: Option<(Time, Wall)>,
    phase: Phase,
    own: Option<ReplicaKey>,
    leaving: bool,
    beat: u64,
    beat_sent: Time,
    next_beat: Time,
    seeds: BTreeMap<Address, Seed>,
    seeds_redial_at: Option<Time>,
    nodes: BTreeMap<NodeId, Known>,
    lives: BTreeMap<ReplicaKey, Life>,
    rival: Option<Rival>,
    /// Nodes of which a life was forgotten, with its counter: that life, or one below it, is not
    /// taken in again.
    forgotten: BTreeMap<NodeId, u64>,
    /// Lives that are up and whose address refused our last attempt to dial.
    unreachable: BTreeSet<ReplicaKey>,
    /// When to judge again at the latest.
    next_judgement: Time,
    /// Nobody goes down before.
    grace_until: Time,
    /// No child is taken over before.
    takeover_after: Time,
    /// How late our own timers were of late.
    strain: u32,
    refused: u64,
    policy: Policy,
    outputs: VecDeque<Output>,
}

/// What of the configuration concerns us.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Settings {
    id: NodeId,
    address: Address,
    role: Role,
    /// Whether seeds are found while the node runs.
    awaits_seeds: bool,
    rule: String,
    terms: Terms,
    beat_interval: Duration,
    failure_timeout: Duration,
    forget_after: Duration,
    clock_bound: Duration,
}

/// How far this node is.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Phase {
    Idle,
    Joining(Joining),
    Joined,
    Over,
}

/// What a node without a life has learned.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Joining {
    since: Time,
    first_welcome: Option<Time>,
    /// Somebody said that we are not on the list of members.
    turned_away: bool,
    counter: u64,
    stamp: Stamp,
}

/// An address that was configured, or found since.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
enum Seed {
    Tried,
    Refused,
}

/// A later life of our own name, of which we do not know whether it beats.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Rival {
    replica: Replica,
    key: ReplicaKey,
    since: Time,
    /// If it has not beaten again by then, it is a memory.
    until: Time,
    /// Those of its beats that we heard of since.
    beats: Option<RivalBeats>,
}

/// What was heard of a rival that may be alive.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct RivalBeats {
    first: u64,
    highest: u64,
    /// How many of them, each above the one before.
    heard: u32,
}

/// A node by its name, through all its lives.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Known {
    address: Option<Address>,
    session: Option<Session>,
    redial_at: Option<Time>,
    round_trip: Option<Duration>,
    /// When a frame last came from it, on any session with it.
    heard: Option<Time>,
    current: Option<ReplicaKey>,
    /// The highest life admitted; stays when it left and is forgotten. When it is forgotten for
    /// its silence, the highest that is remembered still.
    highest: Incarnation,
    /// When its address was last told to us.
    since: Time,
}

/// A session with a peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Session {
    since: Time,
    /// When a frame last arrived.
    heard: Time,
    /// Clocks and rules were compared.
    agreed: bool,
    /// It was refused: dialled again only much later.
    barred: bool,
    /// We asked the transport to end it.
    ending: bool,
    /// What it says to our [`Message::Join`].
    answer: Answer,
    /// We have told the user that something it sent was refused.
    complained: bool,
    /// When we last told it why it is not believed.
    denied: Option<Time>,
    next_greeting: Time,
}

/// What a peer says to a node that wants to join.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
enum Answer {
    /// Nothing yet.
    Awaited,
    /// It may.
    Welcome,
    /// It is not on the list of members.
    TurnedAway,
}

/// One life of a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Life {
    replica: Replica,
    /// The highest beat counter known, by any path.
    counter: u64,
    /// When that counter was last heard to rise, less its age.
    heard: Time,
    /// Where silence counts from: `heard`, later only for time that we ourselves were stopped.
    judged: Time,
    /// The closed head of our copy of its journal.
    closed: Version,
    state: State,
    /// What it says of itself, as far as that could be read here.
    entry: Option<MemberEntry>,
    /// It has said something of itself, be it in a format that is not known here.
    has_spoken: bool,
    /// How it hears others, by its last beat; kept while it is up.
    hearing: Option<Hearing>,
    /// The members whose own session with it is not open, by their last beat.
    cut_off_by: BTreeSet<ReplicaKey>,
    /// Since when nobody can reach it and its address refuses us.
    doomed: Option<Time>,
    /// When it went down for its silence.
    fell: Option<Time>,
    /// It is down and nobody listens at its address: its process is over.
    is_refused: bool,
    /// When it began to beat again after it was down.
    returned: Option<Time>,
}

/// What we hold of a life.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
enum State {
    Alive,
    Suspect,
    Down,
    /// It beats again; shown once our copy has reached this head, unless that is not known yet.
    Returning {
        head: Option<Version>,
    },
    Retired,
}

impl State {
    /// Returns whether the life's journal counts.
    fn is_up(self) -> bool {
        match self {
            Self::Alive | Self::Suspect => true,
            Self::Down | Self::Returning { .. } | Self::Retired => false,
        }
    }
}

impl Membership {
    /// Creates the machine of a node that goes by the conflict rule `rule`, name and version.
    pub(crate) fn new(config: &Config, rule: &str, random: Random, now: Time) -> Self {
        let settings = Settings {
            id: config.id.clone(),
            address: config.address.clone(),
            role: config.role,
            awaits_seeds: config.awaits_seeds,
            rule: rule.into(),
            terms: config.terms(),
            beat_interval: config.beat_interval,
            failure_timeout: config.failure_timeout,
            forget_after: config.forget_after,
            clock_bound: config.clock_bound,
        };
        let others = config.seeds.iter().filter(|&seed| *seed != config.address);
        Self {
            settings,
            random,
            now,
            wall: None,
            phase: Phase::Idle,
            own: None,
            leaving: false,
            beat: 0,
            beat_sent: now,
            next_beat: now,
            seeds: others.map(|seed| (seed.clone(), Seed::Tried)).collect(),
            seeds_redial_at: None,
            nodes: BTreeMap::new(),
            lives: BTreeMap::new(),
            rival: None,
            forgotten: BTreeMap::new(),
            unreachable: BTreeSet::new(),
            next_judgement: now + config.failure_timeout,
            grace_until: now,
            takeover_after: now,
            strain: 0,
            refused: 0,
            policy: Policy::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Dials the seeds and begins to join; without seeds, and none to be found, the node joins at
    /// once, alone.
    ///
    /// # Panics
    ///
    /// Panics if it was started before.
    pub(crate) fn start(&mut self, now: Time) {
        assert!(matches!(self.phase, Phase::Idle), "a node starts once");
        self.advance(now);
        let first_welcome = None;
        let (turned_away, counter, stamp) = (false, 0, Stamp::default());
        let joining = Joining { since: now, first_welcome, turned_away, counter, stamp };
        self.phase = Phase::Joining(joining);
        // The first beat comes at random, so that a cluster started at once does not beat at once.
        let interval = u64::try_from(self.settings.beat_interval.as_micros()).unwrap_or(u64::MAX);
        self.next_beat = now + Duration::from_micros(self.random.below(interval) + 1);
        self.dial_seeds();
        self.try_to_join();
        self.check();
    }

    /// Returns the next thing to do, in order, or `None` when nothing is left.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns when to call [`handle_tick`](Self::handle_tick) at the latest.
    ///
    /// It is never late for a beat, a judgement, the end of joining or of the wait for takeovers;
    /// it may be early by what was heard since the last judgement. Takes O(1) time.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        let base = match &self.phase {
            Phase::Idle | Phase::Over => return None,
            Phase::Joining(joining) => {
                self.join_deadline(joining).map_or(self.next_beat, |at| at.min(self.next_beat))
            }
            Phase::Joined => self.next_beat,
        };
        let rival = self.rival.as_ref().map_or(base, |rival| rival.until);
        let takeover = if self.now < self.takeover_after { self.takeover_after } else { base };
        Some(base.min(rival).min(takeover).min(self.next_judgement))
    }

    /// Does what is due at `now`: beats, judges, greets, dials, forgets, joins.
    pub(crate) fn handle_tick(&mut self, now: Time) {
        self.advance(now);
        if matches!(self.phase, Phase::Idle | Phase::Over) {
            return;
        }
        if self.rival.as_ref().is_some_and(|rival| rival.until <= now) {
            self.outlive_rival();
        }
        // Before it judges others, a node learns from its own lateness how far it may.
        if self.next_beat <= now {
            self.weigh_lateness();
        }
        if self.next_judgement <= now {
            self.judge();
        }
        if self.next_beat <= now {
            self.tend_sessions();
            self.forget();
            self.send_beat();
        }
        self.try_to_join();

        assert!(self.poll_timeout().is_none_or(|at| now < at), "no timer is left expired");
        self.check();
    }

    /// Takes in a reading of the wall clock. Greetings wait for the first.
    pub(crate) fn handle_wall(&mut self, now: Time, wall: Wall) {
        self.advance(now);
        self.wall = Some((now, wall));
    }

    /// Lets time pass up to `now`, and credits to every peer what we were stopped for.
    fn advance(&mut self, now: Time) {
        assert!(self.now <= now, "time runs forwards: {} is before {}", now, self.now);
        let asked = self.poll_timeout().map_or(now, |at| at.max(self.now));
        let gap = now.since(asked);
        self.now = now;
        if gap > self.settings.beat_interval {
            self.thaw(gap);
        }
    }

    fn check(&self) {
        assert!(self.own.is_none_or(|own| self.lives.contains_key(&own)), "we know ourselves");
        assert!(self.unreachable.len() <= self.lives.len(), "only lives are out of reach");
        #[cfg(debug_assertions)]
        for (key, life) in &self.lives {
            let known = &self.nodes[life.replica.node()];
            let current = known.current == Some(*key);
            assert!(life.heard <= life.judged, "only our own stops are forgiven");
            assert!(life.has_spoken || life.entry.is_none(), "nobody is read before they speak");
            assert!(current || life.state == State::Retired, "of each node one life counts");
            assert!(life.replica.incarnation() <= known.highest, "the highest life is known");
        }
    }
}
