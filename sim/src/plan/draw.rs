//! How a seed draws a plan: which faults there are, how strong, and what users do meanwhile.
//!
//! Every seed draws anew which kinds of faults its run has at all, and how often each comes, over
//! two orders of magnitude: a fault that only shows without another one is met as well as one that
//! only shows together with it. Source: Groce et al., "Swarm Testing", ISSTA 2012.

use ordu_core::placement::Placement;
use ordu_core::{Quorum, Random, Replicas, Restart};

use crate::host::Host;
use crate::network::{Network, happens};
use crate::plan::directed::{self, Aim};
use crate::plan::episode::Episodes;
use crate::plan::tuning::Leases;
use crate::plan::{
    Action, Ask, Care, Ending, Fate, Holding, Plan, Profile, Setup, Step, Tuning, Writing, ZONE,
    ZONES,
};

/// How long the faults of a run last: with what follows, a run takes some ten minutes.
const FAULTS_MS: u64 = 8 * 60 * 1_000;
/// The longest and the shortest mean time between two faults of a kind.
const GAP_MS: (u64, u64) = (4_000, 250_000);
/// The longest and the shortest mean time between two requests.
const ASK_GAP_MS: (u64, u64) = (300, 5_000);
/// The longest and the shortest mean time between two changes of the voters.
const CHANGE_GAP_MS: (u64, u64) = (1_000, 100_000);
/// How many names children contend for.
const CONTENDED_NAMES: u64 = 3;
/// How many names are given to processes that run already.
const ALIASES: u64 = 4;
/// How many keys metadata is kept under, and how many groups there are.
const KEYS: u64 = 3;
/// How many values are kept beside names, members of groups, and in metadata.
const VALUES: u64 = 1_000;

/// The kinds of children, with how often each is started.
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

/// The kind of the children that are started once.
const ONCE: &str = "counter";

/// Draws the plan of `seed`.
pub(super) fn draw(seed: u64, profile: Option<Profile>) -> Plan {
    let mut random = Random::new(seed ^ 0x0b5e_55ed);
    let profile = profile.unwrap_or_else(|| draw_profile(&mut random));
    if let Profile::Directed(aim) = profile {
        return directed::plan(seed, aim, &mut random);
    }
    let hosts = 3 + u16::try_from(random.below(5)).expect("it is small");
    let mut setup = draw_setup(hosts, profile, &mut random);
    setup.tuning = setup.tuning.with_limits_of(seed);
    if profile == Profile::Leases {
        setup.tuning.leases = Some(draw_leases(hosts, &mut random));
    }
    if profile == Profile::Minorities {
        setup.tuning.quorum = Some(draw_quorum(hosts, &mut random));
    }
    let mut drawing = Drawing { hosts, profile, tuning: setup.tuning, random, steps: Vec::new() };
    drawing.draw_faults();
    drawing.draw_asks();
    if profile == Profile::Leases {
        drawing.draw_changes();
    }
    let ending = drawing.draw_ending();
    let mut steps = drawing.steps;
    steps.sort_by_key(|step| step.at_ms);
    Plan {
        seed,
        profile,
        setup,
        steps,
        tampers: Vec::new(),
        tampers_ms: 0,
        ends_ms: FAULTS_MS,
        ending,
    }
}

fn draw_profile(random: &mut Random) -> Profile {
    match random.below(100) {
        0..50 => Profile::Full,
        50..54 => Profile::Minorities,
        54..62 => Profile::Leases,
        62..88 => {
            let aims = u64::try_from(Aim::ALL.len()).expect("there are few");
            Profile::Directed(Aim::ALL[random.below(aims) as usize])
        }
        88..92 => Profile::EdgeTiming,
        92..95 => Profile::PushOnly,
        95..98 => Profile::DigestsOnly,
        _ => Profile::NoFaults,
    }
}

fn draw_setup(hosts: u16, profile: Profile, random: &mut Random) -> Setup {
    let network = match (profile, random.below(8)) {
        (Profile::NoFaults, _) => Network::lan(),
        (Profile::PushOnly, 0..4) | (_, 0..3) => Network::lan(),
        (Profile::PushOnly, _) | (_, 3) => Network::wan(),
        (_, 4) => Network::lossy(),
        (_, 5) => Network::wild(),
        (_, _) => draw_network(random),
    };
    let gain = |random: &mut Random| match random.below(4) {
        0 => -10_000,
        1 => 10_000,
        _ => i32::try_from(random.below(20_001)).expect("it is small") - 10_000,
    };
    let gains_ppm = (0..hosts).map(|_| gain(random)).collect();
    let tuning = draw_tuning(profile, random);
    Setup { hosts, network, gains_ppm, tuning, lacking: Vec::new() }
}

