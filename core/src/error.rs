//! Why operations fail: one enum each.

mod child;
mod node;

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Name, NameError, NodeId, ProcessId};

pub use self::child::{
    ExplainError, Occupant, PauseMovesError, ReleaseError, RestartChildError, StartChildError,
    TerminateError,
};
pub use self::node::{
    CatchUpError, ChangeVotersError, EvictError, LeaveError, QuorumError, SetMembersError,
    SettleError,
};

/// Why text is no id or address.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Nothing was given; give at least one byte.
    #[error("{what} is empty")]
    Empty {
        /// What was to be made.
        what: &'static str,
    },
    /// Too much was given; shorten it.
    #[error("{what} of {bytes} bytes is over the limit of {max}")]
    TooLong {
        /// What was to be made.
        what: &'static str,
        /// How long it was.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// It holds a control character, which would garble logs; leave it out.
    #[error("{what} holds a control character")]
    ControlCharacter {
        /// What was to be made.
        what: &'static str,
    },
}

/// A registry, or a set of groups, that this node was not told of: most likely a slip of the pen.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{name:?} was not declared on this node; it has {}", declared.join(", "))]
pub struct UnknownRegistry {
    /// The name that was asked for.
    pub name: String,
    /// Those that were declared, in order.
    pub declared: Vec<String>,
}

