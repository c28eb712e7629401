//! Which children must run: those whose start was accepted and that nothing has ended since.

use std::collections::{BTreeMap, BTreeSet};

use ordu_core::{
    ChildId, ChildSpec, Command, MemberStatus, MemberView, Name, ProcessEvent, Reply, Restart,
    StartChildError, StopReason, ViewChange,
};

use crate::host::Host;
use crate::processes::Run;
use crate::requests::Answered;

/// What was promised about children, and what has ended the promise.
///
/// It goes by what the world itself sees, never by what the nodes believe, so that a child that all
/// nodes forgot is missed.
#[derive(Debug, Default)]
pub(crate) struct Children {
    accepted: BTreeMap<ChildId, Accepted>,
    terminated: BTreeSet<ChildId>,
    /// Children of which a run ended as it should.
    finished: BTreeSet<ChildId>,
    /// Children of which a run failed.
    failed: BTreeSet<ChildId>,
    /// Children of which a run died with its node.
    orphaned: BTreeSet<ChildId>,
    /// Children that are told to stop since their node sees too few members.
    halted: BTreeSet<ChildId>,
    /// Children that lost their name to another child or process.
    beaten: BTreeSet<ChildId>,
    names: BTreeMap<ChildId, Name>,
    /// The children of each name.
    named: BTreeMap<Name, BTreeSet<ChildId>>,
    /// Which child, if it is one, the readers of a machine last saw hold a name; under `None` those
    /// of machines that nobody told apart.
    holders: BTreeMap<(Option<Host>, Name), Option<ChildId>>,
    /// Whether any node ever took another one for dead.
    was_suspected: bool,
    seen: BTreeSet<ChildId>,
}

#[derive(Debug)]
struct Accepted {
    spec: ChildSpec,
    /// The only node that is sure to know of it, unless the answer said that there are two.
    origin: Option<Host>,
}

impl Children {
    /// Takes in the answer to a request.
    pub(crate) fn handle_answer(&mut self, host: Host, answered: &Answered) {
        match (&answered.command, &answered.reply) {
            (
                Command::Start { spec, .. }
                | Command::StartOnce { spec, .. }
                | Command::Ensure { spec, .. },
                Reply::Start(Ok(started)),
            ) if !started.found => {
                let origin = (!started.replicated).then_some(host);
                self.accept(started.child, spec, origin);
            }
            (
                Command::Start { spec, .. } | Command::StartOnce { spec, .. },
                Reply::Start(Err(
                    StartChildError::TimedOut { child }
                    | StartChildError::NowhereToRun { child, .. }
                    | StartChildError::NoQuorum { child: Some(child), .. }
                    | StartChildError::Quarantined { child, .. },
                )),
            ) => {
                self.accept(*child, spec, Some(host));
            }
            (Command::Terminate { child, .. }, Reply::Terminate(_)) => {
                self.terminated.insert(*child);
            }
            (_, _) => {}
        }
    }

    /// Takes in requests that will not be answered, since their node is over: whether it carried
    /// them out before, nobody can say.
    pub(crate) fn handle_abandoned(&mut self, commands: &[Command]) {
        for command in commands {
            if let Command::Terminate { child, .. } = command {
                self.terminated.insert(*child);
            }
        }
    }

    /// Takes in what happened to the process on `host` that ran `child`.
    pub(crate) fn handle_process(
        &mut self,
        host: Host,
        child: Option<ChildId>,
        event: &ProcessEvent,
    ) {
        let Some(child) = child else { return };
        if matches!(event, ProcessEvent::Stopped { .. })
            && self.halted.remove(&child)
            && self.is_outshone(child, host)
        {
            self.beaten.insert(child);
        }
        match event {
            ProcessEvent::Exited { failure: None } => self.finished.insert(child),
            ProcessEvent::Ignored => self.terminated.insert(child),
            ProcessEvent::Exited { failure: Some(_) } | ProcessEvent::StartFailed { .. } => {
                self.failed.insert(child)
            }
            ProcessEvent::Started | ProcessEvent::Stopped { .. } => false,
        };
    }

    /// Takes in that the process on `host` that ran `child` was told to stop.
    pub(crate) fn handle_stop(
        &mut self,
        host: Host,
        child: Option<ChildId>,
        reason: &StopReason,
        runs: &[Run],
    ) {
        if let (StopReason::NodeDown, Some(child)) = (reason, child)
            && self.is_outshone(child, host)
        {
            // The node takes a new life, and the process goes with the old one.
            self.beaten.insert(child);
        }
        if let (StopReason::Lapsed, Some(child)) = (reason, child) {
            // As if its node had died: it starts elsewhere if it may, and if its name is free.
            if self.is_outshone(child, host) {
                self.beaten.insert(child);
            }
            self.orphaned.insert(child);
        }
        if let (StopReason::NoQuorum, Some(child)) = (reason, child) {
            // Once it has stopped it starts where there is a quorum, if its name is free there.
            self.halted.insert(child);
        }
        if let (StopReason::Escalated, Some(child)) = (reason, child) {
            self.failed.insert(child);
        }
        let StopReason::Conflict(conflict) = reason else { return };
        let winner = Host::of(conflict.winner.replica.node());
        let is_winner =
            |run: &&Run| Some(run.host) == winner && run.number == conflict.winner.number;
        let winner = runs.iter().rev().find(is_winner).and_then(|run| run.child);
        if let Some(child) = child
            && winner != Some(child)
        {
            self.beaten.insert(child);
        }
    }

