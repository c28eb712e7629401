//! What a node asks of the outside world.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::message::Envelope;
use crate::node::event::Event;
use crate::node::input::CallId;
use crate::node::launch::{Lease, Start};
use crate::placement::{MovePlan, Weight};
use crate::{
    Address, Blob, CallError, CatchUpError, CausalToken, ChangeVotersError, ChildId, Electorate,
    EvictError, ExplainError, Explanation, FencingToken, Incarnation, JoinGroupError, Labels,
    LeaveError, LeaveGroupError, LinksView, Name, NodeId, PauseMovesError, ProcessId, PublishError,
    Quarantined, QuorumError, QuorumView, Rank, RegisterError, ReleaseError, RestartChildError,
    Role, Scope, SetMembersError, SettleError, Stamp, StartChildError, TerminateError, Time,
    UnregisterError, UpdateError, VoterRecord, WriteMetaError,
};

/// Everything a [`Node`](crate::Node) can ask of the outside world, in the order it must be done.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[must_use]
pub enum Output {
    /// Send `envelope` to `to`; it may be lost or repeated, never altered.
    Send {
        /// The peer to send to.
        to: NodeId,
        /// What to say.
        envelope: Envelope,
    },
    /// Try to have a session with whoever listens at `address`, until there is one.
    Dial {
        /// Where to try.
        address: Address,
    },
    /// Stop dialling `address`.
    HangUp {
        /// Where it was tried.
        address: Address,
    },
    /// End the session with `peer`: nothing it says can be believed.
    Disconnect {
        /// The peer.
        peer: NodeId,
    },
    /// Start a process.
    Start(Start),
    /// Stop a process: tell it why, wait for up to `grace`, then stop it by force.
    Stop {
        /// Its number.
        number: u64,
        /// Why.
        reason: StopReason,
        /// How long it may take.
        grace: Duration,
    },
    /// Let every process that was started under a lease go on, or holds a name under one, but for
    /// some. A lease that has ended stays so.
    Renew {
        /// Until when, by the clock that inputs are timed by.
        until: Time,
        /// The numbers of those that run until they were told last.
        but: Vec<u64>,
    },
    /// Store this in place of what was stored last, for [`Config::voter_store`](crate::Config) of
    /// the next node of this name; then say so by [`Input::Persisted`](crate::Input::Persisted).
    Persist {
        /// Tells it from the others.
        number: u64,
        /// What to store.
        record: VoterRecord,
    },
    /// A process holds a name under a lease from now on, or no longer does. It is renewed together
    /// with those that processes were started under, in [`Output::Renew`].
    ///
    /// Whoever runs the process must tell it [`StopReason::NameLapsed`] before it is polled once
    /// the clock that inputs are timed by shows the end of the lease, unless it was told since.
    Hold {
        /// Its number.
        number: u64,
        /// The registry.
        scope: Scope,
        /// The name.
        name: Name,
        /// The lease; `None` if the name was given back.
        lease: Option<Lease>,
    },
    /// Hand the state of the loser of a conflict to the process that won.
    Absorb {
        /// The number of the winner.
        number: u64,
        /// What the loser left behind.
        state: Blob,
    },
    /// Put a message into the mailbox of a process.
    Deliver {
        /// Its number.
        number: u64,
        /// The message.
        payload: Blob,
        /// Whom to answer, through [`Input::Answer`](crate::Input::Answer); `None` if nobody waits.
        call: Option<CallId>,
    },
    /// Answer a request.
    Reply {
        /// The request's ticket.
        ticket: u64,
        /// The answer.
        reply: Reply,
    },
    /// Change what readers see.
    View(ViewChange),
    /// Tell whoever listens what happened.
    Event(Event),
    /// The node is over: stop every process of it and feed it nothing more.
    Exit(ExitReason),
}

/// Why a process is told to stop.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum StopReason {
    /// Its child was terminated.
    Terminated,
    /// The node leaves; the child goes on elsewhere.
    Leaving,
    /// Somebody asked that another process of the child take its place here.
    Restarting,
    /// The child belongs to another node since members came, and goes on there.
    Moving,
    /// A child that belongs to it is in quarantine, which counts as its failure: another process
    /// takes its place after a while.
    Escalated,
    /// Another process has what it claims; its state is handed to the winner.
    Conflict(NameConflict),
    /// The node is over.
    NodeDown,
    /// The lease has ended that it ran under: it is over already, and is not asked for anything.
    Lapsed,
    /// The lease has ended under which it held a name: another process may have that by now.
    NameLapsed,
    /// The node sees too few members to run it ([`Mode`](crate::Mode)), and its child goes on
    /// elsewhere, or here once there is a quorum; or too few to have it hold a name, which another
    /// process may have by now.
    NoQuorum,
}

