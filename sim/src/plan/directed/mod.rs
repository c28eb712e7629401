//! Schedules aimed at one promise each.
//!
//! Blind chance seldom puts two faults where they hurt. A directed schedule puts them there, and
//! leaves to chance only what it does not know: the moment to the millisecond, who of the machines
//! it hits, and how bad the network is.

mod children;
mod clocks;
mod leases;
mod liars;
mod links;
mod lives;
mod names;

use ordu_core::{Random, Replicas, Restart};
use serde::{Deserialize, Serialize};

use crate::host::Host;
use crate::network::Network;
use crate::plan::draw::{host_below, log_uniform};
use crate::plan::{Action, Ask, Ending, Fate, Fault, Holding, Plan, Profile, Setup, Step, Tuning};

/// What a directed schedule is aimed at.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum Aim {
    /// A name is taken on both sides of a split; owners die while the conflict is resolved.
    ConflictThenDeath,
    /// Names are taken three ways, and given up again at the moment of the heal.
    ThreeWayConflict,
    /// Two processes hold two names crosswise after a heal.
    CrossingNames,
    /// A name changes hands while frames are kept back and delivered again, lives later.
    HoardedNames,
    /// A node restarts within the failure timeout, with names to lose and to take again.
    QuickRestart,
    /// A node restarts again and again.
    CrashLoop,
    /// A node returns when it is about to be forgotten, or has just been.
    LateReturn,
    /// Most nodes die at once and return at once.
    MassRestart,
    /// A child is accepted, and who accepted it dies at once.
    AcceptThenDeath,
    /// A child is ended, and who ended it dies at once.
    EndThenDeath,
    /// A node is frozen just past the failure timeout, and thaws onto what was taken over.
    ThawOntoTakeover,
    /// A node leaves, and dies or is cut off in the midst of it.
    LeaveInterrupted,
    /// One link of a whole cluster is broken for a minute.
    OneBrokenLink,
    /// Every node hears a majority, and no two hear the same.
    MajoritiesRing,
    /// A link comes and goes near the failure timeout.
    FlappingLink,
    /// Sessions end at one side only, and frames go into the void.
    HalfOpen,
    /// One node works a hundred times slower than the others.
    SlowNode,
    /// Wall clocks jump to and fro while names change hands.
    WallStrobe,
    /// Children that are done start anew if they are to run always, and else never again.
    DoneChildren,
    /// Machines have code for different kinds of children, and die.
    MixedKinds,
    /// A machine with names and children dies for ever.
    LastingDeath,
    /// A child is ended by a node that nobody hears, and that dies.
    UnheardEnd,
    /// What a node asked another to do for it comes again when the opposite was asked since.
    HoardedForwards,
    /// A node leaves, and writes on, when little else happens.
    QuietLeave,
    /// A node says what no honest node says, to some or to all.
    Liar,
    /// All nodes start anew again and again, with little to say.
    RestartStorm,
    /// Who holds leases is cut off, and those that granted them start anew.
    IsolateHolder,
    /// Who holds leases is frozen until about their end.
    FreezeHolder,
    /// Most voters start anew at once.
    BounceVoters,
    /// Several sides reach a majority of the voters, or none does.
    SplitVotes,
    /// What was asked of voters, and answered, comes again much later.
    HoardedLeases,
    /// Who holds a name under a lease is cut off or frozen, and others ask for it again and again.
    ContendedNames,
}

impl Aim {
    /// Every aim.
    pub const ALL: [Self; 32] = [
        Self::ConflictThenDeath,
        Self::ThreeWayConflict,
        Self::CrossingNames,
        Self::HoardedNames,
        Self::QuickRestart,
        Self::CrashLoop,
        Self::LateReturn,
        Self::MassRestart,
        Self::AcceptThenDeath,
        Self::EndThenDeath,
        Self::ThawOntoTakeover,
        Self::LeaveInterrupted,
        Self::OneBrokenLink,
        Self::MajoritiesRing,
        Self::FlappingLink,
        Self::HalfOpen,
        Self::SlowNode,
        Self::WallStrobe,
        Self::DoneChildren,
        Self::MixedKinds,
        Self::LastingDeath,
        Self::UnheardEnd,
        Self::HoardedForwards,
        Self::QuietLeave,
        Self::Liar,
        Self::RestartStorm,
        Self::IsolateHolder,
        Self::FreezeHolder,
        Self::BounceVoters,
        Self::SplitVotes,
        Self::HoardedLeases,
        Self::ContendedNames,
    ];

