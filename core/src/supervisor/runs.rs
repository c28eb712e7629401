//! The runs of a child's process: start, end, back-off, start again.

use alloc::collections::VecDeque;
use alloc::string::String;

use crate::effect::Effect;
use crate::entry::{Entry, Key, Reason, SpecEntry, Standing};
use crate::rank::Origin;
use crate::supervisor::children::{ChildKey, Succession};
use crate::supervisor::instance::{Instance, Phase, RunEnd, Then};
use crate::supervisor::{Around, Supervisor};
use crate::{
    Blob, ChildSpec, Event, FencingToken, Lease, Outcome, Output, ProcessEvent, Restart, Start,
    StartReason, StopReason, Time,
};

impl Supervisor {
    /// Accepts a child: from here on it is kept running somewhere.
    pub(crate) fn accept(&mut self, around: &mut Around<'_>, key: ChildKey, spec: ChildSpec) {
        let entry = SpecEntry { stamp: around.clock.stamp(), spec };
        let key = Key::Spec(key.0, key.1).encode();
        self.effects.push_back(Effect::Put { key, value: entry.encode() });
    }

    /// Takes in what happened to the process `number`.
    pub(crate) fn handle_process(
        &mut self,
        around: &mut Around<'_>,
        number: u64,
        event: ProcessEvent,
    ) {
        let Some(instance) = self.instances.get(&number) else {
            return self.handle_faded(number, &event);
        };
        match (instance.phase.clone(), event) {
            (Phase::Starting, ProcessEvent::Started) => self.handle_started(around, number),
            (Phase::Starting | Phase::Running, ProcessEvent::StartFailed { reason }) => {
                self.handle_run_end(around, number, RunEnd::StartFailed(reason));
            }
            (Phase::Starting | Phase::Running, ProcessEvent::Ignored) => {
                self.handle_run_end(around, number, RunEnd::Ignored);
            }
            (Phase::Starting | Phase::Running, ProcessEvent::Exited { failure: None }) => {
                self.handle_run_end(around, number, RunEnd::Finished);
            }
            (Phase::Starting | Phase::Running, ProcessEvent::Exited { failure: Some(reason) }) => {
                self.handle_run_end(around, number, RunEnd::Failed(reason));
            }
            (Phase::Stopping { then }, event) => self.handle_stopped(around, number, then, event),
            // Nothing was asked of it, or it is gone already: the report is late.
            (Phase::Starting | Phase::Running, ProcessEvent::Stopped { .. })
            | (Phase::Running, ProcessEvent::Started)
            | (Phase::Asking | Phase::Waiting { .. } | Phase::Frozen, _) => (),
        }
    }

    /// Takes in what happened to a process of an earlier life of this node: once it is gone, its
    /// child may be started here.
    fn handle_faded(&mut self, number: u64, event: &ProcessEvent) {
        let fading = self.fading.iter().find(|(_, fading)| **fading == number);
        let Some((&key, _)) = fading else { return };
        match event {
            ProcessEvent::Started => (),
            ProcessEvent::StartFailed { .. }
            | ProcessEvent::Ignored
            | ProcessEvent::Exited { .. }
            | ProcessEvent::Stopped { .. } => {
                self.fading.remove(&key);
                self.due.insert(key);
            }
        }
    }

    /// Starts again what has waited long enough, and looks again at children that were beaten.
    pub(crate) fn handle_timeout(&mut self, around: &mut Around<'_>) {
        let now = around.now;
        let beaten = self.beaten.iter().filter(|(_, at)| **at <= now).map(|(key, _)| *key);
        self.due.extend(beaten);
        self.due.extend(self.contention.due(now));
        while let Some(&(at, number)) = self.waiting.first()
            && at <= around.now
        {
            self.restart(around, number);
        }
    }

