//! One node of the cluster, as a state machine.

mod input;
mod output;

pub use crate::node::input::{CallId, Command, Input, ProcessEvent, Replicas, Target};
pub use crate::node::output::{
    ChildView, Event, ExitReason, Holder, MemberStatus, MemberView, NameConflict, Output, Reply,
    Start, StartReason, StartedChild, StopReason, ViewChange,
};

use crate::{Config, Time};

/// Why a [`Node`] wants to be woken.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum TimerKind {
    /// To say that it is there, and to judge who is not.
    Beat,
    /// To compare journals with a peer.
    Digest,
    /// To start a child again.
    Backoff,
    /// To answer a request whose deadline passes.
    Deadline,
}

/// One node of the cluster.
#[derive(Debug)]
pub struct Node {}

impl Node {
    /// Creates a node that has not joined yet.
    pub fn new(_config: Config, _seed: u64, _now: Time) -> Self {
        Self {}
    }

    /// Takes one input in, at `now`. Never fails, never blocks.
    pub fn handle(&mut self, _now: Time, _input: Input) {}

    /// Returns the next thing to do, in order, or `None` when nothing is left.
    pub fn poll_output(&mut self) -> Option<Output> {
        None
    }

    /// Returns when to call [`handle`](Self::handle) at the latest, and why.
    pub fn poll_timeout(&self) -> Option<(Time, TimerKind)> {
        None
    }

    /// Returns a hash of the whole state; equal inputs give equal hashes, on every machine.
    pub fn state_hash(&self) -> u64 {
        0
    }
}
