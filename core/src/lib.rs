//! The state machines of Ordu.
//!
//! `no_std` is the fence: without `std` there is no clock, no socket, no thread and no randomly
//! ordered map to reach for.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod adoption;
mod arrival;
mod blob;
mod board;
mod cells;
mod child;
mod clock;
mod config;
mod conflict;
pub mod crdt;
mod effect;
mod electorate;
mod entry;
mod error;
mod explain;
mod export;
pub mod flight;
mod groups;
mod hash;
mod hindsight;
mod id;
pub mod laws;
mod lease;
mod leased;
pub mod limits;
mod links;
mod membership;
pub mod message;
mod messaging;
mod minority;
mod mode;
mod name;
mod node;
pub mod placement;

mod quorum;
mod random;
mod rank;
mod registry;
#[allow(unreachable_pub, reason = "an inner machine: `Node` alone drives it")]
mod replication;
mod requests;
mod role;
mod rule;
mod seen;
mod settle;
#[cfg(feature = "proptest")]
pub mod strategies;
mod supervisor;
mod table;
mod targets;
mod time;
mod token;
pub mod transport;
pub mod wire;

pub use crate::blob::Blob;
pub use crate::child::{Budget, ChildSpec, Outcome, Restart};
pub use crate::clock::{HybridClock, Stamp};
pub use crate::config::{Config, ConfigError, Escalation};
pub use crate::electorate::{Electorate, VoterChange, VoterRecord, VoterRecordError, VoterStore};
pub use crate::error::{
    CallError, CatchUpError, ChangeVotersError, EvictError, ExplainError, IdError, JoinGroupError,
    LeaveError, LeaveGroupError, Occupant, PauseMovesError, PublishError, QuorumError,
    RegisterError, ReleaseError, RestartChildError, SetMembersError, SettleError, StartChildError,
    TerminateError, UnknownRegistry, UnregisterError, UpdateError, WriteMetaError,
};
pub use crate::explain::{
    Candidate, ChildClaim, Delay, Explanation, GivenUp, Passage, PassageCause, Quarantined,
};
pub use crate::export::{DecodeExportError, Export};
pub use crate::hash::{hash64, hash64_seeded, hash128};
pub use crate::id::{
    ChildId, Incarnation, NodeId, ProcessId, Replica, ReplicaKey, RequestId, Scope,
};
pub use crate::lease::{FencingToken, Voters, VotersError};
pub use crate::links::{LinkView, LinksView};
pub use crate::minority::{OnMinority, Quorum};
pub use crate::mode::{Domain, Mode, Terms};
pub use crate::name::{Name, NameError};
pub use crate::node::{
    CallId, ChildView, Command, Conflict, Event, ExitReason, Holder, Input, Lease, Loss,
    MemberStatus, MemberView, NameConflict, Node, Output, ProcessEvent, Published, Replicas, Reply,
    Start, StartReason, StartedChild, StopReason, Tables, Target, TimerKind, Updated, ViewChange,
};
pub use crate::quorum::QuorumView;
pub use crate::random::Random;
pub use crate::rank::{Origin, Rank};
pub use crate::role::{LabelError, Labels, Role};
pub use crate::rule::{ConflictRule, Contender, Precedence, Rule};
pub use crate::time::{Time, Wall};
pub use crate::token::CausalToken;
pub use crate::transport::Address;
