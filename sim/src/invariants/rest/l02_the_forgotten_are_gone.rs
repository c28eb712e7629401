//! L2. No node keeps the journal of a life that is over.

use crate::World;
use crate::invariants::rest::{Core, promise};
use crate::invariants::{Finding, Promise};

/// What comes to hold.
pub(super) const PROMISE: Promise = promise(
    "L2",
    "no node keeps the journal of a life that is over, once all that count have what it left",
    "ordu_core::Node::journals",
);

/// Checks it, by whom each node still counts among the members.
///
/// While somebody is silent nothing is forgotten: it has not acknowledged anything.
pub(super) fn check(world: &World, core: &Core) -> Finding {
    if core.hosts.len() < world.hosts.len() || !core.flapping.is_empty() {
        return Ok(());
    }
    for (host, _, node) in world.nodes() {
        let members = world.members(host);
        for (replica, journal) in node.journals() {
            let member = members.get(replica.node());
            if member.is_none_or(|member| member.incarnation != replica.incarnation()) {
                let entries = journal.len();
                return Err(format!("{host} keeps {entries} entries of {replica:?}, long over"));
            }
        }
    }
    Ok(())
}
