//! Why what is asked of a node itself fails.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::crdt::Version;
use crate::{NodeId, Replica};

/// Why a node did not leave in order.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum LeaveError {
    /// The deadline passed. The node is over all the same; what it still ran starts elsewhere, once
    /// those who have not heard that it left take it for dead.
    #[error(
        "the node is over, and what it ran starts elsewhere; in time {}",
        undone(*remaining, unaware, unshared)
    )]
    TimedOut {
        /// How many children had not been handed over.
        remaining: usize,
        /// The members that had not said that they know all it wrote.
        unaware: Vec<NodeId>,
        /// The nodes that are gone, of which no member that stays is known to have heard as much
        /// as this one did: what they accepted last may be lost.
        unshared: Vec<NodeId>,
    },
}

/// Why the list of members was not set.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum SetMembersError {
    /// Nobody would be a member; name at least one node. The list is as it was.
    #[error("the list names nobody; name at least one node")]
    Empty,
    /// There are more names than a cluster may have members. The list is as it was.
    #[error("{count} names are on the list; at most {max} nodes are a cluster")]
    TooMany {
        /// How many names were given.
        count: usize,
        /// Most that may be.
        max: usize,
    },
    /// The list stands, but fewer than `wanted` members are known to hold it; it goes on spreading.
    #[error("the list is set, but {wanted} members did not say in time that they have it")]
    TimedOut {
        /// How many members should hold it.
        wanted: u32,
    },
    /// This node has not joined yet, or leaves; ask another.
    #[error("the node is not ready: it is joining, leaving or over")]
    NotReady,
}

/// Why the voters were not changed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeVotersError {
    /// No voters are configured, on this node nor on any other.
    #[error("the cluster has no voters; configure some on all nodes")]
    NoVoters,
    /// No such node is a member here, so it cannot become a voter. Start it first.
    #[error("{node} is no member; start it before it becomes a voter")]
    Unknown {
        /// The node that was to be added.
        node: NodeId,
    },
    /// There are as many voters as there may be. Remove one first.
    #[error("there are {max} voters, which is the most; remove one first")]
    TooMany {
        /// Most that may be.
        max: usize,
    },
    /// The last voter cannot be removed: nothing would be granted any more. Add another first.
    #[error("nobody would be left to grant leases; add another voter first")]
    Last,
    /// So many voters cannot store what they decide that they decide nothing. Start them with a
    /// store. Nothing is changed by this.
    #[error("of the voters, {} have no store, and so no say; start them with one", listed(nodes))]
    NoStore {
        /// Those without a store.
        nodes: Vec<NodeId>,
    },
    /// It was not decided in time, and may be yet; ask again to find out.
    #[error("the voters were not changed in time: {}", unsaid(silent, *settles_in))]
    TimedOut {
        /// Those whose word was asked for, and did not come.
        silent: Vec<NodeId>,
        /// In how long the last change, or the start of a voter, is long enough ago for this one.
        settles_in: Option<Duration>,
    },
    /// This node has not joined yet, or leaves; ask another.
    #[error("the node is not ready: it is joining, leaving or over")]
    NotReady,
}

fn unsaid(silent: &[NodeId], settles_in: Option<Duration>) -> String {
    match settles_in {
        Some(wait) => {
            format!("what was granted before the last change, or a start, is over in {wait:?}")
        }
        None => format!("no word came from {}", listed(silent)),
    }
}

/// Why a member is not gone.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum EvictError {
    /// No such node is a member here. Nothing is changed.
    #[error("{node} is no member; nothing was changed")]
    Unknown {
        /// The node that was asked for.
        node: NodeId,
    },
    /// It was told to leave, or will be, and had not left in time. Wait on, or evict it at once.
    #[error("{node} has not left in time; it will, unless it is evicted at once before")]
    TimedOut {
        /// The node that should go.
        node: NodeId,
    },
    /// This node has not joined yet, or leaves; ask another.
    #[error("the node is not ready: it is joining, leaving or over")]
    NotReady,
}

/// Why a node has not seen what a token speaks of. Nothing is changed by waiting for it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum CatchUpError {
    /// The deadline passed, and this was still missing; ask again, or another node.
    #[error("journal {journal} is here up to {here}, and {demanded} is demanded")]
    TimedOut {
        /// A journal that is behind.
        journal: Replica,
        /// How far it is here.
        here: Version,
        /// How far it has to be.
        demanded: Version,
    },
    /// This node has not joined yet, or is over; wait until it is ready, or ask another.
    #[error("the node is not ready: it is joining or over")]
    NotReady,
}

/// Why a cluster was not found at rest.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum SettleError {
    /// The deadline passed; `reason` says what was still under way at the last look.
    #[error("the cluster is not at rest: {reason}")]
    TimedOut {
        /// What was still under way.
        reason: String,
    },
    /// This node has not joined yet, or is over.
    #[error("the node is not ready: it is joining or over")]
    NotReady,
}

/// Why there was no quorum.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum QuorumError {
    /// The deadline passed. Wait again, or find out why members are missing.
    #[error("{up} of {of} members are up, which is not more than half of them")]
    TimedOut {
        /// How many were up and ready at the deadline, as far as this node saw.
        up: usize,
        /// How many there are: on the list of members, or that count and are not forgotten.
        of: usize,
    },
    /// This node is over.
    #[error("the node is over")]
    NotReady,
}

/// Returns what a leave did not get done before its deadline.
fn undone(remaining: usize, unaware: &[NodeId], unshared: &[NodeId]) -> String {
    let mut undone = Vec::new();
    if 0 < remaining {
        undone.push(format!("{remaining} children had not stopped"));
    }
    if !unaware.is_empty() {
        undone.push(format!("{} had not heard of all", listed(unaware)));
    }
    if !unshared.is_empty() {
        undone.push(format!("nobody who stays had all that {} left", listed(unshared)));
    }
    if undone.is_empty() {
        undone.push(String::from("it did not get to say that it left"));
    }
    undone.join(", and ")
}

fn listed(nodes: &[NodeId]) -> String {
    let names: Vec<&str> = nodes.iter().map(NodeId::as_str).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;
    use alloc::vec;

    use super::*;

    #[test]
    fn a_leave_that_ran_out_of_time_says_what_was_not_done_and_nothing_else() {
        let node = |name: &str| NodeId::new(name).unwrap();
        let said = |remaining, unaware, unshared| {
            LeaveError::TimedOut { remaining, unaware, unshared }.to_string()
        };
        let head = "the node is over, and what it ran starts elsewhere; in time ";
        let children = said(3, vec![], vec![]);
        assert_eq!(children, format!("{head}3 children had not stopped"));
        let others = said(0, vec![node("b"), node("c")], vec![node("d")]);
        let all = "b, c had not heard of all, and nobody who stays had all that d left";
        assert_eq!(others, format!("{head}{all}"));
        assert_eq!(said(0, vec![], vec![]), format!("{head}it did not get to say that it left"));
    }
}
