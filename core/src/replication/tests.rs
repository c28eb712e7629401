//! Several machines and the network between them, step by step.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use crate::crdt::{Budget, Delta, DeltaEntry, DeltaError, Version, Written};
use crate::laws::{Shown, shown};
use crate::message::{Ack, Digest, DigestRow, Message, Need};
use crate::replication::{Output, Refusal, Replication, Settings};
use crate::{Blob, Incarnation, NodeId, Random, Replica, Time, wire};

mod limits;
mod network;
mod relays;
mod stories;

const BEAT: Duration = Duration::from_millis(500);

fn node(index: usize) -> NodeId {
    NodeId::new(format!("n{index}")).unwrap()
}

fn replica(index: usize) -> Replica {
    Replica::new(node(index), Incarnation { counter: 1, nonce: 7 })
}

fn blob(text: &str) -> Blob {
    Blob::from(text)
}

fn settings(budget: Budget, push_to_all_max: usize) -> Settings {
    let (digest_interval, forget_after) = (Duration::from_secs(1), Duration::from_secs(60));
    Settings { digest_interval, forget_after, budget, push_to_all_max }
}

/// A cluster of machines, all that is under way between them, and what each ever wrote and saw.
struct World {
    now: Time,
    nodes: Vec<Replication>,
    links: BTreeSet<(usize, usize)>,
    flights: Vec<(usize, usize, Message)>,
    history: Vec<BTreeMap<Version, Shown>>,
    /// By node and replica: what a reader who follows the changes sees.
    seen: Vec<BTreeMap<Replica, BTreeMap<Blob, Blob>>>,
    refused: Vec<(usize, Replica, Refusal)>,
    closed: Vec<(usize, Replica, Version)>,
    deltas_sent: usize,
}

impl World {
    /// Creates `count` nodes, none of which knows another.
    fn new(seed: u64, count: usize, budget: Budget) -> Self {
        Self::relaying(seed, count, budget, 16)
    }

    /// Creates `count` nodes, none of which knows another; more than `push_to_all_max` relay.
    fn relaying(seed: u64, count: usize, budget: Budget, push_to_all_max: usize) -> Self {
        let mut world = Self {
            now: Time::ZERO,
            nodes: Vec::new(),
            links: BTreeSet::new(),
            flights: Vec::new(),
            history: Vec::new(),
            seen: Vec::new(),
            refused: Vec::new(),
            closed: Vec::new(),
            deltas_sent: 0,
        };
        let members: Vec<Replica> = (0..count).map(replica).collect();
        let mut live: Vec<NodeId> = (0..count).map(node).collect();
        live.sort_unstable();
        for index in 0..count {
            let random = Random::new(seed ^ index as u64);
            let mut node = Replication::new(settings(budget, push_to_all_max), random);
            node.begin(world.now, replica(index));
            node.set_members(&members);
            node.set_live(live.clone());
            world.nodes.push(node);
            world.history.push(BTreeMap::from([(0, Shown::new())]));
            world.seen.push(BTreeMap::new());
        }
        world
    }

    /// Creates `count` nodes, all connected.
    fn connected(seed: u64, count: usize, budget: Budget) -> Self {
        let mut world = Self::new(seed, count, budget);
        world.connect_all();
        world.run_for(Duration::from_secs(1));
        world
    }

    fn connect(&mut self, a: usize, b: usize) {
        if a == b || !self.links.insert((a.min(b), a.max(b))) {
            return;
        }
        for (here, there) in [(a, b), (b, a)] {
            self.nodes[here].handle_connected(self.now, node(there));
            self.nodes[here].handle_peer(self.now, &node(there), &replica(there));
            self.drain(here);
        }
    }

    fn connect_all(&mut self) {
        for a in 0..self.nodes.len() {
            for b in 0..a {
                self.connect(a, b);
            }
        }
    }

    fn disconnect(&mut self, a: usize, b: usize) {
        if !self.links.remove(&(a.min(b), a.max(b))) {
            return;
        }
        self.flights.retain(|&(from, to, _)| (from, to) != (a, b) && (from, to) != (b, a));
        self.nodes[a].handle_disconnected(self.now, &node(b));
        self.nodes[b].handle_disconnected(self.now, &node(a));
    }

    fn isolate(&mut self, index: usize) {
        for other in 0..self.nodes.len() {
            self.disconnect(index, other);
        }
    }

    fn put(&mut self, index: usize, key: &Blob, value: &Blob) {
        self.nodes[index].put(key.clone(), value.clone());
        self.drain(index);
    }

    fn delete(&mut self, index: usize, key: &Blob) {
        self.nodes[index].delete(key, 0);
        self.drain(index);
    }

    fn flush(&mut self, index: usize) {
        self.nodes[index].handle_flush(self.now);
        self.drain(index);
    }

    /// Tells every peer how far the node's copies are, past all queues.
    fn beat(&mut self, index: usize) {
        let heads: Vec<(Replica, Version)> = self.nodes[index]
            .replicas()
            .map(|of| (of.clone(), self.nodes[index].closed_head(of)))
            .collect();
        for to in 0..self.nodes.len() {
            if !self.links.contains(&(index.min(to), index.max(to))) {
                continue;
            }
            for (of, head) in &heads {
                self.nodes[to].handle_pulse(self.now, &replica(index), of, *head);
            }
            self.drain(to);
        }
    }

