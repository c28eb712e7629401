//! Frames in, frames out, and what a peer could send instead.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::noise::{derive_key, handshake};
use crate::secret::Secret;

/// Two queues without bounds.
#[derive(Default)]
struct Waiting {
    control: RefCell<VecDeque<Blob>>,
    bulk: RefCell<VecDeque<Blob>>,
}

impl Frames for Waiting {
    fn pop(&self, lane: Lane) -> Option<Blob> {
        match lane {
            Lane::Control => self.control.borrow_mut().pop_front(),
            Lane::Bulk => self.bulk.borrow_mut().pop_front(),
        }
    }
}

fn waiting(control: &[Blob], bulk: &[Blob]) -> Waiting {
    let queue = |frames: &[Blob]| RefCell::new(frames.iter().cloned().collect());
    Waiting { control: queue(control), bulk: queue(bulk) }
}

/// Both ends of an encrypted channel.
fn channels() -> [Channel; 2] {
    let secret = Secret::from_bytes((0..32).collect::<Vec<u8>>()).unwrap();
    let key = derive_key(&secret, "shop");
    let (mut a, mut b) =
        (handshake(true, &key, b"test", [1; 32]), handshake(false, &key, b"test", [2; 32]));
    let (mut message, mut payload) = ([0; 256], [0; 256]);
    let length = a.write_message(&[], &mut message).unwrap();
    b.read_message(&message[..length], &mut payload).unwrap();
    let length = b.write_message(&[], &mut message).unwrap();
    a.read_message(&message[..length], &mut payload).unwrap();
    [a, b].map(|side| Channel::Noise(Box::new(side.into_stateless_transport_mode().unwrap())))
}

/// Everything that waits, as records.
fn records(frames: &Waiting, channel: &Channel) -> Vec<Vec<u8>> {
    let mut packer = Packer::new();
    std::iter::from_fn(|| {
        let mut record = Vec::new();
        packer.pack(frames, channel, &mut record).then_some(record)
    })
    .collect()
}

fn frame(length: usize, seed: u8) -> Blob {
    Blob::from((0..length).map(|at| (at % 251) as u8 ^ seed).collect::<Vec<u8>>())
}

#[test]
fn a_frame_of_every_length_around_the_edges_arrives_as_it_was() {
    let [a, b] = channels();
    let edge = PLAIN_BYTES_MAX - PIECE_HEADER_BYTES;
    for length in [0, 1, edge - 1, edge, edge + 1, 2 * edge, FRAME_BYTES_MAX] {
        for (from, to) in [(&a, &b), (&Channel::Plain, &Channel::Plain)] {
            let sent = [frame(length, 1), frame(3, 2)];
            let mut unpacker = Unpacker::new();
            let mut arrived = Vec::new();
            for record in records(&waiting(&[], &sent), from) {
                assert!(record.len() <= LENGTH_BYTES + usize::from(u16::MAX));
                arrived.extend(unpacker.unpack(&record, to).unwrap().frames);
            }
            assert_eq!(arrived, sent, "{length} bytes over {from:?}");
        }
    }
}

#[test]
fn control_waits_for_one_record_of_bulk_at_most() {
    let frames = waiting(&[], &[frame(FRAME_BYTES_MAX, 1)]);
    let mut packer = Packer::new();
    let mut unpacker = Unpacker::new();
    let mut record = Vec::new();
    assert!(packer.pack(&frames, &Channel::Plain, &mut record), "bulk is on its way");
    let before = unpacker.unpack(&record, &Channel::Plain).unwrap();
    assert_eq!(before.frames, [], "a record holds a part of it");

    frames.control.borrow_mut().push_back(Blob::from("beat"));
    record.clear();
    assert!(packer.pack(&frames, &Channel::Plain, &mut record));
    let next = unpacker.unpack(&record, &Channel::Plain).unwrap();
    assert_eq!(next.frames, [Blob::from("beat")], "the very next record carries control");
}

#[test]
fn small_frames_share_a_record() {
    let control: Vec<Blob> = (0..100).map(|seed| frame(20, seed)).collect();
    let bulk: Vec<Blob> = (0..100).map(|seed| frame(30, seed)).collect();
    let records = records(&waiting(&control, &bulk), &Channel::Plain);
    assert_eq!(records.len(), 1);
    let arrived = Unpacker::new().unpack(&records[0], &Channel::Plain).unwrap().frames;
    assert_eq!(arrived, [control, bulk].concat(), "control first");
}

#[test]
fn every_flipped_bit_and_every_cut_ends_the_session() {
    let [a, b] = channels();
    let record = &records(&waiting(&[frame(5, 1)], &[frame(40, 2)]), &a)[0];
    let mut unpacker = Unpacker::new();
    for bit in 8 * LENGTH_BYTES..8 * record.len() {
        let mut changed = record.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(unpacker.unpack(&changed, &b), Err(RecordError::NotSealed), "bit {bit}");
    }
    for length in LENGTH_BYTES..record.len() {
        assert_eq!(Unpacker::record_bytes(&record[..length]), Err(record.len()));
        let mut cut = Vec::from(&record[..length]);
        cut[..LENGTH_BYTES].copy_from_slice(&((length - LENGTH_BYTES) as u16).to_be_bytes());
        assert_eq!(unpacker.unpack(&cut, &b), Err(RecordError::NotSealed), "cut to {length}");
    }
    assert_eq!(unpacker.unpack(record, &b).map(|unpacked| unpacked.frames.len()), Ok(2));
}

