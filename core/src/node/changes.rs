//! What a change of a journal means: from bytes to claims, children and members.

use alloc::vec::Vec;

use crate::board::{Claimant, Loser};
use crate::crdt::{Change, Version, Write};
use crate::entry::{
    AbsorbedEntry, AssignedEntry, ClaimEntry, EndedEntry, Entry, GroupEntry, Key, LeasedEntry,
    NameEntry, Reason, SpecEntry,
};
use crate::lease::{LeaseKey, ballot_of_name};
use crate::membership::MemberEntry;
use crate::message::Seat;
use crate::node::Node;
use crate::supervisor::ChildKey;
use crate::{Blob, FencingToken, Loss, Output, ProcessId, Replica, ViewChange};

impl Node {
    /// Takes in a change of the journal of `replica`.
    pub(super) fn handle_change(&mut self, replica: &Replica, change: &Change) {
        let Some(key) = Key::decode(&change.key) else { return };
        let (before, after) = (change.before.as_ref(), change.after.as_ref());
        let reason = Reason::of(change.why);
        let loss = reason.loss();
        if self.retired.contains(replica) {
            if !key.is_of_cluster() {
                return;
            }
            let keys = core::iter::once(change.key.clone());
            self.adoption.handle_gone(self.now, replica, true, keys);
        }
        match key {
            Key::Member => match after.map(|bytes| MemberEntry::decode(bytes)) {
                Some(Some(entry)) => self.membership.handle_member(self.now, replica, entry),
                Some(None) => self.membership.handle_unread_member(self.now, replica),
                None => (),
            },
            Key::Name(scope, name) => {
                if self.visible.contains(replica) {
                    let before = before.and_then(|bytes| NameEntry::decode(bytes));
                    let after = after.and_then(|bytes| NameEntry::decode(bytes));
                    let (seat, claims) =
                        (Seat::Name(scope, name), (before.as_ref(), after.as_ref()));
                    self.handle_name_claim(replica, &seat, claims, loss);
                }
            }
            Key::Leased(scope, name) => {
                let key = LeaseKey::Name(scope, name.clone());
                self.handle_lease_claim(replica, key, change);
                if self.visible.contains(replica) {
                    let before = before.and_then(|bytes| LeasedEntry::decode(bytes));
                    let after = after.and_then(|bytes| LeasedEntry::decode(bytes));
                    let (seat, claims) =
                        (Seat::Name(scope, name), (before.as_ref(), after.as_ref()));
                    self.handle_leased_claim(replica, &seat, claims, loss);
                }
            }
            Key::Claim(scope, child) => {
                let before = before.and_then(|bytes| ClaimEntry::decode(bytes));
                let after = after.and_then(|bytes| ClaimEntry::decode(bytes));
                let key = (scope, child);
                self.handle_lease_claim(replica, LeaseKey::Child(scope, child), change);
                let is_visible = self.visible.contains(replica);
                if is_visible {
                    self.handle_child_claim(replica, key, (before.as_ref(), after.as_ref()), loss);
                }
                self.with_supervisor(|supervisor, around| {
                    supervisor.handle_claim(around, replica, is_visible, key, after, Some(reason));
                });
                self.check_child_requests(key);
            }
            Key::Spec(scope, child) => {
                let entry = after.and_then(|bytes| SpecEntry::decode(bytes));
                self.with_supervisor(|supervisor, around| {
                    supervisor.handle_spec(around, replica, (scope, child), entry);
                });
                self.check_child_requests((scope, child));
            }
            Key::Ended(scope, child) => {
                let entry = after.and_then(|bytes| EndedEntry::decode(bytes));
                self.with_supervisor(|supervisor, around| {
                    supervisor.handle_ended(around, replica, (scope, child), entry);
                });
                self.check_child_requests((scope, child));
            }
            Key::Absorbed(loser, number) => {
                let is_ours = self.me.as_ref().is_some_and(|me| me.key() == loser);
                let entry = after.and_then(|bytes| AbsorbedEntry::decode(bytes));
                if let (true, true, Some(entry)) = (is_ours, self.visible.contains(replica), entry)
                {
                    self.conflicts.handle_absorbed(replica, number, entry);
                }
            }
            Key::Group(scope, group, number) => {
                if self.visible.contains(replica) {
                    let entry = after.and_then(|bytes| GroupEntry::decode(bytes));
                    self.handle_membership(replica, (scope, group), number, entry);
                }
            }
            Key::Assigned(scope, child) => {
                let entry = after.and_then(|bytes| AssignedEntry::decode(bytes));
                let is_visible = self.visible.contains(replica);
                self.with_supervisor(|supervisor, around| {
                    let key = (scope, child);
                    supervisor.handle_assigned(around, replica, is_visible, key, entry);
                });
            }
            Key::Cell(cell, dot) => {
                let write = after.and_then(|bytes| Write::decode(bytes));
                if self.me.as_ref() != Some(replica) {
                    self.clock.handle_stamp(dot.stamp);
                }
                self.cells.handle_write(self.me.as_ref(), replica, &cell, dot, write);
            }
        }
    }

