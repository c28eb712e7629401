//! One replica's map, with the history that its copies need to follow it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;
use core::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::crdt::{Budget, Change, Delta, DeltaEntry, Version, Written};
use crate::laws::Lattice;
use crate::{Blob, Replica, hash64_seeded};

/// A map that one replica writes and all others copy.
///
/// Every write takes the next [`Version`] and forgets the key's earlier one, so a journal holds one
/// entry for each key that it ever had, in the order of their last writes; a deleted key leaves a
/// tombstone until [`Journal::collect_tombstones`]. Keys and values are opaque.
///
/// Costs some 60 to 130 bytes an entry besides the key's and the value's own. A write takes
/// amortised O(1) time; once in as many writes as there are entries, the places that overwritten
/// entries left are closed up in O(n).
///
/// Invariants: `slots` ascend by version, from 1 to `head`; exactly the filled ones are in
/// `places`, one for each key; `tombstones` are the versions of those without a value, all above
/// `floor`, with why they were deleted; `fingerprint` sums over the others.
#[derive(Clone)]
pub struct Journal {
    head: Version,
    floor: Version,
    fingerprint: u64,
    slots: Vec<Slot>,
    places: HashTable<Place>,
    tombstones: BTreeMap<Version, u8>,
}

/// A place in the order of writes; empty once the key was written again.
#[derive(Clone)]
struct Slot {
    version: Version,
    content: Option<Content>,
}

/// What a write left behind.
#[derive(Clone)]
struct Content {
    key: Blob,
    value: Option<Blob>,
}

/// Where the slot of a key is, with the key's hash, so that a growing table reads no keys.
#[derive(Clone, Copy)]
struct Place {
    hash: u32,
    slot: u32,
}

/// What a write replaced.
pub(crate) struct Replaced {
    pub(crate) version: Version,
    pub(crate) value: Option<Blob>,
}

impl Journal {
    /// Empty slots that are not worth closing up.
    const EMPTY_SLOTS_MIN: usize = 64;

    /// Creates a journal that nothing was written to.
    pub const fn new() -> Self {
        Self {
            head: 0,
            floor: 0,
            fingerprint: 0,
            slots: Vec::new(),
            places: HashTable::new(),
            tombstones: BTreeMap::new(),
        }
    }

    /// Returns the version of the last write, or 0 before the first.
    pub const fn head(&self) -> Version {
        self.head
    }

    /// Returns the version up to which tombstones were dropped; never above the head.
    pub const fn floor(&self) -> Version {
        self.floor
    }

    /// Returns the sum, modulo 2⁶⁴, of `hash64_seeded(key, version)` over the live entries.
    ///
    /// Copies at one head have one fingerprint, however they got there. It covers no values: a
    /// version is written once. Takes O(1) time.
    pub const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Returns how many entries there are, tombstones included.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Returns whether there is no entry, not even a tombstone.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Returns how many keys have a value.
    pub fn live_count(&self) -> usize {
        self.places.len() - self.tombstones.len()
    }

    /// Returns how many deleted keys are remembered.
    pub fn tombstone_count(&self) -> usize {
        self.tombstones.len()
    }

    /// Returns the value of `key`.
    pub fn get(&self, key: &[u8]) -> Option<&Blob> {
        self.content_of(key)?.1.value.as_ref()
    }

    /// Returns the version of the last write of `key`, unless that deleted it.
    pub fn version(&self, key: &[u8]) -> Option<Version> {
        let (version, content) = self.content_of(key)?;
        content.value.as_ref().map(|_| version)
    }

    /// Iterates over the live entries, in the order of their last writes.
    pub fn iter(&self) -> impl Iterator<Item = (&Blob, Version, &Blob)> {
        self.entries().filter_map(|(version, key, value)| Some((key, version, value?)))
    }

    /// Iterates over the live entries and the tombstones, in the order of their writes.
    pub fn entries(&self) -> impl Iterator<Item = (Version, &Blob, Option<&Blob>)> {
        entries_of(&self.slots)
    }

