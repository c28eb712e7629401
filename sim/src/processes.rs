//! The model processes, and the record of where and when each really ran.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ordu_core::message::CallFailure;
use ordu_core::{
    Blob, CallId, ChildId, ProcessEvent, ProcessId, Random, Start, StartReason, StopReason, Time,
};

use crate::behaviour::{Behaviour, Replies, Starting};
use crate::event::Event;
use crate::host::Host;
use crate::leases::Leases;
use crate::model::{Make, Own, Panicked};
use crate::network::up_to;
use crate::tenures::Tenures;

/// One run of a process, on true time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Run {
    /// Where it ran.
    pub host: Host,
    /// The process's number there.
    pub number: u64,
    /// The child it ran; `None` for a process without a supervisor.
    pub child: Option<ChildId>,
    /// Its kind.
    pub kind: String,
    /// Why it was started; `None` for a process without a supervisor.
    pub reason: Option<StartReason>,
    /// When it began to run.
    pub started: Time,
    /// Why it was told to stop, if it was.
    pub stop: Option<StopReason>,
    /// When it was gone; `None` while it runs.
    pub ended: Option<Time>,
}

impl Run {
    /// Returns whether it ran at any moment at which `other` ran, too.
    pub fn overlaps(&self, other: &Self) -> bool {
        let ends_before = |a: &Self, b: &Self| a.ended.is_some_and(|ended| ended <= b.started);
        !ends_before(self, other) && !ends_before(other, self)
    }
}

/// A step in the life of a process that time brings about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Turn {
    /// It begins to run.
    Started,
    /// Its start fails.
    StartFailed { reason: String },
    /// Its start says that there is nothing to run.
    Ignored,
    /// It ends by itself.
    Exited { failure: Option<String> },
    /// It has stopped, as told.
    Stopped { forced: bool },
}

/// Steps to plan, each with its delay.
pub(crate) type Plans = Vec<(Duration, Event)>;

/// All processes of a world.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    /// What makes the models of users' kinds.
    models: BTreeMap<String, Make>,
    live: BTreeMap<(Host, u64), Process>,
    /// The runs of each child that have not ended.
    of_child: BTreeMap<ChildId, BTreeSet<usize>>,
    starts: BTreeMap<ChildId, u64>,
    runs: Vec<Run>,
    /// Until when those may run that run under leases.
    pub(crate) leases: Leases,
    /// Who holds names under leases.
    pub(crate) tenures: Tenures,
    rounds: u64,
}

/// A process that starts, runs or stops. `None` in `start` is a process without a supervisor.
#[derive(Debug)]
struct Process {
    start: Option<Start>,
    behaviour: Behaviour,
    /// What a user wrote of it; `None` if all is said by its behaviour.
    own: Option<Own>,
    phase: Phase,
    /// Changes with every change of plans; a turn planned before does not come.
    round: u64,
    total: u64,
    mail: VecDeque<(Blob, Option<CallId>)>,
    run: Option<usize>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Starting,
    Running,
    /// It panicked, and its node is not told yet.
    Failing,
    Stopping {
        until: Time,
    },
}

impl Processes {
    /// Returns that there are none yet; those of the kinds in `models` will be users'.
    pub(crate) fn new(models: BTreeMap<String, Make>) -> Self {
        Self { models, ..Self::default() }
    }

    /// Begins to start a process of a supervisor.
    ///
    /// # Errors
    ///
    /// Says what the node did wrong: no number is started twice, and no child twice on one node.
    pub(crate) fn start(
        &mut self,
        host: Host,
        start: Start,
        behaviour: &Behaviour,
        random: &mut Random,
    ) -> Result<Plans, String> {
        let number = start.number;
        if self.live.contains_key(&(host, number)) {
            return Err(format!("process {number} of {host} is started while it lives"));
        }
        if let Some(twin) = self.number_of(host, start.child) {
            let child = start.child;
            return Err(format!("child {child} starts as {number} on {host}, and is {twin} there"));
        }
        let starts = self.starts.entry(start.child).or_default();
        *starts += 1;
        let soon = up_to(Duration::from_millis(2), random);
        let (delay, turn) = match &behaviour.start {
            Starting::Takes(delay) => (random.jittered(*delay), Turn::Started),
            Starting::FailsOn(which) if which.contains(starts) => (soon, failed("not yet")),
            Starting::FailsOn(_) => (soon, Turn::Started),
            Starting::Never => (soon, failed("never")),
            Starting::Ignores => (soon, Turn::Ignored),
            Starting::Hangs => (start.timeout, failed("the start ran out of time")),
        };
        let (delay, turn) = if delay < start.timeout {
            (delay, turn)
        } else {
            (start.timeout, failed("the start ran out of time"))
        };
        self.rounds += 1;
        let total = start.state.as_ref().unwrap_or(&start.args);
        let process = Process {
            total: number_in(total).unwrap_or(0),
            behaviour: behaviour.clone(),
            own: self.models.get(&start.kind).copied().map(Own::new),
            phase: Phase::Starting,
            round: self.rounds,
            mail: VecDeque::new(),
            run: None,
            start: Some(start),
        };
        let round = process.round;
        self.live.insert((host, number), process);
        Ok(vec![(delay, Event::Process { number, round, turn })])
    }

