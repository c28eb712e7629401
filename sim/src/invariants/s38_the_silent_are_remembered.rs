//! S38. Who falls silent is remembered for as long as it was promised, and may return.

use std::collections::{BTreeMap, BTreeSet};

use ordu_core::message::Message;
use ordu_core::{
    Event, Incarnation, Input, MemberStatus, NodeId, Output, Replica, Time, ViewChange,
};

use crate::host::Host;
use crate::invariants::{Finding, Invariant, Promise, Scene};
use crate::verdict::Class;

/// How much of a time a clock may count too much, in hundredths.
const GAIN: u32 = 2;

/// A life of a machine's node.
type Life = (Host, u64);

/// Remembers when each beat was sent, and which of them each node has heard.
#[derive(Default)]
pub(crate) struct TheSilentAreRemembered {
    sent: BTreeMap<(NodeId, Incarnation), BTreeMap<u64, Time>>,
    /// When the latest beat of another's life was sent that a node has heard while that was up.
    heard: BTreeMap<Life, BTreeMap<Replica, Time>>,
    /// The lives that a node knows to be over for good, not silent.
    over: BTreeMap<Life, BTreeSet<Replica>>,
}

impl TheSilentAreRemembered {
    fn check(&self, scene: &Scene<'_>, node: &NodeId) -> Finding {
        let life = (scene.host, scene.life);
        let down = scene.view.members.get(node);
        let down = down.filter(|view| view.status == MemberStatus::Down);
        let Some(view) = down else { return Ok(()) };
        let replica = Replica::new(node.clone(), view.incarnation);
        if self.over.get(&life).is_some_and(|over| over.contains(&replica)) {
            return Ok(());
        }
        let heard = self.heard.get(&life).and_then(|heard| heard.get(&replica));
        let Some(silence) = heard.map(|heard| scene.now.since(*heard)) else { return Ok(()) };
        let promised = scene.config.forget_after;
        // A clock may be fast, and until it goes down its beats may count for nothing.
        let least = promised - promised * GAIN / 100;
        if least.saturating_sub(scene.config.failure_timeout) <= silence {
            return Ok(());
        }
        let host = scene.host;
        Err(format!("{host} forgets {node} after {silence:?}, and promised to after {promised:?}"))
    }
}

impl Invariant for TheSilentAreRemembered {
    fn promise(&self) -> Promise {
        Promise {
            id: "S38",
            says: "a member that falls silent is remembered until it may be forgotten",
            made_in: "ordu_core::Config::forget_after",
            class: Class::Safety,
        }
    }

    fn handle_step(&mut self, scene: &Scene<'_>, input: &Input) -> Finding {
        let Input::Message { from, envelope } = input else { return Ok(()) };
        let Message::Beat(_) = &envelope.message else { return Ok(()) };
        // Of who is down a beat may count for nothing: the two have not greeted each other again.
        let view = scene.view.members.get(from);
        if view.is_none_or(|view| view.status == MemberStatus::Down) {
            return Ok(());
        }
        let sent = self.sent.get(&(from.clone(), envelope.incarnation));
        let Some(&sent) = sent.and_then(|sent| sent.get(&envelope.beat)) else { return Ok(()) };
        let heard = self.heard.entry((scene.host, scene.life)).or_default();
        let replica = Replica::new(from.clone(), envelope.incarnation);
        let latest = heard.entry(replica).or_default();
        *latest = sent.max(*latest);
        Ok(())
    }

    fn handle_output(&mut self, scene: &Scene<'_>, output: &Output) -> Finding {
        match output {
            Output::Send { envelope, .. } => {
                if let Message::Beat(_) = &envelope.message {
                    let life = (scene.host.id(), envelope.incarnation);
                    let sent = self.sent.entry(life).or_default();
                    sent.entry(envelope.beat).or_insert(scene.now);
                }
            }
            Output::Event(Event::MemberRetired { replica }) => {
                let over = self.over.entry((scene.host, scene.life)).or_default();
                over.insert(replica.clone());
            }
            Output::View(ViewChange::Member { node, view: None }) => {
                return self.check(scene, node);
            }
            Output::View(_)
            | Output::Dial { .. }
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
            | Output::Event(_)
            | Output::Exit(_) => {}
        }
        Ok(())
    }
}
