//! What a recorder kept, as a value and as bytes.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::flight::Payloads;
use crate::flight::tape::{Reader, Tape};
use crate::wire::{Broken, LONG_BYTES_MAX, Seal, decode_first, encode_onto};
use crate::{Blob, Config, Input, NodeId, Time};

/// The last inputs of a node, the state that they follow from, and the hash of the state that
/// followed from them; made by [`Recorder::dump`](crate::flight::Recorder::dump).
///
/// Invariant: `inputs` is a tape of `count` inputs that can be read from end to end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dump {
    pub(super) reason: Reason,
    pub(super) config: Config,
    pub(super) seed: u64,
    pub(super) born: Time,
    pub(super) payloads: Payloads,
    pub(super) dropped: u64,
    pub(super) start: Start,
    pub(super) since: Time,
    pub(super) inputs: Blob,
    pub(super) count: u64,
    pub(super) state_hash: Option<u64>,
}

/// What the inputs of a dump follow from.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(super) enum Start {
    /// The birth of the node.
    Birth,
    /// A state, encoded, without outputs.
    State(Blob),
}

/// A dump as it is encoded: how it came about, what is kept, and what that led to. `Dump` itself
/// cannot be deserialized, so that there is none whose inputs were not checked.
type Fields = ((Reason, Config, u64, Time, Payloads), (u64, Start, Time, Blob, u64), Option<u64>);

/// Why a dump was made.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Reason {
    /// A process of the node met another one that claims the same.
    Conflict,
    /// The node's state machine panicked, over the last input.
    Panic,
    /// Somebody asked for it.
    Demand,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Conflict => "conflict",
            Self::Panic => "panic",
            Self::Demand => "demand",
        })
    }
}

impl Dump {
    /// How every encoded dump begins; the format is that around the state and the inputs.
    const SEAL: Seal = Seal { magic: *b"ordu\0fly", format: 1 };

    /// The version of this crate: what a state and an input are as bytes depends on it.
    const VERSION: &str = env!("CARGO_PKG_VERSION");

    /// Returns why it was made.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Returns the node that it is of.
    pub fn node(&self) -> &NodeId {
        &self.config.id
    }

    /// Returns the node's configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the seed that the node was made with.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns when the node was made, on its own clock.
    pub fn born(&self) -> Time {
        self.born
    }

    /// Returns what became of what processes said.
    pub fn payloads(&self) -> Payloads {
        self.payloads
    }

    /// Returns whether it reaches back to the node's birth; else it begins with a state.
    pub fn is_from_birth(&self) -> bool {
        self.start == Start::Birth
    }

    /// Returns how many inputs the node had got before the first one that is kept.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Returns how many inputs are kept.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Returns whether no input is kept.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the hash of the state that the inputs led to; `None` if the node panicked.
    ///
    /// It is not [`Node::state_hash`](crate::Node::state_hash) of the live node, whose state holds
    /// outputs that nobody took yet and payloads as they were.
    pub fn state_hash(&self) -> Option<u64> {
        self.state_hash
    }

    /// Returns the inputs with their times, in order; stand-ins take the place of payloads that
    /// were hashed. Decodes each as it comes.
    pub fn inputs(&self) -> impl Iterator<Item = (Time, Input)> {
        Reader::new(&self.inputs, self.since)
    }

    /// Returns the same dump with other inputs, and without a state that they should lead to: to
    /// find out which of them matter.
    ///
    /// # Panics
    ///
    /// Panics if times run backwards, or begin before those of this dump.
    pub fn with_inputs(&self, inputs: impl IntoIterator<Item = (Time, Input)>) -> Self {
        let (mut tape, mut last) = (Tape::default(), self.since);
        for (at, input) in inputs {
            assert!(last <= at, "time ran backwards from {last} to {at}");
            tape.push(at.as_micros() - last.as_micros(), &input, Payloads::Kept);
            last = at;
        }
        let bytes: Vec<u8> = tape.chunks().flatten().copied().collect();
        Self { inputs: Blob::from(bytes), count: tape.count(), state_hash: None, ..self.clone() }
    }