    /// Iterates over the entries and tombstones written after `from`, in the order of their writes.
    ///
    /// Takes O(log n) time to find the first one.
    pub fn entries_after(
        &self,
        from: Version,
    ) -> impl Iterator<Item = (Version, &Blob, Option<&Blob>)> {
        let first = self.slots.partition_point(|slot| slot.version <= from);
        entries_of(&self.slots[first..])
    }

    /// Gives `key` a value, at the next version.
    ///
    /// Only the journal's owner writes; a copy would no longer be one.
    pub fn put(&mut self, key: Blob, value: Blob) -> Change {
        let version = self.next_version();
        let replaced = self.write(version, key.clone(), Written::Value(value.clone()));
        let before = replaced.and_then(|replaced| replaced.value);
        Change { version, key, before, after: Some(value), why: 0 }
    }

    /// Deletes `key`, at the next version, and returns what changed; nothing if it has no value.
    ///
    /// `why` means nothing here; it goes where the tombstone goes.
    pub fn delete(&mut self, key: &[u8], why: u8) -> Option<Change> {
        let (_, content) = self.content_of(key)?;
        content.value.as_ref()?;
        let key = content.key.clone();
        let version = self.next_version();
        let replaced = self.write(version, key.clone(), Written::Deleted(why));
        Some(Change { version, key, before: replaced?.value, after: None, why })
    }

    /// Forgets the tombstones at or below `up_to`, or below the head if that is lower.
    ///
    /// From then on a copy that has not come that far is sent the whole journal, in place of what
    /// it holds. Takes O(t log n) time for t tombstones that go.
    pub fn collect_tombstones(&mut self, up_to: Version) {
        let up_to = up_to.min(self.head);
        while let Some(version) = self.tombstones.keys().next().copied().filter(|&at| at <= up_to) {
            self.tombstones.pop_first();
            let slot = self.slots.partition_point(|slot| slot.version < version);
            let content = self.slots[slot].content.take().expect("a tombstone has a slot");
            assert!(content.value.is_none(), "only tombstones are collected");
            self.unplace(&content.key, slot);
        }
        self.floor = self.floor.max(up_to);
        self.close_up();
        self.check();
    }

    /// Returns the entries above `from`, as many as `budget` allows but at least one; `None` at or
    /// above the head.
    ///
    /// A receiver that has less than [`Journal::floor`] must be sent everything, from 0 on: what
    /// was deleted below the floor left no trace. Takes O(log n + w) time for w writes in the
    /// interval that the delta covers.
    pub fn delta(&self, replica: &Replica, from: Version, budget: Budget) -> Option<Delta> {
        if self.head <= from {
            return None;
        }
        let (mut to, mut bytes, mut entries) = (from, 0, Vec::new());
        let first = self.slots.partition_point(|slot| slot.version <= from);
        let mut rest = entries_of(&self.slots[first..]);
        let complete = loop {
            let Some((version, key, value)) = rest.next() else {
                break true;
            };
            bytes += DeltaEntry::cost(key, value);
            if !entries.is_empty() && !budget.allows(entries.len() + 1, bytes) {
                break false;
            }
            entries.push(DeltaEntry {
                step: version - to,
                key: key.clone(),
                written: self.written(version, value),
            });
            to = version;
        };
        let to = if complete { self.head } else { to };
        assert!(from < to, "every delta leads on");
        assert!(to <= self.head, "no delta leads past the head");
        let (replica, until, floor) = (replica.clone(), self.head, self.floor);
        Some(Delta { replica, from, to, until, floor, silence_ms: 0, entries })
    }

