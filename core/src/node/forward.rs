//! Changes that only another node can make: asked for there, answered here.

use core::time::Duration;

use crate::Replica;
use crate::crdt::Version;
use crate::limits::VALUE_BYTES_MAX;
use crate::message::{Forward, Forwarded, Message, Operation, Refusal};
use crate::node::Node;
use crate::registry::Denial;
use crate::requests::{Asked, Wait};

impl Node {
    pub(super) fn forward(
        &mut self,
        ticket: u64,
        timeout: Duration,
        to: &Replica,
        operation: Operation,
        asked: Asked,
    ) {
        self.wait(ticket, timeout, Wait::Forwarded { asked });
        self.send(&to.node().clone(), Message::Forward(Forward { id: ticket, operation }));
    }

    /// Makes a change that another node asks for, and answers it. One that comes again is dropped:
    /// by now it may undo what was asked for since.
    pub(super) fn handle_forward(&mut self, from: &Replica, forward: Forward) {
        if !self.forwards_seen.is_new(from, forward.id) {
            return;
        }
        let result = if self.me.is_some() {
            self.operate(forward.operation)
        } else {
            Err(Refusal::NoProcess)
        };
        self.carry_out_effects();
        let result = result.map(|()| self.replication.head());
        let message = Message::Forwarded(Forwarded { id: forward.id, result });
        self.send(&from.node().clone(), message);
    }

    /// Makes a change to our own journal for another node.
    fn operate(&mut self, operation: Operation) -> Result<(), Refusal> {
        let done = |is_done, refusal| if is_done { Ok(()) } else { Err(refusal) };
        match operation {
            Operation::Register { value: bytes, .. }
            | Operation::Update { value: bytes, .. }
            | Operation::JoinGroup { metadata: bytes, .. }
                if VALUE_BYTES_MAX < bytes.len() =>
            {
                Err(Refusal::NoProcess)
            }
            // It is asked for on the node of the process alone.
            Operation::Register { scope, .. } if self.modes.bars_children(scope) => {
                Err(Refusal::NoProcess)
            }
            Operation::Register { scope, name, number, value } => {
                let registered = self.register_here(scope, &name, number, value);
                registered.map_err(|denial| match denial {
                    Denial::NoProcess | Denial::OfChild => Refusal::NoProcess,
                    Denial::Taken(holder) => Refusal::NameTaken { holder },
                })
            }
            Operation::Unregister { scope, name, number } => {
                done(self.registry.unregister(scope, &name, number), Refusal::NotHolder)
            }
            Operation::Update { scope, name, number, expected, value } => {
                self.update_here((scope, name), number, &expected, value)
            }
            Operation::JoinGroup { scope, group, number, metadata } => {
                let joined = self.registry.join_group((scope, group), number, metadata);
                done(joined, Refusal::NoProcess)
            }
            Operation::RestartChild { scope, child } => {
                let key = (scope, child);
                let restarts = self.with_supervisor(|supervisor, _| supervisor.restart_child(key));
                done(restarts == Some(true), Refusal::NoProcess)
            }
            Operation::LeaveGroup { scope, group, number } => {
                done(self.registry.leave_group(&(scope, group), number), Refusal::NotHolder)
            }
        }
    }

    /// Takes in the answer of another node to a change that we asked for.
    pub(super) fn handle_forwarded(&mut self, from: &Replica, forwarded: Forwarded) {
        let ticket = forwarded.id;
        let Some(pending) = self.requests.request(ticket) else { return };
        if let Wait::Restarted { key, at: Some(at), after: None } = &pending.wait
            && at == from
        {
            return self.handle_told_to_restart(from, ticket, *key, forwarded.result);
        }
        let Wait::Forwarded { asked } = pending.wait.clone() else { return };
        match forwarded.result {
            Ok(version) => {
                self.requests.wait_for(ticket, asked.spread(from.clone(), version));
                self.check_journal_requests(from, Version::MAX);
            }
            Err(refusal) => self.reply(ticket, asked.refused(refusal)),
        }
    }
}