    /// Lets a process without a supervisor run at once; it is a counter.
    pub(crate) fn run_plain(&mut self, host: Host, number: u64, now: Time) {
        let process = Process {
            start: None,
            behaviour: Behaviour::counter(),
            own: None,
            phase: Phase::Running,
            round: 0,
            total: 0,
            mail: VecDeque::new(),
            run: Some(self.runs.len()),
        };
        self.runs.push(Run {
            host,
            number,
            child: None,
            kind: "counter".to_owned(),
            reason: None,
            started: now,
            stop: None,
            ended: None,
        });
        self.live.insert((host, number), process);
    }

    /// Lets a process that runs end by itself, now.
    pub(crate) fn exit(&mut self, host: Host, number: u64, failure: Option<String>) -> Plans {
        let Some(process) = self.live.get_mut(&(host, number)) else { return Vec::new() };
        if process.phase != Phase::Running {
            return Vec::new();
        }
        self.rounds += 1;
        vec![process.exit(number, self.rounds, failure)]
    }

    /// Tells a process to stop; a second time only hurries it.
    pub(crate) fn stop(
        &mut self,
        host: Host,
        number: u64,
        reason: StopReason,
        grace: Duration,
        now: Time,
    ) -> Plans {
        let Some(process) = self.live.get_mut(&(host, number)) else { return Vec::new() };
        let forced = grace < process.behaviour.stop;
        let delay = process.behaviour.stop.min(grace).max(process.behaviour.blocks);
        if let Phase::Stopping { until } = process.phase
            && until <= now + delay
        {
            return Vec::new();
        }
        process.phase = Phase::Stopping { until: now + delay };
        self.rounds += 1;
        process.round = self.rounds;
        if let Some(run) = process.run {
            self.runs[run].stop = Some(reason);
        }
        let turn = Turn::Stopped { forced };
        vec![(delay, Event::Process { number, round: process.round, turn })]
    }

    /// Hands the state of another to a process. Returns what follows, or `None` if it is not there
    /// to take it.
    pub(crate) fn absorb(&mut self, host: Host, number: u64, state: &Blob) -> Option<Plans> {
        let process = self.live.get_mut(&(host, number))?;
        if let Some(own) = &mut process.own {
            own.model()?;
            let Err(Panicked(text)) = own.absorb(state) else { return Some(Vec::new()) };
            self.rounds += 1;
            return Some(vec![process.fail(number, self.rounds, text)]);
        }
        if process.behaviour.replies == Replies::Count {
            process.total += number_in(state).unwrap_or(0);
        }
        Some(Vec::new())
    }

    /// Brings a message to a process.
    pub(crate) fn deliver(
        &mut self,
        host: Host,
        number: u64,
        payload: Blob,
        call: Option<CallId>,
        random: &mut Random,
    ) -> Plans {
        match self.live.get_mut(&(host, number)) {
            None => answer(number, call, Err(CallFailure::NoProcess), random),
            Some(process) if process.phase == Phase::Running => {
                self.rounds += 1;
                process.hear(number, self.rounds, &payload, call, random)
            }
            Some(process) => {
                process.mail.push_back((payload, call));
                Vec::new()
            }
        }
    }

