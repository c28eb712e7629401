//! What befalls single messages of a run, by their place in it.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use ordu_core::message::Message;
use serde::{Deserialize, Serialize};

use crate::host::Host;

/// How late a delayed message comes: later than any timeout of a usual cluster.
pub(crate) const LATE: Duration = Duration::from_secs(6);

/// What befalls a message.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum Tamper {
    /// It is lost.
    Lose,
    /// It arrives twice.
    Repeat,
    /// It arrives six seconds late, if its session is still up.
    Delay,
    /// Its sender dies as it leaves.
    KillSender,
    /// Its receiver dies before it arrives.
    KillReceiver,
    /// The link that it takes is cut as it leaves.
    Cut,
}

impl Tamper {
    /// Everything that may befall a message.
    pub const ALL: [Self; 6] =
        [Self::Lose, Self::Repeat, Self::Delay, Self::KillSender, Self::KillReceiver, Self::Cut];
}

/// A message of a run, and what befalls it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Tampered {
    /// How many messages were sent before it, heartbeats and the like not counted.
    pub message: u64,
    /// What befalls it.
    pub how: Tamper,
}

/// What is to be done because of a message that was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Deed {
    Kill(Host),
    Cut(Host, Host),
}

/// The messages that something is to befall, and how many have been sent.
#[derive(Debug, Default)]
pub(crate) struct Tampering {
    plan: BTreeMap<u64, Tamper>,
    is_armed: bool,
    sent: u64,
    deeds: Vec<Deed>,
}

impl Tampering {
    /// Counts messages from now on, and lets befall them what `plan` says.
    pub(crate) fn arm(&mut self, plan: &[Tampered]) {
        self.is_armed = true;
        self.plan = plan.iter().map(|tampered| (tampered.message, tampered.how)).collect();
    }

    /// Counts no more.
    pub(crate) fn disarm(&mut self) {
        self.is_armed = false;
    }

    /// Returns how many messages were counted.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Takes in that a message leaves, and returns what befalls it on its way.
    pub(crate) fn handle_message(
        &mut self,
        from: Host,
        to: Host,
        message: &Message,
    ) -> Option<Tamper> {
        if !self.is_armed || is_routine(message) {
            return None;
        }
        let tamper = self.plan.get(&self.sent).copied();
        self.sent += 1;
        match tamper? {
            Tamper::KillSender => self.deeds.push(Deed::Kill(from)),
            Tamper::KillReceiver => self.deeds.push(Deed::Kill(to)),
            Tamper::Cut => self.deeds.push(Deed::Cut(from, to)),
            Tamper::Lose | Tamper::Repeat | Tamper::Delay => {}
        }
        tamper
    }

    /// Returns whether something is to be done.
    pub(crate) fn is_due(&self) -> bool {
        !self.deeds.is_empty()
    }

    /// Returns what is to be done.
    pub(crate) fn take_deeds(&mut self) -> Vec<Deed> {
        mem::take(&mut self.deeds)
    }
}

/// Returns whether a message is of those that come all the time, whatever is asked.
fn is_routine(message: &Message) -> bool {
    match message {
        Message::Hello(_)
        | Message::Beat(_)
        | Message::Digest(_)
        | Message::Probe(_)
        | Message::Condition(_) => true,
        Message::Join
        | Message::Welcome(_)
        | Message::Need(_)
        | Message::Delta(_)
        | Message::Ack(_)
        | Message::Won(_)
        | Message::Yield(_)
        | Message::Forward(_)
        | Message::Forwarded(_)
        | Message::Call(_)
        | Message::Reply(_)
        | Message::Cast(_)
        | Message::Publish(_)
        | Message::Excluded(_)
        | Message::LeaseRequest(_)
        | Message::LeaseReply(_)
        | Message::Electorate(_)
        | Message::Proposal(_)
        | Message::Vote(_) => false,
    }
}
