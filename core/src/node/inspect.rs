//! What tests and tools see of a node from outside.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::crdt::{Journal, Version};
use crate::entry::{CellKey, Entry, GroupEntry, Key};
use crate::lease::LeaseKey;
use crate::message::Seat;
use crate::node::Node;
use crate::{
    Blob, ChildId, ChildSpec, ChildView, Holder, MemberView, Name, NodeId, ProcessId, Replica,
    Scope, Stamp,
};

/// How much a node has under way: the sizes of the tables that fill and empty again.
///
/// All of them are 0 on a node of a cluster at rest, but for children that cannot run or do not
/// stay up.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tables {
    /// Requests of users that have not been answered.
    pub requests: usize,
    /// Calls of this node's users to processes of other nodes.
    pub calls_made: usize,
    /// Calls to processes of this node that have not been answered.
    pub calls_taken: usize,
    /// Processes of this node that yield to a winner.
    pub yields: usize,
    /// Notices of winners that have not shown here yet.
    pub notices: usize,
    /// Losers that processes of this node took in and whose claims have not gone.
    pub intakes: usize,
    /// Seats whose claimants cannot all stay.
    pub contested: usize,
    /// Entries that wait to be adopted.
    pub orphans: usize,
    /// Processes of children that start, stop, or wait for their next start.
    pub unrest: usize,
    /// Questions whether the cluster is at rest.
    pub settling: usize,
    /// Copies of journals that wait for their rest.
    pub staged: usize,
    /// Requests to peers for journals.
    pub asked: usize,
    /// What inner machines ask for and was not carried out: always 0 between two inputs.
    pub queued: usize,
}

impl Tables {
    /// Returns each table's name and size.
    pub fn rows(&self) -> [(&'static str, usize); 13] {
        [
            ("requests", self.requests),
            ("calls made", self.calls_made),
            ("calls taken", self.calls_taken),
            ("yields", self.yields),
            ("notices", self.notices),
            ("intakes", self.intakes),
            ("contested seats", self.contested),
            ("orphans", self.orphans),
            ("processes not at rest", self.unrest),
            ("questions whether all is at rest", self.settling),
            ("staged copies", self.staged),
            ("requests for journals", self.asked),
            ("queued effects", self.queued),
        ]
    }
}

impl Node {
    /// Returns the closed content of `replica`'s journal, as held here; the node's own, too.
    pub fn journal(&self, replica: &Replica) -> Option<&Journal> {
        self.replication.journal(replica)
    }

    /// Iterates over the journals held here, the node's own among them, with their only writers.
    pub fn journals(&self) -> impl Iterator<Item = (&Replica, &Journal)> {
        let replicas = self.replication.replicas();
        replicas.filter_map(|replica| Some((replica, self.replication.journal(replica)?)))
    }

    /// Iterates over the children that this life of the node has withdrawn its claims on after
    /// `version` of its journal, and claims no more: leases on them are released by that.
    pub fn withdrawn_after(&self, version: Version) -> impl Iterator<Item = (Scope, ChildId)> {
        let own = self.me.as_ref().and_then(|me| self.replication.journal(me));
        let written = own.into_iter().flat_map(move |own| own.entries_after(version));
        written.filter_map(|(_, key, value)| {
            match LeaseKey::of(Key::decode(key).filter(|_| value.is_none())?)? {
                LeaseKey::Child(scope, child) => Some((scope, child)),
                LeaseKey::Name(..) => None,
            }
        })
    }

    /// Returns whether names and children of `replica` show here.
    pub fn is_visible(&self, replica: &Replica) -> bool {
        self.visible.contains(replica)
    }

    /// Iterates over the lives whose names and children show here.
    pub fn visible(&self) -> impl Iterator<Item = &Replica> {
        self.visible.iter()
    }

    /// Iterates over the seats that several processes claim that cannot all stay, each with those
    /// processes, the best first.
    pub fn contested(&self) -> impl Iterator<Item = (&Seat, Vec<&ProcessId>)> {
        self.board.contested().map(|seat| {
            let claimants = self.board.claimants(seat).iter();
            (seat, claimants.map(|claimant| &claimant.rank.process).collect())
        })
    }

    /// Returns the highest stamp that was given out or taken in here.
    pub fn last_stamp(&self) -> Stamp {
        self.clock.last()
    }

