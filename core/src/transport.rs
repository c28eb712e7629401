//! What the shell needs of the world: a runtime and a transport. Neither names a runtime.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::future::Future;
use core::pin::Pin;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Blob, IdError, NodeId, Time, Wall};

/// A future on the heap, without the type of what makes it.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The clock, the tasks and the randomness that a node runs on.
///
/// Implement it to run Ordu on another runtime than tokio, or in a simulation.
pub trait Runtime: Send + Sync + 'static {
    /// Runs `task` to its end, beside everything else.
    fn spawn(&self, task: BoxFuture<()>);

    /// Returns the monotonic time, on a clock that goes on while the machine sleeps if it can.
    fn now(&self) -> Time;

    /// Returns the wall time.
    fn wall(&self) -> Wall;

    /// Resolves at `at`, or soon after; at once if that has passed.
    fn sleep_until(&self, at: Time) -> BoxFuture<()>;

    /// Fills `bytes` with random ones, fit for secrets outside a simulation.
    fn fill_random(&self, bytes: &mut [u8]);
}

/// Where a node listens, in the words of its transport; an attribute, never an identity.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(Arc<str>);

impl Address {
    /// Most bytes of an address.
    pub const BYTES_MAX: usize = 255;

    /// Returns `address` as an address.
    ///
    /// # Errors
    ///
    /// Refuses an empty address, one of more than 255 bytes, and one with control characters.
    pub fn new(address: impl Into<String>) -> Result<Self, IdError> {
        let address = address.into();
        let what = "address";
        if address.is_empty() {
            return Err(IdError::Empty { what });
        }
        if address.len() > Self::BYTES_MAX {
            return Err(IdError::TooLong { what, bytes: address.len(), max: Self::BYTES_MAX });
        }
        if address.chars().any(char::is_control) {
            return Err(IdError::ControlCharacter { what });
        }
        Ok(Self(Arc::from(address)))
    }

    /// Returns the address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Address {
    type Error = IdError;

    fn try_from(address: String) -> Result<Self, IdError> {
        Self::new(address)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        Self::from(address.as_str())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which of two queues a frame waits in; control never waits behind bulk.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum Lane {
    /// Beats, leases, acknowledgements: small, and late is as bad as lost.
    Control,
    /// Everything else.
    Bulk,
}

/// What a transport tells its node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TransportEvent {
    /// A session with `peer` is up; both sides proved that they belong to the cluster.
    Connected {
        /// Who is at the other end.
        peer: NodeId,
    },
    /// The session with `peer` is over. Frames sent and not delivered are lost.
    Disconnected {
        /// Who was at the other end.
        peer: NodeId,
    },
    /// Nobody listens at `address`: the attempt was answered with a refusal, not with silence.
    Refused {
        /// Where it was tried.
        address: Address,
    },
    /// Somebody answered at `address` (or dialled us, then `None`) and is not of this cluster.
    Rejected {
        /// Where it was tried.
        address: Option<Address>,
        /// What was wrong with the peer, and what to do.
        reason: String,
    },
    /// We listen at `address` ourselves; it is not dialled any more.
    Ourselves {
        /// Where it was tried.
        address: Address,
    },
    /// A frame arrived from `peer`, within its session.
    Frame {
        /// Who sent it.
        peer: NodeId,
        /// The bytes as they were sent.
        frame: Blob,
    },
}

/// Sessions with other nodes, one for each, that carry frames.
///
/// Frames of one lane arrive in order, each once or not at all, while a session lives; none is
/// altered, and none crosses from one session to the next. For every peer, events come as
/// `Connected`, then frames, then `Disconnected`, and so on.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Returns where peers reach this transport.
    fn local_address(&self) -> Address;

    /// Tries to have a session with whoever listens at `address`, until there is one or
    /// [`Transport::hang_up`] is called. The first attempt is made at once; a failed one is
    /// repeated after a back-off with jitter. Dialling an address being dialled changes nothing.
    fn dial(&self, address: &Address);

    /// Stops dialling `address`; a session that is up stays up.
    fn hang_up(&self, address: &Address);

    /// Ends the session with `peer`, if there is one; reported as `Disconnected`.
    fn disconnect(&self, peer: &NodeId);

    /// Queues `frame` for `peer`.
    ///
    /// # Errors
    ///
    /// The frame is dropped, and the error says so, when there is no session, when the queue of
    /// the lane is full, or when the frame is longer than [`crate::limits::FRAME_BYTES_MAX`].
    fn send(&self, peer: &NodeId, lane: Lane, frame: Blob) -> Result<(), SendError>;

    /// Waits for the next event; `None` once the transport is closed. One caller at a time.
    async fn next(&self) -> Option<TransportEvent>;

    /// Ends all sessions, after sending what is queued for up to a second, and stops listening.
    async fn close(&self);
}

/// Why a frame was dropped before it was sent.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// No session with the peer is up; the node dials and repairs by itself.
    #[error("no session with node {peer}")]
    NoSession {
        /// The peer.
        peer: NodeId,
    },
    /// The peer reads more slowly than we send; what was dropped is repaired later.
    #[error("the queue to node {peer} is full")]
    QueueFull {
        /// The peer.
        peer: NodeId,
    },
    /// The frame is over the limit; split it.
    #[error("a frame of {bytes} bytes is over the limit of {max}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
}
