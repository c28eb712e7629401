//! Keeps every accepted child running, somewhere.
//!
//! ```text
//!   accepted ──▶ specification ──▶ unclaimed ──(ring owner)──▶ starting ──▶ running ──▶ ended
//!                                     ▲                           │  ▲        │
//!                                     │                           ▼  │        │
//!                                     └── owner down or left    waiting ◀─────┘ failed
//! ```
//!
//! The member that receives a start writes the specification; the ring owner among the live members
//! starts a child that has a specification, no end and no visible claim. A takeover is a claim in
//! the taker's own journal, never an edit of somebody else's.

mod audit;
mod children;
mod choices;
mod contention;
mod history;
mod instance;
mod journal;
mod loads;
mod moves;
mod nested;
mod place;
mod quarantine;
mod quorum;
mod reserved;
mod runs;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::board::Board;
use crate::effect::Effect;
use crate::entry::{EndedEntry, Entry, Key, Reason};
use crate::message::Seat;
use crate::mode::Modes;
use crate::placement::Redistribution;
use crate::rule::Rule;
use crate::targets::Targets;
use crate::{
    Blob, ChildId, Config, HybridClock, Name, NameConflict, Outcome, Output, ProcessId, Random,
    Replica, Scope, Stamp, StopReason, Time,
};

use crate::supervisor::children::Children;
pub(crate) use crate::supervisor::children::{Child, ChildKey};
pub(crate) use crate::supervisor::choices::Placing;
use crate::supervisor::contention::Contention;
use crate::supervisor::instance::{Instance, Phase, Then};
pub(crate) use crate::supervisor::quarantine::shortened;

/// What the supervisor may look at and count with while it handles an input.
pub(crate) struct Around<'a> {
    /// The present time.
    pub(crate) now: Time,
    /// This life of this node.
    pub(crate) me: &'a Replica,
    /// Who claims what.
    pub(crate) board: &'a Board,
    /// Who could run what.
    pub(crate) targets: &'a Targets,
    /// Whose journals count: the lives that are up.
    pub(crate) visible: &'a BTreeSet<Replica>,
    /// How this node goes by strategies.
    pub(crate) placing: Placing<'a>,
    /// Where stamps come from.
    pub(crate) clock: &'a mut HybridClock,
    /// Where process numbers come from.
    pub(crate) numbers: &'a mut u64,
}

impl Around<'_> {
    fn next_number(&mut self) -> u64 {
        *self.numbers += 1;
        *self.numbers
    }
}

/// The children of all supervisors, and the processes of those that run here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Supervisor {
    start_timeout: Duration,
    conflict_grace: Duration,
    backoff_min: Duration,
    backoff_max: Duration,
    starts_at_once: usize,
    children_max: usize,
    /// How long another process must run under a child's name before the child is over.
    patience: Duration,
    random: Random,
    children: Children,
    /// Unclaimed children whose place is to be looked at again.
    due: BTreeSet<ChildKey>,
    /// Unclaimed children whose strategy was asked here and chose nobody.
    declined: BTreeSet<ChildKey>,
    instances: BTreeMap<u64, Instance>,
    by_child: BTreeMap<ChildKey, u64>,
    /// Processes of an earlier life of this node that were told to stop, and have not yet.
    fading: BTreeMap<ChildKey, u64>,
    waiting: BTreeSet<(Time, u64)>,
    /// Unclaimed children whose name somebody else runs under, and when that has lasted for so long
    /// that they are over.
    beaten: BTreeMap<ChildKey, Time>,
    /// The children that this node has given up in this life, each with the process that runs it
    /// elsewhere and since when that was seen to.
    left_elsewhere: BTreeMap<ChildKey, Option<(ProcessId, Time)>>,
    /// Since when children may have to move, as members changed; `None` once none has to.
    unmoved_since: Option<Time>,
    moves_actively: bool,
    /// The supervisors whose children stay where they run for now.
    moves_paused: BTreeSet<Scope>,
    starting: usize,
    unrest: usize,
    is_leaving: bool,
    /// What becomes of children when the network splits.
    modes: Modes,
    /// The supervisors whose children do not run here, as this node sees too few members.
    halted: BTreeSet<Scope>,
    /// Those whose children do not start here, as too few members are sure to be up.
    hesitant: BTreeSet<Scope>,
    /// The children that are to run under a lease, and that nobody is seen to claim.
    contention: Contention,
    effects: VecDeque<Effect>,
}

