//! One value for whatever a message can be addressed to.

use std::fmt;

use ordu_core::{ChildId, Name, ProcessId, Scope, Target, UnknownRegistry};
use serde::{Deserialize, Serialize};

use crate::node::Node;
use crate::supervisor::Child;

/// Whom something is for: one run of a process, whoever holds a name, or whoever runs a child.
///
/// Made by [`Registry::via`](crate::Registry::via), and from a [`ProcessId`] or a [`Child`]. It can
/// be kept, printed, and sent to other nodes, where it means the same. Who is behind it is looked
/// up at each use: nobody needs to be there when it is made.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub enum Recipient {
    /// One run of a process.
    Process(ProcessId),
    /// Whoever holds a name.
    Name {
        /// The registry.
        registry: String,
        /// The name.
        name: Name,
    },
    /// Whichever process runs a child.
    Child {
        /// The supervisor.
        scope: Scope,
        /// The child.
        child: ChildId,
    },
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(process) => write!(f, "process {process}"),
            Self::Name { registry, name } => write!(f, "{name} in {}", registry.escape_debug()),
            Self::Child { child, .. } => write!(f, "child {child}"),
        }
    }
}

impl From<ProcessId> for Recipient {
    fn from(process: ProcessId) -> Self {
        Self::Process(process)
    }
}

impl From<&ProcessId> for Recipient {
    fn from(process: &ProcessId) -> Self {
        Self::Process(process.clone())
    }
}

impl From<&Self> for Recipient {
    fn from(recipient: &Self) -> Self {
        recipient.clone()
    }
}

impl From<&Child> for Recipient {
    fn from(child: &Child) -> Self {
        Self::Child { scope: child.scope(), child: child.id() }
    }
}

impl From<Child> for Recipient {
    fn from(child: Child) -> Self {
        Self::from(&child)
    }
}

impl Recipient {
    /// Returns what the state machine calls it.
    pub(crate) fn target(self, node: &Node) -> Result<Target, UnknownRegistry> {
        Ok(match self {
            Self::Process(process) => Target::Process(process),
            Self::Name { registry, name } => {
                Target::Name(node.registries().scope(&registry)?, name)
            }
            Self::Child { scope, child } => Target::Child(scope, child),
        })
    }

    /// Returns the process behind it, as far as the node sees one.
    pub(crate) fn process(self, node: &Node) -> Result<Option<ProcessId>, UnknownRegistry> {
        Ok(match self.target(node)? {
            Target::Process(process) => Some(process),
            Target::Name(scope, name) => {
                node.view().holder(scope, name.as_bytes()).map(|holder| holder.process)
            }
            Target::Child(scope, child) => {
                node.view().child(scope, child).and_then(|seen| seen.view.process)
            }
        })
    }
}
