//! Faults that begin and end: what is cut is mended, what freezes thaws, who dies may return.

use ordu_core::Random;

use crate::host::Host;
use crate::lies::Lie;
use crate::network::{Network, happens};
use crate::pace::Pace;
use crate::plan::draw::{host_below, log_uniform};
use crate::plan::{Action, Ask, Fault, Profile, Step, Tuning};
use crate::topology::Topology;

/// A kind of fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// A node dies; mostly it returns.
    Death,
    /// Several nodes die at once, and return.
    MassDeath,
    /// A node starts anew again and again.
    CrashLoop,
    /// A node leaves; mostly it returns.
    Leave,
    /// A machine freezes.
    Pause,
    /// Links are cut.
    Cut,
    /// A link comes and goes.
    Flap,
    /// All links change for a while.
    Storm,
    /// A session ends.
    Break,
    /// A wall clock is off, within what is allowed.
    WallDrift,
    /// A wall clock jumps, far, and back.
    WallStep,
    /// A clock runs fast or slow.
    Gain,
    /// A machine works slowly.
    Slow,
    /// A process of a child fails by itself.
    ChildCrash,
    /// A node says what no honest node says.
    Lie,
}

const ALL: [Kind; 15] = [
    Kind::Death,
    Kind::MassDeath,
    Kind::CrashLoop,
    Kind::Leave,
    Kind::Pause,
    Kind::Cut,
    Kind::Flap,
    Kind::Storm,
    Kind::Break,
    Kind::WallDrift,
    Kind::WallStep,
    Kind::Gain,
    Kind::Slow,
    Kind::ChildCrash,
    Kind::Lie,
];

/// What is left where nothing may be lost on the way.
const LOSSLESS: [Kind; 5] =
    [Kind::Death, Kind::Leave, Kind::WallDrift, Kind::Gain, Kind::ChildCrash];

/// Draws the episodes of one run.
pub(crate) struct Episodes {
    hosts: u16,
    profile: Profile,
    tuning: Tuning,
    steps: Vec<Step>,
}

impl Episodes {
    pub(crate) fn new(hosts: u16, profile: Profile, tuning: Tuning) -> Self {
        Self { hosts, profile, tuning, steps: Vec::new() }
    }

