//! How a child is started again because somebody asks for it.

use core::time::Duration;

use crate::crdt::Version;
use crate::entry::Key;
use crate::message::{Forward, Message, Operation, Refusal};
use crate::node::Node;
use crate::requests::Wait;
use crate::supervisor::ChildKey;
use crate::{ProcessId, Replica, Reply, RestartChildError};

impl Node {
    pub(super) fn restart(&mut self, ticket: u64, timeout: Duration, key: ChildKey) {
        match self.tell_to_restart(ticket, key) {
            Ok((at, after)) => {
                self.wait(ticket, timeout, Wait::Restarted { key, at, after });
                self.check_child_requests(key);
            }
            Err(error) => self.reply(ticket, Reply::Restart(Err(error))),
        }
    }

    /// Tells whoever runs `key` to start it again; returns who that is, if anybody does, and where
    /// its journal stood when it was told, if it was already.
    fn tell_to_restart(
        &mut self,
        ticket: u64,
        key: ChildKey,
    ) -> Result<(Option<Replica>, Option<Version>), RestartChildError> {
        let (scope, child) = key;
        let known = self.supervisor.child(&key);
        let known = known.filter(|known| known.spec.is_some() && known.end.is_none());
        let known = known.ok_or(RestartChildError::Unknown { child })?;
        let Some(replica) = known.runner(&self.config.rule).cloned() else {
            let is_in_quarantine = known.is_in_quarantine(child, &self.targets);
            let error = RestartChildError::Quarantined { child };
            return if is_in_quarantine { Err(error) } else { Ok((None, None)) };
        };
        if self.me.as_ref() == Some(&replica) {
            self.with_supervisor(|supervisor, _| supervisor.restart_child(key));
            self.carry_out_effects();
            return Ok((Some(replica), Some(self.replication.head())));
        }
        if !self.membership.is_open(replica.node()) {
            return Err(RestartChildError::Unreachable { child });
        }
        let operation = Operation::RestartChild { scope, child };
        let message = Message::Forward(Forward { id: ticket, operation });
        self.send(&replica.node().clone(), message);
        Ok((Some(replica), None))
    }

    /// Takes in what `from`, which was to start `key` again, says of it. If it refuses, it does not
    /// run the child any more: somebody else will.
    pub(super) fn handle_told_to_restart(
        &mut self,
        from: &Replica,
        ticket: u64,
        key: ChildKey,
        result: Result<Version, Refusal>,
    ) {
        let (at, after) = (Some(from.clone()), result.ok());
        self.requests.wait_for(ticket, Wait::Restarted { key, at, after });
        self.check_child_requests(key);
    }

    /// Returns the answer to whoever asked that `key` be started again, once it runs elsewhere than
    /// on `at`, or by a claim that came there `after` it was told.
    pub(super) fn restart_reply(
        &self,
        key: ChildKey,
        at: Option<&Replica>,
        after: Option<Version>,
    ) -> Option<Result<ProcessId, RestartChildError>> {
        let unknown = Some(Err(RestartChildError::Unknown { child: key.1 }));
        let Some(child) = self.supervisor.child(&key) else { return unknown };
        if child.end.is_some() {
            return unknown;
        }
        let process = child.process(&self.config.rule)?;
        let claimed = || {
            let claim = Key::Claim(key.0, key.1).encode();
            self.replication.journal(&process.replica)?.version(&claim)
        };
        let is_elsewhere = at != Some(&process.replica);
        let is_new = || after.is_some_and(|after| claimed().is_some_and(|at| after < at));
        (is_elsewhere || is_new()).then_some(Ok(process))
    }
}
