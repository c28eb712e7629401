//! Who the voters are, and how that is changed while the nodes run.
//!
//! ```text
//!   proposer                      voters before and after
//!     │──── Prepare { ballot } ────────▶│ promises to hear no lower ballot, and stores that
//!     │◀─── what it accepted last ──────│
//!     │  more than half of those before, and of those after
//!     │──── Accept { ballot, nodes } ──▶│ accepts, and stores that
//!     │◀─── accepted ───────────────────│
//!     │  more than half of those before, and of those after: decided
//!     │──── the electorate ────────────▶ everybody
//! ```
//!
//! One voter is added or removed at a time, so that any majority before and any majority after have
//! a voter in common, who keeps its promises: leases granted by either never overlap. A voter that
//! goes by the new electorate grants nothing by the old one; and it takes part in the next change
//! only once a promise has passed since, when whatever the electorate before granted is over. So of
//! all the electorates that there ever were, no two grant anything at a time of which some
//! majorities have no voter in common. That rests on what was stored: also a node that is a voter
//! no more must find it again, or never come back under the electorate it was a voter of.
//!
//! Of two changes of one electorate one alone is decided. What was accepted is decided by whoever
//! proposes next, should its proposer be gone: by one of those that accepted it, if nobody else
//! does.
//!
//! Source: a round is Paxos, Lamport, "Paxos Made Simple", 2001; changes by one as in Ongaro,
//! "Consensus: Bridging Theory and Practice", 2014, §4.2, with the old electorate deciding.

mod acceptor;
mod proposer;

pub(crate) use crate::electorate::acceptor::{Acceptor, Persist};
pub(crate) use crate::electorate::proposer::{Proposer, Verdict};

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::lease::Voters;
use crate::limits::{LINEAGE_MAX, VOTERS_MAX};
use crate::{Blob, ChangeVotersError, NodeId, ReplicaKey, hash64, wire};

/// No epoch is that high, nor the number of a ballot: there is always a next one.
pub(crate) const EPOCHS_MAX: u64 = 1 << 62;

/// The voters at one time: who grants leases from one change until the next.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct Electorate {
    /// Which one it is: the one after it has the next number.
    pub epoch: u64,
    /// The voters, 1 to 7 of them.
    #[serde(deserialize_with = "wire::ordered::set")]
    pub nodes: BTreeSet<NodeId>,
    /// Those that it came from, each by a hash: the first, by which all of one line know each
    /// other, and the latest, 16 at most.
    pub lineage: Vec<u64>,
}

impl Electorate {
    /// Returns the electorate that a configuration names.
    pub(crate) fn of(voters: &Voters) -> Self {
        Self { epoch: voters.epoch, nodes: voters.nodes.clone(), lineage: Vec::new() }
    }

    /// Returns how many of the voters are a majority.
    pub fn majority(&self) -> usize {
        self.nodes.len() / 2 + 1
    }

    /// Returns what tells this electorate from all others, wherever it came from.
    pub(crate) fn mark(&self) -> u64 {
        hash64(&wire::encode(&(self.epoch, &self.nodes)))
    }

    /// Returns the mark of the one that all of its line came from.
    fn origin(&self) -> u64 {
        self.lineage.first().copied().unwrap_or_else(|| self.mark())
    }

    /// Returns whether it is the other one, or came from it: of one epoch there is one electorate
    /// in a line.
    pub(crate) fn follows(&self, other: &Self) -> bool {
        let mark = other.mark();
        let is_later = other.epoch < self.epoch;
        let is_of_its_line = self.lineage.contains(&mark) || self.origin() == other.origin();
        self.mark() == mark || is_later && is_of_its_line
    }

    /// Returns whether one of the two came from the other, or they are the same.
    pub(crate) fn is_kin(&self, other: &Self) -> bool {
        self.follows(other) || other.follows(self)
    }

    /// Returns the electorate that decides for `nodes` after this one.
    pub(crate) fn followed_by(&self, nodes: BTreeSet<NodeId>) -> Self {
        let mut lineage = self.lineage.clone();
        lineage.push(self.mark());
        if LINEAGE_MAX < lineage.len() {
            lineage.remove(1);
        }
        Self { epoch: self.epoch + 1, nodes, lineage }
    }

    /// Returns whether `nodes` may be the voters after these: any two majorities, one of each, have
    /// a voter in common.
    pub(crate) fn may_become(&self, nodes: &BTreeSet<NodeId>) -> bool {
        let is_sized = (1..=VOTERS_MAX).contains(&nodes.len());
        is_sized && self.nodes.symmetric_difference(nodes).count() == 1
    }

    /// Returns whether it can be taken over from another node as it is.
    pub(crate) fn is_sound(&self) -> bool {
        let is_sized = (1..=VOTERS_MAX).contains(&self.nodes.len());
        is_sized && self.lineage.len() <= LINEAGE_MAX && self.epoch < EPOCHS_MAX
    }
}

