//! Records: what a session sends once its handshake is over. No I/O.
//!
//! ```text
//!  on the wire   length (2) │ sealed bytes                       one record
//!  inside        flags (1) │ length (2) │ bytes of a frame       one piece; many in a record
//! ```
//!
//! A frame is cut into as many pieces as it takes; each piece says its lane and whether its frame
//! ends. Control goes first in every record, even between two pieces of one bulk frame. Lanes and
//! the lengths of frames are inside the encryption; the length of a record is not, and a wrong
//! one only makes it impossible to open.

use ordu_core::Blob;
use ordu_core::limits::FRAME_BYTES_MAX;
use ordu_core::transport::Lane;

use crate::handshake::SEALED_IN_HANDSHAKE;
use crate::noise::{Channel, TAG_BYTES};

/// Bytes that name a record's length.
const LENGTH_BYTES: usize = 2;
/// Bytes before a piece: flags and length.
const PIECE_HEADER_BYTES: usize = 3;
/// Longest inside of a record.
const PLAIN_BYTES_MAX: usize = u16::MAX as usize - TAG_BYTES;

const FLAG_BULK: u8 = 1;
const FLAG_LAST: u8 = 2;
const FLAG_FAREWELL: u8 = 4;

/// Where frames to be sent come from.
pub(crate) trait Frames {
    /// Takes the next frame of `lane`, if one waits.
    fn pop(&self, lane: Lane) -> Option<Blob>;
}

/// Turns frames into records.
pub(crate) struct Packer {
    number: u64,
    control: Option<Rest>,
    bulk: Option<Rest>,
    plain: Vec<u8>,
}

/// What is left of a frame whose beginning went into an earlier record.
struct Rest {
    frame: Blob,
    sent: usize,
}

impl Packer {
    /// Returns the packer of a session that has just begun.
    pub(crate) fn new() -> Self {
        Self { number: SEALED_IN_HANDSHAKE, control: None, bulk: None, plain: Vec::new() }
    }

    /// Appends one record of what `frames` hold to `out`; whether there was anything.
    pub(crate) fn pack(
        &mut self,
        frames: &impl Frames,
        channel: &Channel,
        out: &mut Vec<u8>,
    ) -> bool {
        self.plain.clear();
        Self::fill(&mut self.plain, &mut self.control, Lane::Control, frames);
        Self::fill(&mut self.plain, &mut self.bulk, Lane::Bulk, frames);
        if self.plain.is_empty() {
            return false;
        }
        self.seal(channel, out);
        true
    }

    /// Appends the record that says that nothing follows.
    pub(crate) fn pack_farewell(&mut self, channel: &Channel, out: &mut Vec<u8>) {
        self.plain.clear();
        self.plain.extend_from_slice(&[FLAG_FAREWELL, 0, 0]);
        self.seal(channel, out);
    }

    /// Gives back memory that a burst needed.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        self.plain.clear();
        self.plain.shrink_to(bytes);
    }

    fn fill(plain: &mut Vec<u8>, rest: &mut Option<Rest>, lane: Lane, frames: &impl Frames) {
        // A header without a byte behind it would say nothing, unless the frame is empty.
        while plain.len() + PIECE_HEADER_BYTES < PLAIN_BYTES_MAX {
            let next = rest.take().or_else(|| {
                let frame = frames.pop(lane)?;
                Some(Rest { frame, sent: 0 })
            });
            let Some(Rest { frame, sent }) = next else {
                return;
            };
            let room = PLAIN_BYTES_MAX - plain.len() - PIECE_HEADER_BYTES;
            let length = room.min(frame.len() - sent);
            let last = sent + length == frame.len();
            let bulk = match lane {
                Lane::Control => 0,
                Lane::Bulk => FLAG_BULK,
            };
            plain.push(bulk | if last { FLAG_LAST } else { 0 });
            plain.extend_from_slice(&(length as u16).to_be_bytes());
            plain.extend_from_slice(&frame[sent..sent + length]);
            if !last {
                *rest = Some(Rest { frame, sent: sent + length });
            }
        }
        assert!(plain.len() <= PLAIN_BYTES_MAX, "a record fits into one sealed piece");
    }

    fn seal(&mut self, channel: &Channel, out: &mut Vec<u8>) {
        let length = self.plain.len() + channel.overhead();
        let length = u16::try_from(length).expect("a record's length fits into two bytes");
        out.extend_from_slice(&length.to_be_bytes());
        channel.seal(self.number, &self.plain, out);
        self.number += 1;
    }
}

