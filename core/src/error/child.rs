//! Why what is asked of children fails.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::placement::Exclusion;
use crate::{
    ChildId, GivenUp, Name, NameError, NodeId, Outcome, ProcessId, Scope, UnknownRegistry,
};

/// Why a child was not started.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum StartChildError {
    /// Another process holds the name, or a child that is not running reserves it. Nothing was
    /// started; look the name up, or end its holder.
    #[error("name {name} is taken by {holder}")]
    NameTaken {
        /// The name asked for.
        name: Name,
        /// Who has it.
        holder: Occupant,
    },
    /// A child without a name was to be found; nothing was started. Name it, or start it.
    #[error("a child without a name cannot be found; name it, or start it")]
    Unnamed,
    /// The specification is longer than the limit; nothing was started. Keep large data elsewhere.
    #[error("a specification of {bytes} bytes is over the limit of {max}")]
    TooLarge {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// The value beside the name is longer than the limit; nothing was started. Store a reference
    /// instead.
    #[error("a value of {bytes} bytes is over the limit of {max}")]
    ValueTooLarge {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// The start function answered with an error, panicked or ran out of time. The child has ended.
    #[error("the child did not start: {reason}")]
    Failed {
        /// What it said.
        reason: String,
    },
    /// The start function said that there is nothing to run. The child has ended.
    #[error("the child says that there is nothing to run")]
    Ignored,
    /// The child ended before its start was seen; it is gone.
    #[error("the child ended at once: {outcome:?}")]
    Ended {
        /// How it ended.
        outcome: Outcome,
    },
    /// The deadline passed. The child is kept and will start as soon as a member can run it; end it
    /// by its id, or wait for it.
    #[error(
        "child {child} did not start in time; it is kept and will start when a member can run it"
    )]
    TimedOut {
        /// The child.
        child: ChildId,
    },
    /// The deadline passed, and no member can run the child. It is kept and will start as soon as
    /// one can; let a member run its kind, ask less of it, make room, or end it.
    #[error("child {child} is kept, but no member can run it: {}", listed(members))]
    NowhereToRun {
        /// The child.
        child: ChildId,
        /// The members that are up, each with what speaks against it.
        members: Vec<(NodeId, Exclusion)>,
    },
    /// The child fails again and again, on all nodes that tried it, and none tries it any more.
    /// Release it once what it fails by is mended, or end it.
    #[error("child {child} is in quarantine: {} gave it up; release it, or end it", who(given_up))]
    Quarantined {
        /// The child.
        child: ChildId,
        /// Who has given it up, and why.
        given_up: Vec<GivenUp>,
    },
    /// The child that it is to belong to has ended, or is not known here; nothing was started.
    #[error("child {parent}, which it is to belong to, has ended or is not known here")]
    NoParent {
        /// The child that it is to belong to.
        parent: ChildId,
    },
    /// The key of the request was used for another child; nothing was started. Use a new one.
    #[error("the key of the request is that of child {child}, which is another one")]
    RequestReused {
        /// The child that was started with it.
        child: ChildId,
    },
    /// The key of the request is empty or too long; nothing was started.
    #[error("a key of {bytes} bytes was given for the request; it must have 1 to {max}")]
    BadRequestKey {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// This node sees too few members, or voters, to run the children of the supervisor
    /// ([`Mode`](crate::Mode)). Nothing was started unless `child` says so: ask a node that sees
    /// more, mend the network, or wait.
    #[error("{up} of {of} are up as this node sees it, which is no quorum; {}", kept(*child))]
    NoQuorum {
        /// How many are up that count.
        up: usize,
        /// Of how many; where a fixed number is needed, that one.
        of: usize,
        /// The child, if it was accepted before the deadline passed: it is kept and will start once
        /// there is a quorum. End it by its id, or wait for it.
        child: Option<ChildId>,
    },
    /// The names of the registry are held under leases, or given up in the minority, and children
    /// hold none there; name the child in another registry. Nothing was started.
    #[error("children hold no names in the registry {registry:?}, by its mode")]
    BarredName {
        /// The registry.
        registry: Scope,
    },
    /// This node is joining or leaving and takes nothing on; ask another, or wait until it is
    /// ready.
    #[error("the node is not ready: it is joining or leaving")]
    NotReady,
    /// What was given as a name cannot be one; nothing was started.
    #[error("the name cannot be one")]
    BadName {
        /// What is wrong with it.
        #[from]
        source: NameError,
    },
    /// This node was not told of the registry; declare it on the builder, or correct its name.
    #[error(transparent)]
    UnknownRegistry(#[from] UnknownRegistry),
    /// The bytes for the conflict rule are too many; nothing was started. Give fewer.
    #[error("a precedence of {bytes} bytes is over the limit of {max}")]
    BadPrecedence {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
}

/// Who keeps a name from being taken.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Occupant {
    /// A process that runs.
    Process(ProcessId),
    /// A child that reserves the name between two runs.
    Child(ChildId),
}

impl core::fmt::Display for Occupant {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Process(process) => write!(f, "process {process}"),
            Self::Child(child) => write!(f, "child {child}, which is not running now"),
        }
    }
}