fn draw_leases(hosts: u16, random: &mut Random) -> Leases {
    let voters = [1, 2, 3, 3, 4, 5, hosts][random.below(7) as usize].min(hosts);
    let lease_ms = [2_500, 5_000, 5_000][random.below(3) as usize];
    let disk_ms = [1, 10, 10, 100, 600, 1_500][random.below(6) as usize];
    Leases { voters, lease_ms, disk_ms, ..Leases::usual() }
}

/// Draws a rule that nodes stop by, each as likely as another.
fn draw_quorum(hosts: u16, random: &mut Random) -> Quorum {
    match random.below(5) {
        0 => Quorum::Voters,
        1 => Quorum::Uniform,
        2 => Quorum::KeepMajority,
        3 => Quorum::Static { size: usize::from(hosts / 2 + 1) },
        _ => Quorum::KeepOldest { down_if_alone: happens(500, random) },
    }
}

/// Draws a link that has some faults and not others, each of its own strength.
fn draw_network(random: &mut Random) -> Network {
    let presets = Network::presets();
    let preset = |random: &mut Random| {
        let count = u64::try_from(presets.len()).expect("there are few");
        (presets[random.below(count) as usize].1)()
    };
    let (a, b) = (preset(random), preset(random));
    let loss = if happens(500, random) { random.below(400) } else { 0 };
    let repeat = if happens(500, random) { random.below(500) } else { 0 };
    Network {
        loss_per_mille: loss,
        repeat_per_mille: repeat,
        hoard_per_mille: b.hoard_per_mille,
        reset_per_mille: b.reset_per_mille,
        in_order: a.in_order && b.in_order,
        ..a
    }
}

fn draw_tuning(profile: Profile, random: &mut Random) -> Tuning {
    let usual = Tuning::usual();
    let failure_timeout_ms = [1_500, 3_000, 3_000, 6_000][random.below(4) as usize];
    let thrice = failure_timeout_ms / 3;
    let beat_interval_ms = if happens(200, random) { thrice } else { failure_timeout_ms / 6 };
    let digest_interval_ms = match profile {
        Profile::PushOnly => 24 * 60 * 60 * 1_000,
        Profile::Full
        | Profile::DigestsOnly
        | Profile::NoFaults
        | Profile::EdgeTiming
        | Profile::Leases
        | Profile::Minorities
        | Profile::Directed(_) => [500, 1_000, 1_000, 5_000][random.below(4) as usize],
    };
    Tuning {
        failure_timeout_ms,
        beat_interval_ms,
        digest_interval_ms,
        starts_at_once: [1, 3, 1_000][random.below(3) as usize],
        conflict_grace_ms: [50, 1_000, 5_000][random.below(3) as usize],
        backoff_max_ms: [1_000, 30_000][random.below(2) as usize],
        ..usual
    }
}

/// Returns a number between the two of `range`, every order of magnitude as likely as another.
pub(super) fn log_uniform(range: (u64, u64), random: &mut Random) -> u64 {
    let (least, most) = range;
    assert!(0 < least && least <= most, "a range goes up");
    let doublings = most.div_ceil(least).ilog2() + 1;
    let floor = least << random.below(u64::from(doublings));
    (floor + random.below(floor)).min(most)
}

struct Drawing {
    hosts: u16,
    profile: Profile,
    tuning: Tuning,
    random: Random,
    steps: Vec<Step>,
}

impl Drawing {
    fn draw_faults(&mut self) {
        if self.profile == Profile::NoFaults {
            return;
        }
        let mut episodes = Episodes::new(self.hosts, self.profile, self.tuning);
        for &kind in episodes.kinds() {
            // Half of the kinds do not come at all.
            if happens(500, &mut self.random) {
                continue;
            }
            let gap_ms = log_uniform(GAP_MS, &mut self.random);
            let mut at_ms = self.random.below(2 * gap_ms);
            while at_ms < FAULTS_MS {
                episodes.draw(kind, at_ms, &mut self.random);
                at_ms += 1 + self.random.below(2 * gap_ms);
            }
        }
        let faults = episodes.into_steps();
        self.steps.extend(faults.into_iter().filter(|step| step.at_ms < FAULTS_MS));
    }