/// Turns what arrives into frames.
pub(crate) struct Unpacker {
    number: u64,
    control: Vec<u8>,
    bulk: Vec<u8>,
    plain: Vec<u8>,
}

/// What one record held.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Unpacked {
    /// The frames that it completed, in order.
    pub(crate) frames: Vec<Blob>,
    /// Whether the peer says that nothing follows.
    pub(crate) farewell: bool,
}

impl Unpacker {
    /// Returns the unpacker of a session that has just begun.
    pub(crate) fn new() -> Self {
        let (control, bulk, plain) = (Vec::new(), Vec::new(), Vec::new());
        Self { number: SEALED_IN_HANDSHAKE, control, bulk, plain }
    }

    /// Returns how many bytes at the start of `input` are a whole record, or how many must be
    /// there for it to become one.
    pub(crate) fn record_bytes(input: &[u8]) -> Result<usize, usize> {
        let Some((length, _)) = input.split_first_chunk::<LENGTH_BYTES>() else {
            return Err(LENGTH_BYTES);
        };
        let bytes = LENGTH_BYTES + usize::from(u16::from_be_bytes(*length));
        if input.len() < bytes { Err(bytes) } else { Ok(bytes) }
    }

    /// Takes in one whole `record`, with its length before it.
    ///
    /// # Errors
    ///
    /// Refuses what the peer did not seal as its next record, what is no series of pieces, and a
    /// frame over the limit. The session is to be ended: nothing after it can be opened.
    pub(crate) fn unpack(
        &mut self,
        record: &[u8],
        channel: &Channel,
    ) -> Result<Unpacked, RecordError> {
        debug_assert_eq!(Self::record_bytes(record), Ok(record.len()), "the record is whole");
        channel
            .open(self.number, &record[LENGTH_BYTES..], &mut self.plain)
            .map_err(|_| RecordError::NotSealed)?;
        self.number += 1;

        let mut unpacked = Unpacked::default();
        let mut rest = self.plain.as_slice();
        if rest.is_empty() {
            return Err(RecordError::Malformed);
        }
        while !rest.is_empty() {
            let Some((&[flags, high, low], after)) = rest.split_first_chunk() else {
                return Err(RecordError::Malformed);
            };
            let length = usize::from(u16::from_be_bytes([high, low]));
            let Some((bytes, after)) = after.split_at_checked(length) else {
                return Err(RecordError::Malformed);
            };
            rest = after;
            if flags == FLAG_FAREWELL && bytes.is_empty() && rest.is_empty() {
                unpacked.farewell = true;
                continue;
            }
            let partial = match flags & !FLAG_LAST {
                0 => &mut self.control,
                FLAG_BULK => &mut self.bulk,
                _ => return Err(RecordError::Malformed),
            };
            let last = flags & FLAG_LAST != 0;
            if bytes.is_empty() && !(last && partial.is_empty()) {
                return Err(RecordError::Malformed);
            }
            if partial.len() + bytes.len() > FRAME_BYTES_MAX {
                return Err(RecordError::FrameTooLong);
            }
            match (last, partial.is_empty()) {
                (true, true) => unpacked.frames.push(Blob::from(bytes)),
                (true, false) => {
                    partial.extend_from_slice(bytes);
                    unpacked.frames.push(Blob::from(std::mem::take(partial)));
                }
                (false, _) => partial.extend_from_slice(bytes),
            }
        }
        Ok(unpacked)
    }

    /// Gives back memory that a burst needed.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        self.plain.clear();
        self.plain.shrink_to(bytes);
    }
}

/// Why a session ends with a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum RecordError {
    /// The bytes were lost, repeated, moved or changed on the way.
    #[error("a record is not what the peer sealed")]
    NotSealed,
    /// The peer sealed what is no series of pieces.
    #[error("a record is malformed")]
    Malformed,
    /// The pieces of a frame add up to more than the limit.
    #[error("a frame is longer than {FRAME_BYTES_MAX} bytes")]
    FrameTooLong,
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
#[cfg(test)]
mod tests;
