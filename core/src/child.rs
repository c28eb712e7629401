//! What a child is made of.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::placement::{Need, Placement};
use crate::{Blob, ChildId, Name, Precedence, Scope};

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
    /// What a member must be to run it; it runs on none that lacks one of them.
    pub needs: Vec<Need>,
    /// How one of the members is picked that can run it.
    pub placement: Placement,
    /// Whether it is left where it runs, though it belongs elsewhere since members came; see
    /// [`Redistribution`](crate::placement::Redistribution).
    pub stays: bool,
    /// How often it may fail before a node gives it up; as often as it likes if `None`.
    pub budget: Option<Budget>,
    /// The child of the same supervisor that it belongs to: it ends when that one ends for good,
    /// also if that lost its name to another child, and outlives its restarts and moves.
    pub parent: Option<ChildId>,
    /// Whether its quarantine is a failure of its parent, which is started again, and with it this
    /// child; nobody else is concerned if not, and if it has no parent.
    pub escalates: bool,
    /// What a user's conflict rule goes by, for life.
    pub precedence: Precedence,
}

impl ChildSpec {
    /// Returns a permanent child of `kind` with the defaults: no name, no needs, 5 s to stop, and
    /// the default [`Budget`].
    pub fn new(kind: impl Into<String>, args: impl Into<Blob>) -> Self {
        Self {
            kind: kind.into(),
            args: args.into(),
            restart: Restart::default(),
            grace: Duration::from_secs(5),
            name: None,
            value: Blob::default(),
            placement_key: None,
            needs: Vec::new(),
            placement: Placement::default(),
            stays: false,
            budget: Some(Budget::default()),
            parent: None,
            escalates: false,
            precedence: Precedence::default(),
        }
    }
}

/// How often a child may fail.
///
/// A node on which it fails more often than that gives it up, and it goes on elsewhere. Once so
/// many nodes have given it up, or all that could run it, it is in quarantine: nobody starts it
/// until it is released ([`Command::Release`](crate::Command::Release)).
///
/// A run counts that failed, or ended although the child is to run always, or did not start.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Most failures on one node within `within`; 5 by default.
    pub failures: u16,
    /// For how long a failure counts; 30 s by default.
    pub within: Duration,
    /// How many nodes give it up before none tries it; 3 by default, and 1 if it is 0.
    pub nodes: u16,
}

impl Default for Budget {
    fn default() -> Self {
        Self { failures: 5, within: Duration::from_secs(30), nodes: 3 }
    }
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
    /// Its start function said that there is nothing to run.
    Ignored,
    /// Another child has its name; both go on as that one.
    MergedInto {
        /// The child that goes on.
        winner: ChildId,
    },
    /// A process without a supervisor has its name.
    NameLost,
    /// The child that it belonged to has ended.
    WithParent {
        /// That child.
        parent: ChildId,
    },
}