impl fmt::Display for Electorate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {}:", self.epoch)?;
        self.nodes.iter().try_for_each(|node| write!(f, " {node}"))
    }
}

/// One change of the voters.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub enum VoterChange {
    /// A member becomes a voter.
    Add(NodeId),
    /// A node is no voter any more, whether it is up or not.
    Remove(NodeId),
}

impl VoterChange {
    /// Returns whether there is nothing left to do.
    pub(crate) fn is_done(&self, electorate: &Electorate) -> bool {
        match self {
            Self::Add(node) => electorate.nodes.contains(node),
            Self::Remove(node) => !electorate.nodes.contains(node),
        }
    }

    /// Returns the voters after it.
    ///
    /// # Errors
    ///
    /// Says so if there would be too many, or none.
    pub(crate) fn apply(
        &self,
        electorate: &Electorate,
    ) -> Result<BTreeSet<NodeId>, ChangeVotersError> {
        let mut nodes = electorate.nodes.clone();
        match self {
            Self::Add(node) => nodes.insert(node.clone()),
            Self::Remove(node) => nodes.remove(node),
        };
        match nodes.len() {
            0 => Err(ChangeVotersError::Last),
            count if VOTERS_MAX < count => Err(ChangeVotersError::TooMany { max: VOTERS_MAX }),
            _ => Ok(nodes),
        }
    }
}

/// The number of an attempt to change the voters: no two attempts have the same.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Ballot {
    /// Counts the attempts that a proposer knows of.
    pub round: u64,
    /// The life that proposes.
    pub proposer: ReplicaKey,
}

/// What a voter has accepted, and may have been decided.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// In which attempt.
    pub ballot: Ballot,
    /// The voters to be.
    #[serde(deserialize_with = "wire::ordered::set")]
    pub nodes: BTreeSet<NodeId>,
}

/// What a node must find again when it is started anew, in order to have a say in changes of the
/// voters ([`Output::Persist`](crate::Output::Persist)).
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct VoterRecord {
    /// The voters that it goes by.
    pub electorate: Electorate,
    /// It takes part in no attempt to change them below that one.
    pub promised: Option<Ballot>,
    /// What it accepted last.
    pub accepted: Option<Accepted>,
}

impl VoterRecord {
    /// Returns it as bytes to store: some hundreds.
    pub fn to_bytes(&self) -> Blob {
        wire::encode(self).into()
    }

    /// Returns what was stored.
    ///
    /// # Errors
    ///
    /// Says if the bytes are none that [`to_bytes`](Self::to_bytes) made.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, VoterRecordError> {
        let record: Self = wire::decode(bytes).map_err(|_| VoterRecordError)?;
        let is_next = |accepted: &Accepted| record.electorate.may_become(&accepted.nodes);
        let is_sound = record.electorate.is_sound() && record.accepted.iter().all(is_next);
        is_sound.then_some(record).ok_or(VoterRecordError)
    }
}

/// What was stored of the voters cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "what was stored of the voters cannot be read; start the node under another name, or with the \
     present voters and their epoch"
)]
pub struct VoterRecordError;

/// Whether a node can store what it decides as a voter, and what it finds stored.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub enum VoterStore {
    /// It cannot: it has no say in changes of the voters.
    #[default]
    Absent,
    /// It can, and has stored nothing yet.
    Empty,
    /// It can, and stored this last.
    Holds(VoterRecord),
}

impl VoterStore {
    /// Returns what is stored.
    pub fn record(&self) -> Option<&VoterRecord> {
        match self {
            Self::Absent | Self::Empty => None,
            Self::Holds(record) => Some(record),
        }
    }

    pub(crate) fn is_there(&self) -> bool {
        *self != Self::Absent
    }
}

/// What a proposer asks the voters for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// The epoch of the voters that decide.
    pub epoch: u64,
    /// The attempt.
    pub ballot: Ballot,
    /// The voters to be; `None` to hear what was accepted before.
    #[serde(deserialize_with = "wire::ordered::optional_set")]
    pub nodes: Option<BTreeSet<NodeId>>,
}

/// What a voter answers to a [`Proposal`].
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Vote {
    /// The epoch of the voters that decide.
    pub epoch: u64,
    /// The attempt.
    pub ballot: Ballot,
    /// What it says to it.
    pub answer: VoteAnswer,
}

/// What a voter says to a proposal.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum VoteAnswer {
    /// It takes part in no lower attempt; it accepted this before.
    Promised {
        /// What was accepted, if anything was.
        accepted: Option<Accepted>,
    },
    /// It has accepted the proposal.
    Accepted,
    /// It takes part in no attempt below this one.
    Outbid {
        /// A higher attempt.
        ballot: Ballot,
    },
    /// What the electorate before granted may last for so long still, in milliseconds.
    Early {
        /// For how long.
        remaining_ms: u64,
    },
    /// It has nowhere to store what it says.
    NoStore,
    /// It could not store what it would have said.
    NotStored,
}

#[cfg(test)]
mod tests;