    /// Writes what the owner wrote at `version`, and returns what that replaces.
    pub(crate) fn write(
        &mut self,
        version: Version,
        key: Blob,
        written: Written,
    ) -> Option<Replaced> {
        assert!(self.head < version, "writes only go forward");
        self.close_up();
        let hash = hash_of(&key);
        let slot = u32::try_from(self.slots.len()).expect("a journal has under 2^32 entries");
        match written {
            Written::Value(_) => {
                self.fingerprint = self.fingerprint.wrapping_add(mark(&key, version));
            }
            Written::Deleted(why) => {
                let before = self.tombstones.insert(version, why);
                assert!(before.is_none(), "one version is one write");
            }
        }
        let replaced = match self.places.find_mut(spread(hash), same_key(&self.slots, &key, hash)) {
            Some(place) => {
                let before = core::mem::replace(&mut place.slot, slot);
                Some(self.vacate(before))
            }
            None => {
                let place = Place { hash, slot };
                self.places.insert_unique(spread(hash), place, |place| spread(place.hash));
                None
            }
        };
        let value = written.into_value();
        self.slots.push(Slot { version, content: Some(Content { key, value }) });
        self.head = version;

        debug_assert!(replaced.as_ref().is_none_or(|replaced| replaced.version < version));
        self.check();
        replaced
    }

    /// Raises the head to `head` after the writes up to it, the last of which may be gone.
    pub(crate) fn advance(&mut self, head: Version) {
        assert!(self.head <= head, "heads only grow");
        self.head = head;
    }

    /// Returns what the entry of `version`, which has `value`, was written with.
    fn written(&self, version: Version, value: Option<&Blob>) -> Written {
        match value {
            Some(value) => Written::Value(value.clone()),
            None => Written::Deleted(self.tombstones[&version]),
        }
    }

    fn next_version(&self) -> Version {
        self.head.checked_add(1).expect("2^64 writes are enough")
    }

    fn content_of(&self, key: &[u8]) -> Option<(Version, &Content)> {
        let hash = hash_of(key);
        let place = self.places.find(spread(hash), same_key(&self.slots, key, hash))?;
        let slot = &self.slots[place.slot as usize];
        Some((slot.version, slot.content.as_ref().expect("a place leads to a filled slot")))
    }

    /// Empties a slot whose key is written again.
    fn vacate(&mut self, slot: u32) -> Replaced {
        let slot = &mut self.slots[slot as usize];
        let version = slot.version;
        let content = slot.content.take().expect("a place leads to a filled slot");
        match &content.value {
            Some(_) => {
                self.fingerprint = self.fingerprint.wrapping_sub(mark(&content.key, version));
            }
            None => {
                let before = self.tombstones.remove(&version);
                assert!(before.is_some(), "tombstones are known");
            }
        }
        Replaced { version, value: content.value }
    }

    fn unplace(&mut self, key: &[u8], slot: usize) {
        let is_here = |place: &Place| place.slot as usize == slot;
        match self.places.find_entry(spread(hash_of(key)), is_here) {
            Ok(place) => drop(place.remove()),
            Err(_) => unreachable!("every filled slot has a place"),
        }
    }

    /// Closes the gaps between slots once most of the slots are empty.
    fn close_up(&mut self) {
        let filled = self.places.len();
        if self.slots.len() - filled <= filled + Self::EMPTY_SLOTS_MIN {
            return;
        }
        let mut next = 0;
        let moved: Vec<u32> = self
            .slots
            .iter()
            .map(|slot| {
                let place = next;
                next += u32::from(slot.content.is_some());
                place
            })
            .collect();
        self.slots.retain(|slot| slot.content.is_some());
        // No order shows: every place is changed by itself.
        for place in self.places.iter_mut() {
            place.slot = moved[place.slot as usize];
        }
        assert_eq!(self.slots.len(), filled, "exactly the filled slots stay");
    }

    fn check(&self) {
        assert!(self.floor <= self.head, "a floor lies within the journal");
        assert!(self.tombstones.len() <= self.places.len(), "every tombstone has a place");
        assert!(self.places.len() <= self.slots.len(), "every place leads to a slot");
    }

