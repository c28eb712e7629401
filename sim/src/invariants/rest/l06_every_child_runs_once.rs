//! L6. Every child that was accepted runs, and none runs twice.

use std::collections::BTreeMap;

use ordu_core::{ChildId, Node};

use crate::World;
use crate::invariants::rest::{Core, promise};
use crate::invariants::{Finding, Promise};
use crate::requests::scope;

/// What comes to hold.
pub(super) const PROMISE: Promise = promise(
    "L6",
    "every child that was accepted runs, once, where it belongs if it may move, and under a name \
     runs one child",
    "ordu_core::Command::Start",
);

/// Checks it, by what clients were told.
pub(super) fn check(world: &World, core: &Core) -> Finding {
    let mut children = BTreeMap::new();
    let mut names = BTreeMap::new();
    for run in core.runs(world) {
        let Some(child) = run.child else { continue };
        if let Some(twin) = children.insert(child, run.host) {
            return Err(format!("child {child} runs on {twin} and on {}", run.host));
        }
        let name = world.oracle.children.name_of(child);
        if let Some(twin) = name.and_then(|name| names.insert(name, run.host)) {
            return Err(format!("{name:?} runs on {twin} and on {}", run.host));
        }
    }
    if let Some(node) = core.first().and_then(|host| world.node(host))
        && world.moves_actively()
        && let plan = node.moves(scope(), None)
        && !plan.is_paused
        && let Some(odd) = plan.moves.iter().find(|odd| is_by_ring(node, odd.child))
    {
        return Err(format!("child {} runs on {}, and belongs to {}", odd.child, odd.from, odd.to));
    }
    for (child, kind) in world.oracle.children.due() {
        let must_run = world.is_steady(kind) && core.can_run(world, child);
        if must_run && !children.contains_key(&child) {
            return Err(format!("child {child} of kind {kind} was accepted and is lost"));
        }
    }
    Ok(())
}

/// Returns whether a child belongs where the ring says. What belongs elsewhere by what others have
/// on them is looked at when members change, and not whenever a child comes or ends.
fn is_by_ring(node: &Node, child: ChildId) -> bool {
    node.spec(scope(), child).is_some_and(|spec| spec.placement.is_ring())
}