/// What the loser of a conflict is told.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct NameConflict {
    /// The registry, or the supervisor where both run one child.
    pub scope: Scope,
    /// The name, unless both run one child without a name.
    pub name: Option<Name>,
    /// The process that won.
    pub winner: ProcessId,
}

/// The answer to a request.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Command::Start`](crate::Command::Start),
    /// [`Command::StartOnce`](crate::Command::StartOnce) or
    /// [`Command::Ensure`](crate::Command::Ensure).
    Start(Result<StartedChild, StartChildError>),
    /// To [`Command::Restart`](crate::Command::Restart): the process that runs the child now.
    Restart(Result<ProcessId, RestartChildError>),
    /// To [`Command::Release`](crate::Command::Release).
    Release(Result<(), ReleaseError>),
    /// To [`Command::Quarantined`](crate::Command::Quarantined), in the order of the children.
    Quarantined(Vec<Quarantined>),
    /// To [`Command::Quorum`](crate::Command::Quorum).
    Quorum(QuorumView),
    /// To [`Command::ChangeVoters`](crate::Command::ChangeVoters): the voters from then on.
    ChangeVoters(Result<Electorate, ChangeVotersError>),
    /// To [`Command::Links`](crate::Command::Links).
    Links(LinksView),
    /// To [`Command::Explain`](crate::Command::Explain).
    Explain(Result<Explanation, ExplainError>),
    /// To [`Command::PlanMoves`](crate::Command::PlanMoves).
    PlanMoves(MovePlan),
    /// To [`Command::PauseMoves`](crate::Command::PauseMoves): this node has written it down.
    PauseMoves(Result<(), PauseMovesError>),
    /// To [`Command::AwaitQuorum`](crate::Command::AwaitQuorum).
    AwaitQuorum(Result<(), QuorumError>),
    /// To [`Command::Terminate`](crate::Command::Terminate).
    Terminate(Result<(), TerminateError>),
    /// To [`Command::Spawn`](crate::Command::Spawn).
    Spawn(ProcessId),
    /// To [`Command::Register`](crate::Command::Register).
    Register(Result<CausalToken, RegisterError>),
    /// To [`Command::Unregister`](crate::Command::Unregister).
    Unregister(Result<(), UnregisterError>),
    /// To [`Command::Call`](crate::Command::Call).
    Call(Result<Blob, CallError>),
    /// To [`Command::Send`](crate::Command::Send).
    Send(Result<(), CallError>),
    /// To [`Command::CatchUp`](crate::Command::CatchUp).
    CatchUp(Result<(), CatchUpError>),
    /// To [`Command::Leave`](crate::Command::Leave).
    Leave(Result<(), LeaveError>),
    /// To [`Command::Settled`](crate::Command::Settled).
    Settled(Result<(), SettleError>),
    /// To [`Command::Update`](crate::Command::Update).
    Update(Result<Updated, UpdateError>),
    /// To [`Command::JoinGroup`](crate::Command::JoinGroup).
    JoinGroup(Result<(), JoinGroupError>),
    /// To [`Command::LeaveGroup`](crate::Command::LeaveGroup).
    LeaveGroup(Result<(), LeaveGroupError>),
    /// To [`Command::Publish`](crate::Command::Publish).
    Publish(Result<Published, PublishError>),
    /// To [`Command::WriteMeta`](crate::Command::WriteMeta).
    WriteMeta(Result<CausalToken, WriteMetaError>),
    /// To [`Command::SetMembers`](crate::Command::SetMembers).
    SetMembers(Result<CausalToken, SetMembersError>),
    /// To [`Command::Evict`](crate::Command::Evict).
    Evict(Result<(), EvictError>),
}

/// What came of an attempt to replace a value.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Updated {
    /// The new value stands.
    Done,
    /// The value is not what the user saw, and was left as it is; try again from this one.
    Changed {
        /// The present value.
        value: Blob,
    },
}

/// How far a message to a group went from here.
///
/// It says where the message was *sent*: a session that breaks, a full mailbox, or a member that
/// ended or left in the meantime may still keep it from one. Members that joined too lately to be
/// known here get it as well, if their node has others that are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// The nodes that it was sent to, with this one if members run here.
    pub nodes: usize,
    /// The members on those nodes, as far as this node knows.
    pub members: usize,
    /// The members that it was not sent to: no session with their nodes is up.
    pub unreachable: usize,
}

/// A child that runs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct StartedChild {
    /// The child, for life.
    pub child: ChildId,
    /// The process that runs it now.
    pub process: ProcessId,
    /// Whether a second live member held the child's specification at the answer; if not, the
    /// death of this node alone can lose it.
    pub replicated: bool,
    /// Whether it was there before; else this request started it.
    pub found: bool,
    /// Demands of another node that it has seen the child, and that it runs.
    pub token: CausalToken,
}

