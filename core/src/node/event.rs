//! What a node tells whoever listens.

use alloc::string::String;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    ChildId, Conflict, Domain, Electorate, Name, NodeId, ProcessId, Replica, Scope, Terms, Wall,
};

/// Something a log or a test wants to know.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Event {
    /// This node took its place in the cluster.
    Joined {
        /// Its new life.
        replica: Replica,
    },
    /// This node knows what the others knew when it joined, and takes part from now on.
    Ready {
        /// Its life.
        replica: Replica,
    },
    /// A member began to beat, or beats again.
    MemberUp {
        /// Its life.
        replica: Replica,
    },
    /// A member has been silent for half of the failure timeout.
    MemberSuspect {
        /// Its life.
        replica: Replica,
    },
    /// A member is down: nothing was heard of it, by any path.
    MemberDown {
        /// Its life.
        replica: Replica,
        /// For how long nothing was heard.
        silent: Duration,
    },
    /// A life of a member is over for good: it left, or a newer one was admitted.
    MemberRetired {
        /// The life that is over.
        replica: Replica,
    },
    /// Two processes claim one thing. The loser's node says so when it begins to yield, and the
    /// winner's when it took the loser in.
    Conflict(Conflict),
    /// A process of this node handed its state over and is gone.
    Merged {
        /// The process that went on.
        winner: ProcessId,
        /// The number of the process that stopped.
        loser: u64,
    },
    /// A process of this node ended or did not start, and will be started again.
    ChildFailed {
        /// The child.
        child: ChildId,
        /// What went wrong.
        reason: String,
        /// How long it waits before the next attempt.
        backoff: Duration,
    },
    /// This node gives a child up, which failed here more often than its budget lets it.
    ChildGivenUp {
        /// The child.
        child: ChildId,
        /// How it failed last.
        reason: String,
        /// The nodes that have given it up, this one among them.
        given_up_by: usize,
        /// Whether nobody tries it any more.
        is_in_quarantine: bool,
    },
    /// A peer's clock is too far from ours; its session was refused.
    ClockRefused {
        /// The peer.
        peer: NodeId,
        /// Our wall clock.
        ours: Wall,
        /// Its wall clock.
        theirs: Wall,
    },
    /// A peer goes by another conflict rule; its session was refused.
    RuleRefused {
        /// The peer.
        peer: NodeId,
        /// Its rule.
        rule: String,
    },
    /// A peer places children by another version of the ring, so that both would start them; its
    /// session was refused.
    RingRefused {
        /// The peer.
        peer: NodeId,
        /// Its version.
        version: u16,
    },
    /// A peer goes by other voters, or other modes, by which leases mean something else; its
    /// session was refused.
    TermsRefused {
        /// The peer.
        peer: NodeId,
        /// By what we go.
        ours: Terms,
        /// By what it goes.
        theirs: Terms,
    },
    /// The voters that grant leases are others from now on.
    VotersChanged {
        /// Those that this node goes by.
        electorate: Electorate,
    },
    /// The lease of a child that ran here has ended: no majority of the voters renewed it in time.
    LeaseLapsed {
        /// The child.
        child: ChildId,
    },
    /// The lease on a name has ended that a process of this node held: no majority of the voters
    /// renewed it in time.
    NameLapsed {
        /// The registry.
        scope: Scope,
        /// The name.
        name: Name,
    },
    /// More than half of the voters are up, as this node sees it, or not any more.
    Majority {
        /// Whether they are.
        is_up: bool,
        /// How many voters are up.
        up: usize,
        /// How many there are.
        of: usize,
    },
    /// This node sees enough members to run the children of a supervisor that it stops otherwise,
    /// or to give away the names of a registry that it gives up otherwise
    /// ([`OnMinority::Stop`](crate::OnMinority::Stop)), or not any more.
    Quorum {
        /// The supervisor, or the registry.
        domain: Domain,
        /// Whether it does.
        is_met: bool,
        /// How many are up that count.
        up: usize,
        /// Of how many; where a fixed number is needed, that one.
        of: usize,
    },
    /// Something a peer sent was not believed.
    Refused {
        /// The peer.
        peer: NodeId,
        /// What was wrong with it.
        reason: String,
    },
}
