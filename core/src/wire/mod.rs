//! Bytes: the one place where messages, entries and greetings become bytes and come back.
//!
//! bincode 2 in serde mode, with its standard configuration, hidden here: nothing outside this
//! module knows the encoding. A frame is a type byte, a flags byte, and a body; a peer that does
//! not know the type skips the frame if the flags allow it.

mod frame;
mod greeting;
pub(crate) mod ordered;
mod sealed;

use alloc::vec::Vec;

use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::FRAME_BYTES_MAX;

pub use crate::wire::frame::{decode_frame, encode_frame};
pub use crate::wire::greeting::{Greeting, GreetingError, PROTOCOL_MAX, PROTOCOL_MIN};
pub(crate) use crate::wire::sealed::{Broken, Seal};

/// Bytes that most values take at most: growing to there byte by byte would cost more than they do.
const BYTES_EXPECTED: usize = 128;

/// Returns `value` as bytes. Its length is the caller's to check.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(BYTES_EXPECTED);
    encode_onto(value, &mut bytes);
    bytes
}

/// Returns the value that `bytes` encode.
///
/// Whatever `bytes` claim, a text or a list is given room for a mebibyte at most before its content
/// is read, and the rest is a small multiple of what there is. Every number counts against the
/// limit with its full width, so that a frame made of small ones is refused somewhat below it; what
/// a node sends stays far from there.
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

/// Appends `value` to `bytes`, as [`encode`] would return it.
pub fn encode_onto<T: Serialize>(value: &T, bytes: &mut Vec<u8>) {
    let within = Within { bytes, max: usize::MAX };
    bincode::serde::encode_into_writer(value, within, bincode::config::standard())
        .expect("memory is the only thing that encoding needs");
}

/// Returns `value` as bytes, or `None` if there are more than `max`; those are not written.
pub(crate) fn encode_within<T: Serialize>(value: &T, max: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let within = Within { bytes: &mut bytes, max };
    bincode::serde::encode_into_writer(value, within, bincode::config::standard()).ok()?;
    Some(bytes)
}

/// Returns the value that [`encode`] made `bytes` of, here, of any length.
///
/// # Panics
///
/// Panics if the bytes are of elsewhere and no `T`.
pub(crate) fn decode_own<T: DeserializeOwned>(bytes: &[u8]) -> T {
    let decoded = bincode::serde::decode_from_slice(bytes, bincode::config::standard());
    let (value, used) = decoded.expect("what was encoded is decoded");
    assert_eq!(used, bytes.len(), "nothing follows what was encoded");
    value
}

/// Bytes that [`decode_first`] takes at most.
pub(crate) const LONG_BYTES_MAX: usize = 128 << 20;

/// Returns the value at the beginning of `bytes`, and how many bytes it takes.
///
/// Allocates at most a multiple of the length of `bytes`, whatever they claim.
pub(crate) fn decode_first<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, usize), WireError> {
    // A number of eight bytes may be encoded as one, and counts as eight.
    match bytes.len() {
        0..0x1000 => decode_claiming::<T, 0x1_0000>(bytes),
        0x1000..0x1_0000 => decode_claiming::<T, 0x10_0000>(bytes),
        0x1_0000..0x10_0000 => decode_claiming::<T, 0x100_0000>(bytes),
        0x10_0000..0x80_0000 => decode_claiming::<T, 0x800_0000>(bytes),
        0x80_0000..=LONG_BYTES_MAX => decode_claiming::<T, 0x7fff_ffff>(bytes),
        bytes => Err(WireError::TooLong { bytes, max: LONG_BYTES_MAX }),
    }
}

fn decode_claiming<T: DeserializeOwned, const CLAIMS_MAX: usize>(
    bytes: &[u8],
) -> Result<(T, usize), WireError> {
    let config = bincode::config::standard().with_limit::<CLAIMS_MAX>();
    bincode::serde::decode_from_slice(bytes, config).map_err(|_| WireError::Malformed)
}

/// Writes onto `bytes` until they are `max`.
struct Within<'a> {
    bytes: &'a mut Vec<u8>,
    max: usize,
}

impl Writer for Within<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        if self.max - self.bytes.len() < bytes.len() {
            return Err(EncodeError::UnexpectedEnd);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
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
