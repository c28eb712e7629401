//! What really ran where, by the processes' own word, and what users were promised.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use madsim::time::TimeHandle;
use ordu::{
    ChildId, Event, Found, MemberStatus, Name, NameEvent, ProcessId, StartReason, StopReason, Time,
};
use ordu_core::{Command, Holder, MemberView, ProcessEvent, Reply, ViewChange};

use crate::mad::Log;
use crate::mad::cluster::Told;
use crate::oracle::Oracle;
use crate::requests::{Answered, scope};
use crate::run::Tally;
use crate::verdict::{Class, Violation};
use crate::{Host, Run};

/// How much later than its deadline an answer may come.
const LATE_MAX: Duration = Duration::from_millis(100);

thread_local! {
    /// The ledger of the simulation that this thread is: nodes make processes by themselves, so
    /// that nothing else could be given to them.
    static CURRENT: RefCell<Option<Ledger>> = const { RefCell::new(None) };
}

/// The ledger of one simulation; a clone is of the same.
#[derive(Clone)]
pub(crate) struct Ledger {
    pages: Arc<Mutex<Pages>>,
    log: Log,
}

/// What is in a ledger.
#[derive(Default)]
pub(crate) struct Pages {
    /// Every run that there was, in the order of their starts.
    pub(crate) runs: Vec<Run>,
    pub(crate) oracle: Oracle,
    /// What whoever applied every change of the names has, per machine.
    pub(crate) shown: BTreeMap<Host, BTreeMap<Name, Found>>,
    /// The ids of the plan's children and processes, as far as they were accepted.
    pub(crate) children: BTreeMap<u32, ChildId>,
    pub(crate) processes: BTreeMap<u32, ProcessId>,
    pub(crate) tally: Tally,
    /// Machines whose nodes have ended by themselves.
    pub(crate) over: BTreeSet<Host>,
    pub(crate) violation: Option<Violation>,
    now: Time,
    /// Processes that are in memory, and their runs once they have started.
    present: BTreeMap<ProcessId, (Option<ChildId>, Option<usize>)>,
    /// Every process that there ever was.
    ever: BTreeSet<ProcessId>,
    starts: BTreeMap<ChildId, u64>,
    open: BTreeMap<u64, Open>,
    asked: u64,
    /// When a machine was last frozen, thawed, killed or over: whoever asked it before has an
    /// excuse for a late answer.
    disturbed: BTreeMap<Host, Time>,
}

struct Open {
    host: Host,
    command: Command,
    at: Time,
    until: Time,
}

impl Ledger {
    /// Opens the ledger of this thread.
    pub(crate) fn open(log: &Log) -> Self {
        let ledger = Self { pages: Arc::default(), log: log.clone() };
        CURRENT.with_borrow_mut(|current| *current = Some(ledger.clone()));
        ledger
    }

    /// Returns the ledger of this thread.
    ///
    /// # Panics
    ///
    /// Panics if none was opened.
    pub(crate) fn current() -> Self {
        CURRENT.with_borrow(Clone::clone).expect("a run opens its ledger first")
    }

