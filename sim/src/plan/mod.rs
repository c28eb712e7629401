//! What a run does, as data: drawn from a seed, kept in a file, made smaller step by step.
//!
//! A plan is complete: whoever runs it again needs nothing else, and a step taken out of it leaves
//! a plan. What a step cannot do when its time comes, since the machine it is about is dead for
//! instance, it leaves.

mod choice;
mod directed;
mod draw;
mod episode;
mod mentions;
mod profile;
mod shell;
mod systematic;
mod tuning;

use std::fmt;

use ordu_core::placement::{Need, Placement};
use ordu_core::{Blob, ChildSpec, Replicas, Restart};
use serde::{Deserialize, Serialize};

use crate::host::Host;
use crate::lies::Lie;
use crate::network::Network;
use crate::pace::Pace;
use crate::requests::spec;
use crate::tampering::Tampered;
use crate::topology::Topology;

pub(crate) use crate::plan::episode::{Episodes, Kind};

pub use crate::plan::choice::Choice;
pub use crate::plan::directed::Aim;
pub use crate::plan::mentions::PlanError;
pub use crate::plan::profile::{Profile, UnknownProfile};
pub use crate::plan::systematic::{Protocol, UnknownProtocol};
pub use crate::plan::tuning::Tuning;

/// Everything that one run does.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What the world draws its own chances from: delays, losses, the nodes' random numbers.
    pub seed: u64,
    /// What kind of run it is.
    pub profile: Profile,
    /// The cluster.
    pub setup: Setup,
    /// What is done to it and asked of it, in the order of time.
    pub steps: Vec<Step>,
    /// What befalls single messages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tampers: Vec<Tampered>,
    /// Since when messages are counted for that, in milliseconds after the cluster has formed.
    #[serde(default)]
    pub tampers_ms: u64,
    /// When, in milliseconds after the cluster has formed, the last fault is over or for ever.
    pub ends_ms: u64,
    /// What is left alone then.
    pub ending: Ending,
}

impl Plan {
    /// Returns the plan that `seed` draws; the same seed always draws the same.
    pub fn draw(seed: u64, profile: Option<Profile>) -> Self {
        draw::draw(seed, profile)
    }

    /// Returns the plan that `seed` draws for nodes with their whole shell, five minutes all in
    /// all, with the faults alone that a runtime and its network can be made to have.
    ///
    /// Not the plan that [`draw`](Self::draw) draws, though the promises are the same.
    pub fn draw_for_shell(seed: u64) -> Self {
        shell::draw(seed)
    }

    /// Returns how many of the steps ask something of a node.
    pub fn asks(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step.action, Action::Ask { .. })).count()
    }

    /// Returns how many of the steps do harm.
    pub fn faults(&self) -> usize {
        self.steps.len() - self.asks()
    }
}

/// The cluster of a run.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// How many machines there are.
    pub hosts: u16,
    /// How all links treat frames, once the cluster has formed.
    pub network: Network,
    /// How much each machine's clock gains, in microseconds a second; none are right.
    pub gains_ppm: Vec<i32>,
    /// What every node is configured with.
    pub tuning: Tuning,
    /// The kinds of children that single machines have no code for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacking: Vec<(Host, String)>,
}

/// Something that is done at some time.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// When, in milliseconds after the cluster has formed.
    pub at_ms: u64,
    /// What.
    pub action: Action,
}

/// What is done.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Action {
    /// A user asks something of the node on a machine.
    Ask {
        /// The machine.
        host: Host,
        /// What is asked.
        ask: Ask,
    },
    /// Something breaks, or is mended.
    Fault(Fault),
}

/// What a user asks. Children and processes have numbers of the plan's own, since a child's id is
/// known only once it has started.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Ask {
    /// To start a child.
    Start {
        /// The child's number in the plan.
        child: u32,
        /// Its kind.
        kind: String,
        /// When to start it again.
        restart: Restart,
        /// Its name, if it has one.
        name: Option<String>,
    },
    /// To end a child.
    Terminate {
        /// The child's number in the plan.
        child: u32,
    },
    /// To run a process without a supervisor.
    Spawn {
        /// The process's number in the plan.
        process: u32,
    },
    /// To give a process a name.
    Register {
        /// The name.
        name: String,
        /// Who gets it.
        holder: Holding,
        /// How many nodes must know before the answer.
        replicas: Replicas,
    },
    /// To take a name from whoever holds it.
    Unregister {
        /// The name.
        name: String,
    },
    /// To write something else than a name.
    Write(Writing),
    /// To add one to the counters of all members of a group.
    Publish {
        /// The group.
        group: String,
    },
    /// To add one to the counter behind a name.
    CallName {
        /// The name.
        name: String,
    },
    /// To add one to the counter that a child is.
    CallChild {
        /// The child's number in the plan.
        child: u32,
    },
    /// Something else about a child.
    Care(Care),
    /// To leave the cluster.
    Leave,
    /// To change who grants leases.
    ChangeVoters {
        /// Whose node is to become a voter, or to be one no more.
        voter: Host,
        /// Which of the two.
        adds: bool,
    },
    /// To call who holds a name, with any message.
    Message {
        /// The name.
        name: String,
        /// The message, as it goes over the wire.
        payload: Vec<u8>,
    },
}

