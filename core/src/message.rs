//! What nodes say to each other.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::crdt::{Delta, Version};
use crate::transport::Lane;
use crate::{
    Address, Blob, ChildId, Incarnation, Name, NodeId, Occupant, Replica, ReplicaKey, Scope, Stamp,
    Terms, Time, Wall,
};

pub use crate::electorate::{Accepted, Ballot, Electorate, Proposal, Vote, VoteAnswer};

/// A message and the life of the node that sent it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// The sender's life, or [`Incarnation::NONE`] before it joined.
    pub incarnation: Incarnation,
    /// The sender's beat counter.
    pub beat: u64,
    /// What it says.
    pub message: Message,
}

/// Everything that nodes say. Append only: the place of a variant is its number on the wire.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Message {
    /// Compares clocks and rules, in both directions, before anything else is believed.
    Hello(Hello),
    /// Asks for what a new life of the sender must know; repeated until answered.
    Join,
    /// Answers [`Message::Join`].
    Welcome(Welcome),
    /// Says who was heard of, how long ago.
    Beat(Beat),
    /// Says what the sender holds of every journal.
    Digest(Digest),
    /// Asks for a journal from a version on.
    Need(Need),
    /// Brings a part of a journal.
    Delta(Delta),
    /// Says what has arrived.
    Ack(Ack),
    /// Tells a process that it lost a conflict.
    Won(Won),
    /// Hands the state of the loser to the winner.
    Yield(Yield),
    /// Asks for a change that only the receiver can make.
    Forward(Forward),
    /// Answers [`Message::Forward`].
    Forwarded(Forwarded),
    /// Brings a message for a process, whose sender waits for a reply.
    Call(Call),
    /// Answers [`Message::Call`].
    Reply(CallReply),
    /// Brings a message for a process, with nobody waiting.
    Cast(Cast),
    /// Asks whether the receiver is at rest.
    Probe(Probe),
    /// Answers [`Message::Probe`].
    Condition(Condition),
    /// Brings a message for the members of a group that run on the receiver.
    Publish(Publish),
    /// Tells the receiver that it is no member.
    Excluded(Excluded),
    /// Asks a voter for all that the sender claims in its journal.
    LeaseRequest(LeaseRequest),
    /// Answers [`Message::LeaseRequest`].
    LeaseReply(LeaseReply),
    /// Says by which voters the sender goes.
    Electorate(Electorate),
    /// Asks a voter for its word on other voters.
    Proposal(Proposal),
    /// Answers [`Message::Proposal`].
    Vote(Vote),
}

impl Message {
    /// Returns the queue the message waits in.
    pub fn lane(&self) -> Lane {
        match self {
            Self::Hello(_)
            | Self::Join
            | Self::Welcome(_)
            | Self::Beat(_)
            | Self::Ack(_)
            | Self::Excluded(_)
            | Self::LeaseRequest(_)
            | Self::LeaseReply(_)
            | Self::Electorate(_)
            | Self::Proposal(_)
            | Self::Vote(_) => Lane::Control,
            Self::Won(_)
            | Self::Digest(_)
            | Self::Need(_)
            | Self::Delta(_)
            | Self::Yield(_)
            | Self::Forward(_)
            | Self::Forwarded(_)
            | Self::Call(_)
            | Self::Reply(_)
            | Self::Cast(_)
            | Self::Probe(_)
            | Self::Condition(_)
            | Self::Publish(_) => Lane::Bulk,
        }
    }
}

/// A comparison of clocks, of rules, and of how children are placed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The sender's monotonic clock, meaningful to nobody else; comes back in `echo`.
    pub sent: Time,
    /// The sender's wall clock.
    pub wall: Wall,
    /// The conflict rule the sender goes by, with its version: `oldest/1`.
    pub rule: String,
    /// `sent` of the greeting that this one answers.
    pub echo: Option<Time>,
    /// The version of the ring that the sender places children by
    /// ([`Ring::VERSION`](crate::placement::Ring::VERSION)).
    pub ring: u16,
    /// By which voters and which modes the sender goes.
    pub terms: Terms,
}

/// A request for leases on all that the sender claims in its journal: what is held is held until a
/// lease's length after the request was sent, by the sender's own clock.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct LeaseRequest {
    /// The epoch of the voters that the sender knows.
    pub epoch: u64,
    /// Tells this request from the others of the sender's life.
    pub attempt: u64,
}

