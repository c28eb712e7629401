//! Children that fail again and again: given up here, in quarantine everywhere, released.

use alloc::string::String;
use alloc::vec::Vec;

use crate::entry::{CellKey, Entry, GivenUpEntry};
use crate::membership::Presence;
use crate::node::Node;
use crate::supervisor::{ChildKey, shortened};
use crate::{
    Blob, ChildId, Escalation, Event, ExitReason, NodeId, Output, ReleaseError, Reply, Scope,
};

impl Node {
    /// Gives up the child that the process `number` runs, which failed for `reason`.
    ///
    /// That is written before the claim goes: nobody sees the child without either.
    pub(super) fn give_up(&mut self, number: u64, reason: String) {
        let Some((key, failures)) = self.supervisor.given_up_here(number) else { return };
        let node = self.config.id.clone();
        let failures = u32::try_from(failures).unwrap_or(u32::MAX);
        let reason = shortened(reason);
        let entry = GivenUpEntry { failures, reason: reason.clone() };
        self.write_cell(&CellKey::GivenUp(key.0, key.1, node), Some(entry.encode()));
        while let Some(effect) = self.cells.poll_effect() {
            self.carry_out(effect);
        }
        self.supervisor.give_up(number);
        self.carry_out_effects();

        let Some(child) = self.supervisor.child(&key) else { return };
        self.outputs.push_back(Output::Event(Event::ChildGivenUp {
            child: key.1,
            reason,
            given_up_by: child.given_up.len(),
            is_in_quarantine: child.is_in_quarantine(key.1, &self.targets),
        }));
    }

    /// Takes in that `node` has given a child up, or is to try it again.
    pub(super) fn handle_given_up(&mut self, key: ChildKey, node: &NodeId, value: Option<&Blob>) {
        let entry = value.and_then(|bytes| GivenUpEntry::decode(bytes));
        self.with_supervisor(|supervisor, around| {
            supervisor.handle_given_up(around, key, node, entry);
        });
        self.check_child_requests(key);
    }

    /// Fails those who run here and to whom children in quarantine belong that escalate, once a
    /// beat: a quarantine may begin with a member that leaves, and end with one that comes.
    pub(super) fn escalate(&mut self) {
        let given_up: Vec<ChildKey> = self.supervisor.given_up().copied().collect();
        for key in given_up {
            self.supervisor.escalate(&key, &self.targets);
        }
    }

    /// Has the children tried again that the child failed by which the process `number` runs: it
    /// has been started anew.
    pub(super) fn release_failures_of(&mut self, number: u64) {
        for key in self.supervisor.failures_of(number, &self.targets) {
            self.let_out(key);
        }
    }

    /// Leaves if so many children were given up here that run elsewhere as operators want it, once
    /// a beat.
    pub(super) fn check_fitness(&mut self) {
        // Asked in any case: what is over is forgotten by that.
        let children = self.supervisor.better_off(self.now, &self.config.id);
        let Escalation::Leave { children: most } = self.config.escalation else { return };
        if most.max(1) <= children && self.presence == Presence::Here {
            self.handle_unwanted(ExitReason::Unfit { children });
        }
    }

    /// Has the nodes that gave `key` up try it again.
    fn let_out(&mut self, key: ChildKey) {
        let child = self.supervisor.child(&key).into_iter();
        let by = child.flat_map(|child| child.given_up.iter().map(|by| by.node.clone()));
        for node in by.collect::<Vec<NodeId>>() {
            self.write_cell(&CellKey::GivenUp(key.0, key.1, node), None);
        }
    }

    pub(super) fn release(&mut self, ticket: u64, key: ChildKey) {
        let child = self.supervisor.child(&key);
        if child.is_none_or(|child| child.spec.is_none() || child.end.is_some()) {
            let error = ReleaseError::Unknown { child: key.1 };
            return self.reply(ticket, Reply::Release(Err(error)));
        }
        self.let_out(key);
        self.carry_out_effects();
        self.reply(ticket, Reply::Release(Ok(())));
    }

    pub(super) fn tell_quarantined(&mut self, ticket: u64, scope: Scope) {
        let quarantined = self.supervisor.quarantined(scope, &self.targets);
        self.reply(ticket, Reply::Quarantined(quarantined));
    }

    /// Iterates over the nodes that have given `child` up, in the order of their ids.
    pub fn given_up_by(&self, scope: Scope, child: ChildId) -> impl Iterator<Item = &NodeId> {
        let child = self.supervisor.child(&(scope, child));
        child.into_iter().flat_map(|child| child.given_up.iter().map(|by| &by.node))
    }

    /// Deletes what we said of children that are over, once a beat.
    pub(super) fn collect_given_up(&mut self) {
        let Some(me) = self.me.clone() else { return };
        let over = self.supervisor.given_up_for_nothing();
        let cells = over.flat_map(|(key, child)| {
            let of_child = |by: &crate::GivenUp| CellKey::GivenUp(key.0, key.1, by.node.clone());
            child.given_up.iter().map(of_child)
        });
        let ours: Vec<CellKey> = cells.filter(|cell| self.cells.is_held_by(&me, cell)).collect();
        for cell in ours {
            self.write_cell(&cell, None);
        }
    }
}
