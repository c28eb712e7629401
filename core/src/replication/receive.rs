//! What comes in: sessions, and the words of peers.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use crate::crdt::{Applied, Change, Delta, Version};
use crate::limits::REPLICAS_MAX;
use crate::message::{Ack, Digest, DigestRow, Message, Need};
use crate::replication::send::Stream;
use crate::replication::{Asked, Held, Named, Output, Peer, Refusal, Replication};
use crate::{NodeId, Replica, ReplicaKey, Time};

/// How long a request may go unanswered before it is made again, and how long a copy is left to
/// whoever just moved it.
const PATIENCE: Duration = Duration::from_millis(200);

/// How long a copy that is in the middle of something larger is left to whoever sends it.
const PATIENCE_STAGED: Duration = Duration::from_secs(1);

/// How many digests a peer may have because it asks, at once; one more every half a digest
/// interval, or sooner. Who asks more often has all that it needs to know, or means harm.
const ANSWERS_MAX: u32 = 8;

/// How often a peer may make us send again what it was sent, at once; once more every
/// [`REPEATS_EVERY`]. Each time costs a window at most.
const REPEATS_MAX: u32 = 32;
const REPEATS_EVERY: Duration = Duration::from_millis(50);

/// How many digest intervals an owner may seem to have written less than a copy of its journal
/// holds; a word of it may be late, but not by that much.
const DOUBT_INTERVALS: u32 = 10;

impl Replication {
    /// Takes in that a session with `peer` is up.
    pub fn handle_connected(&mut self, now: Time, peer: NodeId) {
        self.peers.insert(peer, Peer::default());
        if self.next_digest.is_none() {
            self.schedule_digest(now);
        }
    }

    /// Takes in that the session with `peer` is over.
    pub fn handle_disconnected(&mut self, _now: Time, peer: &NodeId) {
        self.peers.remove(peer);
        self.unacked.remove(peer);
        for held in self.held.values_mut() {
            if held.asked.as_ref().is_some_and(|asked| asked.of == *peer) {
                held.asked = None;
            }
        }
    }

    /// Takes in which life is at the other end of the session with `peer`.
    ///
    /// What an earlier life held counts for nothing: it is gone. Of two nodes that meet, the one
    /// with the lower id says first what it holds.
    pub fn handle_peer(&mut self, _now: Time, peer: &NodeId, replica: &Replica) {
        assert!(replica.node() == peer, "a life is its node's");
        let Some(state) = self.peers.get_mut(peer) else { return };
        if state.replica.as_ref() == Some(replica) {
            return;
        }
        let earlier = state.replica.replace(replica.clone());
        state.streams.clear();
        if let Some(earlier) = earlier {
            self.acks.remove(&earlier);
        }
        if self.me.as_ref().is_none_or(|me| me.node() < peer) {
            self.send_digest(peer, true);
        }
    }

    /// Takes in what `from` holds of every journal.
    ///
    /// A row about us says where to push from. A row that is ahead of our copy makes us ask for the
    /// rest; one that is behind is left to `from`, who is sent our digest if it wants it.
    pub fn handle_digest(&mut self, now: Time, from: &Replica, digest: &Digest) {
        let Some(peer) = self.peer_of(from) else { return };
        if digest.rows.len() > REPLICAS_MAX {
            return self.refuse(from, Refusal::TooManyRows { rows: digest.rows.len() });
        }
        if let Some(row) = digest.rows.iter().find(|row| row.head < row.floor) {
            let (floor, head) = (row.floor, row.head);
            return self.refuse(from, Refusal::FloorAboveHead { floor, head });
        }
        // What we wrote goes out before the digest that says so, or it would be asked for as well.
        let me = self.me.clone();
        let about_us = digest.rows.iter().find(|row| Some(&row.replica) == me.as_ref());
        if let Some(me) = &me {
            let head = about_us.map_or(0, |row| row.head);
            if self.holds(now, from, me, head) {
                self.pump(now, &peer, me);
            }
        }
        if digest.answer && self.may_answer(now, &peer) {
            self.send_digest(&peer, false);
        }
        let journals: BTreeSet<ReplicaKey> =
            digest.rows.iter().map(|row| row.replica.key()).collect();
        // Who has its own journal in no row says something of one life, and not what it holds.
        if journals.contains(&from.key()) {
            self.ask_no_more(&peer, &journals);
            self.named.insert(from.clone(), Named { at: now, journals });
        }
        // The latest life of a node comes first, so that those before it are known to be over.
        for row in digest.rows.iter().rev() {
            if Some(&row.replica) != me.as_ref() {
                self.handle_row(now, from, &peer, row);
            }
        }
        self.check();
    }

