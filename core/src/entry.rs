//! What the journals of a node hold: keys and entries with their meaning.
//!
//! An entry is of the *node* (a name, a claim: gone with its process) or of the *cluster* (a
//! specification, an end: it outlives the node that wrote it, by adoption). Keys start with a class
//! byte and entries with a format byte; what a node does not understand it keeps and relays.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::crdt::{Dot, Write};
use crate::hash::hash128;
use crate::membership::MemberEntry;
use crate::rank::{Origin, Rank};
use crate::{
    Blob, ChildId, ChildSpec, Incarnation, Loss, Name, NodeId, Outcome, Precedence, ProcessId,
    Replica, ReplicaKey, Scope, Stamp, wire,
};

/// The format of the entries that we write.
const FORMAT: u8 = 1;

/// The bytes of a supervisor and a child in a key.
const CHILD_BYTES: usize = 8 + 16;

/// What an entry is about.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Key {
    /// The node itself.
    Member,
    /// A name that a process of the node was given.
    Name(Scope, Name),
    /// A child that the node runs.
    Claim(Scope, ChildId),
    /// A child that was accepted.
    Spec(Scope, ChildId),
    /// A child that ended for good.
    Ended(Scope, ChildId),
    /// A process whose state a process of the node took in.
    Absorbed(ReplicaKey, u64),
    /// A group that a process of the node is a member of, and the number of the process.
    Group(Scope, Name, u64),
    /// Something that any member may write, and which write of it.
    Cell(CellKey, Dot),
    /// A child that the node has chosen a member for.
    Assigned(Scope, ChildId),
    /// A name that a process of the node holds under a lease, or asks for.
    Leased(Scope, Name),
}

/// What any member may write.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub(crate) enum CellKey {
    /// Something that is kept beside the names of a registry.
    Meta(Scope, Name),
    /// Which nodes may be members.
    Members,
    /// Which lives of a node are to be members no more.
    Evicted(NodeId),
    /// A child that a node has given up.
    GivenUp(Scope, ChildId, NodeId),
    /// Whether the children of a supervisor stay where they run for now.
    MovesPaused(Scope),
}

impl CellKey {
    /// Returns the registry that it belongs to, if it belongs to one.
    pub(crate) fn scope(&self) -> Option<Scope> {
        match self {
            Self::Meta(scope, _) => Some(*scope),
            Self::Members | Self::Evicted(_) | Self::GivenUp(..) | Self::MovesPaused(_) => None,
        }
    }
}

impl Key {
    /// Returns the key as bytes.
    pub(crate) fn encode(&self) -> Blob {
        let mut bytes = Vec::with_capacity(32);
        match self {
            Self::Member => bytes.push(0),
            Self::Name(scope, name) => {
                bytes.push(1);
                bytes.extend_from_slice(&scope.to_bytes());
                bytes.extend_from_slice(name.as_bytes());
            }
            Self::Claim(scope, child) => push_child(&mut bytes, 2, *scope, *child),
            Self::Spec(scope, child) => push_child(&mut bytes, 3, *scope, *child),
            Self::Ended(scope, child) => push_child(&mut bytes, 4, *scope, *child),
            Self::Absorbed(replica, number) => {
                bytes.push(5);
                bytes.extend_from_slice(&replica.0.to_be_bytes());
                bytes.extend_from_slice(&number.to_be_bytes());
            }
            Self::Group(scope, group, number) => {
                bytes.push(6);
                bytes.extend_from_slice(&scope.to_bytes());
                bytes.extend_from_slice(&number.to_be_bytes());
                bytes.extend_from_slice(group.as_bytes());
            }
            Self::Cell(CellKey::Meta(scope, name), dot) => {
                bytes.push(7);
                bytes.extend_from_slice(&scope.to_bytes());
                push_dot(&mut bytes, *dot);
                bytes.extend_from_slice(name.as_bytes());
            }
            Self::Cell(CellKey::Members, dot) => {
                bytes.push(8);
                push_dot(&mut bytes, *dot);
            }
            Self::Cell(CellKey::Evicted(node), dot) => {
                bytes.push(9);
                push_dot(&mut bytes, *dot);
                bytes.extend_from_slice(node.as_str().as_bytes());
            }
            Self::Cell(CellKey::GivenUp(scope, child, node), dot) => {
                push_child(&mut bytes, 10, *scope, *child);
                push_dot(&mut bytes, *dot);
                bytes.extend_from_slice(node.as_str().as_bytes());
            }
            Self::Assigned(scope, child) => push_child(&mut bytes, 11, *scope, *child),
            Self::Leased(scope, name) => {
                bytes.push(13);
                bytes.extend_from_slice(&scope.to_bytes());
                bytes.extend_from_slice(name.as_bytes());
            }
            Self::Cell(CellKey::MovesPaused(scope), dot) => {
                bytes.push(12);
                bytes.extend_from_slice(&scope.to_bytes());
                push_dot(&mut bytes, *dot);
            }
        }
        Blob::from(bytes)
    }