/// Why a child was not ended.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum TerminateError {
    /// No such child is known here: it has ended, or its start has not arrived yet.
    #[error("no child {child} is known; it has ended, or its start has not arrived here yet")]
    Unknown {
        /// The child.
        child: ChildId,
    },
    /// The deadline passed. The child will not be started again, but may still be stopping.
    #[error("child {child} was told to stop and has not stopped in time")]
    TimedOut {
        /// The child.
        child: ChildId,
    },
    /// This node is joining or leaving; ask another, or wait until it is ready.
    #[error("the node is not ready: it is joining or leaving")]
    NotReady,
}

/// Why a child was not started again. It is as it was, unless it says otherwise.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum RestartChildError {
    /// No such child is known here: it has ended, or its start has not arrived yet.
    #[error("no child {child} is known; it has ended, or its start has not arrived here yet")]
    Unknown {
        /// The child.
        child: ChildId,
    },
    /// Nobody tries the child any more; release it, which starts it.
    #[error("child {child} is in quarantine; release it, which starts it")]
    Quarantined {
        /// The child.
        child: ChildId,
    },
    /// The node that runs it has no session with this one; ask another, or try again.
    #[error("the node that runs child {child} cannot be reached from here")]
    Unreachable {
        /// The child.
        child: ChildId,
    },
    /// The deadline passed. The child was told to stop and may start again later.
    #[error("child {child} was told to start again and has not in time")]
    TimedOut {
        /// The child.
        child: ChildId,
    },
    /// This node is joining or leaving; ask another, or wait until it is ready.
    #[error("the node is not ready: it is joining or leaving")]
    NotReady,
}

/// Why a child was not released.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// No such child is known here: it has ended, or its start has not arrived yet.
    #[error("no child {child} is known; it has ended, or its start has not arrived here yet")]
    Unknown {
        /// The child.
        child: ChildId,
    },
    /// This node is joining or leaving; ask another, or wait until it is ready.
    #[error("the node is not ready: it is joining or leaving")]
    NotReady,
}

/// Why moves are neither paused nor resumed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum PauseMovesError {
    /// This node is joining or leaving; ask another, or wait until it is ready.
    #[error("the node is not ready: it is joining or leaving")]
    NotReady,
}

/// Why nothing can be said of a child.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// No such child is known here: it has ended, or its start has not arrived yet.
    #[error("no child {child} is known; it has ended, or its start has not arrived here yet")]
    Unknown {
        /// The child.
        child: ChildId,
    },
    /// This node has not joined yet, or is over; ask another.
    #[error("the node is not ready: it is joining or over")]
    NotReady,
}

fn kept(child: Option<ChildId>) -> String {
    match child {
        Some(child) => format!("child {child} is kept and will start once there is one"),
        None => String::from("nothing was started; ask a node that sees more, or wait"),
    }
}

fn listed(members: &[(NodeId, Exclusion)]) -> String {
    let lines = members.iter().map(|(node, exclusion)| format!("{node}: {exclusion}"));
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() { String::from("none that runs children is up") } else { lines.join(", ") }
}

fn who(given_up: &[GivenUp]) -> String {
    let lines = given_up.iter().map(|by| format!("{} ({})", by.node, by.reason));
    lines.collect::<Vec<_>>().join(", ")
}
