//! S12. The loser of a conflict is told once, and no two are told that they lost to each other.

use std::collections::{BTreeMap, BTreeSet};

use ordu_core::{Output, ProcessId, Reply, StartReason, StopReason};

use crate::invariants::{Finding, Invariant, Promise, Scene};
use crate::verdict::Class;

/// Remembers who was told to have lost to whom.
#[derive(Default)]
pub(crate) struct LosersAreToldOnce {
    /// Every process that was ever asked for.
    known: BTreeSet<ProcessId>,
    /// Losers that were told, and have not gone on since.
    told: BTreeSet<ProcessId>,
    /// To whom each loser ever lost.
    winners: BTreeMap<ProcessId, BTreeSet<ProcessId>>,
}

impl LosersAreToldOnce {
    fn tell(&mut self, loser: ProcessId, winner: &ProcessId) -> Finding {
        if !self.known.contains(winner) {
            return Err(format!("{loser} is told to have lost to {winner}, which never was"));
        }
        if !self.told.insert(loser.clone()) {
            return Err(format!("{loser} is told twice that it lost, now to {winner}"));
        }
        if self.beat(winner, &loser) {
            return Err(format!("{loser} is told to have lost to {winner}, which lost to it"));
        }
        self.winners.entry(loser).or_default().insert(winner.clone());
        Ok(())
    }

    /// Returns whether `loser` was told to have lost to `winner`, perhaps by way of others.
    fn beat(&self, loser: &ProcessId, winner: &ProcessId) -> bool {
        let (mut next, mut seen) = (vec![loser], BTreeSet::new());
        while let Some(process) = next.pop() {
            if process == winner {
                return true;
            }
            if seen.insert(process) {
                next.extend(self.winners.get(process).into_iter().flatten());
            }
        }
        false
    }
}

impl Invariant for LosersAreToldOnce {
    fn promise(&self) -> Promise {
        Promise {
            id: "S12",
            says: "a loser is told once, by a winner that there is, and never do all claimants lose",
            made_in: "ordu_core::NameConflict",
            class: Class::Safety,
        }
    }

    fn handle_output(&mut self, scene: &Scene<'_>, output: &Output) -> Finding {
        let own = |number| {
            let replica = scene.node.replica().cloned();
            replica.map(|replica| ProcessId { replica, number })
        };
        match output {
            Output::Start(start) => {
                if let Some(process) = own(start.number) {
                    if start.reason == StartReason::Resumed {
                        self.told.remove(&process);
                    }
                    self.known.insert(process);
                }
                Ok(())
            }
            Output::Reply { reply: Reply::Spawn(process), .. } => {
                self.known.insert(process.clone());
                Ok(())
            }
            Output::Stop { number, reason: StopReason::Conflict(conflict), .. } => {
                own(*number).map_or(Ok(()), |loser| self.tell(loser, &conflict.winner))
            }
            Output::Send { .. }
            | Output::Dial { .. }
            | Output::HangUp { .. }
            | Output::Renew { .. }
            | Output::Persist { .. }
            | Output::Hold { .. }
            | Output::Disconnect { .. }
            | Output::Stop { .. }
            | Output::Absorb { .. }
            | Output::Deliver { .. }
            | Output::Reply { .. }
            | Output::View(_)
            | Output::Event(_)
            | Output::Exit(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{N1, N2, N3};
    use ordu_core::{Incarnation, Replica};

    #[test]
    fn a_circle_of_losers_is_found() {
        let process = |host: crate::Host| ProcessId {
            replica: Replica::new(host.id(), Incarnation { counter: 1, nonce: 1 }),
            number: 1,
        };
        let (a, b, c) = (process(N1), process(N2), process(N3));
        let mut losers = LosersAreToldOnce::default();
        assert!(losers.tell(a.clone(), &b).unwrap_err().contains("never was"));
        losers.known.extend([a.clone(), b.clone(), c.clone()]);
        assert_eq!(losers.tell(a.clone(), &b), Ok(()));
        assert!(losers.tell(a.clone(), &c).unwrap_err().contains("twice"));
        assert_eq!(losers.tell(b.clone(), &c), Ok(()));
        assert!(losers.tell(c, &a).unwrap_err().contains("which lost to it"));
    }
}