impl Supervisor {
    /// Creates a supervisor without children.
    pub(crate) fn new(config: &Config, random: Random) -> Self {
        let modes = Modes::of(config);
        Self {
            start_timeout: config.start_timeout,
            conflict_grace: config.conflict_grace,
            backoff_min: config.backoff_min,
            backoff_max: config.backoff_max,
            starts_at_once: config.starts_at_once,
            children_max: config.max_children.unwrap_or(usize::MAX),
            patience: config.failure_timeout,
            random,
            children: Children::new(config.rule.clone()),
            due: BTreeSet::new(),
            declined: BTreeSet::new(),
            instances: BTreeMap::new(),
            by_child: BTreeMap::new(),
            fading: BTreeMap::new(),
            waiting: BTreeSet::new(),
            beaten: BTreeMap::new(),
            left_elsewhere: BTreeMap::new(),
            unmoved_since: None,
            moves_paused: BTreeSet::new(),
            moves_actively: config.redistribution != Redistribution::Passive,
            starting: 0,
            unrest: 0,
            is_leaving: false,
            halted: modes.stopping().collect(),
            hesitant: modes.stopping().collect(),
            modes,
            contention: Contention::new(config.voters.as_ref()),
            effects: VecDeque::new(),
        }
    }

    /// Puts the code of its rule in its place.
    pub(crate) fn supply_rule(&mut self, rule: &Rule) {
        self.children.supply_rule(rule);
    }

    /// Returns the next effect, in order.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Shows `visit` what earlier runs left behind for the next ones.
    pub(crate) fn visit_payloads(&mut self, visit: impl FnMut(&mut Blob)) {
        self.instances.values_mut().filter_map(|instance| instance.state.as_mut()).for_each(visit);
    }

