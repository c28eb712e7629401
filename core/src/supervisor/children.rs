//! What is known of every child: specifications, claims and ends, from all remembered journals.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::entry::{ClaimEntry, EndedEntry, SpecEntry};
use crate::rank::Rank;
use crate::rule::Rule;
use crate::targets::Targets;
use crate::{Blob, ChildId, ChildView, Name, ProcessId, Replica, Scope, Stamp};

/// A child of a supervisor.
pub(crate) type ChildKey = (Scope, ChildId);

/// A claim on a child, in a journal that may be masked.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Claim {
    /// Whose journal it stands in.
    pub(crate) replica: Replica,
    /// What it says.
    pub(crate) entry: ClaimEntry,
    /// Whether the journal is visible.
    pub(crate) visible: bool,
}

impl Claim {
    fn rank(&self) -> Rank {
        self.entry.standing.rank(&self.replica)
    }
}

/// The last claim on a child that was seen to go.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Past {
    /// The epoch it had.
    pub(crate) epoch: u64,
    /// The lineage it had.
    pub(crate) lineage: u32,
    /// The moves it had.
    pub(crate) moves: u32,
    /// Whether its owner gave it up, rather than vanished with it.
    pub(crate) released: bool,
}

/// How a child's next process stands to those before it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Succession {
    /// There was none before it.
    First,
    /// The one before was given up by its node.
    Moved {
        /// Its lineage.
        lineage: u32,
        /// Its moves.
        moves: u32,
    },
    /// The one before went silent with its node.
    FailedOver {
        /// Its lineage.
        lineage: u32,
    },
}

/// One child, as the remembered journals have it.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Child {
    /// Its specification, once it arrived.
    pub(crate) spec: Option<SpecEntry>,
    /// The journals that hold the specification.
    pub(crate) spec_in: Vec<Replica>,
    /// How it ended.
    pub(crate) end: Option<EndedEntry>,
    /// The journals that hold the end.
    pub(crate) ended_in: Vec<Replica>,
    /// The claims on it.
    pub(crate) claims: Vec<Claim>,
    /// The last claim that went.
    pub(crate) past: Option<Past>,
    /// What readers were told last: that there is such a child, and which process runs it.
    pub(crate) shown: Option<Option<ProcessId>>,
}

impl Child {
    /// Returns whether a visible journal claims it.
    pub(crate) fn is_claimed(&self) -> bool {
        self.claims.iter().any(|claim| claim.visible)
    }

    /// Returns the highest epoch that any remembered journal knows, or 0.
    pub(crate) fn epoch(&self) -> u64 {
        let claims = self.claims.iter().map(|claim| claim.entry.epoch);
        claims.chain(self.past.map(|past| past.epoch)).max().unwrap_or(0)
    }

    /// Returns whether it may run where nobody here sees it: on a member that is silent, or behind
    /// one. What never ran, and nobody knows of who is not `visible`, does not.
    pub(crate) fn may_run_unseen(&self, targets: &Targets, visible: &BTreeSet<Replica>) -> bool {
        let is_of_others =
            || self.past.is_some() || self.spec_in.iter().all(|by| !visible.contains(by));
        !self.claims.is_empty() || !targets.outlook().is_whole && is_of_others()
    }

    /// Returns how a process that started now would stand to those before it.
    pub(crate) fn succession(&self) -> Succession {
        let silent = self.claims.iter().filter(|claim| !claim.visible);
        if let Some(lineage) = silent.map(|claim| claim.entry.standing.lineage).max() {
            return Succession::FailedOver { lineage };
        }
        match self.past {
            None => Succession::First,
            Some(past) if past.released => {
                Succession::Moved { lineage: past.lineage, moves: past.moves }
            }
            Some(past) => Succession::FailedOver { lineage: past.lineage },
        }
    }

    /// Returns why it does not start, if no visible process of it ever ran and one has failed.
    pub(crate) fn start_failure(&self) -> Option<&str> {
        let mut visible = self.claims.iter().filter(|claim| claim.visible);
        if self.end.is_some() || visible.clone().any(|claim| claim.entry.running) {
            return None;
        }
        visible.find_map(|claim| claim.entry.failure.as_deref())
    }

    /// Returns what the ring places it by.
    pub(crate) fn placement_key(&self, id: ChildId) -> Blob {
        let chosen = self.spec.as_ref().and_then(|entry| entry.spec.placement_key.clone());
        chosen.unwrap_or_else(|| Blob::from(id.to_bytes().as_slice()))
    }

    /// Returns the process that runs it, if one does and it has not ended.
    pub(crate) fn process(&self, rule: &Rule) -> Option<ProcessId> {
        self.standing(rule).flatten()
    }

    /// Returns the process that runs it, if one does; `None` before its specification and after its
    /// end.
    pub(crate) fn standing(&self, rule: &Rule) -> Option<Option<ProcessId>> {
        if self.spec.is_none() || self.end.is_some() {
            return None;
        }
        let running = self.claims.iter().filter(|claim| claim.visible && claim.entry.running);
        Some(running.map(Claim::rank).min_by(|a, b| rule.compare(a, b)).map(|rank| rank.process))
    }

