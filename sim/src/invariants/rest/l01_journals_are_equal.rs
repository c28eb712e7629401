//! L1. Every node of the core holds the same of every journal of the core.

use std::collections::BTreeMap;

use ordu_core::Replica;

use crate::World;
use crate::host::Host;
use crate::invariants::rest::{Core, promise};
use crate::invariants::{Finding, Promise};

/// What comes to hold.
pub(super) const PROMISE: Promise = promise(
    "L1",
    "all nodes hold the same of every journal whose writer lives",
    "ordu_core::crdt::JournalCopy",
);

/// Checks it, by heads and fingerprints.
///
/// Who runs children that do not stay up writes on and on. Behind a link that comes and goes, or
/// where nothing is pushed, copies are always a little behind that; they must be equal once those
/// children were told to end.
pub(super) fn check(world: &World, core: &Core) -> Finding {
    let mut owned: BTreeMap<&Replica, (Host, u64, u64)> = BTreeMap::new();
    let in_core = || world.nodes().filter(|(host, _, _)| core.hosts.contains(host));
    for (host, _, node) in in_core() {
        let Some(me) = node.replica() else { continue };
        let writes_on = world.view(host).children.values().any(|v| !world.is_steady(&v.kind));
        if writes_on && (core.is_late || !core.flapping.is_empty()) {
            continue;
        }
        if let Some(own) = node.journal(me) {
            owned.insert(me, (host, own.head(), own.fingerprint()));
        }
    }
    for (host, _, node) in in_core() {
        for (replica, &(owner, head, fingerprint)) in &owned {
            let copy = node.journal(replica);
            let held = copy.map_or((0, 0), |copy| (copy.head(), copy.fingerprint()));
            if held != (head, fingerprint) {
                return Err(format!(
                    "{host} holds {owner}'s journal up to {}, {owner} itself up to {head}, with \
                     fingerprints {:x} and {fingerprint:x}",
                    held.0, held.1
                ));
            }
        }
    }
    Ok(())
}
