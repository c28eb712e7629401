//! What any member may write: the cells of the cluster, each written in several journals.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};

use serde::{Deserialize, Serialize};

use crate::crdt::{Cell, Dot, HeldWrite, Version, Write};
use crate::effect::Effect;
use crate::entry::{CellKey, Entry as _, Key, Reason};
use crate::{Blob, Replica, Scope, Stamp};

/// What journals say of the cells, and what is to be done about it.
///
/// Invariants: no cell is empty; `unsettled` are those in which an own write may be of no use.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Cells {
    cells: BTreeMap<CellKey, Seen>,
    unsettled: BTreeSet<CellKey>,
    /// The cells that changed since readers were told.
    changed: BTreeSet<CellKey>,
    /// What is laid to rest next.
    farewell: Option<Farewell>,
    effects: VecDeque<Effect>,
}

/// A cell, and what readers were told of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Seen {
    cell: Cell,
    shown: Option<Blob>,
}

/// Own writes that have outlived all they supersede, with where the journals stood then.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Farewell {
    heads: Vec<(Replica, Version)>,
    writes: Vec<(CellKey, Dot)>,
}

/// What the machine must know of the journals.
pub(crate) struct Journals<'a> {
    /// Returns the version of an entry in a journal.
    pub(crate) version: &'a dyn Fn(&Replica, &Blob) -> Option<Version>,
    /// Returns where the journals of all who count stand here.
    pub(crate) heads: &'a dyn Fn() -> Vec<(Replica, Version)>,
    /// Returns whether every member that is not forgotten has a journal up to a version.
    pub(crate) is_everywhere: &'a dyn Fn(&Replica, Version) -> bool,
    /// Returns whether a journal still counts.
    pub(crate) counts: &'a dyn Fn(&Replica) -> bool,
}

impl Cells {
    /// Returns the next effect, in order.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Returns how many effects wait to be carried out.
    pub(crate) fn queued(&self) -> usize {
        self.effects.len()
    }

    /// Returns the next cell whose value changed since the last call told of it, and that value.
    pub(crate) fn poll_change(&mut self) -> Option<(CellKey, Option<Blob>)> {
        while let Some(key) = self.changed.pop_first() {
            let Some(seen) = self.cells.get_mut(&key) else { continue };
            let value = seen.cell.value().cloned();
            let is_empty = seen.cell.writes().is_empty();
            let is_news = seen.shown != value;
            seen.shown.clone_from(&value);
            if is_empty {
                self.cells.remove(&key);
            }
            if is_news {
                return Some((key, value));
            }
        }
        None
    }

