//! Children that stop here and start nowhere near while this node sees too few members.

use alloc::vec::Vec;

use crate::minority::Tally;
use crate::supervisor::Supervisor;
use crate::supervisor::instance::{Phase, Then};
use crate::{Scope, StopReason};

impl Supervisor {
    /// Takes in whether this node has a quorum for the children of `scope`: if it has none, those
    /// stop that run here; and none starts unless it is sure to have one.
    ///
    /// What gave way to a winner goes on doing so: it does not run.
    pub(crate) fn handle_quorum(&mut self, scope: Scope, tally: Tally) {
        if !tally.is_sure {
            self.hesitant.insert(scope);
        } else if self.hesitant.remove(&scope) {
            let unclaimed = self.children.unclaimed().iter();
            self.due.extend(unclaimed.filter(|key| key.0 == scope).copied());
        }
        if tally.is_met {
            self.halted.remove(&scope);
            return;
        }
        self.halted.insert(scope);
        let stops = |phase: &Phase| match phase {
            Phase::Asking | Phase::Starting | Phase::Running | Phase::Waiting { .. } => true,
            Phase::Stopping { then } => match then {
                Then::Gone | Then::Again | Then::Failed => true,
                Then::Frozen | Then::Lapsed => false,
            },
            Phase::Frozen => false,
        };
        let own = self.instances.iter().filter(|(_, instance)| instance.key.0 == scope);
        let own = own.filter(|(_, instance)| stops(&instance.phase));
        let numbers: Vec<u64> = own.map(|(number, _)| *number).collect();
        for number in numbers {
            self.stop(number, StopReason::NoQuorum, Then::Gone);
        }
    }

    /// Returns whether this node runs no children of `scope`, as it sees too few members.
    pub(crate) fn is_halted(&self, scope: Scope) -> bool {
        self.halted.contains(&scope)
    }
}
