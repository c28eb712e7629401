//! Which machines a plan is about, and what is left of it without one.

use ordu_core::Config;

use crate::host::Host;
use crate::plan::{Action, Fault, Plan, Step};
use crate::topology::Topology;

/// Most machines that a plan may have.
const HOSTS_MAX: u16 = 64;

impl Plan {
    /// Checks that it can be run.
    ///
    /// # Errors
    ///
    /// Says what makes no sense.
    pub fn check(&self) -> Result<(), PlanError> {
        let hosts = self.setup.hosts;
        if !(1..=HOSTS_MAX).contains(&hosts) {
            return Err(PlanError::Hosts { hosts });
        }
        let steps = self.steps.iter().flat_map(|step| mentioned(&step.action));
        let lacking = self.setup.lacking.iter().map(|(host, _)| *host);
        let mut all = steps.chain(self.ending.core.iter().copied()).chain(lacking);
        if let Some(host) = all.find(|host| host.number() > hosts) {
            return Err(PlanError::Stranger { host, hosts });
        }
        if !self.steps.is_sorted_by_key(|step| step.at_ms) {
            return Err(PlanError::Order);
        }
        let any = Host::new(1);
        let mut config = Config::new(any.id(), any.address());
        self.setup.tuning.configure(&mut config);
        config.check().map_err(PlanError::Tuning)
    }

    /// Returns what is left of the plan if there is no machine `gone`: those after it move up.
    pub(crate) fn without(&self, gone: Host) -> Self {
        let moved = |host: Host| match host.number() {
            number if number > gone.number() => Host::new(number - 1),
            _ => host,
        };
        let keep = |host: &Host| *host != gone;
        let steps = self.steps.iter().filter_map(|step| {
            let action = without(&step.action, &keep, &moved)?;
            Some(Step { at_ms: step.at_ms, action })
        });
        let mut plan = self.clone();
        plan.steps = steps.collect();
        plan.setup.hosts -= 1;
        let place = usize::from(gone.number() - 1);
        if place < plan.setup.gains_ppm.len() {
            plan.setup.gains_ppm.remove(place);
        }
        plan.setup.lacking.retain(|(host, _)| keep(host));
        for (host, _) in &mut plan.setup.lacking {
            *host = moved(*host);
        }
        plan.ending.core = self.ending.core.iter().copied().filter(keep).map(moved).collect();
        plan
    }
}

/// Returns the machines that a step names.
fn mentioned(action: &Action) -> Vec<Host> {
    match action {
        Action::Ask { host, .. } => vec![*host],
        Action::Fault(fault) => match fault {
            Fault::Kill(host)
            | Fault::GoDark(host)
            | Fault::Boot(host)
            | Fault::Restart(host)
            | Fault::Pause(host)
            | Fault::Thaw(host)
            | Fault::WallOffset(host, _)
            | Fault::ClockGain(host, _)
            | Fault::Work(host, _) => vec![*host],
            Fault::BreakSession(a, b) | Fault::HalfOpen(a, b) | Fault::Lie(a, b, _) => {
                vec![*a, *b]
            }
            Fault::Cut(shape) | Fault::Mend(shape) | Fault::Part(shape) => match shape {
                Topology::Split { left: a, right: b } | Topology::OneWay { from: a, to: b } => {
                    a.iter().chain(b).copied().collect()
                }
                Topology::Bridge { bridge: host } | Topology::Star { centre: host } => {
                    vec![*host]
                }
                Topology::BrokenLink { a, b } => vec![*a, *b],
                Topology::Isolated | Topology::Ring | Topology::Line | Topology::MajoritiesRing => {
                    Vec::new()
                }
            },
            Fault::Weather(_) | Fault::Calm | Fault::CrashChild(_) | Fault::FinishChild(_) => {
                Vec::new()
            }
        },
    }
}

/// Returns what is left of an action among the machines that `keep` keeps, by their new numbers.
fn without(
    action: &Action,
    keep: &impl Fn(&Host) -> bool,
    moved: &impl Fn(Host) -> Host,
) -> Option<Action> {
    let sides =
        |hosts: &[Host]| -> Vec<Host> { hosts.iter().copied().filter(keep).map(moved).collect() };
    let shape = |shape: &Topology| match shape {
        Topology::Split { left, right } => {
            Some(Topology::Split { left: sides(left), right: sides(right) })
        }
        Topology::OneWay { from, to } => {
            Some(Topology::OneWay { from: sides(from), to: sides(to) })
        }
        Topology::Bridge { bridge } => {
            keep(bridge).then(|| Topology::Bridge { bridge: moved(*bridge) })
        }
        Topology::Star { centre } => {
            keep(centre).then(|| Topology::Star { centre: moved(*centre) })
        }
        Topology::BrokenLink { a, b } => {
            (keep(a) && keep(b)).then(|| Topology::BrokenLink { a: moved(*a), b: moved(*b) })
        }
        Topology::Isolated | Topology::Ring | Topology::Line | Topology::MajoritiesRing => {
            Some(shape.clone())
        }
    };
    let one = |host: &Host| keep(host).then(|| moved(*host));
    Some(match action {
        Action::Ask { host, ask } => Action::Ask { host: one(host)?, ask: ask.clone() },
        Action::Fault(fault) => Action::Fault(match fault {
            Fault::Kill(host) => Fault::Kill(one(host)?),
            Fault::GoDark(host) => Fault::GoDark(one(host)?),
            Fault::Boot(host) => Fault::Boot(one(host)?),
            Fault::Restart(host) => Fault::Restart(one(host)?),
            Fault::Pause(host) => Fault::Pause(one(host)?),
            Fault::Thaw(host) => Fault::Thaw(one(host)?),
            Fault::WallOffset(host, offset_ms) => Fault::WallOffset(one(host)?, *offset_ms),
            Fault::ClockGain(host, gain_ppm) => Fault::ClockGain(one(host)?, *gain_ppm),
            Fault::Work(host, pace) => Fault::Work(one(host)?, *pace),
            Fault::BreakSession(a, b) => Fault::BreakSession(one(a)?, one(b)?),
            Fault::HalfOpen(a, b) => Fault::HalfOpen(one(a)?, one(b)?),
            Fault::Lie(a, b, lie) => Fault::Lie(one(a)?, one(b)?, *lie),
            Fault::Cut(cut) => Fault::Cut(shape(cut)?),
            Fault::Mend(cut) => Fault::Mend(shape(cut)?),
            Fault::Part(cut) => Fault::Part(shape(cut)?),
            Fault::Weather(_) | Fault::Calm | Fault::CrashChild(_) | Fault::FinishChild(_) => {
                fault.clone()
            }
        }),
    })
}

/// Why a plan cannot be run.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Too few machines, or too many.
    #[error("a plan has 1 to {HOSTS_MAX} machines, not {hosts}")]
    Hosts {
        /// How many there are.
        hosts: u16,
    },
    /// A machine that there is not.
    #[error("the plan names {host}, and has {hosts} machines")]
    Stranger {
        /// Which one.
        host: Host,
        /// How many there are.
        hosts: u16,
    },
    /// Steps out of order.
    #[error("the steps of the plan are not in the order of their times")]
    Order,
    /// A configuration that no node takes.
    #[error("no node takes the tuning of the plan: {0}")]
    Tuning(ordu_core::ConfigError),
}
