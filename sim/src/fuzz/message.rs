//! Bytes from a peer, read as a message and as a greeting.

use ordu_core::limits::FRAME_BYTES_MAX;
use ordu_core::message::{Envelope, Message};
use ordu_core::wire::{Greeting, WireError, decode, decode_frame, encode, encode_frame};

/// What bytes turned out to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MessageRun {
    /// A message of the kind with this number.
    Read(u8),
    /// A message of a kind that we do not know and may skip.
    Skipped,
    /// Nothing that a peer says.
    Refused,
}

/// Reads `bytes` as a frame and as a greeting, as a transport does with what a peer sends.
///
/// What can be read is written and read again. There is one shortest encoding, so what comes back
/// is as long as `bytes` only if it equals them, but for the flags, which say nothing of a kind
/// that is known. Less or more than the whole frame is refused, for the reason that applies.
///
/// # Panics
///
/// Panics if any of that does not hold.
pub fn message(bytes: &[u8]) -> MessageRun {
    if let Ok(greeting) = decode::<Greeting>(bytes) {
        assert_eq!(decode(&encode(&greeting)), Ok(greeting.clone()), "what is written can be read");
        assert!(greeting.agree(&greeting).is_err(), "nobody has a session with itself");
    }
    match decode_frame(bytes) {
        Ok(Some(envelope)) => {
            check_read(bytes, envelope);
            MessageRun::Read(bytes[0])
        }
        Ok(None) => {
            assert!(KINDS <= bytes[0] && bytes[1] & 1 == 1, "only the unknown is skipped");
            MessageRun::Skipped
        }
        Err(error) => {
            check_refused(bytes, &error);
            MessageRun::Refused
        }
    }
}

/// How many kinds of messages there are.
const KINDS: u8 = 24;
/// Bytes before the body: the kind and the flags.
const HEADER_BYTES: usize = 2;

fn check_read(bytes: &[u8], envelope: Envelope) {
    assert!(bytes[0] < KINDS, "every kind is counted");
    assert_eq!(bytes[0], kind(&envelope.message), "a message is of the kind that its frame says");
    let frame = encode_frame(&envelope);
    assert!(frame.len() <= bytes.len(), "our own encoding is the shortest");
    if frame.len() == bytes.len() {
        let bodies = (&frame[HEADER_BYTES..], &bytes[HEADER_BYTES..]);
        assert_eq!(bodies.0, bodies.1, "there is one shortest encoding");
    }
    assert_eq!(decode_frame(&frame), Ok(Some(envelope)), "what is written can be read");

    for end in [0, HEADER_BYTES, frame.len() / 2, frame.len() - 1] {
        let part = decode_frame(&frame[..end]);
        assert!(part.is_err(), "the first {end} bytes of a message are none");
    }
    if frame.len() < FRAME_BYTES_MAX {
        let longer = [&frame, [0].as_slice()].concat();
        let trailing = Err(WireError::TrailingBytes { bytes: 1 });
        assert_eq!(decode_frame(&longer), trailing, "a message ends where it ends");
    }
}

fn check_refused(bytes: &[u8], error: &WireError) {
    let body_bytes = bytes.len().saturating_sub(HEADER_BYTES);
    let fits = match *error {
        WireError::Truncated { bytes: given } => given == bytes.len() && given < HEADER_BYTES,
        WireError::TooLong { bytes: given, max } => {
            given == bytes.len() && max == FRAME_BYTES_MAX && max < given
        }
        WireError::UnknownType { kind } => bytes[0] == kind && KINDS <= kind && bytes[1] & 1 == 0,
        WireError::Malformed => bytes[0] < KINDS,
        WireError::TrailingBytes { bytes: extra } => {
            bytes[0] < KINDS && 0 < extra && extra < body_bytes
        }
        ref error => panic!("no test knows of {error:?}"),
    };
    assert!(fits, "{} bytes are refused for a reason that is not theirs: {error}", bytes.len());
}

/// Returns the number of `message`'s kind on the wire.
fn kind(message: &Message) -> u8 {
    match message {
        Message::Hello(_) => 0,
        Message::Join => 1,
        Message::Welcome(_) => 2,
        Message::Beat(_) => 3,
        Message::Digest(_) => 4,
        Message::Need(_) => 5,
        Message::Delta(_) => 6,
        Message::Ack(_) => 7,
        Message::Won(_) => 8,
        Message::Yield(_) => 9,
        Message::Forward(_) => 10,
        Message::Forwarded(_) => 11,
        Message::Call(_) => 12,
        Message::Reply(_) => 13,
        Message::Cast(_) => 14,
        Message::Probe(_) => 15,
        Message::Condition(_) => 16,
        Message::Publish(_) => 17,
        Message::Excluded(_) => 18,
        Message::LeaseRequest(_) => 19,
        Message::LeaseReply(_) => 20,
        Message::Electorate(_) => 21,
        Message::Proposal(_) => 22,
        Message::Vote(_) => 23,
    }
}
