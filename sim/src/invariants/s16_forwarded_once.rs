//! S16. What a node asks another to do for it is done at most once.

use std::collections::{BTreeMap, BTreeSet};

use ordu_core::message::{Forward, Message, Operation};
use ordu_core::{Blob, Holder, Input, Name, Output, Scope, ViewChange, hash64};

use crate::host::Host;
use crate::invariants::{Finding, Invariant, Promise, Scene};
use crate::verdict::Class;

/// Remembers which forwarded operations took effect, and where.
#[derive(Default)]
pub(crate) struct ForwardedOnce {
    done: BTreeMap<(Host, u64), BTreeSet<u64>>,
    /// The operation that is being taken in.
    present: Option<Asked>,
}

/// A forwarded operation.
struct Asked {
    /// A hash of who asks, in which life, and the number it gave the request.
    id: u64,
    operation: Operation,
}

impl Asked {
    /// Returns whether what readers see of a name shows that the operation was carried out.
    fn is_done_by(&self, scope: Scope, name: &Name, holder: Option<&Holder>, host: Host) -> bool {
        let is_on = |number: u64, holder: &Holder| {
            holder.process.number == number && *holder.process.replica.node() == host.id()
        };
        match &self.operation {
            Operation::Register { scope: of, name: asked, number, .. } => {
                (of, asked) == (&scope, name) && holder.is_some_and(|by| is_on(*number, by))
            }
            Operation::Unregister { scope: of, name: asked, number } => {
                (of, asked) == (&scope, name) && !holder.is_some_and(|by| is_on(*number, by))
            }
            Operation::Update { scope: of, name: asked, number, value, .. } => {
                let shows = |by: &Holder| is_on(*number, by) && by.value == *value;
                (of, asked) == (&scope, name) && holder.is_some_and(shows)
            }
            Operation::RestartChild { .. }
            | Operation::JoinGroup { .. }
            | Operation::LeaveGroup { .. } => false,
        }
    }
}

impl Asked {
    /// Returns whether what readers see of a process of this node in a group shows that the
    /// operation was carried out.
    fn is_done_in(&self, scope: Scope, group: &Name, number: u64, seen: Option<&Blob>) -> bool {
        match &self.operation {
            Operation::JoinGroup { scope: of, group: asked, number: who, metadata } => {
                (of, asked, who) == (&scope, group, &number) && seen == Some(metadata)
            }
            Operation::LeaveGroup { scope: of, group: asked, number: who } => {
                (of, asked, who) == (&scope, group, &number) && seen.is_none()
            }
            Operation::Register { .. }
            | Operation::Unregister { .. }
            | Operation::Update { .. }
            | Operation::RestartChild { .. } => false,
        }
    }
}

impl Invariant for ForwardedOnce {
    fn promise(&self) -> Promise {
        Promise {
            id: "S16",
            says: "what a node asks another to do for it is done at most once",
            made_in: "ordu_core::message::Forward",
            class: Class::Safety,
        }
    }

    fn handle_input(&mut self, _: &Scene<'_>, input: &Input) -> Finding {
        self.present = None;
        let Input::Message { from, envelope } = input else { return Ok(()) };
        let Message::Forward(Forward { id, operation }) = &envelope.message else {
            return Ok(());
        };
        let words = (from, envelope.incarnation, id);
        let id = hash64(&ordu_core::wire::encode(&words));
        self.present = Some(Asked { id, operation: operation.clone() });
        Ok(())
    }

    fn handle_output(&mut self, scene: &Scene<'_>, output: &Output) -> Finding {
        let Some(asked) = &self.present else { return Ok(()) };
        let Output::View(change) = output else { return Ok(()) };
        let is_done = match change {
            ViewChange::Name { scope, name, holder, .. } => {
                asked.is_done_by(*scope, name, holder.as_ref(), scene.host)
            }
            ViewChange::Group { scope, group, process, metadata } => {
                *process.replica.node() == scene.host.id()
                    && asked.is_done_in(*scope, group, process.number, metadata.as_ref())
            }
            ViewChange::Child { .. }
            | ViewChange::Member { .. }
            | ViewChange::Meta { .. }
            | ViewChange::MemberList { .. } => false,
        };
        if !is_done {
            return Ok(());
        }
        let done = self.done.entry((scene.host, scene.life)).or_default();
        if done.insert(asked.id) {
            return Ok(());
        }
        Err(format!("{} does for a second time: {:?}", scene.host, asked.operation))
    }
}
