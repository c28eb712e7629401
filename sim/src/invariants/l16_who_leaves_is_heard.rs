//! L16. Who leaves is not kept waiting by those who know that it left, and can say so.

use std::collections::{BTreeMap, BTreeSet};

use ordu_core::crdt::Version;
use ordu_core::message::{Ack, Message};
use ordu_core::{Incarnation, Input, LeaveError, NodeId, Output, Replica, Reply};

use crate::host::Host;
use crate::invariants::shown::Shown;
use crate::invariants::{Finding, Invariant, Promise, Scene};
use crate::verdict::Class;

/// How many messages from a peer are more than may be lost, or on their way since before it knew.
const WORDS_MAX: u32 = 6;

/// Counts what the present life of each node hears of those who do not count it any more.
#[derive(Default)]
pub(crate) struct WhoLeavesIsHeard {
    shown: Shown,
    words: BTreeMap<Host, (u64, BTreeMap<NodeId, Words>)>,
    /// Who said nothing but a greeting to whom last, and heeds nothing else before it is answered.
    greeting: BTreeSet<(Host, NodeId)>,
}

/// What one life of a node says to one that it does not count any more.
#[derive(Default)]
struct Words {
    /// Which life; the next one knows nothing of what this one knew.
    life: Incarnation,
    /// Messages of any kind that arrived.
    heard: u32,
    /// How much it has acknowledged of the journal in which the other one says that it leaves; what
    /// was said of less is from before, and comes late.
    most: Version,
    /// Beats of the other one that it took in.
    asked: u32,
    /// Acknowledgements that it sent.
    sent: u32,
    /// Acknowledgements that arrived.
    acknowledged: u32,
}

impl Words {
    /// Returns whether it had the time to say that it knows, and did not say so each time that it
    /// was asked, or was not believed. A network may lose all that is of use.
    fn are_no_use(&self) -> bool {
        self.heard > WORDS_MAX && (self.sent < self.asked || self.acknowledged > 0)
    }
}

/// Returns how much `ack` acknowledges of what `life` of `node` wrote, if anything.
fn head(ack: &Ack, node: &NodeId, life: Option<Incarnation>) -> Option<Version> {
    let key = Replica::new(node.clone(), life?).key();
    ack.heads.iter().find(|(of, _)| *of == key).map(|(_, head)| *head)
}

/// Returns whether a message is one of those that nodes ask voters by, be they there or not.
fn is_of_leases(message: &Message) -> bool {
    matches!(
        message,
        Message::LeaseRequest(_)
            | Message::LeaseReply(_)
            | Message::Electorate(_)
            | Message::Proposal(_)
            | Message::Vote(_)
    )
}

/// Returns what the life `life` of `node` says.
fn words_of<'a>(
    words: &'a mut BTreeMap<NodeId, Words>,
    node: &NodeId,
    life: Incarnation,
) -> &'a mut Words {
    let words = words.entry(node.clone()).or_default();
    if words.life != life {
        *words = Words { life, ..Words::default() };
    }
    words
}

impl WhoLeavesIsHeard {
    /// Returns what the node of `scene` has said to `node`, if it does not count it any more.
    fn words_to(&mut self, scene: &Scene<'_>, node: &NodeId) -> Option<&mut Words> {
        let me = &scene.config.id;
        if self.shown.life(me, node).is_some() {
            return None;
        }
        let life = scene.node.replica()?.incarnation();
        let (_, words) = self.words.get_mut(&Host::of(node)?)?;
        Some(words_of(words, me, life))
    }
}

impl Invariant for WhoLeavesIsHeard {
    fn promise(&self) -> Promise {
        Promise {
            id: "L16",
            says: "whoever knows that a node left says so: no leave waits for it to its deadline",
            made_in: "ordu_core::Command::Leave",
            class: Class::Liveness,
        }
    }

    fn handle_input(&mut self, scene: &Scene<'_>, input: &Input) -> Finding {
        let Input::Message { from, envelope } = input else { return Ok(()) };
        let (life, words) = self.words.entry(scene.host).or_default();
        if *life != scene.life {
            (*life, *words) = (scene.life, BTreeMap::new());
        }
        let me = &scene.config.id;
        let own = scene.view.members.get(me).map(|own| own.incarnation);
        if self.shown.life(from, me) == own {
            words.remove(from);
        } else {
            let words = words_of(words, from, envelope.incarnation);
            words.heard += u32::from(!is_of_leases(&envelope.message));
            if let Message::Ack(ack) = &envelope.message {
                let is_all = head(ack, me, own).is_some_and(|head| words.most <= head);
                words.acknowledged += u32::from(0 < words.sent && is_all);
            }
        }
        if let Message::Beat(beat) = &envelope.message
            && !self.greeting.contains(&(scene.host, from.clone()))
            && let Some(words) = self.words_to(scene, from)
        {
            let own = beat.pulses.first();
            words.asked += u32::from(own.is_some_and(|own| words.most <= own.head));
        }
        Ok(())
    }

    fn handle_output(&mut self, scene: &Scene<'_>, output: &Output) -> Finding {
        self.shown.handle_output(scene, output);
        if let Output::Send { to, envelope } = output {
            let pair = (scene.host, to.clone());
            if matches!(envelope.message, Message::Hello(_)) {
                self.greeting.insert(pair);
            } else {
                self.greeting.remove(&pair);
            }
            if let Message::Ack(ack) = &envelope.message
                && let Some(head) = head(ack, to, self.shown.life(to, to))
                && let Some(words) = self.words_to(scene, to)
            {
                words.sent += u32::from(words.most <= head);
                words.most = words.most.max(head);
            }
        }
        let Output::Reply { reply: Reply::Leave(Err(error)), .. } = output else { return Ok(()) };
        let LeaveError::TimedOut { remaining: 0, unaware, .. } = error else { return Ok(()) };
        let Some((life, words)) = self.words.get(&scene.host) else { return Ok(()) };
        let is_deaf =
            |node: &&NodeId| *life == scene.life && words.get(*node).is_some_and(Words::are_no_use);
        match unaware.iter().find(is_deaf) {
            None => Ok(()),
            Some(node) => {
                let (me, words) = (scene.host, words[node].heard);
                Err(format!("{me} waited for {node}, which knew that it left, for {words} words"))
            }
        }
    }
}
