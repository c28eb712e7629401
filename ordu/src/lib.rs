//! A distributed supervisor and a distributed registry for any Rust program.

mod builder;
mod call;
mod context;
mod driver;
mod events;
mod feed;
mod gate;
mod hands;
mod inbox;
mod kinds;
mod log;
mod node;
mod operation;
mod process;
mod pump;
mod registry;
mod runner;
mod subscription;
mod supervisor;
#[cfg(test)]
mod testing;
mod view;

pub use ordu_core::transport::{Address, BoxFuture, Runtime, Transport};
pub use ordu_core::{
    Blob, CallError, ChildId, ConfigError, Event, ExitReason, IdError, Incarnation, LeaveError,
    MemberStatus, MemberView, Name, NameConflict, NodeId, Occupant, Outcome, ProcessId,
    RegisterError, Replica, Replicas, Restart, Scope, SettleError, StartChildError, StartReason,
    StopReason, TerminateError, Time, UnregisterError, Wall,
};

pub use crate::builder::{NodeBuilder, StartNodeError};
pub use crate::call::{Call, Cast};
pub use crate::context::{Clock, Context, Incoming, Letter, WrongType};
pub use crate::events::{Events, Missed};
pub use crate::node::{Leave, Node, ReadyError, Settled, Spawn, SpawnError};
pub use crate::process::{Finish, Process, StartError};
pub use crate::registry::{Register, Registry, Unregister};
pub use crate::subscription::{NameEvent, Subscription};
pub use crate::supervisor::{Child, ChildInfo, ChildSpec, StartChild, Supervisor, Terminate};
pub use crate::view::Found;