    /// Takes in that the node of `host` is over, and with it the runs on it.
    ///
    /// Nothing is promised of a child that none of the other nodes, which know of the children
    /// `known`, has heard of: the last that had may have left, or died, a moment before.
    pub(crate) fn handle_death<'a>(
        &mut self,
        host: Host,
        running: impl Iterator<Item = &'a Run>,
        known: &BTreeSet<ChildId>,
    ) {
        let died = running.filter(|run| run.host == host).filter_map(|run| run.child);
        let died: Vec<ChildId> = died.collect();
        let beaten = died.iter().copied().filter(|&child| self.is_outshone(child, host));
        self.beaten.extend(beaten.collect::<Vec<_>>());
        self.orphaned.extend(died);
        self.holders.retain(|(at, _), _| *at != Some(host));
        self.accepted
            .retain(|child, accepted| accepted.origin != Some(host) && known.contains(child));
    }

    /// Returns whether somebody off `host` sees another holder of the name of `child`: it has lost
    /// a conflict that its own node may not have heard of.
    fn is_outshone(&self, child: ChildId, host: Host) -> bool {
        self.names.get(&child).is_some_and(|name| {
            self.holders.iter().any(|((at, held), holder)| {
                *at != Some(host) && held == name && *holder != Some(child)
            })
        })
    }

    /// Learns the names of children from what the readers of `host` are told.
    ///
    /// Whoever sees a process under a name, sees the children beaten that have the same name and of
    /// which no process runs, or whose last process dies with its node while that is seen; and
    /// whoever takes a node for dead ends its temporary children.
    pub(crate) fn handle_view(
        &mut self,
        host: Option<Host>,
        change: &ViewChange,
        runs: impl Fn(ChildId) -> bool,
    ) {
        if let ViewChange::Member { view, .. } = change {
            let is_there = |view: &MemberView| view.status != MemberStatus::Down;
            self.was_suspected |= !view.as_ref().is_some_and(is_there);
        }
        if let ViewChange::Name { name, holder, .. } = change {
            let at = (host, name.clone());
            match holder {
                Some(holder) => drop(self.holders.insert(at, holder.child)),
                None => drop(self.holders.remove(&at)),
            }
        }
        if let ViewChange::Name { name, holder: Some(holder), .. } = change {
            let named = self.named.get(name).into_iter().flatten();
            let beaten = named.filter(|&&child| holder.child != Some(child) && !runs(child));
            self.beaten.extend(beaten.copied().collect::<Vec<_>>());
        }
        if let ViewChange::Child { child, view, .. } = change {
            self.seen.insert(*child);
            if let Some(name) = view.as_ref().and_then(|view| view.name.clone()) {
                self.name(*child, name);
            }
        }
    }

    /// Returns how many children there have ever been.
    pub(crate) fn children_ever(&self) -> usize {
        self.seen.len()
    }

    /// Returns the name that `child` was started with, if it was with one.
    pub(crate) fn name_of(&self, child: ChildId) -> Option<&Name> {
        self.names.get(&child)
    }

    /// Returns the children that must run, with their kinds.
    pub(crate) fn due(&self) -> impl Iterator<Item = (ChildId, &str)> {
        let due = |(child, accepted): &(&ChildId, &Accepted)| !self.may_end(**child, accepted);
        let kinds = self.accepted.iter().filter(due);
        kinds.map(|(&child, accepted)| (child, accepted.spec.kind.as_str()))
    }

    /// Returns whether there were children with the name, and nothing is promised of any of them
    /// any more.
    pub(crate) fn is_gone(&self, name: &Name) -> bool {
        let has_name = |child: ChildId| self.name_of(child) == Some(name);
        self.named.contains_key(name) && !self.due().any(|(child, _)| has_name(child))
    }

    fn accept(&mut self, child: ChildId, spec: &ChildSpec, origin: Option<Host>) {
        self.seen.insert(child);
        if let Some((_, name)) = &spec.name {
            self.name(child, name.clone());
        }
        self.accepted.insert(child, Accepted { spec: spec.clone(), origin });
    }

    fn name(&mut self, child: ChildId, name: Name) {
        self.named.entry(name.clone()).or_default().insert(child);
        self.names.insert(child, name);
    }

    fn may_end(&self, child: ChildId, accepted: &Accepted) -> bool {
        let by_itself = match accepted.spec.restart {
            Restart::Permanent => false,
            Restart::Transient => self.finished.contains(&child),
            Restart::Temporary => {
                self.was_suspected
                    || [&self.finished, &self.failed, &self.orphaned]
                        .iter()
                        .any(|ended| ended.contains(&child))
            }
        };
        let with_parent = || {
            let parent = accepted.spec.parent.map(|parent| (parent, self.accepted.get(&parent)));
            parent.is_some_and(|(id, known)| known.is_none_or(|known| self.may_end(id, known)))
        };
        by_itself
            || self.terminated.contains(&child)
            || self.beaten.contains(&child)
            || with_parent()
    }
}
