//! L9. Every node of the core sees the core alive, and nobody else.

use ordu_core::MemberStatus;

use crate::World;
use crate::invariants::rest::{Core, promise};
use crate::invariants::{Finding, Promise};

/// What comes to hold.
pub(super) const PROMISE: Promise = promise(
    "L9",
    "every node that is up sees every other as alive, and nobody else",
    "ordu_core::MemberStatus",
);

/// Checks it.
pub(super) fn check(world: &World, core: &Core) -> Finding {
    for &host in &core.hosts {
        for &other in world.hosts.keys() {
            let status = world.status(host, other);
            let alive = status == Some(MemberStatus::Alive);
            // A node need not list itself.
            let itself = host == other && status.is_none();
            // A link that comes and goes makes either end of it late for the other: a beat that
            // goes round it through a third takes two intervals, and half of the failure timeout
            // may be less. Nobody is taken for dead for that.
            let flaps = [host, other].iter().any(|end| core.flapping.contains(end));
            let late = flaps && status == Some(MemberStatus::Suspect);
            if alive == core.hosts.contains(&other) || itself || late {
                continue;
            }
            return Err(format!("{host} sees {other} as {status:?}"));
        }
    }
    Ok(())
}
