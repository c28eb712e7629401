//! One node of the cluster, as a state machine.
//!
//! ```text
//!           Input                     Output
//!  peers     ──────▶┌───────────────┐──────▶ peers
//!  users     ──────▶│     Node      │──────▶ users, readers
//!  clocks    ──────▶│   wires only  │──────▶ processes
//!  processes ──────▶└───────────────┘
//!                     poll_timeout ──────▶ clocks
//! ```
//!
//! The inner machines never call each other. An input goes to the machines it concerns; what they
//! ask for is carried out in rounds until none asks for more.

mod answer;
mod audit;
mod changes;
mod command;
mod effects;
mod electorate;
mod event;
mod explain;
mod export;
mod forward;
mod group;
mod input;
mod inspect;
mod launch;
mod lease;
mod leased;
mod leave;
mod message;
mod meta;
mod moves;
mod output;
mod payloads;
mod policy;
mod quarantine;
mod quorum;
mod ready;
mod rest;
mod restart;
mod start;
mod upkeep;
mod value;
mod views;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

use serde::{Deserialize, Serialize};

use crate::adoption::Adoption;
use crate::arrival::Arrival;
use crate::board::Board;
use crate::cells::Cells;
use crate::conflict::Conflicts;
use crate::electorate::{Acceptor, Electorate, Proposer};
use crate::entry::{Entry, Key};
use crate::groups::Groups;
use crate::hindsight::Hindsight;
use crate::lease::{LeaseHolder, Voter};
use crate::leased::LeasedNames;
use crate::membership::{MemberEntry, Membership, Presence};
use crate::message::{Envelope, Message};
use crate::messaging::Messaging;
use crate::mode::Modes;
use crate::placement::UserStrategies;
use crate::quorum::Quorums;
use crate::registry::Registry;
use crate::replication::{Replication, Settings};
use crate::requests::Requests;
use crate::rule::Rule;
use crate::seen::Seen;
use crate::settle::Settling;
use crate::supervisor::{Around, Placing, Supervisor};
use crate::targets::Targets;
use crate::{Blob, Config, HybridClock, NodeId, Random, Replica, Stamp, Time, hash64, wire};

pub use crate::node::event::Event;
pub use crate::node::input::{CallId, Command, Input, ProcessEvent, Replicas, Target};
pub use crate::node::inspect::Tables;
pub use crate::node::launch::{Lease, Start, StartReason};
pub use crate::node::output::{
    ChildView, Conflict, ExitReason, Holder, Loss, MemberStatus, MemberView, NameConflict, Output,
    Published, Reply, StartedChild, StopReason, Updated, ViewChange,
};

/// Most times that timers may make each other due in one instant.
const TIMER_ROUNDS_MAX: usize = 8;

/// Why a [`Node`] wants to be woken.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum TimerKind {
    /// To say that it is there, and to judge who is not.
    Membership,
    /// To repeat what was not answered, and to tidy up.
    Upkeep,
    /// To compare journals with a peer.
    Replication,
    /// To start a child again.
    Restart,
    /// To answer a request whose deadline passes.
    Deadline,
    /// To ask again whether the cluster is at rest.
    Settle,
    /// To ask for leases again, or as one ends.
    Lease,
    /// To ask voters again for their word on other voters.
    Proposal,
}

