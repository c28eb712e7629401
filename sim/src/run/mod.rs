//! One run of a plan, from the forming of the cluster to the verdict.
//!
//! The shape is always the same. The cluster forms on a good network. Then come the faults and the
//! requests of the plan, with every promise of safety watched at every step. At the plan's end a
//! core of machines is mended, and what becomes of the others becomes so for ever. The core must
//! come to rest within its time, must stay so, and must have nothing left to say.

mod apply;
mod digests;
mod ending;
pub(crate) mod silence;
mod tally;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::time::Duration;

use ordu_core::{ChildId, ProcessId, Time};

use crate::behaviour::Behaviour;
use crate::builder::WorldBuilder;
use crate::machine::MachineMaker;
use crate::marks::Marks;
use crate::network::Network;
use crate::plan::{Plan, Profile, zone_of};
use crate::requests::Ticket;
use crate::tampering::Deed;
use crate::topology::Topology;
use crate::verdict::{Class, Verdict, Violation};
use crate::world::World;

pub use crate::run::tally::Tally;

/// How long the nodes have to find each other.
const FORMING: Duration = Duration::from_secs(30);

/// How many lines a run may be ahead of whoever hears them.
const LINES_AHEAD: usize = 1_024;

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whether every promise held.
    pub verdict: Verdict,
    /// A hash of everything that happened: equal whenever the same plan is run by the same code.
    pub trace_hash: u64,
    /// What was reached.
    pub marks: Marks,
    /// How much of everything there was.
    pub tally: Tally,
    /// The last happenings, to read.
    pub tail: String,
}

/// Runs `plan` with real nodes.
pub fn run(plan: &Plan) -> Report {
    run_with(plan, None)
}

/// Runs `plan`, with something else in the place of nodes if `maker` says so.
pub fn run_with(plan: &Plan, maker: Option<MachineMaker>) -> Report {
    run_watched(plan, maker, |_| {}).0
}

/// Runs `plan` with real nodes, and lets `hear` have a line of everything that happens.
pub fn run_traced(plan: &Plan, mut hear: impl FnMut(&str)) -> Report {
    let (send, lines) = mpsc::sync_channel(LINES_AHEAD);
    std::thread::scope(|scope| {
        let running = scope.spawn(move || {
            let (report, _) = run_watched(plan, None, |world| {
                world.trace.listen(Box::new(move |line| {
                    // Whoever hears stops only when the run is over.
                    let _ = send.send(line.to_string());
                }));
            });
            report
        });
        lines.iter().for_each(|line| hear(&line));
        running.join().expect("a run catches what panics in it")
    })
}

/// Runs `plan`, looking at the world before every step of it; returns the world as it ended, too.
pub(crate) fn run_watched(
    plan: &Plan,
    maker: Option<MachineMaker>,
    prepare: impl FnOnce(&mut World),
) -> (Report, World) {
    let mut run = Run::new(plan, maker, |builder| builder);
    prepare(&mut run.world);
    drive(run, Run::go)
}

/// Lets `go` bring a run to its end, and returns what became of it, with the world as it ended.
pub(crate) fn drive<'p>(mut run: Run<'p>, go: impl FnOnce(&mut Run<'p>)) -> (Report, World) {
    let outcome = silence::keep(|| catch_unwind(AssertUnwindSafe(|| go(&mut run))));
    let world = run.world;
    let verdict = match outcome {
        Ok(()) => Verdict::Passed,
        Err(panic) => {
            let broken = world.violation.take();
            Verdict::Failed(broken.unwrap_or_else(|| panicked(&world, panic.as_ref())))
        }
    };
    let report = Report {
        verdict,
        trace_hash: world.trace_hash(),
        marks: Marks::of(&world),
        tally: Tally::of(&world, run.rest_after),
        tail: world.tail(),
    };
    (report, world)
}

/// Returns what a panic is that no promise of the world's own brought about.
fn panicked(world: &World, payload: &(dyn std::any::Any + Send)) -> Violation {
    let text = silence::text(payload);
    let place = silence::last_place().unwrap_or_default();
    Violation {
        class: Class::Panic,
        promise: "S29".to_owned(),
        reason: format!("{text} {place}").trim_end().to_owned(),
        at_us: world.now().as_micros(),
    }
}

