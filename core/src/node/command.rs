//! What users ask for.

use core::time::Duration;

use crate::entry::Key;
use crate::limits::{PAYLOAD_BYTES_MAX, VALUE_BYTES_MAX};
use crate::membership::Presence;
use crate::message::{Operation, Seat};
use crate::node::Node;
use crate::registry::Denial;
use crate::requests::{Asked, Wait, Written};
use crate::supervisor::ChildKey;
use crate::{
    Blob, CallError, CatchUpError, ChangeVotersError, Command, EvictError, ExplainError,
    JoinGroupError, LeaveGroupError, Name, Occupant, Outcome, PauseMovesError, ProcessId,
    PublishError, RegisterError, ReleaseError, Replicas, Reply, RestartChildError, Scope,
    SetMembersError, SettleError, StartChildError, Target, TerminateError, UnregisterError,
    UpdateError, WriteMetaError,
};

impl Node {
    pub(super) fn handle_request(&mut self, ticket: u64, timeout: Duration, command: Command) {
        if let Some(refusal) = self.refusal(&command) {
            return self.reply(ticket, refusal);
        }
        match command {
            Command::Start { scope, spec } => self.start(ticket, timeout, scope, spec),
            Command::Ensure { scope, spec } => self.ensure(ticket, timeout, scope, spec),
            Command::StartOnce { scope, key, spec } => {
                self.start_once(ticket, timeout, scope, &key, spec);
            }
            Command::Restart { scope, child } => self.restart(ticket, timeout, (scope, child)),
            Command::Release { scope, child } => self.release(ticket, (scope, child)),
            Command::Quarantined { scope } => self.tell_quarantined(ticket, scope),
            Command::Quorum { domain } => self.tell_quorum(ticket, domain),
            Command::ChangeVoters { change } => self.change_voters(ticket, timeout, change),
            Command::Links => {
                let links = self.membership.links();
                self.reply(ticket, Reply::Links(links));
            }
            Command::Explain { scope, child } => self.explain(ticket, (scope, child)),
            Command::PlanMoves { scope, without } => {
                let plan = self.moves(scope, without.as_ref());
                self.reply(ticket, Reply::PlanMoves(plan));
            }
            Command::PauseMoves { scope, is_paused } => self.pause_moves(ticket, scope, is_paused),
            Command::Terminate { scope, child } => self.terminate(ticket, timeout, (scope, child)),
            Command::Spawn { precedence } => {
                self.numbers += 1;
                let stamp = self.clock.stamp();
                self.registry.handle_spawned(self.numbers, stamp, precedence);
                let process = self.own_process(self.numbers);
                self.reply(ticket, Reply::Spawn(process));
            }
            Command::Register { scope, name, process, value, replicas } => {
                self.register(ticket, timeout, (scope, name), process, value, replicas);
            }
            Command::Unregister { scope, name, process } => {
                self.unregister(ticket, timeout, (scope, name), process);
            }
            Command::Update { scope, name, process, expected, value } => {
                self.update(ticket, timeout, (scope, name), process, expected, value);
            }
            Command::JoinGroup { scope, group, process, metadata } => {
                self.join_group(ticket, timeout, (scope, group), process, metadata);
            }
            Command::LeaveGroup { scope, group, process } => {
                self.leave_group(ticket, timeout, (scope, group), process);
            }
            Command::Publish { scope, group, payload } => {
                let result = self.publish((scope, group), payload);
                self.reply(ticket, Reply::Publish(result));
            }
            Command::WriteMeta { scope, key, value, replicas } => {
                self.write_meta(ticket, timeout, (scope, key), value, replicas);
            }
            Command::Call { target, payload } => self.call(ticket, timeout, &target, payload),
            Command::Send { target, payload } => {
                let result = self.reachable(&target, &payload).map(|process| {
                    let is_here = self.is_own(&process);
                    self.messaging.cast(&process, is_here, payload);
                });
                self.reply(ticket, Reply::Send(result));
            }
            Command::CatchUp { token } => self.catch_up(ticket, timeout, token),
            Command::Leave => self.leave(ticket, timeout),
            Command::SetMembers { members, replicas } => {
                self.set_members(ticket, timeout, members, replicas);
            }
            Command::Evict { node, at_once } => self.evict(ticket, timeout, node, at_once),
            Command::AwaitQuorum => {
                self.wait(ticket, timeout, Wait::Quorum);
                self.check_quorum();
            }
            Command::Settled => {
                self.wait(ticket, timeout, Wait::Settled);
                let rest = self.rest();
                self.settling.ask(self.now, ticket, &rest);
            }
        }
    }

