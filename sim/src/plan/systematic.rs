//! Every single fault, and every pair, at each message of a short protocol.
//!
//! Chance leaves gaps between what it tries; on three machines and a protocol of a few messages
//! there need be none.

use std::fmt;
use std::str::FromStr;

use ordu_core::{Replicas, Restart};

use crate::host::{Host, N1, N2, N3};
use crate::network::Network;
use crate::plan::tuning::Leases;
use crate::plan::{Action, Ask, Ending, Fate, Fault, Holding, Plan, Profile, Setup, Step, Tuning};
use crate::run::run;
use crate::tampering::{Tamper, Tampered};
use crate::topology::Topology;

/// For how long the messages of a protocol are counted, in milliseconds after its last step.
const WINDOW_MS: u64 = 600;
/// The same where nodes have to find each other again first.
const MEETING_MS: u64 = 4_000;
/// The same where a lease is renewed twice.
const RENEWING_MS: u64 = 2_200;
/// How long its faults have to show, in milliseconds.
const AFTER_MS: u64 = 12_000;

/// A protocol whose every message something may befall.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Protocol {
    /// A child is started through each node.
    Start,
    /// A name is registered until a majority knows, and given up.
    Register,
    /// A child is ended through a node that does not run it.
    Terminate,
    /// A node that runs children leaves.
    Leave,
    /// A node starts anew.
    Rejoin,
    /// Two sides of a split meet again, with one name on both.
    Conflict,
    /// A child is started under a lease, which is renewed twice.
    Lease,
    /// A voter is removed, while a child runs under a lease that it granted.
    Voters,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 8] = [
        Self::Start,
        Self::Register,
        Self::Terminate,
        Self::Leave,
        Self::Rejoin,
        Self::Conflict,
        Self::Lease,
        Self::Voters,
    ];

    /// Returns the protocol without any fault, under `seed`.
    fn plan(self, seed: u64) -> Plan {
        let start = |host, child, name: Option<&str>| {
            let (kind, name) = ("counter".to_owned(), name.map(str::to_owned));
            ask(host, Ask::Start { child, kind, restart: Restart::Permanent, name })
        };
        let (since_ms, steps) = match self {
            Self::Start => (
                0,
                vec![
                    (0, start(N1, 1, Some("name"))),
                    (0, start(N2, 2, None)),
                    (0, start(N3, 3, None)),
                ],
            ),
            Self::Register => {
                let (name, holder) = ("alias".to_owned(), Holding::Process(1));
                let register =
                    Ask::Register { name: name.clone(), holder, replicas: Replicas::Majority };
                (
                    0,
                    vec![
                        (0, ask(N1, Ask::Spawn { process: 1 })),
                        (1, ask(N2, register)),
                        (300, ask(N3, Ask::Unregister { name })),
                    ],
                )
            }
            Self::Terminate => (
                1_000,
                vec![
                    (0, start(N1, 1, Some("name"))),
                    (0, start(N2, 2, None)),
                    (1_000, ask(N3, Ask::Terminate { child: 1 })),
                    (1_000, ask(N1, Ask::Terminate { child: 2 })),
                ],
            ),
            Self::Leave => (
                1_000,
                vec![
                    (0, start(N1, 1, Some("name"))),
                    (0, start(N2, 2, None)),
                    (0, start(N3, 3, None)),
                    (1_000, ask(N2, Ask::Leave)),
                ],
            ),
            Self::Rejoin => (
                1_000,
                vec![
                    (0, start(N1, 1, Some("name"))),
                    (0, start(N2, 2, None)),
                    (1_000, Action::Fault(Fault::Restart(N2))),
                ],
            ),
            // Voters grant from then on.
            Self::Lease => (6_000, vec![(6_000, start(N1, 1, None))]),
            Self::Voters => {
                let change = Ask::ChangeVoters { voter: N3, adds: false };
                (7_000, vec![(6_000, start(N1, 1, None)), (7_000, ask(N1, change))])
            }
            Self::Conflict => {
                let split = Topology::Split { left: vec![N1], right: vec![N2, N3] };
                (
                    13_000,
                    vec![
                        (0, Action::Fault(Fault::Cut(split.clone()))),
                        (12_000, start(N1, 1, Some("name"))),
                        (12_000, start(N2, 2, Some("name"))),
                        (13_000, Action::Fault(Fault::Mend(split))),
                    ],
                )
            }
        };
        let steps: Vec<Step> =
            steps.into_iter().map(|(at_ms, action)| Step { at_ms, action }).collect();
        let window_ms = match self {
            Self::Conflict => MEETING_MS,
            Self::Lease => RENEWING_MS,
            Self::Start
            | Self::Register
            | Self::Terminate
            | Self::Leave
            | Self::Rejoin
            | Self::Voters => WINDOW_MS,
        };
        let leases = matches!(self, Self::Lease | Self::Voters).then(Leases::usual);
        let ends_ms = steps.last().map_or(0, |step| step.at_ms) + window_ms;
        let hosts = 3;
        let setup = Setup {
            hosts,
            network: Network::lan(),
            gains_ppm: Vec::new(),
            tuning: Tuning { leases, ..Tuning::usual() },
            lacking: Vec::new(),
        };
        let core = (1..=hosts).map(Host::new).collect();
        let ending = Ending { core, others: Fate::Heal };
        let profile = Profile::NoFaults;
        let tampers = Vec::new();
        Plan { seed, profile, setup, steps, tampers, tampers_ms: since_ms, ends_ms, ending }
    }

    /// Returns every plan in which one thing befalls one message, and with `pairs` every one in
    /// which two do.
    ///
    /// Runs the protocol once to count its messages.
    pub fn plans(self, seed: u64, pairs: bool) -> Vec<Plan> {
        let base = self.plan(seed);
        let messages = run(&base).tally.messages;
        let each = |message| Tamper::ALL.map(|how| Tampered { message, how });
        let singles: Vec<Tampered> = (0..messages).flat_map(each).collect();
        let mut plans: Vec<Plan> = singles.iter().map(|&one| tampered(&base, vec![one])).collect();
        if pairs {
            for (place, &first) in singles.iter().enumerate() {
                let later = singles[place + 1..].iter().filter(|next| next.message > first.message);
                plans.extend(later.map(|&second| tampered(&base, vec![first, second])));
            }
        }
        plans
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Register => "register",
            Self::Terminate => "terminate",
            Self::Leave => "leave",
            Self::Rejoin => "rejoin",
            Self::Conflict => "conflict",
            Self::Lease => "lease",
            Self::Voters => "voters",
        })
    }
}