    /// Returns the kinds that such a run may have.
    pub(super) fn kinds(&self) -> &'static [Kind] {
        match self.profile {
            Profile::PushOnly => &LOSSLESS,
            Profile::NoFaults => &[],
            Profile::Full
            | Profile::DigestsOnly
            | Profile::EdgeTiming
            | Profile::Leases
            | Profile::Minorities
            | Profile::Directed(_) => &ALL,
        }
    }

    /// Returns what was drawn, in no order.
    pub(crate) fn into_steps(self) -> Vec<Step> {
        self.steps
    }

    /// Draws an episode of `kind` that begins at `at_ms`.
    pub(crate) fn draw(&mut self, kind: Kind, at_ms: u64, random: &mut Random) {
        let host = host_below(self.hosts, random);
        let other = self.other(host, random);
        match kind {
            Kind::Death => self.death(at_ms, host, random),
            Kind::MassDeath => {
                for host in (1..=self.hosts).map(Host::new) {
                    if happens(600, random) {
                        self.death(at_ms + random.below(50), host, random);
                    }
                }
            }
            Kind::CrashLoop => {
                let mut at_ms = at_ms;
                for _ in 0..3 + random.below(20) {
                    self.fault(at_ms, Fault::Restart(host));
                    at_ms += log_uniform((100, 2_000), random);
                }
            }
            Kind::Leave => {
                let action = Action::Ask { host, ask: Ask::Leave };
                self.steps.push(Step { at_ms, action });
                if happens(300, random) {
                    self.fault(at_ms + random.below(300), Fault::Kill(host));
                }
                self.fault(at_ms + log_uniform((300, 30_000), random), Fault::Boot(host));
            }
            Kind::Pause => {
                let length = self.length((50, 15_000), random);
                self.pair(at_ms, length, Fault::Pause(host), Fault::Thaw(host));
            }
            Kind::Cut => {
                let shape = self.shape(host, other, random);
                let length = self.length((100, 60_000), random);
                let cut = match happens(700, random) {
                    true => Fault::Cut(shape.clone()),
                    false => Fault::Part(shape.clone()),
                };
                self.pair(at_ms, length, cut, Fault::Mend(shape));
            }
            Kind::Flap => self.flap(at_ms, host, other, random),
            Kind::Storm => {
                let presets = Network::presets();
                let count = u64::try_from(presets.len()).expect("there are few");
                let network = (presets[random.below(count) as usize].1)();
                let length = self.length((300, 30_000), random);
                self.pair(at_ms, length, Fault::Weather(network), Fault::Calm);
            }
            Kind::Break if happens(500, random) => {
                self.fault(at_ms, Fault::BreakSession(host, other));
            }
            Kind::Break => self.fault(at_ms, Fault::HalfOpen(host, other)),
            Kind::WallDrift => {
                let offset_ms = i64::try_from(random.below(401)).expect("it is small") - 200;
                self.fault(at_ms, Fault::WallOffset(host, offset_ms));
            }
            Kind::WallStep => {
                let far = i64::try_from(log_uniform((600, 40_000_000_000), random));
                let far = far.expect("a year and a quarter fits");
                let offset_ms = if happens(500, random) { far } else { -far };
                let (step, back) = (Fault::WallOffset(host, offset_ms), Fault::WallOffset(host, 0));
                self.pair(at_ms, log_uniform((100, 20_000), random), step, back);
            }
            Kind::Gain => {
                let gain_ppm = i32::try_from(random.below(20_001)).expect("it is small") - 10_000;
                self.fault(at_ms, Fault::ClockGain(host, gain_ppm));
            }
            Kind::Slow => {
                let times = u32::try_from(log_uniform((5, 100), random)).expect("it is small");
                let length = self.length((1_000, 30_000), random);
                let (slow, full) = (Pace::slowed(times), Pace::full());
                self.pair(at_ms, length, Fault::Work(host, slow), Fault::Work(host, full));
            }
            Kind::ChildCrash => {
                let child = 1 + u32::try_from(random.below(50)).expect("it is small");
                self.fault(at_ms, Fault::CrashChild(child));
            }
            Kind::Lie => self.fault(at_ms, Fault::Lie(host, other, Lie::draw(random))),
        }
    }

    fn death(&mut self, at_ms: u64, host: Host, random: &mut Random) {
        match random.below(4) {
            0 => return self.fault(at_ms, Fault::Restart(host)),
            1 => self.fault(at_ms, Fault::GoDark(host)),
            _ => self.fault(at_ms, Fault::Kill(host)),
        }
        self.fault(at_ms + log_uniform((50, 60_000), random), Fault::Boot(host));
    }

    fn flap(&mut self, at_ms: u64, host: Host, other: Host, random: &mut Random) {
        let link = Topology::BrokenLink { a: host, b: other };
        let end_ms = at_ms + log_uniform((2_000, 40_000), random);
        let mut at_ms = at_ms;
        while at_ms < end_ms {
            let length = log_uniform((100, 5_000), random);
            self.pair(at_ms, length, Fault::Cut(link.clone()), Fault::Mend(link.clone()));
            at_ms += length + log_uniform((100, 5_000), random);
        }
    }

    fn shape(&self, host: Host, other: Host, random: &mut Random) -> Topology {
        let all = (1..=self.hosts).map(Host::new);
        match random.below(9) {
            0 => Topology::Isolated,
            1 => Topology::Bridge { bridge: host },
            2 => Topology::Ring,
            3 => Topology::Line,
            4 => Topology::Star { centre: host },
            5 => Topology::MajoritiesRing,
            6 => Topology::BrokenLink { a: host, b: other },
            7 => {
                let to = all.filter(|&to| to != host).collect();
                let (from, to) = (vec![host], to);
                match happens(500, random) {
                    true => Topology::OneWay { from, to },
                    false => Topology::OneWay { from: to, to: from },
                }
            }
            _ => {
                let (left, right): (Vec<Host>, Vec<Host>) =
                    all.partition(|&side| side != other && (side == host || happens(500, random)));
                Topology::Split { left, right }
            }
        }
    }

    /// Returns how long an episode lasts; at the edges of a timeout if that is what the run is for.
    fn length(&self, range: (u64, u64), random: &mut Random) -> u64 {
        if self.profile != Profile::EdgeTiming {
            return log_uniform(range, random);
        }
        let timeout = self.tuning.failure_timeout_ms;
        let edges = [
            timeout / 2,
            timeout,
            timeout + self.tuning.beat_interval_ms,
            2 * timeout,
            self.tuning.beat_interval_ms,
            self.tuning.conflict_grace_ms,
        ];
        let edge = edges[random.below(6) as usize];
        (edge + random.below(5)).saturating_sub(2).max(1)
    }

    fn other(&self, host: Host, random: &mut Random) -> Host {
        let number = 1 + u16::try_from(random.below(u64::from(self.hosts) - 1)).expect("small");
        Host::new(if number < host.number() { number } else { number + 1 })
    }

    fn pair(&mut self, at_ms: u64, length_ms: u64, begin: Fault, end: Fault) {
        self.fault(at_ms, begin);
        self.fault(at_ms + length_ms, end);
    }

    fn fault(&mut self, at_ms: u64, fault: Fault) {
        self.steps.push(Step { at_ms, action: Action::Fault(fault) });
    }
}