    /// Claims `key` for this node and starts its process.
    pub(super) fn claim(&mut self, around: &mut Around<'_>, key: ChildKey, succession: Succession) {
        let (lineage, moves, reason) = match succession {
            Succession::First => (0, 0, StartReason::Fresh),
            Succession::Moved { lineage, moves } => {
                (lineage, moves.saturating_add(1), StartReason::Moved)
            }
            Succession::FailedOver { lineage } => {
                (lineage.saturating_add(1), 0, StartReason::FailedOver)
            }
        };
        let (lineage, moves) = if self.modes.is_exclusive(key.0) {
            (0, self.next_ballot(around, key))
        } else {
            (lineage, moves)
        };
        let child = self.children.child(&key).expect("the caller knows the child");
        let entry = child.spec.as_ref().expect("what is claimed has a specification");
        let number = around.next_number();
        let origin = Some(Origin { stamp: entry.stamp, id: key.1 });
        let (stamp, precedence) = (around.clock.stamp(), entry.spec.precedence.clone());
        let standing = Standing { number, stamp, origin, lineage, moves, precedence };
        let instance = Instance {
            key,
            spec: entry.spec.clone(),
            standing,
            epoch: child.epoch() + 1,
            phase: Phase::Starting,
            reason,
            state: None,
            failures: 0,
            is_moving: false,
            failed_at: VecDeque::new(),
            failure: None,
            has_run: succession != Succession::First,
            since: around.now,
            value: entry.spec.value.clone(),
            lease_until: None,
        };
        self.instances.insert(number, instance);
        let twin = self.by_child.insert(key, number);
        assert_eq!(twin, None, "a child has at most one process on a node");
        self.starting += 1;
        self.unrest += 1;
        if self.modes.is_exclusive(key.0) {
            self.ask(number);
        } else {
            self.write_claim(number);
            self.emit_start(number);
        }
    }

    pub(super) fn emit_start(&mut self, number: u64) {
        let instance = self.instances.get_mut(&number).expect("the process is on this node");
        let standing = instance.standing.clone();
        let start = Start {
            number,
            scope: instance.key.0,
            child: instance.key.1,
            kind: instance.spec.kind.clone(),
            args: instance.spec.args.clone(),
            reason: instance.reason,
            state: instance.state.take(),
            timeout: self.start_timeout,
            lease: instance.lease_until.map(|until| Lease {
                token: FencingToken::from_u64(instance.standing.moves),
                until,
            }),
        };
        self.effects.push_back(Effect::Starting { number, standing });
        self.effects.push_back(Effect::Emit(Output::Start(start)));
    }

    fn handle_started(&mut self, around: &Around<'_>, number: u64) {
        self.set_phase(number, Phase::Running);
        let instance = self.instances.get_mut(&number).expect("the process is on this node");
        instance.has_run = true;
        instance.failure = None;
        instance.since = around.now;
        let standing = instance.standing.clone();
        self.write_claim(number);
        self.effects.push_back(Effect::Running { number, standing });
    }

    fn handle_run_end(&mut self, around: &mut Around<'_>, number: u64, end: RunEnd) {
        let instance = self.instances.get(&number).expect("the process is on this node");
        let key = instance.key;
        let outcome = match (instance.spec.restart, &end) {
            (Restart::Temporary, RunEnd::StartFailed(reason)) if !instance.has_run => {
                Some(Outcome::StartFailed { reason: reason.clone() })
            }
            (Restart::Transient | Restart::Temporary, RunEnd::Finished) => Some(Outcome::Finished),
            (Restart::Temporary, RunEnd::StartFailed(reason) | RunEnd::Failed(reason)) => {
                Some(Outcome::Failed { reason: reason.clone() })
            }
            (Restart::Temporary, RunEnd::Escalated) => {
                Some(Outcome::Failed { reason: String::from(RunEnd::ESCALATED) })
            }
            (_, RunEnd::Ignored) => Some(Outcome::Ignored),
            (Restart::Permanent, _)
            | (Restart::Transient, RunEnd::Escalated)
            | (Restart::Transient, RunEnd::StartFailed(_) | RunEnd::Failed(_)) => None,
        };
        match outcome {
            Some(outcome) => {
                // Its end first, or it would be seen without a claim and started again.
                self.end(around, key, outcome);
                self.drop_instance(number);
            }
            None => self.back_off(around, number, end),
        }
    }