/// One node of the cluster.
///
/// The caller owns the clocks, the sessions and the processes. It feeds every happening to
/// [`handle`](Self::handle), and [`Input::Flush`] after everything that was ready; carries out what
/// [`poll_output`](Self::poll_output) returns, in that order; and calls again no later than
/// [`poll_timeout`](Self::poll_timeout) says. Same inputs at the same times give the same outputs
/// and the same [`state_hash`](Self::state_hash), on every machine.
///
/// # Example
///
/// ```
/// use ordu_core::{Address, Config, Input, Node, NodeId, Time};
///
/// let address = Address::new("127.0.0.1:4000")?;
/// let mut node = Node::new(Config::new(NodeId::new("a")?, address), 7, Time::ZERO);
/// node.handle(Time::ZERO, Input::Flush);
/// assert!(node.is_ready(), "alone, it joins at once");
/// while let Some(output) = node.poll_output() {
///     println!("{output:?}");
/// }
/// assert!(node.poll_timeout().is_some(), "it has to beat");
/// # Ok::<(), ordu_core::IdError>(())
/// ```
#[derive(Debug, Serialize, Deserialize)]
pub struct Node {
    config: Config,
    /// When it was started.
    began: Time,
    now: Time,
    clock: HybridClock,
    random: Random,
    /// This life, once it has begun.
    me: Option<Replica>,
    /// The number of the last process.
    numbers: u64,
    /// The number of the last request for a start.
    starts: u64,
    membership: Membership,
    replication: Replication,
    targets: Targets,
    board: Board,
    groups: Groups,
    cells: Cells,
    supervisor: Supervisor,
    registry: Registry,
    conflicts: Conflicts,
    adoption: Adoption,
    messaging: Messaging,
    settling: Settling,
    /// The calls and the forwarded operations that peers asked for lately.
    calls_seen: Seen,
    forwards_seen: Seen,
    requests: Requests,
    /// Requests whose child has ended, or lost its name, and that look for another by the end of
    /// the input.
    unfound: BTreeSet<u64>,
    /// The replicas whose entries the board and the readers see.
    visible: BTreeSet<Replica>,
    /// The replicas that are over: their entries of the node count no more.
    retired: BTreeSet<Replica>,
    /// Whether members changed since readers were told.
    members_changed: bool,
    /// What readers were told of the members.
    shown_members: BTreeMap<NodeId, MemberView>,
    presence: Presence,
    /// When its life joined, by its hybrid clock.
    joined: Stamp,
    /// What is still to be taken in before it is ready, and then before it places children.
    arrival: Option<Arrival>,
    /// Whether it has said that it is ready.
    said_ready: bool,
    /// Why it will be over once it has left.
    exit_as: ExitReason,
    /// When somebody was last known to hold a journal that we do not.
    unshared_until: Time,
    /// What it had written and heard of some while ago.
    hindsight: Hindsight,
    /// Until when children wait for enough members, if they still do.
    barrier: Option<Time>,
    /// What becomes of children when the network splits.
    modes: Modes,
    /// What it has promised, if it is a voter.
    voter: Option<Voter>,
    /// The voters that it goes by, if there are any, and what it has said to changes of them.
    acceptor: Option<Acceptor>,
    /// The changes of the voters that it was asked for.
    proposer: Proposer,
    /// The leases that it asks for, if there are voters.
    holder: Option<LeaseHolder>,
    /// The names that its processes hold under leases, or ask for.
    leased: LeasedNames,
    /// Whether it sees enough members to run children.
    quorums: Quorums,
    /// Whether it has said that a majority of the voters is up.
    said_majority: bool,
    /// Whether it says that it reaches a majority of the voters.
    can_lease: bool,
    /// When it was last seen to.
    reached_at: Time,
    /// Whether it says that it runs as many children as it may.
    is_full: bool,
    /// The names of the strategies that it has code for, as it says them.
    strategies: Vec<String>,
    /// When to do next what is done once a beat.
    next_upkeep: Time,
    is_over: bool,
    outputs: VecDeque<Output>,
    /// Answers to users, held back until readers have been told all that they speak of.
    replies: VecDeque<Output>,
}