    /// Returns the refusal of a command that the node cannot take now.
    fn refusal(&self, command: &Command) -> Option<Reply> {
        let is_ready = self.is_ready();
        let takes_on = is_ready && self.presence == Presence::Here;
        match command {
            Command::Start { .. } | Command::StartOnce { .. } | Command::Ensure { .. }
                if !takes_on =>
            {
                Some(Reply::Start(Err(StartChildError::NotReady)))
            }
            Command::Restart { .. } if !takes_on => {
                Some(Reply::Restart(Err(RestartChildError::NotReady)))
            }
            Command::Release { .. } if !takes_on => {
                Some(Reply::Release(Err(ReleaseError::NotReady)))
            }
            Command::PauseMoves { .. } if !takes_on => {
                Some(Reply::PauseMoves(Err(PauseMovesError::NotReady)))
            }
            Command::ChangeVoters { .. } if !takes_on => {
                Some(Reply::ChangeVoters(Err(ChangeVotersError::NotReady)))
            }
            Command::Explain { .. } if !is_ready => {
                Some(Reply::Explain(Err(ExplainError::NotReady)))
            }
            Command::Register { .. } if !takes_on => {
                Some(Reply::Register(Err(RegisterError::NotReady)))
            }
            // What it wrote now might die with it, and it no longer hears who runs what.
            Command::Terminate { .. } if !takes_on => {
                Some(Reply::Terminate(Err(TerminateError::NotReady)))
            }
            Command::Unregister { .. } if !is_ready => {
                Some(Reply::Unregister(Err(UnregisterError::NotReady)))
            }
            Command::Update { .. } if !is_ready => Some(Reply::Update(Err(UpdateError::NotReady))),
            Command::JoinGroup { .. } if !takes_on => {
                Some(Reply::JoinGroup(Err(JoinGroupError::NotReady)))
            }
            Command::LeaveGroup { .. } if !is_ready => {
                Some(Reply::LeaveGroup(Err(LeaveGroupError::NotReady)))
            }
            Command::Publish { .. } if !is_ready => {
                Some(Reply::Publish(Err(PublishError::NotReady)))
            }
            Command::WriteMeta { .. } if !takes_on => {
                Some(Reply::WriteMeta(Err(WriteMetaError::NotReady)))
            }
            Command::SetMembers { .. } if !takes_on => {
                Some(Reply::SetMembers(Err(SetMembersError::NotReady)))
            }
            Command::Evict { .. } if !takes_on => Some(Reply::Evict(Err(EvictError::NotReady))),
            Command::Call { .. } if !is_ready => Some(Reply::Call(Err(CallError::NotReady))),
            Command::Send { .. } if !is_ready => Some(Reply::Send(Err(CallError::NotReady))),
            Command::Spawn { .. } if !is_ready => Some(Reply::Call(Err(CallError::NotReady))),
            Command::CatchUp { .. } if !is_ready => {
                Some(Reply::CatchUp(Err(CatchUpError::NotReady)))
            }
            Command::Settled if !is_ready => Some(Reply::Settled(Err(SettleError::NotReady))),
            Command::Start { .. }
            | Command::StartOnce { .. }
            | Command::Ensure { .. }
            | Command::Restart { .. }
            | Command::Release { .. }
            | Command::Quarantined { .. }
            | Command::Quorum { .. }
            | Command::ChangeVoters { .. }
            | Command::Links
            | Command::PlanMoves { .. }
            | Command::PauseMoves { .. }
            | Command::Explain { .. }
            | Command::Terminate { .. }
            | Command::Spawn { .. }
            | Command::Register { .. }
            | Command::Unregister { .. }
            | Command::Update { .. }
            | Command::JoinGroup { .. }
            | Command::LeaveGroup { .. }
            | Command::Publish { .. }
            | Command::WriteMeta { .. }
            | Command::Call { .. }
            | Command::Send { .. }
            | Command::CatchUp { .. }
            | Command::SetMembers { .. }
            | Command::Evict { .. }
            | Command::Leave
            | Command::AwaitQuorum
            | Command::Settled => None,
        }
    }