    /// Iterates over the cells that have a value.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&CellKey, &Blob)> {
        self.cells.iter().filter_map(|(key, seen)| Some((key, seen.cell.value()?)))
    }

    /// Returns whether anybody wrote a cell, and some journal still says so.
    pub(crate) fn is_known(&self, key: &CellKey) -> bool {
        self.cells.contains_key(key)
    }

    /// Returns whether a cell has a value.
    pub(crate) fn has_value(&self, key: &CellKey) -> bool {
        self.cells.get(key).is_some_and(|seen| seen.cell.value().is_some())
    }

    /// Returns whether a write of a cell stands in the journal of `me`.
    pub(crate) fn is_held_by(&self, me: &Replica, key: &CellKey) -> bool {
        self.cells.get(key).is_some_and(|seen| seen.cell.of(me).next().is_some())
    }

    /// Returns how many cells a registry has, deleted ones among them. Costs all cells.
    pub(crate) fn count(&self, scope: Scope) -> usize {
        self.cells.keys().filter(|key| key.scope() == Some(scope)).count()
    }

    /// Returns how many writes stand in all journals.
    pub(crate) fn writes(&self) -> usize {
        self.cells.values().map(|seen| seen.cell.writes().len()).sum()
    }

    /// Takes in that a write stands in the journal of `holder`, or does not any more.
    pub(crate) fn handle_write(
        &mut self,
        me: Option<&Replica>,
        holder: &Replica,
        key: &CellKey,
        dot: Dot,
        write: Option<Write>,
    ) {
        let seen = self.cells.entry(key.clone()).or_default();
        seen.cell.set(holder, dot, write);
        let is_of_use = |held: &HeldWrite| {
            !held.write.is_burdened() && seen.cell.superseding(held.dot).next().is_none()
        };
        if let Some(me) = me.filter(|me| !seen.cell.of(me).all(is_of_use)) {
            self.unsettled.insert(key.clone());
            // Whoever hears that we know of a delete may drop it: what it deletes must be gone.
            let deleted = seen.cell.outdated(me, |_| false);
            let deletes =
                deleted.map(|dot| Effect::Delete { key: encode(key, dot), reason: Reason::Ended });
            self.effects.extend(deletes);
        } else {
            self.unsettled.remove(key);
        }
        self.changed.insert(key.clone());
    }

    /// Writes `value` for `me`, at `stamp`, over all there is; `None` deletes.
    pub(crate) fn write(&mut self, me: &Replica, stamp: Stamp, key: &CellKey, value: Option<Blob>) {
        let cell = self.cells.get(key).map(|seen| &seen.cell);
        let writer = me.key();
        let write = cell
            .map_or(Write { value: value.clone(), seen: vec![] }, |cell| cell.write(writer, value));
        let dot = Dot { stamp, writer };
        let value = write.encode();
        self.effects.push_back(Effect::Put { key: encode(key, dot), value });
        for held in cell.into_iter().flat_map(|cell| cell.of(me)) {
            self.effects
                .push_back(Effect::Delete { key: encode(key, held.dot), reason: Reason::Ended });
        }
    }

    /// Returns whether a write matters no more, or stands in a journal that `is_living`.
    ///
    /// One that is superseded matters no more, whoever holds what supersedes it: that is adopted
    /// before its journal goes.
    pub(crate) fn is_held(
        &self,
        key: &CellKey,
        dot: Dot,
        is_living: impl Fn(&Replica) -> bool,
    ) -> bool {
        let Some(Seen { cell, .. }) = self.cells.get(key) else { return true };
        let mut equals = cell.writes().iter().filter(|held| held.dot == dot).peekable();
        equals.peek().is_none()
            || equals.any(|held| is_living(&held.holder))
            || cell.superseding(dot).next().is_some()
    }

    /// Deletes own writes that are of no use any more. Called once a beat; costs those that may be.
    ///
    /// What has outlived all it supersedes goes in two steps: once everybody has it, it is noted
    /// where all journals stand; it goes once everybody has those as well, if it still supersedes
    /// nothing, and was written here by `old`. So nothing that it superseded comes back with a
    /// journal that lags behind.
    pub(crate) fn handle_beat(&mut self, me: &Replica, old: Version, journals: &Journals<'_>) {
        let version = |key: &CellKey, held: &HeldWrite| {
            (journals.version)(&held.holder, &encode(key, held.dot))
        };
        let is_everywhere = |key: &CellKey, held: &HeldWrite| {
            version(key, held)
                .is_some_and(|version| (journals.is_everywhere)(&held.holder, version))
        };
        let mut outlived = Vec::new();
        for key in &self.unsettled {
            let cell = &self.cells[key].cell;
            let outdated: Vec<Dot> = cell.outdated(me, |by| is_everywhere(key, by)).collect();
            for held in cell.of(me).filter(|held| !outdated.contains(&held.dot)) {
                let is_burdened = held.write.is_burdened();
                let is_old = || version(key, held).is_some_and(|version| version <= old);
                if is_burdened && is_old() && cell.has_outlived(held) && is_everywhere(key, held) {
                    outlived.push((key.clone(), held.dot));
                }
            }
            let deletes = outdated
                .into_iter()
                .map(|dot| Effect::Delete { key: encode(key, dot), reason: Reason::Ended });
            self.effects.extend(deletes);
        }
        match self.farewell.take() {
            None if outlived.is_empty() => (),
            None => {
                self.farewell = Some(Farewell { heads: (journals.heads)(), writes: outlived });
            }
            Some(farewell) => {
                let has_spread = farewell.heads.iter().all(|(journal, head)| {
                    !(journals.counts)(journal) || (journals.is_everywhere)(journal, *head)
                });
                if has_spread {
                    let still =
                        farewell.writes.into_iter().filter(|write| outlived.contains(write));
                    still.for_each(|(key, dot)| self.unburden(me, &key, dot));
                } else {
                    self.farewell = Some(farewell);
                }
            }
        }
    }

    /// Deletes an own delete, or what an own value supersedes.
    fn unburden(&mut self, me: &Replica, key: &CellKey, dot: Dot) {
        let held = self.cells[key].cell.of(me).find(|held| held.dot == dot);
        let value = held.and_then(|held| held.write.value.clone());
        let entry = encode(key, dot);
        self.effects.push_back(match value {
            Some(value) => {
                let write = Write { value: Some(value), seen: vec![] };
                Effect::Put { key: entry, value: write.encode() }
            }
            None => Effect::Delete { key: entry, reason: Reason::Ended },
        });
    }

    /// Checks the cells against what `journals` say of each.
    pub(crate) fn audit(&self, journals: &BTreeMap<CellKey, Cell>) -> Result<(), String> {
        let known = self.cells.iter().filter(|(_, seen)| !seen.cell.writes().is_empty());
        let agree = known.clone().map(|(key, seen)| (key, &seen.cell)).eq(journals.iter());
        if !agree {
            return Err(format!("of cells is known {:?}, said {journals:?}", self.cells));
        }
        let told = self.cells.values().all(|seen| seen.shown.as_ref() == seen.cell.value());
        told.then_some(()).ok_or_else(|| "readers were not told what a cell holds".into())
    }
}

fn encode(key: &CellKey, dot: Dot) -> Blob {
    Key::Cell(key.clone(), dot).encode()
}

#[cfg(test)]
mod tests;
