//! What readers are told of the members, and what follows from who is there.

use alloc::vec::Vec;

use crate::node::Node;
use crate::targets::{Abilities, Outlook, Said};
use crate::{MemberView, NodeId, Output, Replica, ViewChange};

impl Node {
    /// Tells readers and machines what changed among the members.
    pub(super) fn handle_members(&mut self) {
        self.members_changed = false;
        if self.are_enough() {
            self.barrier = None;
        }
        if self.update_targets() {
            self.supervisor.handle_placement(self.now);
            self.with_supervisor(|supervisor, around| supervisor.contend_again(around));
        }
        self.judge_quorums();
        let others: Vec<Replica> = self
            .membership
            .not_forgotten()
            .filter(|replica| {
                Some(*replica) != self.me.as_ref() && !self.retired.contains(*replica)
            })
            .cloned()
            .collect();
        self.replication.set_members(&others);
        let up = others.iter().filter(|replica| self.membership.is_visible(replica));
        let mut live: Vec<NodeId> =
            up.chain(&self.me).map(|replica| replica.node().clone()).collect();
        live.sort_unstable();
        live.dedup();
        self.replication.set_live(live);
        self.show_members();
        self.check_quorum();
        self.tell_majority();
        if let Some(me) = self.me.clone() {
            self.check_journal_requests(&me, u64::MAX);
        }
    }

    /// Makes the live members the ones to place on; returns whether that changed anything.
    fn update_targets(&mut self) -> bool {
        let own = Said {
            kinds: self.kinds(),
            strategies: &self.strategies,
            labels: &self.config.labels,
            weight: self.config.weight,
            is_full: self.is_full,
            can_lease: self.can_lease,
        };
        let said = |replica: &Replica| {
            let is_me = self.me.as_ref() == Some(replica);
            if is_me { own } else { self.membership.said(replica.node()) }
        };
        let live = || self.membership.live().map(|replica| (replica.node(), said(replica)));
        let outlook = Outlook {
            is_informed: self.membership.is_informed(self.now) && self.are_enough(),
            may_take_over: self.membership.may_take_over(self.now),
            is_whole: self.membership.is_whole(),
            has_majority: self.has_majority(),
            reaches_majority: self.reaches_majority(),
        };
        if self.targets.are(live(), outlook) {
            return false;
        }
        let members = live().map(|(node, said)| (node.clone(), Abilities::of(said))).collect();
        self.targets.update(members, outlook)
    }

    /// Returns whether as many members are up as children wait for, or have been, or the time is
    /// over for which they wait.
    fn are_enough(&self) -> bool {
        let here = self.membership.live().filter(|member| self.membership.counts(member));
        let is_enough = || self.config.min_members <= here.count();
        self.barrier.is_none_or(|until| until <= self.now || is_enough())
    }

    fn show_members(&mut self) {
        let changed = |(node, shown): &(&NodeId, Option<&MemberView>)| {
            !self.membership.is_seen_as(node, *shown)
        };
        let known = self.membership.nodes().map(|node| (node, self.shown_members.get(node)));
        let changed: Vec<NodeId> = known.filter(changed).map(|(node, _)| node.clone()).collect();
        let mut gone: Vec<NodeId> = Vec::new();
        for node in changed {
            let Some(view) = self.membership.member(&node) else {
                gone.push(node);
                continue;
            };
            self.shown_members.insert(node.clone(), view.clone());
            let change = ViewChange::Member { node, view: Some(view) };
            self.outputs.push_back(Output::View(change));
        }
        let unknown = self.shown_members.keys().filter(|node| !self.membership.knows(node));
        gone.extend(unknown.cloned());
        gone.sort_unstable();
        for node in gone {
            self.shown_members.remove(&node);
            let change = ViewChange::Member { node, view: None };
            self.outputs.push_back(Output::View(change));
        }
        debug_assert!(
            self.membership.members().eq(self.shown_members.iter().map(|(n, v)| (n, v.clone()))),
            "readers are shown the members as they are"
        );
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