    /// Takes in what arrived before this node had a life: only now can it act on it.
    pub(super) fn take_in_again(&mut self) {
        let me = self.me.clone();
        let held = self.replication.replicas().filter(|replica| me.as_ref() != Some(*replica));
        for replica in &held.cloned().collect::<Vec<Replica>>() {
            for (key, value) in self.entries_of(replica) {
                self.handle_change(replica, &shown(key, value));
            }
        }
    }

    /// Shows or hides what `replica` claims. Costs its entries of the node, not all entries.
    pub(super) fn set_visible(&mut self, replica: &Replica, is_visible: bool) {
        if !is_visible {
            // What is hidden goes by the entries that there are: what changed of them comes first.
            while let Some(output) = self.replication.poll_output() {
                self.carry_out_replication(output);
            }
        }
        let changes = if is_visible {
            self.visible.insert(replica.clone())
        } else {
            self.visible.remove(replica)
        };
        if !changes {
            return;
        }
        if !is_visible {
            self.tell_arrival(|arrival| arrival.handle_down(replica));
        }
        let hidden = Loss::NodeLost;
        for (key, value) in self.entries_of_node(replica) {
            match key {
                Key::Name(scope, name) => {
                    let entry = NameEntry::decode(&value);
                    let claims = shown_or_hidden(entry.as_ref(), is_visible);
                    self.handle_name_claim(replica, &Seat::Name(scope, name), claims, hidden);
                }
                Key::Leased(scope, name) => {
                    let entry = LeasedEntry::decode(&value);
                    let claims = shown_or_hidden(entry.as_ref(), is_visible);
                    self.handle_leased_claim(replica, &Seat::Name(scope, name), claims, hidden);
                }
                Key::Claim(scope, child) => {
                    let key = (scope, child);
                    let entry = ClaimEntry::decode(&value);
                    let claims = shown_or_hidden(entry.as_ref(), is_visible);
                    self.handle_child_claim(replica, key, claims, hidden);
                    self.with_supervisor(|supervisor, around| {
                        supervisor.handle_visibility(around, replica, key, is_visible);
                    });
                    self.check_child_requests(key);
                }
                Key::Assigned(..) => self.handle_change(replica, &shown(key.encode(), value)),
                Key::Absorbed(..) if is_visible => {
                    self.handle_change(replica, &shown(key.encode(), value));
                }
                Key::Group(scope, group, number) => {
                    let entry = GroupEntry::decode(&value).filter(|_| is_visible);
                    self.handle_membership(replica, (scope, group), number, entry);
                }
                Key::Absorbed(..)
                | Key::Member
                | Key::Spec(..)
                | Key::Ended(..)
                | Key::Cell(..) => (),
            }
        }
    }

    /// Takes in that `replica` is over for good: its claims are gone, its other entries stay until
    /// they are adopted.
    pub(super) fn retire(&mut self, replica: &Replica) {
        self.set_visible(replica, false);
        self.calls_seen.forget(replica);
        self.forwards_seen.forget(replica);
        if !self.retired.insert(replica.clone()) {
            return;
        }
        if let Some(voter) = &mut self.voter {
            voter.handle_over(self.now, replica);
        }
        let mut estate = Vec::new();
        for (bytes, _) in self.entries_of(replica) {
            match Key::decode(&bytes) {
                Some(Key::Claim(scope, child)) => {
                    self.with_supervisor(|supervisor, around| {
                        let key = (scope, child);
                        supervisor.handle_claim(around, replica, false, key, None, None);
                    });
                }
                Some(Key::Assigned(scope, child)) => {
                    self.with_supervisor(|supervisor, around| {
                        supervisor.handle_assigned(around, replica, false, (scope, child), None);
                    });
                }
                Some(Key::Spec(..) | Key::Ended(..) | Key::Cell(..)) => estate.push(bytes),
                Some(
                    Key::Member
                    | Key::Name(..)
                    | Key::Leased(..)
                    | Key::Absorbed(..)
                    | Key::Group(..),
                )
                | None => (),
            }
        }
        self.adoption.handle_gone(self.now, replica, true, estate.into_iter());
        self.check_journal_requests(replica, Version::MAX);
        self.let_go_of_bare(replica);
    }

    /// Lets go of the journal of `replica` if a later life took its place and nothing in it could
    /// be adopted, as far as anybody is known to hold it.
    ///
    /// What a node that left says last of itself is for all to hear, so a life that none followed
    /// stays until it is adopted.
    pub(super) fn let_go_of_bare(&mut self, replica: &Replica) {
        let is_superseded = || {
            let highest = self.membership.highest(replica.node());
            highest.is_some_and(|highest| replica.incarnation() < highest.incarnation())
        };
        if self.retired.contains(replica) && is_superseded() && self.replication.is_whole(replica) {
            self.adoption.let_go_of_bare(replica);
        }
    }

    pub(super) fn entries_of(&self, replica: &Replica) -> Vec<(Blob, Blob)> {
        let entries = self.replication.entries(replica);
        entries.map(|(key, _, value)| (key.clone(), value.clone())).collect()
    }