    /// Returns when the next child is to be started again, or looked at.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        let beaten = self.beaten.iter().filter(|(key, _)| !self.due.contains(*key));
        let looked_at = beaten.map(|(_, at)| *at).min();
        let waiting = self.waiting.first().map(|(at, _)| *at);
        waiting.into_iter().chain(looked_at).chain(self.contention.poll_timeout()).min()
    }

    /// Returns what is known of `key`.
    pub(crate) fn child(&self, key: &ChildKey) -> Option<&Child> {
        self.children.child(key)
    }

    /// Iterates over the children that were accepted and have not ended.
    pub(crate) fn standing(&self) -> impl Iterator<Item = (&ChildKey, &Child)> {
        self.children.iter().filter(|(_, child)| child.spec.is_some() && child.end.is_none())
    }

    /// Returns the child that keeps `name` for itself between two runs, if one does.
    pub(crate) fn reserving(&self, scope: Scope, name: &Name) -> Option<ChildId> {
        self.children.reserving(scope, name)
    }

    /// Iterates over the children of all supervisors that keep `name` for themselves.
    pub(crate) fn reservers(&self, name: &(Scope, Name)) -> impl Iterator<Item = &ChildKey> {
        self.children.reservers(name)
    }

    /// Returns how many processes of children are on this node.
    pub(crate) fn instance_count(&self) -> usize {
        self.instances.len()
    }

    /// Returns what the process `number` sits on as a child: the child, and its name.
    pub(crate) fn seats(&self, number: u64) -> impl Iterator<Item = Seat> {
        let instance = self.instances.get(&number);
        instance.into_iter().flat_map(|instance| {
            let (scope, child) = instance.key;
            let name = instance.spec.name.clone().map(|(scope, name)| Seat::Name(scope, name));
            core::iter::once(Seat::Child(scope, child)).chain(name)
        })
    }

    /// Returns the child that the process `number` runs.
    pub(crate) fn child_of(&self, number: u64) -> Option<ChildKey> {
        self.instances.get(&number).map(|instance| instance.key)
    }

    /// Returns whether the process `number` is one of ours, and was not told to stop.
    pub(crate) fn is_present(&self, number: u64) -> bool {
        self.instances.get(&number).is_some_and(|instance| match instance.phase {
            Phase::Asking | Phase::Starting | Phase::Running | Phase::Waiting { .. } => true,
            Phase::Stopping { .. } | Phase::Frozen => false,
        })
    }

    /// Returns the latest stamp of an end.
    pub(crate) fn latest_end(&self) -> Stamp {
        self.children.latest_end()
    }

    /// Iterates over the children that ended by `stamp`, the oldest end first.
    pub(crate) fn ended_by(&self, stamp: Stamp) -> impl Iterator<Item = (&ChildKey, &Child)> {
        self.children.ended_by(stamp)
    }

    /// Lets go of every process here: this life of the node is over, and its journal retired.
    ///
    /// Until the process of a child is gone, the child is not started here again.
    pub(crate) fn abandon(&mut self) -> Vec<u64> {
        self.due.clear();
        self.declined.clear();
        self.left_elsewhere.clear();
        self.by_child.clear();
        self.waiting.clear();
        self.contention.abandon();
        (self.starting, self.unrest) = (0, 0);
        let instances = core::mem::take(&mut self.instances);
        let lives = |instance: &Instance| match instance.phase {
            Phase::Starting | Phase::Running | Phase::Stopping { .. } => true,
            Phase::Asking | Phase::Waiting { .. } | Phase::Frozen => false,
        };
        let living = instances.iter().filter(|(_, instance)| lives(instance));
        self.fading.extend(living.map(|(&number, instance)| (instance.key, number)));
        instances.into_keys().collect()
    }

    /// Looks at the place of every unclaimed child again: the members changed.
    pub(crate) fn handle_placement(&mut self, now: Time) {
        if self.moves_actively {
            self.unmoved_since = Some(now);
        }
        self.due.extend(self.children.unclaimed().iter().copied());
    }

    /// Returns whether there are children to place, and nothing speaks against it now.
    pub(crate) fn may_place(&self, targets: &Targets) -> bool {
        !self.due.is_empty()
            && self.starting < self.starts_at_once
            && !self.is_leaving
            && targets.outlook().is_informed
    }

    /// Returns whether as many children are on this node as may be.
    pub(crate) fn is_full(&self) -> bool {
        self.children_max <= self.instances.len()
    }

    /// Ends `key` for good, as `outcome` says.
    pub(crate) fn end(&mut self, around: &mut Around<'_>, key: ChildKey, outcome: Outcome) {
        let entry = EndedEntry { stamp: around.clock.stamp(), outcome };
        let key = Key::Ended(key.0, key.1).encode();
        self.effects.push_back(Effect::Put { key, value: entry.encode() });
    }

    /// Stops every process of a child here at once: the node leaves, and starts nothing more.
    pub(crate) fn handle_leave(&mut self) {
        self.is_leaving = true;
        let numbers: Vec<u64> = self.instances.keys().copied().collect();
        for number in numbers {
            self.stop(number, StopReason::Leaving, Then::Gone);
        }
    }

    /// Stops the process `number` in favour of a winner and keeps it, frozen.
    pub(crate) fn freeze(&mut self, number: u64, conflict: NameConflict) {
        self.stop(number, StopReason::Conflict(conflict), Then::Frozen);
    }

    /// Drops the frozen process `number`: a winner took it in, or its child goes on as another.
    pub(crate) fn release(&mut self, number: u64) {
        self.drop_instance(number);
    }

    /// Starts the frozen process `number` again from what it left: the winner has gone.
    pub(crate) fn resume(&mut self, around: &mut Around<'_>, number: u64, state: Option<Blob>) {
        let Some(instance) = self.instances.get_mut(&number) else { return };
        assert_eq!(instance.phase, Phase::Frozen, "only what is frozen can be resumed");
        if self.halted.contains(&instance.key.0) {
            return self.drop_instance_for(number, Reason::NoQuorum);
        }
        instance.state = state;
        instance.reason = crate::StartReason::Resumed;
        self.set_out(around, number);
    }

    /// Replaces the bytes beside the name of the process `number`; returns whether it runs.
    pub(crate) fn update_value(&mut self, number: u64, value: Blob) -> bool {
        let Some(instance) = self.instances.get_mut(&number) else { return false };
        if instance.phase != Phase::Running {
            return false;
        }
        instance.value = value;
        self.write_claim(number);
        true
    }

    /// Raises the epoch of the process `number` above every other one of its child: it took
    /// another process of the child in.
    pub(crate) fn handle_absorbed(&mut self, number: u64) {
        let Some(instance) = self.instances.get_mut(&number) else { return };
        let known = self.children.child(&instance.key).map_or(0, Child::epoch);
        instance.epoch = instance.epoch.max(known) + 1;
        self.write_claim(number);
    }
}

impl Supervisor {
    fn set_phase(&mut self, number: u64, phase: Phase) {
        let instance = self.instances.get_mut(&number).expect("the process is on this node");
        let was_starting = instance.phase == Phase::Starting;
        let was_asking = instance.phase == Phase::Asking;
        let was_at_rest = instance.is_at_rest();
        if let Phase::Waiting { until } = instance.phase {
            self.waiting.remove(&(until, number));
        }
        if let Phase::Waiting { until } = phase {
            self.waiting.insert((until, number));
        }
        instance.phase = phase;
        let (is_starting, is_at_rest) = (instance.phase == Phase::Starting, instance.is_at_rest());
        let is_asking = instance.phase == Phase::Asking;
        self.starting = self.starting + usize::from(is_starting) - usize::from(was_starting);
        self.count_asking(is_asking, was_asking);
        self.unrest = self.unrest + usize::from(was_at_rest) - usize::from(is_at_rest);
    }