    /// Returns the key that `bytes` are, or `None` if they are none that we know.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&class, rest) = bytes.split_first()?;
        match class {
            0 if rest.is_empty() => Some(Self::Member),
            1 => {
                let (scope, name) = rest.split_first_chunk()?;
                Some(Self::Name(Scope::from_bytes(*scope), Name::new(name).ok()?))
            }
            2 => split_child(rest).map(|(scope, child)| Self::Claim(scope, child)),
            3 => split_child(rest).map(|(scope, child)| Self::Spec(scope, child)),
            4 => split_child(rest).map(|(scope, child)| Self::Ended(scope, child)),
            5 => {
                let (replica, number) = rest.split_first_chunk()?;
                let number = u64::from_be_bytes(number.try_into().ok()?);
                Some(Self::Absorbed(ReplicaKey(u64::from_be_bytes(*replica)), number))
            }
            6 => {
                let (scope, rest) = rest.split_first_chunk()?;
                let (number, group) = rest.split_first_chunk()?;
                let (scope, number) = (Scope::from_bytes(*scope), u64::from_be_bytes(*number));
                Some(Self::Group(scope, Name::new(group).ok()?, number))
            }
            7 => {
                let (scope, rest) = rest.split_first_chunk()?;
                let (dot, name) = split_dot(rest)?;
                let (scope, name) = (Scope::from_bytes(*scope), Name::new(name).ok()?);
                Some(Self::Cell(CellKey::Meta(scope, name), dot))
            }
            8 => {
                let (dot, rest) = split_dot(rest)?;
                rest.is_empty().then_some(Self::Cell(CellKey::Members, dot))
            }
            9 => {
                let (dot, node) = split_dot(rest)?;
                let node = NodeId::new(core::str::from_utf8(node).ok()?).ok()?;
                Some(Self::Cell(CellKey::Evicted(node), dot))
            }
            10 => {
                let (child, rest) = rest.split_at_checked(CHILD_BYTES)?;
                let (scope, child) = split_child(child)?;
                let (dot, node) = split_dot(rest)?;
                let node = NodeId::new(core::str::from_utf8(node).ok()?).ok()?;
                Some(Self::Cell(CellKey::GivenUp(scope, child, node), dot))
            }
            11 => split_child(rest).map(|(scope, child)| Self::Assigned(scope, child)),
            12 => {
                let (scope, rest) = rest.split_first_chunk()?;
                let (dot, rest) = split_dot(rest)?;
                let cell = CellKey::MovesPaused(Scope::from_bytes(*scope));
                rest.is_empty().then_some(Self::Cell(cell, dot))
            }
            13 => {
                let (scope, name) = rest.split_first_chunk()?;
                Some(Self::Leased(Scope::from_bytes(*scope), Name::new(name).ok()?))
            }
            _ => None,
        }
    }

    /// Returns whether `bytes` are the key of an entry that outlives the node that wrote it, by the
    /// first of them.
    pub(crate) fn is_of_cluster_in(bytes: &[u8]) -> bool {
        matches!(bytes.first(), Some(3 | 4 | 7..=10 | 12))
    }

    /// Returns whether `bytes` are the key of the end of a child, by the first of them.
    pub(crate) fn is_end_in(bytes: &[u8]) -> bool {
        bytes.first() == Some(&4)
    }

    /// Returns whether the entry outlives the node that wrote it.
    pub(crate) fn is_of_cluster(&self) -> bool {
        match self {
            Self::Spec(..) | Self::Ended(..) | Self::Cell(..) => true,
            Self::Member
            | Self::Name(..)
            | Self::Claim(..)
            | Self::Absorbed(..)
            | Self::Group(..)
            | Self::Assigned(..)
            | Self::Leased(..) => false,
        }
    }
}