    /// Returns the entries of `replica` that go with its node.
    fn entries_of_node(&self, replica: &Replica) -> Vec<(Key, Blob)> {
        let entries = self.replication.entries(replica);
        // Whoever accepted most children wrote most of their specifications, too.
        let of_node = entries.filter(|(key, ..)| !Key::is_of_cluster_in(key));
        of_node.filter_map(|(key, _, value)| Some((Key::decode(key)?, value.clone()))).collect()
    }

    fn handle_name_claim(
        &mut self,
        replica: &Replica,
        seat: &Seat,
        (before, after): (Option<&NameEntry>, Option<&NameEntry>),
        loss: Loss,
    ) {
        let process = before
            .map(|entry| ProcessId { replica: replica.clone(), number: entry.standing.number });
        let claimant = after.map(|entry| named(replica, entry));
        self.seat(replica, seat, (process.as_ref(), claimant), loss);
        if let Seat::Name(scope, name) = seat {
            self.supervisor.handle_name(*scope, name, None);
        }
    }

    fn handle_leased_claim(
        &mut self,
        replica: &Replica,
        seat: &Seat,
        (before, after): (Option<&LeasedEntry>, Option<&LeasedEntry>),
        loss: Loss,
    ) {
        let process = before
            .map(|entry| ProcessId { replica: replica.clone(), number: entry.standing.number });
        let claimant = after.map(|entry| leased(replica, entry));
        self.seat(replica, seat, (process.as_ref(), claimant), loss);
        if let (Seat::Name(scope, name), Some(true)) = (seat, after.map(|entry| entry.granted)) {
            self.handle_name_held(replica, &(*scope, name.clone()));
        }
    }

    fn handle_child_claim(
        &mut self,
        replica: &Replica,
        key: ChildKey,
        (before, after): (Option<&ClaimEntry>, Option<&ClaimEntry>),
        loss: Loss,
    ) {
        let process = |entry: &ClaimEntry| ProcessId {
            replica: replica.clone(),
            number: entry.standing.number,
        };
        let was = before.map(process);
        let on_child = after.map(|entry| run(replica, key, entry, Blob::default()));
        self.seat(replica, &Seat::Child(key.0, key.1), (was.as_ref(), on_child), loss);
        let name = after.or(before).and_then(|entry| entry.name.clone());
        if let Some((scope, name)) = name {
            let on_name = after.map(|entry| run(replica, key, entry, entry.value.clone()));
            let seat = Seat::Name(scope, name.clone());
            self.seat(replica, &seat, (was.as_ref(), on_name), loss);
            self.supervisor.handle_name(scope, &name, Some(key));
        }
    }

    /// Puts a claim on the board, and tells whom that concerns; `loss` is what a process that
    /// claims no longer has lost by.
    fn seat(
        &mut self,
        replica: &Replica,
        seat: &Seat,
        (before, after): (Option<&ProcessId>, Option<Claimant>),
        loss: Loss,
    ) {
        if let Some(claimant) = &after
            && self.me.as_ref() != Some(replica)
        {
            self.clock.handle_stamp(claimant.rank.stamp);
        }
        let shift = self.board.replace(seat, before, after);
        if let (Seat::Name(scope, name), Some(shift)) = (seat, shift) {
            let (scope, name, holder) = (*scope, name.clone(), shift.holder);
            let loss = shift.loser.map(|loser| match loser {
                Loser::Claims => Loss::Conflict,
                Loser::IsGone => loss,
            });
            self.outputs.push_back(Output::View(ViewChange::Name { scope, name, holder, loss }));
        }
        self.with_conflicts(|conflicts, own| conflicts.handle_seat(own, seat));
    }
}

/// Returns the process of `replica` that a name was given to.
pub(super) fn named(replica: &Replica, entry: &NameEntry) -> Claimant {
    let (rank, value) = (entry.standing.rank(replica), entry.value.clone());
    Claimant { rank, child: None, running: true, has_run: true, value, token: None }
}

/// Returns the process of `replica` that holds a name under a lease, or asks for it.
pub(super) fn leased(replica: &Replica, entry: &LeasedEntry) -> Claimant {
    let (rank, value) = (entry.standing.rank(replica), entry.value.clone());
    let token = Some(FencingToken::from_u64(ballot_of_name(entry)));
    let (running, has_run) = (entry.granted, entry.granted);
    Claimant { rank, child: None, running, has_run, value, token }
}

/// Returns the process of `replica` that runs a child, or starts or waits for its next start.
pub(super) fn run(replica: &Replica, child: ChildKey, entry: &ClaimEntry, value: Blob) -> Claimant {
    Claimant {
        rank: entry.standing.rank(replica),
        child: Some(child),
        running: entry.running,
        has_run: entry.has_run(),
        value,
        token: None,
    }
}

/// Returns the change by which an entry is seen that was there all the time.
const fn shown(key: Blob, value: Blob) -> Change {
    Change { version: 0, key, before: None, after: Some(value), why: 0 }
}

/// Returns an entry as it was and as it is, when its journal is shown or hidden.
fn shown_or_hidden<T>(entry: Option<&T>, is_visible: bool) -> (Option<&T>, Option<&T>) {
    if is_visible { (None, entry) } else { (entry, None) }
}