/// A name that is no protocol's.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is no protocol; there are: {known}", known = known())]
pub struct UnknownProtocol(pub String);

fn known() -> String {
    Protocol::ALL.map(|protocol| protocol.to_string()).join(", ")
}

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|protocol| protocol.to_string() == text);
        named.ok_or_else(|| UnknownProtocol(text.to_owned()))
    }
}

fn tampered(base: &Plan, tampers: Vec<Tampered>) -> Plan {
    let ends_ms = base.ends_ms + AFTER_MS;
    Plan { profile: Profile::Full, tampers, ends_ms, ..base.clone() }
}

fn ask(host: Host, ask: Ask) -> Action {
    Action::Ask { host, ask }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    #[test]
    fn every_protocol_has_messages_and_every_plan_of_it_can_be_kept() {
        for protocol in Protocol::ALL {
            let (singles, pairs) = (protocol.plans(0, false), protocol.plans(0, true));
            assert!(singles.len() >= 6 * 4, "{protocol} has {} plans", singles.len());
            let messages = singles.len() / 6;
            let both = 36 * messages * (messages - 1) / 2;
            assert_eq!(pairs.len(), singles.len() + both, "{protocol}");
            assert!(singles.iter().all(|plan| plan.check().is_ok()));
        }
    }

    #[test]
    fn every_protocol_is_found_by_its_name() {
        for protocol in Protocol::ALL {
            assert_eq!(protocol.to_string().parse(), Ok(protocol));
        }
        let wrong = "lent".parse::<Protocol>().unwrap_err().to_string();
        assert!(
            wrong.starts_with("\"lent\" is no protocol; there are: start, register"),
            "{wrong}"
        );
    }

    #[test]
    fn what_befalls_a_message_happens() {
        let plans = Protocol::Start.plans(0, false);
        let of = |how| plans.iter().find(|plan| plan.tampers[0].how == how).unwrap();
        let lives = |how| run(of(how)).tally.lives;
        assert_eq!(lives(Tamper::Lose), 3);
        assert_eq!(lives(Tamper::KillSender), 4, "it dies, and starts again in the end");
        assert_eq!(lives(Tamper::KillReceiver), 4);
        assert!(run(of(Tamper::Cut)).tally.downs == 0, "a third node hears both");
        assert_eq!(run(of(Tamper::Repeat)).verdict, Verdict::Passed);
    }
}
