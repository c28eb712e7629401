//! How a world is set up.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ordu_core::{Config, Mode, Random, Rule, Time, VoterStore, Voters};

use crate::behaviour::{Behaviour, common};
use crate::clock::Clock;
use crate::electorates::Electorates;
use crate::event::Queue;
use crate::host::Host;
use crate::invariants::Watch;
use crate::machine::{MachineMaker, nodes};
use crate::marks::Sightings;
use crate::model::{self, Make, Model};
use crate::network::{Links, Network};
use crate::oracle::Oracle;
use crate::pace::Pace;
use crate::processes::Processes;
use crate::requests::{Requests, locks, scope};
use crate::sessions::Sessions;
use crate::trace::Trace;
use crate::verdict::Class;
use crate::world::{Absence, HostState, World};

/// How long the nodes of a new world have to find each other.
const JOIN_MAX: Duration = Duration::from_secs(10);

/// Changes the configuration of a node.
type Configure = Box<dyn Fn(Host, &mut Config)>;

/// Sets a [`World`] up.
pub struct WorldBuilder {
    seed: u64,
    hosts: u16,
    absent: BTreeSet<Host>,
    network: Network,
    behaviours: BTreeMap<String, Behaviour>,
    models: BTreeMap<String, Make>,
    lacking: BTreeSet<(Host, String)>,
    gains_ppm: BTreeMap<Host, i32>,
    rule: Rule,
    voters: Option<Voters>,
    name_voters: Option<Voters>,
    configure: Configure,
    maker: MachineMaker,
}

impl WorldBuilder {
    pub(crate) fn new(seed: u64, hosts: u16) -> Self {
        Self {
            seed,
            hosts,
            absent: BTreeSet::new(),
            network: Network::lan(),
            behaviours: common(),
            models: BTreeMap::new(),
            lacking: BTreeSet::new(),
            gains_ppm: BTreeMap::new(),
            rule: Rule::default(),
            voters: None,
            name_voters: None,
            configure: Box::new(|_, _| {}),
            maker: nodes(),
        }
    }

    /// Sets how all links treat frames; a LAN by default.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// Leaves `host` without a node until [`World::start`].
    #[must_use]
    pub fn absent(mut self, host: Host) -> Self {
        self.absent.insert(host);
        self
    }

    /// Adds a kind of process, which all nodes have code for, beside those every world has: `ok`,
    /// `echo`, `counter`, `ends-after-50ms`, `crash-after-50ms`, `fails-first-3`, `never-starts`,
    /// `hangs`, `ignores`, `slow-start` (2 s) and `slow-stop` (a counter that takes 3 s).
    #[must_use]
    pub fn kind(mut self, kind: &str, behaviour: Behaviour) -> Self {
        self.behaviours.insert(kind.to_owned(), behaviour);
        self
    }

    /// Adds the kind of process that `M` is, which all nodes have code for.
    #[must_use]
    pub fn model<M: Model>(mut self) -> Self {
        self.models.insert(M::KIND.to_owned(), model::make::<M>);
        self.kind(M::KIND, Behaviour::ok())
    }

    /// Leaves the node of `host` without code for `kind`.
    #[must_use]
    pub fn lacking(mut self, host: Host, kind: &str) -> Self {
        self.lacking.insert((host, kind.to_owned()));
        self
    }

    /// Lets the clock of `host` gain `gain_ppm` microseconds a second, or lose them.
    #[must_use]
    pub fn clock_gain_ppm(mut self, host: Host, gain_ppm: i32) -> Self {
        self.gains_ppm.insert(host, gain_ppm);
        self
    }

    /// Sets who goes on when two processes claim one thing; the oldest by default.
    #[must_use]
    pub fn conflict_rule(mut self, rule: impl Into<Rule>) -> Self {
        self.rule = rule.into();
        self
    }

    /// Lets children run under leases that the first `voters` machines grant.
    #[must_use]
    pub fn exclusive(mut self, voters: u16) -> Self {
        self.voters = Some(Voters::new((1..=voters).map(|number| Host::new(number).id())));
        self
    }

    /// Lets names of the registry [`locks`] be held under leases that the first
    /// `voters` machines grant.
    #[must_use]
    pub fn exclusive_names(mut self, voters: u16) -> Self {
        self.name_voters = Some(Voters::new((1..=voters).map(|number| Host::new(number).id())));
        self
    }

    /// Changes the configuration of every node.
    #[must_use]
    pub fn configure(mut self, configure: impl Fn(Host, &mut Config) + 'static) -> Self {
        self.configure = Box::new(configure);
        self
    }

    /// Puts other machines in the place of nodes, to test the simulator itself.
    #[must_use]
    pub fn machines(mut self, maker: MachineMaker) -> Self {
        self.maker = maker;
        self
    }

    /// Starts the nodes and returns the world at time zero.
    pub fn build(self) -> World {
        let mut random = Random::new(self.seed);
        let all: Vec<Host> = (1..=self.hosts).map(Host::new).collect();
        let hosts = all.iter().map(|&host| (host, self.host(host, &all, &mut random))).collect();
        let mut world = World {
            seed: self.seed,
            now: Time::ZERO,
            random,
            hosts,
            queue: Queue::default(),
            links: Links::new(self.network),
            sessions: Sessions::default(),
            processes: Processes::new(self.models),
            requests: Requests::default(),
            oracle: Oracle::default(),
            behaviours: self.behaviours,
            maker: self.maker,
            trace: Trace::new(self.seed),
            events: Vec::new(),
            electorates: Electorates::default(),
            rounds: 0,
            watch: Watch::new(),
            sightings: Sightings::default(),
            deaths: Vec::new(),
            violation: RefCell::new(None),
        };
        for host in all {
            if !self.absent.contains(&host) {
                world.start(host);
            }
        }
        world.trace.set_up();
        world
    }

    /// Starts the nodes and returns the world once they all know each other.
    ///
    /// # Panics
    ///
    /// Panics if that takes more than ten seconds.
    pub fn joined(self) -> World {
        let mut world = self.build();
        if !world.run_until(JOIN_MAX, World::all_know_each_other) {
            world.violate(Class::Liveness, "L9", "the nodes have not found each other");
        }
        world
    }

    fn host(&self, host: Host, all: &[Host], random: &mut Random) -> HostState {
        let mut config = Config::new(host.id(), host.address());
        config.seeds =
            all.iter().filter(|&&seed| seed != host).map(|seed| seed.address()).collect();
        let known = |kind: &&String| !self.lacking.contains(&(host, (*kind).clone()));
        config.kinds = self.behaviours.keys().filter(known).cloned().collect();
        config.rule = self.rule.clone();
        if let Some(voters) = &self.voters {
            config.voters = Some(voters.clone());
            config.voter_store = VoterStore::Empty;
            config.modes.insert(scope(), Mode::Exclusive);
        }
        if let Some(voters) = &self.name_voters {
            config.voters = Some(voters.clone());
            config.registry_modes.insert(locks(), Mode::Exclusive);
        }
        (self.configure)(host, &mut config);
        config.check().expect("the configuration makes sense");

        // Clocks that start apart bring to light whoever compares times of different nodes.
        let origin = Time::from_micros(random.below(1 << 40));
        let gain_ppm = self.gains_ppm.get(&host).copied().unwrap_or(0);
        HostState {
            config,
            clock: Clock::new(origin, gain_ppm),
            life: 0,
            node: None,
            absence: Absence::Refusing,
            paused: false,
            asleep_until: None,
            pace: Pace::full(),
            free_at: Time::ZERO,
            waiting: VecDeque::new(),
        }
    }
}
