//! Long random lives of whole clusters: everything at once, for as long as one likes.
//!
//! A seed draws a cluster, its network, which faults it suffers and how often, and what its users
//! ask meanwhile. Then all links are mended, what is frozen thaws, some of the dead return, and the
//! cluster must come to rest: nothing lost, nothing twice, all of one mind.

use std::collections::BTreeMap;
use std::time::Duration;

use ordu_core::{
    Blob, ChildId, ChildSpec, Command, MemberStatus, ProcessId, Random, Replicas, Reply, Restart,
    Target, Time,
};

use crate::behaviour::Behaviour;
use crate::host::Host;
use crate::network::{Network, happens};
use crate::requests::{Ticket, name, named, register, scope, spec};
use crate::world::World;

/// The variable of the environment that says how many seeds [`seeds`] returns.
pub const COUNT_VARIABLE: &str = "ORDU_SOAK_SEEDS";
/// The variable of the environment that says which seed comes first.
pub const BASE_VARIABLE: &str = "ORDU_SOAK_BASE";

/// How long nothing may have been cut or frozen before a node may lose its memory again: what was
/// accepted is promised to survive the loss of one memory, not of two before the second has told
/// anybody.
const CALM: Duration = Duration::from_secs(10);
/// How long the cluster has after the last fault until it must be at rest.
const RECOVERY: Duration = Duration::from_secs(45);
/// How much longer the checks may take to pass, once that time is over.
const SETTLE: Duration = Duration::from_secs(20);
/// How many names the children of a soak contend for.
const CONTENDED_NAMES: u64 = 3;
/// How many names are given to processes that run already.
const ALIASES: u64 = 3;

/// The kinds of the children, with how often each is started.
const KINDS: [(&str, u64); 9] = [
    ("counter", 6),
    ("ok", 4),
    ("slow-start", 1),
    ("slow-stop", 2),
    ("crash-after-50ms", 1),
    ("fails-first-3", 1),
    ("fails-later", 2),
    ("ends-after-50ms", 1),
    ("ends-after-8s", 1),
];

/// What befell one cluster.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Summary {
    /// How many clusters this sums over.
    pub worlds: u64,
    /// How much virtual time passed.
    pub virtual_time: Duration,
    /// How many children were accepted.
    pub accepted: u64,
    /// How many nodes lost their memory.
    pub deaths: u64,
    /// How many times links were cut.
    pub cuts: u64,
    /// How many processes were stopped because another one won.
    pub conflicts: u64,
    /// How many processes ran.
    pub runs: u64,
}

impl Summary {
    /// Adds what befell another cluster.
    pub fn add(&mut self, other: &Self) {
        self.worlds += other.worlds;
        self.virtual_time += other.virtual_time;
        self.accepted += other.accepted;
        self.deaths += other.deaths;
        self.cuts += other.cuts;
        self.conflicts += other.conflicts;
        self.runs += other.runs;
    }
}

/// Returns the seeds of a soak: `ORDU_SOAK_SEEDS` of them, or `default`, from `ORDU_SOAK_BASE` on.
///
/// # Panics
///
/// Panics if a variable is set to something else than a number.
pub fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |variable: &str| {
        let text = std::env::var(variable).ok()?;
        Some(text.parse::<u64>().unwrap_or_else(|_| panic!("{variable} is a number")))
    };
    let base = number(BASE_VARIABLE).unwrap_or(0);
    base..base + number(COUNT_VARIABLE).unwrap_or(default)
}

/// Returns the command that soaks `seed` alone.
pub fn replay_command(seed: u64) -> String {
    format!(
        "{BASE_VARIABLE}={seed} {COUNT_VARIABLE}=1 cargo test --release -p ordu-sim --test soak"
    )
}

/// Lets the cluster of `seed` live, and checks that it comes to rest.
///
/// # Panics
///
/// Panics, with the seed and with what was wrong, if anything was.
pub fn run(seed: u64) -> Summary {
    let mut soak = Soak::new(seed);
    soak.live();
    soak.recover();
    soak.end_the_restless();
    soak.check_rest();
    soak.check_answers();
    soak.summary()
}

/// Which faults a cluster suffers, each so many times in a thousand steps.
#[derive(Clone, Debug)]
struct Weather {
    deaths: u64,
    pauses: u64,
    cuts: u64,
    leaves: u64,
    clocks: u64,
    storms: u64,
}

