//! A child's process on this node, from the claim that announces it to the tombstone that ends it.

use alloc::collections::VecDeque;
use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::entry::{ClaimEntry, Standing};
use crate::supervisor::children::ChildKey;
use crate::{Blob, ChildSpec, StartReason, Time};

/// A child's process on this node.
///
/// Its claim stands in our journal exactly while the instance exists, through restarts in place.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Instance {
    /// The child that it runs.
    pub(crate) key: ChildKey,
    /// What to run.
    pub(crate) spec: ChildSpec,
    /// Its standing in conflicts; its number changes with every restart.
    pub(crate) standing: Standing,
    /// The epoch that its claim carries.
    pub(crate) epoch: u64,
    /// What it does now.
    pub(crate) phase: Phase,
    /// Why its present run was started.
    pub(crate) reason: StartReason,
    /// What an earlier run left behind for the present one.
    pub(crate) state: Option<Blob>,
    /// How many runs in a row failed.
    pub(crate) failures: u32,
    /// Whether it was told to stop since its child belongs elsewhere.
    pub(crate) is_moving: bool,
    /// When runs failed that count against its budget, the oldest first.
    pub(crate) failed_at: VecDeque<Time>,
    /// Why its last start failed, as long as it never ran.
    pub(crate) failure: Option<String>,
    /// Whether it ever ran, here or elsewhere.
    pub(crate) has_run: bool,
    /// When its present run began.
    pub(crate) since: Time,
    /// The bytes beside its name: those of its specification, until its process changes them.
    pub(crate) value: Blob,
    /// Until when its lease lasts with which its present run began, if it needs one.
    pub(crate) lease_until: Option<Time>,
}

/// What an instance does.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// It waits for its lease; nothing runs.
    Asking,
    /// Its start function runs.
    Starting,
    /// It runs.
    Running,
    /// It failed, and waits for its next start.
    Waiting {
        /// When that is.
        until: Time,
    },
    /// It was told to stop.
    Stopping {
        /// What becomes of it then.
        then: Then,
    },
    /// It was stopped in favour of a winner that has not taken it in yet.
    Frozen,
}

/// What becomes of an instance once it has stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) enum Then {
    /// It is dropped.
    Gone,
    /// It is kept, frozen, until the winner has taken it in.
    Frozen,
    /// Another process takes its place.
    Again,
    /// It has failed: another process takes its place as after any failure.
    Failed,
    /// It is dropped: its lease has ended.
    Lapsed,
}

impl Instance {
    /// Returns the claim that stands for it.
    pub(crate) fn claim(&self) -> ClaimEntry {
        ClaimEntry {
            standing: self.standing.clone(),
            epoch: self.epoch,
            running: self.phase == Phase::Running,
            name: self.spec.name.clone(),
            value: self.value.clone(),
            failure: self.failure.clone(),
        }
    }

    /// Returns whether a process of it was started here before the present one.
    pub(crate) fn has_run_here(&self) -> bool {
        match self.reason {
            StartReason::Restarted | StartReason::Resumed => true,
            StartReason::Fresh | StartReason::FailedOver | StartReason::Moved => false,
        }
    }

    /// Returns whether it does what instances do when nothing is under way.
    pub(crate) fn is_at_rest(&self) -> bool {
        match self.phase {
            Phase::Running => true,
            Phase::Asking
            | Phase::Starting
            | Phase::Waiting { .. }
            | Phase::Stopping { .. }
            | Phase::Frozen => false,
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum RunEnd {
    /// Its start function failed.
    StartFailed(String),
    /// Its start function said that there is nothing to run.
    Ignored,
    /// It ended as it should.
    Finished,
    /// It failed.
    Failed(String),
    /// A child that belongs to its own is in quarantine.
    Escalated,
}

impl RunEnd {
    /// What is said of an escalation.
    pub(crate) const ESCALATED: &str = "a child that belongs to it is in quarantine";
}