/// A change of what readers see.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum ViewChange {
    /// A member is new or changed; `None` if it is gone.
    Member {
        /// Whose view it is.
        node: NodeId,
        /// What is known of it.
        view: Option<MemberView>,
    },
    /// A name has a holder, or has none any more.
    Name {
        /// The registry.
        scope: Scope,
        /// The name.
        name: Name,
        /// Who holds it.
        holder: Option<Holder>,
        /// How the process lost it that held it before; `None` if none did, or the same holds it.
        loss: Option<Loss>,
    },
    /// A process is a member of a group, with such metadata, or is none any more.
    Group {
        /// The set of groups.
        scope: Scope,
        /// The group.
        group: Name,
        /// The process.
        process: ProcessId,
        /// Bytes kept beside its membership; `None` if it is no member.
        metadata: Option<Blob>,
    },
    /// A child is new or changed; `None` if it has ended.
    Child {
        /// The supervisor.
        scope: Scope,
        /// The child.
        child: ChildId,
        /// What is known of it.
        view: Option<ChildView>,
    },
    /// Something that is kept beside the names of a registry is new or changed.
    Meta {
        /// The registry.
        scope: Scope,
        /// What it is kept under.
        key: Name,
        /// What is kept; `None` if nothing is any more.
        value: Option<Blob>,
    },
    /// Other nodes may be members from now on.
    MemberList {
        /// Which; `None` if anybody may.
        listed: Option<BTreeSet<NodeId>>,
    },
}

/// How a process came to lose a name, as far as the journals say.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Loss {
    /// It was unregistered.
    Unregistered,
    /// Its process ended or starts anew, or has moved with its child; or nothing is left that says
    /// more, since its journal was read too late.
    Ended,
    /// The conflict rule gave it to another.
    Conflict,
    /// Its node is down or has left, or lives anew.
    NodeLost,
    /// The lease ended under which it held the name, or its child ran that has the name.
    Lapsed,
    /// Its node sees too few members to run its child, or to have it hold the name.
    NoQuorum,
}

/// A member as readers see it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct MemberView {
    /// Its present life.
    pub incarnation: Incarnation,
    /// Where it listens, once it said so.
    pub address: Option<Address>,
    /// How it is.
    pub status: MemberStatus,
    /// What it does for the cluster.
    pub role: Role,
    /// The kinds of processes it can run; none if its role is to run none.
    pub kinds: Vec<String>,
    /// What its operator says of it.
    pub labels: Labels,
    /// Whether it runs as many children as it may ([`Config::max_children`](crate::Config)).
    pub is_full: bool,
    /// How many children it takes, beside others ([`Config::weight`](crate::Config)).
    pub weight: Weight,
    /// When its present life joined, by its hybrid clock, once it said so: after all that had
    /// welcomed it. The lower, the older ([`Quorum::KeepOldest`](crate::Quorum::KeepOldest)).
    pub joined: Option<Stamp>,
}

/// How a member is, in the judgement of this node.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum MemberStatus {
    /// It beats.
    Alive,
    /// It has been silent for half of the failure timeout.
    Suspect,
    /// It has been silent for the whole failure timeout: its names are hidden, its children taken
    /// over.
    Down,
    /// It hands its children over and will leave.
    Leaving,
    /// It has a place in the cluster, takes in what the others know, and takes on nothing yet.
    Joining,
}

/// Who holds a name.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    /// The process.
    pub process: ProcessId,
    /// The child that it runs, if it was started with the name.
    pub child: Option<ChildId>,
    /// Bytes stored beside the name.
    pub value: Blob,
    /// What a store may tell it from earlier holders by, if it holds the name under a lease.
    pub token: Option<FencingToken>,
}

/// A child as readers see it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ChildView {
    /// What it runs.
    pub kind: String,
    /// The name it was started with.
    pub name: Option<Name>,
    /// The process that runs it; `None` between two runs.
    pub process: Option<ProcessId>,
    /// The child that it belongs to.
    pub parent: Option<ChildId>,
}

/// How a conflict was decided, with what it was decided by.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Conflict {
    /// The registry, or the supervisor where both run one child.
    pub scope: Scope,
    /// The name, unless both run one child.
    pub name: Option<Name>,
    /// The child that both run, unless it is about a name.
    pub child: Option<ChildId>,
    /// The name and version of the rule.
    pub rule: String,
    /// The process that goes on, with all that the rule goes by.
    pub winner: Rank,
    /// The process that stops.
    pub loser: Rank,
}

/// Why a node is over.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum ExitReason {
    /// It was asked to leave, and has left.
    Left,
    /// A later life of the same name beats: two machines run under one name.
    Superseded {
        /// The later life.
        by: Incarnation,
    },
    /// An operator evicted it. Started again it may join.
    Evicted,
    /// It is not on the list of members that an operator set.
    NotListed,
    /// Children failed on it again and again that run elsewhere, and it was to leave then
    /// ([`Config::escalation`](crate::Config::escalation)).
    Unfit {
        /// How many.
        children: usize,
    },
}
