//! A peer's copy of a journal.

use alloc::vec::Vec;
use core::mem;

use serde::{Deserialize, Serialize};

use crate::Blob;
use crate::crdt::{Change, Delta, DeltaError, Journal, Version, Written};
use crate::laws::Lattice as _;
use crate::limits::JOURNAL_ENTRIES_MAX;

/// A copy of a journal that another replica writes.
///
/// A delta lacks what was overwritten between its end and its sender's head, so applying a part of
/// what there is gives a state that the owner never had. The copy is therefore *closed* at a
/// version only when it holds everything up to it and no delta that it took was sent from a later
/// head. It shows its closed content and nothing else. What lies above is *staged*: kept apart
/// until the copy closes, and never acknowledged or sent on.
///
/// A delta from 0 whose floor lies above the closed head is the start of a *replacement*: it says
/// nothing of what was deleted below the floor, so it is staged apart from the closed content and
/// takes its place at once when it closes, floor included.
///
/// Old, repeated and overlapping deltas change nothing that they should not: a version is written
/// once, and what is above the last one held is all that is taken.
///
/// Invariant: what is staged reaches further than the closed content, unless it replaces it, and
/// has not reached the latest head that it was sent from.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct JournalCopy {
    closed: Journal,
    staged: Option<Staged>,
    /// The closed content is not believed: only a replacement, closed here or later, is taken.
    refetch: Option<Version>,
}

/// What arrived but does not show yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Staged {
    /// Whether it takes the place of the closed content, else it goes on top.
    replaces: bool,
    /// Everything up to here is held, with the closed content unless it is replaced.
    to: Version,
    /// The highest head that a part was sent from: where the copy can close.
    until: Version,
    /// The lowest head that a part was sent from.
    until_min: Version,
    /// The highest floor of a part's sender.
    floor: Version,
    /// By version.
    entries: Vec<(Version, Blob, Written)>,
}

/// What a delta did to a copy.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub enum Applied {
    /// The copy had all of it.
    Known,
    /// It was staged; the copy closes once it has what follows `need`, up to the sender's head.
    Staged {
        /// Where the next delta must start, or before.
        need: Version,
    },
    /// It was not taken and changed nothing: it does not join what the copy holds.
    Missing {
        /// Where a delta from the same sender must start, or before.
        need: Version,
    },
    /// The copy closed at a new head, and this is what shows, in the order of versions.
    Closed {
        /// The keys whose values changed, each once; what vanished with a replacement comes first.
        changes: Vec<Change>,
    },
}

impl JournalCopy {
    /// Creates a copy that holds nothing.
    pub const fn new() -> Self {
        Self { closed: Journal::new(), staged: None, refetch: None }
    }

    /// Returns the closed content: a state that the owner's journal had.
    pub const fn journal(&self) -> &Journal {
        &self.closed
    }

    /// Returns the closed head.
    pub const fn head(&self) -> Version {
        self.closed.head()
    }

    /// Returns the head at which what is staged closes, if anything is staged.
    pub fn staged_until(&self) -> Option<Version> {
        self.staged.as_ref().map(|staged| staged.until)
    }

    /// Returns the head from which on a replacement is awaited, if the closed content is doubted.
    pub const fn refetching(&self) -> Option<Version> {
        self.refetch
    }

    /// Returns where a delta must start, or before, to lead on from here, if its sender has the
    /// given floor.
    pub fn need(&self, floor: Version) -> Version {
        let (reach, floor_max) = self.reach();
        if floor <= floor_max { reach } else { 0 }
    }

    /// Takes `delta` in, as far as it leads on.
    ///
    /// Takes O(e) time for e entries; O(n) for n entries of the journal where a replacement closes.
    ///
    /// # Errors
    ///
    /// Refuses what no journal gives, and more than a journal may hold; the copy is unchanged.
    pub fn apply(&mut self, delta: Delta) -> Result<Applied, DeltaError> {
        delta.check()?;
        let entries = self.staged.as_ref().map_or(0, |staged| staged.entries.len());
        if entries.max(self.closed.len()) + delta.entries.len() > JOURNAL_ENTRIES_MAX {
            return Err(DeltaError::JournalFull);
        }
        let (reach, floor_max) = self.reach();
        let head_before = self.head();
        let fits = delta.from <= reach
            && delta.floor <= floor_max
            && (self.refetch.is_none() || self.staged.is_some());

        let applied = if fits && delta.to <= reach {
            self.collect_tombstones(delta.floor);
            Applied::Known
        } else if fits {
            self.extend(delta)
        } else if delta.from == 0 {
            self.staged = Some(Staged::replacement(self.refetch));
            self.extend(delta)
        } else {
            Applied::Missing { need: self.need(delta.floor) }
        };

        assert!(head_before <= self.head() || self.refetch.is_none(), "a copy only goes forward");
        self.check();
        Ok(applied)
    }

    /// Forgets the tombstones up to `floor`, which some holder of the journal has dropped, as far
    /// as the closed content goes.
    pub fn collect_tombstones(&mut self, floor: Version) {
        self.closed.collect_tombstones(floor);
    }

    /// Drops what is staged: nobody is there to send the rest.
    pub fn drop_staged(&mut self) {
        self.staged = None;
    }

    /// Takes in a state of the same journal, as a whole, if it is a later one.
    pub fn join(&mut self, journal: &Journal) {
        self.closed.join(journal);
        let leads_on = |staged: &Staged| staged.replaces || self.closed.head() < staged.to;
        if !self.staged.as_ref().is_none_or(leads_on) {
            self.staged = None;
        }
        self.check();
    }

