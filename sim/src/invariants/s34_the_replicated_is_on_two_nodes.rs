//! S34. Who is told that two nodes know of a child, or of its end, can rely on it.

use std::collections::{BTreeMap, BTreeSet};

use ordu_core::crdt::Version;
use ordu_core::message::Message;
use ordu_core::{ChildId, Command, Input, MemberStatus, Output, Replica, Reply, ViewChange};

use crate::host::Host;
use crate::invariants::{Finding, Invariant, Promise, Scene};
use crate::verdict::Class;

/// Remembers on which machines a child was ever seen, as whoever has its specification shows it,
/// and how much of each journal every machine ever held.
#[derive(Default)]
pub(crate) struct TheReplicatedIsOnTwoNodes {
    seen: BTreeMap<ChildId, BTreeSet<Host>>,
    held: BTreeMap<Host, BTreeMap<Replica, Version>>,
    /// How much there was of a node's journal when it was asked to end a child.
    asked: BTreeMap<(Host, u64, u64), (ChildId, Version)>,
    /// The children that somebody was ever asked to end.
    ended: BTreeSet<ChildId>,
}

impl TheReplicatedIsOnTwoNodes {
    /// Checks that somebody else holds what a node wrote when it ended a child, or that there is
    /// nobody else.
    fn check_end(&self, scene: &Scene<'_>, child: ChildId, before: Version) -> Finding {
        let me = scene.host.id();
        let mut others = scene.view.members.iter().filter(|(node, view)| {
            **node != me && view.status != MemberStatus::Down && view.role.counts()
        });
        let Some(own) = scene.node.replica().filter(|_| others.next().is_some()) else {
            return Ok(());
        };
        let mut copies = self.held.iter().filter(|(host, _)| **host != scene.host);
        if copies.any(|(_, held)| held.get(own).is_some_and(|head| before < *head)) {
            return Ok(());
        }
        Err(format!("{} alone ever knew of the end of child {child}", scene.host))
    }
}

impl Invariant for TheReplicatedIsOnTwoNodes {
    fn promise(&self) -> Promise {
        Promise {
            id: "S34",
            says: "a child answered for as replicated, or as ended, is so known to two nodes",
            made_in: "ordu_core::StartedChild::replicated",
            class: Class::Safety,
        }
    }

    fn handle_input(&mut self, scene: &Scene<'_>, input: &Input) -> Finding {
        let Input::Request { ticket, command: Command::Terminate { scope, child }, .. } = input
        else {
            return Ok(());
        };
        self.ended.insert(*child);
        // An end that is not shown yet was not written yet, by anybody.
        if scene.view.children.contains_key(&(*scope, *child)) {
            let ticket = (scene.host, scene.life, *ticket);
            self.asked.insert(ticket, (*child, own_head(scene)));
        }
        Ok(())
    }

    fn handle_output(&mut self, scene: &Scene<'_>, output: &Output) -> Finding {
        if let Output::View(ViewChange::Child { child, view: Some(_), .. }) = output {
            self.seen.entry(*child).or_default().insert(scene.host);
        }
        if let Output::Reply { ticket, reply: Reply::Terminate(result) } = output {
            let asked = self.asked.remove(&(scene.host, scene.life, *ticket));
            // Somebody else had ended it, if nothing was written.
            let head = own_head(scene);
            let asked = asked.filter(|(_, before)| result.is_ok() && *before < head);
            return asked.map_or(Ok(()), |(child, before)| self.check_end(scene, child, before));
        }
        let Output::Reply { reply: Reply::Start(Ok(started)), .. } = output else {
            return Ok(());
        };
        let seen = self.seen.get(&started.child).into_iter().flatten();
        // Whoever knows that it has ended is not shown that it was started with its key once more.
        if !started.replicated
            || self.ended.contains(&started.child)
            || seen.into_iter().any(|host| *host != scene.host)
        {
            return Ok(());
        }
        Err(format!("{} alone ever knew of child {}", scene.host, started.child))
    }

    fn handle_step(&mut self, scene: &Scene<'_>, input: &Input) -> Finding {
        match input {
            Input::Message { envelope, .. } => {
                if let Message::Delta(delta) = &envelope.message {
                    let held = self.held.entry(scene.host).or_default();
                    let head = held.entry(delta.replica.clone()).or_default();
                    let copy = scene.node.journal(&delta.replica);
                    *head = copy.map_or(0, |copy| copy.head()).max(*head);
                }
            }
            Input::Request { ticket, .. } => {
                let ticket = (scene.host, scene.life, *ticket);
                let head = own_head(scene);
                if self.asked.get(&ticket).is_some_and(|(_, before)| head == *before) {
                    self.asked.remove(&ticket);
                }
            }
            Input::Connected { .. }
            | Input::Disconnected { .. }
            | Input::Refused { .. }
            | Input::Seeds(_)
            | Input::Process { .. }
            | Input::Answer { .. }
            | Input::Wall(_)
            | Input::Flush
            | Input::Persisted { .. }
            | Input::Tick => {}
        }
        Ok(())
    }
}

/// Returns how much a node has written in its present life.
fn own_head(scene: &Scene<'_>) -> Version {
    let own = scene.node.replica().and_then(|own| scene.node.journal(own));
    own.map_or(0, |own| own.head())
}
