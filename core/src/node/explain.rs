//! Why a child runs where it runs, or nowhere.

use alloc::borrow::ToOwned as _;
use alloc::vec::Vec;

use crate::message::Seat;
use crate::node::Node;
use crate::supervisor::{Child, ChildKey};
use crate::{
    Candidate, ChildClaim, Delay, ExplainError, Explanation, ProcessId, Reply, StartChildError,
};

impl Node {
    pub(super) fn explain(&mut self, ticket: u64, key: ChildKey) {
        let explanation = self.explanation(key).ok_or(ExplainError::Unknown { child: key.1 });
        self.reply(ticket, Reply::Explain(explanation));
    }

    /// Returns what is to be said at the deadline of a start of `key`, which has not started.
    pub(super) fn not_started(&self, key: ChildKey) -> StartChildError {
        let child = key.1;
        if let Some(error) = self.without_quorum(key.0, Some(child)) {
            return error;
        }
        let known = self.supervisor.child(&key).filter(|known| !known.is_claimed());
        let Some(known) = known.filter(|known| known.owner(child, &self.targets).is_none()) else {
            return StartChildError::TimedOut { child };
        };
        let judged = self.candidates(key, known).into_iter();
        let members = judged.filter_map(|by| Some((by.node, by.exclusion?))).collect();
        StartChildError::NowhereToRun { child, members }
    }

    fn explanation(&self, key: ChildKey) -> Option<Explanation> {
        let child = self.supervisor.child(&key).filter(|child| child.end.is_none())?;
        let strategy = child.spec.as_ref()?.spec.placement.name().to_owned();
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
            strategy,
            hops: child.choice().map_or(0, |choice| choice.hops),
            belongs: self.supervisor.belongs(key, &self.targets, &self.config.strategies),
            history: child.history.clone(),
            placement_key: child.placement_key(key.1),
            claims: claims.collect(),
            delay: owner.as_ref().and_then(|_| self.delay(key, child)),
            owner,
            candidates: self.candidates(key, child),
            given_up: child.given_up.clone(),
            is_in_quarantine: child.is_in_quarantine(key.1, &self.targets),
        })
    }

    fn candidates(&self, key: ChildKey, child: &Child) -> Vec<Candidate> {
        let Some(entry) = &child.spec else { return Vec::new() };
        let place = child.placement_key(key.1);
        let judged = self.targets.judged(&place, &entry.spec, |node| child.is_given_up_by(node));
        let hosts = self.supervisor.hosts(key, &self.targets);
        // Both are in the order of the ring.
        let candidates = judged.zip(hosts).map(|((node, exclusion), host)| {
            let (children, kin) = (host.children, host.kin);
            Candidate { node: node.clone(), exclusion, children, kin }
        });
        candidates.collect()
    }

    /// Returns what keeps `child` from being started, which has an owner.
    fn delay(&self, key: ChildKey, child: &Child) -> Option<Delay> {
        if child.is_claimed() {
            return None;
        }
        if self.without_quorum(key.0, None).is_some() {
            return Some(Delay::NoQuorum);
        }
        let outlook = self.targets.outlook();
        if !outlook.is_informed {
            return Some(Delay::TooFewMembers);
        }
        if child.is_lost() && !outlook.may_take_over {
            return Some(Delay::PerhapsCutOff);
        }
        if self.supervisor.has_declined(&key) {
            return Some(Delay::NobodyChosen);
        }
        let (scope, name) = child.spec.as_ref()?.spec.name.as_ref()?;
        let best = self.board.best(&Seat::Name(*scope, name.clone()))?;
        (best.child != Some(key)).then_some(Delay::NameTaken)
    }
}
