//! Changes that only another node can make: asked for there, answered here.

use core::time::Duration;

use crate::limits::VALUE_BYTES_MAX;
use crate::message::{Forward, Forwarded, Message, Operation, Refusal};
use crate::node::Node;
use crate::registry::Denial;
use crate::requests::Wait;
use crate::{Occupant, RegisterError, Replica, Reply, UnregisterError};

impl Node {
    pub(super) fn forward(
        &mut self,
        ticket: u64,
        timeout: Duration,
        to: &Replica,
        operation: Operation,
        wait: Wait,
    ) {
        self.wait(ticket, timeout, wait);
        self.send(&to.node().clone(), Message::Forward(Forward { id: ticket, operation }));
    }

    /// Makes a change that another node asks for, and answers it. One that comes again is dropped:
    /// by now it may undo what was asked for since.
    pub(super) fn handle_forward(&mut self, from: &Replica, forward: Forward) {
        if !self.forwards_seen.is_new(from, forward.id) {
            return;
        }
        let result = match forward.operation {
            Operation::Register { scope, name, number, value } => {
                let here = self.me.is_some() && value.len() <= VALUE_BYTES_MAX;
                let result = if here {
                    self.register_here(scope, &name, number, value)
                } else {
                    Err(Denial::NoProcess)
                };
                result.map_err(|denial| match denial {
                    Denial::NoProcess => Refusal::NoProcess,
                    Denial::Taken(Occupant::Process(process)) => {
                        Refusal::NameTaken { node: process.replica.node().clone() }
                    }
                    Denial::Taken(Occupant::Child(_)) => {
                        Refusal::NameTaken { node: self.config.id.clone() }
                    }
                })
            }
            Operation::Unregister { scope, name, number } => {
                let had = self.registry.unregister(scope, &name, number);
                if had { Ok(()) } else { Err(Refusal::NotHolder) }
            }
        };
        self.carry_out_effects();
        let result = result.map(|()| self.replication.head());
        let message = Message::Forwarded(Forwarded { id: forward.id, result });
        self.send(&from.node().clone(), message);
    }

    /// Takes in the answer of another node to a change that we asked for.
    pub(super) fn handle_forwarded(&mut self, from: &Replica, forwarded: Forwarded) {
        let ticket = forwarded.id;
        let Some(pending) = self.requests.request(ticket) else { return };
        let next = match (pending.wait.clone(), forwarded.result) {
            (Wait::ForwardedRegister { replicas, .. }, Ok(version)) => {
                Ok(Wait::Replicated { journal: from.clone(), version, replicas })
            }
            (Wait::ForwardedUnregister { .. }, Ok(version)) => {
                Ok(Wait::Shown { journal: from.clone(), version })
            }
            (Wait::ForwardedRegister { process, name, .. }, Err(refusal)) => {
                Err(Reply::Register(Err(match refusal {
                    Refusal::NameTaken { .. } => {
                        let holder = Occupant::Process(process);
                        RegisterError::NameTaken { name, holder }
                    }
                    Refusal::NoProcess | Refusal::NotHolder => RegisterError::NoProcess { process },
                })))
            }
            (Wait::ForwardedUnregister { process, name }, Err(_)) => {
                Err(Reply::Unregister(Err(UnregisterError::NotHolder { name, process })))
            }
            _ => return,
        };
        match next {
            Ok(wait) => {
                self.requests.wait_for(ticket, wait);
                self.check_journal_requests(from, u64::MAX);
            }
            Err(reply) => self.reply(ticket, reply),
        }
    }
}
