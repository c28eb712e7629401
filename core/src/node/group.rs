//! Groups: who joins and leaves them, and messages to all of their members.

use core::time::Duration;

use crate::entry::GroupEntry;
use crate::groups::GroupKey;
use crate::limits::{PAYLOAD_BYTES_MAX, VALUE_BYTES_MAX};
use crate::message::{Operation, Publish};
use crate::node::Node;
use crate::requests::Asked;
use crate::{
    Blob, JoinGroupError, LeaveGroupError, Output, ProcessId, PublishError, Published, Replica,
    Reply, ViewChange,
};

impl Node {
    pub(super) fn join_group(
        &mut self,
        ticket: u64,
        timeout: Duration,
        (scope, group): GroupKey,
        process: ProcessId,
        metadata: Blob,
    ) {
        let refused = |error| Reply::JoinGroup(Err(error));
        if metadata.len() > VALUE_BYTES_MAX {
            let error = JoinGroupError::TooLarge { bytes: metadata.len(), max: VALUE_BYTES_MAX };
            return self.reply(ticket, refused(error));
        }
        if self.is_own(&process) {
            let joined = self.registry.join_group((scope, group), process.number, metadata);
            self.carry_out_effects();
            let refusal = JoinGroupError::NoProcess { process };
            let reply = if joined { Reply::JoinGroup(Ok(())) } else { refused(refusal) };
            return self.reply(ticket, reply);
        }
        if !self.visible.contains(&process.replica) {
            return self.reply(ticket, refused(JoinGroupError::NoProcess { process }));
        }
        let number = process.number;
        let operation = Operation::JoinGroup { scope, group, number, metadata };
        let replica = process.replica.clone();
        self.forward(ticket, timeout, &replica, operation, Asked::JoinGroup { process });
    }

    pub(super) fn leave_group(
        &mut self,
        ticket: u64,
        timeout: Duration,
        (scope, group): GroupKey,
        process: ProcessId,
    ) {
        let key = (scope, group);
        if !self.groups.contains(&key, &process.replica, process.number) {
            let error = LeaveGroupError::NotMember { group: key.1, process };
            return self.reply(ticket, Reply::LeaveGroup(Err(error)));
        }
        if self.is_own(&process) {
            let was_member = self.registry.leave_group(&key, process.number);
            assert!(was_member, "what shows of our own is in the registry");
            self.carry_out_effects();
            return self.reply(ticket, Reply::LeaveGroup(Ok(())));
        }
        let (group, number) = (key.1, process.number);
        let operation = Operation::LeaveGroup { scope, group: group.clone(), number };
        let replica = process.replica.clone();
        self.forward(ticket, timeout, &replica, operation, Asked::LeaveGroup { process, group });
    }

    /// Sends a message to every node with members of `group`, and to the members here. Costs the
    /// nodes, and the members that run here.
    pub(super) fn publish(
        &mut self,
        (scope, group): GroupKey,
        payload: Blob,
    ) -> Result<Published, PublishError> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            let bytes = payload.len();
            return Err(PublishError::TooLarge { bytes, max: PAYLOAD_BYTES_MAX });
        }
        let key = (scope, group);
        let mut published = Published::default();
        for (replica, members) in self.groups.replicas(&key) {
            if self.me.as_ref() == Some(replica) {
                continue;
            }
            if !self.membership.is_open(replica.node()) {
                published.unreachable += members;
                continue;
            }
            published.nodes += 1;
            published.members += members;
            let (group, payload) = (key.1.clone(), payload.clone());
            self.messaging.publish(replica.node(), Publish { scope, group, payload });
        }
        let here = self.publish_here(&key, &payload);
        published.nodes += usize::from(0 < here);
        published.members += here;
        Ok(published)
    }

    /// Takes in a message of a peer to the members of a group that run here.
    pub(super) fn handle_publish(&mut self, publish: Publish) {
        let Publish { scope, group, payload } = publish;
        self.publish_here(&(scope, group), &payload);
    }

    /// Brings a message to the members of `key` that run here; returns how many there are.
    fn publish_here(&mut self, key: &GroupKey, payload: &Blob) -> usize {
        let Some(me) = &self.me else { return 0 };
        let mut members = 0;
        for number in self.groups.numbers(key, me) {
            if self.registry.is_running(number) {
                let process = ProcessId { replica: me.clone(), number };
                self.messaging.cast(&process, true, payload.clone());
                members += 1;
            }
        }
        members
    }

    /// Takes in that a process of `replica`, whose journal shows, is a member of a group, or is
    /// none any more.
    pub(super) fn handle_membership(
        &mut self,
        replica: &Replica,
        key: GroupKey,
        number: u64,
        entry: Option<GroupEntry>,
    ) {
        match &entry {
            Some(_) => self.groups.insert(key.clone(), replica, number),
            None => self.groups.remove(&key, replica, number),
        }
        let (scope, group) = key;
        let process = ProcessId { replica: replica.clone(), number };
        let metadata = entry.map(|entry| entry.metadata);
        self.outputs.push_back(Output::View(ViewChange::Group { scope, group, process, metadata }));
    }
}
