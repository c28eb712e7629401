//! What can be done to a cluster.

use std::collections::BTreeMap;

use ordu_core::{ExitReason, Input, ProcessId, Time};

use crate::World;
use crate::host::Host;
use crate::network::Network;
use crate::recording::Recording;
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

    /// Lets a frozen machine go on: all that reached it meanwhile arrives at once.
    pub fn thaw(&mut self, host: Host) {
        self.note(host, "thaws".to_owned());
        let state = self.state_mut(host);
        state.paused = false;
        let held = std::mem::take(&mut state.held);
        for due in held {
            self.queue.plan(self.now, due);
        }
    }

    /// Cuts every link between the two sides, both ways; sessions stay open and carry nothing, and
    /// what is on its way is lost.
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

    /// Cuts one link, both ways; the session stays open.
    pub fn cut_link(&mut self, a: Host, b: Host) {
        self.partition(&[a], &[b]);
    }

    /// Cuts one link in one direction; the session stays open.
    pub fn cut_one_way(&mut self, from: Host, to: Host) {
        self.trace.note(self.now, None, format!("{from} does not reach {to} any more"));
        self.links.cut(from, to);
    }

    /// Mends the link between `a` and `b`.
    pub fn heal_link(&mut self, a: Host, b: Host) {
        self.trace.note(self.now, None, format!("{a} and {b} reach each other again"));
        self.links.mend(a, b);
    }

    /// Mends every link.
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
        self.links.set_between(a, b, network);
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

    /// Returns why the node of `host` is over by itself, if it is.
    pub fn exited(&self, host: Host) -> Option<&ExitReason> {
        self.state(host).node.as_ref()?.exit.as_ref()
    }

    /// Carries out a node's own end: its processes are gone, and nobody listens.
    pub(crate) fn exit(&mut self, host: Host, reason: ExitReason) {
        self.running_mut(host).exit = Some(reason);
        self.state_mut(host).absence = Absence::Refusing;
        self.end_everything(host, false);
    }

    fn stop_node(&mut self, host: Host, absence: Absence) {
        let silent = absence == Absence::Silent;
        if self.state(host).node.is_none() {
            self.fail(format!("{host} runs no node"));
        }
        self.end_everything(host, silent);
        let state = self.state_mut(host);
        state.node = None;
        state.absence = absence;
        state.paused = false;
        state.held.clear();
    }

    fn end_everything(&mut self, host: Host, silent: bool) {
        let others = self.up().into_iter().filter(|&other| other != host);
        let known = others.flat_map(|other| self.children(other).into_keys()).collect();
        self.promises.handle_death(host, self.processes.running(), &known);
        self.processes.end_all(host, self.now);
        let abandoned = self.requests.abandon(host);
        self.promises.handle_abandoned(&abandoned);
        self.end_sessions(host, silent);
    }
}