impl Node {
    /// Creates a node that has not joined yet; `seed` makes its random numbers.
    ///
    /// # Panics
    ///
    /// Panics if `config` does not pass [`Config::check`].
    pub fn new(mut config: Config, seed: u64, now: Time) -> Self {
        if let Err(error) = config.check() {
            panic!("the configuration makes no sense: {error}");
        }
        let store = mem::take(&mut config.voter_store);
        let acceptor = config.voters.as_mut().map(|voters| {
            let acceptor = Acceptor::new(Electorate::of(voters), &store, voters.promise(), now);
            let Electorate { epoch, nodes, .. } = acceptor.electorate().clone();
            (voters.epoch, voters.nodes) = (epoch, nodes);
            acceptor
        });
        let mut random = Random::new(seed);
        let mut fork = || Random::new(random.draw());
        let mut membership = Membership::new(&config, config.rule.name(), fork(), now);
        if let Some(acceptor) = &acceptor {
            membership.handle_electorate(acceptor.electorate());
        }
        membership.start(now);
        let next_upkeep = now + config.beat_interval;
        let barrier = Some(now + config.min_members_wait);
        let strategies = config.strategies.names().map(String::from).collect();
        let settings = Settings {
            digest_interval: config.digest_interval,
            forget_after: config.forget_after,
            budget: config.delta_budget(),
            push_to_all_max: config.push_to_all_max,
        };
        let replication = Replication::new(settings, fork());
        let supervisor = Supervisor::new(&config, fork());
        let (modes, voters) = (Modes::of(&config), config.voters.as_ref());
        Self {
            clock: HybridClock::new(config.clock_bound),
            membership,
            replication,
            supervisor,
            random,
            board: Board::new(config.rule.clone(), modes.clone()),
            voter: voters
                .filter(|voters| voters.nodes.contains(&config.id))
                .map(|voters| Voter::new(voters, now)),
            holder: voters.map(|voters| LeaseHolder::new(voters.clone(), now)),
            proposer: Proposer::new(Random::new(hash64(&seed.to_le_bytes()))),
            acceptor,
            said_majority: false,
            quorums: Quorums::new(&modes, now),
            registry: Registry::new(modes.clone()),
            leased: LeasedNames::new(voters),
            modes,
            config,
            began: now,
            now,
            me: None,
            numbers: 0,
            starts: 0,
            targets: Targets::default(),
            groups: Groups::default(),
            cells: Cells::default(),
            conflicts: Conflicts::default(),
            adoption: Adoption::default(),
            messaging: Messaging::default(),
            settling: Settling::default(),
            calls_seen: Seen::default(),
            forwards_seen: Seen::default(),
            requests: Requests::default(),
            unfound: BTreeSet::new(),
            visible: BTreeSet::new(),
            retired: BTreeSet::new(),
            members_changed: false,
            shown_members: BTreeMap::new(),
            presence: Presence::Arriving,
            joined: Stamp::default(),
            arrival: None,
            said_ready: false,
            exit_as: ExitReason::Left,
            unshared_until: now,
            hindsight: Hindsight::new(upkeep::DELETES_KEPT),
            barrier,
            can_lease: false,
            reached_at: now,
            is_full: false,
            strategies,
            next_upkeep,
            is_over: false,
            outputs: VecDeque::new(),
            replies: VecDeque::new(),
        }
    }

    /// Returns the conflict rule that it goes by.
    pub fn rule(&self) -> &Rule {
        &self.config.rule
    }

    /// Puts the code of its rule in its place, which was left behind when the node was stored.
    ///
    /// # Panics
    ///
    /// Panics if `rule` is another one, or its code is missing, too.
    pub fn supply_rule(&mut self, rule: &Rule) {
        let own = &self.config.rule;
        assert!(rule == own && !rule.is_missing(), "the rule is {own:?}, not {rule:?}");
        self.config.rule = rule.clone();
        self.board.supply_rule(rule);
        self.supervisor.supply_rule(rule);
    }

    /// Returns the placement strategies of users that it has code for.
    pub fn strategies(&self) -> &UserStrategies {
        &self.config.strategies
    }

    /// Puts the code of its placement strategies in its place, which was left behind when the node
    /// was stored.
    ///
    /// # Panics
    ///
    /// Panics if `strategies` are others, or code is missing, too.
    pub fn supply_strategies(&mut self, strategies: &UserStrategies) {
        let own = &self.config.strategies;
        let are_those = strategies == own && strategies.missing().is_none();
        assert!(are_those, "the strategies are {own:?}, not {strategies:?}");
        self.config.strategies = strategies.clone();
    }

