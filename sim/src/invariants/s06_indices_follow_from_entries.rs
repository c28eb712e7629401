//! S6. Every index of a node is what its entries make it.

use crate::World;
use crate::invariants::{Finding, Invariant, Promise};
use crate::verdict::Class;

/// How many looks at the world one look at the indices comes in: it costs the whole state.
const EVERY: u64 = 1;

/// Lets nodes check themselves.
#[derive(Default)]
pub(crate) struct IndicesFollowFromEntries {
    looks: u64,
}

impl Invariant for IndicesFollowFromEntries {
    fn promise(&self) -> Promise {
        Promise {
            id: "S6",
            says: "the board, the children and all other indices are what the journals make them",
            made_in: "ordu_core::Node::audit",
            class: Class::Safety,
        }
    }

    fn audit(&mut self, world: &World) -> Finding {
        self.looks += 1;
        if !self.looks.is_multiple_of(EVERY) {
            return Ok(());
        }
        for (host, _, node) in world.nodes() {
            node.audit().map_err(|wrong| format!("{host}: {wrong}"))?;
        }
        Ok(())
    }
}
