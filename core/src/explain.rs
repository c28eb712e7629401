//! Why a child runs where it runs, or nowhere: what operators are told of one child.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::placement::Exclusion;
use crate::{Blob, ChildId, Name, NodeId, ProcessId, Wall};

/// A node that has given a child up, which failed there more often than its
/// [`Budget`](crate::Budget) lets it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct GivenUp {
    /// The node.
    pub node: NodeId,
    /// How often it had failed there lately.
    pub failures: u32,
    /// How it failed last; the first 1,024 bytes of it.
    pub reason: String,
}

/// A child in quarantine: it has failed on so many nodes that none tries it any more, until it is
/// released ([`Command::Release`](crate::Command::Release)) or a member joins that has not tried.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The child.
    pub child: ChildId,
    /// What it runs.
    pub kind: String,
    /// The name it was started with, which it keeps.
    pub name: Option<Name>,
    /// Who has given it up, in the order of their ids.
    pub given_up: Vec<GivenUp>,
}

/// A member that comes into question for a child.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Who it is.
    pub node: NodeId,
    /// What speaks against it, if anything does.
    pub exclusion: Option<Exclusion>,
    /// How many other children are on it, or on their way to it.
    pub children: usize,
    /// How many of those have the child's placement key, if it is placed by a strategy.
    pub kin: usize,
}

/// A child that went on on another node.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Passage {
    /// When it was given its place there, by that node's clock.
    pub at: Wall,
    /// Where it was before.
    pub from: NodeId,
    /// Where it went on.
    pub to: NodeId,
    /// Why.
    pub cause: PassageCause,
}

/// Why a child went on on another node.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum PassageCause {
    /// Its node went down.
    NodeDown,
    /// Its node left.
    NodeLeft,
    /// It belonged elsewhere, since members came.
    Redistributed,
    /// It failed more often on its node than its budget lets it.
    GivenUp,
    /// Its process there lost a conflict.
    Beaten,
    /// Its lease there ended.
    Lapsed,
    /// Its node saw too few members to run it.
    NoQuorum,
    /// Its node let go of it for another reason.
    Released,
}

impl fmt::Display for PassageCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NodeDown => "its node went down",
            Self::NodeLeft => "its node left",
            Self::Redistributed => "it belonged elsewhere since members came",
            Self::GivenUp => "its node gave it up",
            Self::Beaten => "it lost a conflict there",
            Self::Lapsed => "its lease there ended",
            Self::NoQuorum => "its node saw too few members",
            Self::Released => "its node let go of it",
        })
    }
}

/// Why a child runs where it runs, as one node sees it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The name of the strategy that picks one of the candidates; `ring/1` by default.
    pub strategy: String,
    /// What the ring places it by.
    pub placement_key: Blob,
    /// The processes that are claimed to run it: one, but for a moment; none between two owners.
    pub claims: Vec<ChildClaim>,
    /// Who is to run it if nobody does: the first of `candidates` that nothing speaks against; or
    /// who is to ask its strategy, or was chosen by it.
    pub owner: Option<NodeId>,
    /// How often it has been passed on by its strategy, for its next start.
    pub hops: u16,
    /// Where it would be moved to, since it belongs there rather than where it runs; what nodes do
    /// about it is up to their [`Redistribution`](crate::placement::Redistribution).
    pub belongs: Option<NodeId>,
    /// Its last moves from one node to another that this node has seen, at most 8, the earliest
    /// first.
    pub history: Vec<Passage>,
    /// The members it comes into question for, in the order of the ring.
    pub candidates: Vec<Candidate>,
    /// Who has given it up, in the order of their ids.
    pub given_up: Vec<GivenUp>,
    /// Whether nobody tries it any more.
    pub is_in_quarantine: bool,
    /// Why nobody starts it although there is an owner; `None` if nothing keeps it.
    pub delay: Option<Delay>,
}

/// A claim of a node to run a child.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ChildClaim {
    /// The process.
    pub process: ProcessId,
    /// Whether it runs, rather than starts, stops, or waits for its next start.
    pub is_running: bool,
    /// Whether its node is up.
    pub is_visible: bool,
    /// How many runs, on whichever node, came before and up to it.
    pub epoch: u64,
    /// How often it was taken over from a node that went down.
    pub takeovers: u32,
    /// How often it was moved on purpose since.
    pub moves: u64,
}

/// What keeps a child from being started where it belongs.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Delay {
    /// Not enough is known of the members yet, or not enough of them are up
    /// ([`Config::min_members`](crate::Config::min_members)).
    TooFewMembers,
    /// Over half of the members went silent at once: perhaps it is this node that is cut off.
    PerhapsCutOff,
    /// Somebody else runs under its name.
    NameTaken,
    /// Its strategy, asked by this node, chose nobody.
    NobodyChosen,
    /// This node sees too few members to run it ([`Mode`](crate::Mode)).
    NoQuorum,
}
