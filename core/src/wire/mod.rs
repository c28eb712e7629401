//! Bytes: the one place where messages, entries and greetings become bytes and come back.
//!
//! bincode 2 in serde mode, with its standard configuration, hidden here: nothing outside this
//! module knows the encoding. A frame is a type byte, a flags byte, and a body; a peer that does
//! not know the type skips the frame if the flags allow it.

mod frame;
mod greeting;

use alloc::vec::Vec;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::FRAME_BYTES_MAX;

pub use crate::wire::frame::{decode_frame, encode_frame};
pub use crate::wire::greeting::{Greeting, GreetingError, PROTOCOL_MAX, PROTOCOL_MIN};

/// Returns `value` as bytes. Its length is the caller's to check.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, bincode::config::standard())
        .expect("memory is the only thing that encoding needs")
}

/// Returns the value that `bytes` encode.
///
/// Whatever `bytes` claim, a text or a list is given room for a mebibyte at most before its content
/// is read, and the rest is a small multiple of what there is. Every number counts against the limit
/// with its full width, so that a frame made of small ones is refused somewhat below it; what a node
/// sends stays far from there.
///
/// # Errors
///
/// Refuses bytes over the frame limit, bytes that are no `T`, and bytes with something after it.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    if bytes.len() > FRAME_BYTES_MAX {
        return Err(WireError::TooLong { bytes: bytes.len(), max: FRAME_BYTES_MAX });
    }
    let config = bincode::config::standard().with_limit::<FRAME_BYTES_MAX>();
    let (value, used) =
        bincode::serde::decode_from_slice(bytes, config).map_err(|_| WireError::Malformed)?;
    if used < bytes.len() {
        return Err(WireError::TrailingBytes { bytes: bytes.len() - used });
    }
    Ok(value)
}

/// Why bytes are no message.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The frame ends within its header.
    #[error("a frame of {bytes} bytes ends within its header")]
    Truncated {
        /// Its length.
        bytes: usize,
    },
    /// The frame is over the limit.
    #[error("{bytes} bytes are over the limit of {max}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The sender knows a kind of message that we do not, and it may not be skipped.
    #[error("message type {kind} is unknown and must not be skipped; the peer is too new")]
    UnknownType {
        /// The type byte.
        kind: u8,
    },
    /// The body is not what its type says.
    #[error("the bytes are no message of their type")]
    Malformed,
    /// Something follows the message.
    #[error("{bytes} bytes follow the message")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
}
