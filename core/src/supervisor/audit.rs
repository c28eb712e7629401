//! What a supervisor counts and indexes, against what it follows from.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;

use crate::supervisor::Supervisor;
use crate::supervisor::children::{Child, ChildKey};
use crate::supervisor::instance::Phase;
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
        let starting = instances().filter(|(_, instance)| instance.phase.is_start());
        let unrest = instances().filter(|(_, instance)| !instance.is_at_rest());
        let is_open = |key: &ChildKey| self.children.unclaimed().contains(key);
        let checks = [
            (by_child == self.by_child, "processes are not found by their children"),
            (waiting == self.waiting, "what waits for its next start is not in order"),
            (starting.count() == self.starting, "what starts is miscounted"),
            (unrest.count() == self.unrest, "what is not at rest is miscounted"),
            (self.beaten.keys().all(is_open), "a child that somebody runs is waited for"),
        ];
        let wrong = checks.into_iter().find(|(holds, _)| !holds);
        wrong.map_or(Ok(()), |(_, wrong)| Err(wrong.into()))
    }
}
