//! What users say of a simulation, and how it is run on its seeds.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ordu_core::wire::{decode, encode};
use ordu_core::{Precedence, Random, Rule};

use crate::behaviour::Behaviour;
use crate::builder::WorldBuilder;
use crate::failure::Failure;
use crate::host::Host;
use crate::kit::counterexample::Counterexample;
use crate::kit::expectation::Expectation;
use crate::kit::rehearsal::rehearse;
use crate::kit::trouble::Trouble;
use crate::marks::Marks;
use crate::model::Model;
use crate::network::Network;
use crate::plan::{Action, Ask, Ending, Fate, Fault, Plan, Profile, Setup, Step, Tuning};
use crate::run::{Report, Tally};
use crate::seeds::seeds;
use crate::shrink::{Effort, shrink_with};
use crate::verdict::{Class, Violation};

/// On how many seeds a simulation runs, how long, and how much work a failure is worth.
const SEEDS: u64 = 20;
const LASTING: Duration = Duration::from_secs(60);
const EFFORT: Effort = Effort { runs: 400, within: Duration::from_secs(20) };

/// A simulation of users' processes on a cluster in which things go wrong.
///
/// Each run forms the cluster, starts the children, and lets clients call and trouble come for as
/// long as it [lasts](Simulation::lasting). Then everything is mended, dead nodes return, and what
/// is expected eventually must come about, and still hold twenty seconds later.
pub struct Simulation {
    machines: u16,
    seeds: u64,
    lasting: Duration,
    network: Network,
    profile: Option<Profile>,
    troubles: Vec<(Trouble, Duration)>,
    story: Vec<(Duration, Fault)>,
    clients: Vec<Client>,
    furnish: Vec<Furnish>,
    speech: Speech,
    pub(super) children: Vec<Child>,
    pub(super) expectations: Vec<Expectation>,
    effort: Effort,
}

/// A child that is started before anything goes wrong.
pub(super) struct Child {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) args: Vec<u8>,
    pub(super) precedence: Precedence,
}

/// Someone who calls a name now and then, from any machine.
struct Client {
    name: String,
    every: Duration,
    draw: Box<Draw>,
}

/// Draws a message, as it goes over the wire.
type Draw = dyn Fn(&mut Random) -> Vec<u8>;

/// Adds kinds to a world.
type Furnish = Box<dyn Fn(WorldBuilder) -> WorldBuilder>;

/// How the messages to each name read.
pub(super) type Speech = BTreeMap<String, fn(&[u8]) -> String>;

/// What the runs of a simulation in which all was as expected went through.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// In how many runs something was reached: a simulation in which no process ever lost a
    /// conflict says nothing about merges.
    pub marks: Marks,
    /// How much of everything there was.
    pub tally: Tally,
}

impl Simulation {
    /// Returns a simulation of a cluster of `machines`, on twenty seeds, each a minute long and
    /// what follows, on a LAN, with nothing going wrong.
    pub fn new(machines: u16) -> Self {
        Self {
            machines,
            seeds: SEEDS,
            lasting: LASTING,
            network: Network::lan(),
            profile: None,
            troubles: Vec::new(),
            story: Vec::new(),
            clients: Vec::new(),
            furnish: Vec::new(),
            speech: BTreeMap::new(),
            children: Vec::new(),
            expectations: Vec::new(),
            effort: EFFORT,
        }
    }

    /// Runs on `count` seeds; `ORDU_SEED` and its like say which, see [`seeds`].
    #[must_use]
    pub fn seeds(self, count: u64) -> Self {
        Self { seeds: count, ..self }
    }

    /// Lets clients call and things go wrong for so long.
    #[must_use]
    pub fn lasting(self, lasting: Duration) -> Self {
        Self { lasting, ..self }
    }

    /// Sets how all links treat frames where there is no trouble.
    #[must_use]
    pub fn network(self, network: Network) -> Self {
        Self { network, ..self }
    }

    /// Sets how the processes of a kind start and stop; see [`Behaviour`].
    #[must_use]
    pub fn kind(mut self, kind: &str, behaviour: Behaviour) -> Self {
        let kind = kind.to_owned();
        self.furnish.push(Box::new(move |builder| builder.kind(&kind, behaviour.clone())));
        self
    }

