//! What two transports say before anything else: who they are, and what they speak.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::NodeId;

/// The oldest protocol version that we speak.
pub const PROTOCOL_MIN: u16 = 1;
/// The newest protocol version that we speak.
pub const PROTOCOL_MAX: u16 = 1;

/// The first thing that each side of a session says, once it is encrypted.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Greeting {
    /// The cluster that the sender belongs to.
    pub cluster: String,
    /// The sender.
    pub node: NodeId,
    /// The oldest protocol version that it speaks.
    pub protocol_min: u16,
    /// The newest protocol version that it speaks.
    pub protocol_max: u16,
}

impl Greeting {
    /// Returns what `node` of `cluster` says.
    pub fn new(cluster: impl Into<String>, node: NodeId) -> Self {
        let (protocol_min, protocol_max) = (PROTOCOL_MIN, PROTOCOL_MAX);
        Self { cluster: cluster.into(), node, protocol_min, protocol_max }
    }

    /// Returns the newest protocol version that we and the sender of `theirs` both speak.
    ///
    /// # Errors
    ///
    /// Refuses another cluster, our own name, and a peer with no version in common; the session is
    /// to be ended, with the error as the reason.
    pub fn agree(&self, theirs: &Self) -> Result<u16, GreetingError> {
        if theirs.cluster != self.cluster {
            let (ours, theirs) = (self.cluster.clone(), theirs.cluster.clone());
            return Err(GreetingError::OtherCluster { ours, theirs });
        }
        if theirs.node == self.node {
            return Err(GreetingError::OurOwnName { node: self.node.clone() });
        }
        let version = self.protocol_max.min(theirs.protocol_max);
        if version < self.protocol_min.max(theirs.protocol_min) {
            return Err(GreetingError::NoCommonVersion {
                node: theirs.node.clone(),
                min: theirs.protocol_min,
                max: theirs.protocol_max,
            });
        }
        Ok(version)
    }
}

/// Why a session is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GreetingError {
    /// The peer belongs to another cluster; mend the address or the cluster's name.
    #[error("the peer belongs to cluster {theirs:?}, not {ours:?}")]
    OtherCluster {
        /// Our cluster.
        ours: String,
        /// Its cluster.
        theirs: String,
    },
    /// The peer has our own name, or we dialled ourselves; no two nodes may share one.
    #[error("the peer calls itself {node}, as we do; give every node a name of its own")]
    OurOwnName {
        /// The name.
        node: NodeId,
    },
    /// The peer is too old or too new; upgrade the older one.
    #[error(
        "node {node} speaks protocol versions {min} to {max}, we speak {PROTOCOL_MIN} to {PROTOCOL_MAX}"
    )]
    NoCommonVersion {
        /// The peer.
        node: NodeId,
        /// The oldest version it speaks.
        min: u16,
        /// The newest version it speaks.
        max: u16,
    },
}
