//! L7. Where more than half of the voters are, every child runs under a lease; elsewhere none does.

use crate::World;
use crate::invariants::rest::{Core, promise};
use crate::invariants::{Finding, Promise};

/// What comes to hold.
pub(super) const PROMISE: Promise = promise(
    "L7",
    "under leases every child runs once where a majority of the voters is, and nothing elsewhere",
    "ordu_core::Mode::Exclusive",
);

/// Checks that nothing runs that nobody could have granted; what runs elsewhere is L6.
pub(super) fn check(world: &World, core: &Core) -> Finding {
    if core.may_run(world) {
        return Ok(());
    }
    match core.runs(world).find(|run| run.child.is_some()) {
        Some(run) => {
            let child = run.child.map(|child| child.to_string()).unwrap_or_default();
            Err(format!("{} runs {child}, and no majority of the voters is up", run.host))
        }
        None => Ok(()),
    }
}