    /// Returns what is in it, locked; never held across a wait.
    ///
    /// # Panics
    ///
    /// Panics outside a simulation.
    pub(crate) fn pages(&self) -> MutexGuard<'_, Pages> {
        let mut pages = self.pages_as_they_are();
        pages.now = Time::ZERO + TimeHandle::current().elapsed();
        pages
    }

    /// As [`pages`](Self::pages), but the time there is the last that anybody wrote at: what is
    /// dropped may be dropped after the end of the simulation.
    fn pages_as_they_are(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes that a process begins to start.
    pub(crate) fn begin(
        &self,
        process: &ProcessId,
        child: Option<ChildId>,
        kind: &str,
        reason: StartReason,
    ) -> Presence {
        self.log.note(format_args!("{process} starts as {kind} of {child:?}: {reason:?}"));
        let mut pages = self.pages();
        // What was frozen for a winner that went away goes on as what it was.
        if !pages.ever.insert(process.clone()) && reason != StartReason::Resumed {
            pages.violate(Class::Safety, "S17", format!("{process} starts twice"));
        }
        let is_twin = |(other, (of, _)): &(&ProcessId, &(Option<ChildId>, Option<usize>))| {
            *of == child && other.replica == process.replica
        };
        if child.is_some()
            && let Some((twin, _)) = pages.present.iter().find(is_twin)
        {
            let reason = format!("{process} starts for {child:?}, which {twin} still runs");
            pages.violate(Class::Safety, "S17", reason);
        }
        pages.present.insert(process.clone(), (child, None));
        let run = Run {
            host: Host::of(process.replica.node()).expect("nodes are called as hosts"),
            number: process.number,
            child,
            kind: kind.to_owned(),
            reason: child.map(|_| reason),
            started: pages.now,
            stop: None,
            ended: None,
        };
        Presence { ledger: self.clone(), process: process.clone(), run }
    }

    /// Returns which start of `child` this is, the first being 1.
    pub(crate) fn count_start(&self, child: ChildId) -> u64 {
        let mut pages = self.pages();
        let starts = pages.starts.entry(child).or_default();
        *starts += 1;
        *starts
    }

    /// Writes what whoever listens to the node of `host` is told.
    pub(crate) fn hear(&self, host: Host, told: &Told) {
        let mut pages = self.pages();
        match told {
            Told::Event(Event::MemberDown { replica, .. }) => {
                pages.tally.downs += 1;
                pages.suspect(replica.node());
            }
            Told::Event(Event::MemberRetired { replica }) => pages.suspect(replica.node()),
            // The rest says nothing of what users may expect.
            Told::Event(_) => {}
            Told::Name(event) => pages.show(host, event),
            Told::Over => {
                pages.over.insert(host);
                pages.end_all(host);
            }
        }
    }

    /// Writes that a user asks something of the node on `host`, and returns the request's number.
    pub(crate) fn ask(&self, host: Host, command: &Command, timeout: Duration) -> u64 {
        let mut pages = self.pages();
        pages.oracle.handle_request(command);
        pages.asked += 1;
        let (ticket, at) = (pages.asked, pages.now);
        let open = Open { host, command: command.clone(), at, until: at + timeout };
        pages.open.insert(ticket, open);
        self.log.note(format_args!("{host} is asked {ticket}: {command:?}"));
        ticket
    }

    /// Writes the answer to a request; `None` if there was no one to answer.
    pub(crate) fn answer(&self, ticket: u64, reply: Option<Reply>) {
        self.log.note(format_args!("request {ticket} is answered {reply:?}"));
        let mut pages = self.pages();
        let now = pages.now;
        pages.tally.answers += 1;
        let open = pages.open.remove(&ticket).expect("each request is answered once");
        let was_disturbed = pages.was_disturbed(&open);
        if open.until + LATE_MAX < now && !was_disturbed {
            let late = now.since(open.until);
            let reason = format!("{:?} of {} is answered {late:?} late", open.command, open.host);
            pages.violate(Class::Liveness, "L11", reason);
        }
        let Some(reply) = reply else { return };
        let answered = Answered { command: open.command, reply };
        if !pages.oracle.relies_on(open.host, &answered) {
            return;
        }
        if let Command::Register { process, .. } = &answered.command {
            let runs = pages.goes_on(process);
            pages.oracle.names.handle_answer(now, &answered, runs);
        }
        // Who died since it answered may have been the only one to know.
        if !was_disturbed || !matches!(answered.reply, Reply::Start(_)) {
            pages.oracle.children.handle_answer(open.host, &answered);
        }
    }
}

impl Pages {
    /// Writes that a promise was broken; the first one counts.
    pub(crate) fn violate(&mut self, class: Class, promise: &str, reason: String) {
        let (promise, at_us) = (promise.to_owned(), self.now.as_micros());
        self.violation.get_or_insert(Violation { class, promise, reason, at_us });
    }

    /// Takes in that `host` is frozen or goes on.
    pub(crate) fn disturb(&mut self, host: Host) {
        self.disturbed.insert(host, self.now);
    }

    /// Takes in that `host` is dead, while the other nodes know of the children `known`.
    pub(crate) fn handle_death(&mut self, host: Host, known: &BTreeSet<ChildId>) {
        self.disturb(host);
        self.shown.remove(&host);
        let running: Vec<Run> = self.running().cloned().collect();
        self.oracle.handle_death(host, running.iter(), known);
        self.end_all(host);
        let lost: Vec<Command> = self
            .open
            .values()
            .filter(|open| open.host == host)
            .map(|open| open.command.clone())
            .collect();
        self.oracle.handle_abandoned(&lost);
    }

    /// Takes in that nothing is promised any more of what `host` alone knew, the other nodes
    /// knowing of the children `known`.
    pub(crate) fn give_up(&mut self, host: Host, known: &BTreeSet<ChildId>) {
        let running: Vec<Run> = self.running().cloned().collect();
        self.oracle.give_up(host, running.iter(), known);
    }