/// What a voter answers to a request for leases.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct LeaseReply {
    /// The life that asked: another one of its node may count its requests alike.
    pub session: ReplicaKey,
    /// The epoch of the voters that the sender knows.
    pub epoch: u64,
    /// The request.
    pub attempt: u64,
    /// Which part of the answer this is, from 0 on; it counts once all have come.
    pub part: u32,
    /// How many parts there are, 1 to 64.
    pub parts: u32,
    /// The voter has promised all that is claimed up to there, but for what it refuses.
    pub have: Version,
    /// What it has not promised.
    pub refused: Vec<Unpromised>,
    /// For how many milliseconds it promises nothing at all: it has started lately.
    pub abstains_ms: u64,
}

/// A claim that a voter does not promise.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Unpromised {
    /// The supervisor.
    pub scope: Scope,
    /// The child.
    pub child: ChildId,
    /// For how many milliseconds it is promised to another; 0 if it is not, and the claim was made
    /// before one that was granted since.
    pub remaining_ms: u64,
    /// The highest ballot that it was promised for.
    pub ballot: u64,
}

/// What a new life of a node must know before it publishes anything.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The highest counter of an incarnation that is known for the joiner's name, or 0. To who has
    /// joined already: the highest one that is not taken in any more.
    pub counter: u64,
    /// The sender's hybrid clock.
    pub stamp: Stamp,
    /// Where the other members listen.
    pub members: Vec<(NodeId, Address)>,
}

/// Why the receiver is no member.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Excluded {
    /// It asked to join and is not on the list of members.
    NotListed,
    /// An operator evicted its lives up to this one, at once.
    Evicted(Incarnation),
    /// Its life, this one, was given up, and it is not on the list of members.
    Delisted(Incarnation),
}

/// A heartbeat: how the sender hears of everyone, itself first.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Beat {
    /// One pulse for each replica that the sender has not forgotten.
    pub pulses: Vec<Pulse>,
}

/// How one node hears of one replica.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Pulse {
    /// Whose pulse it is.
    pub replica: ReplicaKey,
    /// The highest beat counter of it that the sender knows, by any path.
    pub counter: u64,
    /// How long ago the counter last rose at the sender, in milliseconds.
    pub age_ms: u64,
    /// The closed head of the sender's copy of its journal.
    pub head: Version,
    /// How the sender's own session with it is.
    pub link: Link,
    /// For how long no frame of its node has reached the sender on a session of their own, in
    /// milliseconds; if none ever has, since the sender learned of it.
    pub silent_ms: u64,
}

/// How a node's own session with another is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum Link {
    /// A session is up, or this is the sender itself.
    Open,
    /// There is no session.
    Closed,
    /// There is no session, and the last attempt to dial was refused: nobody listens.
    Refused,
}

/// What a node holds of every journal.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Digest {
    /// One row for each replica that the sender remembers.
    pub rows: Vec<DigestRow>,
    /// Whether the sender wants the receiver's digest in return.
    pub answer: bool,
}

/// What a node holds of one journal.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct DigestRow {
    /// The journal's only writer.
    pub replica: Replica,
    /// The closed head of the copy.
    pub head: Version,
    /// The fingerprint of the live entries at that head.
    pub fingerprint: u64,
    /// Below this version the copy lacks tombstones.
    pub floor: Version,
    /// How long nothing was heard of the replica, in milliseconds, summed over relays.
    pub silence_ms: u64,
}

/// A request for a part of a journal.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Need {
    /// The journal's only writer.
    pub replica: Replica,
    /// The sender has everything up to here.
    pub from: Version,
}

/// What has arrived at the sender.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Ack {
    /// Closed heads of copies that moved.
    pub heads: Vec<(ReplicaKey, Version)>,
}

/// What only one process can have: to be a child, or to hold a name.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum Seat {
    /// To run a child of a supervisor.
    Child(Scope, ChildId),
    /// To hold a name of a registry.
    Name(Scope, Name),
}

/// The notice of the winner of a conflict to the loser.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Won {
    /// What both claim.
    pub seat: Seat,
    /// The number of the winning process, which runs on the sender.
    pub winner: u64,
    /// The number of the losing process, which runs on the receiver.
    pub loser: u64,
}