#[test]
fn a_record_repeated_skipped_or_sent_back_ends_the_session() {
    let [a, b] = channels();
    let sent = records(&waiting(&[], &[frame(150_000, 1)]), &a);
    assert_eq!(sent.len(), 3);

    let mut unpacker = Unpacker::new();
    assert!(unpacker.unpack(&sent[0], &b).is_ok());
    assert_eq!(unpacker.unpack(&sent[0], &b), Err(RecordError::NotSealed), "repeated");
    assert_eq!(Unpacker::new().unpack(&sent[1], &b), Err(RecordError::NotSealed), "skipped");
    assert_eq!(Unpacker::new().unpack(&sent[0], &a), Err(RecordError::NotSealed), "sent back");
}

/// Hands `pieces` over as the insides of records of a peer that has the secret.
fn unpack_pieces(pieces: &[&[u8]]) -> Result<Unpacked, RecordError> {
    let mut unpacker = Unpacker::new();
    let mut last = Ok(Unpacked::default());
    for piece in pieces {
        let mut record = Vec::from((piece.len() as u16).to_be_bytes());
        record.extend_from_slice(piece);
        last = unpacker.unpack(&record, &Channel::Plain);
        if last.is_err() {
            break;
        }
    }
    last
}

#[test]
fn what_is_no_series_of_pieces_is_refused() {
    let malformed: [&[&[u8]]; 9] = [
        &[b""],
        &[b"\x02"],
        &[b"\x02\x00"],
        &[b"\x02\x00\x05abcd"],
        &[b"\x08\x00\x01a"],
        &[b"\x82\x00\x01a"],
        &[b"\x00\x00\x00"],
        &[b"\x00\x00\x01a", b"\x02\x00\x00"],
        &[b"\x04\x00\x00\x02\x00\x01a"],
    ];
    for pieces in malformed {
        assert_eq!(unpack_pieces(pieces), Err(RecordError::Malformed), "{pieces:?}");
    }
    let farewell = unpack_pieces(&[b"\x02\x00\x01a\x04\x00\x00"]).unwrap();
    assert_eq!((farewell.frames, farewell.farewell), (vec![Blob::from("a")], true));
}

#[test]
fn a_frame_that_never_ends_is_refused_at_the_limit() {
    let mut piece = vec![FLAG_BULK, 0xff, 0x00];
    piece.resize(PIECE_HEADER_BYTES + 0xff00, 7);
    let whole = FRAME_BYTES_MAX / 0xff00;
    let pieces: Vec<&[u8]> = vec![&piece; whole + 1];
    assert!(unpack_pieces(&pieces[..whole]).is_ok());
    assert_eq!(unpack_pieces(&pieces), Err(RecordError::FrameTooLong));
}

proptest! {
    /// Whatever waits arrives, each lane in its order, however the bytes are cut on the way.
    #[test]
    fn what_is_packed_is_unpacked(
        control in prop::collection::vec(0_usize..300, 0..40),
        bulk in prop::collection::vec(0_usize..200_000, 0..6),
        chunk in 1_usize..100_000,
    ) {
        let frames = |lengths: &[usize]| -> Vec<Blob> {
            lengths.iter().enumerate().map(|(seed, &length)| frame(length, seed as u8)).collect()
        };
        // The lane is the first byte, so that each one's order can be told.
        let mark = |lane: u8, frames: Vec<Blob>| -> Vec<Blob> {
            frames.iter().map(|frame| Blob::from([&[lane], frame.as_bytes()].concat())).collect()
        };
        let (control, bulk) = (mark(b'c', frames(&control)), mark(b'b', frames(&bulk)));
        let bytes = records(&waiting(&control, &bulk), &Channel::Plain).concat();

        let mut unpacker = Unpacker::new();
        let (mut input, mut arrived) = (Vec::new(), Vec::new());
        for chunk in bytes.chunks(chunk) {
            input.extend_from_slice(chunk);
            while let Ok(length) = Unpacker::record_bytes(&input) {
                let record: Vec<u8> = input.drain(..length).collect();
                arrived.extend(unpacker.unpack(&record, &Channel::Plain).unwrap().frames);
            }
        }
        let of = |lane: u8| -> Vec<Blob> {
            arrived.iter().filter(|frame| frame.as_bytes()[0] == lane).cloned().collect()
        };
        prop_assert_eq!(of(b'c'), control);
        prop_assert_eq!(of(b'b'), bulk);
    }

    /// Whatever a peer with the secret seals, nothing panics and nothing grows past the limit.
    #[test]
    fn any_record_is_unpacked_or_refused(
        records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
    ) {
        let mut unpacker = Unpacker::new();
        for plain in records {
            let mut record = Vec::from((plain.len() as u16).to_be_bytes());
            record.extend_from_slice(&plain);
            if unpacker.unpack(&record, &Channel::Plain).is_err() {
                break;
            }
            prop_assert!(unpacker.control.len() + unpacker.bulk.len() <= 2 * FRAME_BYTES_MAX);
        }
    }
}

/// A packer and its channel go from thread to thread with their session.
#[test]
fn sessions_may_move_between_threads() {
    fn movable<T: Send + Sync>() {}
    movable::<Arc<Channel>>();
    movable::<Packer>();
    movable::<Unpacker>();
}
