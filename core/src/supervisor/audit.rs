//! What a supervisor counts and indexes, against what it follows from.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;

use crate::board::Board;
use crate::supervisor::Supervisor;
use crate::supervisor::children::{Child, ChildKey};
use crate::supervisor::instance::{Instance, Phase, Then};
use crate::supervisor::place::beaten_before_it_starts;
use crate::targets::Targets;
use crate::{ChildId, ChildView, Scope};

impl Supervisor {
    /// Iterates over all children that any remembered journal knows of.
    pub(crate) fn children(&self) -> impl Iterator<Item = (&ChildKey, &Child)> {
        self.children.iter()
    }

    /// Iterates over the children that have not ended, as readers see them.
    pub(crate) fn views(&self) -> impl Iterator<Item = (Scope, ChildId, ChildView)> {
        self.children.iter().filter_map(|(key, child)| {
            let view = child.view(child.standing(self.children.rule())?)?;
            Some((key.0, key.1, view))
        })
    }

    /// Iterates over the processes of children on this node, with the child that each runs.
    pub(crate) fn instances(&self) -> impl Iterator<Item = (u64, ChildKey)> {
        self.instances.iter().map(|(number, instance)| (*number, instance.key))
    }

    /// Returns how many processes are not at rest.
    pub(crate) fn unrest(&self) -> usize {
        self.unrest
    }

    /// Returns how many processes are not at rest, and how many children nobody runs though some
    /// member could.
    ///
    /// Where no lease is to be had, or this node sees too few members, nothing can be done.
    ///
    /// A child that may run behind a silent member, while somebody else runs under its name, is at
    /// rest: there is nothing that could be done before one of the two goes. Whether it may is for
    /// the ring owner to say, who may have seen it run where we have not.
    pub(crate) fn pending(&self, targets: &Targets, board: &Board) -> u64 {
        let is_whole = targets.outlook().is_whole;
        let is_seen = |child: &Child| is_whole && child.claims.is_empty();
        let homeless = self.children.unclaimed().iter().filter(|&&key| {
            let is_in_vain = self.modes.is_exclusive(key.0) && !targets.outlook().has_majority;
            if is_in_vain || self.hesitant.contains(&key.0) {
                return false;
            }
            let child = self.children.child(&key).expect("unclaimed children are known");
            let entry = child.spec.as_ref().expect("unclaimed children have a specification");
            let is_beaten =
                || beaten_before_it_starts(board, key, entry.spec.name.as_ref(), false).is_some();
            child.owner(key.1, targets).is_some() && (is_seen(child) || !is_beaten())
        });
        let unmoved = usize::from(self.unmoved_since.is_some());
        (self.unrest + self.fading.len() + self.beaten.len() + homeless.count() + unmoved) as u64
    }

    /// Returns how many effects wait to be carried out.
    pub(crate) fn queued(&self) -> usize {
        self.effects.len()
    }

    /// Checks every count and index against the children and processes.
    ///
    /// # Errors
    ///
    /// Says what is wrong.
    pub(crate) fn audit(&self) -> Result<(), String> {
        self.children.audit()?;
        let instances = || self.instances.iter();
        let by_child: BTreeMap<ChildKey, u64> =
            instances().map(|(number, instance)| (instance.key, *number)).collect();
        let waiting: BTreeSet<_> = instances()
            .filter_map(|(number, instance)| match instance.phase {
                Phase::Waiting { until } => Some((until, *number)),
                Phase::Asking
                | Phase::Starting
                | Phase::Running
                | Phase::Stopping { .. }
                | Phase::Frozen => None,
            })
            .collect();
        let starting = instances().filter(|(_, instance)| instance.phase == Phase::Starting);
        let asking = instances().filter(|(_, instance)| instance.phase == Phase::Asking);
        let unrest = instances().filter(|(_, instance)| !instance.is_at_rest());
        let is_open = |key: &ChildKey| self.children.unclaimed().contains(key);
        let may_be = |phase: &Phase| match phase {
            Phase::Stopping { then } => match then {
                Then::Gone | Then::Frozen | Then::Lapsed => true,
                Then::Again | Then::Failed => false,
            },
            Phase::Frozen => true,
            Phase::Asking | Phase::Starting | Phase::Running | Phase::Waiting { .. } => false,
        };
        let is_halted = |instance: &Instance| self.halted.contains(&instance.key.0);
        let are_halted = instances().all(|(_, own)| !is_halted(own) || may_be(&own.phase));
        let checks = [
            (by_child == self.by_child, "processes are not found by their children"),
            (waiting == self.waiting, "what waits for its next start is not in order"),
            (starting.count() == self.starting, "what starts is miscounted"),
            (asking.count() == self.contention.asking(), "what asks for leases is miscounted"),
            (unrest.count() == self.unrest, "what is not at rest is miscounted"),
            (are_halted, "a child runs without a quorum"),
            (self.halted.is_subset(&self.hesitant), "a child starts without a quorum"),
            (self.beaten.keys().all(is_open), "a child that somebody runs is waited for"),
        ];
        let wrong = checks.into_iter().find(|(holds, _)| !holds);
        wrong.map_or(Ok(()), |(_, wrong)| Err(wrong.into()))
    }
}
