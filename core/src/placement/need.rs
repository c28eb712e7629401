//! What a member must be to run a child, and why one does not.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{Labels, NodeId};

/// What a member must be to run a child.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Need {
    /// It says this of itself.
    Label {
        /// The key of the label.
        key: String,
        /// The value that it must have.
        value: String,
    },
    /// It does not say this of itself.
    NoLabel {
        /// The key of the label.
        key: String,
        /// The value that it must not have.
        value: String,
    },
    /// It is this node.
    Node(NodeId),
}

impl Need {
    /// Returns whether `node`, which says `labels` of itself, is what is needed.
    pub fn is_met_by(&self, node: &NodeId, labels: &Labels) -> bool {
        match self {
            Self::Label { key, value } => labels.value(key) == Some(value),
            Self::NoLabel { key, value } => labels.value(key) != Some(value),
            Self::Node(wanted) => wanted == node,
        }
    }
}

/// Why a member does not run a child that it would come into question for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Exclusion {
    /// It has no code for the child's kind, or runs no children at all.
    Kind,
    /// It has no code for the strategy that the child is placed by.
    Strategy,
    /// It is not what the child needs.
    Need(Need),
    /// It gave the child up, which failed there again and again.
    GaveUp,
    /// It runs as many children as it may.
    Full,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label { key, value } => write!(f, "the label {key:?} of {value:?}"),
            Self::NoLabel { key, value } => write!(f, "no label {key:?} of {value:?}"),
            Self::Node(node) => write!(f, "node {node}"),
        }
    }
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind => f.write_str("has no code for its kind"),
            Self::Strategy => f.write_str("has no code for the strategy that it is placed by"),
            Self::Need(need) => write!(f, "the child needs {need}"),
            Self::GaveUp => f.write_str("gave it up"),
            Self::Full => f.write_str("is full"),
        }
    }
}