fn push_child(bytes: &mut Vec<u8>, class: u8, scope: Scope, child: ChildId) {
    bytes.push(class);
    bytes.extend_from_slice(&scope.to_bytes());
    bytes.extend_from_slice(&child.to_bytes());
}

fn push_dot(bytes: &mut Vec<u8>, dot: Dot) {
    bytes.extend_from_slice(&dot.stamp.as_u64().to_be_bytes());
    bytes.extend_from_slice(&dot.writer.0.to_be_bytes());
}

fn split_dot(bytes: &[u8]) -> Option<(Dot, &[u8])> {
    let (stamp, rest) = bytes.split_first_chunk()?;
    let (writer, rest) = rest.split_first_chunk()?;
    let stamp = Stamp::from_u64(u64::from_be_bytes(*stamp));
    Some((Dot { stamp, writer: ReplicaKey(u64::from_be_bytes(*writer)) }, rest))
}

fn split_child(bytes: &[u8]) -> Option<(Scope, ChildId)> {
    let (scope, child) = bytes.split_first_chunk()?;
    Some((Scope::from_bytes(*scope), ChildId::from_bytes(child.try_into().ok()?)))
}

/// An entry of a journal: bytes with a format, made and read here alone.
pub(crate) trait Entry: Serialize + for<'a> Deserialize<'a> {
    /// Returns the entry as bytes.
    fn encode(&self) -> Blob {
        Blob::from(wire::encode(&(FORMAT, self)))
    }

    /// Returns the entry that `bytes` are, or `None` if they are of another format.
    fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.first() != Some(&FORMAT) {
            return None;
        }
        wire::decode::<(u8, Self)>(bytes).ok().map(|(_, entry)| entry)
    }
}

/// A name that a process was given after its start.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct NameEntry {
    /// The standing of the process that holds it.
    pub(crate) standing: Standing,
    /// Bytes stored beside the name.
    pub(crate) value: Blob,
}

/// A name that a process holds under a lease, or asks for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct LeasedEntry {
    /// The standing of the process: its origin is the name, and its moves are the ballot.
    pub(crate) standing: Standing,
    /// Whether the lease was granted: the process holds the name.
    pub(crate) granted: bool,
    /// Bytes stored beside the name.
    pub(crate) value: Blob,
}

/// A child that a node starts, runs, or stops.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct ClaimEntry {
    /// The standing of the process that runs it.
    pub(crate) standing: Standing,
    /// One more than the highest epoch of the child that was known when the process started.
    pub(crate) epoch: u64,
    /// Whether the process runs, rather than starts or waits for its next start.
    pub(crate) running: bool,
    /// The name that the child was started with.
    pub(crate) name: Option<(Scope, Name)>,
    /// Bytes stored beside the name.
    pub(crate) value: Blob,
    /// Why its start failed, if none of its starts here has succeeded.
    pub(crate) failure: Option<String>,
}

impl ClaimEntry {
    /// Returns whether the process is known to have run: it does, or has been started again where
    /// it was started first, and not since a start failed. Of one that was taken over or moved that
    /// cannot be told.
    ///
    /// A copy may never show it run, though it does again and again, each time for a moment.
    pub(crate) fn has_run(&self) -> bool {
        let is_first = self.standing.lineage == 0 && self.standing.moves == 0;
        self.running || is_first && self.epoch > 1 && self.failure.is_none()
    }
}