    fn write_claim(&mut self, number: u64) {
        let instance = self.instances.get(&number).expect("the process is on this node");
        let key = Key::Claim(instance.key.0, instance.key.1).encode();
        self.effects.push_back(Effect::Put { key, value: instance.claim().encode() });
    }

    /// Drops an instance: its claim goes first of all.
    fn drop_instance(&mut self, number: u64) {
        let Some(instance) = self.instances.get(&number) else { return };
        let reason = match instance.phase {
            Phase::Frozen => Reason::Beaten,
            Phase::Stopping { .. } | Phase::Waiting { .. } if instance.is_moving => Reason::Moved,
            Phase::Stopping { .. } | Phase::Waiting { .. } if self.is_leaving => Reason::Left,
            Phase::Asking if instance.has_run_here() => Reason::Lapsed,
            Phase::Asking => Reason::Ungranted,
            Phase::Stopping { .. } | Phase::Waiting { .. } if self.is_halted(instance.key.0) => {
                Reason::NoQuorum
            }
            Phase::Starting | Phase::Running | Phase::Stopping { .. } | Phase::Waiting { .. } => {
                Reason::Ended
            }
        };
        self.drop_instance_for(number, reason);
    }

    /// Drops an instance for `reason`: its claim goes first of all.
    fn drop_instance_for(&mut self, number: u64, reason: Reason) {
        let Some(instance) = self.instances.get(&number) else { return };
        let key = instance.key;
        let (was_starting, was_at_rest) =
            (instance.phase == Phase::Starting, instance.is_at_rest());
        let was_asking = instance.phase == Phase::Asking;
        if let Phase::Waiting { until } = instance.phase {
            self.waiting.remove(&(until, number));
        }
        self.instances.remove(&number);
        self.by_child.remove(&key);
        self.starting -= usize::from(was_starting);
        self.count_asking(false, was_asking);
        self.unrest -= usize::from(!was_at_rest);
        self.effects.push_back(Effect::Delete { key: Key::Claim(key.0, key.1).encode(), reason });
        self.effects.push_back(Effect::Gone { number });
        assert_eq!(self.instances.len(), self.by_child.len(), "one process for each child");
    }

    /// Tells the process `number` to stop, and remembers what becomes of it then.
    fn stop(&mut self, number: u64, reason: StopReason, then: Then) {
        let Some(instance) = self.instances.get(&number) else { return };
        let grace = match &reason {
            StopReason::Conflict(_) => self.conflict_grace.min(instance.spec.grace),
            StopReason::Lapsed | StopReason::NameLapsed => Duration::ZERO,
            StopReason::Terminated
            | StopReason::Leaving
            | StopReason::Moving
            | StopReason::Restarting
            | StopReason::Escalated
            | StopReason::NoQuorum
            | StopReason::NodeDown => instance.spec.grace,
        };
        match (&instance.phase, then) {
            (
                Phase::Starting | Phase::Running,
                Then::Gone | Then::Frozen | Then::Again | Then::Failed,
            ) => {
                self.set_phase(number, Phase::Stopping { then });
                self.effects.push_back(Effect::Emit(Output::Stop { number, reason, grace }));
            }
            (Phase::Stopping { then: Then::Lapsed }, _) => (),
            (Phase::Stopping { .. }, Then::Gone) => {
                self.set_phase(number, Phase::Stopping { then });
            }
            (Phase::Asking | Phase::Waiting { .. } | Phase::Frozen, Then::Gone) => {
                self.drop_instance(number);
            }
            (Phase::Waiting { .. }, Then::Again) => self.start_again_at_once(number),
            (Phase::Asking | Phase::Waiting { .. }, Then::Frozen) => {
                self.set_phase(number, Phase::Frozen);
                // What it was to go on from, if it waits for its lease to do so.
                let state = self.instances.get_mut(&number).and_then(|own| own.state.take());
                self.effects.push_back(Effect::Frozen { number, state });
            }
            // Who lets a lease end says so itself.
            (_, Then::Lapsed)
            | (Phase::Stopping { .. } | Phase::Frozen, Then::Frozen | Then::Again | Then::Failed)
            // It failed already, or is about to start.
            | (Phase::Waiting { .. } | Phase::Asking, Then::Failed)
            | (Phase::Asking, Then::Again) => (),
        }
    }
}
