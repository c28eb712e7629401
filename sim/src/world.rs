//! A whole cluster in one thread, on one seed: its true time, and the loop that moves it on.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ordu_core::{
    Address, Config, Event as NodeEvent, ExitReason, Input, Node, Output, Random, Reply, Time,
    ViewChange, wire,
};

use crate::behaviour::Behaviour;
use crate::builder::WorldBuilder;
use crate::clock::Clock;
use crate::electorates::Electorates;
use crate::event::{Due, Event, Queue};
use crate::host::Host;
use crate::invariants::{Broken, Watch};
use crate::machine::{Machine, MachineMaker};
use crate::marks::Sightings;
use crate::network::Links;
use crate::oracle::Oracle;
use crate::pace::Pace;
use crate::processes::Processes;
use crate::recording::Recording;
use crate::requests::Requests;
use crate::sessions::Sessions;
use crate::trace::Trace;
use crate::verdict::{Class, Violation};
use crate::view::View;

/// Most outputs that one input may cause, beside those for every child it may concern.
const OUTPUTS_MAX: usize = 1_000;
/// Most outputs that one input may cause for each child there is.
const OUTPUTS_PER_CHILD_MAX: usize = 16;
/// Most times that a node may ask to be woken at one moment.
const WAKES_MAX: u32 = 100;
/// Most rounds of events at one moment.
const ROUNDS_MAX: u32 = 10_000;
/// How old a reading of the wall clock may be before the next input brings a newer one.
const WALL_AGE_MAX: Duration = Duration::from_millis(50);

/// A cluster, its network, its clocks and its processes.
///
/// Everything happens in one thread and on virtual time, and follows from one seed. Controls
/// (`kill`, `partition` …) take effect at once; time passes only in [`World::run_for`],
/// [`World::run_until`] and in the calls that wait for an answer.
///
/// Checks what must always hold after every step, and panics with the seed where it does not. A
/// world that is dropped by a panic prints its seed, how to run it again, and its last happenings.
pub struct World {
    pub(crate) seed: u64,
    pub(crate) now: Time,
    pub(crate) random: Random,
    pub(crate) hosts: BTreeMap<Host, HostState>,
    pub(crate) queue: Queue,
    pub(crate) links: Links,
    pub(crate) sessions: Sessions,
    pub(crate) processes: Processes,
    pub(crate) requests: Requests,
    pub(crate) oracle: Oracle,
    pub(crate) behaviours: BTreeMap<String, Behaviour>,
    pub(crate) maker: MachineMaker,
    pub(crate) trace: Trace,
    pub(crate) events: Vec<(Time, Host, NodeEvent)>,
    pub(crate) electorates: Electorates,
    pub(crate) rounds: u32,
    pub(crate) watch: Watch,
    pub(crate) sightings: Sightings,
    /// When which machine lost its node.
    pub(crate) deaths: Vec<(Host, Time)>,
    /// The promise whose breach ended the run, if one did.
    pub(crate) violation: RefCell<Option<Violation>>,
}

/// A machine and what runs on it.
pub(crate) struct HostState {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    /// Counts the starts of its node; 0 before the first.
    pub(crate) life: u64,
    pub(crate) node: Option<Running>,
    /// Why there is no node.
    pub(crate) absence: Absence,
    pub(crate) paused: bool,
    /// Until when the whole machine sleeps, if it does; it is paused, too.
    pub(crate) asleep_until: Option<Time>,
    pub(crate) pace: Pace,
    /// Since when, or from when on, it is done with the last thing it did at its pace.
    pub(crate) free_at: Time,
    /// What befell it while it was paused or busy, with when it did.
    pub(crate) waiting: VecDeque<(Time, Due)>,
}

/// Why a machine runs no node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Absence {
    /// It does not listen, and says so to whoever dials.
    Refusing,
    /// It says nothing at all.
    Silent,
}

/// One life of a node.
pub(crate) struct Running {
    pub(crate) machine: Box<dyn Machine>,
    /// When it wants to be woken, on true time.
    pub(crate) wake: Option<Time>,
    pub(crate) wakes_at: (Time, u32),
    pub(crate) wall_read: Option<Time>,
    pub(crate) unflushed: bool,
    /// The addresses it dials, with the number of attempts so far.
    pub(crate) dials: BTreeMap<Address, u32>,
    /// The peers it was told it has a session with, and which.
    pub(crate) peers: BTreeMap<Host, u64>,
    pub(crate) view: View,
    pub(crate) exit: Option<ExitReason>,
    pub(crate) recording: Recording,
}

