//! Frames packed into records, cut anywhere, and bytes that are no records.

use std::cell::RefCell;
use std::collections::VecDeque;

use ordu_core::hash64;
use ordu_core::wire::decode_frame;

use super::*;
use crate::fuzz::Bytes;

/// What became of the bytes on the wire; equal however they were cut.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FrameRun {
    /// How many frames arrived.
    pub frames: usize,
    /// How many of them were messages.
    pub messages: usize,
    /// Whether the session ended because of what came.
    pub refused: bool,
    /// Whether the sender said that nothing follows.
    pub farewell: bool,
}

/// Sends frames that `bytes` say as records, or something else, and reads them.
///
/// What is packed arrives: on each lane every frame, as it was, in order. However the stream is cut
/// it says the same; whatever it claims to hold, the receiver makes room for no more than twice
/// what came, and keeps of no frame more than the limit. What arrives is packed and read again.
///
/// Long frames are dear: one run in `long_of` has some, by the hash of the bytes.
///
/// # Panics
///
/// Panics if any of that does not hold, and if `long_of` is 0.
pub fn frame(bytes: &[u8], long_of: u64) -> FrameRun {
    assert!(long_of > 0, "one in none is none");
    let is_long = hash64(bytes).is_multiple_of(long_of);
    let mut bytes = Bytes(bytes);
    let mode = bytes.byte();
    let (stream, sent) = match mode {
        0..=127 => packed(&mut bytes, is_long),
        128..=191 => garbled(&mut bytes, is_long),
        192..=223 => sealed(&mut bytes),
        224..=255 => (Vec::from(std::mem::take(&mut bytes.0)), None),
    };
    let whole = read(&stream, |left| left);
    let cut = read(&stream, |left| match bytes.next() {
        Some(size) => (1 + usize::from(size) * left / 512).min(left),
        None => left,
    });
    assert_eq!(cut, whole, "the stream says the same, however it is cut");
    if let Some(sent) = sent {
        sent.check(&whole);
    }
    if whole.error.is_none() || whole.frames.len() < FRAMES_MAX {
        check_again(&whole);
    }
    whole.run()
}

/// Most frames of one run.
const FRAMES_MAX: usize = 32;

/// Frames that wait to be packed, or have been.
#[derive(Default)]
struct Waiting([RefCell<VecDeque<Blob>>; 2]);

impl Waiting {
    fn push(&self, lane: Lane, frame: Blob) {
        self.0[place(lane)].borrow_mut().push_back(frame);
    }
}

impl Frames for Waiting {
    fn pop(&self, lane: Lane) -> Option<Blob> {
        self.0[place(lane)].borrow_mut().pop_front()
    }
}

const fn place(lane: Lane) -> usize {
    match lane {
        Lane::Control => 0,
        Lane::Bulk => 1,
    }
}

/// What an honest sender sent, by lane.
#[derive(Default)]
struct Sent([Vec<Blob>; 2]);

impl Sent {
    /// Checks that exactly this arrived, unless a frame was over the limit.
    fn check(&self, read: &Read) {
        let lengths = self.0.iter().flatten().map(|frame| frame.len());
        if lengths.max().is_some_and(|longest| FRAME_BYTES_MAX < longest) {
            assert_eq!(read.error, Some(RecordError::FrameTooLong), "the limit is the limit");
            return;
        }
        assert_eq!(read.error, None, "what is packed is read");
        assert!(read.farewell, "the last word is heard");
        let mut arrived = self.0.each_ref().map(|frames| frames.iter().peekable());
        for frame in &read.frames {
            // A frame does not say its lane: it is the next of one, and control goes first.
            let [control, bulk] = &mut arrived;
            let next = control.next_if_eq(&frame).or_else(|| bulk.next_if_eq(&frame));
            assert!(next.is_some(), "frames of a lane arrive as they were, in order");
        }
        assert_eq!(arrived.map(Iterator::count), [0, 0], "every frame arrives");
    }
}

/// Packs frames as a session does, while more come; the stream, and what is in it.
fn packed(bytes: &mut Bytes<'_>, is_long: bool) -> (Vec<u8>, Option<Sent>) {
    let (mut packer, mut stream) = (Packer::new(), Vec::new());
    let (waiting, mut sent) = (Waiting::default(), Sent::default());
    for number in 0..bytes.byte() % 16 {
        let how = bytes.byte();
        let lane = if how & 1 == 0 { Lane::Control } else { Lane::Bulk };
        // Only one lane has empty frames, so that no two frames of different lanes are equal.
        let length_min = 1 - place(lane);
        let frame = some_frame(bytes, number, length_min, is_long);
        sent.0[place(lane)].push(frame.clone());
        waiting.push(lane, frame);
        if how & 6 == 0 {
            packer.pack(&waiting, &Channel::Plain, &mut stream);
        }
    }
    while packer.pack(&waiting, &Channel::Plain, &mut stream) {}
    packer.pack_farewell(&Channel::Plain, &mut stream);
    (stream, Some(sent))
}