    fn pass(&mut self, duration: Duration) {
        self.now = self.now + duration;
        for index in 0..self.nodes.len() {
            self.nodes[index].handle_timeout(self.now);
            self.drain(index);
        }
    }

    /// Delivers the message that was sent as the `which`-th of those under way.
    fn deliver(&mut self, which: usize) {
        let (from, to, message) = self.flights.remove(which);
        self.hand(from, to, message);
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "whatever else there is, it is a mistake")]
    fn hand(&mut self, from: usize, to: usize, message: Message) {
        let (here, now, from) = (&mut self.nodes[to], self.now, replica(from));
        match message {
            Message::Digest(digest) => here.handle_digest(now, &from, &digest),
            Message::Need(need) => here.handle_need(now, &from, &need),
            Message::Delta(delta) => here.handle_delta(now, &from, delta),
            Message::Ack(ack) => here.handle_ack(now, &from, &ack),
            other => panic!("replication does not send {other:?}"),
        }
        self.drain(to);
    }

    /// Lets everything arrive in order, with a beat now and then, for `duration`.
    fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            for index in 0..self.nodes.len() {
                self.beat(index);
            }
            for _ in 0..5 {
                self.settle();
                self.pass(BEAT / 5);
            }
        }
        self.settle();
    }

    /// Lets everything arrive in order, in no time.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            for index in 0..self.nodes.len() {
                self.flush(index);
            }
            if self.flights.is_empty() {
                return;
            }
            while !self.flights.is_empty() {
                self.deliver(0);
            }
        }
        panic!("messages never end");
    }

    fn drain(&mut self, index: usize) {
        let me = replica(index);
        while let Some(output) = self.nodes[index].poll_output() {
            match output {
                Output::Send { to, message } => {
                    let to: usize = to.as_str()[1..].parse().unwrap();
                    assert!(self.links.contains(&(index.min(to), index.max(to))), "sent to nobody");
                    self.deltas_sent += usize::from(matches!(message, Message::Delta(_)));
                    self.flights.push((index, to, message));
                }
                Output::Appeared { replica, .. } => {
                    let before = self.seen[index].insert(replica, BTreeMap::new());
                    assert_eq!(before, None, "what is known does not appear");
                }
                Output::Changed { replica, changes } => {
                    let seen = self.seen[index].entry(replica).or_default();
                    for change in changes {
                        let before = match change.after {
                            Some(after) => seen.insert(change.key, after),
                            None => seen.remove(&change.key),
                        };
                        assert_eq!(before, change.before, "a change starts from what was seen");
                    }
                }
                Output::Closed { replica, head } => self.closed.push((index, replica, head)),
                Output::Refused { from, reason } => self.refused.push((index, from, reason)),
            }
        }
        self.history[index]
            .insert(self.nodes[index].head(), shown(self.nodes[index].journal(&me).unwrap()));
    }

    /// Checks what must hold at any time among honest nodes, whatever the network does.
    #[track_caller]
    fn check(&self) {
        assert_eq!(self.refused, [], "honest nodes refuse nothing of each other");
        for (index, node) in self.nodes.iter().enumerate() {
            for (owner, history) in self.history.iter().enumerate() {
                let of = replica(owner);
                let Some(journal) = node.journal(&of) else { continue };
                let then = history.get(&journal.head()).expect("the owner had that head");
                assert_eq!(shown(journal), *then, "n{index} shows what {of} had at its head");
                let seen = self.seen[index].get(&of);
                let expected: BTreeMap<_, _> =
                    then.iter().map(|(key, (_, value))| (key.clone(), value.clone())).collect();
                assert_eq!(seen.unwrap_or(&BTreeMap::new()), &expected, "changes tell all");
                for (holder, other) in self.nodes.iter().enumerate() {
                    let acked = node.acked(&of, &replica(holder));
                    assert!(acked <= other.closed_head(&of), "n{holder} acked only what it has");
                    let floor = self.nodes[owner].journal(&of).unwrap().floor();
                    assert!(floor <= other.closed_head(&of), "no floor above a member's head");
                }
            }
        }
    }

    /// Checks that all nodes hold the same.
    #[track_caller]
    fn assert_converged(&self) {
        for owner in 0..self.nodes.len() {
            let of = replica(owner);
            let (head, fingerprint) =
                (self.nodes[owner].head(), self.nodes[owner].fingerprint(&of));
            for (index, node) in self.nodes.iter().enumerate() {
                assert_eq!(node.closed_head(&of), head, "n{index} has all of {of}");
                assert_eq!(node.fingerprint(&of), fingerprint, "n{index} has {of} right");
                if index != owner {
                    let acked = self.nodes[owner].acked(&of, &replica(index));
                    assert_eq!(acked, head, "{of} knows that n{index} has all");
                }
            }
        }
        self.check();
    }
}
