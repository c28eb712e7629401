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
pub(super) fn check(world: &World, core: &Core) -> Finding {
    let mut owned: BTreeMap<&Replica, (Host, u64, u64)> = BTreeMap::new();
    let in_core = || world.nodes().filter(|(host, _, _)| core.hosts.contains(host));
    for (host, _, node) in in_core() {
        let Some(me) = node.replica() else { continue };
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
