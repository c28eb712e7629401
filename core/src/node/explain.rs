//! Why a child runs where it runs, or nowhere.

use alloc::vec::Vec;

use crate::message::Seat;
use crate::node::Node;
use crate::placement::Exclusion;
use crate::supervisor::{Child, ChildKey};
use crate::{
    ChildClaim, Delay, ExplainError, Explanation, NodeId, ProcessId, Reply, StartChildError,
};

impl Node {
    pub(super) fn explain(&mut self, ticket: u64, key: ChildKey) {
        let explanation = self.explanation(key).ok_or(ExplainError::Unknown { child: key.1 });
        self.reply(ticket, Reply::Explain(explanation));
    }

    /// Returns what is to be said at the deadline of a start of `key`, which has not started.
    pub(super) fn not_started(&self, key: ChildKey) -> StartChildError {
        let child = key.1;
        let known = self.supervisor.child(&key).filter(|known| !known.is_claimed());
        let Some(known) = known.filter(|known| known.owner(child, &self.targets).is_none()) else {
            return StartChildError::TimedOut { child };
        };
        let judged = self.judged(key, known).into_iter();
        let members = judged.filter_map(|(node, exclusion)| Some((node, exclusion?))).collect();
        StartChildError::NowhereToRun { child, members }
    }

    fn explanation(&self, key: ChildKey) -> Option<Explanation> {
        let child = self.supervisor.child(&key).filter(|child| child.end.is_none())?;
        child.spec.as_ref()?;
        let owner = child.owner(key.1, &self.targets).cloned();
        let claims = child.claims.iter().map(|claim| {
            let standing = &claim.entry.standing;
            ChildClaim {
                process: ProcessId { replica: claim.replica.clone(), number: standing.number },
                is_running: claim.entry.running,
                is_visible: claim.visible,
                epoch: claim.entry.epoch,
                takeovers: standing.lineage,
                moves: standing.moves,
            }
        });
        Some(Explanation {
            placement_key: child.placement_key(key.1),
            claims: claims.collect(),
            delay: owner.as_ref().and_then(|_| self.delay(key, child)),
            owner,
            candidates: self.judged(key, child),
            given_up: child.given_up.clone(),
            is_in_quarantine: child.is_in_quarantine(key.1, &self.targets),
        })
    }

    fn judged(&self, key: ChildKey, child: &Child) -> Vec<(NodeId, Option<Exclusion>)> {
        let Some(entry) = &child.spec else { return Vec::new() };
        let place = child.placement_key(key.1);
        let judged = self.targets.judged(&place, &entry.spec, |node| child.is_given_up_by(node));
        judged.map(|(node, exclusion)| (node.clone(), exclusion)).collect()
    }

    /// Returns what keeps `child` from being started, which has an owner.
    fn delay(&self, key: ChildKey, child: &Child) -> Option<Delay> {
        if child.is_claimed() {
            return None;
        }
        let outlook = self.targets.outlook();
        if !outlook.is_informed {
            return Some(Delay::TooFewMembers);
        }
        if child.is_lost() && !outlook.may_take_over {
            return Some(Delay::PerhapsCutOff);
        }
        let (scope, name) = child.spec.as_ref()?.spec.name.as_ref()?;
        let best = self.board.best(&Seat::Name(*scope, name.clone()))?;
        (best.child != Some(key)).then_some(Delay::NameTaken)
    }
}
