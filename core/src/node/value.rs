//! Values beside names: replaced by the holder of the name alone.

use core::time::Duration;

use crate::limits::VALUE_BYTES_MAX;
use crate::message::{Operation, Refusal, Seat};
use crate::node::Node;
use crate::requests::Asked;
use crate::{Blob, Name, ProcessId, Reply, Scope, UpdateError, Updated};

impl Node {
    pub(super) fn update(
        &mut self,
        ticket: u64,
        timeout: Duration,
        (scope, name): (Scope, Name),
        process: ProcessId,
        expected: Blob,
        value: Blob,
    ) {
        if value.len() > VALUE_BYTES_MAX {
            let error = UpdateError::TooLarge { bytes: value.len(), max: VALUE_BYTES_MAX };
            return self.reply(ticket, Reply::Update(Err(error)));
        }
        let holder = self.board.seen(&Seat::Name(scope, name.clone()));
        if holder.is_none_or(|holder| holder.process != process) {
            let error = UpdateError::NotHolder { name, process };
            return self.reply(ticket, Reply::Update(Err(error)));
        }
        let number = process.number;
        if !self.is_own(&process) {
            let operation =
                Operation::Update { scope, name: name.clone(), number, expected, value };
            let replica = process.replica.clone();
            let asked = Asked::Update { process, name };
            return self.forward(ticket, timeout, &replica, operation, asked);
        }
        let asked = Asked::Update { process, name: name.clone() };
        let reply = match self.update_here((scope, name), number, &expected, value) {
            Ok(()) => Reply::Update(Ok(Updated::Done)),
            Err(refusal) => asked.refused(refusal),
        };
        self.carry_out_effects();
        self.reply(ticket, reply);
    }

    /// Replaces the value beside a name of the process `number` of this node, if readers see the
    /// process there, and see `expected`.
    pub(super) fn update_here(
        &mut self,
        (scope, name): (Scope, Name),
        number: u64,
        expected: &Blob,
        value: Blob,
    ) -> Result<(), Refusal> {
        let holder = self.board.seen(&Seat::Name(scope, name.clone()));
        let process = self.own_process(number);
        let holder = holder.filter(|holder| holder.process == process);
        let Some(holder) = holder.filter(|_| self.registry.is_running(number)) else {
            return Err(Refusal::NotHolder);
        };
        if holder.value != *expected {
            return Err(Refusal::Changed { value: holder.value });
        }
        let is_done = match holder.child {
            Some(_) => self.supervisor.update_value(number, value),
            None => self.registry.update((scope, name), number, value),
        };
        assert!(is_done, "who shows as the holder is one");
        Ok(())
    }
}
