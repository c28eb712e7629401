//! Whether the whole cluster is at rest: every member is asked, twice in a row.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::effect::Effect;
use crate::message::{Condition, Message, Probe};
use crate::{NodeId, Reply, SettleError, Time};

/// How long a round of questions may take before it is asked anew.
const ROUND: Duration = Duration::from_secs(1);
/// How long to wait before asking members anew that were not at rest.
const PAUSE: Duration = Duration::from_millis(20);

/// What this node itself would answer.
pub(crate) struct Rest {
    /// The hash of the live members with their heads and fingerprints.
    pub(crate) view: u64,
    /// What is still under way here.
    pub(crate) pending: u64,
    /// The members that are not down, with whether a session is up.
    pub(crate) peers: Vec<(NodeId, bool)>,
}

/// The questions of this node's users whether all is at rest.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Settling {
    last: u64,
    asks: BTreeMap<u64, Ask>,
    effects: VecDeque<Effect>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Ask {
    round: u64,
    /// Whose answer to the present round is missing.
    missing: BTreeSet<NodeId>,
    /// What the round before found, if all were at rest.
    before: Option<u64>,
    /// What the present round has found so far, if all were at rest.
    found: Option<u64>,
    /// When to ask anew.
    next: Time,
    /// What was still under way at the last look.
    reason: String,
}

impl Settling {
    /// Returns the next effect, in order.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Returns when to ask anew.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.asks.values().map(|ask| ask.next).min()
    }

    /// Returns how many users wait for an answer.
    pub(crate) fn pending(&self) -> usize {
        self.asks.len()
    }

    /// Returns how many effects wait to be carried out.
    pub(crate) fn queued(&self) -> usize {
        self.effects.len()
    }

    /// Begins to ask for the user behind `ticket`.
    pub(crate) fn ask(&mut self, now: Time, ticket: u64, rest: &Rest) {
        let ask = Ask {
            round: 0,
            missing: BTreeSet::new(),
            before: None,
            found: None,
            next: now,
            reason: String::from("nobody has answered yet"),
        };
        self.asks.insert(ticket, ask);
        self.begin(now, ticket, rest);
    }

    /// Stops asking; returns what was still under way.
    pub(crate) fn cancel(&mut self, ticket: u64) -> Option<SettleError> {
        self.asks.remove(&ticket).map(|ask| SettleError::TimedOut { reason: ask.reason })
    }

    /// Asks anew where it is time.
    pub(crate) fn handle_timeout(&mut self, now: Time, rest: impl FnOnce() -> Rest) {
        let due = self.asks.iter().filter(|(_, ask)| ask.next <= now);
        let due: Vec<u64> = due.map(|(ticket, _)| *ticket).collect();
        if due.is_empty() {
            return;
        }
        let rest = rest();
        for ticket in due {
            let ask = self.asks.get_mut(&ticket).expect("it was just seen");
            if let Some(silent) = ask.missing.first() {
                ask.reason = format!("node {silent} did not answer");
            }
            ask.before = None;
            self.begin(now, ticket, &rest);
        }
    }

    /// Takes in the answer of `from`.
    pub(crate) fn handle_condition(
        &mut self,
        now: Time,
        from: &NodeId,
        condition: &Condition,
        rest: impl FnOnce() -> Rest,
    ) {
        let asked = self.asks.iter_mut().find(|(_, ask)| ask.round == condition.id);
        let Some((&ticket, ask)) = asked else { return };
        if !ask.missing.remove(from) {
            return;
        }
        if condition.pending > 0 {
            ask.found = None;
            ask.reason = format!("node {from} has {} things under way", condition.pending);
        } else if ask.found.is_some_and(|view| view != condition.view) {
            ask.found = None;
            ask.reason = format!("node {from} sees other members or other entries");
        }
        if ask.missing.is_empty() {
            self.finish(now, ticket, rest);
        }
    }

    fn begin(&mut self, now: Time, ticket: u64, rest: &Rest) {
        self.last += 1;
        let ask = self.asks.get_mut(&ticket).expect("the ticket is being asked for");
        ask.round = self.last;
        ask.next = now + ROUND;
        ask.found = (rest.pending == 0).then_some(rest.view);
        ask.missing = rest.peers.iter().map(|(peer, _)| peer.clone()).collect();
        if rest.pending > 0 {
            ask.reason = format!("{} things are under way on this node", rest.pending);
        }
        if let Some((peer, _)) = rest.peers.iter().find(|(_, is_connected)| !is_connected) {
            ask.reason = format!("there is no session with node {peer}, which is not down yet");
            ask.next = now + PAUSE;
            ask.before = None;
            return;
        }
        if ask.missing.is_empty() || ask.found.is_none() {
            return self.conclude(now, ticket);
        }
        for (peer, _) in &rest.peers {
            let message = Message::Probe(Probe { id: self.last });
            self.effects.push_back(Effect::Send { to: peer.clone(), message });
        }
    }

    fn finish(&mut self, now: Time, ticket: u64, rest: impl FnOnce() -> Rest) {
        let ask = self.asks.get_mut(&ticket).expect("the ticket is being asked for");
        let is_second = ask.found.is_some() && ask.before == ask.found;
        if ask.found.is_some() && !is_second {
            ask.before = ask.found;
            return self.begin(now, ticket, &rest());
        }
        self.conclude(now, ticket);
    }

    fn conclude(&mut self, now: Time, ticket: u64) {
        let ask = self.asks.get_mut(&ticket).expect("the ticket is being asked for");
        let alone_at_rest = ask.missing.is_empty() && ask.found.is_some() && ask.before.is_none();
        if ask.found.is_some() && (ask.before == ask.found || alone_at_rest) {
            self.asks.remove(&ticket);
            self.effects.push_back(Effect::Answer { ticket, reply: Reply::Settled(Ok(())) });
        } else {
            ask.before = None;
            ask.missing.clear();
            ask.next = now + PAUSE;
        }
    }
}
