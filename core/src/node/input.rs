//! What the outside world can do to a node.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::message::{CallFailure, Envelope};
use crate::{
    Address, Blob, CausalToken, ChildId, ChildSpec, Domain, Name, NodeId, Precedence, ProcessId,
    Scope, VoterChange, Wall,
};

/// Everything the outside world can do to a [`Node`](crate::Node).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Input {
    /// A session with `peer` is up; the transport knows who it is.
    Connected {
        /// Who is at the other end.
        peer: NodeId,
    },
    /// The session with `peer` is over.
    Disconnected {
        /// Who was at the other end.
        peer: NodeId,
    },
    /// An attempt to dial `address` was refused: nobody listens there.
    Refused {
        /// Where it was tried.
        address: Address,
    },
    /// A peer's message arrived, decoded and well-formed.
    Message {
        /// The peer, as the transport authenticated it.
        from: NodeId,
        /// What it says.
        envelope: Envelope,
    },
    /// A user asks for something; answered by exactly one
    /// [`Output::Reply`](crate::Output::Reply) with the same ticket, at the deadline at the latest.
    Request {
        /// The caller's own number for the request, never used before.
        ticket: u64,
        /// How long the user waits.
        timeout: Duration,
        /// What it asks for.
        command: Command,
    },
    /// Something happened to a process of this node.
    Process {
        /// The process's number.
        number: u64,
        /// What happened.
        event: ProcessEvent,
    },
    /// A process answered a call that [`Output::Deliver`](crate::Output::Deliver) brought.
    Answer {
        /// The call's number there.
        call: CallId,
        /// The reply, or why there is none.
        result: Result<Blob, CallFailure>,
    },
    /// The wall clock was read.
    Wall(Wall),
    /// Everything that was ready has been fed: what was held back to be sent together goes out.
    Flush,
    /// Nothing but time passed.
    Tick,
    /// What [`Output::Persist`](crate::Output::Persist) brought is stored, and outlasts this node;
    /// or it could not be stored.
    Persisted {
        /// Its number there.
        number: u64,
        /// Whether it is.
        is_stored: bool,
    },
    /// Members that know the cluster may be found at these addresses, and nowhere else: they take
    /// the place of those configured or found before. Given again they are tried again.
    Seeds(Vec<Address>),
}

