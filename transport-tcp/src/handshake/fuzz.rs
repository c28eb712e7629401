//! Two sides of a handshake, and whoever sits between them.

use std::cell::RefCell;

use ordu_core::Blob;
use ordu_core::transport::Lane;

use super::*;
use crate::fuzz::Bytes;
use crate::records::{Frames, Packer, Unpacker};

/// What became of a handshake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HandshakeRun {
    /// Whether the dialer and the acceptor have a session.
    pub done: [bool; 2],
    /// Whether the dialer and the acceptor hung up.
    pub failed: [bool; 2],
}

/// Lets a dialer and an acceptor talk, with somebody between them who does what `bytes` say.
///
/// What they say arrives in cuts of any size; some of it is changed, lost, repeated, reflected or
/// invented. Without that, two nodes that share cluster and secret end with one session, whose
/// first record is read on the other side, and any others are refused for the reason that applies.
/// With a secret on either side nothing that was not said is believed, whatever is done to the
/// bytes.
///
/// # Panics
///
/// Panics if any of that does not hold.
pub fn handshake(bytes: &[u8]) -> HandshakeRun {
    let mut bytes = Bytes(bytes);
    let mut talk = Talk::new(Meeting::of(bytes.byte()));
    for _ in 0..STEPS_MAX {
        let Some(step) = bytes.next() else { break };
        talk.step(step, &mut bytes);
    }
    talk.end()
}

/// Most that is done to the bytes of one handshake.
const STEPS_MAX: usize = 64;
/// Bytes that wait for a side beyond which nothing more is reflected at it.
const UNREAD_MAX: usize = 64 << 10;
const DIALER: usize = 0;
const ACCEPTOR: usize = 1;
const NONCES: [u64; 2] = [11, 22];
const LIVES: [u64; 2] = [1, 2];
/// What the acceptor sends once it has answered.
const FIRST_FRAME: &[u8] = b"well met";

