//! Keeps the last inputs of a node, and states that they follow from.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;

use crate::flight::dump::{Dump, Reason, Start};
use crate::flight::payloads::{Payloads, redact};
use crate::flight::tape::Tape;
use crate::{Blob, Config, Input, Node, Time, hash64, wire};

/// How much a [`Recorder`] keeps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Bytes of memory that inputs and states take together, 8 MiB by default, 96 MiB at most; the
    /// allocator may take up to 64 KiB more for each state in it.
    ///
    /// High reaches further back, and makes dumps larger. A state takes an eighth of it at most: a
    /// node whose state is longer keeps nothing, once its first inputs fill the ring. It bounds,
    /// too, how long a node stands still while its state is encoded: some 3 ms for each MiB of an
    /// eighth of it.
    pub bytes_max: usize,
    /// What becomes of what processes say to each other; hashed by default. A payload is hashed
    /// once, at some 10 GB/s; kept, it is copied, and takes its length of `bytes_max`.
    pub payloads: Payloads,
}

impl Settings {
    /// Most bytes that `bytes_max` means.
    pub const BYTES_MAX: usize = 96 << 20;
}

impl Default for Settings {
    fn default() -> Self {
        Self { bytes_max: 8 << 20, payloads: Payloads::default() }
    }
}

/// Keeps the last inputs of one life of a node, and what is needed to live them again.
///
/// Tell it of every input before the node: [`record`](Self::record), then
/// [`Node::handle`]. What it keeps begins with the node's birth or with a state of it, and nothing
/// is missing from there on. Its memory is bounded, see [`Settings::bytes_max`]; where a state does
/// not fit, or a single input is longer than all of it, it keeps nothing until that has passed,
/// rather than inputs that follow from nothing.
///
/// # Example
///
/// ```
/// use ordu_core::flight::{Reason, Recorder, Settings};
/// use ordu_core::{Address, Config, Input, Node, NodeId, Time};
///
/// let config = Config::new(NodeId::new("a")?, Address::new("127.0.0.1:4000")?);
/// let mut recorder = Recorder::new(config.clone(), 7, Time::ZERO, Settings::default());
/// let mut node = Node::new(config, 7, Time::ZERO);
/// for second in 0..10 {
///     let now = Time::from_millis(second * 1_000);
///     recorder.record(now, &Input::Tick, &node);
///     node.handle(now, Input::Tick);
/// }
///
/// let dump = recorder.dump(Reason::Demand, Some(&node))?;
/// let replayed = dump.replay()?;
/// assert_eq!(Some(replayed.state_hash), dump.state_hash());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Invariants: the bytes of all segments are at most `bytes_max`; each segment begins where the one
/// before ends.
#[derive(Clone)]
pub struct Recorder {
    config: Config,
    seed: u64,
    born: Time,
    settings: Settings,
    segments: VecDeque<Segment>,
    bytes: usize,
    /// When the last input came.
    last: Time,
    /// How many inputs came and are not kept.
    dropped: u64,
    /// How many bytes of inputs come before the next look at the state.
    until_snapshot: usize,
}

/// A state, and the inputs after it.
#[derive(Clone)]
struct Segment {
    /// The state, encoded; `None` at birth.
    state: Option<Vec<u8>>,
    /// From when on the time of the first input counts.
    since: Time,
    tape: Tape,
}

impl Segment {
    fn bytes(&self) -> usize {
        self.state.as_ref().map_or(0, Vec::len) + self.tape.bytes()
    }
}

impl Recorder {
    /// Bytes of inputs between two states at least, if there is room.
    const INTERVAL_MIN: usize = 256 << 10;

    /// Bytes of inputs for each byte of a state, if there is room.
    const INPUTS_PER_STATE: usize = 4;

    /// The part of the memory that one state may take.
    const STATE_PART: usize = 8;

    /// How many intervals pass before the next attempt, when a state did not fit.
    const ATTEMPT_INTERVALS: usize = 8;

    /// What an input counts for that is not kept, while there is nothing that it follows from.
    const UNKEPT_BYTES: usize = 64;

    /// Creates the recorder of the node that `Node::new(config, seed, born)` makes.
    pub fn new(config: Config, seed: u64, born: Time, settings: Settings) -> Self {
        let bytes_max = settings.bytes_max.min(Settings::BYTES_MAX);
        let mut recorder = Self {
            config,
            seed,
            born,
            settings: Settings { bytes_max, ..settings },
            segments: VecDeque::new(),
            bytes: 0,
            last: born,
            dropped: 0,
            until_snapshot: 0,
        };
        recorder.begin(None);
        recorder
    }

