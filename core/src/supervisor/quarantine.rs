//! Children that fail again and again: given up by one node after the other, then tried by none.

use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

use crate::entry::{GivenUpEntry, Reason};
use crate::supervisor::children::{Child, ChildKey};
use crate::supervisor::instance::Instance;
use crate::supervisor::{Around, Supervisor};
use crate::targets::Targets;
use crate::{GivenUp, NodeId, ProcessId, Quarantined, Scope, Time};

impl Instance {
    /// Counts a failure at `now`; returns whether that is more than its budget lets it have.
    pub(super) fn spend(&mut self, now: Time) -> bool {
        let Some(budget) = self.spec.budget else { return false };
        while self.failed_at.front().is_some_and(|&at| budget.within < now.since(at)) {
            self.failed_at.pop_front();
        }
        self.failed_at.push_back(now);
        usize::from(budget.failures) < self.failed_at.len()
    }
}

impl Supervisor {
    /// Returns the child that the process `number` runs and that is to be given up here, and how
    /// often it failed; `None` if it has gone meanwhile.
    pub(crate) fn given_up_here(&self, number: u64) -> Option<(ChildKey, usize)> {
        let instance = self.instances.get(&number)?;
        Some((instance.key, instance.failed_at.len()))
    }

    /// Lets go of the process `number`, whose child this node has given up: it goes on elsewhere.
    pub(crate) fn give_up(&mut self, number: u64) {
        if let Some(instance) = self.instances.get(&number) {
            self.left_elsewhere.insert(instance.key, None);
        }
        self.drop_instance_for(number, Reason::GivenUp);
    }

    /// Takes in that `node` has given `key` up, or is to try it again.
    pub(crate) fn handle_given_up(
        &mut self,
        around: &mut Around<'_>,
        key: ChildKey,
        node: &NodeId,
        entry: Option<GivenUpEntry>,
    ) {
        self.children.change(key, |child| {
            child.given_up.retain(|given_up| given_up.node != *node);
            if let Some(GivenUpEntry { failures, reason }) = entry {
                child.given_up.push(GivenUp { node: node.clone(), failures, reason });
                child.given_up.sort_by(|a, b| a.node.cmp(&b.node));
            }
        });
        self.reconcile(around, key);
    }

    /// Returns the children of the supervisor `scope` that nobody tries any more.
    pub(crate) fn quarantined(&self, scope: Scope, targets: &Targets) -> Vec<Quarantined> {
        let of_scope = self.children.given_up().filter(|(key, _)| key.0 == scope);
        let tried_by_none = of_scope.filter(|(key, child)| child.is_in_quarantine(key.1, targets));
        let told = tried_by_none.filter_map(|(key, child)| {
            let spec = &child.spec.as_ref()?.spec;
            let name = spec.name.as_ref().map(|(_, name)| name.clone());
            let (kind, given_up) = (spec.kind.clone(), child.given_up.clone());
            Some(Quarantined { child: key.1, kind, name, given_up })
        });
        told.collect()
    }

    /// Returns how many children `node`, this one, has given up in this life whose process has run
    /// on another one since, without a failure, for as long as failures count against its budget.
    /// To be called once a beat.
    pub(crate) fn better_off(&mut self, now: Time, node: &NodeId) -> usize {
        let mut left = mem::take(&mut self.left_elsewhere);
        left.retain(|key, run| {
            let child = self.children.child(key).filter(|child| child.is_given_up_by(node));
            let Some(child) = child.filter(|child| child.end.is_none()) else { return false };
            let process = child.process(self.children.rule());
            let seen = run.take().filter(|(seen, _)| process.as_ref() == Some(seen));
            *run = seen.or_else(|| Some((process?, now)));
            true
        });
        self.left_elsewhere = left;
        let has_lasted = |(key, run): &(&ChildKey, &Option<(ProcessId, Time)>)| {
            let child = self.children.child(key).and_then(|child| child.spec.as_ref());
            let within = child.and_then(|entry| entry.spec.budget).map(|budget| budget.within);
            run.as_ref().zip(within).is_some_and(|((_, since), within)| within <= now.since(*since))
        };
        self.left_elsewhere.iter().filter(has_lasted).count()
    }

    /// Iterates over the children that a node has given up.
    pub(crate) fn given_up(&self) -> impl Iterator<Item = &ChildKey> {
        self.children.given_up().map(|(key, _)| key)
    }

    /// Iterates over the children that nodes have given up and that are over.
    pub(crate) fn given_up_for_nothing(&self) -> impl Iterator<Item = (&ChildKey, &Child)> {
        let is_over = |child: &Child| child.end.is_some() || child.spec.is_none();
        self.children.given_up().filter(move |(_, child)| is_over(child))
    }
}

/// Returns the beginning of `reason`, of as many bytes as are kept.
pub(crate) fn shortened(mut reason: String) -> String {
    const KEPT_MAX: usize = 1_024;
    if KEPT_MAX < reason.len() {
        let end = (0..=KEPT_MAX).rev().find(|&end| reason.is_char_boundary(end));
        reason.truncate(end.expect("0 is a boundary"));
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn a_reason_is_cut_between_characters() {
        assert_eq!(shortened("short".into()), "short");
        assert_eq!(shortened("x".repeat(1_024)).len(), 1_024);
        assert_eq!(shortened("x".repeat(1_025)).len(), 1_024);
        // Of two bytes each, after one of one: the last that fits whole ends at 1,023.
        let odd = shortened(["x", &"é".repeat(600)].concat());
        assert_eq!((odd.len(), odd.chars().count()), (1_023, 512));
    }
}
