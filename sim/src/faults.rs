//! What can be done to a cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use ordu_core::{ExitReason, Input, ProcessId, Time};

use crate::World;
use crate::event::Event;
use crate::host::Host;
use crate::network::Network;
use crate::recording::Recording;
use crate::topology::Topology;
use crate::view::View;
use crate::world::{Absence, Running};

impl World {
    /// Kills the process that `host`'s node is, on a machine that lives on: its sessions close, and
    /// whoever dials is refused. Everything in its memory is lost.
    pub fn kill(&mut self, host: Host) {
        self.note(host, "is killed".to_owned());
        self.stop_node(host, Absence::Refusing);
    }

    /// Lets the whole machine go dark: its sessions stay open at the other ends, and whoever dials
    /// hears nothing.
    pub fn crash_silently(&mut self, host: Host) {
        self.note(host, "goes dark".to_owned());
        self.stop_node(host, Absence::Silent);
    }

    /// Starts the node of `host`, which does not run: same name, same configuration, empty memory.
    pub fn start(&mut self, host: Host) {
        self.note(host, "starts".to_owned());
        let seed = self.random.draw();
        let now = self.now;
        let state = self.state(host);
        if state.is_up() || state.paused {
            self.fail(format!("{host} runs a node already"));
        }
        let local = state.clock.local(now);
        let machine = (self.maker)(state.config.clone(), seed, local);
        let recording = Recording::new(state.config.clone(), seed, local);
        let wake = machine.poll_timeout().map(|(at, _)| state.clock.when(at));
        let wall = state.clock.wall(now);
        let state = self.state_mut(host);
        state.life += 1;
        state.node = Some(Running {
            machine,
            wake,
            wakes_at: (Time::ZERO, 0),
            wall_read: None,
            unflushed: true,
            dials: BTreeMap::new(),
            peers: BTreeMap::new(),
            view: View::default(),
            exit: None,
            recording,
        });
        self.running_mut(host).wall_read = Some(now);
        self.feed(host, Input::Wall(wall));
    }

    /// Kills the node of `host`, if it runs, and starts it again.
    pub fn restart(&mut self, host: Host) {
        if self.state(host).node.is_some() {
            self.kill(host);
        }
        self.start(host);
    }

    /// Freezes the machine: nothing reaches its node, no timer fires, its clock goes on.
    pub fn pause(&mut self, host: Host) {
        self.note(host, "freezes".to_owned());
        self.state_mut(host).paused = true;
    }

    /// Lets a frozen machine go on: all that reached it meanwhile arrives at once, or one after the
    /// other if it is slow. One that sleeps wakes early.
    pub fn thaw(&mut self, host: Host) {
        self.note(host, "thaws".to_owned());
        self.wake_up(host);
        self.state_mut(host).paused = false;
        if self.state(host).pace.is_full() {
            self.release(host);
        }
    }

    /// Lets the machine sleep for `duration`: as [`World::pause`], but its monotonic clock stands
    /// still meanwhile, and it thaws by itself.
    pub fn suspend(&mut self, host: Host, duration: Duration) {
        self.note(host, format!("sleeps for {duration:?}"));
        let (now, until) = (self.now, self.now + duration);
        let state = self.state_mut(host);
        if state.node.is_none() {
            self.fail(format!("{host} runs no node"));
        }
        state.paused = true;
        state.asleep_until = Some(until);
        state.clock.stand_still(now, until);
        self.plan_at(until, host, Event::Resume);
    }

    /// Lets a machine go on that has slept for as long as it should.
    pub(crate) fn resume(&mut self, host: Host) {
        if self.state(host).asleep_until.is_some_and(|until| until <= self.now) {
            self.thaw(host);
        }
    }

    /// Cuts every link between the two sides, both ways; sessions stay open and carry nothing, and
    /// what is on its way is lost.
    ///
    /// Cuts add up: a link that two faults cut is whole again once both are taken back.
    pub fn partition(&mut self, left: &[Host], right: &[Host]) {
        self.trace.note(self.now, None, format!("{left:?} and {right:?} are parted"));
        for &a in left {
            for &b in right {
                self.links.cut(a, b);
                self.links.cut(b, a);
            }
        }
    }