    /// Returns whether `peer` is sent a digest because it asks.
    ///
    /// A link that stalled may bring many such requests at once: they are no misuse, and one answer
    /// is as good as many.
    fn may_answer(&mut self, now: Time, peer: &NodeId) -> bool {
        let every = (self.settings.digest_interval / 2).min(PATIENCE / 2);
        let peer = self.peers.get_mut(peer).expect("the session is up");
        peer.answers.take(now, ANSWERS_MAX, every)
    }

    /// Takes in that `peer` holds no journals but `named`: it will answer for no other.
    fn ask_no_more(&mut self, peer: &NodeId, named: &BTreeSet<ReplicaKey>) {
        for (replica, held) in &mut self.held {
            if held.asked.as_ref().is_some_and(|asked| asked.of == *peer)
                && !named.contains(&replica.key())
            {
                held.asked = None;
            }
        }
    }

    /// Takes in that `from` asks for a part of a journal.
    pub fn handle_need(&mut self, now: Time, from: &Replica, need: &Need) {
        let Some(peer) = self.peer_of(from) else { return };
        let Some(journal) = self.journal(&need.replica) else { return };
        let head = journal.head();
        if head < need.from {
            if Some(&need.replica) == self.me.as_ref() {
                self.refuse(from, Refusal::AheadOfUs { claimed: need.from, head });
            }
            return;
        }
        let Peer { streams, repeats, .. } = self.peers.get_mut(&peer).expect("the session is up");
        // Below our floor as well: it may be in the middle of a replacement, and else asks for 0.
        let start = need.from;
        let stream = streams.entry(need.replica.clone()).or_insert(Stream::new(now, start));
        if stream.is_flying(need.from) {
            stream.arrived(need.from);
        } else if stream.sent < need.from {
            *stream = Stream::new(now, start);
        } else if need.from < stream.sent {
            // It asks again for what was sent: that was lost, unless it has just asked the same.
            let is_same = stream.need == need.from;
            if is_same && now.since(stream.began) < PATIENCE / 2
                || !repeats.take(now, REPEATS_MAX, REPEATS_EVERY)
            {
                return;
            }
            *stream = Stream::new(now, start);
        }
        self.pump(now, &peer, &need.replica);
        self.send_waiting(now, &peer);
    }

    /// Takes in a part of a journal.
    pub fn handle_delta(&mut self, now: Time, from: &Replica, delta: Delta) {
        let Some(peer) = self.peer_of(from) else { return };
        if self.me.as_ref() == Some(&delta.replica) {
            return self.refuse(from, Refusal::OurJournal);
        }
        if let Err(error) = delta.check() {
            return self.refuse(from, Refusal::Delta(error));
        }
        if !self.is_credible(from, &delta.replica, delta.until)
            && !self.is_relay(from, &delta.replica)
        {
            return;
        }
        if !self.admit(now, &delta.replica, Duration::from_millis(delta.silence_ms)) {
            return;
        }
        let replica = delta.replica.clone();
        if *from == replica {
            self.holds(now, from, &replica, delta.until);
        }
        let held = self.held.get_mut(&replica).expect("just admitted");
        let refetched = held.copy.refetching().is_some();
        match held.copy.apply(delta) {
            Err(error) => self.refuse(from, Refusal::Delta(error)),
            Ok(Applied::Known) => self.owe_ack(peer, replica),
            Ok(Applied::Missing { need }) => self.ask(now, &peer, &replica, need),
            Ok(Applied::Staged { need }) => {
                held.moved = now;
                held.asked = None;
                self.ask(now, &peer, &replica, need);
            }
            Ok(Applied::Closed { changes }) => {
                held.moved = now;
                held.asked = None;
                if refetched {
                    held.beyond_owner = None;
                    held.confirmed = (*from == replica).then_some(held.copy.head());
                }
                self.closed(peer, replica, changes);
            }
        }
        self.check();
    }

    /// Takes in what has arrived at `from`.
    pub fn handle_ack(&mut self, now: Time, from: &Replica, ack: &Ack) {
        let Some(peer) = self.peer_of(from) else { return };
        for &(key, head) in &ack.heads {
            if let Some(of) = self.keys.get(&key).cloned() {
                self.holds(now, from, &of, head);
            }
        }
        self.send_waiting(now, &peer);
    }