impl Weather {
    fn draw(random: &mut Random) -> Self {
        let mut often = |most: u64| if happens(600, random) { random.below(most) + 1 } else { 0 };
        Self {
            deaths: often(80),
            pauses: often(60),
            cuts: often(80),
            leaves: often(25),
            clocks: often(40),
            storms: often(20),
        }
    }
}

struct Soak {
    world: World,
    random: Random,
    weather: Weather,
    usual: Network,
    steps: u64,
    /// Since when nothing has been cut or frozen; `None` while something is.
    calm_since: Option<Time>,
    /// Whether a node lost its memory since the last calm.
    has_lost: bool,
    /// When what is frozen thaws.
    thaws: BTreeMap<Host, Time>,
    /// When all links are mended.
    heals: Option<Time>,
    starts: Vec<Ticket>,
    children: Vec<ChildId>,
    terminations: Vec<(Ticket, ChildId, Host)>,
    /// Children of which the end was promised.
    ended: Vec<ChildId>,
    plain: Vec<ProcessId>,
    names: u64,
    deaths: u64,
    cuts: u64,
}

impl Soak {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x50AC);
        let hosts = 3 + random.below(3);
        let usual = match random.below(4) {
            0 | 1 => Network::lan(),
            2 => Network::lossy(),
            _ => Network::wild(),
        };
        let weather = Weather::draw(&mut random);
        let hosts = u16::try_from(hosts).expect("a cluster is small");
        let world = World::builder(seed, hosts)
            .kind("fails-later", Behaviour::fails_on(&[2, 3, 5]))
            .kind("ends-after-8s", Behaviour::ends_after(Duration::from_secs(8)))
            .joined();
        let mut soak = Self {
            calm_since: Some(world.now()),
            world,
            weather,
            usual,
            steps: 60 + random.below(60),
            random,
            has_lost: false,
            thaws: BTreeMap::new(),
            heals: None,
            starts: Vec::new(),
            children: Vec::new(),
            terminations: Vec::new(),
            ended: Vec::new(),
            plain: Vec::new(),
            names: 0,
            deaths: 0,
            cuts: 0,
        };
        soak.world.set_network(soak.usual.clone());
        soak
    }

    /// Lets some 30 to 60 seconds pass, full of requests and faults.
    fn live(&mut self) {
        for _ in 0..self.steps {
            let pause = Duration::from_millis(20 + self.random.below(1_000));
            self.world.run_for(pause);
            self.note_children();
            self.note_ends();
            self.end_faults();
            if happens(850, &mut self.random) {
                self.ask();
            }
            self.harm();
        }
    }

    fn note_children(&mut self) {
        for ticket in self.starts.split_off(0) {
            match self.world.reply(ticket) {
                Some(Reply::Start(Ok(started))) => self.children.push(started.child),
                Some(_) => (),
                None => self.starts.push(ticket),
            }
        }
    }

    /// Notes which children are over for good: those whose end was answered for by a node that sees
    /// another one. A node alone can only give its own word, which dies with it.
    fn note_ends(&mut self) {
        for (ticket, child, host) in self.terminations.split_off(0) {
            let is_alone = !self.world.up().contains(&host) || {
                let others = self.world.members(host).iter().filter(|(id, _)| **id != host.id());
                others.into_iter().all(|(_, member)| member.status == MemberStatus::Down)
            };
            match self.world.reply(ticket) {
                Some(Reply::Terminate(Ok(()))) if !is_alone => self.ended.push(child),
                Some(_) => (),
                None if is_alone => (),
                None => self.terminations.push((ticket, child, host)),
            }
        }
    }

    fn end_faults(&mut self) {
        let now = self.world.now();
        let due: Vec<Host> =
            self.thaws.iter().filter(|(_, at)| **at <= now).map(|(&host, _)| host).collect();
        for host in due {
            self.thaws.remove(&host);
            self.world.thaw(host);
        }
        if self.heals.is_some_and(|at| at <= now) {
            self.heals = None;
            self.world.heal();
            self.world.set_network(self.usual.clone());
        }
        let is_calm = self.thaws.is_empty() && self.heals.is_none();
        self.calm_since = if is_calm { self.calm_since.or(Some(now)) } else { None };
        if self.calm_since.is_some_and(|since| since + CALM <= now) {
            self.has_lost = false;
        }
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let count = u64::try_from(from.len()).expect("it is short");
        (count > 0).then(|| from[self.random.below(count) as usize].clone())
    }

    /// Lets a user ask something of some node.
    fn ask(&mut self) {
        let up = self.world.up();
        let Some(host) = self.pick(&up) else { return };
        match self.random.below(20) {
            0..=6 => {
                let spec = self.draw_spec();
                let ticket = self.world.request(host, Command::Start { scope: scope(), spec });
                self.starts.push(ticket);
            }
            7..=9 => {
                let children = self.children.clone();
                if let Some(child) = self.pick(&children) {
                    let command = Command::Terminate { scope: scope(), child };
                    let ticket = self.world.request(host, command);
                    self.terminations.push((ticket, child, host));
                }
            }
            // Before it has joined a node has no life that a process could be of.
            10 if self.world.members(host).contains_key(&host.id()) => {
                let ticket = self.world.request(host, Command::Spawn);
                if let Some(Reply::Spawn(process)) = self.world.reply(ticket) {
                    self.plain.push(process.clone());
                }
            }
            11..=13 => self.ask_registry(host),
            _ => {
                let target = self.draw_target();
                if let Some(target) = target {
                    let payload = Blob::from("1");
                    self.world.request(host, Command::Call { target, payload });
                }
            }
        }
    }

    fn ask_registry(&mut self, host: Host) {
        let text = format!("alias-{}", self.random.below(ALIASES));
        let seen = self.world.view(host).names.get(&(scope(), name(&text))).cloned();
        if let Some(holder) = seen {
            let process = holder.process;
            let name = name(&text);
            self.world.request(host, Command::Unregister { scope: scope(), name, process });
            return;
        }
        let of_children = self.world.children(host).into_values();
        let mut processes: Vec<ProcessId> =
            of_children.filter_map(|view| view.process.clone()).collect();
        processes.extend(self.plain.iter().cloned());
        let replicas = [Replicas::One, Replicas::Two, Replicas::Majority, Replicas::All];
        let Some(replicas) = self.pick(&replicas) else { return };
        if let Some(process) = self.pick(&processes) {
            self.world.request(host, register(&text, &process, replicas));
        }
    }

    fn draw_spec(&mut self) -> ChildSpec {
        let sum: u64 = KINDS.iter().map(|(_, weight)| weight).sum();
        let mut left = self.random.below(sum);
        let mut kind = KINDS[0].0;
        for (candidate, weight) in KINDS {
            kind = candidate;
            if left < weight {
                break;
            }
            left -= weight;
        }
        let restart = match (kind, self.random.below(8)) {
            ("ends-after-50ms" | "ends-after-8s", _) | (_, 0) => Restart::Transient,
            (_, 1) => Restart::Temporary,
            (_, _) => Restart::Permanent,
        };
        let spec = match self.random.below(4) {
            0 => named(kind, &format!("name-{}", self.random.below(CONTENDED_NAMES))),
            1 => {
                self.names += 1;
                named(kind, &format!("own-{}", self.names))
            }
            _ => spec(kind),
        };
        ChildSpec { restart, ..spec }
    }

    fn draw_target(&mut self) -> Option<Target> {
        let text = match self.random.below(3) {
            0 => format!("name-{}", self.random.below(CONTENDED_NAMES)),
            1 => format!("alias-{}", self.random.below(ALIASES)),
            _ => {
                let children = self.children.clone();
                return self.pick(&children).map(|child| Target::Child(scope(), child));
            }
        };
        Some(Target::Name(scope(), name(&text)))
    }

    /// Lets a fault happen, perhaps.
    fn harm(&mut self) {
        let weather = self.weather.clone();
        if happens(weather.deaths, &mut self.random) {
            self.harm_memory(false);
        }
        if happens(weather.leaves, &mut self.random) {
            self.harm_memory(true);
        }
        if happens(weather.deaths * 2, &mut self.random) {
            self.revive();
        }
        if happens(weather.pauses, &mut self.random) {
            self.pause();
        }
        if happens(weather.cuts, &mut self.random) {
            self.cut();
        }
        if happens(weather.clocks, &mut self.random) {
            let up = self.world.up();
            let offset_ms = i64::try_from(self.random.below(401)).expect("it is small") - 200;
            if let Some(host) = self.pick(&up) {
                self.world.set_wall_offset_ms(host, offset_ms);
            }
        }
        if happens(weather.storms, &mut self.random) && self.heals.is_none() {
            self.world.set_network(Network::wild());
            self.plan_heal();
        }
    }

    /// Takes the memory of a node away: it dies, starts anew, or leaves.
    fn harm_memory(&mut self, leaves: bool) {
        let up = self.world.up();
        if self.has_lost || up.len() < 2 {
            return;
        }
        let Some(host) = self.pick(&up) else { return };
        self.has_lost = true;
        self.calm_since = None;
        self.deaths += 1;
        if leaves {
            self.world.request(host, Command::Leave);
            return;
        }
        match self.random.below(3) {
            0 => self.world.kill(host),
            1 => self.world.crash_silently(host),
            _ => self.world.restart(host),
        }
    }

    /// Starts a node that is over.
    fn revive(&mut self) {
        let dead = self.dead();
        if let Some(host) = self.pick(&dead) {
            self.world.start(host);
        }
    }

    fn dead(&self) -> Vec<Host> {
        let up = self.world.up();
        let all = self.world.hosts.keys().copied();
        all.filter(|host| !up.contains(host) && !self.thaws.contains_key(host)).collect()
    }

    fn pause(&mut self) {
        let up = self.world.up();
        if up.len() < 2 {
            return;
        }
        let Some(host) = self.pick(&up) else { return };
        let length = Duration::from_millis(200 + self.random.below(9_000));
        self.world.pause(host);
        self.thaws.insert(host, self.world.now() + length);
    }

    fn cut(&mut self) {
        let all: Vec<Host> = self.world.hosts.keys().copied().collect();
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for &host in &all {
            let side = if happens(500, &mut self.random) { &mut left } else { &mut right };
            side.push(host);
        }
        let (Some(a), Some(b)) = (self.pick(&left), self.pick(&right)) else { return };
        self.cuts += 1;
        match self.random.below(4) {
            0 => self.world.partition(&left, &right),
            1 => self.world.partition_closed(&left, &right),
            2 => self.world.cut_link(a, b),
            _ => self.world.cut_one_way(a, b),
        }
        self.plan_heal();
    }

    fn plan_heal(&mut self) {
        let length = Duration::from_millis(300 + self.random.below(12_000));
        self.heals = Some(self.world.now() + length);
        self.calm_since = None;
    }

    /// Mends everything and lets the cluster recover; some of the dead stay dead.
    fn recover(&mut self) {
        for host in std::mem::take(&mut self.thaws).into_keys() {
            self.world.thaw(host);
        }
        self.world.heal();
        self.world.set_network(Network::lan());
        for host in self.dead() {
            if happens(500, &mut self.random) {
                self.world.start(host);
            }
        }
        self.world.run_for(RECOVERY);
        self.note_children();
        self.world.settle(SETTLE);
    }

    /// Ends the children that never come to rest.
    fn end_the_restless(&mut self) {
        let Some(&host) = self.world.up().first() else { return };
        let restless = |kind: &str| !self.world.behaviours[kind].is_steady();
        let children = self.world.children(host).into_iter();
        let restless: Vec<ChildId> =
            children.filter(|(_, view)| restless(&view.kind)).map(|(child, _)| child).collect();
        for child in restless {
            let command = Command::Terminate { scope: scope(), child };
            let ticket = self.world.request(host, command);
            self.terminations.push((ticket, child, host));
        }
        self.world.run_for(Duration::from_secs(12));
        self.world.settle(SETTLE);
    }

    /// Checks that every node says that the cluster is at rest, and that its life can be replayed.
    fn check_rest(&mut self) {
        for host in self.world.up() {
            if let Err(error) = self.world.settled(host) {
                self.world.fail(format!("{host} says that the cluster is not at rest: {error}"));
            }
        }
        self.world.settle(SETTLE);
        for host in self.world.up() {
            self.world.assert_replays(host);
        }
    }

    /// Checks that what was terminated is over.
    fn check_answers(&mut self) {
        self.note_ends();
        for &child in &self.ended {
            if !self.world.running_child(child).is_empty() {
                self.world.fail(format!("child {child} was terminated, and runs again"));
            }
        }
    }

    fn summary(&self) -> Summary {
        let stopped =
            |run: &&crate::Run| matches!(run.stop, Some(ordu_core::StopReason::Conflict(_)));
        let count = |count: usize| u64::try_from(count).expect("it fits");
        Summary {
            worlds: 1,
            virtual_time: Duration::from_micros(self.world.now().as_micros()),
            accepted: count(self.children.len()),
            deaths: self.deaths,
            cuts: self.cuts,
            conflicts: count(self.world.runs().iter().filter(stopped).count()),
            runs: count(self.world.runs().len()),
        }
    }
}
