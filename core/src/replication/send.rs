//! What goes out: streams of deltas with a window, digests, acks.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::crdt::{Delta, Version};
use crate::limits::DELTA_BYTES_MAX;
use crate::message::{Ack, Digest, DigestRow, Message};
use crate::replication::{Output, Peer, Replication};
use crate::{NodeId, Replica, Time};

/// How many digest intervals what is staged waits for its rest; whoever has that offers it in each.
const STAGED_INTERVALS: u32 = 10;

/// Most bytes of others' journals that are on their way to one peer, but for the last delta.
///
/// They share a queue with the messages of processes: these wait behind no more than that, and one
/// window of our own journal, however many journals a newcomer lacks. Our own writes do not wait
/// for what others wrote.
const CATCH_UP_BYTES_MAX: usize = 4 * DELTA_BYTES_MAX;

/// How long after the last delta what is on its way counts as that. It may have been lost, or the
/// peer may have got the journal from somebody else: it must not keep others from it.
const CATCH_UP_LASTS: Duration = Duration::from_secs(1);

/// A journal on its way to one peer.
///
/// What is in flight is what was sent and neither acknowledged nor asked beyond; it has a bound, so
/// that a slow peer costs no memory. A stream does not end: once all is sent, it waits for more.
///
/// Invariants: `need` ≤ `sent`; `flying` ascends, from above `need` to `sent`; `bytes` sums over
/// it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Stream {
    /// The peer has everything up to here, perhaps staged.
    pub(super) need: Version,
    /// Everything up to here was sent.
    pub(super) sent: Version,
    /// Where each delta in flight ends, and how long it is.
    flying: VecDeque<(Version, usize)>,
    bytes: usize,
    /// When it was set back, or began.
    pub(super) began: Time,
    /// When something was last sent.
    sent_at: Time,
}

impl Stream {
    /// Most deltas in flight: many small ones, so that pushes do not wait for acks.
    const DELTAS_MAX: usize = 256;
    /// Most bytes in flight, but for the last delta.
    const BYTES_MAX: usize = 3 * DELTA_BYTES_MAX;

    /// Creates a stream to a peer that has everything up to `from`.
    pub(super) fn new(now: Time, from: Version) -> Self {
        Self { need: from, sent: from, began: now, ..Self::default() }
    }

    /// Returns whether `version` was sent and is not known to have arrived.
    pub(super) fn is_flying(&self, version: Version) -> bool {
        self.need < version && version <= self.sent
    }

    /// Takes in that the peer has everything up to `version`.
    pub(super) fn arrived(&mut self, version: Version) {
        self.need = self.need.max(version);
        self.sent = self.sent.max(version);
        while self.flying.front().is_some_and(|(end, _)| *end <= version) {
            let (_, bytes) = self.flying.pop_front().expect("just seen");
            self.bytes -= bytes;
        }
        self.check();
    }

    fn has_room(&self) -> bool {
        self.flying.len() < Self::DELTAS_MAX && self.bytes < Self::BYTES_MAX
    }

    fn send(&mut self, now: Time, delta: &Delta) {
        assert!(self.has_room(), "a full window sends nothing");
        let bytes = delta.bytes();
        self.flying.push_back((delta.to, bytes));
        self.bytes += bytes;
        self.sent = delta.to;
        self.sent_at = now;
        self.check();
    }

    fn check(&self) {
        assert!(self.need <= self.sent, "what has arrived was sent");
        debug_assert!(self.flying.iter().is_sorted(), "deltas fly in order");
        debug_assert_eq!(self.bytes, self.flying.iter().map(|(_, bytes)| bytes).sum::<usize>());
    }
}

impl Replication {
    /// Sends what was held back to be sent together: new writes of ours, those of others that are
    /// to be passed on, and acks.
    pub fn handle_flush(&mut self, now: Time) {
        if mem::take(&mut self.unsent)
            && let Some(me) = self.me.clone()
        {
            let head = self.own.head();
            let next = self.is_relaying().then(|| self.next_of(&me));
            let is_behind = |(to, peer): &(&NodeId, &Peer)| {
                peer.streams.get(&me).is_some_and(|stream| stream.sent < head)
                    && next.as_ref().is_none_or(|next| next.contains(*to))
            };
            let behind = self.peers.iter().filter(is_behind);
            for peer in behind.map(|(peer, _)| peer.clone()).collect::<Vec<_>>() {
                self.pump(now, &peer, &me);
            }
        }
        self.relay(now);
        for peer in mem::take(&mut self.unacked) {
            let Some(Peer { closed, .. }) = self.peers.get_mut(&peer) else { continue };
            let closed = mem::take(closed);
            let heads = closed.iter().map(|replica| (replica.key(), self.closed_head(replica)));
            let message = Message::Ack(Ack { heads: heads.collect() });
            self.outputs.push_back(Output::Send { to: peer, message });
        }
    }

