//! Children that belong to others: they end with them, and may fail them.

use alloc::vec::Vec;

use crate::supervisor::children::ChildKey;
use crate::supervisor::instance::{Phase, Then};
use crate::supervisor::{Around, Supervisor};
use crate::targets::Targets;
use crate::{ChildId, StopReason};

impl Supervisor {
    /// Returns the child that `key` belongs to, if that one has ended.
    pub(super) fn ended_parent(&self, key: &ChildKey) -> Option<ChildId> {
        let child = self.children.child(key).filter(|child| child.end.is_none())?;
        let parent = child.spec.as_ref()?.spec.parent?;
        let known = self.children.child(&(key.0, parent))?;
        known.end.is_some().then_some(parent)
    }

    /// Looks again at the children that belong to `parent`, which has ended.
    pub(super) fn reconcile_nested(&mut self, around: &mut Around<'_>, parent: ChildKey) {
        let nested: Vec<ChildKey> = self.children.nested(&parent).copied().collect();
        for key in nested {
            self.reconcile(around, key);
        }
    }

    /// Returns whether children belong to `parent` that have not ended.
    pub(crate) fn has_nested(&self, parent: &ChildKey) -> bool {
        self.children.nested(parent).next().is_some()
    }

    /// Returns those in quarantine of the children that belong to the one that the process `number`
    /// runs, and that are its failures.
    pub(crate) fn failures_of(&self, number: u64, targets: &Targets) -> Vec<ChildKey> {
        let Some(instance) = self.instances.get(&number) else { return Vec::new() };
        let nested = self.children.nested(&instance.key).copied();
        nested.filter(|key| self.is_escalation(key, targets)).collect()
    }

    /// Stops the process of the child that `key` belongs to, as one that failed, if it runs here
    /// and `key` in quarantine is its failure.
    pub(crate) fn escalate(&mut self, key: &ChildKey, targets: &Targets) {
        let spec = self.children.child(key).and_then(|child| child.spec.as_ref());
        let Some(parent) = spec.and_then(|entry| entry.spec.parent) else { return };
        let Some(&number) = self.by_child.get(&(key.0, parent)) else { return };
        if self.instances[&number].phase == Phase::Running && self.is_escalation(key, targets) {
            self.stop(number, StopReason::Escalated, Then::Failed);
        }
    }

    fn is_escalation(&self, key: &ChildKey, targets: &Targets) -> bool {
        self.children.child(key).is_some_and(|child| {
            let escalates = child.spec.as_ref().is_some_and(|entry| entry.spec.escalates);
            escalates && child.is_in_quarantine(key.1, targets)
        })
    }
}
