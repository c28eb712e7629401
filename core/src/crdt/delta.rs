//! What travels of a journal, and what it changes.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::limits::{DELTA_BYTES_MAX, DELTA_ENTRIES_MAX, FRAME_BYTES_MAX, JOURNAL_ENTRIES_MAX};
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
    /// What was written there.
    pub written: Written,
}

/// What a write left at its key.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Written {
    /// Nothing but a tombstone, with a byte by which the writer says why.
    Deleted(u8),
    /// Bytes, relayed as they were written.
    Value(Blob),
}

impl Written {
    /// Returns the value, unless it is a tombstone.
    pub const fn value(&self) -> Option<&Blob> {
        match self {
            Self::Deleted(_) => None,
            Self::Value(value) => Some(value),
        }
    }

    /// Returns the value, unless it is a tombstone.
    pub fn into_value(self) -> Option<Blob> {
        match self {
            Self::Deleted(_) => None,
            Self::Value(value) => Some(value),
        }
    }

    /// Returns why the key was deleted; 0 for a value.
    pub(crate) const fn why(&self) -> u8 {
        match self {
            Self::Deleted(why) => *why,
            Self::Value(_) => 0,
        }
    }
}

impl Delta {
    /// Checks that the delta is one that a journal can have given.
    ///
    /// Takes O(e) time for e entries and allocates nothing.
    ///
    /// # Errors
    ///
    /// Names the first thing that no honest sender sends; see [`DeltaError`].
    pub fn check(&self) -> Result<(), DeltaError> {
        let Self { from, to, until, floor, .. } = *self;
        if to <= from {
            return Err(DeltaError::Backward { from, to });
        }
        if until < to {
            return Err(DeltaError::UntilBelowTo { to, until });
        }
        if until < floor {
            return Err(DeltaError::FloorAboveUntil { floor, until });
        }
        if self.entries.len() > DELTA_ENTRIES_MAX {
            return Err(DeltaError::TooManyEntries { entries: self.entries.len() });
        }
        let mut version = from;
        for entry in &self.entries {
            if entry.step == 0 {
                return Err(DeltaError::RepeatedVersion { version });
            }
            version = match version.checked_add(entry.step) {
                Some(next) if next <= to => next,
                Some(_) | None => return Err(DeltaError::EntryAboveTo { to }),
            };
            if entry.written.value().is_none() && version <= floor {
                return Err(DeltaError::TombstoneBelowFloor { version, floor });
            }
        }
        let bytes = self.bytes();
        if bytes > FRAME_BYTES_MAX {
            return Err(DeltaError::TooManyBytes { bytes });
        }
        Ok(())
    }

    /// Returns how many bytes the entries take, as a [`Budget`] counts them.
    pub fn bytes(&self) -> usize {
        let costs = self.entries.iter().map(|e| DeltaEntry::cost(&e.key, e.written.value()));
        costs.fold(0, usize::saturating_add)
    }
}

impl DeltaEntry {
    /// Bytes that an entry costs besides its key and value: lengths and steps.
    const OVERHEAD_BYTES: usize = 8;

    pub(crate) fn cost(key: &Blob, value: Option<&Blob>) -> usize {
        let bytes = key.len().saturating_add(value.map_or(0, |value| value.len()));
        bytes.saturating_add(Self::OVERHEAD_BYTES)
    }
}

/// How much one delta may carry. Any limit leads to the same state.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Most entries; a delta of a single entry is always allowed.
    pub entries: usize,
    /// Most bytes of keys and values; a delta of a single entry may exceed them.
    pub bytes: usize,
}

impl Budget {
    pub(crate) const fn allows(self, entries: usize, bytes: usize) -> bool {
        entries <= self.entries && bytes <= self.bytes
    }
}

impl Default for Budget {
    /// Returns the most that a peer takes.
    fn default() -> Self {
        Self { entries: DELTA_ENTRIES_MAX, bytes: DELTA_BYTES_MAX }
    }
}

/// A key that is seen to have another value than before.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The version of the write; the new head where a key vanished with a replaced copy.
    pub version: Version,
    /// The key.
    pub key: Blob,
    /// Its value before, if it had one.
    pub before: Option<Blob>,
    /// Its value now, if it has one.
    pub after: Option<Blob>,
    /// Why it was deleted, as its writer says; 0 where it was not, or where no tombstone of it was
    /// left to tell.
    pub why: u8,
}

/// Why a delta is none that an honest sender sends. Every variant leaves the copy as it was; the
/// sender is broken or hostile.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum DeltaError {
    /// The interval is empty or runs backward.
    #[error("the delta leads from {from} to {to}")]
    Backward {
        /// Where it starts.
        from: Version,
        /// Where it ends.
        to: Version,
    },
    /// The sender claims to send more than it has.
    #[error("the delta leads to {to}, past its sender's head {until}")]
    UntilBelowTo {
        /// Where the delta ends.
        to: Version,
        /// The sender's head, as it says.
        until: Version,
    },
    /// The sender claims to have dropped tombstones that it cannot have had.
    #[error("the delta's floor {floor} lies above its sender's head {until}")]
    FloorAboveUntil {
        /// The floor.
        floor: Version,
        /// The sender's head, as it says.
        until: Version,
    },
    /// Two entries have one version.
    #[error("two entries have version {version}, or one has the version the delta starts at")]
    RepeatedVersion {
        /// The version.
        version: Version,
    },
    /// An entry lies outside the interval.
    #[error("an entry lies above version {to}, where the delta ends")]
    EntryAboveTo {
        /// Where the delta ends.
        to: Version,
    },
    /// The sender sends a tombstone that it says it does not have.
    #[error("a tombstone of version {version} lies below the floor {floor}")]
    TombstoneBelowFloor {
        /// The tombstone's version.
        version: Version,
        /// The floor.
        floor: Version,
    },
    /// The delta has more entries than any budget allows.
    #[error("a delta of {entries} entries is over the limit of {DELTA_ENTRIES_MAX}")]
    TooManyEntries {
        /// How many it has.
        entries: usize,
    },
    /// The journal would have more entries than any may have.
    #[error("the journal would have more than {JOURNAL_ENTRIES_MAX} entries")]
    JournalFull,
    /// The delta is longer than any frame.
    #[error("a delta of {bytes} bytes is over the limit of {FRAME_BYTES_MAX}")]
    TooManyBytes {
        /// How long it is.
        bytes: usize,
    },
}
