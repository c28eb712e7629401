//! A message as a frame: type and flags outside the body, so that the unknown can be skipped.

use alloc::vec::Vec;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::message::{Envelope, Message};
use crate::wire::{BYTES_EXPECTED, WireError, decode, encode_onto};
use crate::{Incarnation, limits::FRAME_BYTES_MAX};

/// Bytes before the body: the type and the flags.
const HEADER_BYTES: usize = 2;

/// The flag that lets a receiver skip a type it does not know.
const SKIPPABLE: u8 = 1;

/// Returns `envelope` as a frame.
pub fn encode_frame(envelope: &Envelope) -> Vec<u8> {
    let with = |kind: u8, flags: u8, body: &dyn ErasedBody| {
        let mut frame = Vec::with_capacity(BYTES_EXPECTED);
        frame.extend_from_slice(&[kind, flags]);
        body.encode_after(envelope.incarnation, envelope.beat, &mut frame);
        frame
    };
    match &envelope.message {
        Message::Hello(body) => with(0, 0, body),
        Message::Join => with(1, 0, &()),
        Message::Welcome(body) => with(2, 0, body),
        Message::Beat(body) => with(3, 0, body),
        Message::Digest(body) => with(4, 0, body),
        Message::Need(body) => with(5, 0, body),
        Message::Delta(body) => with(6, 0, body),
        Message::Ack(body) => with(7, 0, body),
        Message::Won(body) => with(8, 0, body),
        Message::Yield(body) => with(9, 0, body),
        Message::Forward(body) => with(10, 0, body),
        Message::Forwarded(body) => with(11, 0, body),
        Message::Call(body) => with(12, 0, body),
        Message::Reply(body) => with(13, 0, body),
        Message::Cast(body) => with(14, 0, body),
        Message::Probe(body) => with(15, 0, body),
        Message::Condition(body) => with(16, 0, body),
        Message::Publish(body) => with(17, 0, body),
        Message::Excluded(body) => with(18, 0, body),
        Message::LeaseRequest(body) => with(19, 0, body),
        Message::LeaseReply(body) => with(20, 0, body),
        Message::Electorate(body) => with(21, 0, body),
        Message::Proposal(body) => with(22, 0, body),
        Message::Vote(body) => with(23, 0, body),
    }
}

/// Returns the envelope of `frame`, or `None` if it is of an unknown type that may be skipped.
///
/// # Errors
///
/// Refuses what no peer of a protocol version that we speak sends; the session is to be ended.
pub fn decode_frame(frame: &[u8]) -> Result<Option<Envelope>, WireError> {
    if frame.len() > FRAME_BYTES_MAX {
        return Err(WireError::TooLong { bytes: frame.len(), max: FRAME_BYTES_MAX });
    }
    let Some((&[kind, flags], body)) = frame.split_first_chunk::<HEADER_BYTES>() else {
        return Err(WireError::Truncated { bytes: frame.len() });
    };
    match kind {
        0 => body_of(body, Message::Hello),
        1 => body_of(body, |()| Message::Join),
        2 => body_of(body, Message::Welcome),
        3 => body_of(body, Message::Beat),
        4 => body_of(body, Message::Digest),
        5 => body_of(body, Message::Need),
        6 => body_of(body, Message::Delta),
        7 => body_of(body, Message::Ack),
        8 => body_of(body, Message::Won),
        9 => body_of(body, Message::Yield),
        10 => body_of(body, Message::Forward),
        11 => body_of(body, Message::Forwarded),
        12 => body_of(body, Message::Call),
        13 => body_of(body, Message::Reply),
        14 => body_of(body, Message::Cast),
        15 => body_of(body, Message::Probe),
        16 => body_of(body, Message::Condition),
        17 => body_of(body, Message::Publish),
        18 => body_of(body, Message::Excluded),
        19 => body_of(body, Message::LeaseRequest),
        20 => body_of(body, Message::LeaseReply),
        21 => body_of(body, Message::Electorate),
        22 => body_of(body, Message::Proposal),
        23 => body_of(body, Message::Vote),
        _ if flags & SKIPPABLE != 0 => Ok(None),
        kind => Err(WireError::UnknownType { kind }),
    }
}

fn body_of<T: DeserializeOwned>(
    body: &[u8],
    message: impl FnOnce(T) -> Message,
) -> Result<Option<Envelope>, WireError> {
    let (incarnation, beat, body): (Incarnation, u64, T) = decode(body)?;
    Ok(Some(Envelope { incarnation, beat, message: message(body) }))
}

/// A body of any type, so that one closure encodes them all.
trait ErasedBody {
    fn encode_after(&self, incarnation: Incarnation, beat: u64, frame: &mut Vec<u8>);
}

impl<T: Serialize> ErasedBody for T {
    fn encode_after(&self, incarnation: Incarnation, beat: u64, frame: &mut Vec<u8>) {
        encode_onto(&(incarnation, beat, self), frame);
    }
}
