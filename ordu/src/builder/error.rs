//! Why a node is not started.

use std::error::Error;

use ordu_core::{ConfigError, IdError, LabelError, NameError, UnknownRegistry};

use crate::store::LoadError;

/// Why a node was not started. Nothing runs and nothing is open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartNodeError {
    /// The cluster's name is empty or too long; all nodes must give the same one.
    #[error("a cluster name of {bytes} bytes; it must have 1 to {max}")]
    ClusterName {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// The node's name cannot be one.
    #[error("the node's name is not valid")]
    NodeId {
        /// What is wrong with it.
        source: IdError,
    },
    /// A seed cannot be an address.
    #[error("seed {seed:?} is no address")]
    Seed {
        /// As it was given.
        seed: String,
        /// What is wrong with it.
        source: IdError,
    },
    /// A registry, or a set of groups, cannot be called so.
    #[error("nothing can be called {name:?}")]
    RegistryName {
        /// As it was given.
        name: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// A client begins no cluster of its own, and was not told where to find one; give it seeds or
    /// a discovery.
    #[error("a client without seeds has nothing to join")]
    NothingToJoin,
    /// A label cannot be one.
    #[error("a label is not valid")]
    Label {
        /// What is wrong with it.
        source: LabelError,
    },
    /// Metadata was given for a registry that was not declared; declare it.
    #[error("metadata was given for a registry that is not there")]
    UnknownRegistry {
        /// Which one, and those that are there.
        source: UnknownRegistry,
    },
    /// Metadata cannot be kept under what was given for a key.
    #[error("a key of the metadata of {registry:?} is not valid")]
    MetadataKey {
        /// The registry.
        registry: String,
        /// What is wrong with the key.
        source: NameError,
    },
    /// A name on the list of members is none that a node can have.
    #[error("no member can be called {member:?}")]
    Member {
        /// As it was given.
        member: String,
        /// What is wrong with it.
        source: IdError,
    },
    /// A supervisor cannot be called so.
    #[error("no supervisor can be called {name:?}")]
    SupervisorName {
        /// As it was given.
        name: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// A voter is called as no node can be.
    #[error("no voter can be called {voter:?}")]
    Voter {
        /// As it was given.
        voter: String,
        /// What is wrong with it.
        source: IdError,
    },
    /// The children of a supervisor are to run under leases, and nobody was named to grant any;
    /// name voters.
    #[error("the supervisor {supervisor:?} is exclusive, and there are no voters; name 3 or 5")]
    NoVoters {
        /// The supervisor.
        supervisor: String,
    },
    /// What this node stored as a voter cannot be found again.
    #[error("the voter store is of no use: {source}")]
    VoterStore {
        /// What is wrong with it.
        source: LoadError,
    },
    /// It was said what to do when leases of a supervisor end whose children need none; let it be
    /// exclusive.
    #[error("the supervisor {supervisor:?} is not exclusive, so that its leases cannot lapse")]
    NotExclusive {
        /// The supervisor.
        supervisor: String,
    },
    /// There is no thread to be had for who watches over leases.
    #[error("the watchdog of leases has no thread")]
    Watchdog {
        /// What the system says.
        source: std::io::Error,
    },
    /// Names are to be held under leases, and nobody was named to grant any; name voters.
    #[error("the registry {registry:?} is exclusive, and there are no voters; name 3 or 5")]
    NoRegistryVoters {
        /// The registry.
        registry: String,
    },
    /// Two kinds of processes have one name; which of them a child is could not be told.
    #[error("two kinds of processes are called {kind:?}")]
    KindTwice {
        /// The name.
        kind: String,
    },
    /// Processes that take no messages cannot be talked to; allow one at least.
    #[error("messages_max must not be zero")]
    NoMessages,
    /// The times do not fit together.
    #[error("the settings do not fit together")]
    Config {
        /// Which of them, and how they would.
        source: ConfigError,
    },
    /// A runtime was given without a transport that runs on it.
    #[error("there is no transport; give one together with the runtime")]
    NoTransport,
    /// The caller runs outside of tokio; start the node within it, or give a runtime.
    #[error("there is no runtime; start the node within tokio, or give one")]
    NoRuntime {
        /// What tokio says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The transport cannot listen.
    #[error("the transport cannot listen")]
    Transport {
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
}