    /// Iterates over the runs that go on.
    pub(crate) fn running(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| run.ended.is_none())
    }

    /// Returns whether `process` runs.
    pub(crate) fn runs_process(&self, process: &ProcessId) -> bool {
        self.run_of(process).is_some_and(|run| run.ended.is_none())
    }

    /// Returns what `process` ran as, once it had started.
    pub(crate) fn run_of(&self, process: &ProcessId) -> Option<&Run> {
        let (_, run) = self.present.get(process)?;
        run.map(|run| &self.runs[run])
    }

    /// Returns a request to a node of `core` that is not answered.
    pub(crate) fn unanswered(&self, core: &BTreeSet<Host>) -> Option<String> {
        let open = self.open.values().find(|open| core.contains(&open.host))?;
        Some(format!("{} has not answered {:?}", open.host, open.command))
    }

    /// Takes in that a reader sees `found` under `name`.
    pub(crate) fn see(&mut self, name: &Name, found: &Found) {
        let Found { process, child, value, token } = found.clone();
        let holder = Some(Holder { process, child, value, token });
        let (name, loss) = (name.clone(), None);
        self.take_view(&ViewChange::Name { scope: scope(), name, holder, loss });
    }

    fn take_view(&mut self, change: &ViewChange) {
        let runs = &self.runs;
        let runs = |child| runs.iter().any(|run| run.ended.is_none() && run.child == Some(child));
        self.oracle.children.handle_view(None, change, runs);
    }

    /// Takes in that somebody takes `node` for dead, or for gone.
    fn suspect(&mut self, node: &ordu::NodeId) {
        let view: Option<MemberView> = None;
        self.take_view(&ViewChange::Member { node: node.clone(), view });
    }

    fn show(&mut self, host: Host, event: &NameEvent) {
        let shown = self.shown.entry(host).or_default();
        match event {
            NameEvent::Snapshot { names, .. } => *shown = names.iter().cloned().collect(),
            NameEvent::Registered { name, found }
            | NameEvent::Moved { name, found, .. }
            | NameEvent::Updated { name, found } => {
                shown.insert(name.clone(), found.clone());
                self.see(name, found);
            }
            NameEvent::Freed { name, .. } => {
                shown.remove(name);
            }
            other => unreachable!("{other:?} is new"),
        }
    }

    /// Ends whatever runs on `host`: its machine is dead, or its node over.
    fn end_all(&mut self, host: Host) {
        self.disturb(host);
        let now = self.now;
        for run in self.runs.iter_mut().filter(|run| run.host == host) {
            run.ended.get_or_insert(now);
        }
        self.present.retain(|process, _| Host::of(process.replica.node()) != Some(host));
    }

    fn goes_on(&self, process: &ProcessId) -> bool {
        self.run_of(process).is_some_and(|run| run.ended.is_none() && run.stop.is_none())
    }

    fn was_disturbed(&self, open: &Open) -> bool {
        self.disturbed.get(&open.host).is_some_and(|&at| open.at <= at)
    }
}

/// That a process is in memory; dropped with it.
pub(crate) struct Presence {
    ledger: Ledger,
    process: ProcessId,
    run: Run,
}

impl Presence {
    /// Writes that the process has started.
    pub(crate) fn run(&mut self) {
        let Self { ledger, process, run } = self;
        ledger.log.note(format_args!("{process} runs"));
        let mut pages = ledger.pages();
        pages.tally.processes += 1;
        let at = pages.runs.len();
        // Whoever is not present any more was killed a moment ago.
        let Some((_, number)) = pages.present.get_mut(process) else { return };
        *number = Some(at);
        let started = pages.now;
        pages.runs.push(Run { started, ..run.clone() });
    }

    /// Writes that the process ends by itself.
    pub(crate) fn exit(&mut self, failure: Option<String>) {
        self.ledger.log.note(format_args!("{} ends by itself: {failure:?}", self.process));
        let event = ProcessEvent::Exited { failure };
        self.ledger.pages().oracle.handle_process(self.place(), self.run.child, &event);
    }

    /// Writes that the process was told to stop.
    pub(crate) fn stop(&mut self, reason: &StopReason) {
        self.ledger.log.note(format_args!("{} is to stop: {reason:?}", self.process));
        let (place, child) = (self.place(), self.run.child);
        let mut pages = self.ledger.pages();
        let Pages { oracle, runs, present, tally, .. } = &mut *pages;
        oracle.handle_stop(place, child, reason, runs);
        tally.conflicts += u64::from(matches!(reason, StopReason::Conflict(_)));
        if let Some((_, Some(run))) = present.get(&self.process) {
            runs[*run].stop = Some(reason.clone());
        }
    }

    fn place(&self) -> (Host, u64) {
        (self.run.host, self.run.number)
    }
}

impl Drop for Presence {
    /// Writes that the process is gone, however it went.
    fn drop(&mut self) {
        let place = self.place();
        let mut pages = self.ledger.pages_as_they_are();
        let Some((_, run)) = pages.present.remove(&self.process) else { return };
        let now = pages.now;
        if let Some(run) = run {
            pages.runs[run].ended = Some(now);
        }
        pages.oracle.names.handle_gone(place.0, place.1);
    }
}

/// Returns whether `status` is of a member that lives.
pub(crate) fn is_alive(status: Option<&MemberStatus>) -> bool {
    status == Some(&MemberStatus::Alive)
}
