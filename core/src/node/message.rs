//! What peers say, each to the machine that it concerns.

use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use crate::membership::Verdict;
use crate::message::{
    Ack, Beat, Call, Cast, Condition, Digest, DigestRow, Envelope, Message, Probe,
};
use crate::node::Node;
use crate::{Event, NodeId, Output, Replica};

impl Node {
    pub(super) fn handle_envelope(&mut self, from: NodeId, envelope: Envelope) {
        if from == self.config.id {
            return;
        }
        let Envelope { incarnation, beat, message } = envelope;
        let verdict = self.membership.handle_heard(self.now, &from, incarnation, beat);
        self.carry_out_effects();
        if self.is_over {
            return;
        }
        match (verdict, message) {
            (_, Message::Hello(hello)) => self.membership.handle_hello(self.now, &from, &hello),
            (Verdict::Stranger | Verdict::Member(_), Message::Join) => {
                let stamp = self.clock.last();
                self.membership.handle_join(self.now, &from, stamp);
            }
            (Verdict::Stranger | Verdict::Member(_), Message::Welcome(welcome)) => {
                self.membership.handle_welcome(self.now, &from, &welcome);
            }
            (Verdict::Member(_), Message::Excluded(excluded)) => {
                self.membership.handle_excluded(self.now, &from, &excluded);
            }
            (Verdict::Member(from), message) => {
                self.replication.handle_peer(self.now, from.node(), &from);
                self.handle_message(&from, message);
            }
            (Verdict::Stale | Verdict::Left(_), Message::Welcome(welcome)) => {
                self.membership.handle_mutual(self.now, &from, &welcome);
            }
            (Verdict::Left(from), message) => self.handle_last_words(&from, message),
            (Verdict::Stale, Message::Beat(beat)) => {
                self.tell_outlived(&Replica::new(from, incarnation), &beat);
            }
            (Verdict::Stale, Message::Digest(digest)) => self.learn_outlived(&digest),
            // Nothing else that it says can be believed, yet or any more.
            (Verdict::Unchecked | Verdict::Stale | Verdict::Stranger, _) => (),
        }
    }

    /// Takes in what a life says that has left: nothing of itself any more, but what it holds of
    /// others, whom nobody else may have heard.
    fn handle_last_words(&mut self, from: &Replica, message: Message) {
        self.replication.handle_peer(self.now, from.node(), from);
        match message {
            Message::Beat(mut beat) => {
                self.tell_outlived(from, &beat);
                beat.pulses.retain(|pulse| pulse.replica != from.key());
                self.handle_pulses(from, &beat);
            }
            Message::Digest(mut digest) => {
                self.learn_outlived(&digest);
                digest.rows.retain(|row| row.replica != *from);
                self.replication.handle_digest(self.now, from, &digest);
            }
            Message::Need(need) => self.replication.handle_need(self.now, from, &need),
            Message::Ack(ack) => self.replication.handle_ack(self.now, from, &ack),
            Message::Delta(delta) if delta.replica == *from => (),
            Message::Delta(delta) => self.handle_delta(from, delta),
            Message::Hello(_)
            | Message::Join
            | Message::Welcome(_)
            | Message::Excluded(_)
            | Message::Won(_)
            | Message::Yield(_)
            | Message::Forward(_)
            | Message::Forwarded(_)
            | Message::Call(_)
            | Message::Reply(_)
            | Message::Cast(_)
            | Message::Publish(_)
            | Message::Probe(_)
            | Message::Condition(_)
            | Message::LeaseRequest(_)
            | Message::LeaseReply(_)
            | Message::Electorate(_)
            | Message::Proposal(_)
            | Message::Vote(_) => (),
        }
    }

    /// Takes in how much of each journal `from` holds.
    fn handle_pulses(&mut self, from: &Replica, beat: &Beat) {
        for pulse in &beat.pulses {
            if let Some(of) = self.replication.replica_of(pulse.replica).cloned() {
                self.replication.handle_pulse(self.now, from, &of, pulse.head);
            }
        }
    }