    /// The aims whose children run under leases.
    pub const LEASES: [Self; 6] = [
        Self::IsolateHolder,
        Self::FreezeHolder,
        Self::BounceVoters,
        Self::SplitVotes,
        Self::HoardedLeases,
        Self::ContendedNames,
    ];

    /// Returns the name of the schedule.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConflictThenDeath => "conflict-then-death",
            Self::ThreeWayConflict => "three-way-conflict",
            Self::CrossingNames => "crossing-names",
            Self::HoardedNames => "hoarded-names",
            Self::QuickRestart => "quick-restart",
            Self::CrashLoop => "crash-loop",
            Self::LateReturn => "late-return",
            Self::MassRestart => "mass-restart",
            Self::AcceptThenDeath => "accept-then-death",
            Self::EndThenDeath => "end-then-death",
            Self::ThawOntoTakeover => "thaw-onto-takeover",
            Self::LeaveInterrupted => "leave-interrupted",
            Self::OneBrokenLink => "one-broken-link",
            Self::MajoritiesRing => "majorities-ring",
            Self::FlappingLink => "flapping-link",
            Self::HalfOpen => "half-open",
            Self::SlowNode => "slow-node",
            Self::WallStrobe => "wall-strobe",
            Self::DoneChildren => "done-children",
            Self::MixedKinds => "mixed-kinds",
            Self::LastingDeath => "lasting-death",
            Self::UnheardEnd => "unheard-end",
            Self::HoardedForwards => "hoarded-forwards",
            Self::QuietLeave => "quiet-leave",
            Self::Liar => "liar",
            Self::RestartStorm => "restart-storm",
            Self::IsolateHolder => "isolate-holder",
            Self::FreezeHolder => "freeze-holder",
            Self::BounceVoters => "bounce-voters",
            Self::SplitVotes => "split-votes",
            Self::HoardedLeases => "hoarded-leases",
            Self::ContendedNames => "contended-names",
        }
    }

    /// Returns what the schedule does, and which promises it is aimed at.
    pub fn about(self) -> &'static str {
        match self {
            Self::ConflictThenDeath => "S12, L5: owners of one name die while it is resolved",
            Self::ThreeWayConflict => {
                "S12, L5: three sides take a name, and give it up at the heal"
            }
            Self::CrossingNames => "S12: two processes hold two names crosswise",
            Self::HoardedNames => "S4, S14: what was said of a name is said again, lives later",
            Self::QuickRestart => "S2, S3: a node starts anew before anybody misses it",
            Self::CrashLoop => "L2: a node starts anew again and again",
            Self::LateReturn => "S38, S4, L1: a node returns as it is forgotten",
            Self::MassRestart => "L1, L6: most nodes die at once, and return",
            Self::AcceptThenDeath => "L6: who accepted a child dies",
            Self::EndThenDeath => "S4, L6: who ended a child dies",
            Self::ThawOntoTakeover => "L6, L8: a frozen node thaws onto what was taken over",
            Self::LeaveInterrupted => "L15: a leaving node dies, or is cut off",
            Self::OneBrokenLink => "S32: one link of a whole cluster is broken",
            Self::MajoritiesRing => "S32, L5: all hear a majority, no two the same",
            Self::FlappingLink => "S32, L9: a link comes and goes near the failure timeout",
            Self::HalfOpen => "L13: sessions end at one side only",
            Self::SlowNode => "L13: one node is a hundred times slower than the others",
            Self::WallStrobe => "S13: wall clocks jump while names change hands",
            Self::DoneChildren => "L6, S35: children that are done start anew, or do not",
            Self::MixedKinds => "S33, L6: machines have code for different kinds, and die",
            Self::LastingDeath => "L6, L4: a machine dies for ever",
            Self::UnheardEnd => "S4, L6: a child is ended by a node that nobody hears",
            Self::HoardedForwards => {
                "S16: what was asked of another node is asked again, much later"
            }
            Self::QuietLeave => "S37, L16: a node leaves, and writes on, and little else happens",
            Self::Liar => "S29, S2, L1: a node says what no honest node says",
            Self::RestartStorm => "S28, L2: all nodes start anew, again and again",
            Self::IsolateHolder => "S19, S22: a holder is cut off, and voters forget",
            Self::FreezeHolder => "S21, S22: a holder is frozen until about the end of its leases",
            Self::BounceVoters => "S19, S20, L7: most voters forget at once",
            Self::SplitVotes => "S19, L7: several sides reach a majority, or none does",
            Self::HoardedLeases => "S19: what was asked and granted comes again, lives later",
            Self::ContendedNames => "S41, S42: others ask for what a cut off or frozen node holds",
        }
    }
}

