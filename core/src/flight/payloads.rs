//! What processes say, and what stands in for it.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::message::{Call, CallReply, Cast, Envelope, Message, Publish, Yield};
use crate::{Blob, Command, Input, ProcessEvent, hash64, hash64_seeded};

/// What becomes of payloads: what processes say to each other, and what they leave behind.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub enum Payloads {
    /// Their lengths and hashes leave the node, and nothing else of them.
    #[default]
    Hashed,
    /// They are kept as they are.
    Kept,
}

/// What is kept of a payload that is not: its length and its hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Token {
    bytes: u64,
    hash: u64,
}

impl Token {
    /// Bytes of an encoded token.
    const ENCODED: usize = 16;

    /// Longest stand-in; what is longer is over every limit of the node, and so is this.
    const STAND_IN_MAX: u64 = 16 << 20;

    /// Returns what is kept of `payload`.
    pub(super) fn of(payload: &[u8]) -> Self {
        Self { bytes: payload.len() as u64, hash: hash64(payload) }
    }

    /// Returns the token as bytes, in the place of the payload.
    pub(super) fn encode(self) -> Blob {
        let mut bytes = [0; Self::ENCODED];
        bytes[..8].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[8..].copy_from_slice(&self.hash.to_le_bytes());
        Blob::from(bytes.as_slice())
    }

    /// Returns the token that `bytes` encode, if they do.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (length, hash) = bytes.split_first_chunk::<8>()?;
        let hash: [u8; 8] = hash.try_into().ok()?;
        Some(Self { bytes: u64::from_le_bytes(*length), hash: u64::from_le_bytes(hash) })
    }

    /// Returns what takes the payload's place in a replay: as long as it was, up to 16 MiB, and the
    /// same for equal payloads.
    pub(super) fn stand_in(self) -> Blob {
        let length = self.bytes.min(Self::STAND_IN_MAX) as usize;
        let blocks =
            (0..length.div_ceil(8) as u64).map(|block| hash64_seeded(&[], self.hash ^ block));
        let mut bytes: Vec<u8> = Vec::with_capacity(length.next_multiple_of(8));
        bytes.extend(blocks.flat_map(u64::to_le_bytes));
        bytes.truncate(length);
        Blob::from(bytes)
    }
}

/// Puts the stand-in for `payload` in its place.
pub(super) fn redact(payload: &mut Blob) {
    *payload = Token::of(payload).stand_in();
}

/// Writes a way to the payload of an input, if there is one: to read it, or to change it. Written
/// once for both, so that they lead to the same places.
macro_rules! way_to_payload {
    ($payload:ident $(, $mutable:tt)?) => {
        impl Input {
            /// Returns what a process says in it, if one does: at most one payload.
            pub(super) fn $payload(&$($mutable)? self) -> Option<&$($mutable)? Blob> {
                match self {
                    Self::Message { envelope: Envelope { message, .. }, .. } => message.$payload(),
                    Self::Request { command, .. } => command.$payload(),
                    Self::Process { event, .. } => event.$payload(),
                    Self::Answer { result: Ok(payload), .. } => Some(payload),
                    Self::Answer { result: Err(_), .. }
                    | Self::Connected { .. }
                    | Self::Disconnected { .. }
                    | Self::Refused { .. }
                    | Self::Wall(_)
                    | Self::Flush
                    | Self::Tick
                    | Self::Persisted { .. }
                    | Self::Seeds(_) => None,
                }
            }
        }

        impl Message {
            fn $payload(&$($mutable)? self) -> Option<&$($mutable)? Blob> {
                match self {
                    Self::Call(Call { payload, .. })
                    | Self::Cast(Cast { payload, .. })
                    | Self::Publish(Publish { payload, .. })
                    | Self::Reply(CallReply { result: Ok(payload), .. })
                    | Self::Yield(Yield { state: Some(payload), .. }) => Some(payload),
                    Self::Reply(CallReply { result: Err(_), .. })
                    | Self::Yield(Yield { state: None, .. })
                    | Self::Hello(_)
                    | Self::Join
                    | Self::Welcome(_)
                    | Self::Beat(_)
                    | Self::Digest(_)
                    | Self::Need(_)
                    | Self::Delta(_)
                    | Self::Ack(_)
                    | Self::Won(_)
                    | Self::Forward(_)
                    | Self::Forwarded(_)
                    | Self::Probe(_)
                    | Self::Condition(_)
                    | Self::Excluded(_)
                    | Self::LeaseRequest(_)
                    | Self::LeaseReply(_)
                    | Self::Electorate(_)
                    | Self::Proposal(_)
                    | Self::Vote(_) => None,
                }
            }
        }

        impl Command {
            fn $payload(&$($mutable)? self) -> Option<&$($mutable)? Blob> {
                match self {
                    Self::Call { payload, .. }
                    | Self::Send { payload, .. }
                    | Self::Publish { payload, .. } => Some(payload),
                    Self::Start { .. }
                    | Self::StartOnce { .. }
                    | Self::Ensure { .. }
                    | Self::Restart { .. }
                    | Self::Release { .. }
                    | Self::Quarantined { .. }
                    | Self::Quorum { .. }
                    | Self::ChangeVoters { .. }
                    | Self::PlanMoves { .. }
                    | Self::PauseMoves { .. }
                    | Self::Explain { .. }
                    | Self::Terminate { .. }
                    | Self::Spawn { .. }
                    | Self::Register { .. }
                    | Self::Unregister { .. }
                    | Self::Update { .. }
                    | Self::JoinGroup { .. }
                    | Self::LeaveGroup { .. }
                    | Self::WriteMeta { .. }
                    | Self::SetMembers { .. }
                    | Self::Evict { .. }
                    | Self::CatchUp { .. }
                    | Self::Leave
                    | Self::AwaitQuorum
                    | Self::Links
                    | Self::Settled => None,
                }
            }
        }

        impl ProcessEvent {
            fn $payload(&$($mutable)? self) -> Option<&$($mutable)? Blob> {
                match self {
                    Self::Stopped { state: Some(payload) } => Some(payload),
                    Self::Stopped { state: None }
                    | Self::Started
                    | Self::StartFailed { .. }
                    | Self::Ignored
                    | Self::Exited { .. } => None,
                }
            }
        }
    };
}

way_to_payload!(payload);
way_to_payload!(payload_mut, mut);
