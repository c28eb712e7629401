//! What readers are told of the members, and what follows from who is there.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::entry::Presence;
use crate::node::Node;
use crate::{MemberStatus, MemberView, NodeId, Output, Replica, ViewChange};

impl Node {
    /// Tells readers and machines what changed among the members.
    pub(super) fn handle_members(&mut self) {
        self.members_changed = false;
        if self.update_targets() {
            self.with_supervisor(|supervisor, around| supervisor.handle_placement(around));
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
    pub(super) fn update_targets(&mut self) -> bool {
        let mut members = BTreeMap::new();
        for member in self.membership.members() {
            let is_me = self.me.as_ref() == Some(member.replica);
            let is_target = match member.status {
                MemberStatus::Alive | MemberStatus::Suspect => {
                    is_me && self.presence == Presence::Here
                        || self.visible.contains(member.replica) && member.address.is_some()
                }
                MemberStatus::Leaving | MemberStatus::Down => false,
            };
            if is_target {
                let kinds = if is_me { &self.config.kinds } else { member.kinds };
                let kinds: BTreeSet<_> = kinds.iter().cloned().collect();
                members.insert(member.replica.node().clone(), kinds);
            }
        }
        let may_take_over = self.membership.may_take_over();
        self.targets.update(members, may_take_over)
    }

    fn show_members(&mut self) {
        let mut shown: BTreeMap<NodeId, MemberView> = BTreeMap::new();
        for member in self.membership.members() {
            let view = MemberView {
                incarnation: member.replica.incarnation(),
                address: member.address.cloned(),
                status: member.status,
                kinds: member.kinds.to_vec(),
            };
            shown.insert(member.replica.node().clone(), view);
        }
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

    /// Gives the membership what its next beat says of the journals.
    pub(super) fn prepare_beat(&mut self) {
        let heads: Vec<_> = self
            .replication
            .replicas()
            .map(|replica| (replica.clone(), self.replication.closed_head(replica)))
            .collect();
        for (replica, head) in heads {
            self.membership.set_head(&replica, head);
        }
    }

    /// Gives the replication what its next digest says of silent replicas.
    pub(super) fn prepare_digest(&mut self) {
        let silent: Vec<_> = self
            .membership
            .not_forgotten()
            .map(|replica| (replica.clone(), self.membership.silence(replica, self.now)))
            .collect();
        for (replica, silence) in silent {
            self.replication.set_silence(&replica, silence);
        }
    }
}