    /// Takes one input in, at `now`. Never fails, never blocks.
    ///
    /// Costs what the input causes: never the number of names, nor the square of the members.
    ///
    /// # Panics
    ///
    /// Panics if `now` lies before an earlier call's: the caller's clock is broken.
    pub fn handle(&mut self, now: Time, input: Input) {
        assert!(self.now <= now, "time ran backwards from {} to {now}", self.now);
        self.now = now;
        if self.is_over {
            return;
        }
        // What has ended is over, whatever it says: after a thaw it may not do anything more.
        self.lapse();
        match input {
            Input::Connected { peer } => self.membership.handle_connected(now, &peer),
            Input::Disconnected { peer } => {
                self.membership.handle_disconnected(now, &peer);
                self.replication.handle_disconnected(now, &peer);
                self.messaging.handle_disconnected(&peer);
            }
            Input::Refused { address } => self.membership.handle_refused(now, &address),
            Input::Message { from, envelope } => self.handle_envelope(from, envelope),
            Input::Request { ticket, timeout, command } => {
                self.handle_request(ticket, timeout, command);
            }
            Input::Process { number, event } => self.handle_process(number, event),
            Input::Answer { call, result } => self.messaging.handle_answer(call, result),
            Input::Wall(wall) => {
                self.clock.handle_wall(wall);
                self.membership.handle_wall(now, wall);
            }
            Input::Flush => {
                self.replication.handle_flush(now);
                if let Some(holder) = &mut self.holder {
                    holder.handle_flush(now, self.replication.head());
                }
            }
            Input::Tick => (),
            Input::Persisted { number, is_stored } => self.handle_persisted(number, is_stored),
            Input::Seeds(addresses) => self.membership.handle_seeds(now, &addresses),
        }
        // What follows from one timer may make another one due.
        let mut next = None;
        for _ in 0..TIMER_ROUNDS_MAX {
            self.handle_timeouts();
            self.settle_effects();
            next = self.poll_timeout();
            if next.is_none_or(|(at, _)| now < at) {
                break;
            }
        }
        self.outputs.append(&mut self.replies);
        assert!(next.is_none_or(|(at, _)| now < at), "no timer is left expired: {next:?} at {now}");
    }

    /// Returns the next thing to do, in order, or `None` when nothing is left.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns when to call [`handle`](Self::handle) at the latest, and why; `None` once the node
    /// is over.
    pub fn poll_timeout(&self) -> Option<(Time, TimerKind)> {
        if self.is_over {
            return None;
        }
        let timers = [
            (self.membership.poll_timeout(), TimerKind::Membership),
            (Some(self.next_upkeep), TimerKind::Upkeep),
            (self.replication.poll_timeout(), TimerKind::Replication),
            (self.supervisor.poll_timeout(), TimerKind::Restart),
            (self.requests.next_deadline(), TimerKind::Deadline),
            (self.settling.poll_timeout(), TimerKind::Settle),
            (self.holder.as_ref().and_then(LeaseHolder::poll_timeout), TimerKind::Lease),
            (self.next_proposal(), TimerKind::Proposal),
            (self.leased.poll_timeout(), TimerKind::Lease),
        ];
        timers.into_iter().filter_map(|(at, kind)| Some((at?, kind))).min()
    }

    /// Returns a hash of the whole state; equal inputs give equal hashes, on every machine.
    ///
    /// Costs the whole state: for tests and for replays.
    pub fn state_hash(&self) -> u64 {
        hash64(&wire::encode(self))
    }

    /// Returns this life of the node, once it has joined.
    pub fn replica(&self) -> Option<&Replica> {
        self.me.as_ref()
    }