    /// Cuts every link between the two sides, both ways, and closes the sessions that cross.
    pub fn partition_closed(&mut self, left: &[Host], right: &[Host]) {
        self.partition(left, right);
        for &a in left {
            for &b in right {
                self.end_session_between(a, b);
            }
        }
    }

    /// Takes back one [`World::partition`] of the two sides: links that are cut twice stay cut.
    pub fn heal_partition(&mut self, left: &[Host], right: &[Host]) {
        self.trace.note(self.now, None, format!("{left:?} and {right:?} meet again"));
        for &a in left {
            for &b in right {
                self.links.mend_one(a, b);
                self.links.mend_one(b, a);
            }
        }
    }

    /// Cuts the links that `topology` leaves out; sessions stay open, and cuts add up.
    pub fn shape(&mut self, topology: &Topology) {
        self.trace.note(self.now, None, format!("the links form {topology:?}"));
        for (from, to) in topology.cuts(self.size()) {
            self.links.cut(from, to);
        }
    }

    /// Takes back one [`World::shape`] with `topology`: links that are cut twice stay cut.
    pub fn unshape(&mut self, topology: &Topology) {
        self.trace.note(self.now, None, format!("the links no longer form {topology:?}"));
        for (from, to) in topology.cuts(self.size()) {
            self.links.mend_one(from, to);
        }
    }

    fn size(&self) -> u16 {
        u16::try_from(self.hosts.len()).expect("machines are numbered by a u16")
    }

    /// Cuts one link, both ways; the session stays open.
    pub fn cut_link(&mut self, a: Host, b: Host) {
        self.partition(&[a], &[b]);
    }

    /// Cuts one link in one direction; the session stays open.
    pub fn cut_one_way(&mut self, from: Host, to: Host) {
        self.trace.note(self.now, None, format!("{from} does not reach {to} any more"));
        self.links.cut(from, to);
    }

    /// Takes back one cut of the way from `from` to `to`: a way that is cut twice stays cut.
    pub fn heal_one_way(&mut self, from: Host, to: Host) {
        self.trace.note(self.now, None, format!("{from} reaches {to} again, as to one cut"));
        self.links.mend_one(from, to);
    }

    /// Mends the link between `a` and `b`, both ways, however often it is cut.
    pub fn heal_link(&mut self, a: Host, b: Host) {
        self.trace.note(self.now, None, format!("{a} and {b} reach each other again"));
        self.links.mend(a, b);
    }

    /// Mends every link, however often it is cut. What cut them before must not be taken back
    /// again after: that would take a later cut back.
    pub fn heal(&mut self) {
        self.trace.note(self.now, None, "all links are mended".to_owned());
        self.links.mend_all();
    }

    /// Changes how all links treat frames, but for the cuts.
    pub fn set_network(&mut self, network: Network) {
        self.trace.note(self.now, None, format!("all links: {network:?}"));
        self.links.set_all(network);
    }

    /// Changes how the link between `a` and `b` treats frames.
    pub fn set_link(&mut self, a: Host, b: Host, network: &Network) {
        self.trace.note(self.now, None, format!("link {a} to {b}: {network:?}"));
        self.links.set(a, b, network);
        self.links.set(b, a, network);
    }

    /// Changes how the way from `from` to `to` treats frames, and leaves the way back as it is.
    pub fn set_one_way(&mut self, from: Host, to: Host, network: &Network) {
        self.trace.note(self.now, None, format!("way {from} to {to}: {network:?}"));
        self.links.set(from, to, network);
    }

    /// Ends the session between `a` and `b`, if there is one; both are told at once. As a rule they
    /// have another one soon.
    pub fn break_session(&mut self, a: Host, b: Host) {
        self.trace.note(self.now, None, format!("the session of {a} and {b} breaks"));
        self.end_session_between(a, b);
    }

    /// Ends the session between `a` and `b`, if there is one, at `a` alone: nothing tells `b`, not
    /// even an answer to what it goes on to send, until there is another session.
    pub fn half_open(&mut self, a: Host, b: Host) {
        self.trace.note(self.now, None, format!("{a} forgets its session with {b}"));
        self.end_session_at(a, b);
    }