    /// Takes in that `node` is about to be fed `input`.
    ///
    /// Costs the length of the input as bytes, payload excluded if it is hashed; now and then the
    /// length of the node's state.
    ///
    /// # Panics
    ///
    /// Panics if `now` lies before an earlier call's.
    pub fn record(&mut self, now: Time, input: &Input, node: &Node) {
        assert!(self.last <= now, "time ran backwards from {} to {now}", self.last);
        if self.until_snapshot == 0 {
            self.take_snapshot(node);
        }
        let after = now.as_micros() - self.last.as_micros();
        self.last = now;
        let Some(segment) = self.segments.back_mut() else {
            self.dropped += 1;
            self.until_snapshot = self.until_snapshot.saturating_sub(Self::UNKEPT_BYTES);
            return;
        };
        let bytes = segment.tape.push(after, input, self.settings.payloads);
        self.bytes += bytes;
        self.until_snapshot = self.until_snapshot.saturating_sub(bytes);
        if self.settings.bytes_max < self.bytes {
            self.make_room();
        }
        assert!(self.bytes <= self.settings.bytes_max, "what is kept is bounded");
    }

    /// Returns everything that is kept, and what becomes of it: the hash of `node`'s state, or
    /// `None` if it panicked over the last input and has none.
    ///
    /// Costs what is kept, and the node's state twice.
    ///
    /// # Errors
    ///
    /// When nothing is kept, see [`Recorder`].
    pub fn dump(&self, reason: Reason, node: Option<&Node>) -> Result<Dump, DumpError> {
        let Some(first) = self.segments.front() else {
            return Err(DumpError::NothingKept { bytes_max: self.settings.bytes_max });
        };
        let start = match &first.state {
            None => Start::Birth,
            Some(state) => Start::State(Blob::from(self.redacted(state))),
        };
        let mut inputs = Vec::with_capacity(self.segments.iter().map(|s| s.tape.bytes()).sum());
        for chunk in self.segments.iter().flat_map(|segment| segment.tape.chunks()) {
            inputs.extend_from_slice(chunk);
        }
        Ok(Dump {
            reason,
            config: self.config.clone(),
            seed: self.seed,
            born: self.born,
            payloads: self.settings.payloads,
            dropped: self.dropped,
            start,
            since: first.since,
            inputs: Blob::from(inputs),
            count: self.kept(),
            state_hash: node.map(|node| hash64(&self.redacted(&wire::encode(node)))),
        })
    }

    /// Returns how many inputs are kept.
    pub fn kept(&self) -> u64 {
        self.segments.iter().map(|segment| segment.tape.count()).sum()
    }

    /// Returns how many inputs came and are not kept any more.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Returns how many bytes the inputs and the states take that are kept.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns a state, encoded, without what is not to leave the node.
    fn redacted(&self, state: &[u8]) -> Vec<u8> {
        let mut node: Node = wire::decode_own(state);
        node.drop_outputs();
        match self.settings.payloads {
            Payloads::Hashed => node.visit_payloads(redact),
            Payloads::Kept => (),
        }
        wire::encode(&node)
    }

    /// Begins a segment with the present state of `node`, if it fits.
    fn take_snapshot(&mut self, node: &Node) {
        let state_max = self.settings.bytes_max / Self::STATE_PART;
        match wire::encode_within(node, state_max) {
            Some(state) => self.begin(Some(state)),
            // The attempt was not for free, and a state seldom shrinks.
            None => self.until_snapshot = Self::ATTEMPT_INTERVALS * self.interval(state_max),
        }
    }

    fn begin(&mut self, state: Option<Vec<u8>>) {
        let bytes = state.as_ref().map_or(0, Vec::len);
        self.until_snapshot = self.interval(bytes);
        self.bytes += bytes;
        self.segments.push_back(Segment { state, since: self.last, tape: Tape::default() });
        self.make_room();
    }

    /// Returns how many bytes of inputs follow a state of `state` bytes before the next: as many as
    /// make its cost small, and so few that two states with their inputs have room.
    fn interval(&self, state: usize) -> usize {
        let cheap = (Self::INPUTS_PER_STATE * state).max(Self::INTERVAL_MIN);
        let room = (self.settings.bytes_max / 2).saturating_sub(state);
        cheap.min(room)
    }

    /// Drops what is oldest until the rest is within bounds.
    fn make_room(&mut self) {
        while self.settings.bytes_max < self.bytes {
            let oldest = self.segments.pop_front().expect("only a segment takes bytes");
            self.bytes -= oldest.bytes();
            self.dropped += oldest.tape.count();
        }
        assert!(!self.segments.is_empty() || self.bytes == 0, "only a segment takes bytes");
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("node", &self.config.id)
            .field("settings", &self.settings)
            .field("kept", &self.kept())
            .field("dropped", &self.dropped)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// Why there is nothing to dump.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DumpError {
    /// The node's state is longer than an eighth of the recorder's memory, or one input longer than
    /// all of it; allow more.
    #[error("the state of the node does not fit into the {bytes_max} bytes of the flight recorder")]
    NothingKept {
        /// What was allowed.
        bytes_max: usize,
    },
}
