//! What travels of a journal.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{Blob, Replica};

/// A place in a journal: the number of a write, the first being 1; 0 lies before all writes.
pub type Version = u64;

/// A part of a journal: all entries written in `(from, to]` that nothing overwrote since.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    /// The journal's only writer.
    pub replica: Replica,
    /// The entries lie above this version.
    pub from: Version,
    /// The entries lie at or below this version.
    pub to: Version,
    /// The sender's head. Entries of the interval that were overwritten up to here are absent, so
    /// the receiver's copy is whole again only once it has reached this version.
    pub until: Version,
    /// The sender lacks tombstones at or below this version.
    pub floor: Version,
    /// How long nothing was heard of the replica, in milliseconds, summed over relays.
    pub silence_ms: u64,
    /// The entries, by version.
    pub entries: Vec<DeltaEntry>,
}

/// One entry of a journal, on its way.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct DeltaEntry {
    /// How far its version lies above the one before it, or above [`Delta::from`].
    pub step: Version,
    /// The key.
    pub key: Blob,
    /// The entry's bytes, relayed as they were written; `None` is a tombstone.
    pub value: Option<Blob>,
}