/// A rank without what the journal says already: its writer.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// The number of the process.
    pub(crate) number: u64,
    /// When the process was given its place.
    pub(crate) stamp: Stamp,
    /// Where it comes from; `None` if it is its own origin.
    pub(crate) origin: Option<Origin>,
    /// How often its child was taken over from a silent node.
    pub(crate) lineage: u32,
    /// How often it was moved on purpose since; its ballot where it runs under a lease.
    pub(crate) moves: u64,
    /// What a user's rule goes by.
    pub(crate) precedence: Precedence,
}

impl Standing {
    /// Returns the standing of process `number`, which no supervisor looks after.
    pub(crate) fn of_plain(number: u64, stamp: Stamp, precedence: Precedence) -> Self {
        Self { number, stamp, origin: None, lineage: 0, moves: 0, precedence }
    }

    /// Returns the rank of the process on `replica` with this standing.
    pub(crate) fn rank(&self, replica: &Replica) -> Rank {
        let process = ProcessId { replica: replica.clone(), number: self.number };
        let own = || {
            let mut bytes = Vec::from(replica.key().0.to_be_bytes());
            bytes.extend_from_slice(&self.number.to_be_bytes());
            let id = ChildId::from_bytes(hash128(&bytes).to_be_bytes());
            Origin { stamp: self.stamp, id }
        };
        Rank {
            origin: self.origin.unwrap_or_else(own),
            lineage: self.lineage,
            moves: self.moves,
            stamp: self.stamp,
            process,
            precedence: self.precedence.clone(),
        }
    }
}

/// A child that was accepted, as the member wrote it that received the request.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct SpecEntry {
    /// When it was accepted.
    pub(crate) stamp: Stamp,
    /// What to run.
    pub(crate) spec: ChildSpec,
}

/// A child that ended for good.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct EndedEntry {
    /// When it ended.
    pub(crate) stamp: Stamp,
    /// How.
    pub(crate) outcome: Outcome,
}

/// A process whose state another one took in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct AbsorbedEntry {
    /// The number of the process that took it in.
    pub(crate) winner: u64,
    /// Which freeze of the loser it was.
    pub(crate) round: u64,
}

/// A group that a process is a member of.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct GroupEntry {
    /// Bytes that the process keeps beside its membership.
    pub(crate) metadata: Blob,
}

/// The nodes that may be members.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct MembersEntry {
    /// Their names.
    pub(crate) nodes: BTreeSet<NodeId>,
}

/// A member that a node has chosen to run a child, by its strategy.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct AssignedEntry {
    /// When it was chosen: of two choices of equal hops the later counts.
    pub(crate) stamp: Stamp,
    /// One more than the hops of the choices that were known then: of several the one of the most
    /// hops counts.
    pub(crate) hops: u16,
    /// Who was chosen.
    pub(crate) to: NodeId,
}

/// Why a node has given a child up.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct GivenUpEntry {
    /// How often it had failed there.
    pub(crate) failures: u32,
    /// How it failed last.
    pub(crate) reason: String,
}

/// Lives that are to be members no more.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct EvictionEntry {
    /// The last of them; all before it are meant as well.
    pub(crate) incarnation: Incarnation,
    /// Whether they are over at once, rather than asked to leave.
    pub(crate) at_once: bool,
}

/// Why a node deleted an entry of its own: a byte beside the tombstone.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) enum Reason {
    /// What it was about is over.
    Ended,
    /// Somebody asked for it.
    Unregistered,
    /// The process that it was about gave way to a winner.
    Beaten,
    /// The child that it was about belongs elsewhere since members came.
    Moved,
    /// The node leaves.
    Left,
    /// The node has given up the child that it was about.
    GivenUp,
    /// Its lease has ended.
    Lapsed,
    /// No majority granted the lease that it asked for; nothing ran by it.
    Ungranted,
    /// The node sees too few members to run what it was about.
    NoQuorum,
}

impl Reason {
    pub(crate) const fn byte(self) -> u8 {
        match self {
            Self::Ended => 0,
            Self::Unregistered => 1,
            Self::Beaten => 2,
            Self::Moved => 3,
            Self::Left => 4,
            Self::GivenUp => 5,
            Self::Ungranted => 6,
            Self::Lapsed => 7,
            Self::NoQuorum => 8,
        }
    }