    /// Lets a planned turn come. Returns what the node is told, and what follows.
    pub(crate) fn handle(
        &mut self,
        host: Host,
        number: u64,
        round: u64,
        turn: Turn,
        now: Time,
        random: &mut Random,
    ) -> (Option<ProcessEvent>, Plans) {
        let key = (host, number);
        if self.live.get(&key).is_none_or(|process| process.round != round) {
            return (None, Vec::new());
        }
        match turn {
            Turn::Started => {
                if let Err(reason) = self.live.get_mut(&key).map_or(Ok(()), Process::prepare) {
                    let plans = self.remove(key, now, random).1;
                    return (Some(ProcessEvent::StartFailed { reason }), plans);
                }
                let plans = self.begin(host, number, now, random);
                (Some(ProcessEvent::Started), plans)
            }
            Turn::StartFailed { reason } => {
                let plans = self.remove(key, now, random).1;
                (Some(ProcessEvent::StartFailed { reason }), plans)
            }
            Turn::Ignored => {
                let plans = self.remove(key, now, random).1;
                (Some(ProcessEvent::Ignored), plans)
            }
            Turn::Exited { failure } => {
                let plans = self.remove(key, now, random).1;
                (Some(ProcessEvent::Exited { failure }), plans)
            }
            Turn::Stopped { forced } => {
                let (mut process, plans) = self.remove(key, now, random);
                let state = if forced { None } else { process.leave_behind() };
                (Some(ProcessEvent::Stopped { state }), plans)
            }
        }
    }

    /// Drops a process whose lease has ended: it is not polled any more, and leaves nothing behind.
    /// Returns what the node is told, and what follows.
    pub(crate) fn drop_shut(
        &mut self,
        host: Host,
        number: u64,
        turn: &Turn,
        now: Time,
        random: &mut Random,
    ) -> (Option<ProcessEvent>, Plans) {
        if !self.lives(host, number) {
            return (None, Vec::new());
        }
        let plans = self.remove((host, number), now, random).1;
        let event = if matches!(turn, Turn::Stopped { .. }) {
            ProcessEvent::Stopped { state: None }
        } else {
            ProcessEvent::Exited { failure: Some("its lease has ended".to_owned()) }
        };
        (Some(event), plans)
    }

    /// Returns whether a process was started and not told to stop.
    pub(crate) fn is_kept_on(&self, host: Host, number: u64) -> bool {
        self.live.get(&(host, number)).is_some_and(|process| match process.phase {
            Phase::Starting | Phase::Running | Phase::Failing => true,
            Phase::Stopping { .. } => false,
        })
    }

    /// Ends every process of `host` without a word.
    pub(crate) fn end_all(&mut self, host: Host, now: Time) {
        self.leases.end_all(host);
        self.tenures.end_all(host);
        let gone: Vec<_> = self.live.range((host, 0)..=(host, u64::MAX)).map(|(&k, _)| k).collect();
        for key in gone {
            let process = self.live.remove(&key).expect("it was just seen");
            self.end_run(&process, now);
        }
    }

    /// Returns every run so far, in the order in which they began.
    pub(crate) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Returns the runs that have not ended.
    pub(crate) fn running(&self) -> impl Iterator<Item = &Run> {
        self.live.values().filter_map(|process| process.run).map(|run| &self.runs[run])
    }

    /// Returns the runs of `child` that have not ended.
    pub(crate) fn running_child(&self, child: ChildId) -> impl Iterator<Item = &Run> {
        self.of_child.get(&child).into_iter().flatten().map(|&run| &self.runs[run])
    }

    /// Returns the sum that a counter has.
    pub(crate) fn total(&self, host: Host, number: u64) -> Option<u64> {
        self.live.get(&(host, number)).map(|process| process.total)
    }

    /// Returns the model that a process runs, if it runs and is a user's.
    pub(crate) fn model(&self, host: Host, number: u64) -> Option<&dyn Any> {
        self.live.get(&(host, number))?.own.as_ref()?.model()
    }

    /// Returns the child that a process runs, if it lives and runs one.
    pub(crate) fn child_of(&self, host: Host, number: u64) -> Option<ChildId> {
        Some(self.live.get(&(host, number))?.start.as_ref()?.child)
    }

    /// Returns whether a process runs and was not told to stop.
    pub(crate) fn goes_on(&self, process: &ProcessId) -> bool {
        let host = Host::of(process.replica.node());
        let process = host.and_then(|host| self.live.get(&(host, process.number)));
        process.is_some_and(|process| process.phase == Phase::Running)
    }

    fn number_of(&self, host: Host, child: ChildId) -> Option<u64> {
        let runs = |process: &Process| process.start.as_ref().is_some_and(|s| s.child == child);
        let mut on_host = self.live.range((host, 0)..=(host, u64::MAX));
        on_host.find(|(_, process)| runs(process)).map(|(&(_, number), _)| number)
    }