/// What else a user asks about a child.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Care {
    /// To start it once, however often and wherever that is asked.
    Once {
        /// The child's number in the plan, and the key of the request.
        child: u32,
        /// Its kind.
        kind: String,
    },
    /// To start it on machines of one zone alone.
    Inside {
        /// The child's number in the plan.
        child: u32,
        /// Its kind.
        kind: String,
        /// The zone.
        zone: u16,
    },
    /// To start it where a strategy says; all such share one placement key.
    Placed {
        /// The child's number in the plan.
        child: u32,
        /// Its kind.
        kind: String,
        /// The strategy.
        placement: Placement,
    },
    /// To start one that belongs to another.
    Nested {
        /// The child's number in the plan.
        child: u32,
        /// Its kind.
        kind: String,
        /// The number of the one that it belongs to.
        parent: u32,
        /// Whether its quarantine is a failure of that one.
        escalates: bool,
    },
    /// To start another process in the place of the one that runs it.
    Restart {
        /// The child's number in the plan.
        child: u32,
    },
    /// To let the nodes that gave it up try it again.
    Release {
        /// The child's number in the plan.
        child: u32,
    },
}

/// How many zones the machines of a run lie in, in turn.
pub(crate) const ZONES: u16 = 2;

/// The label that says in which zone a machine lies.
pub(crate) const ZONE: &str = "zone";

/// Returns what a machine says of where it lies.
pub(crate) fn zone_of(host: Host) -> (&'static str, String) {
    (ZONE, (host.number() % ZONES).to_string())
}

/// Returns what a child needs that runs in one zone alone.
pub(crate) fn need_of(zone: u16) -> Need {
    Need::Label { key: ZONE.to_owned(), value: zone.to_string() }
}

/// Returns a child that is placed by a strategy.
pub(crate) fn placed(kind: &str, placement: &Placement) -> ChildSpec {
    let (placement, placement_key) = (placement.clone(), Some(Blob::from("kin")));
    ChildSpec { placement, placement_key, ..spec(kind) }
}

/// Returns the key that a child is started once with.
pub(crate) fn key_of(child: u32) -> Blob {
    Blob::from(format!("child-{child}"))
}

/// What a user writes beside names.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Writing {
    /// Another value beside a name.
    Value {
        /// The name.
        name: String,
        /// The value.
        value: String,
    },
    /// Metadata of the registry, or its end.
    Meta {
        /// What it is kept under.
        key: String,
        /// What to keep.
        value: Option<String>,
        /// How many nodes must know before the answer.
        replicas: Replicas,
    },
    /// The membership of a process in a group.
    JoinGroup {
        /// The group.
        group: String,
        /// Who becomes a member.
        holder: Holding,
        /// What is kept beside the membership.
        metadata: String,
    },
    /// The end of such a membership.
    LeaveGroup {
        /// The group.
        group: String,
        /// Who was a member.
        holder: Holding,
    },
}

/// Who gets a name, or is in a group.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Holding {
    /// The process that runs a child, by the child's number in the plan.
    Child(u32),
    /// A process without a supervisor, by its number in the plan.
    Process(u32),
}

/// What breaks, or is mended.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Fault {
    /// A node's process is killed; whoever dials is refused.
    Kill(Host),
    /// A machine goes dark; whoever dials hears nothing.
    GoDark(Host),
    /// A node that is over is started, with an empty memory.
    Boot(Host),
    /// A node is killed and started at once.
    Restart(Host),
    /// A machine freezes.
    Pause(Host),
    /// A frozen machine goes on.
    Thaw(Host),
    /// Links are cut.
    Cut(Topology),
    /// What such a cut took is given back.
    Mend(Topology),
    /// Links are cut, and the sessions across them end.
    Part(Topology),
    /// All links treat frames otherwise, until the next such step.
    Weather(Network),
    /// All links treat frames as at the beginning.
    Calm,
    /// The session between two machines ends.
    BreakSession(Host, Host),
    /// The session between two machines ends for the first of them alone.
    HalfOpen(Host, Host),
    /// A machine's wall clock is so many milliseconds ahead from now on.
    WallOffset(Host, i64),
    /// A machine's clock gains so many microseconds a second from now on.
    ClockGain(Host, i32),
    /// The first machine says to the second what no honest node says.
    Lie(Host, Host, Lie),
    /// A machine works so fast from now on.
    Work(Host, Pace),
    /// A process of a child ends by itself, with a failure.
    CrashChild(u32),
    /// A process of a child ends by itself, as if it was done.
    FinishChild(u32),
}

/// What is left alone at the end, and what becomes of the rest.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    /// The machines that are mended, and must come to rest.
    pub core: Vec<Host>,
    /// What becomes of the others.
    pub others: Fate,
}

/// What becomes of the machines outside the core.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum Fate {
    /// They are mended, too; but those that are dead stay so.
    Heal,
    /// They go dark for ever.
    Crash,
    /// They are cut off for ever.
    Cut,
    /// They are mended, but a link of each comes and goes for ever.
    Flap,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (asks, faults) = (self.asks(), self.faults());
        let Setup { hosts, .. } = self.setup;
        let Ending { core, others } = &self.ending;
        write!(
            f,
            "seed {}, profile {}: {hosts} machines, {asks} requests, {faults} faults, over at {} s; \
             then {core:?} alone, others: {others:?}",
            self.seed,
            self.profile,
            self.ends_ms / 1_000
        )
    }
}