    /// Returns what readers are told of a child that `process` runs.
    pub(crate) fn view(&self, process: Option<ProcessId>) -> Option<ChildView> {
        let spec = &self.spec.as_ref()?.spec;
        let name = spec.name.as_ref().map(|(_, name)| name.clone());
        Some(ChildView { kind: spec.kind.clone(), name, process })
    }

    fn is_nothing(&self) -> bool {
        self.spec_in.is_empty() && self.ended_in.is_empty() && self.claims.is_empty()
    }
}

/// All children that any remembered journal knows of.
///
/// Invariant: `unclaimed` holds the children that have a specification, no end and no visible
/// claim; `reserved` holds the names of all children that have a specification and no end; `ended`
/// holds the children that have an end, by its stamp.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Children {
    rule: Rule,
    table: BTreeMap<ChildKey, Child>,
    unclaimed: BTreeSet<ChildKey>,
    reserved: BTreeMap<(Scope, Name), BTreeSet<ChildKey>>,
    ended: BTreeSet<(Stamp, ChildKey)>,
}

impl Children {
    /// Creates a table without children, whose processes are ranked by `rule`.
    pub(crate) fn new(rule: Rule) -> Self {
        Self { rule, ..Self::default() }
    }

    /// Returns the rule that processes are ranked by.
    pub(crate) fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Puts the code of its rule in its place.
    pub(crate) fn supply_rule(&mut self, rule: &Rule) {
        self.rule = rule.clone();
    }

    /// Returns what is known of `key`.
    pub(crate) fn child(&self, key: &ChildKey) -> Option<&Child> {
        self.table.get(key)
    }

    /// Iterates over all children.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ChildKey, &Child)> {
        self.table.iter()
    }

    /// Checks the invariant against its definition, in O(c log c) time for c children.
    ///
    /// # Errors
    ///
    /// Says which index is wrong.
    pub(crate) fn audit(&self) -> Result<(), &'static str> {
        let mut again = Self::default();
        for (&key, child) in &self.table {
            if child.shown != child.standing(&self.rule) {
                return Err("a child is not shown as it is");
            }
            again.change(key, |known| *known = child.clone());
        }
        if again.unclaimed != self.unclaimed {
            return Err("the unclaimed children are not those without a claim");
        }
        if again.reserved != self.reserved {
            return Err("the reserved names are not those of the children");
        }
        if again.ended != self.ended || again.table.len() != self.table.len() {
            return Err("the children that ended are not those with an end");
        }
        Ok(())
    }

    /// Returns the children that nobody is seen to run.
    pub(crate) fn unclaimed(&self) -> &BTreeSet<ChildKey> {
        &self.unclaimed
    }

    /// Iterates over the children that ended before `stamp`, the oldest end first.
    pub(crate) fn ended_before(&self, stamp: Stamp) -> impl Iterator<Item = (&ChildKey, &Child)> {
        let ended = self.ended.iter().take_while(move |(at, _)| *at < stamp);
        ended.filter_map(|(_, key)| self.table.get_key_value(key))
    }

    /// Returns a child that reserves `name`, if one does.
    pub(crate) fn reserving(&self, scope: Scope, name: &Name) -> Option<ChildId> {
        self.reservers(scope, name).next().map(|(_, child)| *child)
    }

    /// Iterates over the children that reserve `name`.
    pub(crate) fn reservers(&self, scope: Scope, name: &Name) -> impl Iterator<Item = &ChildKey> {
        self.reserved.get(&(scope, name.clone())).into_iter().flatten()
    }

    /// Changes what is known of `key`, and keeps the indices true.
    ///
    /// Takes O(log c + j) time for c children and j journals that mention this one.
    pub(crate) fn change<R>(&mut self, key: ChildKey, change: impl FnOnce(&mut Child) -> R) -> R {
        let child = self.table.entry(key).or_default();
        let name_of = |child: &Child| child.spec.as_ref().and_then(|entry| entry.spec.name.clone());
        let name_before = name_of(child);
        let end_before = child.end.as_ref().map(|end| end.stamp);
        let result = change(child);

        if let Some(stamp) = end_before {
            self.ended.remove(&(stamp, key));
        }
        if let Some(end) = &child.end {
            self.ended.insert((end.stamp, key));
        }

        let stands = child.spec.is_some() && child.end.is_none();
        if stands && !child.is_claimed() {
            self.unclaimed.insert(key);
        } else {
            self.unclaimed.remove(&key);
        }
        if let Some(name) = name_of(child).or(name_before) {
            if stands {
                self.reserved.entry(name).or_default().insert(key);
            } else if let Some(children) = self.reserved.get_mut(&name) {
                children.remove(&key);
                if children.is_empty() {
                    self.reserved.remove(&name);
                }
            }
        }
        if child.is_nothing() && child.shown.is_none() {
            self.forget(key);
        }
        result
    }

    /// Drops a child that no journal mentions any more.
    fn forget(&mut self, key: ChildKey) {
        let Some(child) = self.table.remove(&key) else { return };
        self.unclaimed.remove(&key);
        if let Some(end) = &child.end {
            self.ended.remove(&(end.stamp, key));
        }
        if let Some(name) = child.spec.and_then(|entry| entry.spec.name)
            && let Some(children) = self.reserved.get_mut(&name)
        {
            children.remove(&key);
            if children.is_empty() {
                self.reserved.remove(&name);
            }
        }
    }
}