/// Who meets whom.
struct Meeting {
    keys: [Option<u8>; 2],
    clusters: [&'static str; 2],
    nodes: [&'static str; 2],
    admitted: bool,
}

impl Meeting {
    fn of(byte: u8) -> Self {
        let keys = match byte & 7 {
            0..=2 => [Some(1), Some(1)],
            3 => [None, None],
            4 => [Some(1), Some(2)],
            5 => [Some(1), None],
            6 => [None, Some(1)],
            7.. => [None, None],
        };
        let clusters = if byte & 0x18 == 0x18 { ["shop", "shed"] } else { ["shop", "shop"] };
        let nodes = if byte & 0x60 == 0x60 { ["a", "a"] } else { ["a", "b"] };
        Self { keys, clusters, nodes, admitted: byte & 0x80 == 0 }
    }

    fn identity(&self, side: usize) -> Arc<Identity> {
        let node = NodeId::new(self.nodes[side]).expect("a letter is a name");
        let greeting = Greeting::new(self.clusters[side], node);
        let key = self.keys[side].map(|byte| Key::new([byte; 32]));
        Arc::new(Identity { greeting, life: LIVES[side], key })
    }

    /// Returns whether every byte that is believed was said by the other side.
    fn is_authentic(&self) -> bool {
        self.keys != [None, None]
    }

    /// Returns why each side hangs up if nobody meddles; `None` if they agree.
    fn refusals(&self) -> Option<[HandshakeError; 2]> {
        let has_other_cluster = self.clusters[DIALER] != self.clusters[ACCEPTOR];
        match self.keys {
            [Some(_), None] => {
                Some([HandshakeError::PeerHasNoSecret, HandshakeError::PeerHasSecret])
            }
            [None, Some(_)] => {
                Some([HandshakeError::PeerHasSecret, HandshakeError::PeerHasNoSecret])
            }
            [Some(ours), Some(theirs)] if ours != theirs || has_other_cluster => {
                let alerted = HandshakeError::Alerted(Alert::NotAuthenticated);
                Some([alerted, HandshakeError::NotAuthenticated])
            }
            [Some(_), Some(_)] | [None, None] => self.disagreement(),
        }
    }

    fn disagreement(&self) -> Option<[HandshakeError; 2]> {
        let greetings = [DIALER, ACCEPTOR].map(|side| self.identity(side).greeting.clone());
        let [dialer, acceptor] = &greetings;
        let errors = [dialer.agree(acceptor).err()?, acceptor.agree(dialer).err()?];
        Some(errors.map(HandshakeError::Greeting))
    }

    fn peer_of(&self, side: usize) -> Peer {
        let other = 1 - side;
        let node = NodeId::new(self.nodes[other]).expect("a letter is a name");
        let session = SessionId(NONCES[DIALER], NONCES[ACCEPTOR]);
        Peer { node, life: LIVES[other], session }
    }
}

/// One side, what was said to it and has not arrived, and what came of it.
struct Side {
    handshake: Option<Handshake>,
    unread: Vec<u8>,
    error: Option<HandshakeError>,
    session: Option<(Channel, Vec<u8>)>,
}

/// Two sides, and what somebody between them did.
struct Talk {
    meeting: Meeting,
    sides: [Side; 2],
    /// Everything that was ever said.
    said: Vec<u8>,
    is_meddled: bool,
}

impl Talk {
    fn new(meeting: Meeting) -> Self {
        let entropy = |side: usize| Entropy { key: [side as u8 + 1; 32], nonce: NONCES[side] };
        let dialer = Handshake::dialer(meeting.identity(DIALER), entropy(DIALER));
        let acceptor = Handshake::acceptor(meeting.identity(ACCEPTOR), entropy(ACCEPTOR));
        let sides = [dialer, acceptor].map(|handshake| Side {
            handshake: Some(handshake),
            unread: Vec::new(),
            error: None,
            session: None,
        });
        let mut talk = Self { meeting, sides, said: Vec::new(), is_meddled: false };
        talk.send(DIALER);
        talk
    }

    fn step(&mut self, step: u8, bytes: &mut Bytes<'_>) {
        let side = usize::from(step & 1);
        let unread = &mut self.sides[side].unread;
        match step / 2 % 16 {
            0..=8 => return self.deliver(side, usize::from(bytes.byte())),
            9..=11 if unread.is_empty() => return,
            9 | 10 => {
                let place = usize::from(bytes.byte()) % unread.len();
                unread[place] ^= bytes.byte().max(1);
            }
            11 => drop(unread.drain(..(1 + usize::from(bytes.byte())).min(unread.len()))),
            12 => {
                let length = usize::from(bytes.byte());
                let place = usize::from(bytes.byte()).min(unread.len());
                let invented = bytes.take(length).iter().copied();
                drop(unread.splice(place..place, invented));
            }
            13 => {
                let start = usize::from(bytes.byte()).min(self.said.len());
                let end = (start + usize::from(bytes.byte())).min(self.said.len());
                unread.extend_from_slice(&self.said[start..end]);
            }
            // Two sides that are sent each other's bytes by turns would soon fill all memory.
            _ if UNREAD_MAX < unread.len() => return,
            _ => {
                let reflected = self.sides[1 - side].unread.clone();
                self.sides[side].unread.extend(reflected);
            }
        }
        self.is_meddled = true;
    }

    /// Lets up to `length` bytes arrive at `side`, at once.
    fn deliver(&mut self, side: usize, length: usize) {
        let Side { handshake, unread, error, session } = &mut self.sides[side];
        let bytes: Vec<u8> = unread.drain(..length.min(unread.len())).collect();
        if let Some((_, rest)) = session {
            rest.extend(bytes);
            return;
        }
        let Some(handshake) = handshake.as_mut().filter(|_| error.is_none()) else { return };
        let mut result = handshake.handle(&bytes);
        loop {
            match result {
                Ok(Step::Read) => break self.check_waiting(side),
                Ok(step) => match self.take_step(side, step) {
                    Some(next) => result = next,
                    None => return,
                },
                Err(refusal) => {
                    self.send(side);
                    self.sides[side].error = Some(refusal);
                    return;
                }
            }
        }
        self.send(side);
    }

    /// Does what a side needs; what it says to that, unless it is done.
    fn take_step(&mut self, side: usize, step: Step) -> Option<Result<Step, HandshakeError>> {
        let is_true = self.meeting.is_authentic() || !self.is_meddled;
        assert!(!is_true || self.meeting.refusals().is_none(), "strangers get nowhere: {step:?}");
        let verdict = self.verdict();
        let handshake = self.sides[side].handshake.as_mut().expect("it goes on");
        match step {
            Step::Read => unreachable!("bytes are the caller's to bring"),
            Step::State(peer) => {
                assert_eq!(side, DIALER, "the dialer states");
                assert!(!is_true || peer == self.meeting.peer_of(side), "{peer:?} is another");
                handshake.state(&statement());
                Some(handshake.handle(&[]))
            }
            Step::Decide(peer, stated) => {
                assert_eq!(side, ACCEPTOR, "the acceptor decides");
                assert!(!is_true || peer == self.meeting.peer_of(side), "{peer:?} is another");
                assert!(!is_true || stated == statement(), "{stated:?} was never stated");
                handshake.decide(verdict);
                self.send(side);
                self.begin(side);
                None
            }
            Step::Answered(answer) => {
                assert_eq!(side, DIALER, "the dialer is answered");
                assert!(!is_true || answer == verdict, "{answer:?} was never given");
                self.begin(side);
                None
            }
        }
    }

    fn verdict(&self) -> Verdict {
        Verdict { admitted: self.meeting.admitted, number: 9 }
    }

    /// Ends the handshake of `side`; the acceptor sends its first record at once.
    fn begin(&mut self, side: usize) {
        let handshake = self.sides[side].handshake.take().expect("it was just done");
        let (channel, rest) = handshake.into_channel();
        if side == ACCEPTOR {
            let mut record = Vec::new();
            let frames = One(RefCell::new(Some(Blob::from(FIRST_FRAME))));
            assert!(Packer::new().pack(&frames, &channel, &mut record), "there is a frame");
            self.say(side, &record);
        }
        self.sides[side].session = Some((channel, rest));
    }

    /// A side that waits for bytes holds no more than one message in part.
    fn check_waiting(&self, side: usize) {
        let handshake = self.sides[side].handshake.as_ref().expect("it goes on");
        let held = handshake.input.len();
        assert!(held < LENGTH_BYTES + MESSAGE_BYTES_MAX, "{held} bytes wait to be read");
    }

    /// Puts what `side` has to say on its way.
    fn send(&mut self, side: usize) {
        let handshake = self.sides[side].handshake.as_mut().expect("it goes on");
        let output = handshake.take_output();
        assert!(output.len() <= 2 * MESSAGE_BYTES_MAX, "{} bytes are said at once", output.len());
        self.say(side, &output);
    }

    fn say(&mut self, side: usize, bytes: &[u8]) {
        self.said.extend_from_slice(bytes);
        self.sides[1 - side].unread.extend_from_slice(bytes);
    }

    /// Lets everything arrive that is still on its way, and checks what came of it.
    fn end(mut self) -> HandshakeRun {
        for _ in 0..4 {
            self.deliver(ACCEPTOR, usize::MAX);
            self.deliver(DIALER, usize::MAX);
        }
        let done = self.sides.each_ref().map(|side| side.session.is_some());
        let errors = self.sides.each_ref().map(|side| side.error.clone());
        if !self.is_meddled {
            match self.meeting.refusals() {
                None => assert_eq!((done, &errors), ([true; 2], &[None, None]), "friends agree"),
                Some(refusals) => {
                    assert_eq!(done, [false; 2], "strangers get nowhere");
                    assert_eq!(errors, refusals.map(Some), "both know why");
                }
            }
        }
        if let Some(Side { session: Some((channel, rest)), .. }) = self.sides.first() {
            self.check_first_record(channel, rest);
        }
        HandshakeRun { done, failed: errors.map(|error| error.is_some()) }
    }

    /// Checks that what follows the handshake at the dialer is what the acceptor sent.
    fn check_first_record(&self, channel: &Channel, rest: &[u8]) {
        let first = Unpacker::record_bytes(rest).ok();
        let unpacked = first.map(|length| Unpacker::new().unpack(&rest[..length], channel));
        match unpacked {
            Some(Ok(unpacked)) if self.meeting.is_authentic() || !self.is_meddled => {
                assert_eq!(unpacked.frames, [Blob::from(FIRST_FRAME)], "only what was sealed");
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => assert!(self.is_meddled, "the first record arrives whole"),
        }
    }
}

fn statement() -> Statement {
    Statement { number: 5, holds: vec![SessionId(1, 2), SessionId(u64::MAX, 0)] }
}

/// One frame of control.
struct One(RefCell<Option<Blob>>);

impl Frames for One {
    fn pop(&self, lane: Lane) -> Option<Blob> {
        match lane {
            Lane::Control => self.0.borrow_mut().take(),
            Lane::Bulk => None,
        }
    }
}
