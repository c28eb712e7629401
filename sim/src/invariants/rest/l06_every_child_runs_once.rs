//! L6. Every child that was accepted runs, and none runs twice.

use std::collections::BTreeMap;

use crate::World;
use crate::invariants::rest::{Core, promise};
use crate::invariants::{Finding, Promise};

/// What comes to hold.
pub(super) const PROMISE: Promise = promise(
    "L6",
    "every child that was accepted runs, once, and under a name runs one child",
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
    for (child, kind) in world.oracle.children.due() {
        if world.is_steady(kind) && !children.contains_key(&child) {
            return Err(format!("child {child} of kind {kind} was accepted and is lost"));
        }
    }
    Ok(())
}