/// A run under way.
pub(crate) struct Run<'p> {
    plan: &'p Plan,
    pub(crate) world: World,
    /// The messages that users sent to names, in the order in which they did.
    pub(crate) sent: Vec<Sent>,
    /// The links as they are when no storm is over them.
    usual: Network,
    /// What is cut, so that only that is mended.
    cuts: Vec<Topology>,
    /// The ids of the plan's children, as far as they were accepted.
    children: BTreeMap<u32, ChildId>,
    /// The ids of the plan's processes without a supervisor.
    processes: BTreeMap<u32, ProcessId>,
    /// Starts that were not answered yet.
    starts: Vec<(u32, Ticket)>,
    /// How long the core took to come to rest, once it did.
    rest_after: Option<Duration>,
}

/// A message that a user sent to whoever held a name.
pub(crate) struct Sent {
    pub(crate) name: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) ticket: Ticket,
}

impl<'p> Run<'p> {
    pub(crate) fn new(
        plan: &'p Plan,
        maker: Option<MachineMaker>,
        furnish: impl FnOnce(WorldBuilder) -> WorldBuilder,
    ) -> Self {
        let tuning = plan.setup.tuning;
        let mut builder = World::builder(plan.seed, plan.setup.hosts)
            .kind("fails-later", Behaviour::fails_on(&[2, 3, 5]))
            .kind("ends-after-8s", Behaviour::ends_after(Duration::from_secs(8)))
            .configure(move |host, config| {
                let (key, zone) = zone_of(host);
                config.labels.insert(key, zone).expect("a zone is a label");
                tuning.configure(config);
            });
        for (number, &gain_ppm) in (1..).zip(&plan.setup.gains_ppm) {
            builder = builder.clock_gain_ppm(crate::Host::new(number), gain_ppm);
        }
        for (host, kind) in &plan.setup.lacking {
            builder = builder.lacking(*host, kind);
        }
        let digests_only = plan.profile == Profile::DigestsOnly;
        if let Some(maker) = maker.or_else(|| digests_only.then(digests::makers)) {
            builder = builder.machines(maker);
        }
        let mut world = furnish(builder).build();
        if let Some(leases) = tuning.leases {
            world.set_disks(Duration::from_millis(leases.disk_ms));
        }
        Self {
            plan,
            world,
            sent: Vec::new(),
            usual: plan.setup.network.clone(),
            cuts: Vec::new(),
            children: BTreeMap::new(),
            processes: BTreeMap::new(),
            starts: Vec::new(),
            rest_after: None,
        }
    }

    /// Lets the nodes find each other.
    pub(crate) fn form(&mut self) {
        if !self.world.run_until(FORMING, World::all_know_each_other) {
            let reason = "the nodes have not found each other";
            self.world.violate(Class::Liveness, "L9", reason);
        }
    }

    fn go(&mut self) {
        self.form();
        let plan = self.plan;
        let formed = self.world.now();
        self.world.set_network(self.usual.clone());
        let mut armed_at = Some(formed + Duration::from_millis(plan.tampers_ms));
        for step in &plan.steps {
            let at = formed + Duration::from_millis(step.at_ms);
            if let Some(arms) = armed_at.take_if(|arms| *arms <= at) {
                self.pass(arms);
                self.world.sessions.tampering.arm(&plan.tampers);
            }
            self.pass(at);
            self.note_starts();
            self.apply(&step.action);
        }
        self.pass(formed + Duration::from_millis(plan.ends_ms));
        self.world.sessions.tampering.disarm();
        self.end();
    }

    /// Lets time pass until `until`, and does what follows from messages that are sent meanwhile.
    fn pass(&mut self, until: Time) {
        let is_due = |world: &World| world.sessions.tampering.is_due();
        while self.world.run_until(until.since(self.world.now()), is_due) {
            for deed in self.world.sessions.tampering.take_deeds() {
                match deed {
                    Deed::Kill(host) if self.world.has_node(host) => self.world.kill(host),
                    Deed::Kill(_) => {}
                    Deed::Cut(from, to) => self.world.cut_link(from, to),
                }
            }
        }
    }
}