    /// Takes in a beat's word: `from` holds `of`'s journal, closed, up to `head`.
    ///
    /// That counts as an ack. If the owner itself is ahead of our copy, or a peer is while the
    /// owner has no session with us, what is missing is asked for, unless it is arriving.
    pub fn handle_pulse(&mut self, now: Time, from: &Replica, of: &Replica, head: Version) {
        let Some(peer) = self.peer_of(from) else { return };
        if from == of {
            self.admit(now, of, Duration::ZERO);
        }
        if !self.holds(now, from, of, head) {
            return;
        }
        if from == of {
            self.compare_with_owner(now, of, head);
        } else if self.peer_of(of).is_some() {
            return;
        }
        let Some(held) = self.held.get(of) else { return };
        let is_staged = held.copy.staged_until().is_some();
        let patience = if is_staged { PATIENCE_STAGED } else { PATIENCE };
        if patience <= now.since(held.moved) && held.copy.head() < head {
            self.want(now, &peer, of, head, 0);
        }
    }

    /// Returns the node whose present life is `from`, if there is a session with it.
    fn peer_of(&self, from: &Replica) -> Option<NodeId> {
        let (node, peer) = self.peers.get_key_value(from.node())?;
        (peer.replica.as_ref() == Some(from)).then(|| node.clone())
    }

    /// Takes in that `by` holds `of`'s journal up to `head`; returns whether that can be.
    fn holds(&mut self, now: Time, by: &Replica, of: &Replica, head: Version) -> bool {
        let is_ours = self.me.as_ref() == Some(of);
        if !is_ours && !self.held.contains_key(of) {
            return false;
        }
        if is_ours && self.own.head() < head {
            let reason = Refusal::AheadOfUs { claimed: head, head: self.own.head() };
            self.refuse(by, reason);
            return false;
        }
        match self.acks.get_mut(by).and_then(|heads| heads.get_mut(of)) {
            Some(acked) => *acked = head.max(*acked),
            // Who has left, and is forgotten, may tell us something yet; nobody waits for it.
            None if self.forgotten.contains(by.key()) => (),
            None => {
                self.acks.entry(by.clone()).or_default().insert(of.clone(), head);
            }
        }
        let Some(peer) = self.peers.get_mut(by.node()) else { return true };
        match peer.streams.get_mut(of) {
            Some(stream) => stream.arrived(head),
            None if is_ours => {
                peer.streams.insert(of.clone(), Stream::new(now, head));
            }
            None => return true,
        }
        if is_ours {
            self.unsent = true;
        } else if head < self.closed_head(of) {
            self.pass_on(of);
        }
        true
    }

    /// Takes in what `from` holds of a journal that is not ours.
    fn handle_row(&mut self, now: Time, from: &Replica, peer: &NodeId, row: &DigestRow) {
        if !self.admit(now, &row.replica, Duration::from_millis(row.silence_ms)) {
            return;
        }
        self.holds(now, from, &row.replica, row.head);
        let held = self.held.get_mut(&row.replica).expect("just admitted");
        held.copy.collect_tombstones(row.floor);
        if *from == row.replica {
            self.compare_with_owner(now, &row.replica, row.head);
        }
        self.compare_fingerprints(now, from, row);
        if self.is_credible(from, &row.replica, row.head) {
            self.want(now, peer, &row.replica, row.head, row.floor);
        }
    }

    /// Returns whether `from` may be believed that `owner` wrote up to `head`.
    ///
    /// While the owner has a session with us, nobody else is believed to know more than it says
    /// itself, by its beats if not before: a lie would hide what it writes next. Only whoever is
    /// there to pass on its writes may be ahead of that, by what it brings; if that was a lie, the
    /// owner's beats do not bear it out, and the copy is fetched anew.
    fn is_credible(&self, from: &Replica, owner: &Replica, head: Version) -> bool {
        from == owner || self.peer_of(owner).is_none() || head <= self.acked(owner, owner)
    }

    /// Makes sure that there is a copy of `replica`'s journal; returns whether there may be one.
    fn admit(&mut self, now: Time, replica: &Replica, silence: Duration) -> bool {
        if self.held.contains_key(replica) {
            return true;
        }
        if self.forgotten.contains(replica.key())
            || self.settings.forget_after / 2 <= silence
            || self.held.len() >= REPLICAS_MAX
            || self.keys.contains_key(&replica.key())
        {
            return false;
        }
        self.keys.insert(replica.key(), replica.clone());
        self.held.insert(replica.clone(), Held::new(now, silence));
        self.outputs.push_back(Output::Appeared { replica: replica.clone(), silence });
        true
    }

