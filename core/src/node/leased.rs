//! Names that are held under leases: asked for, granted, and lost again.

use core::time::Duration;

use crate::entry::Reason;
use crate::leased::Ask;
use crate::message::Seat;
use crate::node::Node;
use crate::registry::Denial;
use crate::requests::{Wait, Written};
use crate::{
    Blob, Event, FencingToken, Lease, Name, Occupant, Output, ProcessId, RegisterError, Replica,
    Replicas, Reply, Scope, StopReason, Time,
};

impl Node {
    /// Asks for a name for `process`, and lets `ticket` wait until it is granted.
    pub(super) fn register_leased(
        &mut self,
        ticket: u64,
        timeout: Duration,
        seat: (Scope, Name),
        process: ProcessId,
        value: Blob,
        replicas: Replicas,
    ) {
        let asked = if let Some(number) = self.leased.asker(&seat) {
            // While it backs off, nothing shows that it asks.
            let (name, holder) = (seat.1.clone(), Occupant::Process(self.own_process(number)));
            Err(RegisterError::NameTaken { name, holder })
        } else if self.is_own(&process) {
            self.ask_for_name(&seat, process.number, &value)
        } else if self.visible.contains(&process.replica) {
            Err(RegisterError::Elsewhere { process: process.clone() })
        } else {
            Err(RegisterError::NoProcess { process: process.clone() })
        };
        match asked {
            Ok(()) => {
                self.wait(ticket, timeout, Wait::Granted { seat: seat.clone(), replicas });
                self.leased.insert(seat, Ask::new(ticket, process.number, value, replicas));
            }
            Err(error) => self.reply(ticket, Reply::Register(Err(error))),
        }
    }

    /// Claims a name for the process `number`, unless somebody is seen to, or no majority of the
    /// voters can be reached.
    fn ask_for_name(
        &mut self,
        seat: &(Scope, Name),
        number: u64,
        value: &Blob,
    ) -> Result<(), RegisterError> {
        if let Some(error) = self.taken(seat) {
            return Err(error);
        }
        if !self.reaches_majority() {
            let (up, of) = self.voters_reached();
            return Err(RegisterError::NoQuorum { up, of });
        }
        let ballot = self.leased.next_ballot(seat, self.clock.stamp());
        let asked = self.registry.ask(&self.board, seat.clone(), number, value.clone(), ballot);
        asked.map_err(|denial| {
            let process = self.own_process(number);
            match denial {
                Denial::NoProcess => RegisterError::NoProcess { process },
                Denial::OfChild => RegisterError::RunsChild { process },
                Denial::Taken(holder) => RegisterError::NameTaken { name: seat.1.clone(), holder },
            }
        })
    }

    /// Returns that somebody is seen to hold a name, or to ask for it.
    fn taken(&self, seat: &(Scope, Name)) -> Option<RegisterError> {
        let (scope, name) = seat.clone();
        let best = self.board.best(&Seat::Name(scope, name.clone()))?;
        let holder = Occupant::Process(best.rank.process.clone());
        Some(RegisterError::NameTaken { name, holder })
    }

    /// Takes in that the process `number` holds a name until `until`.
    pub(super) fn handle_name_granted(&mut self, seat: &(Scope, Name), number: u64, until: Time) {
        let Some(ask) = self.leased.remove(seat) else { return };
        let Some((ballot, key, value)) = self.registry.handle_granted(seat, number) else {
            // It was told to stop meanwhile.
            self.registry.withdraw(seat, number, Reason::Ungranted);
            let error = RegisterError::NoProcess { process: self.own_process(number) };
            return self.reply(ask.ticket, Reply::Register(Err(error)));
        };
        let lease = Some(Lease { token: FencingToken::from_u64(ballot), until });
        let (scope, name) = seat.clone();
        self.outputs.push_back(Output::Hold { number, scope, name, lease });
        // Written here, as what it causes is carried out once all that was granted has been.
        let version = self.replication.put(key, value);
        let journal = self.me.clone().expect("only a node that has joined is granted anything");
        let (written, replicas, at) = (Written::Name, ask.replicas, journal.clone());
        let wait = Wait::Replicated { written, journal: at, version, replicas };
        self.requests.wait_for(ask.ticket, wait);
        self.check_journal_requests(&journal, version);
    }

