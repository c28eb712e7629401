//! S33. A child starts on the member that the ring gives it to, of those that can run it; one that
//! is placed by another strategy starts on any of those.

use std::collections::BTreeMap;

use ordu_core::placement::{Ring, Weight};
use ordu_core::{MemberStatus, MemberView, NodeId, Output, Start, StartReason};

use crate::invariants::{Finding, Invariant, Promise, Scene};
use crate::verdict::Class;

/// Builds the ring anew from what readers see of the members.
#[derive(Default)]
pub(crate) struct ChildrenGoWhereTheRingSays {
    /// The ring that was built last; mostly the next child starts on the same members.
    ring: Ring,
}

impl ChildrenGoWhereTheRingSays {
    fn owner(&mut self, scene: &Scene<'_>, start: &Start) -> Option<NodeId> {
        let members = || scene.view.members.iter().filter(|(_, member)| takes_children(member));
        let weights: BTreeMap<&NodeId, Weight> =
            members().map(|(node, member)| (node, member.weight)).collect();
        if !self.ring.members().eq(weights.iter().map(|(node, weight)| (*node, *weight))) {
            let weights = weights.into_iter();
            self.ring = weights.map(|(node, weight)| (node.clone(), weight)).collect();
        }
        let is_here = |node: &&NodeId| **node == scene.host.id();
        let gave_up: Vec<&NodeId> = scene.node.given_up_by(start.scope, start.child).collect();
        let spec = scene.node.spec(start.scope, start.child)?;
        let can_run = |node: &&NodeId| {
            let member = &scene.view.members[*node];
            member.kinds.contains(&start.kind)
                && spec.needs.iter().all(|need| need.is_met_by(node, &member.labels))
                && !gave_up.contains(node)
                && !member.is_full
        };
        if !spec.placement.is_ring() {
            // Whom a strategy chooses is its own; it chooses among those that can run the child.
            return self
                .ring
                .members()
                .map(|(node, _)| node)
                .filter(can_run)
                .find(is_here)
                .cloned();
        }
        let own = start.child.to_bytes();
        let place = spec.placement_key.as_ref().map_or(own.as_slice(), |key| key.as_bytes());
        self.ring.candidates(place).find(can_run).cloned()
    }
}

impl Invariant for ChildrenGoWhereTheRingSays {
    fn promise(&self) -> Promise {
        Promise {
            id: "S33",
            says: "a child starts on the member that the ring gives it to, of those that can run it",
            made_in: "ordu_core::placement::Ring",
            class: Class::Safety,
        }
    }

    fn handle_output(&mut self, scene: &Scene<'_>, output: &Output) -> Finding {
        let Output::Start(start) = output else { return Ok(()) };
        let is_placed = match start.reason {
            StartReason::Fresh | StartReason::Moved | StartReason::FailedOver => true,
            StartReason::Restarted | StartReason::Resumed => false,
        };
        // While readers are still to hear of a change, the node may go by what they see or not.
        let seen = scene.view.members.iter().map(|(node, member)| (node, member.clone()));
        if !is_placed || !seen.eq(scene.node.members()) {
            return Ok(());
        }
        if scene.node.has_ended(start.scope, start.child) {
            // It ended within the same input, with the child that it belonged to.
            return Ok(());
        }
        let (owner, child) = (self.owner(scene, start), start.child);
        // Whoever is granted a lease may stand in for others, that were not.
        if owner == Some(scene.host.id()) || start.lease.is_some() {
            return Ok(());
        }
        Err(format!("{} starts child {child}, which is {owner:?}'s", scene.host))
    }
}

/// Returns whether children are put onto a member.
fn takes_children(member: &MemberView) -> bool {
    match member.status {
        MemberStatus::Alive | MemberStatus::Suspect => member.address.is_some(),
        MemberStatus::Joining | MemberStatus::Leaving | MemberStatus::Down => false,
    }
}