/// What a user can ask of a node.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Keep a child running somewhere in the cluster.
    Start {
        /// The supervisor.
        scope: Scope,
        /// What to run.
        spec: ChildSpec,
    },
    /// Start a child unless there is one of its name, and wait until that one runs: however many
    /// ask for a name, and however often, there is one child. Answered by
    /// [`Reply::Start`](crate::Reply::Start).
    Ensure {
        /// The supervisor.
        scope: Scope,
        /// What to run; it must have a name.
        spec: ChildSpec,
    },
    /// As `Start`, but once: whoever asks with the same key, wherever and however often, gets the
    /// same child. A key is forgotten ten minutes after its child has ended, at the earliest.
    StartOnce {
        /// The supervisor.
        scope: Scope,
        /// The key, of 1 to 256 bytes.
        key: Blob,
        /// What to run; the same each time.
        spec: ChildSpec,
    },
    /// Stop the process of a child and start another in its place, with a budget that is whole
    /// again. One that waits for its next start starts at once.
    Restart {
        /// The supervisor.
        scope: Scope,
        /// The child.
        child: ChildId,
    },
    /// Let the nodes that have given a child up try it again.
    Release {
        /// The supervisor.
        scope: Scope,
        /// The child.
        child: ChildId,
    },
    /// Tell which children nobody tries any more.
    Quarantined {
        /// The supervisor.
        scope: Scope,
    },
    /// Tell whether the children of a supervisor may run on this node, or the names of a registry
    /// be held there, as it sees it. Answered by [`Reply::Quorum`](crate::Reply::Quorum).
    Quorum {
        /// The supervisor, or the registry.
        domain: Domain,
    },
    /// Change who grants leases; answered once that is decided, or by a deadline.
    ChangeVoters {
        /// The change.
        change: VoterChange,
    },
    /// Tell which members hear each other, as this node sees it. Answered by
    /// [`Reply::Links`](crate::Reply::Links).
    Links,
    /// Tell why a child runs where it runs, as this node sees it.
    Explain {
        /// The supervisor.
        scope: Scope,
        /// The child.
        child: ChildId,
    },
    /// Tell which children run elsewhere than they belong, as this node sees it. Nothing moves by
    /// that.
    PlanMoves {
        /// The supervisor.
        scope: Scope,
        /// A node to be thought of as having left.
        without: Option<NodeId>,
    },
    /// Leave the children of a supervisor where they run, on all nodes, or let them move again.
    PauseMoves {
        /// The supervisor.
        scope: Scope,
        /// Whether they stay.
        is_paused: bool,
    },
    /// End a child for good.
    Terminate {
        /// The supervisor.
        scope: Scope,
        /// The child.
        child: ChildId,
    },
    /// Number a process of this node that no supervisor looks after.
    Spawn {
        /// What a user's conflict rule goes by, for life.
        precedence: Precedence,
    },
    /// Give a process a name.
    Register {
        /// The registry.
        scope: Scope,
        /// The name.
        name: Name,
        /// The process, on any node.
        process: ProcessId,
        /// Bytes stored beside the name.
        value: Blob,
        /// How many members must hold the entry before the answer.
        replicas: Replicas,
    },
    /// Take a name from the process that holds it.
    Unregister {
        /// The registry.
        scope: Scope,
        /// The name.
        name: Name,
        /// The process, which must be the holder.
        process: ProcessId,
    },
    /// Replace the value beside a name, if it still is what the user saw.
    Update {
        /// The registry.
        scope: Scope,
        /// The name.
        name: Name,
        /// The process, which must be the holder.
        process: ProcessId,
        /// The value that the user saw.
        expected: Blob,
        /// The value to put in its place.
        value: Blob,
    },
    /// Make a process a member of a group, or replace the metadata of one that is.
    JoinGroup {
        /// The set of groups.
        scope: Scope,
        /// The group.
        group: Name,
        /// The process, on any node.
        process: ProcessId,
        /// Bytes kept beside the membership.
        metadata: Blob,
    },
    /// End the membership of a process in a group.
    LeaveGroup {
        /// The set of groups.
        scope: Scope,
        /// The group.
        group: Name,
        /// The process, which must be a member.
        process: ProcessId,
    },
    /// Bring a message to all members of a group.
    Publish {
        /// The set of groups.
        scope: Scope,
        /// The group.
        group: Name,
        /// The message.
        payload: Blob,
    },
    /// Bring a message to a process and wait for its reply.
    Call {
        /// Whom to call.
        target: Target,
        /// The message.
        payload: Blob,
    },
    /// Bring a message to a process.
    Send {
        /// Whom to tell.
        target: Target,
        /// The message.
        payload: Blob,
    },
    /// Wait until this node has seen what a token speaks of.
    CatchUp {
        /// The token.
        token: CausalToken,
    },
    /// Hand all children over and leave the cluster for good.
    Leave,
    /// Wait until more than half of the members are up and ready, as this node sees it: of those on
    /// the list of members, or of all that count and are not forgotten if there is none.
    AwaitQuorum,
    /// Wait until the whole cluster is at rest.
    Settled,
    /// Put something beside the names of a registry, or delete it there.
    WriteMeta {
        /// The registry.
        scope: Scope,
        /// What it is kept under.
        key: Name,
        /// What to keep; `None` deletes.
        value: Option<Blob>,
        /// How many members must hold the entry before the answer.
        replicas: Replicas,
    },
    /// Say which nodes may be members; those that are and may not leave.
    SetMembers {
        /// Which; `None` lets anybody be one.
        members: Option<BTreeSet<NodeId>>,
        /// How many members must hold the list before the answer.
        replicas: Replicas,
    },
    /// Let a member go: it leaves, if it is not down. It may come back in a later life.
    Evict {
        /// Which.
        node: NodeId,
        /// Whether it is over at once, whatever it does.
        at_once: bool,
    },
}

/// How many members must hold an entry before its writer is answered.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub enum Replicas {
    /// This node alone.
    #[default]
    One,
    /// This node and one more.
    Two,
    /// More than half of all members that count ([`Role`](crate::Role)) and are not forgotten.
    Majority,
    /// All members that count and are not forgotten.
    All,
}

impl Replicas {
    /// The members behind [`Replicas::Two`].
    pub(crate) const TWO: usize = 2;
}

/// Whom a message is for.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub enum Target {
    /// One run of a process.
    Process(ProcessId),
    /// Whoever holds a name.
    Name(Scope, Name),
    /// Whichever process runs a child.
    Child(Scope, ChildId),
}

/// What happens to a process of this node.
///
/// Every [`Output::Start`](crate::Output::Start) is followed by exactly one of `Started`,
/// `StartFailed` and `Ignored`, or by `Stopped` if it was stopped before; after `Started` comes
/// exactly one of `Exited` and `Stopped`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum ProcessEvent {
    /// It runs.
    Started,
    /// It did not start, and nothing of it is left.
    StartFailed {
        /// What its start function said, or that it panicked or ran out of time.
        reason: String,
    },
    /// Its start function says that there is nothing to run: its child ends, whatever its restart
    /// type.
    Ignored,
    /// It ended by itself.
    Exited {
        /// `None` if it ended as it should, else what went wrong.
        failure: Option<String>,
    },
    /// It ended because it was told to, or was stopped by force after its grace.
    Stopped {
        /// What it left behind.
        state: Option<Blob>,
    },
}

/// A call to a process of this node, as the node numbers it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct CallId(pub u64);