    /// Starts an `M` with the name `name` before anything goes wrong; it is a permanent child.
    #[must_use]
    pub fn child<M: Model>(self, name: &str, args: &M::Args) -> Self {
        self.child_with_precedence::<M>(name, args, Precedence::default())
    }

    /// Starts an `M` as [`Simulation::child`] does, with bytes for the conflict rule to go by.
    #[must_use]
    pub fn child_with_precedence<M: Model>(
        mut self,
        name: &str,
        args: &M::Args,
        precedence: Precedence,
    ) -> Self {
        // In front of what `kind` says of it.
        self.furnish.insert(0, Box::new(WorldBuilder::model::<M>));
        let (kind, args) = (M::KIND.to_owned(), encode(args));
        self.children.push(Child { name: name.to_owned(), kind, args, precedence });
        self
    }

    /// Lets clients on any machine call `name`, about every `every`, with messages that `draw`
    /// draws; whatever else the messages depend on than chance makes two runs of one seed differ.
    #[must_use]
    pub fn calls<M: Model>(
        mut self,
        name: &str,
        every: Duration,
        draw: impl Fn(&mut Random) -> M::Message + 'static,
    ) -> Self
    where
        M::Message: fmt::Debug,
    {
        let say = |payload: &[u8]| match decode::<M::Message>(payload) {
            Ok(message) => format!("{message:?}"),
            Err(_) => "a message of another type".to_owned(),
        };
        self.speech.insert(name.to_owned(), say);
        let draw = Box::new(move |random: &mut Random| encode(&draw(random)));
        self.clients.push(Client { name: name.to_owned(), every, draw });
        self
    }

    /// Lets `trouble` come about every `every`, at machines and links of chance.
    #[must_use]
    pub fn trouble(mut self, trouble: Trouble, every: Duration) -> Self {
        self.troubles.push((trouble, every));
        self
    }

    /// Lets everything come that plans of `profile` have, drawn anew for each seed: faults of
    /// chance as [`Profile::Full`], or a schedule aimed at one promise. Such a plan says itself how
    /// many machines and which links there are, and has users and children of its own.
    #[must_use]
    pub fn profile(self, profile: Profile) -> Self {
        Self { profile: Some(profile), ..self }
    }

    /// Lets `fault` happen after `after`, in each run.
    #[must_use]
    pub fn at(mut self, after: Duration, fault: Fault) -> Self {
        self.story.push((after, fault));
        self
    }

    /// Sets who goes on when two processes claim one thing: a user's own rule, or one of Ordu's;
    /// the oldest by default.
    #[must_use]
    pub fn conflict_rule(mut self, rule: impl Into<Rule>) -> Self {
        let rule = rule.into();
        self.furnish.push(Box::new(move |builder| builder.conflict_rule(rule.clone())));
        self
    }

    /// Expects something of every run.
    #[must_use]
    pub fn expect(mut self, expectation: Expectation) -> Self {
        self.expectations.push(expectation);
        self
    }

    /// Sets how much work goes into making a failure smaller: 400 runs and twenty seconds unless
    /// told otherwise.
    #[must_use]
    pub fn effort(self, effort: Effort) -> Self {
        Self { effort, ..self }
    }

    /// Runs on every seed, and on the first one twice, as one seed must be one history.
    ///
    /// # Panics
    ///
    /// Panics on the first seed on which something is not as expected, with everything that
    /// [`Simulation::check`] returns then.
    #[track_caller]
    pub fn run(self) -> Summary {
        match self.check() {
            Ok(summary) => summary,
            Err(counterexample) => panic!("{counterexample}"),
        }
    }

    /// Runs as [`Simulation::run`] does.
    ///
    /// # Errors
    ///
    /// Returns the first counterexample, made smaller.
    ///
    /// # Panics
    ///
    /// Panics if what the simulation says makes no sense, as a fault of a machine that there is
    /// not.
    pub fn check(&self) -> Result<Summary, Box<Counterexample>> {
        let mut summary = Summary::default();
        for (count, seed) in seeds(self.seeds).enumerate() {
            let plan = self.plan(seed);
            plan.check().unwrap_or_else(|wrong| panic!("the simulation makes no sense: {wrong}"));
            let report = rehearse(self, &plan);
            if let Some(failure) = Failure::of(&plan, &report, "") {
                return Err(Box::new(self.counterexample(seed, failure)));
            }
            if count == 0 {
                self.repeat(&plan, &report)?;
            }
            summary.marks.add(&report.marks);
            summary.tally.add(&report.tally);
        }
        Ok(summary)
    }

