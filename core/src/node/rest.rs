//! What this node would say if it was asked whether it is at rest.

use alloc::vec::Vec;

use crate::hash::hash64;
use crate::node::Node;
use crate::settle::Rest;
use crate::{MemberStatus, wire};

impl Node {
    /// Returns the state of rest of this node. Costs its children between two runs, and members.
    pub(super) fn rest(&self) -> Rest {
        let Some(me) = &self.me else {
            return Rest { view: 0, pending: 1, peers: Vec::new() };
        };
        let mut rows = Vec::new();
        let mut peers = Vec::new();
        let mut unsure = 0;
        for (node, member) in self.membership.members() {
            let Some(replica) = self.membership.current(node) else { continue };
            if member.status == MemberStatus::Down {
                continue;
            }
            rows.push((
                replica.key(),
                self.replication.closed_head(replica),
                self.replication.fingerprint(replica),
            ));
            if replica != me {
                peers.push((node.clone(), self.membership.is_open(node)));
            }
            let is_sure = match member.status {
                MemberStatus::Alive => self.visible.contains(replica) && member.address.is_some(),
                MemberStatus::Joining
                | MemberStatus::Suspect
                | MemberStatus::Leaving
                | MemberStatus::Down => false,
            };
            unsure += u64::from(!is_sure);
        }
        rows.sort_unstable();
        let pending = self.supervisor.pending(&self.targets, &self.board)
            + self.board.contested_count() as u64
            + self.conflicts.pending() as u64
            + self.adoption.pending() as u64
            + unsure;
        Rest { view: hash64(&wire::encode(&rows)), pending, peers }
    }
}
