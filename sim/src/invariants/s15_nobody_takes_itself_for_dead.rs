//! S15. A node never believes itself dead: it gives up only for a later life under its own name.

use ordu_core::{ExitReason, MemberStatus, Output, ViewChange};

use crate::invariants::{Finding, Invariant, Promise, Scene};
use crate::verdict::Class;

/// Watches what nodes say of themselves.
pub(crate) struct NobodyTakesItselfForDead;

impl Invariant for NobodyTakesItselfForDead {
    fn promise(&self) -> Promise {
        Promise {
            id: "S15",
            says: "a node never takes itself for dead, whatever others say of it",
            made_in: "ordu_core::MemberStatus",
            class: Class::Safety,
        }
    }

    fn handle_output(&mut self, scene: &Scene<'_>, output: &Output) -> Finding {
        let host = scene.host;
        // A machine of a world runs one node at a time, so there is no later life.
        if let Output::Exit(ExitReason::Superseded { by }) = output {
            return Err(format!("{host} gives up for its life {by:?}, which there is not"));
        }
        let Output::View(ViewChange::Member { node, view: Some(view) }) = output else {
            return Ok(());
        };
        match view.status {
            MemberStatus::Suspect | MemberStatus::Down if *node == host.id() => {
                Err(format!("{host} sees itself as {:?}", view.status))
            }
            MemberStatus::Suspect
            | MemberStatus::Down
            | MemberStatus::Joining
            | MemberStatus::Alive
            | MemberStatus::Leaving => Ok(()),
        }
    }
}
