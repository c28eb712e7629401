//! What a child is made of.

use alloc::string::String;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Blob, Name, Precedence, Scope};

/// A child as data: every node that knows its kind can run it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ChildSpec {
    /// The kind of process, a name that code is registered under.
    pub kind: String,
    /// What its start function gets, at every start.
    pub args: Blob,
    /// When it is started again.
    pub restart: Restart,
    /// How long it may take to stop before it is stopped by force.
    pub grace: Duration,
    /// The registry and the name that it is started with.
    pub name: Option<(Scope, Name)>,
    /// Bytes stored beside the name, from the start of each of its processes on.
    pub value: Blob,
    /// What the ring places it by; its own id if `None`.
    pub placement_key: Option<Blob>,
    /// What a user's conflict rule goes by, for life.
    pub precedence: Precedence,
}

/// When a child is started again after it ended by itself.
///
/// A child whose node goes down is started elsewhere unless it is temporary.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub enum Restart {
    /// Always.
    #[default]
    Permanent,
    /// Unless it ended as it should.
    Transient,
    /// Never.
    Temporary,
}

/// How a child ended for good.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum Outcome {
    /// It was terminated.
    Terminated,
    /// It ended as it should, and its restart type says not to start it again.
    Finished,
    /// It failed, and its restart type says not to start it again.
    Failed {
        /// What went wrong.
        reason: String,
    },
    /// Its very first start failed.
    StartFailed {
        /// What went wrong.
        reason: String,
    },
    /// Another child has its name; both go on as that one.
    MergedInto {
        /// The child that goes on.
        winner: crate::ChildId,
    },
    /// A process without a supervisor has its name.
    NameLost,
}