/// Why a name was not registered. Where it does not say otherwise the registry is as it was.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// Another process holds the name, or a child that is not running reserves it; ask again once
    /// it is free.
    #[error("name {name} is taken by {holder}")]
    NameTaken {
        /// The name asked for.
        name: Name,
        /// Who has it.
        holder: Occupant,
    },
    /// The process to be named does not run any more.
    #[error("process {process} does not run any more")]
    NoProcess {
        /// The process.
        process: ProcessId,
    },
    /// The value is longer than the limit; store a reference instead.
    #[error("a value of {bytes} bytes is over the limit of {max}")]
    TooLarge {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// The node of the process sees too few members, or voters, to have names of the registry held
    /// there ([`Mode`](crate::Mode)): names under leases take more than half of the voters. Ask
    /// again once it sees more, or on a node that does.
    #[error("{up} of {of} are up as the node of the process sees it, which is no quorum")]
    NoQuorum {
        /// How many are up that count.
        up: usize,
        /// Of how many; where a fixed number is needed, that one.
        of: usize,
    },
    /// No majority of the voters granted the lease on the name in time: it is promised to another,
    /// perhaps to a process of a node that is gone, or voters have only just been started. What
    /// asked for it is withdrawn; wait for as long as a lease is, or ask with a longer deadline.
    #[error("name {name} is promised to another, or voters have only just been started")]
    NotGranted {
        /// The name asked for.
        name: Name,
    },
    /// The names of the registry are held under leases, or given up in the minority, and processes
    /// that run children hold none: register a process that no supervisor looks after, or have the
    /// supervisor in that mode.
    #[error("process {process} runs a child, which holds no names there by the registry's mode")]
    RunsChild {
        /// The process.
        process: ProcessId,
    },
    /// The names of the registry are held under leases, or given up in the minority, and asked for
    /// on the node of the process alone; register it there.
    #[error("process {process} is given names of the registry by request on its own node alone")]
    Elsewhere {
        /// The process.
        process: ProcessId,
    },
    /// The deadline passed before enough members held the entry; it may stand and spread later.
    #[error("the deadline passed: the name may be registered, but not on {wanted} members yet")]
    TimedOut {
        /// How many members were to hold it.
        wanted: u32,
    },
    /// This node is joining or leaving; ask another, or wait until it is ready.
    #[error("the node is not ready: it is joining or leaving")]
    NotReady,
    /// Nobody is behind the address that was given in place of a process; nothing was done.
    #[error("nobody is there: the name is free, or the child is between two runs")]
    Nobody,
    /// What was given as a name cannot be one; choose another.
    #[error("the name cannot be one")]
    BadName {
        /// What is wrong with it.
        #[from]
        source: NameError,
    },
    /// This node was not told of the registry; declare it on the builder, or correct its name.
    #[error(transparent)]
    UnknownRegistry(#[from] UnknownRegistry),
}

/// Why a name was not given up. Every variant but the last leaves the registry as it was.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum UnregisterError {
    /// Only the holder can give a name up, and that is another process or nobody.
    #[error("process {process} does not hold name {name}")]
    NotHolder {
        /// The name.
        name: Name,
        /// The process that was to give it up.
        process: ProcessId,
    },
    /// The name is that of the process's child and ends with it; terminate the child instead.
    #[error("name {name} belongs to a child for its life; terminate the child instead")]
    OfChild {
        /// The name.
        name: Name,
    },
    /// The deadline passed before the process's node answered; the name may be free or not.
    #[error("the deadline passed before the holder's node answered")]
    TimedOut,
    /// This node is joining or leaving; ask another, or wait until it is ready.
    #[error("the node is not ready: it is joining or leaving")]
    NotReady,
    /// Nobody is behind the address that was given in place of a process; nothing was done.
    #[error("nobody is there: the name is free, or the child is between two runs")]
    Nobody,
    /// What was given as a name cannot be one; nobody holds such a name.
    #[error("the name cannot be one")]
    BadName {
        /// What is wrong with it.
        #[from]
        source: NameError,
    },
    /// This node was not told of the registry; declare it on the builder, or correct its name.
    #[error(transparent)]
    UnknownRegistry(#[from] UnknownRegistry),
}

/// Why a value was not changed. Where it does not say otherwise it is as it was.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// Only the holder can change the value beside a name, and that is another process or nobody.
    #[error("process {process} does not hold name {name}")]
    NotHolder {
        /// The name.
        name: Name,
        /// The process that was to change the value.
        process: ProcessId,
    },
    /// The new value is longer than the limit; store a reference instead.
    #[error("a value of {bytes} bytes is over the limit of {max}")]
    TooLarge {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// The deadline passed before the holder's node answered, or others changed the value again and
    /// again; it may be changed or not.
    #[error("the deadline passed before the value was seen to change")]
    TimedOut,
    /// This node is joining or leaving; ask another, or wait until it is ready.
    #[error("the node is not ready: it is joining or leaving")]
    NotReady,
    /// Nobody is behind the address that was given in place of a process; nothing was done.
    #[error("nobody is there: the name is free, or the child is between two runs")]
    Nobody,
    /// What was given as a name cannot be one; nobody holds such a name.
    #[error("the name cannot be one")]
    BadName {
        /// What is wrong with it.
        #[from]
        source: NameError,
    },
    /// This node was not told of the registry; declare it on the builder, or correct its name.
    #[error(transparent)]
    UnknownRegistry(#[from] UnknownRegistry),
}

/// Why a process did not become a member of a group. Where it does not say otherwise the group is
/// as it was.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum JoinGroupError {
    /// The process that was to join does not run any more.
    #[error("process {process} does not run any more")]
    NoProcess {
        /// The process.
        process: ProcessId,
    },
    /// The metadata is longer than the limit; store a reference instead.
    #[error("metadata of {bytes} bytes is over the limit of {max}")]
    TooLarge {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// The deadline passed before the process's node answered; it may be a member or not.
    #[error("the deadline passed before the node of the process answered")]
    TimedOut,
    /// This node is joining or leaving; ask another, or wait until it is ready.
    #[error("the node is not ready: it is joining or leaving")]
    NotReady,
    /// Nobody is behind the address that was given in place of a process; nothing was done.
    #[error("nobody is there: the name is free, or the child is between two runs")]
    Nobody,
    /// What was given as a name cannot be one; choose another.
    #[error("the name cannot be one")]
    BadName {
        /// What is wrong with it.
        #[from]
        source: NameError,
    },
    /// This node was not told of the registry; declare it on the builder, or correct its name.
    #[error(transparent)]
    UnknownRegistry(#[from] UnknownRegistry),
}

/// Why a process did not leave a group. Where it does not say otherwise the group is as it was.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum LeaveGroupError {
    /// The process is no member of the group.
    #[error("process {process} is no member of group {group}")]
    NotMember {
        /// The group.
        group: Name,
        /// The process that was to leave it.
        process: ProcessId,
    },
    /// The deadline passed before the process's node answered; it may be a member or not.
    #[error("the deadline passed before the node of the process answered")]
    TimedOut,
    /// This node is joining or leaving; ask another, or wait until it is ready.
    #[error("the node is not ready: it is joining or leaving")]
    NotReady,
    /// Nobody is behind the address that was given in place of a process; nothing was done.
    #[error("nobody is there: the name is free, or the child is between two runs")]
    Nobody,
    /// What was given as a name cannot be one; there is no such group.
    #[error("the name cannot be one")]
    BadName {
        /// What is wrong with it.
        #[from]
        source: NameError,
    },
    /// This node was not told of the registry; declare it on the builder, or correct its name.
    #[error(transparent)]
    UnknownRegistry(#[from] UnknownRegistry),
}

/// Why metadata was not put beside the names of a registry, or not deleted there. Where it does not
/// say otherwise it is as it was.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum WriteMetaError {
    /// The value is longer than the limit; store a reference instead.
    #[error("a value of {bytes} bytes is over the limit of {max}; store a reference instead")]
    TooLarge {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// The registry is full of metadata, with what was deleted in the last minutes; delete some and
    /// wait, or keep several things in one value.
    #[error(
        "the registry has {max} metadata, those deleted lately among them; \
         delete some and wait, or keep several things in one value"
    )]
    TooMany {
        /// How many there may be.
        max: usize,
    },
    /// The deadline passed before enough members held the write; it stands here and may spread
    /// later. Ask again to wait on.
    #[error("the deadline passed: it is written here, but not on {wanted} members yet")]
    TimedOut {
        /// How many members were to hold it.
        wanted: u32,
    },
    /// This node is joining or leaving; ask another, or wait until it is ready.
    #[error("the node is not ready: it is joining or leaving")]
    NotReady,
    /// What was given as a key cannot be one; choose another.
    #[error("the key cannot be one")]
    BadKey {
        /// What is wrong with it.
        #[from]
        source: NameError,
    },
    /// This node was not told of the registry; declare it on the builder, or correct its name.
    #[error(transparent)]
    UnknownRegistry(#[from] UnknownRegistry),
}

/// Why a message was not sent to a group. Nothing was sent.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The message is longer than the limit; send a reference instead.
    #[error("a message of {bytes} bytes is over the limit of {max}")]
    TooLarge {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// This node has not joined yet, or is over.
    #[error("the node is not ready: it is joining or over")]
    NotReady,
    /// What was given as a name cannot be one; there is no such group.
    #[error("the name cannot be one")]
    BadName {
        /// What is wrong with it.
        #[from]
        source: NameError,
    },
    /// This node was not told of the registry; declare it on the builder, or correct its name.
    #[error(transparent)]
    UnknownRegistry(#[from] UnknownRegistry),
}

/// Why a message got no reply.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// Nobody holds the name or runs the child now; nothing was delivered.
    #[error("nobody is there: the name is free, or the child is between two runs")]
    Nobody,
    /// The process had ended when the message arrived; nothing was delivered.
    #[error("process {process} does not run any more")]
    NoProcess {
        /// The process.
        process: ProcessId,
    },
    /// No session with the process's node is up; nothing was delivered.
    #[error("node {node} cannot be reached")]
    Unreachable {
        /// The node.
        node: NodeId,
    },
    /// The mailbox of the process is full; nothing was delivered. Send less, or later.
    #[error("the mailbox of process {process} is full")]
    Overloaded {
        /// The process.
        process: ProcessId,
    },
    /// The process, its node or the session to it ended before the reply; the message may have
    /// been handled.
    #[error("process {process} ended or was lost before it replied")]
    Lost {
        /// The process.
        process: ProcessId,
    },
    /// The deadline passed; the message may have been handled.
    #[error("no reply within {timeout:?}")]
    TimedOut {
        /// How long the caller waited.
        timeout: Duration,
    },
    /// The process could not read the message, or the caller the reply: their types differ.
    #[error("the message or its reply is of another type than expected")]
    Malformed,
    /// The message is longer than the limit; nothing was delivered.
    #[error("a message of {bytes} bytes is over the limit of {max}")]
    TooLarge {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// This node has not joined yet, or is over.
    #[error("the node is not ready: it is joining or over")]
    NotReady,
    /// What was given as a name cannot be one; nobody holds such a name.
    #[error("the name cannot be one")]
    BadName {
        /// What is wrong with it.
        #[from]
        source: NameError,
    },
    /// This node was not told of the registry; declare it on the builder, or correct its name.
    #[error(transparent)]
    UnknownRegistry(#[from] UnknownRegistry),
}