    fn begin(&mut self, host: Host, number: u64, now: Time, random: &mut Random) -> Plans {
        let process = self.live.get_mut(&(host, number)).expect("a starting process lives");
        let start = process.start.as_ref().expect("only a supervisor's process starts");
        assert!(process.phase == Phase::Starting, "a process starts once");
        process.phase = Phase::Running;
        process.run = Some(self.runs.len());
        self.of_child.entry(start.child).or_default().insert(self.runs.len());
        self.runs.push(Run {
            host,
            number,
            child: Some(start.child),
            kind: start.kind.clone(),
            reason: Some(start.reason),
            started: now,
            stop: None,
            ended: None,
        });
        let mut plans = Vec::new();
        if let Some((life, failure)) = process.behaviour.life.clone() {
            let turn = Turn::Exited { failure };
            plans.push((life, Event::Process { number, round: process.round, turn }));
        }
        while process.phase == Phase::Running
            && let Some((payload, call)) = process.mail.pop_front()
        {
            self.rounds += 1;
            plans.extend(process.hear(number, self.rounds, &payload, call, random));
        }
        plans
    }

    fn remove(&mut self, key: (Host, u64), now: Time, random: &mut Random) -> (Process, Plans) {
        let mut process = self.live.remove(&key).expect("only a live process ends");
        self.leases.end(key.0, key.1);
        self.tenures.end(key.0, key.1);
        self.end_run(&process, now);
        let mut plans = Vec::new();
        for (_, call) in process.mail.drain(..) {
            plans.extend(answer(key.1, call, Err(CallFailure::Ended), random));
        }
        (process, plans)
    }

    fn end_run(&mut self, process: &Process, now: Time) {
        let Some(run) = process.run else { return };
        self.runs[run].ended = Some(now);
        if let Some(child) = self.runs[run].child
            && let Some(runs) = self.of_child.get_mut(&child)
        {
            runs.remove(&run);
            if runs.is_empty() {
                self.of_child.remove(&child);
            }
        }
    }

    /// Returns whether a process of that number starts, runs or stops on `host`.
    pub(crate) fn lives(&self, host: Host, number: u64) -> bool {
        self.live.contains_key(&(host, number))
    }
}

impl Process {
    /// Starts what a user wrote of it.
    fn prepare(&mut self) -> Result<(), String> {
        let (Some(own), Some(start)) = (&mut self.own, &self.start) else { return Ok(()) };
        own.start(&start.args, start.state.as_ref())
    }

    /// Takes a message in, at the cost of a round; returns the answer, and the end if it was that.
    fn hear(
        &mut self,
        number: u64,
        round: u64,
        payload: &Blob,
        call: Option<CallId>,
        random: &mut Random,
    ) -> Plans {
        let Some(own) = &mut self.own else {
            let result = self.reply(payload);
            return answer(number, call, result, random);
        };
        match own.handle(payload) {
            Ok(result) => answer(number, call, result, random),
            Err(Panicked(text)) => {
                let mut plans = answer(number, call, Err(CallFailure::Ended), random);
                plans.push(self.fail(number, round, text));
                plans
            }
        }
    }

    /// Returns what it leaves behind as it stops.
    fn leave_behind(&mut self) -> Option<Blob> {
        let has_run = self.run.is_some();
        match &mut self.own {
            Some(own) if has_run => own.stop(),
            // It never ran, so what it was to start from is what it leaves behind.
            Some(_) => self.start.take()?.state,
            None => {
                let counted = self.behaviour.replies == Replies::Count && has_run;
                counted.then(|| Blob::from(self.total.to_string().as_str()))
            }
        }
    }

    fn fail(&mut self, number: u64, round: u64, text: String) -> (Duration, Event) {
        self.phase = Phase::Failing;
        self.exit(number, round, Some(text))
    }

    fn exit(&mut self, number: u64, round: u64, failure: Option<String>) -> (Duration, Event) {
        self.round = round;
        let turn = Turn::Exited { failure };
        (Duration::ZERO, Event::Process { number, round, turn })
    }

    fn reply(&mut self, payload: &Blob) -> Result<Blob, CallFailure> {
        match self.behaviour.replies {
            Replies::None => Err(CallFailure::Malformed),
            Replies::Echo => Ok(payload.clone()),
            Replies::Count => {
                let number = number_in(payload).ok_or(CallFailure::Malformed)?;
                self.total += number;
                Ok(Blob::from(self.total.to_string().as_str()))
            }
        }
    }
}

/// Returns the decimal number that `bytes` spell.
pub(crate) fn number_in(bytes: &Blob) -> Option<u64> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

fn failed(reason: &str) -> Turn {
    Turn::StartFailed { reason: reason.to_owned() }
}

fn answer(
    number: u64,
    call: Option<CallId>,
    result: Result<Blob, CallFailure>,
    random: &mut Random,
) -> Plans {
    let Some(call) = call else { return Vec::new() };
    vec![(up_to(Duration::from_millis(2), random), Event::Answer { number, call, result })]
}
