//! One key that several replicas write, each in its own journal.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{Blob, Replica, ReplicaKey, Stamp};

/// The identity of a write, for life: whoever adopts it keeps it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Dot {
    /// When it was written; a writer's stamps only grow.
    pub stamp: Stamp,
    /// Who wrote it first.
    pub writer: ReplicaKey,
}

/// What was written, and what it supersedes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Write {
    /// The value; `None` is a delete.
    pub value: Option<Blob>,
    /// The last write of each other writer that its writer knew of: those and all before them are
    /// superseded, as are earlier ones of its own writer.
    pub seen: Vec<(ReplicaKey, Stamp)>,
}

/// A write, as it stands in somebody's journal.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct HeldWrite {
    /// Whose journal it stands in: its writer's, or an adopter's.
    pub holder: Replica,
    /// Its identity.
    pub dot: Dot,
    /// What it says.
    pub write: Write,
}

/// What all journals that a node remembers say of one key, whether their owners are there or not.
///
/// A write supersedes every write that its writer knew of, and no other: of two writes that did not
/// know of each other neither does. Of those that nothing supersedes, values come before deletes,
/// and among values the latest stamp counts. So what is seen depends on the journals alone, not on
/// the order in which they came.
///
/// A superseded write is of no use once everybody has one that supersedes it. A delete, and what a
/// value supersedes, is of use only as long as some journal holds what it supersedes.
///
/// Costs O(w) for w writes, of which there are as many as replicas that wrote at the same time.
///
/// Invariant: `writes` ascend by holder and dot, each of which it has once.
///
/// Source: the observed-remove and multi-value registers of Shapiro et al., "A comprehensive study
/// of Convergent and Commutative Replicated Data Types", INRIA 2011, with version vectors that are
/// cut off once nothing below them is left; we show one value of several.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    writes: Vec<HeldWrite>,
}

impl Write {
    /// Returns whether this write, of identity `own`, supersedes the one of identity `other`.
    pub fn supersedes(&self, own: Dot, other: Dot) -> bool {
        if own.writer == other.writer {
            return other.stamp < own.stamp;
        }
        let place = self.seen.binary_search_by_key(&other.writer, |(writer, _)| *writer);
        place.is_ok_and(|place| other.stamp <= self.seen[place].1)
    }

    /// Returns whether it says more than a value that was written once.
    pub fn is_burdened(&self) -> bool {
        self.value.is_none() || !self.seen.is_empty()
    }
}

impl Cell {
    /// Creates a cell that nobody wrote.
    pub const fn new() -> Self {
        Self { writes: Vec::new() }
    }

    /// Takes in that the write of identity `dot` stands in the journal of `holder`, or does not any
    /// more.
    pub fn set(&mut self, holder: &Replica, dot: Dot, write: Option<Write>) {
        let place =
            self.writes.binary_search_by(|held| (&held.holder, held.dot).cmp(&(holder, dot)));
        match (place, write) {
            (Ok(place), Some(write)) => self.writes[place].write = write,
            (Err(place), Some(write)) => {
                let holder = holder.clone();
                self.writes.insert(place, HeldWrite { holder, dot, write });
            }
            (Ok(place), None) => drop(self.writes.remove(place)),
            (Err(_), None) => (),
        }
        self.check();
    }

    /// Returns the writes, by holder and identity.
    pub fn writes(&self) -> &[HeldWrite] {
        &self.writes
    }

    /// Iterates over the writes that stand in the journal of `holder`.
    pub fn of<'a>(&'a self, holder: &'a Replica) -> impl Iterator<Item = &'a HeldWrite> {
        self.writes.iter().filter(move |held| held.holder == *holder)
    }

    /// Returns the value that is seen.
    pub fn value(&self) -> Option<&Blob> {
        let standing =
            self.writes.iter().filter(|held| self.superseding(held.dot).next().is_none());
        let values = standing.filter_map(|held| Some((held.dot, held.write.value.as_ref()?)));
        values.max_by_key(|(dot, _)| *dot).map(|(_, value)| value)
    }

    /// Iterates over the writes that supersede the one of identity `dot`.
    pub fn superseding(&self, dot: Dot) -> impl Iterator<Item = &HeldWrite> {
        self.writes.iter().filter(move |held| held.write.supersedes(held.dot, dot))
    }

    /// Returns a write of `value` by `writer` that supersedes all there is; `None` deletes.
    pub fn write(&self, writer: ReplicaKey, value: Option<Blob>) -> Write {
        let mut seen: Vec<(ReplicaKey, Stamp)> = Vec::new();
        for held in &self.writes {
            seen.push((held.dot.writer, held.dot.stamp));
            seen.extend_from_slice(&held.write.seen);
        }
        seen.retain(|(other, _)| *other != writer);
        seen.sort_unstable_by(|a, b| (a.0, b.1).cmp(&(b.0, a.1)));
        seen.dedup_by_key(|(other, _)| *other);
        Write { value, seen }
    }

    /// Iterates over the writes in the journal of `me` that are of no use there any more.
    ///
    /// A write goes at once if what supersedes it stands in the same journal, or is a delete and
    /// the write itself supersedes nothing: then nobody misses it. Else it goes once
    /// `is_everywhere` tells of one superseding write that everybody has it: until then somebody
    /// would find nothing in between, or again what it superseded.
    pub fn outdated<'a>(
        &'a self,
        me: &'a Replica,
        is_everywhere: impl Fn(&HeldWrite) -> bool + 'a,
    ) -> impl Iterator<Item = Dot> + 'a {
        let is_outdated = move |held: &&HeldWrite| {
            self.superseding(held.dot).any(|by| {
                let is_missed = by.write.value.is_some() || held.write.is_burdened();
                by.holder == *me || !is_missed || is_everywhere(by)
            })
        };
        self.of(me).filter(is_outdated).map(|held| held.dot)
    }

    /// Returns whether nothing is left that `held` supersedes.
    pub fn has_outlived(&self, held: &HeldWrite) -> bool {
        !self.writes.iter().any(|other| held.write.supersedes(held.dot, other.dot))
    }

    fn check(&self) {
        debug_assert!(
            self.writes.is_sorted_by(|a, b| (&a.holder, a.dot) < (&b.holder, b.dot)),
            "each holder has a write once"
        );
    }
}