    fn terminate(&mut self, ticket: u64, timeout: Duration, key: ChildKey) {
        let child = self.supervisor.child(&key);
        let Some(child) = child.filter(|child| child.end.is_none() || child.is_claimed()) else {
            let error = TerminateError::Unknown { child: key.1 };
            return self.reply(ticket, Reply::Terminate(Err(error)));
        };
        if child.end.is_none() {
            self.with_supervisor(|supervisor, around| {
                supervisor.end(around, key, Outcome::Terminated);
            });
        }
        self.carry_out_effects();
        let journal = self.me.clone().expect("only a node that has joined ends children");
        let end = Key::Ended(key.0, key.1).encode();
        let version = self.replication.journal(&journal).and_then(|own| own.version(&end));
        let entry = version.map(|version| (journal, version));
        self.wait(ticket, timeout, Wait::Terminate { key, entry });
        self.check_child_requests(key);
    }

    fn register(
        &mut self,
        ticket: u64,
        timeout: Duration,
        (scope, name): (Scope, Name),
        process: ProcessId,
        value: Blob,
        replicas: Replicas,
    ) {
        let refused = |error| Reply::Register(Err(error));
        if value.len() > VALUE_BYTES_MAX {
            let error = RegisterError::TooLarge { bytes: value.len(), max: VALUE_BYTES_MAX };
            return self.reply(ticket, refused(error));
        }
        if self.modes.leases_names(scope) {
            let seat = (scope, name);
            return self.register_leased(ticket, timeout, seat, process, value, replicas);
        }
        if self.is_own(&process) {
            if let Some(error) = self.without_quorum_for_names(scope) {
                return self.reply(ticket, refused(error));
            }
            let number = process.number;
            match self.register_here(scope, &name, number, value) {
                Ok(()) => self.await_replicas(ticket, timeout, Written::Name, replicas),
                Err(Denial::NoProcess) => {
                    self.reply(ticket, refused(RegisterError::NoProcess { process }));
                }
                Err(Denial::OfChild) => {
                    self.reply(ticket, refused(RegisterError::RunsChild { process }));
                }
                Err(Denial::Taken(holder)) => {
                    self.reply(ticket, refused(RegisterError::NameTaken { name, holder }));
                }
            }
            return;
        }
        if let Some(holder) = self.occupant(scope, &name) {
            return self.reply(ticket, refused(RegisterError::NameTaken { name, holder }));
        }
        if !self.visible.contains(&process.replica) {
            return self.reply(ticket, refused(RegisterError::NoProcess { process }));
        }
        if self.modes.bars_children(scope) {
            return self.reply(ticket, refused(RegisterError::Elsewhere { process }));
        }
        let number = process.number;
        let operation = Operation::Register { scope, name: name.clone(), number, value };
        let replica = process.replica.clone();
        let asked = Asked::Register { process, name, replicas };
        self.forward(ticket, timeout, &replica, operation, asked);
    }