    /// Returns the reason that `byte` stands for; what is not known here says no more than an end.
    pub(crate) const fn of(byte: u8) -> Self {
        match byte {
            1 => Self::Unregistered,
            2 => Self::Beaten,
            3 => Self::Moved,
            4 => Self::Left,
            5 => Self::GivenUp,
            6 => Self::Ungranted,
            7 => Self::Lapsed,
            8 => Self::NoQuorum,
            _ => Self::Ended,
        }
    }

    /// Returns how the process lost its name, of which this was the entry.
    pub(crate) const fn loss(self) -> Loss {
        match self {
            Self::Ended | Self::Moved | Self::Left | Self::GivenUp | Self::Ungranted => Loss::Ended,
            Self::NoQuorum => Loss::NoQuorum,
            Self::Lapsed => Loss::Lapsed,
            Self::Unregistered => Loss::Unregistered,
            Self::Beaten => Loss::Conflict,
        }
    }
}

impl Entry for MemberEntry {}
impl Entry for NameEntry {}
impl Entry for LeasedEntry {}
impl Entry for ClaimEntry {}
impl Entry for SpecEntry {}
impl Entry for EndedEntry {}
impl Entry for AbsorbedEntry {}
impl Entry for GroupEntry {}
impl Entry for Write {}
impl Entry for MembersEntry {}
impl Entry for EvictionEntry {}
impl Entry for GivenUpEntry {}
impl Entry for AssignedEntry {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Wall;

    #[test]
    fn keys_come_back_from_their_bytes() {
        let scope = Scope::named("default");
        let child = ChildId::from_bytes([7; 16]);
        let dot = Dot { stamp: Stamp::first_of(Wall::from_millis(5)), writer: ReplicaKey(9) };
        let keys = [
            Key::Member,
            Key::Name(scope, Name::new("cart/7").unwrap()),
            Key::Claim(scope, child),
            Key::Spec(scope, child),
            Key::Ended(scope, child),
            Key::Absorbed(ReplicaKey(9), 4),
            Key::Group(scope, Name::new("room/1").unwrap(), 4),
            Key::Cell(CellKey::Meta(scope, Name::new("owner").unwrap()), dot),
            Key::Cell(CellKey::Members, dot),
            Key::Cell(CellKey::Evicted(NodeId::new("b").unwrap()), dot),
            Key::Cell(CellKey::GivenUp(scope, child, NodeId::new("b").unwrap()), dot),
            Key::Cell(CellKey::MovesPaused(scope), dot),
            Key::Assigned(scope, child),
            Key::Leased(scope, Name::new("lock/7").unwrap()),
        ];
        for key in keys {
            let bytes = key.encode();
            assert_eq!(Key::is_of_cluster_in(&bytes), key.is_of_cluster());
            assert_eq!(Key::is_end_in(&bytes), matches!(key, Key::Ended(..)));
            assert_eq!(Key::decode(&bytes), Some(key));
        }
    }

    #[test]
    fn a_name_costs_little_more_than_itself() {
        let entry = NameEntry {
            standing: Standing::of_plain(
                70_000,
                Stamp::first_of(Wall::from_millis(1_800_000_000_000)),
                Precedence::default(),
            ),
            value: Blob::default(),
        };
        let key = Key::Name(Scope::named("default"), Name::new("cart/7").unwrap()).encode();
        assert!(entry.encode().len() + key.len() - "cart/7".len() <= 45 - 4, "{entry:?}");
    }

    #[test]
    fn entries_of_another_format_are_no_entries() {
        let entry = AbsorbedEntry { winner: 1, round: 2 };
        let mut bytes = entry.encode().as_bytes().to_vec();
        assert_eq!(AbsorbedEntry::decode(&bytes), Some(entry));
        bytes[0] = FORMAT + 1;
        assert_eq!(AbsorbedEntry::decode(&bytes), None);
    }
}
