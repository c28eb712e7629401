//! S3. No two lives of nodes go by one incarnation, and in one life heads and beats only grow.

use std::collections::BTreeMap;

use ordu_core::{Event, Incarnation, Input, Output, Replica};

use crate::host::Host;
use crate::invariants::{Finding, Invariant, Promise, Scene};
use crate::verdict::Class;

/// Watches which lives begin, and how far each has come.
#[derive(Default)]
pub(crate) struct LivesAreUsedOnce {
    begun: BTreeMap<Replica, (Host, u64)>,
    present: BTreeMap<Host, Present>,
}

/// The present life of a node.
#[derive(Default)]
struct Present {
    /// Which start of the node it is of.
    start: u64,
    replica: Option<Replica>,
    head: u64,
    /// The life that its last envelope was of, and the beat in it.
    said: Option<(Incarnation, u64)>,
}

impl LivesAreUsedOnce {
    fn present(&mut self, scene: &Scene<'_>) -> &mut Present {
        let present = self.present.entry(scene.host).or_default();
        if present.start != scene.life {
            *present = Present { start: scene.life, ..Present::default() };
        }
        present
    }

    fn begin(&mut self, scene: &Scene<'_>, replica: &Replica) -> Finding {
        if *replica.node() != scene.host.id() {
            return Err(format!("{} begins a life of another node, {replica:?}", scene.host));
        }
        let life = (scene.host, scene.life);
        match self.begun.insert(replica.clone(), life) {
            None => Ok(()),
            Some((_, before)) => {
                let (host, now) = (scene.host, scene.life);
                Err(format!("start {now} of {host} goes by {replica:?}, as start {before} did"))
            }
        }
    }
}

impl Invariant for LivesAreUsedOnce {
    fn promise(&self) -> Promise {
        Promise {
            id: "S3",
            says: "no two lives go by one incarnation, and in one life heads and beats only grow",
            made_in: "ordu_core::Incarnation",
            class: Class::Safety,
        }
    }

    fn handle_output(&mut self, scene: &Scene<'_>, output: &Output) -> Finding {
        match output {
            Output::Event(Event::Joined { replica }) => self.begin(scene, replica),
            Output::Send { envelope, .. } => {
                let (incarnation, beat) = (envelope.incarnation, envelope.beat);
                let said = self.present(scene).said.replace((incarnation, beat));
                match said {
                    Some((same, before)) if same == incarnation && beat < before => {
                        Err(format!("{} beats {beat} after it beat {before}", scene.host))
                    }
                    Some(_) | None => Ok(()),
                }
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
            | Output::Deliver { .. }
            | Output::Reply { .. }
            | Output::View(_)
            | Output::Event(_)
            | Output::Exit(_) => Ok(()),
        }
    }

    fn handle_step(&mut self, scene: &Scene<'_>, _: &Input) -> Finding {
        let Some(replica) = scene.node.replica() else { return Ok(()) };
        let head = scene.node.journal(replica).map_or(0, |journal| journal.head());
        let present = self.present(scene);
        if present.replica.as_ref() != Some(replica) {
            present.replica = Some(replica.clone());
        } else if head < present.head {
            let before = present.head;
            return Err(format!("{} wrote up to {before}, and now up to {head}", scene.host));
        }
        present.head = head;
        Ok(())
    }
}