impl World {
    /// Returns a cluster of `hosts` nodes on a LAN, all of which know each other.
    ///
    /// # Panics
    ///
    /// Panics if they do not all know each other within ten seconds.
    pub fn new(seed: u64, hosts: u16) -> Self {
        Self::builder(seed, hosts).joined()
    }

    /// Returns a builder of a cluster of `hosts` nodes.
    pub fn builder(seed: u64, hosts: u16) -> WorldBuilder {
        WorldBuilder::new(seed, hosts)
    }

    /// Returns the seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns how much true time has passed since the start.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Returns a hash of everything that happened and of every node's state: equal for equal seeds.
    pub fn trace_hash(&self) -> u64 {
        let states: Vec<(u16, u64)> = self
            .hosts
            .iter()
            .filter_map(|(host, state)| Some((host.number(), state.node.as_ref()?)))
            .map(|(number, running)| (number, running.machine.state_hash()))
            .collect();
        ordu_core::hash64_seeded(&wire::encode(&states), self.trace.hash())
    }

    /// Lets `duration` pass.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step(end) {}
        assert!(self.now == end, "time goes on to the end");
    }

    /// Lets time pass until `condition` holds, but `within` at most. Returns whether it holds.
    pub fn run_until(
        &mut self,
        within: Duration,
        mut condition: impl FnMut(&Self) -> bool,
    ) -> bool {
        let end = self.now + within;
        loop {
            if condition(self) {
                return true;
            }
            if !self.step(end) {
                return condition(self);
            }
        }
    }

    /// Stops the test: the world is not as it must be.
    ///
    /// # Panics
    ///
    /// Always, with `reason` and the seed.
    #[track_caller]
    pub fn fail(&self, reason: impl std::fmt::Display) -> ! {
        self.violate(Class::Safety, "test", reason)
    }

    /// Stops the run: the promise `promise` is broken.
    #[track_caller]
    pub(crate) fn violate(&self, class: Class, promise: &str, reason: impl std::fmt::Display) -> ! {
        let reason = reason.to_string();
        let shown = format!("{promise}: {reason}; at {} of seed {}", self.now, self.seed);
        let (promise, at_us) = (promise.to_owned(), self.now.as_micros());
        *self.violation.borrow_mut() = Some(Violation { class, promise, reason, at_us });
        panic!("{shown}")
    }

    #[track_caller]
    pub(crate) fn hold(&self, finding: Result<(), Broken>) {
        if let Err(Broken { promise, reason }) = finding {
            self.violate(promise.class, promise.id, reason);
        }
    }

    /// Does what is next, if it is due by `end`; else moves on to `end` and returns false.
    fn step(&mut self, end: Time) -> bool {
        if self.flush() {
            return true;
        }
        let wake = self.hosts.values().filter_map(HostState::done_at).min();
        let next = self.queue.next_at().into_iter().chain(wake).min();
        let Some(next) = next.filter(|&next| next <= end) else {
            self.now = end;
            self.check_step();
            return false;
        };
        if self.now < next {
            self.now = next;
            self.rounds = 0;
        }
        self.rounds += 1;
        if self.rounds > ROUNDS_MAX {
            self.violate(
                Class::Bounds,
                "S32",
                "time stands still: events cause each other without end",
            );
        }
        for due in self.queue.take_until(self.now) {
            self.befall(due);
        }
        self.work();
        self.check_step();
        true
    }

    /// Tells every node that was fed that this was all for now. Returns whether there was any.
    fn flush(&mut self) -> bool {
        let unflushed = |(&host, state): (&Host, &HostState)| {
            state.node.as_ref().is_some_and(|running| running.unflushed).then_some(host)
        };
        let hosts: Vec<Host> = self.hosts.iter().filter_map(unflushed).collect();
        for &host in &hosts {
            self.feed(host, Input::Flush);
            if let Some(running) = &mut self.state_mut(host).node {
                running.unflushed = false;
            }
        }
        !hosts.is_empty()
    }

    /// Wakes the nodes that want to be woken, and lets slow ones go on with what waits.
    fn work(&mut self) {
        let now = self.now;
        let due = |(&host, state): (&Host, &HostState)| {
            state.done_at().is_some_and(|at| at <= now).then_some(host)
        };
        for host in self.hosts.iter().filter_map(due).collect::<Vec<_>>() {
            if let Some(due) = self.state_mut(host).take_waiting(now) {
                self.carry_out(due);
                continue;
            }
            let running = self.state_mut(host).node.as_mut().expect("only a node wakes");
            let (at, wakes) = running.wakes_at;
            let wakes = if at == now { wakes + 1 } else { 1 };
            running.wakes_at = (now, wakes);
            let timeout = running.machine.poll_timeout();
            if wakes > WAKES_MAX {
                let reason = format!("{host} is woken, and its timer stays at {timeout:?}");
                self.violate(Class::Bounds, "S32", reason);
            }
            self.feed(host, Input::Tick);
        }
    }

    /// Lets an event happen, unless its host is frozen or busy, or lives another life by now.
    fn befall(&mut self, due: Due) {
        let state = self.hosts.get_mut(&due.host).expect("events are planned for known hosts");
        if due.life.is_some_and(|life| life != state.life) || state.node.is_none() {
            return;
        }
        if let Event::Resume = due.event {
            return self.resume(due.host);
        }
        if state.paused || (state.is_up() && !state.pace.is_full()) {
            state.keep_waiting(self.now, due);
        } else {
            self.carry_out(due);
        }
    }

    fn carry_out(&mut self, due: Due) {
        let host = due.host;
        match due.event {
            Event::Attempt { address } => self.attempt(host, address),
            Event::Refused { address } => self.feed(host, Input::Refused { address }),
            Event::Meet { address, target, target_life } => {
                self.meet(host, address, target, target_life);
            }
            Event::Opened { session, peer } => self.opened(host, session, peer),
            Event::Closed { session, peer } => self.closed(host, session, peer),
            Event::Frame { session, from, frame } => self.arrive(host, session, from, &frame),
            Event::Hoarded { from, frame } => self.arrive_late(host, from, &frame),
            Event::Resume => self.resume(host),
            Event::Stored { number, record } => self.stored(host, number, *record),
            Event::Process { number, round, turn } => {
                let child = self.processes.child_of(host, number);
                let (now, is_shut) = (self.now, self.is_shut(host, number));
                let (processes, random) = (&mut self.processes, &mut self.random);
                let (event, plans) = if is_shut {
                    processes.drop_shut(host, number, &turn, now, random)
                } else {
                    processes.handle(host, number, round, turn, now, random)
                };
                self.plan_all(host, plans);
                if let Some(event) = event {
                    self.oracle.handle_process((host, number), child, &event);
                    self.feed(host, Input::Process { number, event });
                }
            }
            Event::Answer { number, call, result } => {
                let alive = self.processes.lives(host, number);
                let result = match result {
                    Ok(_) if !alive => Err(ordu_core::message::CallFailure::Ended),
                    result => result,
                };
                self.feed(host, Input::Answer { call, result });
            }
        }
    }

    /// Tells a node something, after the time on the wall if it has not looked for a while.
    pub(crate) fn feed(&mut self, host: Host, input: Input) {
        let now = self.now;
        let Some(running) = &mut self.state_mut(host).node else { return };
        if running.wall_read.is_none_or(|read| read + WALL_AGE_MAX <= now) {
            running.wall_read = Some(now);
            let wall = self.state(host).clock.wall(now);
            self.feed_one(host, Input::Wall(wall));
        }
        self.feed_one(host, input);
    }

    fn feed_one(&mut self, host: Host, input: Input) {
        let now = self.now;
        let children = self.oracle.children.children_ever();
        let state = self.hosts.get_mut(&host).expect("only known hosts are fed");
        let local = state.clock.local(now);
        if state.node.as_ref().is_none_or(|running| running.exit.is_some()) {
            return;
        }
        self.watch(host, |watch, scene| watch.handle_input(scene, &input));
        self.trace.input(now, host, &input);
        let running = self.running_mut(host);
        running.recording.input(local, &input, &*running.machine);
        running.unflushed = true;
        running.machine.handle(local, input.clone());

        let mut outputs = Vec::new();
        while let Some(output) = self.running_mut(host).machine.poll_output() {
            let hash = self.trace.output(now, host, &output);
            self.running_mut(host).recording.output(hash);
            outputs.push(output);
            if outputs.len() > OUTPUTS_MAX + OUTPUTS_PER_CHILD_MAX * children {
                let reason = format!("one input made {host} ask for over {} things", outputs.len());
                self.violate(Class::Bounds, "S28", reason);
            }
        }
        let state = self.state_mut(host);
        let running = state.node.as_mut().expect("it just handled an input");
        running.recording.done();
        running.wake = running.machine.poll_timeout().map(|(at, _)| state.clock.when(at));
        for output in outputs {
            self.sightings.handle_output(&output);
            self.watch(host, |watch, scene| watch.handle_output(scene, &output));
            self.perform(host, output);
        }
        self.watch(host, |watch, scene| watch.handle_step(scene, &input));
        self.check_leases(host);
        self.check_tenures(host);
    }

    /// Iterates over the nodes that are not over, frozen ones too, each with its machine and the
    /// number of its life.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (Host, u64, &Node)> {
        self.hosts.iter().filter_map(|(&host, state)| {
            let running = state.node.as_ref().filter(|running| running.exit.is_none())?;
            Some((host, state.life, running.machine.node()?))
        })
    }

    /// Does what a node asks for.
    pub(crate) fn perform(&mut self, host: Host, output: Output) {
        match output {
            Output::Send { to, envelope } => self.send(host, &to, &envelope),
            Output::Dial { address } => self.dial(host, address),
            Output::HangUp { address } => {
                self.running_mut(host).dials.remove(&address);
            }
            Output::Disconnect { peer } => self.disconnect(host, &peer),
            Output::Start(start) => self.start_process(host, start),
            Output::Stop { number, reason, grace } => {
                let child = self.processes.child_of(host, number);
                self.end_tenures(host, number, &reason);
                self.oracle.handle_stop((host, number), child, &reason, self.processes.runs());
                let plans = self.processes.stop(host, number, reason, grace, self.now);
                self.plan_all(host, plans);
            }
            Output::Absorb { number, state } => {
                let Some(plans) = self.processes.absorb(host, number, &state) else {
                    let remark = format!("state for process {number} comes too late");
                    return self.trace.remark(self.now, Some(host), &remark);
                };
                self.plan_all(host, plans);
            }
            Output::Renew { until, but } => {
                self.renew_leases(host, until, &but);
                self.renew_tenures(host, until, &but);
            }
            Output::Hold { number, scope, name, lease } => {
                self.take_hold(host, number, (scope, name), lease);
            }
            Output::Persist { number, record } => self.store(host, number, record),
            Output::Deliver { number, payload, call } => {
                let plans = self.processes.deliver(host, number, payload, call, &mut self.random);
                self.plan_all(host, plans);
            }
            Output::Reply { ticket, reply } => self.take_reply(host, ticket, reply),
            Output::View(change) => {
                if let ViewChange::Child { scope, child, view: None } = &change {
                    self.processes.leases.forget((*scope, *child));
                }
                let up = self.up();
                self.oracle.handle_view(self.now, host, &change, (&self.processes, &up));
                self.running_mut(host).view.handle(change);
            }
            Output::Event(event) => {
                if let NodeEvent::VotersChanged { electorate } = &event {
                    self.check_electorate(host, electorate);
                }
                self.events.push((self.now, host, event));
            }
            Output::Exit(reason) => self.exit(host, reason),
        }
    }

    fn start_process(&mut self, host: Host, start: ordu_core::Start) {
        let Some(behaviour) = self.behaviours.get(&start.kind) else {
            self.fail(format!("{host} starts the unknown kind {:?}", start.kind));
        };
        if !self.state(host).config.kinds.contains(&start.kind) {
            self.fail(format!("{host} starts kind {:?}, which it has no code for", start.kind));
        }
        let begun = start.clone();
        match self.processes.start(host, start, behaviour, &mut self.random) {
            Ok(plans) => self.plan_all(host, plans),
            Err(wrong) => self.violate(Class::Safety, "S17", wrong),
        }
        self.begin_lease(host, &begun);
    }

    fn take_reply(&mut self, host: Host, ticket: u64, reply: Reply) {
        if let Reply::Spawn(process) = &reply {
            self.processes.run_plain(host, process.number, self.now);
        }
        match self.requests.handle_reply(host, ticket, reply) {
            Ok(answered) => {
                let up = self.up();
                self.oracle.handle_answer(self.now, host, &answered, (&self.processes, &up));
            }
            Err(wrong) => self.violate(Class::Safety, "S26", format!("{host}: {wrong}")),
        }
    }

    /// Checks what is cheap to check after every step.
    fn check_step(&mut self) {
        while let Some((ticket, open)) = self.requests.overdue(self.now) {
            let state = self.state(open.host);
            if state.life != open.life || state.node.is_none() {
                continue;
            }
            // Its clock may go slower than when it was asked.
            let until = state.clock.when(open.until);
            if state.is_behind(self.now) || self.now < until {
                self.requests.postpone(ticket, until.max(self.now));
            } else {
                let reason = format!("{} did not answer in time: {:?}", open.host, open.command);
                self.violate(Class::Liveness, "L11", reason);
            }
        }
        if self.watch.is_audit_due(self.now) {
            self.audit();
        }
    }

    pub(crate) fn plan(&mut self, after: Duration, host: Host, event: Event) {
        self.plan_at(self.now + after, host, event);
    }

    pub(crate) fn plan_at(&mut self, at: Time, host: Host, event: Event) {
        let life = Some(self.state(host).life);
        self.queue.plan(at, Due { host, life, event });
    }

    pub(crate) fn plan_all(&mut self, host: Host, plans: Vec<(Duration, Event)>) {
        for (after, event) in plans {
            self.plan(after, host, event);
        }
    }

    pub(crate) fn note(&mut self, host: Host, note: String) {
        self.trace.note(self.now, Some(host), note);
    }

    pub(crate) fn state(&self, host: Host) -> &HostState {
        self.hosts.get(&host).unwrap_or_else(|| self.fail(format!("there is no machine {host}")))
    }

    pub(crate) fn state_mut(&mut self, host: Host) -> &mut HostState {
        let (now, seed) = (self.now, self.seed);
        let state = self.hosts.get_mut(&host);
        state.unwrap_or_else(|| panic!("there is no machine {host}; at {now} of seed {seed}"))
    }

    pub(crate) fn running(&self, host: Host) -> &Running {
        let running = self.state(host).node.as_ref();
        running.unwrap_or_else(|| self.fail(format!("{host} runs no node")))
    }

    pub(crate) fn running_mut(&mut self, host: Host) -> &mut Running {
        let (now, seed) = (self.now, self.seed);
        let running = self.state_mut(host).node.as_mut();
        running.unwrap_or_else(|| panic!("{host} runs no node; at {now} of seed {seed}"))
    }

    /// Returns the machines whose nodes run, are not frozen, and are not over.
    pub fn up(&self) -> Vec<Host> {
        self.hosts.iter().filter(|(_, state)| state.is_up()).map(|(&host, _)| host).collect()
    }

    /// Returns whether `host` has a node that is not over, be it frozen.
    pub(crate) fn has_node(&self, host: Host) -> bool {
        self.state(host).node.as_ref().is_some_and(|running| running.exit.is_none())
    }

    /// Returns whether the node of `host` is up.
    pub(crate) fn is_up(&self, host: Host) -> bool {
        self.state(host).is_up()
    }

    /// Returns whether `host` is frozen.
    pub(crate) fn is_paused(&self, host: Host) -> bool {
        self.state(host).paused
    }

    /// Returns whether `host` has no node, and could start one.
    pub(crate) fn is_dead(&self, host: Host) -> bool {
        !self.has_node(host) && !self.is_paused(host)
    }

    /// Returns everything that the nodes told whoever listens, with true times.
    pub fn events(&self) -> &[(Time, Host, NodeEvent)] {
        &self.events
    }

    /// Returns the lines that tell of the last happenings.
    pub fn tail(&self) -> String {
        self.trace.to_string()
    }

    pub(crate) fn hosts_but(&self, host: Host) -> BTreeSet<Host> {
        self.hosts.keys().copied().filter(|&other| other != host).collect()
    }
}

impl HostState {
    /// Returns whether its node runs, is not frozen, and is not over.
    pub(crate) fn is_up(&self) -> bool {
        !self.paused && self.node.as_ref().is_some_and(|running| running.exit.is_none())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let (seed, again) = (self.seed, crate::seeds::replay_command(self.seed));
        eprintln!("seed {seed} at {}; again: {again}\n{}", self.now, self.trace);
    }
}
