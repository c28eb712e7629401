//! What is known of every child: specifications, claims and ends, from all remembered journals.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::entry::{AssignedEntry, ClaimEntry, EndedEntry, Reason, SpecEntry};
use crate::limits::HOPS_MAX;
use crate::placement::Exclusion;
use crate::rank::Rank;
use crate::rule::Rule;
use crate::supervisor::loads::{Kin, Loads, Whereabouts};
use crate::supervisor::reserved::Reserved;
use crate::table::Table;
use crate::targets::Targets;
use crate::{
    Blob, ChildId, ChildView, GivenUp, Name, NodeId, Passage, ProcessId, Replica, Scope, Stamp,
};

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

/// A choice of a member for a child, in a journal that may be masked.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Assigned {
    /// Whose journal it stands in.
    pub(crate) replica: Replica,
    /// What it says.
    pub(crate) entry: AssignedEntry,
    /// Whether the journal is visible.
    pub(crate) visible: bool,
}

/// The last claim on a child that was seen to go.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Past {
    /// The node it was of.
    pub(crate) node: NodeId,
    /// The epoch it had.
    pub(crate) epoch: u64,
    /// The lineage it had.
    pub(crate) lineage: u32,
    /// The moves it had.
    pub(crate) moves: u64,
    /// Why its owner let go of it; `None` if it vanished with it.
    pub(crate) released: Option<Reason>,
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
        moves: u64,
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
    /// The members chosen for it, since it is placed by a strategy.
    pub(crate) assigned: Vec<Assigned>,
    /// The last claim that went.
    pub(crate) past: Option<Past>,
    /// Its last moves from one node to another, as they were seen here, the earliest first.
    pub(crate) history: Vec<Passage>,
    /// The nodes that have given it up, and why, in the order of their ids.
    pub(crate) given_up: Vec<GivenUp>,
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
        claims.chain(self.past.as_ref().map(|past| past.epoch)).max().unwrap_or(0)
    }

    /// Returns the choice of a member for its next start: of those in visible journals the one of
    /// the most hops. A choice has more hops than all that it is made after, whatever the clocks
    /// say.
    pub(crate) fn choice(&self) -> Option<&AssignedEntry> {
        let visible = self.assigned.iter().filter(|assigned| assigned.visible);
        let choices = visible.map(|assigned| &assigned.entry);
        // No node passes a child on more often: nobody could choose after that.
        let choices = choices.filter(|choice| usize::from(choice.hops) <= HOPS_MAX);
        choices.max_by(|a, b| (a.hops, a.stamp, &a.to).cmp(&(b.hops, b.stamp, &b.to)))
    }

    /// Returns where it counts: on the node that is seen to claim it, else on the chosen one.
    pub(crate) fn whereabouts(&self, scope: Scope) -> Option<Whereabouts> {
        let claimed = self.claims.iter().find(|claim| claim.visible);
        let stands = self.spec.is_some() && self.end.is_none();
        let chosen = || Some(&self.choice().filter(|_| stands)?.to);
        let node = claimed.map(|claim| claim.replica.node()).or_else(chosen)?.clone();
        Some(Whereabouts { node, kin: self.kin(scope) })
    }

    /// Returns whom its strategy may tell it apart from: who share its placement key.
    pub(crate) fn kin(&self, scope: Scope) -> Option<Kin> {
        let spec = &self.spec.as_ref().filter(|entry| !entry.spec.placement.is_ring())?.spec;
        Some((scope, spec.placement_key.clone()?))
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
        match &self.past {
            None => Succession::First,
            Some(past) if past.released.is_some_and(|why| why != Reason::Lapsed) => {
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

    /// Returns whether its last process is taken for lost with its node.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self.succession(), Succession::FailedOver { .. })
    }

    /// Returns who is seen to run it, or to start it, or to wait for its next start.
    pub(crate) fn runner(&self, rule: &Rule) -> Option<&Replica> {
        let visible = self.claims.iter().filter(|claim| claim.visible);
        let best = visible.min_by(|a, b| {
            b.entry.running.cmp(&a.entry.running).then_with(|| rule.compare(&a.rank(), &b.rank()))
        })?;
        Some(&best.replica)
    }

    /// Returns which of the members is to run it, or to ask its strategy; `None` if none can, or it
    /// is in quarantine.
    pub(crate) fn owner<'a>(&'a self, id: ChildId, targets: &'a Targets) -> Option<&'a NodeId> {
        let spec = &self.spec.as_ref()?.spec;
        if self.is_tried_out() {
            return None;
        }
        let gave_up = |node: &NodeId| self.is_given_up_by(node);
        let chosen = self.choice().map(|choice| &choice.to);
        let chosen = chosen.filter(|node| targets.is_able(node, spec, gave_up));
        chosen.or_else(|| targets.owner(&self.placement_key(id), spec, gave_up))
    }

    /// Returns whether nobody tries it any more: so many nodes have given it up as its budget says,
    /// or all that could run it.
    pub(crate) fn is_in_quarantine(&self, id: ChildId, targets: &Targets) -> bool {
        let Some(entry) = self.spec.as_ref().filter(|_| !self.given_up.is_empty()) else {
            return false;
        };
        let place = self.placement_key(id);
        let judged = targets.judged(&place, &entry.spec, |node| self.is_given_up_by(node));
        let mut why_not = judged.map(|(_, exclusion)| exclusion);
        let is_hopeless = |exclusion| match exclusion {
            Some(
                Exclusion::GaveUp | Exclusion::Kind | Exclusion::Strategy | Exclusion::Need(_),
            ) => true,
            Some(Exclusion::Full) | None => false,
        };
        self.end.is_none() && (self.is_tried_out() || why_not.all(is_hopeless))
    }

    /// Returns whether `node` has given it up.
    pub(crate) fn is_given_up_by(&self, node: &NodeId) -> bool {
        self.given_up.iter().any(|given_up| given_up.node == *node)
    }

    fn is_tried_out(&self) -> bool {
        let budget = self.spec.as_ref().and_then(|entry| entry.spec.budget);
        budget.is_some_and(|budget| usize::from(budget.nodes.max(1)) <= self.given_up.len())
    }

    /// Returns the name that it keeps for itself, if it has one and has not ended.
    fn reserves(&self) -> Option<&(Scope, Name)> {
        self.spec.as_ref().filter(|_| self.end.is_none())?.spec.name.as_ref()
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
        Some(ChildView { kind: spec.kind.clone(), name, process, parent: spec.parent })
    }

    fn is_nothing(&self) -> bool {
        self.spec_in.is_empty()
            && self.ended_in.is_empty()
            && self.claims.is_empty()
            && self.assigned.is_empty()
            && self.given_up.is_empty()
    }
}

/// All children that any remembered journal knows of.
///
/// Invariant: `unclaimed` holds the children that have a specification, no end and no visible
/// claim; `reserved` holds the names of all children that have a specification and no end; `ended`
/// holds the children that have an end, by its stamp; `given_up` those that a node has given up;
/// `nested` holds those with a specification and no end by the children that they belong to;
/// `loads` counts each child that has whereabouts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Children {
    rule: Rule,
    table: Table<ChildKey, Child>,
    unclaimed: BTreeSet<ChildKey>,
    reserved: Reserved,
    ended: BTreeSet<(Stamp, ChildKey)>,
    given_up: BTreeSet<ChildKey>,
    nested: BTreeMap<ChildKey, BTreeSet<ChildKey>>,
    loads: Loads,
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
        for (&key, child) in self.table.iter() {
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
        if again.nested != self.nested {
            return Err("the children that belong to others are not those that say so");
        }
        if again.loads != self.loads {
            return Err("the children on nodes are miscounted");
        }
        if again.given_up != self.given_up {
            return Err("the children that nodes gave up are not those that are said to be");
        }
        Ok(())
    }

    /// Returns the children that nobody is seen to run.
    pub(crate) fn unclaimed(&self) -> &BTreeSet<ChildKey> {
        &self.unclaimed
    }

    /// Returns how many children are where.
    pub(crate) fn loads(&self) -> &Loads {
        &self.loads
    }

    /// Returns the latest stamp of an end.
    pub(crate) fn latest_end(&self) -> Stamp {
        self.ended.last().map_or_else(Stamp::default, |(stamp, _)| *stamp)
    }

    /// Iterates over the children that ended by `stamp`, the oldest end first.
    pub(crate) fn ended_by(&self, stamp: Stamp) -> impl Iterator<Item = (&ChildKey, &Child)> {
        let ended = self.ended.iter().take_while(move |(at, _)| *at <= stamp);
        ended.filter_map(|(_, key)| self.table.get_key_value(key))
    }

    /// Iterates over the children that a node has given up.
    pub(crate) fn given_up(&self) -> impl Iterator<Item = (&ChildKey, &Child)> {
        self.given_up.iter().filter_map(|key| self.table.get_key_value(key))
    }

    /// Iterates over the children that belong to `parent`, and have not ended.
    pub(crate) fn nested(&self, parent: &ChildKey) -> impl Iterator<Item = &ChildKey> {
        self.nested.get(parent).into_iter().flatten()
    }

    /// Returns a child that reserves `name`, if one does.
    pub(crate) fn reserving(&self, scope: Scope, name: &Name) -> Option<ChildId> {
        self.reservers(&(scope, name.clone())).next().map(|(_, child)| *child)
    }

    /// Iterates over the children that reserve `name`.
    pub(crate) fn reservers(&self, name: &(Scope, Name)) -> impl Iterator<Item = &ChildKey> {
        self.reserved.of(name)
    }

    /// Returns whether `key` reserves `name`, and no other child does, without a look at the names;
    /// it may be so where this says no.
    pub(crate) fn is_known_to_reserve_alone(&self, key: &ChildKey, name: &(Scope, Name)) -> bool {
        let reserves = |child: &Child| child.reserves() == Some(name);
        !self.reserved.are_some_shared() && self.child(key).is_some_and(reserves)
    }

    /// Changes what is known of `key`, and keeps the indices true.
    ///
    /// Takes O(log c + j) time for c children and j journals that mention this one; only indices
    /// that change are looked into.
    pub(crate) fn change<R>(&mut self, key: ChildKey, change: impl FnOnce(&mut Child) -> R) -> R {
        let child = self.table.get_or_default(&key);
        let before = Indexed::of(key.0, child);
        let result = change(child);
        let is_nothing = child.is_nothing() && child.shown.is_none();
        let after = if is_nothing { Indexed::default() } else { Indexed::of(key.0, child) };

        if before.ended != after.ended {
            before.ended.map(|stamp| self.ended.remove(&(stamp, key)));
            after.ended.map(|stamp| self.ended.insert((stamp, key)));
        }
        if before.whereabouts != after.whereabouts {
            if let Some(place) = before.whereabouts {
                self.loads.remove(place);
            }
            if let Some(place) = after.whereabouts {
                self.loads.add(place);
            }
        }
        set(&mut self.given_up, key, before.is_given_up, after.is_given_up);
        set(&mut self.unclaimed, key, before.is_unclaimed, after.is_unclaimed);
        if before.reserved != after.reserved {
            if let Some(name) = before.reserved {
                self.reserved.remove(&name, key);
            }
            if let Some(name) = after.reserved {
                self.reserved.insert(&name, key);
            }
        }
        if before.parent != after.parent {
            if let Some(parent) = before.parent {
                take_out(&mut self.nested, &parent, &key);
            }
            if let Some(parent) = after.parent {
                self.nested.entry(parent).or_default().insert(key);
            }
        }
        if is_nothing {
            self.table.remove(&key);
        }
        result
    }
}

