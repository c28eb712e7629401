//! S34. Who is told that two nodes know of a child can rely on it.

use std::collections::{BTreeMap, BTreeSet};

use ordu_core::{ChildId, Output, Reply, ViewChange};

use crate::host::Host;
use crate::invariants::{Finding, Invariant, Promise, Scene};
use crate::verdict::Class;

/// Remembers on which machines a child was ever seen: whoever has its specification shows it.
#[derive(Default)]
pub(crate) struct TheReplicatedIsOnTwoNodes {
    seen: BTreeMap<ChildId, BTreeSet<Host>>,
}

impl Invariant for TheReplicatedIsOnTwoNodes {
    fn promise(&self) -> Promise {
        Promise {
            id: "S34",
            says: "a child that is answered for as replicated was known to two nodes",
            made_in: "ordu_core::StartedChild::replicated",
            class: Class::Safety,
        }
    }

    fn handle_output(&mut self, scene: &Scene<'_>, output: &Output) -> Finding {
        if let Output::View(ViewChange::Child { child, view: Some(_), .. }) = output {
            self.seen.entry(*child).or_default().insert(scene.host);
        }
        let Output::Reply { reply: Reply::Start(Ok(started)), .. } = output else {
            return Ok(());
        };
        let seen = self.seen.get(&started.child).into_iter().flatten();
        if !started.replicated || seen.into_iter().any(|host| *host != scene.host) {
            return Ok(());
        }
        Err(format!("{} alone ever knew of child {}", scene.host, started.child))
    }
}
