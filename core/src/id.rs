//! Who and what there is in a cluster.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hash::{hash64, hash128};
use crate::limits::NODE_ID_BYTES_MAX;
use crate::{IdError, Stamp};

/// The stable name of a member, chosen by its operator.
///
/// It outlives restarts and addresses; [`Incarnation`] tells one life of it from the next.
///
/// Orders and compares as its text does. Ids are what nodes look up most: their first bytes are
/// kept as a number, which decides almost all comparisons and all of short ids.
///
/// Invariant: `head` is the beginning of `text`, filled up with zeros, which no text contains.
#[derive(Clone)]
pub struct NodeId {
    head: u64,
    text: Arc<str>,
}

impl NodeId {
    const HEAD_BYTES: usize = 8;

    /// Returns `id` as the name of a member.
    ///
    /// # Errors
    ///
    /// Refuses an empty id, one of more than 255 bytes, and one with control characters.
    pub fn new(id: impl Into<String>) -> Result<Self, IdError> {
        Self::of_text(&id.into())
    }

    fn of_text(id: &str) -> Result<Self, IdError> {
        if id.is_empty() {
            return Err(IdError::Empty { what: "node id" });
        }
        if id.len() > NODE_ID_BYTES_MAX {
            let (bytes, max) = (id.len(), NODE_ID_BYTES_MAX);
            return Err(IdError::TooLong { what: "node id", bytes, max });
        }
        if id.chars().any(char::is_control) {
            return Err(IdError::ControlCharacter { what: "node id" });
        }
        let mut head = [0; Self::HEAD_BYTES];
        head.iter_mut().zip(id.bytes()).for_each(|(place, byte)| *place = byte);
        Ok(Self { head: u64::from_be_bytes(head), text: Arc::from(id) })
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for NodeId {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for NodeId {}

impl Hash for NodeId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Ord for NodeId {
    fn cmp(&self, other: &Self) -> Ordering {
        let heads = self.head.cmp(&other.head);
        let is_decided = heads != Ordering::Equal
            || self.text.len().max(other.text.len()) <= Self::HEAD_BYTES
            || Arc::ptr_eq(&self.text, &other.text);
        let order = if is_decided { heads } else { self.text.cmp(&other.text) };

        debug_assert_eq!(order, self.text.cmp(&other.text), "ids order as their texts do");
        order
    }
}

impl PartialOrd for NodeId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NodeIdVisitor)
    }
}

struct NodeIdVisitor;

impl Visitor<'_> for NodeIdVisitor {
    type Value = NodeId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a node id")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<NodeId, E> {
        NodeId::of_text(text).map_err(E::custom)
    }
}

/// One life of a node, from start to end; of two lives the later is greater.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize,
)]
pub struct Incarnation {
    /// One more than the highest that the cluster knew for the node's name; 0 means none yet.
    pub counter: u64,
    /// A random number, so that two lives that took the same counter still differ.
    pub nonce: u64,
}

impl Incarnation {
    /// What a node that has not joined yet puts in its envelopes.
    pub const NONE: Self = Self { counter: 0, nonce: 0 };
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:04x}", self.counter, self.nonce & 0xffff)
    }
}

/// One life of one node: the only writer of one journal. A clone shares it.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Replica(Arc<Life>);

/// What a [`Replica`] shares; equal, ordered and hashed as its node and its incarnation.
#[derive(Eq, Hash, PartialEq)]
struct Life {
    /// The short form of both others, which follows from them; it tells most lives apart.
    key: ReplicaKey,
    node: NodeId,
    incarnation: Incarnation,
}

impl Replica {
    /// Returns the life `incarnation` of `node`.
    pub fn new(node: NodeId, incarnation: Incarnation) -> Self {
        let mut bytes = [0; 16 + NODE_ID_BYTES_MAX];
        let (numbers, text) = bytes.split_at_mut(16);
        numbers[..8].copy_from_slice(&incarnation.counter.to_le_bytes());
        numbers[8..].copy_from_slice(&incarnation.nonce.to_le_bytes());
        let length = node.as_str().len();
        text[..length].copy_from_slice(node.as_str().as_bytes());
        let key = ReplicaKey(hash64(&bytes[..16 + length]));
        Self(Arc::new(Life { key, node, incarnation }))
    }

    /// Returns whose life it is.
    pub fn node(&self) -> &NodeId {
        &self.0.node
    }

    /// Returns which of the node's lives it is.
    pub fn incarnation(&self) -> Incarnation {
        self.0.incarnation
    }

    /// Returns the short form that beats carry.
    pub fn key(&self) -> ReplicaKey {
        self.0.key
    }
}