    /// Tells `life`, which we take for over, which life of its node we know instead.
    ///
    /// One that began where nobody knew of any before it takes a life above that. One that left,
    /// and does not know yet that we have heard it, waits to be told; we have all of it that
    /// counts, though its journal may be gone here already.
    fn tell_outlived(&mut self, life: &Replica, beat: &Beat) {
        let node = life.node();
        let Some(highest) = self.membership.highest(node) else { return };
        if highest == *life {
            let own = beat.pulses.iter().find(|pulse| pulse.replica == life.key());
            let heads = own.map(|pulse| (pulse.replica, pulse.head)).into_iter().collect();
            self.send(node, Message::Ack(Ack { heads }));
            return;
        }
        let silence = self.membership.silence(&highest, self.now);
        let silence = silence.unwrap_or(self.config.forget_after);
        let row = DigestRow {
            replica: highest,
            head: 0,
            fingerprint: 0,
            floor: 0,
            silence_ms: u64::try_from(silence.as_millis()).unwrap_or(u64::MAX),
        };
        self.send(node, Message::Digest(Digest { rows: Vec::from([row]), answer: false }));
    }

    /// Takes in the lives of our own that a peer knows, though we take its own life for over: of
    /// two that outlived each other neither would believe the other anything else.
    fn learn_outlived(&mut self, digest: &Digest) {
        let ours = digest.rows.iter().filter(|row| *row.replica.node() == self.config.id);
        if let Some(row) = ours.max_by_key(|row| row.replica.incarnation()) {
            let silence = Duration::from_millis(row.silence_ms);
            let _ = self.membership.handle_remembered(self.now, &row.replica, silence);
        }
    }

    /// Takes in what a life that is not over says.
    pub(super) fn handle_message(&mut self, from: &Replica, message: Message) {
        let now = self.now;
        match message {
            Message::Hello(_) | Message::Join | Message::Welcome(_) | Message::Excluded(_) => {
                self.refuse(from, "it greets as one who has joined");
            }
            Message::Beat(beat) => {
                self.handle_pulses(from, &beat);
                self.membership.handle_beat(now, from, &beat);
                self.check_spread(from);
            }
            Message::Digest(digest) => {
                self.replication.handle_digest(now, from, &digest);
                self.handle_told(from, &digest);
                self.check_spread(from);
            }
            Message::Need(need) => self.replication.handle_need(now, from, &need),
            Message::Delta(delta) => self.handle_delta(from, delta),
            Message::Ack(ack) => {
                self.replication.handle_ack(now, from, &ack);
                self.ask_who_knows(from);
                self.check_spread(from);
            }
            Message::Won(won) => {
                self.with_conflicts(|conflicts, own| conflicts.handle_won(own, from, won));
            }
            Message::Yield(offer) => {
                self.with_conflicts(|conflicts, own| conflicts.handle_yield(own, from, offer));
            }
            Message::Forward(forward) => self.handle_forward(from, forward),
            Message::Forwarded(forwarded) => self.handle_forwarded(from, forwarded),
            Message::Call(call) => self.handle_call(from, call),
            Message::Reply(reply) => self.messaging.handle_reply(from.node(), reply),
            Message::Cast(cast) => self.handle_cast(cast),
            Message::Publish(publish) => self.handle_publish(publish),
            Message::Probe(probe) => self.handle_probe(from, &probe),
            Message::Condition(condition) => self.handle_condition(from, &condition),
            Message::LeaseRequest(request) => self.handle_lease_request(from, request),
            Message::LeaseReply(reply) => self.handle_lease_reply(from, reply),
            Message::Electorate(electorate) => self.handle_electorate(from.node(), electorate),
            Message::Proposal(proposal) => self.handle_proposal(from, proposal),
            Message::Vote(vote) => self.handle_vote(from, vote),
        }
    }

    fn handle_call(&mut self, from: &Replica, call: Call) {
        if !self.calls_seen.is_new(from, call.id) {
            return;
        }
        let runs = self.me.is_some() && self.registry.is_running(call.number);
        let process = runs.then(|| self.own_process(call.number));
        self.messaging.handle_call(self.now, from.node(), process, call);
    }

    fn handle_cast(&mut self, cast: Cast) {
        if self.me.is_some() && self.registry.is_running(cast.number) {
            let process = self.own_process(cast.number);
            self.messaging.cast(&process, true, cast.payload);
        }
    }

    fn handle_probe(&mut self, from: &Replica, probe: &Probe) {
        if self.me.is_some() {
            let rest = self.rest();
            let condition = Condition { id: probe.id, view: rest.view, pending: rest.pending };
            self.send(&from.node().clone(), Message::Condition(condition));
        }
    }

    fn handle_condition(&mut self, from: &Replica, condition: &Condition) {
        let rest = self.rest();
        self.settling.handle_condition(self.now, from.node(), condition, || rest);
    }

    pub(super) fn refuse(&mut self, from: &Replica, reason: &str) {
        let peer = from.node().clone();
        let reason = format!("{from}: {reason}");
        self.outputs.push_back(Output::Event(Event::Refused { peer, reason }));
    }
}
