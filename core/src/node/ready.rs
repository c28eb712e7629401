//! When a node that has joined is ready: once it knows what the others knew.

use alloc::vec::Vec;
use core::mem;

use crate::arrival::Arrival;
use crate::crdt::{Delta, Version};
use crate::entry::Key;
use crate::membership::Presence;
use crate::message::{Digest, DigestRow};
use crate::node::Node;
use crate::{Event, NodeId, Output, Replica};

impl Node {
    /// Returns whether the node has joined and knows what every member that it could reach knew
    /// when it did. Before, it takes on nothing, and refuses what users ask of it.
    ///
    /// A node that begins a cluster of its own is ready at once. A node that takes a new life,
    /// since the others have forgotten the last one, arrives anew.
    pub fn is_ready(&self) -> bool {
        self.me.is_some() && self.presence != Presence::Arriving
    }

    /// Begins to take in what the others know; returns how this life is present meanwhile.
    pub(super) fn arrive(&mut self) -> Presence {
        self.arrival = Some(Arrival::new(self.now));
        self.said_ready = false;
        if self.has_arrived() { Presence::Here } else { Presence::Arriving }
    }

    /// Says that the node is ready, once it is; and lets it place children, once all know that.
    ///
    /// Before they do, each gives the children that will be ours to somebody else, who claims them.
    /// So they tell once more, now that they know, and what they claimed until then is taken in.
    pub(super) fn check_arrival(&mut self) {
        if self.arrival.is_none() || !self.has_arrived() {
            return;
        }
        self.arrival = None;
        if mem::replace(&mut self.said_ready, true) {
            return;
        }
        let replica = self.me.clone().expect("only who has joined arrives");
        if self.presence == Presence::Arriving {
            self.arrival = Some(Arrival::new(self.now));
            self.write_member(Presence::Here);
        }
        self.outputs.push_back(Output::Event(Event::Ready { replica }));
        self.take_in_import();
        if let Some(nodes) = self.config.members.take() {
            self.add_list(nodes);
        }
        self.add_first_metadata();
    }

    /// Asks `member` what there is, once it knows that we are ready.
    pub(super) fn ask_who_knows(&mut self, member: &Replica) {
        let has_told = |arrival: &Arrival| arrival.has_told(member);
        if self.said_ready
            && self.arrival.as_ref().is_some_and(|arrival| !has_told(arrival))
            && let Some(me) = &self.me
            && self.presence_said() <= self.replication.acked(me, member)
        {
            self.replication.ask_for_digest(member.node());
        }
    }

    /// Returns the version at which we said last how we are.
    fn presence_said(&self) -> Version {
        let own = self.me.as_ref().and_then(|me| self.replication.journal(me));
        own.and_then(|own| own.version(&Key::Member.encode())).unwrap_or(0)
    }

    pub(super) fn tell_arrival(&mut self, tell: impl FnOnce(&mut Arrival)) {
        if let Some(arrival) = &mut self.arrival {
            tell(arrival);
        }
    }

    /// Takes in that `from` tells which journals there are.
    pub(super) fn handle_told(&mut self, from: &Replica, digest: &Digest) {
        let presence_said = self.presence_said();
        let Some(arrival) = &mut self.arrival else { return };
        // Without itself it says something of one life, and not what it holds.
        if digest.rows.iter().all(|row| row.replica != *from) {
            return;
        }
        let (replication, me) = (&self.replication, self.me.as_ref());
        let knows_us = |row: &DigestRow| me == Some(&row.replica) && presence_said <= row.head;
        if self.said_ready && !digest.rows.iter().any(knows_us) {
            return;
        }
        let ahead = digest.rows.iter().filter(|row| {
            let held = replication.journal(&row.replica).filter(|_| me != Some(&row.replica));
            held.is_some_and(|journal| journal.head() < row.head)
        });
        let ahead = ahead.map(|row| (row.replica.clone(), row.head));
        let names = |journal: &Replica| digest.rows.iter().any(|row| row.replica == *journal);
        arrival.handle_told(self.now, from, ahead, names);
    }

    /// Takes in a part of a journal.
    pub(super) fn handle_delta(&mut self, from: &Replica, delta: Delta) {
        let (now, journal) = (self.now, delta.replica.clone());
        self.replication.handle_delta(now, from, delta);
        if self.replication.moved(&journal) == Some(now) {
            self.tell_arrival(|arrival| arrival.handle_moved(now, &journal));
        }
    }

    /// Asks again for what is missing, once a beat: what was lost on the way is not asked for twice
    /// else, but for digests to one peer after the other.
    pub(super) fn ask_for_missing(&mut self) {
        let Some(arrival) = &self.arrival else { return };
        let wanted = self.listeners().filter(|member| !arrival.is_done_with(member));
        let wanted: Vec<NodeId> = wanted.map(|member| member.node().clone()).collect();
        for peer in wanted {
            self.replication.ask_for_digest(&peer);
        }
    }

    /// Returns whether nothing is missing of what members that are up have told, and all have.
    fn has_arrived(&self) -> bool {
        let Some(arrival) = &self.arrival else { return true };
        if arrival.is_stuck(self.now, self.config.failure_timeout) {
            return true;
        }
        let mut others = self.visible.iter().filter(|&member| self.me.as_ref() != Some(member));
        arrival.has_all()
            && self.membership.is_informed(self.now)
            && others.all(|member| arrival.is_done_with(member))
    }
}