    /// Lets the monotonic clock of `host` gain `gain_ppm` microseconds a second from now on, or
    /// lose them.
    ///
    /// # Panics
    ///
    /// Panics unless the clock goes on: it must gain more than -1,000,000.
    pub fn set_clock_gain_ppm(&mut self, host: Host, gain_ppm: i32) {
        self.note(host, format!("its clock gains {gain_ppm} us a second"));
        let now = self.now;
        let state = self.state_mut(host);
        state.clock.set_gain_ppm(now, gain_ppm);
        self.plan_wake(host);
    }

    /// Moves the wall clock of `host` to `offset_ms` milliseconds ahead of true time.
    pub fn set_wall_offset_ms(&mut self, host: Host, offset_ms: i64) {
        self.note(host, format!("its wall clock is {offset_ms} ms ahead"));
        self.state_mut(host).clock.set_wall_offset_ms(offset_ms);
    }

    /// Lets a running process end by itself, with a failure or as it should.
    pub fn end_process(&mut self, process: &ProcessId, failure: Option<&str>) {
        let Some(host) = Host::of(process.replica.node()) else {
            self.fail(format!("{process} runs on no machine of this world"));
        };
        let plans = self.processes.exit(host, process.number, failure.map(str::to_owned));
        if plans.is_empty() {
            self.fail(format!("process {process} does not run"));
        }
        self.plan_all(host, plans);
    }

    /// Lets the node on `host` find `others`, itself among them if it is, and nobody else.
    pub fn discover(&mut self, host: Host, others: &[Host]) {
        let addresses = others.iter().map(|other| other.address()).collect();
        self.feed(host, Input::Seeds(addresses));
    }

    /// Returns why the node of `host` is over by itself, if it is.
    pub fn exited(&self, host: Host) -> Option<&ExitReason> {
        self.state(host).node.as_ref()?.exit.as_ref()
    }

    /// Carries out a node's own end: its processes are gone, and nobody listens.
    pub(crate) fn exit(&mut self, host: Host, reason: ExitReason) {
        self.running_mut(host).exit = Some(reason);
        self.state_mut(host).absence = Absence::Refusing;
        self.state_mut(host).waiting.clear();
        self.end_everything(host, false);
    }

    /// Ends a sleep, so that the clock goes on.
    fn wake_up(&mut self, host: Host) {
        let now = self.now;
        let state = self.state_mut(host);
        if state.asleep_until.take().is_some() {
            state.clock.go_on(now);
            self.plan_wake(host);
        }
    }

    /// Asks anew when the node of `host` wants to be woken: its clock goes differently now.
    fn plan_wake(&mut self, host: Host) {
        let state = self.state_mut(host);
        if let Some(running) = &mut state.node {
            let timeout = running.machine.poll_timeout();
            running.wake = timeout.map(|(at, _)| state.clock.when(at));
        }
    }

    fn stop_node(&mut self, host: Host, absence: Absence) {
        let silent = absence == Absence::Silent;
        if self.state(host).node.is_none() {
            self.fail(format!("{host} runs no node"));
        }
        self.end_everything(host, silent);
        self.wake_up(host);
        let state = self.state_mut(host);
        state.node = None;
        state.absence = absence;
        state.paused = false;
        state.waiting.clear();
    }

    /// Gives up for lost what no machine of `core` knows of: the others will never be heard again.
    pub(crate) fn give_up(&mut self, core: &[Host]) {
        let known = core.iter().filter(|&&host| self.is_up(host));
        let known = known.flat_map(|&host| self.children(host).into_keys()).collect();
        for host in self.up().into_iter().filter(|host| !core.contains(host)) {
            self.oracle.give_up(host, self.processes.running(), &known);
        }
    }

    fn end_everything(&mut self, host: Host, silent: bool) {
        self.deaths.push((host, self.now));
        let others = self.up().into_iter().filter(|&other| other != host);
        let known = others.flat_map(|other| self.children(other).into_keys()).collect();
        self.oracle.handle_death(host, self.processes.running(), &known);
        self.processes.end_all(host, self.now);
        let abandoned = self.requests.abandon(host);
        self.oracle.handle_abandoned(&abandoned);
        self.end_sessions(host, silent);
    }
}