    /// Takes in that nobody grants a name, which was promised for `ballot`: it is withdrawn, and
    /// asked for again later.
    pub(super) fn handle_name_ungranted(
        &mut self,
        seat: &(Scope, Name),
        number: u64,
        ballot: u64,
        is_outbid: bool,
    ) {
        self.registry.withdraw(seat, number, Reason::Ungranted);
        self.leased.back_off(self.now, seat, ballot, is_outbid, &mut self.random);
    }

    /// Asks again for names that were not granted, as soon as they have waited long enough.
    pub(super) fn ask_for_names_again(&mut self) {
        while let Some((seat, ask)) = self.leased.pop_due(self.now) {
            let (ticket, number, value) = (ask.ticket, ask.number, ask.value.clone());
            self.leased.insert(seat.clone(), ask);
            if let Err(error) = self.ask_for_name(&seat, number, &value) {
                self.leased.remove(&seat);
                self.reply(ticket, Reply::Register(Err(error)));
            }
        }
    }

    /// Takes in that a process of `replica` is seen to hold a name: whoever asks for it here is
    /// told so.
    pub(super) fn handle_name_held(&mut self, replica: &Replica, seat: &(Scope, Name)) {
        if self.me.as_ref() == Some(replica) {
            return;
        }
        let Some(ask) = self.leased.remove(seat) else { return };
        self.registry.withdraw(seat, ask.number, Reason::Ungranted);
        let holder = self.board.seen(&Seat::Name(seat.0, seat.1.clone()));
        let error = match holder {
            Some(holder) => {
                let holder = Occupant::Process(holder.process);
                RegisterError::NameTaken { name: seat.1.clone(), holder }
            }
            None => RegisterError::NotGranted { name: seat.1.clone() },
        };
        self.reply(ask.ticket, Reply::Register(Err(error)));
    }

    /// Takes in that the lease on a name has ended, which the process `number` held: it is told,
    /// and then the name is free.
    pub(super) fn handle_name_lapsed(&mut self, seat: &(Scope, Name), number: u64) {
        if self.registry.handle_name_lost(number) {
            let (reason, grace) = (StopReason::NameLapsed, self.config.conflict_grace);
            self.outputs.push_back(Output::Stop { number, reason, grace });
            self.give_up_asks_of(number);
        }
        if self.registry.withdraw(seat, number, Reason::Lapsed) {
            let (scope, name) = seat.clone();
            self.outputs.push_back(Output::Event(Event::NameLapsed { scope, name }));
        }
    }

    /// Refuses what the process `number` asked for: it is gone, or will be.
    pub(super) fn give_up_asks_of(&mut self, number: u64) {
        for seat in self.leased.of(number) {
            let Some(ask) = self.leased.remove(&seat) else { continue };
            self.registry.withdraw(&seat, number, Reason::Ungranted);
            let error = RegisterError::NoProcess { process: self.own_process(number) };
            self.reply(ask.ticket, Reply::Register(Err(error)));
        }
    }

    /// Withdraws what was asked for until the deadline of its request has passed, and returns why
    /// it was not granted.
    pub(super) fn give_up_name(&mut self, seat: &(Scope, Name)) -> RegisterError {
        let ask = self.leased.remove(seat);
        let withdrawn =
            ask.is_some_and(|ask| self.registry.withdraw(seat, ask.number, Reason::Ungranted));
        if withdrawn {
            self.carry_out_effects();
        }
        if let Some(taken) = self.taken(seat) {
            return taken;
        }
        if self.reaches_majority() {
            return RegisterError::NotGranted { name: seat.1.clone() };
        }
        let (up, of) = self.voters_reached();
        RegisterError::NoQuorum { up, of }
    }
}

#[cfg(test)]
mod tests;