/// Returns the plan of `seed` that is aimed at `aim`.
pub(super) fn plan(seed: u64, aim: Aim, random: &mut Random) -> Plan {
    let mut script = Script::new(random);
    let repeats = 2 + script.random.below(4);
    for _ in 0..repeats {
        match aim {
            Aim::ConflictThenDeath => names::conflict_then_death(&mut script),
            Aim::ThreeWayConflict => names::three_way_conflict(&mut script),
            Aim::CrossingNames => names::crossing_names(&mut script),
            Aim::HoardedNames => names::hoarded_names(&mut script),
            Aim::QuickRestart => lives::quick_restart(&mut script),
            Aim::CrashLoop => lives::crash_loop(&mut script),
            Aim::LateReturn => lives::late_return(&mut script),
            Aim::MassRestart => lives::mass_restart(&mut script),
            Aim::AcceptThenDeath => children::accept_then_death(&mut script),
            Aim::EndThenDeath => children::end_then_death(&mut script),
            Aim::ThawOntoTakeover => children::thaw_onto_takeover(&mut script),
            Aim::LeaveInterrupted => children::leave_interrupted(&mut script),
            Aim::OneBrokenLink => links::one_broken_link(&mut script),
            Aim::MajoritiesRing => links::majorities_ring(&mut script),
            Aim::FlappingLink => links::flapping_link(&mut script),
            Aim::HalfOpen => links::half_open(&mut script),
            Aim::SlowNode => clocks::slow_node(&mut script),
            Aim::WallStrobe => clocks::wall_strobe(&mut script),
            Aim::DoneChildren => children::done_children(&mut script),
            Aim::MixedKinds => children::mixed_kinds(&mut script),
            Aim::LastingDeath => lives::lasting_death(&mut script),
            Aim::UnheardEnd => children::unheard_end(&mut script),
            Aim::HoardedForwards => names::hoarded_forwards(&mut script),
            Aim::QuietLeave => lives::quiet_leave(&mut script),
            Aim::Liar => liars::liar(&mut script),
            Aim::RestartStorm => lives::restart_storm(&mut script),
            Aim::IsolateHolder => leases::isolate_holder(&mut script),
            Aim::FreezeHolder => leases::freeze_holder(&mut script),
            Aim::BounceVoters => leases::bounce_voters(&mut script),
            Aim::SplitVotes => leases::split_votes(&mut script),
            Aim::HoardedLeases => leases::hoarded_leases(&mut script),
            Aim::ContendedNames => leases::contended_names(&mut script),
        }
    }
    script.finish(seed, aim)
}

/// A schedule as it is written down.
struct Script<'r> {
    hosts: u16,
    network: Network,
    tuning: Tuning,
    now_ms: u64,
    child: u32,
    process: u32,
    steps: Vec<Step>,
    /// The kinds that single machines have no code for.
    lacking: Vec<(Host, String)>,
    /// How much each machine's clock gains; none if all are right.
    gains_ppm: Vec<i32>,
    /// The machines that stay dead.
    lost: Vec<Host>,
    random: &'r mut Random,
}

