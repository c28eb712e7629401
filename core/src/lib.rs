//! The state machines of Ordu.
//!
//! `no_std` is the fence: without `std` there is no clock, no socket, no thread and no randomly
//! ordered map to reach for.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod blob;
mod child;
mod clock;
mod config;
pub mod crdt;
mod error;
mod hash;
mod id;
pub mod laws;
pub mod limits;
pub mod message;
mod node;
pub mod placement;
mod random;
#[cfg(feature = "proptest")]
pub mod strategies;
mod time;
pub mod transport;
pub mod wire;

pub use crate::blob::Blob;
pub use crate::child::{ChildSpec, Outcome, Restart};
pub use crate::clock::{HybridClock, Stamp};
pub use crate::config::{Config, ConfigError};
pub use crate::error::{
    CallError, IdError, LeaveError, Occupant, RegisterError, SettleError, StartChildError,
    TerminateError, UnregisterError,
};
pub use crate::hash::{hash64, hash64_seeded, hash128};
pub use crate::id::{
    ChildId, Incarnation, Name, NodeId, ProcessId, Replica, ReplicaKey, RequestId, Scope,
};
pub use crate::node::{
    CallId, ChildView, Command, Event, ExitReason, Holder, Input, MemberStatus, MemberView,
    NameConflict, Node, Output, ProcessEvent, Replicas, Reply, Start, StartReason, StartedChild,
    StopReason, Target, TimerKind, ViewChange,
};
pub use crate::random::Random;
pub use crate::time::{Time, Wall};
pub use crate::transport::Address;
