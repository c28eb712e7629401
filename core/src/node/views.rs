//! What readers are told of the members, and what follows from who is there.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use crate::node::Node;
use crate::{MemberView, NodeId, Output, Replica, ViewChange};

impl Node {
    /// Tells readers and machines what changed among the members.
    pub(super) fn handle_members(&mut self) {
        self.members_changed = false;
        if self.update_targets() {
            self.supervisor.handle_placement();
        }
        let others: Vec<Replica> = self
            .membership
            .not_forgotten()
            .filter(|replica| {
                Some(*replica) != self.me.as_ref() && !self.retired.contains(*replica)
            })
            .cloned()
            .collect();
        self.replication.set_members(&others);
        self.show_members();
        if let Some(me) = self.me.clone() {
            self.check_journal_requests(&me, u64::MAX);
        }
    }

    /// Makes the live members the ones to place on; returns whether that changed anything.
    fn update_targets(&mut self) -> bool {
        let mut members = BTreeMap::new();
        for replica in self.membership.live() {
            let is_me = self.me.as_ref() == Some(replica);
            let kinds: BTreeSet<String> = if is_me {
                self.kinds().iter().cloned().collect()
            } else {
                let view = self.membership.member(replica.node());
                view.map(|view| view.kinds.into_iter().collect()).unwrap_or_default()
            };
            members.insert(replica.node().clone(), kinds);
        }
        let may_take_over = self.membership.may_take_over(self.now);
        let is_informed = self.membership.is_informed(self.now);
        self.targets.update(members, may_take_over, is_informed)
    }

    fn show_members(&mut self) {
        let members = self.membership.members();
        let shown: BTreeMap<NodeId, MemberView> =
            members.map(|(node, view)| (node.clone(), view)).collect();
        for (node, view) in &shown {
            if self.shown_members.get(node) != Some(view) {
                let change = ViewChange::Member { node: node.clone(), view: Some(view.clone()) };
                self.outputs.push_back(Output::View(change));
            }
        }
        for node in self.shown_members.keys().filter(|node| !shown.contains_key(*node)) {
            let change = ViewChange::Member { node: node.clone(), view: None };
            self.outputs.push_back(Output::View(change));
        }
        self.shown_members = shown;
    }

    /// Iterates over the other members that are up and have a session.
    pub(super) fn listeners(&self) -> impl Iterator<Item = &Replica> {
        let peers = self.membership.peers().filter_map(|peer| self.membership.current(peer));
        peers.filter(|replica| self.membership.is_visible(replica))
    }

    /// Gives the replication what its next digest says of silent replicas.
    pub(super) fn tell_silence(&mut self) {
        let silent: Vec<_> = self
            .membership
            .not_forgotten()
            .filter_map(|replica| {
                Some((replica.clone(), self.membership.silence(replica, self.now)?))
            })
            .collect();
        for (replica, silence) in silent {
            self.replication.set_silence(&replica, silence);
        }
    }
}
