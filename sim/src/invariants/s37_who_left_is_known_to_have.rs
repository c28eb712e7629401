//! S37. Who is told that a node has left can rely on it: nobody that it could reach waits for it.

use std::collections::{BTreeMap, BTreeSet};

use ordu_core::message::Message;
use ordu_core::{Input, MemberStatus, NodeId, Output, Reply};

use crate::host::Host;
use crate::invariants::shown::Shown;
use crate::invariants::{Finding, Invariant, Promise, Scene};
use crate::verdict::Class;

/// Remembers whom each node shows, and whom it could reach.
#[derive(Default)]
pub(crate) struct WhoLeftIsKnownToHave {
    shown: Shown,
    /// Whom the present life of each has a session with that both have greeted in.
    reached: BTreeMap<Host, (u64, BTreeSet<NodeId>)>,
}

impl WhoLeftIsKnownToHave {
    fn reached(&mut self, scene: &Scene<'_>) -> &mut BTreeSet<NodeId> {
        let (life, reached) = self.reached.entry(scene.host).or_default();
        if *life != scene.life {
            (*life, *reached) = (scene.life, BTreeSet::new());
        }
        reached
    }

    fn check(&mut self, scene: &Scene<'_>) -> Finding {
        let me = scene.host.id();
        let Some(own) = scene.view.members.get(&me) else { return Ok(()) };
        let reached = self.reached(scene).clone();
        for node in reached.iter().filter(|node| **node != me) {
            let Some(view) = scene.view.members.get(node) else { continue };
            // Another life of it may not have met the one that leaves.
            let is_the_same = self.shown.life(node, node) == Some(view.incarnation);
            let counts_us = self.shown.life(node, &me) == Some(own.incarnation);
            if view.status == MemberStatus::Alive && is_the_same && counts_us {
                return Err(format!("{me} was told that it has left, and {node} counts it yet"));
            }
        }
        Ok(())
    }
}

impl Invariant for WhoLeftIsKnownToHave {
    fn promise(&self) -> Promise {
        Promise {
            id: "S37",
            says: "once a node has left, no member that it could reach counts it as one",
            made_in: "ordu_core::Command::Leave",
            class: Class::Safety,
        }
    }

    fn handle_input(&mut self, scene: &Scene<'_>, input: &Input) -> Finding {
        match input {
            Input::Message { from, envelope } => {
                if matches!(&envelope.message, Message::Hello(hello) if hello.echo.is_some()) {
                    self.reached(scene).insert(from.clone());
                }
            }
            Input::Connected { peer } | Input::Disconnected { peer } => {
                self.reached(scene).remove(peer);
            }
            Input::Refused { .. }
            | Input::Seeds(_)
            | Input::Request { .. }
            | Input::Process { .. }
            | Input::Answer { .. }
            | Input::Wall(_)
            | Input::Flush
            | Input::Persisted { .. }
            | Input::Tick => {}
        }
        Ok(())
    }

    fn handle_output(&mut self, scene: &Scene<'_>, output: &Output) -> Finding {
        self.shown.handle_output(scene, output);
        match output {
            Output::Reply { reply: Reply::Leave(Ok(())), .. } => return self.check(scene),
            Output::Disconnect { peer } => drop(self.reached(scene).remove(peer)),
            Output::View(_)
            | Output::Reply { .. }
            | Output::Send { .. }
            | Output::Dial { .. }
            | Output::HangUp { .. }
            | Output::Renew { .. }
            | Output::Persist { .. }
            | Output::Hold { .. }
            | Output::Start(_)
            | Output::Stop { .. }
            | Output::Absorb { .. }
            | Output::Deliver { .. }
            | Output::Event(_)
            | Output::Exit(_) => {}
        }
        Ok(())
    }
}