    fn draw_asks(&mut self) {
        let gap_ms = log_uniform(ASK_GAP_MS, &mut self.random);
        let population = log_uniform((3, 50), &mut self.random);
        let mut clients = Clients::new(population);
        let mut at_ms = 0;
        while at_ms < FAULTS_MS {
            let host = self.draw_host();
            let ask = clients.draw(&mut self.random);
            self.steps.push(Step { at_ms, action: Action::Ask { host, ask } });
            at_ms += 1 + self.random.below(2 * gap_ms);
        }
    }

    /// Draws how voters are changed, if they are.
    fn draw_changes(&mut self) {
        if happens(400, &mut self.random) {
            return;
        }
        let gap_ms = log_uniform(CHANGE_GAP_MS, &mut self.random);
        let mut at_ms = self.random.below(2 * gap_ms);
        while at_ms < FAULTS_MS {
            let (host, voter) = (self.draw_host(), self.draw_host());
            let ask = Ask::ChangeVoters { voter, adds: happens(550, &mut self.random) };
            self.steps.push(Step { at_ms, action: Action::Ask { host, ask } });
            at_ms += 1 + self.random.below(2 * gap_ms);
        }
    }

    fn draw_host(&mut self) -> Host {
        host_below(self.hosts, &mut self.random)
    }

    /// Draws who is left alone: mostly everybody, at times a majority, at times a few.
    fn draw_ending(&mut self) -> Ending {
        let all: Vec<Host> = (1..=self.hosts).map(Host::new).collect();
        if self.profile == Profile::NoFaults {
            return Ending { core: all, others: Fate::Heal };
        }
        let count = match self.random.below(8) {
            0..3 => self.hosts,
            3..6 => self.hosts / 2 + 1,
            6 => 1 + u16::try_from(self.random.below(u64::from(self.hosts))).expect("it is small"),
            _ => self.hosts.saturating_sub(1).max(1),
        };
        let mut core = all;
        while core.len() > usize::from(count) {
            let count = u64::try_from(core.len()).expect("there are few");
            core.remove(self.random.below(count) as usize);
        }
        let fates = [Fate::Heal, Fate::Crash, Fate::Cut, Fate::Flap];
        let mut others = fates[self.random.below(4) as usize];
        let needs_others = matches!(self.profile, Profile::Leases | Profile::Minorities);
        if needs_others && others == Fate::Flap {
            // Over a link that comes and goes leases lapse, if it is one that a majority needs, and
            // so do quorums.
            others = Fate::Heal;
        }
        Ending { core, others }
    }
}

/// Returns one of `hosts` machines.
pub(super) fn host_below(hosts: u16, random: &mut Random) -> Host {
    Host::new(1 + u16::try_from(random.below(u64::from(hosts))).expect("it is small"))
}

/// What the users of a run have asked for so far.
#[derive(Default)]
pub(super) struct Clients {
    /// About how many children there are at a time.
    population: u64,
    children: Vec<u32>,
    /// Those of them that were started once.
    once: Vec<u32>,
    child: u32,
    processes: u32,
    names: u64,
}

impl Clients {
    /// Returns clients that keep about so many children.
    pub(super) fn new(population: u64) -> Self {
        Self { population, ..Self::default() }
    }

    pub(super) fn draw(&mut self, random: &mut Random) -> Ask {
        let alive = u64::try_from(self.children.len()).expect("they fit");
        match random.below(28) {
            25..28 => Ask::Care(self.care(random)),
            0..6 if random.below(2 * self.population) < alive => self.terminate(random),
            0..6 => self.start(random),
            6 => self.terminate(random),
            7 => {
                self.processes += 1;
                Ask::Spawn { process: self.processes }
            }
            8..11 => self.register(random),
            11 => Ask::Unregister { name: alias(random) },
            12..15 => Ask::CallName { name: contended(random) },
            15 | 16 => Ask::CallName { name: alias(random) },
            17..21 => match self.write(random) {
                Some(writing) => Ask::Write(writing),
                None => self.start(random),
            },
            21 => Ask::Publish { group: group(random) },
            _ => match self.pick(random) {
                Some(child) => Ask::CallChild { child },
                None => self.start(random),
            },
        }
    }

    fn pick(&self, random: &mut Random) -> Option<u32> {
        let count = u64::try_from(self.children.len()).expect("they fit");
        (count > 0).then(|| self.children[random.below(count) as usize])
    }

