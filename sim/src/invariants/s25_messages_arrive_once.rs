//! S25. A message to a process is delivered at most once.

use std::collections::{BTreeMap, BTreeSet};

use ordu_core::message::{Message, Publish};
use ordu_core::{Command, Input, NodeId, Output, hash64_seeded, wire};

use crate::host::Host;
use crate::invariants::{Finding, Invariant, Promise, Scene};
use crate::verdict::Class;

/// Remembers what was sent to processes, and what was delivered.
#[derive(Default)]
pub(crate) struct MessagesArriveOnce {
    /// Calls that were delivered, by a hash of who called, in which life, and the call's number.
    calls: BTreeMap<(Host, u64), BTreeSet<u64>>,
    /// How often each cast was sent, less how often it was delivered: by a hash of the node, the
    /// process or group, and the payload, since a cast has no number.
    casts: BTreeMap<u64, i64>,
    present: Option<Coming>,
}

/// The message that a node is being told of.
enum Coming {
    Call(u64),
    Cast(u64),
    /// To a group: whether it comes for the first time, and who was told so far.
    Publish {
        is_first: bool,
        told: BTreeSet<u64>,
    },
}

impl Coming {
    fn of(scene: &Scene<'_>, input: &Input) -> Option<Self> {
        if let Input::Request { ticket, command: Command::Call { .. }, .. } = input {
            return Some(Self::Call(hash64_seeded(&wire::encode(ticket), 2)));
        }
        let Input::Message { from, envelope } = input else { return None };
        if let Message::Call(call) = &envelope.message {
            let words = (from, envelope.incarnation, call.id);
            return Some(Self::Call(hash64_seeded(&wire::encode(&words), 1)));
        }
        let Message::Cast(cast) = &envelope.message else { return None };
        Some(Self::Cast(cast_id(&scene.host.id(), cast.number, &cast.payload)))
    }
}

impl Invariant for MessagesArriveOnce {
    fn promise(&self) -> Promise {
        Promise {
            id: "S25",
            says: "a message to a process is delivered at most once",
            made_in: "ordu_core::Output::Deliver",
            class: Class::Safety,
        }
    }

    fn handle_input(&mut self, scene: &Scene<'_>, input: &Input) -> Finding {
        self.present = Coming::of(scene, input);
        if let Input::Message { envelope, .. } = input
            && let Message::Publish(publish) = &envelope.message
        {
            let left = self.casts.entry(publish_id(&scene.host.id(), publish)).or_default();
            *left -= 1;
            self.present = Some(Coming::Publish { is_first: 0 <= *left, told: BTreeSet::new() });
        }
        Ok(())
    }

    fn handle_output(&mut self, scene: &Scene<'_>, output: &Output) -> Finding {
        match output {
            Output::Send { to, envelope } => {
                if let Message::Cast(cast) = &envelope.message {
                    *self.casts.entry(cast_id(to, cast.number, &cast.payload)).or_default() += 1;
                }
                if let Message::Publish(publish) = &envelope.message {
                    *self.casts.entry(publish_id(to, publish)).or_default() += 1;
                }
                Ok(())
            }
            Output::Deliver { number, .. } => {
                let is_first = match &mut self.present {
                    Some(Coming::Call(id)) => {
                        self.calls.entry((scene.host, scene.life)).or_default().insert(*id)
                    }
                    Some(Coming::Cast(id)) => {
                        let left = self.casts.entry(*id).or_default();
                        *left -= 1;
                        0 <= *left
                    }
                    Some(Coming::Publish { is_first, told }) => *is_first && told.insert(*number),
                    None => true,
                };
                let (host, what) = (scene.host, format_args!("a message to process {number}"));
                if is_first { Ok(()) } else { Err(format!("{host} delivers {what} again")) }
            }
            Output::Dial { .. }
            | Output::HangUp { .. }
            | Output::Renew { .. }
            | Output::Persist { .. }
            | Output::Hold { .. }
            | Output::Disconnect { .. }
            | Output::Start(_)
            | Output::Stop { .. }
            | Output::Absorb { .. }
            | Output::Reply { .. }
            | Output::View(_)
            | Output::Event(_)
            | Output::Exit(_) => Ok(()),
        }
    }
}

fn cast_id(node: &NodeId, number: u64, payload: &[u8]) -> u64 {
    hash64_seeded(payload, hash64_seeded(node.as_str().as_bytes(), number))
}

fn publish_id(node: &NodeId, publish: &Publish) -> u64 {
    hash64_seeded(&wire::encode(publish), hash64_seeded(node.as_str().as_bytes(), 0))
}