    /// Iterates over the names and their holders, as readers should see them now.
    ///
    /// Costs all names: for tests and tools. Readers follow [`ViewChange`](crate::ViewChange)s.
    pub fn names(&self) -> impl Iterator<Item = (Scope, &Name, Holder)> {
        let names = self.board.seats().filter_map(|seat| match seat {
            Seat::Name(scope, name) => Some((seat, *scope, name)),
            Seat::Child(..) => None,
        });
        names.filter_map(|(seat, scope, name)| Some((scope, name, self.board.seen(seat)?)))
    }

    /// Iterates over the members of all groups with their metadata, as readers should see them now.
    ///
    /// Costs all entries in sight: for tests and tools.
    pub fn groups(&self) -> impl Iterator<Item = ((Scope, Name, ProcessId), Blob)> {
        let mut members = BTreeMap::new();
        for replica in &self.visible {
            for (key, _, value) in self.replication.entries(replica) {
                if let Some(Key::Group(scope, group, number)) = Key::decode(key)
                    && let Some(entry) = GroupEntry::decode(value)
                {
                    let process = ProcessId { replica: replica.clone(), number };
                    members.insert((scope, group, process), entry.metadata);
                }
            }
        }
        members.into_iter()
    }

    /// Iterates over the metadata of all registries, as readers should see them now.
    pub fn metadata(&self) -> impl Iterator<Item = ((Scope, Name), Blob)> {
        self.cells.values().filter_map(|(key, value)| match key {
            CellKey::Meta(scope, key) => Some(((*scope, key.clone()), value.clone())),
            CellKey::Members
            | CellKey::Evicted(_)
            | CellKey::GivenUp(..)
            | CellKey::MovesPaused(_) => None,
        })
    }

    /// Returns how many writes of metadata stand in all journals held here, deletes and superseded
    /// ones among them. Costs the metadata.
    pub fn metadata_writes(&self) -> usize {
        self.cells.writes()
    }

    /// Iterates over the children that have not ended, as readers should see them now.
    pub fn children(&self) -> impl Iterator<Item = (Scope, ChildId, ChildView)> {
        self.supervisor.views()
    }

    /// Returns whether a child is known to have ended.
    pub fn has_ended(&self, scope: Scope, child: ChildId) -> bool {
        self.supervisor.child(&(scope, child)).is_some_and(|known| known.end.is_some())
    }

    /// Returns the specification of a child that has not ended.
    pub fn spec(&self, scope: Scope, child: ChildId) -> Option<&ChildSpec> {
        let known = self.supervisor.child(&(scope, child)).filter(|known| known.end.is_none())?;
        known.spec.as_ref().map(|entry| &entry.spec)
    }

    /// Iterates over the members, as readers should see them now.
    pub fn members(&self) -> impl Iterator<Item = (&NodeId, MemberView)> {
        self.membership.members()
    }

    /// Iterates over what processes of this node claim: a name, and which process.
    ///
    /// A process that runs a child claims the name that the child was started with; every process
    /// claims the names that it was given since.
    pub fn own_names(&self) -> impl Iterator<Item = (Scope, &Name, &ProcessId)> {
        let names = self.board.seats().filter_map(|seat| match seat {
            Seat::Name(scope, name) => Some((seat, *scope, name)),
            Seat::Child(..) => None,
        });
        names.flat_map(|(seat, scope, name)| {
            let claimants = self.board.claimants(seat).iter();
            let processes = claimants.map(|claimant| &claimant.rank.process);
            let own = processes.filter(|process| self.me.as_ref() == Some(&process.replica));
            own.map(move |process| (scope, name, process))
        })
    }

    /// Returns how much is under way here. Costs the journals held, not their entries.
    pub fn tables(&self) -> Tables {
        let (calls_made, calls_taken) = self.messaging.pending();
        let (staged, asked) = self.replication.pending();
        Tables {
            requests: self.requests.tickets().len(),
            calls_made,
            calls_taken,
            yields: self.conflicts.pending(),
            notices: self.conflicts.notices(),
            intakes: self.conflicts.intakes(),
            contested: self.board.contested_count(),
            orphans: self.adoption.pending(),
            unrest: self.supervisor.unrest(),
            settling: self.settling.pending(),
            staged,
            asked,
            queued: self.outputs.len()
                + self.replies.len()
                + self.replication.queued()
                + self.supervisor.queued()
                + self.registry.queued()
                + self.conflicts.queued()
                + self.adoption.queued()
                + self.cells.queued()
                + self.messaging.queued()
                + self.settling.queued(),
        }
    }
}
