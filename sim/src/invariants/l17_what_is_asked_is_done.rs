//! L17. While nothing is wrong, whatever is written is on enough members long before its deadline.

use std::collections::BTreeMap;
use std::time::Duration;

use ordu_core::{
    CatchUpError, Command, Input, JoinGroupError, LeaveGroupError, Output, RegisterError, Reply,
    SetMembersError, Time, UnregisterError, UpdateError, WriteMetaError,
};

use crate::World;
use crate::host::Host;
use crate::invariants::{Finding, Invariant, Promise, Scene};
use crate::verdict::Class;

/// The shortest deadline that says anything.
const PATIENCE: Duration = Duration::from_secs(1);

/// Watches for requests that run out of time.
#[derive(Default)]
pub(crate) struct WhatIsAskedIsDone {
    asked: BTreeMap<(Host, u64, u64), (Time, Command)>,
    /// The first request that ran out of time.
    late: Option<String>,
}

impl Invariant for WhatIsAskedIsDone {
    fn promise(&self) -> Promise {
        Promise {
            id: "L17",
            says: "without a fault, and while nobody leaves, no write runs out of time",
            made_in: "ordu_core::Replicas",
            class: Class::Liveness,
        }
    }

    fn handle_input(&mut self, scene: &Scene<'_>, input: &Input) -> Finding {
        if let Input::Request { ticket, timeout, command } = input
            && PATIENCE <= *timeout
        {
            let ticket = (scene.host, scene.life, *ticket);
            self.asked.insert(ticket, (scene.now, command.clone()));
        }
        Ok(())
    }

    fn handle_output(&mut self, scene: &Scene<'_>, output: &Output) -> Finding {
        let Output::Reply { ticket, reply } = output else { return Ok(()) };
        let asked = self.asked.remove(&(scene.host, scene.life, *ticket));
        if let Some((at, command)) = asked.filter(|_| is_late(reply)) {
            let host = scene.host;
            self.late.get_or_insert(format!("{host} was asked at {at}, in vain: {command:?}"));
        }
        Ok(())
    }

    fn audit(&mut self, world: &World) -> Finding {
        let all_are_up = world.hosts.values().all(crate::world::HostState::is_up);
        match self.late.take().filter(|_| all_are_up && world.is_faultless()) {
            Some(late) => Err(late),
            None => Ok(()),
        }
    }
}

/// Returns whether a write, or what waits for one, ran out of time.
fn is_late(reply: &Reply) -> bool {
    match reply {
        Reply::Register(result) => matches!(result, Err(RegisterError::TimedOut { .. })),
        Reply::Unregister(result) => matches!(result, Err(UnregisterError::TimedOut)),
        Reply::Update(result) => matches!(result, Err(UpdateError::TimedOut)),
        Reply::JoinGroup(result) => matches!(result, Err(JoinGroupError::TimedOut)),
        Reply::LeaveGroup(result) => matches!(result, Err(LeaveGroupError::TimedOut)),
        Reply::WriteMeta(result) => matches!(result, Err(WriteMetaError::TimedOut { .. })),
        Reply::SetMembers(result) => matches!(result, Err(SetMembersError::TimedOut { .. })),
        Reply::CatchUp(result) => matches!(result, Err(CatchUpError::TimedOut { .. })),
        // These wait for processes, too, and for others to do their part.
        Reply::Start(_)
        | Reply::Restart(_)
        | Reply::Terminate(_)
        | Reply::Spawn(_)
        | Reply::Call(_)
        | Reply::Send(_)
        | Reply::Evict(_)
        | Reply::Leave(_)
        | Reply::Settled(_)
        | Reply::AwaitQuorum(_)
        | Reply::ChangeVoters(_)
        | Reply::Publish(_) => false,
        // These are answered at once.
        Reply::Release(_)
        | Reply::Quarantined(_)
        | Reply::PlanMoves(_)
        | Reply::Quorum(_)
        | Reply::Links(_)
        | Reply::PauseMoves(_)
        | Reply::Explain(_) => false,
    }
}
