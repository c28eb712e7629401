//! What clients were promised, by what the world itself saw: requests, answers, and processes.
//!
//! It never asks a node whether the node is right, so that what all nodes forgot is missed.

mod children;
mod names;

use std::collections::BTreeSet;

use ordu_core::{ChildId, Command, ProcessEvent, Reply, StopReason, Time, ViewChange};

use crate::host::Host;
use crate::processes::{Processes, Run};
use crate::requests::Answered;

pub use crate::oracle::names::Readings;

/// What was promised about children and names, and what has ended each promise.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pub(crate) children: children::Children,
    pub(crate) names: names::Names,
    /// Nodes that go on, and that nobody else will ever hear again.
    given_up: BTreeSet<Host>,
}

impl Oracle {
    /// Takes in what a user asks for.
    pub(crate) fn handle_request(&mut self, command: &Command) {
        self.names.handle_request(command);
    }

    /// Takes in the answer to a request.
    pub(crate) fn handle_answer(
        &mut self,
        now: Time,
        host: Host,
        answered: &Answered,
        (processes, up): (&Processes, &[Host]),
    ) {
        if !self.relies_on(host, answered) {
            return;
        }
        self.children.handle_answer(host, answered);
        if let (Command::Register { scope, name, process, .. }, Reply::Register(Ok(_))) =
            (&answered.command, &answered.reply)
        {
            self.names.handle_answer(now, answered, processes.goes_on(process));
            let given = (*scope, name.clone(), process.clone());
            self.names.look(now, &given, up.iter().copied());
        }
    }

    /// Returns whether what the node of `host` answered binds the others: nobody else will hear of
    /// what a node promises after it was given up.
    pub(crate) fn relies_on(&self, host: Host, answered: &Answered) -> bool {
        let promises = matches!(answered.reply, Reply::Start(_) | Reply::Register(_));
        !(promises && self.given_up.contains(&host))
    }

    /// Takes in requests that will not be answered, since their node is over.
    pub(crate) fn handle_abandoned(&mut self, commands: &[Command]) {
        self.children.handle_abandoned(commands);
    }

    /// Takes in what happened to the process `number` of `host`, which ran `child`.
    pub(crate) fn handle_process(
        &mut self,
        (host, number): (Host, u64),
        child: Option<ChildId>,
        event: &ProcessEvent,
    ) {
        self.children.handle_process(host, child, event);
        if *event != ProcessEvent::Started {
            self.names.handle_gone(host, number);
        }
    }

    /// Takes in that the process `number` of `host`, which ran `child`, was told to stop.
    pub(crate) fn handle_stop(
        &mut self,
        (host, number): (Host, u64),
        child: Option<ChildId>,
        reason: &StopReason,
        runs: &[Run],
    ) {
        self.children.handle_stop(host, child, reason, runs);
        self.names.handle_gone(host, number);
    }

    /// Takes in that the node of `host` is over, and with it the runs on it; the other nodes know
    /// of the children `known`.
    pub(crate) fn handle_death<'a>(
        &mut self,
        host: Host,
        running: impl Iterator<Item = &'a Run>,
        known: &BTreeSet<ChildId>,
    ) {
        self.children.handle_death(host, running, known);
        self.names.handle_death(host);
    }

    /// Takes in that nobody will ever hear again from the node of `host`, which goes on: nothing is
    /// promised of what none of the others, which know of the children `known`, has heard of.
    pub(crate) fn give_up<'a>(
        &mut self,
        host: Host,
        running: impl Iterator<Item = &'a Run>,
        known: &BTreeSet<ChildId>,
    ) {
        self.handle_death(host, running, known);
        self.given_up.insert(host);
    }

    /// Takes in what the readers of `host` are told, while the nodes of `up` are up.
    pub(crate) fn handle_view(
        &mut self,
        now: Time,
        host: Host,
        change: &ViewChange,
        (processes, up): (&Processes, &[Host]),
    ) {
        let runs = |child| processes.running_child(child).next().is_some();
        self.children.handle_view(Some(host), change, runs);
        self.names.handle_view(now, host, change, up.iter().copied());
    }
}
