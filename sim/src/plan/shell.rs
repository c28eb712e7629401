//! Plans for nodes with their whole shell: shorter, and with fewer kinds of faults.
//!
//! Swarm testing as in [`draw`](super::draw), without what the simulated runtime cannot do: clocks
//! that differ, machines that are slow, sessions of which one side knows nothing.

use ordu_core::Random;

use crate::host::Host;
use crate::network::{Network, happens};
use crate::plan::draw::{Clients, host_below, log_uniform};
use crate::plan::episode::{Episodes, Kind};
use crate::plan::{Action, Ending, Fate, Plan, Profile, Setup, Step, Tuning};

/// How long the faults of a run last: with what follows, a run takes some five minutes.
const FAULTS_MS: u64 = (4 * 60 + 40) * 1_000;
/// The longest and the shortest mean time between two faults of a kind.
const GAP_MS: (u64, u64) = (4_000, 125_000);
/// The longest and the shortest mean time between two requests.
const ASK_GAP_MS: (u64, u64) = (300, 5_000);

/// What a simulated runtime can be made to have.
const KINDS: [Kind; 10] = [
    Kind::Death,
    Kind::MassDeath,
    Kind::CrashLoop,
    Kind::Leave,
    Kind::Pause,
    Kind::Cut,
    Kind::Flap,
    Kind::Storm,
    Kind::Break,
    Kind::ChildCrash,
];

/// Draws the plan of `seed`.
pub(super) fn draw(seed: u64) -> Plan {
    let mut random = Random::new(seed ^ 0x5e11_5eed);
    let profile = match random.below(10) {
        0 => Profile::NoFaults,
        1 => Profile::EdgeTiming,
        _ => Profile::Full,
    };
    let mut setup = draw_setup(profile, &mut random);
    setup.tuning = setup.tuning.with_limits_of(seed);
    let mut steps = draw_faults(&setup, profile, &mut random);
    steps.extend(draw_asks(setup.hosts, &mut random));
    steps.sort_by_key(|step| step.at_ms);
    let ending = draw_ending(setup.hosts, profile, &mut random);
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

fn draw_setup(profile: Profile, random: &mut Random) -> Setup {
    let hosts = 3 + u16::try_from(random.below(3)).expect("it is small");
    let network = match random.below(4) {
        _ if profile == Profile::NoFaults => Network::lan(),
        0 => Network::wan(),
        1 => Network { loss_per_mille: random.below(100), ..Network::lan() },
        _ => Network::lan(),
    };
    let failure_timeout_ms = [1_500, 3_000, 3_000, 6_000][random.below(4) as usize];
    let tuning = Tuning {
        failure_timeout_ms,
        beat_interval_ms: failure_timeout_ms / 6,
        digest_interval_ms: [500, 1_000, 5_000][random.below(3) as usize],
        starts_at_once: [1, 3, 1_000][random.below(3) as usize],
        conflict_grace_ms: [50, 1_000, 5_000][random.below(3) as usize],
        backoff_max_ms: [1_000, 30_000][random.below(2) as usize],
        ..Tuning::usual()
    };
    Setup { hosts, network, gains_ppm: Vec::new(), tuning, lacking: Vec::new() }
}

fn draw_faults(setup: &Setup, profile: Profile, random: &mut Random) -> Vec<Step> {
    let mut episodes = Episodes::new(setup.hosts, profile, setup.tuning);
    for kind in KINDS {
        // Half of the kinds do not come at all.
        if profile == Profile::NoFaults || happens(500, random) {
            continue;
        }
        let gap_ms = log_uniform(GAP_MS, random);
        let mut at_ms = random.below(2 * gap_ms);
        while at_ms < FAULTS_MS {
            episodes.draw(kind, at_ms, random);
            at_ms += 1 + random.below(2 * gap_ms);
        }
    }
    let steps = episodes.into_steps().into_iter();
    steps.filter(|step| step.at_ms < FAULTS_MS).collect()
}

fn draw_asks(hosts: u16, random: &mut Random) -> Vec<Step> {
    let gap_ms = log_uniform(ASK_GAP_MS, random);
    let mut clients = Clients::new(log_uniform((3, 50), random));
    let mut steps = Vec::new();
    let mut at_ms = 0;
    while at_ms < FAULTS_MS {
        let (host, ask) = (host_below(hosts, random), clients.draw(random));
        steps.push(Step { at_ms, action: Action::Ask { host, ask } });
        at_ms += 1 + random.below(2 * gap_ms);
    }
    steps
}

/// Draws who is left alone: mostly everybody, at times a majority, at times all but one.
fn draw_ending(hosts: u16, profile: Profile, random: &mut Random) -> Ending {
    let mut core: Vec<Host> = (1..=hosts).map(Host::new).collect();
    let count = match random.below(4) {
        _ if profile == Profile::NoFaults => hosts,
        0 | 1 => hosts,
        2 => hosts / 2 + 1,
        _ => hosts - 1,
    };
    while core.len() > usize::from(count) {
        let left = u64::try_from(core.len()).expect("there are few");
        core.remove(random.below(left) as usize);
    }
    let fates = [Fate::Heal, Fate::Crash, Fate::Cut];
    Ending { core, others: fates[random.below(3) as usize] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Fault;

    #[test]
    fn plans_for_the_shell_can_be_run_and_have_only_what_a_runtime_can_do() {
        for seed in 0..200 {
            let plan = draw(seed);
            assert_eq!(plan.check(), Ok(()), "seed {seed}");
            assert_eq!(plan, draw(seed), "seed {seed}");
            assert_ne!(plan.steps, draw(seed + 1).steps, "seed {seed}");
            assert_ne!(plan.ending.others, Fate::Flap, "seed {seed}");
            for step in &plan.steps {
                let Action::Fault(fault) = &step.action else { continue };
                let is_beyond = matches!(
                    fault,
                    Fault::WallOffset(..) | Fault::ClockGain(..) | Fault::Work(..) | Fault::Lie(..)
                );
                assert!(!is_beyond, "seed {seed}: {step:?}");
            }
        }
    }
}