impl<'r> Script<'r> {
    fn new(random: &'r mut Random) -> Self {
        let hosts = 3 + u16::try_from(random.below(3)).expect("it is small");
        let network = match random.below(4) {
            0 | 1 => Network::lan(),
            2 => Network::lossy(),
            _ => Network::wan(),
        };
        let tuning = Tuning::usual();
        let (steps, lacking, lost) = (Vec::new(), Vec::new(), Vec::new());
        let (now_ms, child, process) = (0, 0, 0);
        let gains_ppm = vec![0; usize::from(hosts)];
        Self {
            hosts,
            network,
            tuning,
            now_ms,
            child,
            process,
            steps,
            lacking,
            gains_ppm,
            lost,
            random,
        }
    }

    /// Lets `ms` milliseconds pass.
    fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
    }

    /// Lets some time between the two of `range` pass.
    fn wait_about(&mut self, range: (u64, u64)) {
        let ms = log_uniform(range, self.random);
        self.wait(ms);
    }

    /// Lets so much time pass that a silent node is taken for dead by everybody.
    fn wait_until_missed(&mut self) {
        self.wait(4 * self.tuning.failure_timeout_ms);
    }

    fn fault(&mut self, fault: Fault) {
        self.steps.push(Step { at_ms: self.now_ms, action: Action::Fault(fault) });
    }

    fn ask(&mut self, host: Host, ask: Ask) {
        self.steps.push(Step { at_ms: self.now_ms, action: Action::Ask { host, ask } });
    }

    /// Starts a counter through `host`, with a name if one is given, and returns its number.
    fn start(&mut self, host: Host, name: Option<&str>) -> u32 {
        self.start_kind(host, "counter", Restart::Permanent, name)
    }

    fn start_kind(&mut self, host: Host, kind: &str, restart: Restart, name: Option<&str>) -> u32 {
        self.child += 1;
        let (child, kind, name) = (self.child, kind.to_owned(), name.map(str::to_owned));
        self.ask(host, Ask::Start { child, kind, restart, name });
        child
    }

    /// Runs a process on `host` and gives it a name there; returns its number.
    fn spawn(&mut self, host: Host, name: &str) -> u32 {
        self.process += 1;
        let process = self.process;
        self.ask(host, Ask::Spawn { process });
        self.register(host, process, name);
        process
    }

    fn register(&mut self, host: Host, process: u32, name: &str) {
        let (name, holder) = (name.to_owned(), Holding::Process(process));
        let replicas = [Replicas::One, Replicas::Two, Replicas::Majority];
        let replicas = replicas[self.random.below(3) as usize];
        self.ask(host, Ask::Register { name, holder, replicas });
    }

    fn unregister(&mut self, host: Host, name: &str) {
        self.ask(host, Ask::Unregister { name: name.to_owned() });
    }

    /// Returns some machine.
    fn any(&mut self) -> Host {
        host_below(self.hosts, self.random)
    }

    /// Returns all machines, in an order of chance.
    fn shuffled(&mut self) -> Vec<Host> {
        let mut rest: Vec<Host> = (1..=self.hosts).map(Host::new).collect();
        let mut shuffled = Vec::new();
        while !rest.is_empty() {
            let count = u64::try_from(rest.len()).expect("there are few");
            shuffled.push(rest.swap_remove(self.random.below(count) as usize));
        }
        shuffled
    }

    fn finish(self, seed: u64, aim: Aim) -> Plan {
        let all = (1..=self.hosts).map(Host::new);
        let core = all.filter(|host| !self.lost.contains(host)).collect();
        let Self { hosts, network, tuning, now_ms, mut steps, lacking, gains_ppm, lost, .. } = self;
        let tuning = tuning.with_limits_of(seed);
        steps.sort_by_key(|step| step.at_ms);
        let setup = Setup { hosts, network, gains_ppm, tuning, lacking };
        let others = if lost.is_empty() { Fate::Heal } else { Fate::Crash };
        let ending = Ending { core, others };
        let profile = Profile::Directed(aim);
        let (tampers, ends_ms) = (Vec::new(), now_ms + 1);
        Plan { seed, profile, setup, steps, tampers, tampers_ms: 0, ends_ms, ending }
    }
}
