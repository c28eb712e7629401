//! L8. The children that are seen are the children that run.

use std::slice;

use ordu_core::{ChildId, ChildView};

use crate::World;
use crate::host::Host;
use crate::invariants::rest::{Core, check_process, promise};
use crate::invariants::{Finding, Promise};

/// What comes to hold.
pub(super) const PROMISE: Promise = promise(
    "L8",
    "every child that is seen runs, where it is seen to, and every child that runs is seen",
    "ordu_core::ChildView",
);

/// Checks it.
pub(super) fn check(world: &World, core: &Core) -> Finding {
    let Some(first) = core.first() else { return Ok(()) };
    let children = world.children(first);
    for (child, view) in &children {
        let Some(process) = &view.process else {
            let must_run = world.is_steady(&view.kind) && core.can_run(world, *child);
            if must_run && !waits(world, core, *child, view) {
                return Err(format!("child {child} of kind {} does not run", view.kind));
            }
            continue;
        };
        check_process(world, core, process).map_err(|wrong| format!("child {child}: {wrong}"))?;
        let runs = core.runs(world).filter(|run| run.child == Some(*child));
        let hosts: Vec<Host> = runs.map(|run| run.host).collect();
        if Host::of(process.replica.node()).as_ref().map(slice::from_ref) != Some(&hosts) {
            return Err(format!("child {child} runs on {hosts:?}, not as {process}"));
        }
    }
    let unseen = |run: &&crate::Run| run.child.is_some_and(|child| !children.contains_key(&child));
    match core.runs(world).find(unseen) {
        Some(run) => Err(format!("{:?} runs on {}, unseen", run.child, run.host)),
        None => Ok(()),
    }
}

/// Returns whether `child` waits for a process of its own, which may live on where the core does
/// not hear it and be the better one of the two that have its name; the other one may fail again
/// and again.
fn waits(world: &World, core: &Core, child: ChildId, view: &ChildView) -> bool {
    let is_split = core.hosts.len() < world.hosts.len();
    let (Some(first), Some(name)) = (core.first(), &view.name) else { return false };
    let has_it = |(other, rival): (&ChildId, &&ChildView)| {
        *other != child && rival.name.as_ref() == Some(name) && !world.is_steady(&rival.kind)
    };
    let is_held = world.view(first).names.keys().any(|(_, held)| held == name)
        || world.children(first).iter().any(has_it);
    is_split && is_held
}