/// The loser's state, for the winner to absorb; repeated until an entry of the winner says so.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Yield {
    /// What both claim.
    pub seat: Seat,
    /// The number of the winning process, which runs on the receiver.
    pub winner: u64,
    /// The number of the losing process, frozen on the sender.
    pub loser: u64,
    /// Which freeze of the loser this is; a resumed loser may freeze again.
    pub round: u64,
    /// What the loser left behind, if anything.
    pub state: Option<Blob>,
}

/// A request for a change that only the receiver can make.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Forward {
    /// The sender's number for the request.
    pub id: u64,
    /// The change.
    pub operation: Operation,
}

/// A change to a journal that the receiver of a request does not own.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Operation {
    /// Give a process of the receiver one more name.
    Register {
        /// The registry.
        scope: Scope,
        /// The name.
        name: Name,
        /// The process.
        number: u64,
        /// Bytes stored beside the name.
        value: Blob,
    },
    /// Take a name from a process of the receiver.
    Unregister {
        /// The registry.
        scope: Scope,
        /// The name.
        name: Name,
        /// The process.
        number: u64,
    },
    /// Replace the value beside a name of a process of the receiver.
    Update {
        /// The registry.
        scope: Scope,
        /// The name.
        name: Name,
        /// The process.
        number: u64,
        /// The value to be replaced.
        expected: Blob,
        /// The value to put in its place.
        value: Blob,
    },
    /// Make a process of the receiver a member of a group.
    JoinGroup {
        /// The set of groups.
        scope: Scope,
        /// The group.
        group: Name,
        /// The process.
        number: u64,
        /// Bytes kept beside the membership.
        metadata: Blob,
    },
    /// End the membership of a process of the receiver.
    LeaveGroup {
        /// The set of groups.
        scope: Scope,
        /// The group.
        group: Name,
        /// The process.
        number: u64,
    },
    /// Stop the process of a child of the receiver and start another in its place; answered as soon
    /// as it is told.
    RestartChild {
        /// The supervisor.
        scope: Scope,
        /// The child.
        child: ChildId,
    },
}

/// The answer to a [`Forward`].
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Forwarded {
    /// The number of the request.
    pub id: u64,
    /// The version at which the change stands in the sender's journal, or why it was refused.
    pub result: Result<Version, Refusal>,
}

/// Why a forwarded change was refused.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Refusal {
    /// No such process runs here.
    NoProcess,
    /// Somebody else has the name.
    NameTaken {
        /// Who.
        holder: Occupant,
    },
    /// The process does not hold the name, or is no member of the group.
    NotHolder,
    /// The value beside the name is another than the asker saw.
    Changed {
        /// The present one.
        value: Blob,
    },
}

/// A message for a process, whose sender waits for a reply.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The sender's number for the call.
    pub id: u64,
    /// The process, which runs on the receiver.
    pub number: u64,
    /// How long the sender still waits, in milliseconds; later nobody wants the reply.
    pub remaining_ms: u64,
    /// The message.
    pub payload: Blob,
}

/// The reply of a process.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct CallReply {
    /// The number of the call.
    pub id: u64,
    /// The reply, or why there is none.
    pub result: Result<Blob, CallFailure>,
}

/// Why a process did not reply.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum CallFailure {
    /// No such process runs on the node; the message was not delivered.
    NoProcess,
    /// The mailbox is full; the message was not delivered.
    Overloaded,
    /// The process ended before it replied; the message may have been handled.
    Ended,
    /// The message was not one that the process understands.
    Malformed,
}

/// A message for a process, with nobody waiting.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Cast {
    /// The process, which runs on the receiver.
    pub number: u64,
    /// The message.
    pub payload: Blob,
}

/// A message for the members of a group, with nobody waiting.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Publish {
    /// The set of groups.
    pub scope: Scope,
    /// The group, of which the receiver finds its own members.
    pub group: Name,
    /// The message.
    pub payload: Blob,
}

/// A question whether the receiver is at rest.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The sender's number for the question.
    pub id: u64,
}

/// The answer to a [`Probe`].
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// The number of the question.
    pub id: u64,
    /// The hash of the live members with their heads and fingerprints; equal on nodes that agree.
    pub view: u64,
    /// What is still under way on the node: starts, stops, conflicts, changes not yet everywhere.
    pub pending: u64,
}