    /// Fires every timer that is due.
    fn handle_timeouts(&mut self) {
        let now = self.now;
        if let Some(me) = &self.me {
            self.membership.handle_closed(now, me, self.replication.head());
        }
        self.membership.handle_tick(now);
        if let Some(holder) = &mut self.holder {
            holder.handle_timeout(now, self.replication.head());
        }
        if self.next_upkeep <= now {
            self.next_upkeep = now + self.config.beat_interval;
            self.keep_up();
        }
        if self.replication.poll_timeout().is_some_and(|at| at <= now) {
            self.tell_silence();
            self.replication.handle_timeout(now);
        }
        if self.supervisor.poll_timeout().is_some_and(|at| at <= now) {
            self.with_supervisor(|supervisor, around| supervisor.handle_timeout(around));
        }
        while let Some((ticket, pending)) = self.requests.pop_expired(now) {
            self.expire(ticket, &pending);
        }
        if self.next_proposal().is_some_and(|at| at <= now) {
            self.handle_proposer_timeout();
        }
        self.ask_for_names_again();
        if self.settling.poll_timeout().is_some_and(|at| at <= now) {
            let rest = self.rest();
            self.settling.handle_timeout(now, || rest);
        }
        self.messaging.handle_timeout(now);
    }

    /// Sends `message` to `to`; a message to ourselves is handled at once.
    fn send(&mut self, to: &NodeId, message: Message) {
        if *to == self.config.id {
            let me = self.me.clone().expect("only a node that has joined talks to itself");
            return self.handle_message(&me, message);
        }
        let (incarnation, beat) = (self.membership.incarnation(), self.membership.beat());
        let envelope = Envelope { incarnation, beat, message };
        self.outputs.push_back(Output::Send { to: to.clone(), envelope });
    }

    /// Lets the supervisor act, with what it may look at.
    fn with_supervisor<R>(
        &mut self,
        act: impl FnOnce(&mut Supervisor, &mut Around<'_>) -> R,
    ) -> Option<R> {
        let me = self.me.clone()?;
        let mut around = Around {
            now: self.now,
            me: &me,
            placing: Placing {
                strategies: &self.config.strategies,
                max_hops: self.config.max_hops,
            },
            board: &self.board,
            targets: &self.targets,
            visible: &self.visible,
            clock: &mut self.clock,
            numbers: &mut self.numbers,
        };
        Some(act(&mut self.supervisor, &mut around))
    }

    /// Lets the conflicts act, with what they may look at.
    fn with_conflicts(&mut self, act: impl FnOnce(&mut Conflicts, &crate::conflict::Own<'_>)) {
        let Some(me) = self.me.clone() else { return };
        let (registry, supervisor) = (&self.registry, &self.supervisor);
        let own = crate::conflict::Own {
            me: &me,
            board: &self.board,
            is_running: &|number| registry.is_running(number),
            is_specified: &|key| supervisor.child(key).is_some_and(|child| child.spec.is_some()),
            is_present: &|number| registry.is_running(number) || supervisor.is_present(number),
            seats: &|number| supervisor.seats(number).chain(registry.seats(number)).collect(),
        };
        act(&mut self.conflicts, &own);
    }

    /// Writes what we say of ourselves.
    fn write_member(&mut self, presence: Presence) {
        self.presence = presence;
        let entry = MemberEntry {
            address: self.config.address.clone(),
            kinds: self.kinds().to_vec(),
            presence,
            role: self.config.role,
            labels: self.config.labels.clone(),
            is_full: self.is_full,
            strategies: self.strategies.clone(),
            weight: self.config.weight,
            can_lease: self.can_lease,
            joined: self.joined,
        };
        self.replication.put(Key::Member.encode(), entry.encode());
    }

    /// Returns the kinds of processes that this node runs as children.
    fn kinds(&self) -> &[String] {
        if self.config.role.runs_children() { &self.config.kinds } else { &[] }
    }

    fn own_value(&self, key: &Blob) -> Option<Blob> {
        let me = self.me.as_ref()?;
        self.replication.value(me, key).cloned()
    }
}