    /// Lets time pass: compares journals with a random peer when that is due.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.next_digest.is_none_or(|at| now < at) {
            return;
        }
        self.schedule_digest(now);
        self.collect_tombstones();
        self.give_up_staged(now);
        let known = self.peers.iter().filter(|(_, peer)| peer.replica.is_some());
        let known: Vec<&NodeId> = known.map(|(peer, _)| peer).collect();
        let count = u64::try_from(known.len()).expect("peers are few");
        if count > 0 {
            let pick = usize::try_from(self.random.below(count)).expect("below the count");
            let peer = known[pick].clone();
            self.send_digest(&peer, true);
        }
        assert!(self.next_digest.is_some_and(|at| now < at), "no timer is left expired");
    }

    /// Asks `peer` to tell what it holds of every journal, and tells it the same.
    pub fn ask_for_digest(&mut self, peer: &NodeId) {
        self.send_digest(peer, true);
    }

    /// Drops what is staged and waits for its rest for too long: whoever had that is gone, and who
    /// offers it later sends all of it.
    fn give_up_staged(&mut self, now: Time) {
        let patience = self.settings.digest_interval.saturating_mul(STAGED_INTERVALS);
        for held in self.held.values_mut() {
            if held.copy.staged_until().is_some() && patience <= now.since(held.moved) {
                held.copy.drop_staged();
                held.asked = None;
            }
        }
    }

    pub(super) fn schedule_digest(&mut self, now: Time) {
        let wait = self.random.jittered(self.settings.digest_interval);
        self.next_digest = Some(now + wait.max(Duration::from_micros(1)));
    }

    /// Tells `to` what is held of every journal.
    pub(super) fn send_digest(&mut self, to: &NodeId, answer: bool) {
        let row = |replica: &Replica| {
            let journal = self.journal(replica).expect("every replica here has a journal");
            DigestRow {
                replica: replica.clone(),
                head: journal.head(),
                fingerprint: journal.fingerprint(),
                floor: journal.floor(),
                silence_ms: self.silence_ms(replica),
            }
        };
        let rows = self.replicas().map(row).collect();
        let message = Message::Digest(Digest { rows, answer });
        self.outputs.push_back(Output::Send { to: to.clone(), message });
    }

    /// Sends on from where the stream of `replica`'s journal to `to` is, as far as its window goes,
    /// and if it is not ours, as far as `to` takes in more of others' journals.
    pub(super) fn pump(&mut self, now: Time, to: &NodeId, replica: &Replica) {
        let silence_ms = self.silence_ms(replica);
        let is_ours = self.me.as_ref() == Some(replica);
        let journal = if is_ours {
            &self.own
        } else {
            let Some(held) = self.held.get(replica) else { return };
            held.copy.journal()
        };
        let Some(peer) = self.peers.get_mut(to) else { return };
        let mut room = if is_ours { usize::MAX } else { peer.room(now, self.me.as_ref()) };
        let Some(stream) = peer.streams.get_mut(replica) else { return };
        while stream.has_room() {
            if room == 0 && stream.sent < journal.head() {
                peer.waiting.insert(replica.clone());
                return;
            }
            let Some(delta) = journal.delta(replica, stream.sent, self.settings.budget) else {
                break;
            };
            stream.send(now, &delta);
            room = room.saturating_sub(delta.bytes());
            let message = Message::Delta(Delta { silence_ms, ..delta });
            self.outputs.push_back(Output::Send { to: to.clone(), message });
        }
    }

    /// Sends what `to` waits for of others' journals, one after the other, as far as there is room.
    pub(super) fn send_waiting(&mut self, now: Time, to: &NodeId) {
        let me = self.me.clone();
        while let Some(peer) = self.peers.get_mut(to)
            && !peer.waiting.is_empty()
            && peer.room(now, me.as_ref()) > 0
        {
            let replica = peer.waiting.pop_first().expect("somebody waits");
            self.pump(now, to, &replica);
        }
    }
}

impl Peer {
    /// Returns how many bytes of others' journals may be sent to it now.
    fn room(&self, now: Time, me: Option<&Replica>) -> usize {
        let others = self.streams.iter().filter(|(replica, _)| me != Some(*replica));
        let is_fresh = |stream: &&Stream| now.since(stream.sent_at) < CATCH_UP_LASTS;
        let flying = others.map(|(_, stream)| stream).filter(is_fresh).map(|stream| stream.bytes);
        CATCH_UP_BYTES_MAX.saturating_sub(flying.sum())
    }
}
