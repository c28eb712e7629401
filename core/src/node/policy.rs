//! Who is a member by the word of operators: the list of members, and evictions.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use crate::entry::{CellKey, Entry, EvictionEntry, MembersEntry};
use crate::limits::MEMBERS_MAX;
use crate::membership::{Eviction, Presence};
use crate::node::Node;
use crate::requests::{Wait, Written};
use crate::{
    Blob, EvictError, ExitReason, NodeId, Output, Replica, Replicas, Reply, SetMembersError, Stamp,
    ViewChange,
};

impl Node {
    pub(super) fn set_members(
        &mut self,
        ticket: u64,
        timeout: Duration,
        members: Option<BTreeSet<NodeId>>,
        replicas: Replicas,
    ) {
        let refusal = members.as_ref().and_then(|members| match members.len() {
            0 => Some(SetMembersError::Empty),
            count if MEMBERS_MAX < count => {
                Some(SetMembersError::TooMany { count, max: MEMBERS_MAX })
            }
            _ => None,
        });
        if let Some(error) = refusal {
            return self.reply(ticket, Reply::SetMembers(Err(error)));
        }
        // Where there never was a list there is none to lift.
        if members.is_some() || self.cells.is_known(&CellKey::Members) {
            let value = members.map(|nodes| MembersEntry { nodes }.encode());
            self.write_cell(&CellKey::Members, value);
        }
        self.await_replicas(ticket, timeout, Written::Members, replicas);
    }

    /// Lets `nodes` be members, if there never was a list; any that somebody sets counts before it.
    pub(super) fn add_list(&mut self, nodes: BTreeSet<NodeId>) {
        if !self.cells.is_known(&CellKey::Members) {
            let me = self.me.as_ref().expect("only who has joined is ready");
            let value = MembersEntry { nodes }.encode();
            self.cells.write(me, Stamp::default(), &CellKey::Members, Some(value));
        }
    }

    pub(super) fn evict(&mut self, ticket: u64, timeout: Duration, node: NodeId, at_once: bool) {
        let present = self.membership.member(&node).and(self.membership.current(&node));
        let Some(replica) = present.cloned() else {
            return self.reply(ticket, Reply::Evict(Err(EvictError::Unknown { node })));
        };
        // We would be over before anybody could hear of it.
        let at_once = at_once && self.me.as_ref() != Some(&replica);
        let entry = EvictionEntry { incarnation: replica.incarnation(), at_once };
        self.write_cell(&CellKey::Evicted(node), Some(entry.encode()));
        self.wait(ticket, timeout, Wait::Evict { replica });
        self.carry_out_effects();
        self.check_evictions();
    }

    /// Answers whoever waits for a member to go that is gone.
    pub(super) fn check_evictions(&mut self) {
        for ticket in self.requests.tickets() {
            let Some(pending) = self.requests.request(ticket) else { continue };
            let Wait::Evict { replica } = &pending.wait else { continue };
            // Of ourselves we say it when we exit.
            let is_gone = self.me.as_ref() != Some(replica) && self.retired.contains(replica);
            if is_gone {
                self.reply(ticket, Reply::Evict(Ok(())));
            }
        }
    }

    /// Returns how many members are up and ready, and how many there are: of those on the list, or
    /// that count and are not forgotten if there is none.
    pub(super) fn quorum(&self) -> (usize, usize) {
        let live = self.membership.live().map(Replica::node);
        match self.membership.listed() {
            Some(listed) => (live.filter(|node| listed.contains(*node)).count(), listed.len()),
            None => (live.count(), self.membership.counting().count()),
        }
    }

    /// Answers whoever waits for more than half of the members, if they are up.
    pub(super) fn check_quorum(&mut self) {
        let (up, of) = self.quorum();
        if 2 * up <= of {
            return;
        }
        for ticket in self.requests.tickets() {
            if self.requests.request(ticket).is_some_and(|asked| asked.wait == Wait::Quorum) {
                self.reply(ticket, Reply::AwaitQuorum(Ok(())));
            }
        }
    }

    /// Leaves since operators want it so, and exits for `reason` then.
    pub(super) fn handle_unwanted(&mut self, reason: ExitReason) {
        self.exit_as = reason;
        self.begin_to_leave();
    }

    /// Takes in that the list of members is another one.
    pub(super) fn handle_list(&mut self, value: Option<&Blob>) {
        let listed = match value.map(|bytes| MembersEntry::decode(bytes)) {
            Some(Some(entry)) => Some(entry.nodes),
            // What cannot be read here shuts nobody out.
            Some(None) | None => None,
        };
        self.membership.handle_list(self.now, listed.clone());
        self.members_changed = true;
        self.outputs.push_back(Output::View(ViewChange::MemberList { listed }));
    }

    /// Takes in which lives of `node` are to be members no more.
    pub(super) fn handle_eviction(&mut self, node: &NodeId, value: Option<&Blob>) {
        let entry = value.and_then(|bytes| EvictionEntry::decode(bytes));
        let evicted = entry.map(|entry| {
            let EvictionEntry { incarnation, at_once } = entry;
            Eviction { incarnation, at_once }
        });
        self.membership.handle_evicted(self.now, node, evicted);
    }

    /// Deletes our evictions of lives that nobody here remembers, once a beat.
    pub(super) fn collect_evictions(&mut self) {
        let Some(me) = self.me.clone().filter(|_| self.presence == Presence::Here) else { return };
        let is_over = |node: &NodeId, value: &Blob| {
            let entry = EvictionEntry::decode(value);
            entry.is_some_and(|entry| !self.membership.remembers(node, entry.incarnation))
        };
        let evictions = self.cells.values().filter_map(|(key, value)| match key {
            CellKey::Evicted(node) => Some((node, value)),
            CellKey::Meta(..)
            | CellKey::Members
            | CellKey::GivenUp(..)
            | CellKey::MovesPaused(_) => None,
        });
        let over: Vec<CellKey> = evictions
            .filter(|(node, value)| is_over(node, value))
            .map(|(node, _)| CellKey::Evicted(node.clone()))
            .filter(|key| self.cells.is_held_by(&me, key))
            .collect();
        for key in over {
            self.write_cell(&key, None);
        }
    }

    pub(super) fn write_cell(&mut self, key: &CellKey, value: Option<Blob>) {
        let me = self.me.as_ref().expect("only a node that has joined writes");
        self.cells.write(me, self.clock.stamp(), key, value);
    }
}