    /// Returns the closed content.
    pub fn into_journal(self) -> Journal {
        self.closed
    }

    /// Doubts the closed content: it goes on being shown, but the next content is fetched as a
    /// whole.
    ///
    /// What is fetched takes its place once it closes at `least` or above. Nothing but a
    /// replacement is taken until then.
    pub fn refetch(&mut self, least: Version) {
        self.staged = None;
        self.refetch = Some(least);
    }

    /// Returns up to where everything is held, and the highest floor that a sender may have whose
    /// delta leads on from there.
    ///
    /// A tombstone that the sender dropped must not be missed. On top of other content it would
    /// have to be one that we hold: at or below `reach`. Where a replacement is staged it may also
    /// be older than every part of it, since the parts were sent without what it had deleted.
    fn reach(&self) -> (Version, Version) {
        match &self.staged {
            Some(staged) if staged.replaces => (staged.to, staged.to.max(staged.until_min)),
            Some(staged) => (staged.to, staged.to),
            None if self.refetch.is_some() => (0, 0),
            None => (self.head(), self.head()),
        }
    }

    /// Takes in what of `delta` lies above what is held, and closes if that is all there is.
    fn extend(&mut self, delta: Delta) -> Applied {
        let (reach, _) = self.reach();
        assert!(delta.from <= reach, "no gap is left");
        assert!(reach < delta.to, "the delta leads on");
        let Delta { from, to, until, floor, entries, .. } = delta;
        let entries = entries.into_iter().scan(from, |version, entry| {
            *version += entry.step;
            Some((*version, entry.key, entry.written))
        });
        let entries = entries.filter(|&(version, ..)| reach < version);

        if self.staged.is_none() && until <= to {
            let changes = self.write(entries, to);
            self.closed.collect_tombstones(floor);
            return Applied::Closed { changes };
        }
        let staged = self.staged.get_or_insert_with(|| Staged::on_top(to));
        staged.entries.extend(entries);
        staged.to = to;
        staged.until = staged.until.max(until);
        staged.until_min = staged.until_min.min(until);
        staged.floor = staged.floor.max(floor);
        if staged.to < staged.until {
            return Applied::Staged { need: staged.to };
        }
        let staged = self.staged.take().expect("just staged");
        Applied::Closed { changes: self.close(staged) }
    }

    /// Shows what was staged.
    fn close(&mut self, staged: Staged) -> Vec<Change> {
        assert!(staged.until <= staged.to, "nothing is missing");
        if !staged.replaces {
            let changes = self.write(staged.entries, staged.to);
            self.closed.collect_tombstones(staged.floor);
            return changes;
        }
        let mut journal = Journal::new();
        for (version, key, written) in staged.entries {
            journal.write(version, key, written);
        }
        journal.advance(staged.to);
        journal.collect_tombstones(staged.floor);
        self.refetch = None;
        let before = mem::replace(&mut self.closed, journal);
        difference(&before, &self.closed)
    }

    /// Writes on top of the closed content, up to `head`, and returns what changed by that.
    fn write(
        &mut self,
        entries: impl IntoIterator<Item = (Version, Blob, Written)>,
        head: Version,
    ) -> Vec<Change> {
        let head_before = self.head();
        let entries = entries.into_iter();
        let mut changes: Vec<Change> = Vec::with_capacity(entries.size_hint().1.unwrap_or(0));
        for (version, key, written) in entries {
            let replaced = self.closed.write(version, key.clone(), written.clone());
            let before = match replaced {
                // The key was written earlier in what closes now: that state is never shown.
                Some(replaced) if head_before < replaced.version => {
                    let earlier = changes
                        .binary_search_by_key(&replaced.version, |change| change.version)
                        .expect("every write is among the changes");
                    changes[earlier].after = None;
                    changes[earlier].before.take()
                }
                Some(replaced) => replaced.value,
                None => None,
            };
            let (why, after) = (written.why(), written.into_value());
            changes.push(Change { version, key, before, after, why });
        }
        changes.retain(|change| change.before.is_some() || change.after.is_some());
        self.closed.advance(head);
        changes
    }

    fn check(&self) {
        let Some(staged) = &self.staged else { return };
        assert!(staged.to < staged.until, "what is whole is not staged");
        assert!(staged.replaces || self.head() < staged.to, "what is staged leads on");
        assert!(staged.replaces || self.refetch.is_none(), "doubted content is only replaced");
    }
}

impl Staged {
    fn on_top(to: Version) -> Self {
        let (until, until_min, entries) = (to, Version::MAX, Vec::new());
        Self { replaces: false, to, until, until_min, floor: 0, entries }
    }

    /// Returns the empty start of a replacement, to be closed at `least` or above.
    fn replacement(least: Option<Version>) -> Self {
        let until = least.unwrap_or(0);
        let (until_min, entries) = (Version::MAX, Vec::new());
        Self { replaces: true, to: 0, until, until_min, floor: 0, entries }
    }
}

/// Returns what a reader sees change when `after` takes the place of `before`.
fn difference(before: &Journal, after: &Journal) -> Vec<Change> {
    let vanished =
        before.iter().filter(|(key, ..)| after.get(key).is_none()).map(|(key, _, value)| Change {
            version: after.head(),
            key: key.clone(),
            before: Some(value.clone()),
            after: None,
            why: 0,
        });
    let written = after.iter().filter_map(|(key, version, value)| {
        let old = before.get(key);
        if before.version(key) == Some(version) && old == Some(value) {
            return None;
        }
        let (key, before, after) = (key.clone(), old.cloned(), Some(value.clone()));
        Some(Change { version, key, before, after, why: 0 })
    });
    vanished.chain(written).collect()
}
