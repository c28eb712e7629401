//! L4. Every name that is seen is held by a process that runs.

use crate::World;
use crate::host::Host;
use crate::invariants::rest::{Core, check_process, promise};
use crate::invariants::{Finding, Promise};

/// What comes to hold.
pub(super) const PROMISE: Promise = promise(
    "L4",
    "every name that is seen is held by a process that runs, of the child that it says",
    "ordu_core::Holder",
);

/// Checks it.
pub(super) fn check(world: &World, core: &Core) -> Finding {
    let Some(first) = core.first() else { return Ok(()) };
    for ((_, name), holder) in &world.view(first).names {
        let process = &holder.process;
        check_process(world, core, process).map_err(|wrong| format!("name {name}: {wrong}"))?;
        let host = Host::of(process.replica.node());
        let is = |run: &&crate::Run| Some(run.host) == host && run.number == process.number;
        let runs = core.runs(world).find(is).and_then(|run| run.child);
        if holder.child.is_some() && runs != holder.child {
            let child = holder.child;
            return Err(format!("name {name} is of {child:?}, and {process} runs {runs:?}"));
        }
    }
    Ok(())
}