    /// Lets the process `number` wait for its next start, the longer the more often it failed.
    fn back_off(&mut self, around: &Around<'_>, number: u64, end: RunEnd) {
        let instance = self.instances.get_mut(&number).expect("the process is on this node");
        if let (RunEnd::StartFailed(reason), false) = (&end, instance.has_run) {
            // Whoever asked for the child ends it, unless they were told that it runs elsewhere.
            instance.failure = Some(reason.clone());
        }
        if self.backoff_max <= around.now.since(instance.since) {
            instance.failures = 0;
        }
        let doublings = instance.failures.min(20);
        let wait = self.backoff_min.saturating_mul(1 << doublings).min(self.backoff_max);
        instance.failures = instance.failures.saturating_add(1);
        let child = instance.key.1;
        let backoff = self.random.jittered(wait);

        let reason = match end {
            RunEnd::StartFailed(reason) | RunEnd::Failed(reason) => reason,
            RunEnd::Finished | RunEnd::Ignored => String::from("it ended, and is to run always"),
            RunEnd::Escalated => String::from(RunEnd::ESCALATED),
        };
        let is_over_budget = instance.spend(around.now);
        self.set_phase(number, Phase::Waiting { until: around.now + backoff });
        self.write_claim(number);
        self.effects.push_back(Effect::Gone { number });
        let event = Event::ChildFailed { child, reason: reason.clone(), backoff };
        self.effects.push_back(Effect::Emit(Output::Event(event)));
        if is_over_budget {
            self.effects.push_back(Effect::GiveUp { number, reason });
        }
    }

    /// Stops the process that runs `key` here, and starts another in its place; returns whether
    /// there is one.
    pub(crate) fn restart_child(&mut self, key: ChildKey) -> bool {
        let Some(&number) = self.by_child.get(&key).filter(|_| !self.is_leaving) else {
            return false;
        };
        let instance = self.instances.get_mut(&number).expect("what a child runs is there");
        (instance.failures, instance.failed_at) = (0, VecDeque::new());
        self.stop(number, StopReason::Restarting, Then::Again);
        true
    }

    /// Lets the process `number`, which does not run, start before anything else happens.
    pub(super) fn start_again_at_once(&mut self, number: u64) {
        self.set_phase(number, Phase::Waiting { until: Time::ZERO });
    }

    fn restart(&mut self, around: &mut Around<'_>, number: u64) {
        self.set_phase(number, Phase::Starting);
        let mut instance = self.instances.remove(&number).expect("the process is on this node");
        let next = around.next_number();
        instance.standing.number = next;
        instance.reason = StartReason::Restarted;
        instance.value = instance.spec.value.clone();
        instance.epoch += 1;
        self.by_child.insert(instance.key, next);
        self.instances.insert(next, instance);
        self.set_out(around, next);
    }

    /// Takes in that a process that was told to stop is gone, in whatever way it went.
    fn handle_stopped(
        &mut self,
        around: &mut Around<'_>,
        number: u64,
        then: Then,
        event: ProcessEvent,
    ) {
        let state: Option<Blob> = match event {
            ProcessEvent::Stopped { state } => state,
            ProcessEvent::Exited { .. }
            | ProcessEvent::Ignored
            | ProcessEvent::StartFailed { .. } => None,
            // It came up just before it was told to stop.
            ProcessEvent::Started => return,
        };
        match then {
            Then::Gone => self.drop_instance(number),
            Then::Lapsed => self.drop_instance_for(number, Reason::Lapsed),
            Then::Failed => self.handle_run_end(around, number, RunEnd::Escalated),
            Then::Again => {
                self.start_again_at_once(number);
                self.write_claim(number);
                self.effects.push_back(Effect::Gone { number });
            }
            Then::Frozen => {
                self.set_phase(number, Phase::Frozen);
                self.effects.push_back(Effect::Frozen { number, state });
            }
        }
    }
}