/// Takes `key` out of the children under `of`.
fn take_out(nested: &mut BTreeMap<ChildKey, BTreeSet<ChildKey>>, of: &ChildKey, key: &ChildKey) {
    if let Some(under) = nested.get_mut(of) {
        under.remove(key);
        if under.is_empty() {
            nested.remove(of);
        }
    }
}

/// What the indices of [`Children`] say of a child.
#[derive(Default)]
struct Indexed {
    ended: Option<Stamp>,
    is_given_up: bool,
    is_unclaimed: bool,
    /// The name that it reserves; a clone of it costs no more than a count.
    reserved: Option<(Scope, Name)>,
    whereabouts: Option<Whereabouts>,
    parent: Option<ChildKey>,
}

impl Indexed {
    fn of(scope: Scope, child: &Child) -> Self {
        let stands = child.spec.as_ref().filter(|_| child.end.is_none());
        Self {
            ended: child.end.as_ref().map(|end| end.stamp),
            is_given_up: !child.given_up.is_empty(),
            is_unclaimed: stands.is_some() && !child.is_claimed(),
            reserved: child.reserves().cloned(),
            whereabouts: child.whereabouts(scope),
            parent: stands.and_then(|entry| Some((scope, entry.spec.parent?))),
        }
    }
}

/// Puts `key` into a set or takes it out, if that changes anything.
fn set(keys: &mut BTreeSet<ChildKey>, key: ChildKey, before: bool, after: bool) {
    match (before, after) {
        (false, true) => drop(keys.insert(key)),
        (true, false) => drop(keys.remove(&key)),
        (false, false) | (true, true) => (),
    }
}
