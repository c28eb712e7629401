//! Words that no honest node says, in the name of one that is honest otherwise.
//!
//! A lie comes over a session of the liar's own, as from a node with a bug, or one that somebody
//! broke into: the transport has vouched for who says it. The node in whose name it is said knows
//! nothing of it and lives on, so that every promise must hold for it as for the others. What only
//! the liar could know about itself is no lie here: nobody else can tell that it is one.

use std::time::Duration;

use ordu_core::crdt::{Delta, DeltaEntry, Written};
use ordu_core::message::{Beat, Digest, DigestRow, Envelope, Hello, Link, Message, Pulse};
use ordu_core::placement::Ring;
use ordu_core::{Blob, Incarnation, Node, Random, Replica, Terms, Time, Wall};
use serde::{Deserialize, Serialize};

use crate::World;
use crate::host::Host;

/// Further than any counter may jump at once.
const TOO_FAR: u64 = 1 << 40;

/// What is said that no honest node says.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum Lie {
    /// The sender is in a life that it cannot have come to.
    Life,
    /// A part of the receiver's own journal.
    TheirJournal,
    /// The sender's journal from its beginning, with other writes than it has.
    Rewritten,
    /// A part of a journal that ends before it begins.
    Backward,
    /// The sender holds more of the receiver's journal than the receiver wrote.
    AheadOfThem,
    /// The sender holds more of another node's journal than was ever written.
    NeverWritten,
    /// The sender has dropped tombstones of what it does not hold.
    FloorAboveHead,
    /// Another node has beaten more often than it can have.
    Pulse,
    /// Another node has beaten a little more often than it has.
    PulseAhead,
    /// Names are given by another rule than the receiver's.
    Rule,
}

impl Lie {
    /// Every lie.
    pub const ALL: [Self; 10] = [
        Self::Life,
        Self::TheirJournal,
        Self::Rewritten,
        Self::Backward,
        Self::AheadOfThem,
        Self::NeverWritten,
        Self::FloorAboveHead,
        Self::Pulse,
        Self::PulseAhead,
        Self::Rule,
    ];

    /// Returns any of them.
    pub(crate) fn draw(random: &mut Random) -> Self {
        let count = u64::try_from(Self::ALL.len()).expect("there are few");
        Self::ALL[random.below(count) as usize]
    }

    /// Returns what a node whose life is `liar` says to `receiver`; `None` if there is
    /// nothing to lie about yet.
    fn envelope(self, liar: &Replica, receiver: &Node) -> Option<Envelope> {
        let me = receiver.replica()?;
        let head = receiver.journal(me)?.head();
        let third = receiver.visible().find(|replica| *replica != me && *replica != liar);
        let message = match self {
            Self::Life => Message::Beat(Beat { pulses: Vec::new() }),
            Self::TheirJournal => Message::Delta(forged(me, head, head + 1)),
            Self::Rewritten => {
                let held = receiver.journal(liar)?.head();
                Message::Delta(forged(liar, 0, (0 < held).then_some(held)?))
            }
            Self::Backward => Message::Delta(forged(third?, 2, 1)),
            Self::AheadOfThem => digest(me, head + 1_000, 0),
            Self::NeverWritten => {
                let third = third?;
                digest(third, receiver.journal(third)?.head() + 1_000, 0)
            }
            Self::FloorAboveHead => digest(third?, 1, 2),
            Self::Pulse => pulse(third?, TOO_FAR),
            Self::PulseAhead => pulse(third?, 1_000_000),
            Self::Rule => {
                let (sent, rule) = (Time::ZERO, "liars/1".to_owned());
                let (wall, ring) = (Wall::from_millis(0), Ring::VERSION);
                Message::Hello(Hello {
                    sent,
                    wall,
                    rule,
                    echo: None,
                    ring,
                    terms: Terms::default(),
                })
            }
        };
        let Incarnation { counter, nonce } = liar.incarnation();
        let counter = if self == Self::Life { counter + TOO_FAR } else { counter };
        Some(Envelope { incarnation: Incarnation { counter, nonce }, beat: 0, message })
    }
}

/// Returns a part of a journal with one write that was never written.
fn forged(replica: &Replica, from: u64, to: u64) -> Delta {
    let written = Written::Value(Blob::from("a lie"));
    let entry = DeltaEntry { step: 1, key: Blob::from("\u{7f}lie"), written };
    let (replica, until, entries) = (replica.clone(), to, vec![entry]);
    Delta { replica, from, to, until, floor: 0, silence_ms: 0, entries }
}

fn digest(of: &Replica, head: u64, floor: u64) -> Message {
    let row = DigestRow { replica: of.clone(), head, fingerprint: 1, floor, silence_ms: 0 };
    Message::Digest(Digest { rows: vec![row], answer: false })
}

fn pulse(of: &Replica, counter: u64) -> Message {
    let (replica, age_ms, head, link, silent_ms) = (of.key(), 0, 0, Link::Open, 0);
    let pulse = Pulse { replica, counter, age_ms, head, link, silent_ms };
    Message::Beat(Beat { pulses: vec![pulse] })
}

impl World {
    /// Lets `host` tell `to` a lie, if there is a session and something to lie about.
    pub fn lie(&mut self, host: Host, to: Host, lie: Lie) {
        self.note(host, format!("lies to {to}: {lie:?}"));
        let node = |host: Host| self.is_up(host).then(|| self.running(host).machine.node())?;
        let told = node(host).and_then(|liar| {
            let receiver = node(to)?;
            lie.envelope(liar.replica()?, receiver)
        });
        if let Some(envelope) = told {
            self.send(host, &to.id(), &envelope);
        }
    }

    /// Lets `host` tell `to` every lie there is, one after the other.
    pub fn lie_in_every_way(&mut self, host: Host, to: Host, pause: Duration) {
        for lie in Lie::ALL {
            self.lie(host, to, lie);
            self.run_for(pause);
        }
    }
}
