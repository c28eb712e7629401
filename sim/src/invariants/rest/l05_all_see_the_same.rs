//! L5. The readers of all nodes of the core see the same names, groups, children and metadata.

use std::collections::BTreeMap;
use std::fmt::Debug;

use crate::World;
use crate::host::Host;
use crate::invariants::rest::{Core, promise};
use crate::invariants::{Finding, Promise};

/// What comes to hold.
pub(super) const PROMISE: Promise = promise(
    "L5",
    "the readers of all nodes see the same holders of names, members of groups, children, metadata",
    "ordu_core::ViewChange",
);

/// Checks it.
pub(super) fn check(world: &World, core: &Core) -> Finding {
    let Some(first) = core.first() else { return Ok(()) };
    let view = world.view(first);
    for &other in &core.hosts {
        let theirs = world.view(other);
        differing(&view.names, &theirs.names, "name", first, other)?;
        differing(&view.groups, &theirs.groups, "membership", first, other)?;
        differing(&view.children, &theirs.children, "child", first, other)?;
        differing(&view.metadata, &theirs.metadata, "metadata", first, other)?;
    }
    Ok(())
}

fn differing<K: Ord + Debug, V: PartialEq + Debug>(
    ours: &BTreeMap<K, V>,
    theirs: &BTreeMap<K, V>,
    what: &str,
    us: Host,
    them: Host,
) -> Finding {
    let mut keys = ours.keys().chain(theirs.keys());
    match keys.find(|&key| ours.get(key) != theirs.get(key)) {
        None => Ok(()),
        Some(key) => {
            let (ours, theirs) = (ours.get(key), theirs.get(key));
            Err(format!("{what} {key:?} is {ours:?} to {us} and {theirs:?} to {them}"))
        }
    }
}
