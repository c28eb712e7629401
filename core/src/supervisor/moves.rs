//! Children that run elsewhere than they belong: a plan of moves, and how it is carried out.

use alloc::vec::Vec;
use core::time::Duration;

use crate::placement::{Exclusion, Move};
use crate::supervisor::children::{Child, ChildKey};
use crate::supervisor::instance::{Instance, Phase, Then};
use crate::supervisor::{Around, Supervisor};
use crate::targets::Targets;
use crate::{NodeId, Scope, StopReason};

impl Supervisor {
    /// Returns the moves of the children of `scope` that bring each to where it belongs, in the
    /// order of their ids; if `without` is given, as if that node had left. Changes nothing.
    ///
    /// Of children that stay, those alone are moved whose node has left. Costs all children.
    pub(crate) fn plan(
        &self,
        scope: Scope,
        targets: &Targets,
        without: Option<&NodeId>,
    ) -> Vec<Move> {
        let of_scope = self.standing().filter(|((of, _), _)| *of == scope);
        let moves = of_scope.filter_map(|(&key, child)| {
            let from = child.runner(self.children.rule())?.node();
            let to = belongs(key, child, from, targets, without)?;
            Some(Move { scope, child: key.1, from: from.clone(), to: to.clone() })
        });
        moves.collect()
    }

    /// Tells children that belong elsewhere to stop, so that no more than `at_once` are on their
    /// way, if nothing has changed for `quiet` where children may run.
    ///
    /// Costs the children here once more for each beat on which some of them move.
    pub(crate) fn redistribute(&mut self, around: &Around<'_>, at_once: usize, quiet: Duration) {
        let Some(since) = self.unmoved_since else { return };
        if self.is_leaving || around.now.since(since) < quiet {
            return;
        }
        let moving = self.instances.values().filter(|instance| instance.is_moving).count();
        let me = around.me.node();
        let misplaced = self.instances.iter().filter(|(_, instance)| {
            let child = self.children.child(&instance.key);
            let belongs =
                child.and_then(|child| belongs(instance.key, child, me, around.targets, None));
            belongs.is_some()
        });
        let mut misplaced = misplaced.peekable();
        if misplaced.peek().is_none() {
            self.unmoved_since = None;
        }
        // What starts or stops already is looked at again at the next beat.
        let may_stop = |instance: &Instance| match instance.phase {
            Phase::Running | Phase::Waiting { .. } => true,
            Phase::Starting | Phase::Stopping { .. } | Phase::Frozen => false,
        };
        let next = misplaced.filter(|(_, instance)| may_stop(instance)).map(|(&number, _)| number);
        let next: Vec<u64> = next.take(at_once.saturating_sub(moving)).collect();
        for number in next {
            self.stop(number, StopReason::Moving, Then::Gone);
            if let Some(instance) = self.instances.get_mut(&number) {
                instance.is_moving = true;
            }
        }
    }
}

/// Returns where `child` belongs, which runs on `from`, if that is elsewhere and it may move.
///
/// Where it runs there is room for it.
fn belongs<'a>(
    key: ChildKey,
    child: &'a Child,
    from: &NodeId,
    targets: &'a Targets,
    without: Option<&NodeId>,
) -> Option<&'a NodeId> {
    let spec = &child.spec.as_ref()?.spec;
    if spec.stays && without != Some(from) {
        return None;
    }
    let place = child.placement_key(key.1);
    let judged = targets.judged(&place, spec, |node| child.is_given_up_by(node));
    let mut able = judged.filter(|(node, exclusion)| match exclusion {
        None => without != Some(*node),
        Some(Exclusion::Full) => *node == from && without != Some(from),
        Some(Exclusion::Kind | Exclusion::Need(_) | Exclusion::GaveUp) => false,
    });
    able.next().map(|(node, _)| node).filter(|node| *node != from)
}
