//! How processes are started, and what they run under.

use alloc::string::String;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Blob, ChildId, FencingToken, Scope, Time};

/// A process to start.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// Its number; only a resumed process takes one that was used before.
    pub number: u64,
    /// The supervisor that looks after it.
    pub scope: Scope,
    /// The child that it runs.
    pub child: ChildId,
    /// The kind of process, a name that code is registered under.
    pub kind: String,
    /// What its start function gets.
    pub args: Blob,
    /// Why it starts.
    pub reason: StartReason,
    /// What an earlier run left behind for it.
    pub state: Option<Blob>,
    /// Most time the start may take.
    pub timeout: Duration,
    /// The lease that it runs under; `None` if it needs none.
    pub lease: Option<Lease>,
}

/// What lets a process run where no other may run the same child, or hold a name that no other may
/// hold; for the latter see [`Output::Hold`](crate::Output::Hold).
///
/// Whoever runs the process must not poll it once the clock that inputs are timed by shows `until`,
/// or what [`Output::Renew`](crate::Output::Renew) has moved that to; and must read the clock
/// before each poll, as it goes on while the machine sleeps.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// What a store may tell its holder from earlier ones by.
    pub token: FencingToken,
    /// When it ends, unless it is renewed.
    pub until: Time,
}

/// Why a process starts.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub enum StartReason {
    /// For the first time.
    Fresh,
    /// Its last run ended, and its restart type says to start it again.
    Restarted,
    /// The node it ran on went silent.
    FailedOver,
    /// It was stopped where it ran in order to run here, or since too few members were seen there.
    Moved,
    /// It was frozen for a winner that went away.
    Resumed,
}