impl Ord for Replica {
    /// Orders by node, and the lives of one node by incarnation.
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        let nodes = self.node().cmp(other.node());
        nodes.then_with(|| self.incarnation().cmp(&other.incarnation()))
    }
}

impl PartialOrd for Replica {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.node(), self.incarnation())
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Replica {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.node(), self.incarnation()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Replica {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (node, incarnation) = Deserialize::deserialize(deserializer)?;
        Ok(Self::new(node, incarnation))
    }
}

/// A replica in eight bytes, for messages that name many; the receiver knows the long form.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct ReplicaKey(pub u64);

/// One run of a process; never used again, not even after a restart in place.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct ProcessId {
    /// The life of the node it runs on.
    pub replica: Replica,
    /// Which of that life's processes it is; the first is 1.
    pub number: u64,
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.replica, self.number)
    }
}

/// An instance of a registry or of a supervisor: what keeps the names of one from another's.
///
/// The hash of the instance's name, which every node computes alike.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Scope(u64);

impl Scope {
    /// Returns the scope of the instance called `name`.
    pub fn named(name: &str) -> Self {
        Self(hash64(name.as_bytes()))
    }

    /// Returns the scope as bytes, for keys and hashes.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// Returns the scope that [`Scope::to_bytes`] gave `bytes` for.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{:08x}", self.0 >> 32)
    }
}

/// What a start was asked with; repeating a request is one child.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct RequestId {
    /// The member that received the request.
    pub origin: Replica,
    /// Which of that member's requests it is.
    pub counter: u64,
    /// When it was made.
    pub stamp: Stamp,
}

/// A child, for its whole life: through restarts, moves and failovers.
///
/// The 128-bit hash of the [`RequestId`] that started it, or of the user's own key.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct ChildId([u8; 16]);

impl ChildId {
    /// Returns the child that `request` starts.
    pub fn of(request: &RequestId) -> Self {
        let incarnation = request.origin.incarnation();
        let mut bytes = Vec::with_capacity(64);
        for number in
            [incarnation.counter, incarnation.nonce, request.counter, request.stamp.as_u64()]
        {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(request.origin.node().as_str().as_bytes());
        Self(hash128(&bytes).to_be_bytes())
    }

    /// Returns the child of the supervisor `scope` that starts with the user's `key` are for.
    pub fn of_key(scope: Scope, key: &[u8]) -> Self {
        // No request hashes to the same: its bytes begin with a counter, and are longer.
        let mut bytes = Vec::from(b"key".as_slice());
        bytes.extend_from_slice(&scope.to_bytes());
        bytes.extend_from_slice(key);
        Self(hash128(&bytes).to_be_bytes())
    }

    /// Returns the id as bytes, for keys and hashes.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// Returns the id that [`ChildId::to_bytes`] gave `bytes` for.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    /// Texts that differ before the eighth byte, at it, behind it, and by their lengths.
    const TEXTS: [&str; 13] = [
        "a",
        "b",
        "ab",
        "é",
        "n1",
        "n10",
        "abcdefg",
        "abcdefgh",
        "abcdefgi",
        "abcdefghi",
        "abcdefghj",
        "abcdefghij",
        "\u{10ffff}",
    ];

    fn ids() -> impl Iterator<Item = NodeId> + Clone {
        TEXTS.into_iter().map(|text| NodeId::new(text).unwrap())
    }

    #[test]
    fn ids_order_and_compare_as_their_texts_do() {
        for (a, b) in ids().flat_map(|a| ids().map(move |b| (a.clone(), b))) {
            let order = a.as_str().cmp(b.as_str());
            assert_eq!(a.cmp(&b), order, "{a} and {b}");
            assert_eq!(a == b, order == Ordering::Equal, "{a} and {b}");
            assert_eq!(a.cmp(&a.clone()), Ordering::Equal, "{a} and its clone");
        }
    }

    #[test]
    fn lives_order_by_node_and_then_by_incarnation() {
        let lives = ids().flat_map(|node| {
            [(1, 1), (1, 2), (2, 1)].map(|(counter, nonce)| {
                let incarnation = Incarnation { counter, nonce };
                (node.to_string(), incarnation, Replica::new(node.clone(), incarnation))
            })
        });
        for (a, b) in lives.clone().flat_map(|a| lives.clone().map(move |b| (a.clone(), b))) {
            let order = (&a.0, a.1).cmp(&(&b.0, b.1));
            assert_eq!(a.2.cmp(&b.2), order, "{} and {}", a.2, b.2);
            assert_eq!(a.2 == b.2, order == Ordering::Equal, "{} and {}", a.2, b.2);
            assert_eq!(a.2.key() == b.2.key(), order == Ordering::Equal, "{} and {}", a.2, b.2);
        }
    }
}