/// Returns a frame that is short, about as long as a record, or about as long as the limit.
///
/// It starts with its number, so that no two frames of a run are equal but for empty ones.
fn some_frame(bytes: &mut Bytes<'_>, number: u8, length_min: usize, is_long: bool) -> Blob {
    let length = match bytes.byte() {
        short if !is_long => usize::from(short).max(length_min),
        short @ 0..=239 => usize::from(short).max(length_min),
        about_a_record @ 240..=254 => {
            PLAIN_BYTES_MAX - PIECE_HEADER_BYTES - 7 + usize::from(about_a_record - 240)
        }
        255 => FRAME_BYTES_MAX - 1 + usize::from(bytes.byte() % 3),
    };
    let mut frame = vec![number; length];
    let said = bytes.take(length.saturating_sub(1).min(8));
    if let Some(rest) = frame.get_mut(1..=said.len()) {
        rest.copy_from_slice(said);
    }
    Blob::from(frame)
}

/// Packs frames, and changes some bytes of the stream.
fn garbled(bytes: &mut Bytes<'_>, is_long: bool) -> (Vec<u8>, Option<Sent>) {
    let changes = bytes.byte() % 4;
    let (mut stream, _) = packed(bytes, is_long);
    for _ in 0..changes {
        let place = usize::from(u16::from_be_bytes([bytes.byte(), bytes.byte()])) % stream.len();
        stream[place] ^= bytes.byte();
    }
    (stream, None)
}

/// Puts pieces of any kind into records whose lengths are right.
fn sealed(bytes: &mut Bytes<'_>) -> (Vec<u8>, Option<Sent>) {
    let mut stream = Vec::new();
    while !bytes.0.is_empty() && stream.len() < 1 << 12 {
        let pieces = bytes.byte() % 4;
        let mut plain = Vec::new();
        for _ in 0..pieces {
            let (flags, length) = (bytes.byte() % 8, bytes.byte());
            let piece = bytes.take(usize::from(length % 16));
            let claim = if length < 240 { piece.len() as u16 } else { u16::from(bytes.byte()) };
            plain.push(flags);
            plain.extend_from_slice(&claim.to_be_bytes());
            plain.extend_from_slice(piece);
        }
        stream.extend_from_slice(&(plain.len() as u16).to_be_bytes());
        stream.extend_from_slice(&plain);
    }
    (stream, None)
}

/// What a receiver makes of a stream.
#[derive(Debug, Default, Eq, PartialEq)]
struct Read {
    frames: Vec<Blob>,
    farewell: bool,
    error: Option<RecordError>,
}

impl Read {
    fn run(&self) -> FrameRun {
        let is_message = |frame: &&Blob| matches!(decode_frame(frame), Ok(Some(_)));
        FrameRun {
            frames: self.frames.len(),
            messages: self.frames.iter().filter(is_message).count(),
            refused: self.error.is_some(),
            farewell: self.farewell,
        }
    }
}

/// Reads `stream` as a session does, in cuts of the sizes that `cut` returns for what is left.
fn read(stream: &[u8], mut cut: impl FnMut(usize) -> usize) -> Read {
    let (mut unpacker, mut read) = (Unpacker::new(), Read::default());
    let (mut done, mut came) = (0, 0);
    while came < stream.len() {
        came += cut(stream.len() - came);
        loop {
            let record = match Unpacker::record_bytes(&stream[done..came]) {
                Ok(length) => &stream[done..done + length],
                Err(least) => {
                    assert!(came - done < least, "it asks for more than there is");
                    assert!(least <= LENGTH_BYTES + usize::from(u16::MAX), "records are short");
                    break;
                }
            };
            done += record.len();
            match unpacker.unpack(record, &Channel::Plain) {
                Ok(unpacked) => {
                    read.frames.extend(unpacked.frames);
                    read.farewell |= unpacked.farewell;
                }
                Err(error) => {
                    read.error = Some(error);
                    return read;
                }
            }
            unpacker.check(done);
        }
    }
    read
}

impl Unpacker {
    /// Checks that what is kept was sent, in `bytes` of records, and is within the limit.
    fn check(&self, bytes: usize) {
        for partial in [&self.control, &self.bulk] {
            assert!(partial.len() <= FRAME_BYTES_MAX, "a frame is within the limit");
        }
        let kept = self.control.capacity() + self.bulk.capacity();
        assert!(kept <= 2 * bytes + 64, "{kept} bytes are kept of {bytes}");
        assert!(self.plain.capacity() <= 2 * bytes.min(1 << 16), "a record needs little room");
    }
}

/// Checks that the frames that arrived would arrive at the next one, too.
fn check_again(read: &Read) {
    let waiting = Waiting::default();
    for frame in &read.frames {
        assert!(frame.len() <= FRAME_BYTES_MAX, "no frame is over the limit");
        waiting.push(Lane::Bulk, frame.clone());
    }
    let (mut packer, mut stream) = (Packer::new(), Vec::new());
    while packer.pack(&waiting, &Channel::Plain, &mut stream) {}
    let again = self::read(&stream, |left| left);
    assert_eq!(again.frames, read.frames, "what arrived is sent on as it was");
}