    /// Runs `plan` again, and expects the same history.
    fn repeat(&self, plan: &Plan, report: &Report) -> Result<(), Box<Counterexample>> {
        let again = rehearse(self, plan);
        if again.trace_hash == report.trace_hash {
            return Ok(());
        }
        let violation = Violation {
            class: Class::NonDeterminism,
            promise: "one seed is one history".to_owned(),
            reason:
                "a second run went otherwise: a model or a client goes by more than it was told"
                    .to_owned(),
            at_us: 0,
        };
        let tail = again.tail.lines().map(str::to_owned).collect();
        let found = (plan.seed, violation.clone());
        Err(Box::new(Counterexample::new(found, plan, (violation, plan, tail), &self.speech)))
    }

    fn counterexample(&self, seed: u64, failure: Failure) -> Counterexample {
        let small = shrink_with(&failure, self.effort, &|plan| rehearse(self, plan));
        let found = (seed, failure.violation);
        let Failure { violation, plan, tail, .. } = small;
        Counterexample::new(found, &failure.plan, (violation, &plan, tail), &self.speech)
    }

    /// Adds users' kinds to a world.
    pub(super) fn furnish(&self, builder: WorldBuilder) -> WorldBuilder {
        self.furnish.iter().fold(builder, |builder, furnish| furnish(builder))
    }

    /// Returns what happens on `seed`.
    fn plan(&self, seed: u64) -> Plan {
        let mut random = Random::new(seed ^ 0x0072_6163_6b65);
        let end_ms = ms(self.lasting).max(1);
        let mut plan = match self.profile {
            Some(profile) => {
                let mut plan = Plan::draw(seed, Some(profile));
                plan.steps.retain(|step| step.at_ms < end_ms);
                plan
            }
            None => Plan {
                seed,
                profile: Profile::Full,
                tampers: Vec::new(),
                tampers_ms: 0,
                setup: Setup {
                    hosts: self.machines,
                    network: self.network.clone(),
                    gains_ppm: vec![0; usize::from(self.machines)],
                    tuning: Tuning::usual(),
                    lacking: Vec::new(),
                },
                steps: Vec::new(),
                ends_ms: end_ms,
                ending: Ending { core: Vec::new(), others: Fate::Heal },
            },
        };
        let hosts = plan.setup.hosts;
        plan.ends_ms = end_ms;
        plan.ending = Ending { core: (1..=hosts).map(Host::new).collect(), others: Fate::Heal };
        for (trouble, every) in &self.troubles {
            plan.steps.extend(trouble.draw(hosts, ms(*every).max(1), end_ms, &mut random));
        }
        for (after, fault) in &self.story {
            assert!(ms(*after) < end_ms, "{fault:?} comes after the end, at {after:?}");
            let action = Action::Fault(fault.clone());
            plan.steps.push(Step { at_ms: ms(*after), action });
        }
        for client in &self.clients {
            plan.steps.extend(client.draw(hosts, end_ms, &mut random));
        }
        plan.steps.sort_by_key(|step| step.at_ms);
        plan
    }
}

impl Client {
    fn draw(&self, hosts: u16, end_ms: u64, random: &mut Random) -> Vec<Step> {
        let every_ms = ms(self.every).max(1);
        let mut steps = Vec::new();
        let mut at_ms = random.below(2 * every_ms);
        while at_ms < end_ms {
            let host = u16::try_from(1 + random.below(u64::from(hosts))).expect("it is small");
            let ask = Ask::Message { name: self.name.clone(), payload: (self.draw)(random) };
            steps.push(Step { at_ms, action: Action::Ask { host: Host::new(host), ask } });
            at_ms += 1 + random.below(2 * every_ms);
        }
        steps
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).expect("a simulation does not last that long")
}
