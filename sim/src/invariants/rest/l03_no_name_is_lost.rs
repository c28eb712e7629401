//! L3. Every name that was given to a process that runs is seen by all.

use crate::World;
use crate::host::Host;
use crate::invariants::rest::{Core, promise};
use crate::invariants::{Finding, Promise};

/// What comes to hold.
pub(super) const PROMISE: Promise = promise(
    "L3",
    "a name whose registration was answered for is seen by all, with the process that has it",
    "ordu_core::Command::Register",
);

/// Checks it, by what clients were told: nobody took the name away, and its process still runs.
pub(super) fn check(world: &World, core: &Core) -> Finding {
    for given in world.oracle.names.due() {
        let (_, name, process) = given;
        let owner = Host::of(process.replica.node());
        if owner.is_none_or(|owner| !core.hosts.contains(&owner)) {
            continue;
        }
        for &host in &core.hosts {
            if !world.oracle.names.is_shown(host, given) {
                return Err(format!("{process} was given the name {name}, which {host} lacks"));
            }
        }
    }
    Ok(())
}