    pub(super) fn register_here(
        &mut self,
        scope: Scope,
        name: &Name,
        number: u64,
        value: Blob,
    ) -> Result<(), Denial> {
        let reserved = self.supervisor.reserving(scope, name).map(Occupant::Child);
        self.registry.register(&self.board, reserved, (scope, name.clone()), number, value)
    }

    fn unregister(
        &mut self,
        ticket: u64,
        timeout: Duration,
        (scope, name): (Scope, Name),
        process: ProcessId,
    ) {
        let refused = |error| Reply::Unregister(Err(error));
        let seat = Seat::Name(scope, name.clone());
        // What is only asked for under a lease is held by nobody yet.
        let claim = self.board.claim(&seat, &process);
        let Some(claim) = claim.filter(|claim| claim.running || claim.child.is_some()) else {
            return self.reply(ticket, refused(UnregisterError::NotHolder { name, process }));
        };
        if claim.child.is_some() {
            return self.reply(ticket, refused(UnregisterError::OfChild { name }));
        }
        if self.is_own(&process) {
            if !self.registry.unregister(scope, &name, process.number) {
                return self.reply(ticket, refused(UnregisterError::NotHolder { name, process }));
            }
            self.carry_out_effects();
            return self.reply(ticket, Reply::Unregister(Ok(())));
        }
        let operation = Operation::Unregister { scope, name: name.clone(), number: process.number };
        let replica = process.replica.clone();
        let asked = Asked::Unregister { process, name };
        self.forward(ticket, timeout, &replica, operation, asked);
    }

    fn call(&mut self, ticket: u64, timeout: Duration, target: &Target, payload: Blob) {
        match self.reachable(target, &payload) {
            Ok(process) => {
                self.wait(ticket, timeout, Wait::Call);
                if self.is_own(&process) {
                    let expires = self.now + timeout;
                    self.messaging.call_here(ticket, process, payload, expires);
                } else {
                    self.messaging.call_there(ticket, process, payload, timeout);
                }
            }
            Err(error) => self.reply(ticket, Reply::Call(Err(error))),
        }
    }

    /// Returns the process behind `target`, if a message can be sent to it now.
    fn reachable(&self, target: &Target, payload: &Blob) -> Result<ProcessId, CallError> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            let bytes = payload.len();
            return Err(CallError::TooLarge { bytes, max: PAYLOAD_BYTES_MAX });
        }
        let process = match target {
            Target::Process(process) => Some(process.clone()),
            Target::Name(scope, name) => {
                let holder = self.board.seen(&Seat::Name(*scope, name.clone()));
                holder.map(|holder| holder.process)
            }
            Target::Child(scope, child) => {
                let child = self.supervisor.child(&(*scope, *child));
                child.and_then(|child| child.process(&self.config.rule))
            }
        };
        let process = process.ok_or(CallError::Nobody)?;
        if self.is_own(&process) {
            let runs = self.registry.is_running(process.number);
            return if runs { Ok(process) } else { Err(CallError::NoProcess { process }) };
        }
        if !self.membership.is_open(process.replica.node()) {
            return Err(CallError::Unreachable { node: process.replica.node().clone() });
        }
        Ok(process)
    }

    /// Returns who keeps `name` from being taken.
    pub(super) fn occupant(&self, scope: Scope, name: &Name) -> Option<Occupant> {
        let holder = self.board.best(&Seat::Name(scope, name.clone()));
        let process = holder.map(|holder| Occupant::Process(holder.rank.process.clone()));
        process.or_else(|| self.supervisor.reserving(scope, name).map(Occupant::Child))
    }

    pub(super) fn is_own(&self, process: &ProcessId) -> bool {
        self.me.as_ref() == Some(&process.replica)
    }

    pub(super) fn own_process(&self, number: u64) -> ProcessId {
        let replica = self.me.clone().expect("only a node that has joined runs processes");
        ProcessId { replica, number }
    }
}