    /// Checks the whole invariant against its definition, in O(n log n) time, for tests.
    ///
    /// # Panics
    ///
    /// Panics if an index disagrees with the entries.
    pub fn check_deeply(&self) {
        self.check();
        assert!(self.slots.is_sorted_by(|a, b| a.version < b.version), "slots ascend");
        assert!(self.slots.iter().all(|slot| (1..=self.head).contains(&slot.version)));
        let entries: Vec<_> = self.entries().collect();
        let keys: BTreeSet<&Blob> = entries.iter().map(|&(_, key, _)| key).collect();
        assert_eq!(keys.len(), entries.len(), "one entry for each key");
        assert_eq!(keys.len(), self.places.len(), "one place for each key");
        for &(version, key, value) in &entries {
            assert_eq!(self.get(key), value, "the index finds what is there");
            assert_eq!(self.tombstones.contains_key(&version), value.is_none());
            assert!(value.is_some() || self.floor < version, "no tombstone below the floor");
        }
        let sum = |sum: u64, (key, version, _): (&Blob, _, _)| sum.wrapping_add(mark(key, version));
        assert_eq!(self.fingerprint, self.iter().fold(0, sum), "the fingerprint is up to date");
        assert_eq!(self.iter().count(), self.live_count(), "the live are counted");
    }
}

impl Default for Journal {
    fn default() -> Self {
        Self::new()
    }
}

/// Equal heads, floors and entries; how they are laid out does not count.
impl PartialEq for Journal {
    fn eq(&self, other: &Self) -> bool {
        (self.head, self.floor, self.fingerprint) == (other.head, other.floor, other.fingerprint)
            && self.tombstones == other.tombstones
            && self.entries().eq(other.entries())
    }
}

impl Eq for Journal {}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Journal(floor {}, head {}) ", self.floor, self.head)?;
        f.debug_list().entries(self.entries()).finish()
    }
}

/// Copies of one journal are ordered by head, and at one head by floor; the join is the later.
///
/// Journals of different owners have no join: [`Journals`](crate::crdt::Journals) keeps them apart.
impl Lattice for Journal {
    fn join(&mut self, other: &Self) {
        if (self.head, self.floor) < (other.head, other.floor) {
            self.clone_from(other);
        }
    }
}

impl Serialize for Journal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = |(version, key, value)| (version, key, self.written(version, value));
        let entries: Vec<_> = self.entries().map(written).collect();
        (self.head, self.floor, entries).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Journal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        type Entries = Vec<(Version, Blob, Written)>;
        let (head, floor, entries): (Version, Version, Entries) =
            Deserialize::deserialize(deserializer)?;
        let mut journal = Self::new();
        for (version, key, written) in entries {
            if version <= journal.head || head < version {
                return Err(D::Error::custom("an entry's version is out of order"));
            }
            if written.value().is_none() && version <= floor {
                return Err(D::Error::custom("a tombstone lies below the floor"));
            }
            if journal.write(version, key, written).is_some() {
                return Err(D::Error::custom("a key has two entries"));
            }
        }
        if head < floor {
            return Err(D::Error::custom("the floor lies above the head"));
        }
        journal.advance(head);
        journal.floor = floor;
        Ok(journal)
    }
}

fn entries_of(slots: &[Slot]) -> impl Iterator<Item = (Version, &Blob, Option<&Blob>)> {
    slots.iter().filter_map(|slot| {
        let content = slot.content.as_ref()?;
        Some((slot.version, &content.key, content.value.as_ref()))
    })
}

/// Returns what a live entry adds to the fingerprint.
fn mark(key: &[u8], version: Version) -> u64 {
    hash64_seeded(key, version)
}

/// Returns the hash of `key` for this process alone; it decides nothing that shows.
fn hash_of(key: &[u8]) -> u32 {
    let hash = FixedState::default().hash_one(key);
    (hash ^ (hash >> 32)) as u32
}

/// Returns a hash with entropy at both ends, where the table looks for it.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

fn same_key(slots: &[Slot], key: &[u8], hash: u32) -> impl Fn(&Place) -> bool {
    move |place| {
        let content = slots[place.slot as usize].content.as_ref();
        place.hash == hash && content.is_some_and(|content| *content.key == *key)
    }
}