    /// Returns the dump as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut rest = Vec::new();
        encode_onto(&Self::VERSION, &mut rest);
        let described = (self.reason, &self.config, self.seed, self.born, self.payloads);
        let kept = (self.dropped, &self.start, self.since, &self.inputs, self.count);
        encode_onto(&(described, kept, self.state_hash), &mut rest);
        Self::SEAL.put_on(rest)
    }

    /// Returns the dump that `bytes` encode.
    ///
    /// Never panics, and allocates at most a multiple of the length of `bytes`, whatever they are.
    /// What the dump says is not judged: to replay one that somebody forged may panic, as may to
    /// replay one of a node that did.
    ///
    /// # Errors
    ///
    /// Says what is wrong with them. A dump is read by the version of this crate that wrote it.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeDumpError> {
        let rest = Self::SEAL.take_off(bytes).map_err(|broken| match broken {
            Broken::Other => DecodeDumpError::NoDump,
            Broken::Format(format) => {
                DecodeDumpError::OtherFormat { format, ours: Self::SEAL.format }
            }
            Broken::Truncated => DecodeDumpError::Truncated { bytes: bytes.len() },
            Broken::TooLong(bytes) => {
                DecodeDumpError::TooLong { bytes, max: LONG_BYTES_MAX as u64 }
            }
            Broken::Damaged => DecodeDumpError::Damaged,
        })?;
        Self::decode_rest(rest)
    }

    fn decode_rest(rest: &[u8]) -> Result<Self, DecodeDumpError> {
        let malformed = |_| DecodeDumpError::Malformed;
        let (version, used) = decode_first::<String>(rest).map_err(malformed)?;
        if version != Self::VERSION {
            let ours = Self::VERSION.to_owned();
            return Err(DecodeDumpError::OtherVersion { version, ours });
        }
        let body = rest.get(used..).unwrap_or_default();
        let (fields, used) = decode_first::<Fields>(body).map_err(malformed)?;
        let (described, kept, state_hash) = fields;
        let (reason, config, seed, born, payloads) = described;
        let (dropped, start, since, inputs, count) = kept;
        if used != body.len() || Reader::new(&inputs, since).check()? != count {
            return Err(DecodeDumpError::Malformed);
        }
        Ok(Self {
            reason,
            config,
            seed,
            born,
            payloads,
            dropped,
            start,
            since,
            inputs,
            count,
            state_hash,
        })
    }
}

/// Why bytes are no dump that can be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeDumpError {
    /// They are something else.
    #[error("the bytes are no dump of a flight recorder")]
    NoDump,
    /// They are of a later or an earlier version of the encoding; read them with the program that
    /// wrote them.
    #[error("the dump is of format {format}; this program reads format {ours}")]
    OtherFormat {
        /// Theirs.
        format: u16,
        /// Ours.
        ours: u16,
    },
    /// They are of another version of this crate, whose nodes are made otherwise; read them with
    /// the program that wrote them.
    #[error("the dump was written by version {version}; this is version {ours}")]
    OtherVersion {
        /// Theirs.
        version: String,
        /// Ours.
        ours: String,
    },
    /// Something is missing at their end.
    #[error("the dump is cut off after {bytes} bytes")]
    Truncated {
        /// How many there are.
        bytes: usize,
    },
    /// There are more than any dump has.
    #[error("a dump of {bytes} bytes is over the limit of {max}")]
    TooLong {
        /// How many there are said to be.
        bytes: u64,
        /// How many there may be.
        max: u64,
    },
    /// They are not those that were written.
    #[error("the dump is damaged: its hash does not match")]
    Damaged,
    /// They were written as they are, but not by this crate.
    #[error("the bytes of the dump do not mean anything")]
    Malformed,
}