    fn terminate(&mut self, random: &mut Random) -> Ask {
        let Some(child) = self.pick(random) else { return self.start(random) };
        self.children.retain(|&other| other != child);
        Ask::Terminate { child }
    }

    fn care(&mut self, random: &mut Random) -> Care {
        let again = self.once.last().copied().filter(|_| happens(600, random));
        let known = self.pick(random);
        match (random.below(6), again, known) {
            (0, Some(child), _) => Care::Once { child, kind: ONCE.to_owned() },
            (1, _, Some(child)) => Care::Restart { child },
            (2, _, Some(child)) => Care::Release { child },
            (0..=2, _, _) => {
                let child = self.next_child();
                self.once.push(child);
                Care::Once { child, kind: ONCE.to_owned() }
            }
            (4, _, Some(parent)) => {
                let kind = draw_kind(random).to_owned();
                let (child, escalates) = (self.next_child(), random.below(2) == 0);
                Care::Nested { child, kind, parent, escalates }
            }
            (3..=4, _, _) => {
                let placement = match random.below(4) {
                    0 => Placement::Random,
                    1 => Placement::bounded(120),
                    2 => Placement::spread(),
                    _ => Placement::spread_over(ZONE),
                };
                let kind = draw_kind(random).to_owned();
                Care::Placed { child: self.next_child(), kind, placement }
            }
            (_, _, _) => {
                let zone = u16::try_from(random.below(u64::from(ZONES))).expect("it is small");
                let kind = draw_kind(random).to_owned();
                Care::Inside { child: self.next_child(), kind, zone }
            }
        }
    }

    fn next_child(&mut self) -> u32 {
        self.child += 1;
        self.children.push(self.child);
        self.child
    }

    /// Returns a process of a child or without one, if there may be any.
    fn holder(&self, random: &mut Random) -> Option<Holding> {
        if self.processes > 0 && happens(500, random) {
            let process = 1 + random.below(u64::from(self.processes));
            return Some(Holding::Process(u32::try_from(process).expect("it is one of them")));
        }
        self.pick(random).map(Holding::Child)
    }

    fn register(&mut self, random: &mut Random) -> Ask {
        let replicas = draw_replicas(random);
        match self.holder(random) {
            Some(holder) => Ask::Register { name: alias(random), holder, replicas },
            None => self.start(random),
        }
    }

    fn write(&self, random: &mut Random) -> Option<Writing> {
        Some(match random.below(4) {
            0 => Writing::Value { name: alias(random), value: value(random) },
            1 => {
                let key = format!("key-{}", random.below(KEYS));
                let value = happens(700, random).then(|| value(random));
                Writing::Meta { key, value, replicas: draw_replicas(random) }
            }
            2 => {
                let (group, metadata) = (group(random), value(random));
                Writing::JoinGroup { group, holder: self.holder(random)?, metadata }
            }
            _ => Writing::LeaveGroup { group: group(random), holder: self.holder(random)? },
        })
    }

    fn start(&mut self, random: &mut Random) -> Ask {
        let child = self.next_child();
        let kind = draw_kind(random);
        let restart = match (kind, random.below(8)) {
            ("ends-after-50ms" | "ends-after-8s", _) | (_, 0) => Restart::Transient,
            (_, 1) => Restart::Temporary,
            (_, _) => Restart::Permanent,
        };
        let name = match random.below(4) {
            0 => Some(contended(random)),
            1 => {
                self.names += 1;
                Some(format!("own-{}", self.names))
            }
            _ => None,
        };
        Ask::Start { child, kind: kind.to_owned(), restart, name }
    }
}

fn contended(random: &mut Random) -> String {
    format!("name-{}", random.below(CONTENDED_NAMES))
}

fn alias(random: &mut Random) -> String {
    format!("alias-{}", random.below(ALIASES))
}

fn group(random: &mut Random) -> String {
    format!("group-{}", random.below(KEYS))
}

fn value(random: &mut Random) -> String {
    random.below(VALUES).to_string()
}

fn draw_replicas(random: &mut Random) -> Replicas {
    let replicas = [Replicas::One, Replicas::Two, Replicas::Majority, Replicas::All];
    replicas[random.below(4) as usize]
}

fn draw_kind(random: &mut Random) -> &'static str {
    let sum: u64 = KINDS.iter().map(|(_, weight)| weight).sum();
    let mut left = random.below(sum);
    for (kind, weight) in KINDS {
        if left < weight {
            return kind;
        }
        left -= weight;
    }
    unreachable!("the weights add up to their sum")
}