    /// Doubts a copy that holds what its owner, for too long, does not show that it wrote.
    fn compare_with_owner(&mut self, now: Time, owner: &Replica, head: Version) {
        if head < self.acked(owner, owner) {
            // It has shown more: this is from before, and was long under way.
            return;
        }
        let patience = self.settings.digest_interval.saturating_mul(DOUBT_INTERVALS);
        let Some(held) = self.held.get_mut(owner) else { return };
        match held.beyond_owner {
            Some((_, version)) if version <= head => held.beyond_owner = None,
            Some((since, _)) if patience <= now.since(since) => {
                held.beyond_owner = None;
                held.copy.refetch(0);
                self.ask(now, owner.node(), owner, 0);
            }
            Some(_) => (),
            None if head < held.copy.head() => {
                held.beyond_owner = Some((now, held.copy.head()));
            }
            None => (),
        }
    }

    /// Doubts a copy that differs from another at the same head.
    ///
    /// The owner is right. If it is not there, a copy that it confirmed is; between two others a
    /// coin decides, at each meeting anew, so that they do not merely swap.
    fn compare_fingerprints(&mut self, now: Time, from: &Replica, row: &DigestRow) {
        let of_owner = *from == row.replica;
        let owner = self.peer_of(&row.replica);
        let held = self.held.get_mut(&row.replica).expect("the row was admitted");
        let (head, fingerprint) = (held.copy.head(), held.copy.journal().fingerprint());
        if row.head != head || held.copy.refetching().is_some() {
            return;
        }
        if row.fingerprint == fingerprint {
            if of_owner {
                held.confirmed = Some(head);
            }
            return;
        }
        if !of_owner && held.confirmed == Some(head) {
            return;
        }
        let source = match owner {
            Some(owner) => owner,
            None if self.random.below(2) == 0 => from.node().clone(),
            None => return,
        };
        held.copy.refetch(head);
        held.asked = None;
        self.ask(now, &source, &row.replica, 0);
    }

    /// Asks `peer`, who holds `replica`'s journal up to `head`, for what is missing of it.
    fn want(&mut self, now: Time, peer: &NodeId, replica: &Replica, head: Version, floor: Version) {
        let interval = self.settings.digest_interval;
        let Some(held) = self.held.get_mut(replica) else { return };
        let (closed, refetching) = (held.copy.head(), held.copy.refetching());
        if head <= closed && refetching.is_none_or(|least| head < least || head == 0) {
            // Whatever it said before, it has no more of it.
            if held.asked.as_ref().is_some_and(|asked| asked.of == *peer) {
                held.asked = None;
            }
            return;
        }
        if held.copy.staged_until().is_some_and(|until| head < until) {
            // This peer cannot complete what is staged; whoever could has had its time.
            if now.since(held.moved) < interval {
                return;
            }
            held.copy.drop_staged();
        }
        let need = held.copy.need(floor);
        if need < head {
            self.ask(now, peer, replica, need);
        }
    }

    /// Asks `peer` for `replica`'s journal from `need` on, unless that was asked just now.
    fn ask(&mut self, now: Time, peer: &NodeId, replica: &Replica, need: Version) {
        let Some(held) = self.held.get_mut(replica) else { return };
        if let Some(asked) = &held.asked
            && now.since(asked.at) < PATIENCE
            && (asked.from == need || asked.of != *peer)
        {
            return;
        }
        held.asked = Some(Asked { of: peer.clone(), from: need, at: now });
        let message = Message::Need(Need { replica: replica.clone(), from: need });
        self.outputs.push_back(Output::Send { to: peer.clone(), message });
    }

    /// Tells of a copy that closed: to readers now, to its owner and its sender at the next flush.
    fn closed(&mut self, sender: NodeId, replica: Replica, changes: Vec<Change>) {
        let head = self.closed_head(&replica);
        self.changed(replica.clone(), changes);
        self.outputs.push_back(Output::Closed { replica: replica.clone(), head });
        self.pass_on(&replica);
        if let Some(owner) = self.peer_of(&replica) {
            self.owe_ack(owner, replica.clone());
        }
        self.owe_ack(sender, replica);
    }

    fn owe_ack(&mut self, peer: NodeId, replica: Replica) {
        if let Some(state) = self.peers.get_mut(&peer) {
            state.closed.insert(replica);
            self.unacked.insert(peer);
        }
    }
}
