//! The end of a run: who is left alone, and what must come of that.

use std::time::Duration;

use ordu_core::{ChildId, Command, ExitReason, Reply};

use crate::World;
use crate::host::Host;
use crate::invariants::rest::{self, Core};
use crate::network::Network;
use crate::pace::Pace;
use crate::plan::{Fate, Profile};
use crate::requests::{PATIENCE, name, scope};
use crate::run::Run;
use crate::verdict::Class;

/// How long a core has to come to rest.
const REST: Duration = Duration::from_secs(120);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How long those may take that never come to rest by themselves, once they are told to end.
const ENDING: Duration = Duration::from_secs(15);
/// How long a node may take to leave from when its last child has stopped: less than until the next
/// beat.
const LEAVING: Duration = Duration::from_millis(100);
/// The name that a node gives up when it has said that it leaves.
const LATE: &str = "late";
/// How long a core must stay at rest.
const STAY: Duration = Duration::from_secs(20);

impl Run<'_> {
    /// Leaves the core alone, and sees it come to rest.
    pub(super) fn end(&mut self) {
        let mut core = self.leave_alone();
        core.is_late = self.plan.profile == Profile::DigestsOnly;
        let since = self.world.now();
        self.come_to_rest(&mut core);
        if core.hosts.is_empty() {
            return;
        }
        self.rest_after = Some(self.world.now().since(since));
        self.end_the_restless(&core);
        self.come_to_rest(&mut core);
        if core.flapping.is_empty() {
            self.ask_whether_at_rest(&core);
        }
        self.world.run_for(STAY);
        self.world.hold(rest::check(&self.world, &core));
        self.world.audit();
        for &host in &core.hosts {
            self.world.assert_replays(host);
        }
        self.let_one_leave(&mut core);
    }

    /// Mends the core, and makes of the others what the plan says, for ever.
    pub(crate) fn leave_alone(&mut self) -> Core {
        let ending = &self.plan.ending;
        let all: Vec<Host> = self.world.hosts.keys().copied().collect();
        let (core, others): (Vec<Host>, Vec<Host>) =
            all.iter().partition(|host| ending.core.contains(host));
        self.cuts.clear();
        self.world.heal();
        self.world.set_network(Network::lan());
        // A frame from minutes ago would be one more fault.
        self.world.queue.drop_hoarded();
        for &host in &all {
            self.mend(host);
        }
        for &host in &core {
            if self.world.is_dead(host) {
                self.world.start(host);
            }
        }
        match ending.others {
            Fate::Heal => {}
            Fate::Crash => {
                for host in others {
                    if !self.world.is_dead(host) {
                        self.world.crash_silently(host);
                    }
                }
            }
            Fate::Cut => {
                self.world.partition(&core, &others);
                self.world.give_up(&core);
            }
            Fate::Flap => {
                let up = self.world.up();
                let flapping = others.iter().copied().filter(|host| up.contains(host)).collect();
                return Core { flapping, ..Core::of(up) };
            }
        }
        let up = self.world.up().into_iter();
        match ending.others {
            Fate::Heal | Fate::Flap => Core::of(up),
            Fate::Crash | Fate::Cut => Core::of(up.filter(|host| core.contains(host))),
        }
    }

    fn mend(&mut self, host: Host) {
        if self.world.is_paused(host) {
            self.world.thaw(host);
        }
        self.world.set_pace(host, Pace::full());
        self.world.set_wall_offset_ms(host, 0);
    }

    /// Lets time pass until the core is at rest; who was about to leave is of it no more. If that
    /// was all of it, it is whoever else is up.
    fn come_to_rest(&mut self, core: &mut Core) {
        let end = self.world.now() + REST;
        while let Err(broken) = rest::check(&self.world, core) {
            if end <= self.world.now() {
                self.world.hold(Err(broken));
            }
            self.flap(core);
            self.world.run_for(LOOK);
            let has_left = |host: Host| self.world.exited(host) == Some(&ExitReason::Left);
            core.hosts.retain(|&host| !has_left(host));
            if core.hosts.is_empty() {
                core.hosts = self.world.up().into_iter().collect();
            }
        }
    }

    /// Cuts a link of each flapping machine, or mends it; it is never cut for long enough that
    /// anybody is taken for dead.
    fn flap(&mut self, core: &Core) {
        for &host in &core.flapping {
            let other = core.hosts.iter().copied().find(|&other| other != host);
            let Some(other) = other else { continue };
            match self.world.now().as_micros() / 500_000 % 3 {
                0 => self.world.heal_link(host, other),
                _ if self.world.reaches(host, other) => self.world.cut_link(host, other),
                _ => {}
            }
        }
    }

    /// Ends the children that never come to rest.
    fn end_the_restless(&mut self, core: &Core) {
        let Some(host) = core.first() else { return };
        let children = self.world.children(host).into_iter();
        let restless = children.filter(|(_, view)| !self.world.is_steady(&view.kind));
        let restless: Vec<ChildId> = restless.map(|(child, _)| child).collect();
        for child in restless {
            self.world.request(host, Command::Terminate { scope: scope(), child });
        }
        self.world.run_for(ENDING);
    }

    /// Lets a node leave, and write on once it has said so; that takes no time worth speaking of.
    fn let_one_leave(&mut self, core: &mut Core) {
        let number = usize::try_from(self.plan.seed).unwrap_or_default();
        let Some(&host) = core.hosts.iter().nth(number % core.hosts.len()) else { return };
        // Nobody else may have the code of what it runs.
        let is_alone = core.hosts.len() < 2 || !self.plan.setup.lacking.is_empty();
        if is_alone || !core.flapping.is_empty() {
            return;
        }
        let process = self.world.spawn(host);
        if self.world.register(host, LATE, &process).is_err() {
            return;
        }
        let leave = self.world.request(host, Command::Leave);
        let is_emptied = |world: &World| {
            let mut children = world.processes.running().filter(|run| run.child.is_some());
            world.reply(leave).is_some() || children.all(|run| run.host != host)
        };
        self.world.run_until(PATIENCE, is_emptied);
        // Its last word is on its way, and has not arrived.
        self.world.run_for(Duration::from_micros(100));
        if self.world.reply(leave).is_none() {
            let (scope, name) = (scope(), name(LATE));
            self.world.request(host, Command::Unregister { scope, name, process });
        }
        // Where nothing is pushed, its word waits for digests.
        let is_pushed = self.plan.profile != Profile::DigestsOnly;
        let most = if is_pushed { LEAVING } else { PATIENCE };
        self.world.run_until(most, |world| world.reply(leave).is_some());
        let reply = self.world.reply(leave);
        if reply != Some(&Reply::Leave(Ok(()))) {
            let reason = format!("{host} leaves, with nothing in its way, and is told {reply:?}");
            self.world.violate(Class::Liveness, "L16", reason);
        }
        self.come_to_rest(core);
    }

    /// Asks every node whether the cluster is at rest; it must say so.
    fn ask_whether_at_rest(&mut self, core: &Core) {
        for &host in &core.hosts {
            if let Err(error) = self.world.settled(host) {
                let reason = format!("{host} says that the cluster is not at rest: {error}");
                self.world.violate(Class::Liveness, "L10", reason);
            }
        }
    }
}
