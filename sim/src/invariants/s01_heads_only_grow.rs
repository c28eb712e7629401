//! S1. What a node holds of a journal only grows, except when it forgets the journal as a whole.

use std::collections::BTreeMap;

use ordu_core::message::Message;
use ordu_core::{Input, Node, Replica};

use crate::World;
use crate::host::Host;
use crate::invariants::{Finding, Invariant, Promise, Scene};
use crate::verdict::Class;

/// Watches the heads of every node's journals.
#[derive(Default)]
pub(crate) struct HeadsOnlyGrow {
    heads: BTreeMap<(Host, u64, Replica), u64>,
}

impl HeadsOnlyGrow {
    fn look(&mut self, host: Host, life: u64, replica: &Replica, head: u64) -> Finding {
        let before = self.heads.insert((host, life, replica.clone()), head).unwrap_or(0);
        // A journal that is gone may be fetched again, from its beginning.
        if head < before && head != 0 {
            return Err(format!("{host} held {replica:?} up to {before}, and holds {head}"));
        }
        Ok(())
    }

    fn look_at_one(&mut self, host: Host, life: u64, node: &Node, replica: &Replica) -> Finding {
        let head = node.journal(replica).map_or(0, |journal| journal.head());
        self.look(host, life, replica, head)
    }
}

impl Invariant for HeadsOnlyGrow {
    fn promise(&self) -> Promise {
        Promise {
            id: "S1",
            says: "what a node holds of a journal only grows, until it forgets all of it",
            made_in: "ordu_core::crdt::JournalCopy",
            class: Class::Safety,
        }
    }

    fn handle_step(&mut self, scene: &Scene<'_>, input: &Input) -> Finding {
        let Input::Message { envelope, .. } = input else { return Ok(()) };
        let Message::Delta(delta) = &envelope.message else { return Ok(()) };
        self.look_at_one(scene.host, scene.life, scene.node, &delta.replica)
    }

    fn audit(&mut self, world: &World) -> Finding {
        for (host, life, node) in world.nodes() {
            for (replica, journal) in node.journals() {
                self.look(host, life, replica, journal.head())?;
            }
        }
        Ok(())
    }
}
