//! S35. A child is started again only where its specification says so.

use std::collections::{BTreeMap, BTreeSet};

use ordu_core::{
    ChildId, Command, Input, Output, ProcessEvent, Reply, Restart, StartChildError, StartReason,
    StopReason,
};

use crate::host::Host;
use crate::invariants::{Finding, Invariant, Promise, Scene};
use crate::verdict::Class;

/// A life of a machine's node.
type Life = (Host, u64);

/// Remembers which children are to be restarted when, and what became of their processes.
#[derive(Default)]
pub(crate) struct WhatIsDoneStaysDone {
    asked: BTreeMap<(Life, u64), Restart>,
    restarts: BTreeMap<ChildId, Restart>,
    /// Every number that a process ever had.
    numbers: BTreeSet<(Life, u64)>,
    /// The children of the processes that nobody has told to stop.
    children: BTreeMap<(Life, u64), ChildId>,
    /// Children whose process ended as it should, and those whose process failed.
    finished: BTreeSet<(Life, ChildId)>,
    failed: BTreeSet<(Life, ChildId)>,
    /// Children whose process was stopped so that another one takes its place.
    bidden: BTreeSet<(Life, ChildId)>,
}

impl WhatIsDoneStaysDone {
    fn may_start(&self, life: Life, child: ChildId, reason: StartReason) -> bool {
        let is_finished = self.finished.contains(&(life, child));
        let is_again = match reason {
            StartReason::FailedOver | StartReason::Restarted => true,
            StartReason::Fresh | StartReason::Moved | StartReason::Resumed => false,
        };
        match self.restarts.get(&child) {
            None | Some(Restart::Permanent) => true,
            Some(Restart::Transient) => !is_finished,
            Some(Restart::Temporary) => {
                !is_again && !is_finished && !self.failed.contains(&(life, child))
            }
        }
    }
}

impl Invariant for WhatIsDoneStaysDone {
    fn promise(&self) -> Promise {
        Promise {
            id: "S35",
            says: "no child starts again but as it is specified, and no number is given twice",
            made_in: "ordu_core::Restart",
            class: Class::Safety,
        }
    }

    fn handle_input(&mut self, scene: &Scene<'_>, input: &Input) -> Finding {
        let life = (scene.host, scene.life);
        match input {
            Input::Request { ticket, command: Command::Start { spec, .. }, .. } => {
                self.asked.insert((life, *ticket), spec.restart);
            }
            Input::Process { number, event } => {
                let Some(&child) = self.children.get(&(life, *number)) else { return Ok(()) };
                match event {
                    ProcessEvent::Exited { failure: None } => {
                        self.finished.insert((life, child));
                    }
                    ProcessEvent::Exited { failure: Some(_) }
                    | ProcessEvent::StartFailed { .. } => {
                        self.failed.insert((life, child));
                    }
                    ProcessEvent::Started
                    | ProcessEvent::Ignored
                    | ProcessEvent::Stopped { .. } => {}
                }
            }
            Input::Connected { .. }
            | Input::Disconnected { .. }
            | Input::Refused { .. }
            | Input::Message { .. }
            | Input::Request { .. }
            | Input::Answer { .. }
            | Input::Wall(_)
            | Input::Flush
            | Input::Persisted { .. }
            | Input::Tick
            | Input::Seeds(_) => {}
        }
        Ok(())
    }

    fn handle_output(&mut self, scene: &Scene<'_>, output: &Output) -> Finding {
        let life = (scene.host, scene.life);
        match output {
            Output::Reply { ticket, reply: Reply::Start(result) } => {
                let child = match result {
                    Ok(started) => Some(started.child),
                    Err(
                        StartChildError::TimedOut { child }
                        | StartChildError::NoQuorum { child: Some(child), .. },
                    ) => Some(*child),
                    Err(_) => None,
                };
                if let (Some(child), Some(restart)) = (child, self.asked.remove(&(life, *ticket))) {
                    self.restarts.insert(child, restart);
                }
            }
            Output::Start(start) => {
                let is_bidden = self.bidden.remove(&(life, start.child));
                if !is_bidden && !self.may_start(life, start.child, start.reason) {
                    let (host, child, reason) = (scene.host, start.child, start.reason);
                    return Err(format!("{host} starts child {child} again: {reason:?}"));
                }
                let is_new = self.numbers.insert((life, start.number));
                if !is_new && start.reason != StartReason::Resumed {
                    return Err(format!("{} starts process {} again", scene.host, start.number));
                }
                self.children.insert((life, start.number), start.child);
            }
            // What ends while it is told to stop has not ended by itself.
            Output::Stop { number, reason, .. } => {
                let child = self.children.remove(&(life, *number));
                match (child, reason) {
                    (Some(child), StopReason::Restarting) => {
                        self.bidden.insert((life, child));
                    }
                    (Some(child), StopReason::Escalated) => {
                        self.failed.insert((life, child));
                    }
                    (_, _) => {}
                }
            }
            Output::Send { .. }
            | Output::Dial { .. }
            | Output::HangUp { .. }
            | Output::Renew { .. }
            | Output::Persist { .. }
            | Output::Hold { .. }
            | Output::Disconnect { .. }
            | Output::Absorb { .. }
            | Output::Deliver { .. }
            | Output::Reply { .. }
            | Output::View(_)
            | Output::Event(_)
            | Output::Exit(_) => {}
        }
        Ok(())
    }
}
