//! The children that nobody runs: which of them this node claims, and when.

use alloc::collections::BTreeSet;

use crate::board::{Board, Claimant};
use crate::message::Seat;
use crate::supervisor::children::{Child, ChildKey, Succession};
use crate::supervisor::choices::Verdict;
use crate::supervisor::contention::Turn;
use crate::supervisor::{Around, Supervisor};
use crate::{Name, Outcome, Scope, Time};

impl Supervisor {
    /// Starts the children that are due, as far as they belong here and the pace allows.
    ///
    /// To be called only when nothing is left to be taken in: in the middle of a delta a child may
    /// be seen without the claim that follows.
    pub(crate) fn place(&mut self, around: &mut Around<'_>) {
        // The board does not show yet what is claimed here.
        let mut taken = BTreeSet::new();
        while self.may_place(around.targets)
            && let Some(key) = self.due.pop_first()
        {
            let is_free = !self.by_child.contains_key(&key) && !self.fading.contains_key(&key);
            if !self.children.unclaimed().contains(&key) || !is_free {
                self.beaten.remove(&key);
            } else if self.modes.is_exclusive(key.0)
                && self.starts_at_once <= self.contention.asking()
            {
                self.beaten.remove(&key);
                self.contention.hold_back(key);
            } else if self.effects.is_empty() || self.is_placed_by_ring(&key) {
                let beaten = self.beaten.remove(&key);
                self.place_child(around, key, beaten, &mut taken);
            } else {
                // Strategies go by what is counted: what was placed just now is counted first.
                self.due.insert(key);
                return;
            }
        }
    }

    fn is_placed_by_ring(&self, key: &ChildKey) -> bool {
        let spec = self.children.child(key).and_then(|child| child.spec.as_ref());
        spec.is_none_or(|entry| entry.spec.placement.is_ring())
    }

    fn place_child(
        &mut self,
        around: &mut Around<'_>,
        key: ChildKey,
        beaten: Option<Time>,
        taken: &mut BTreeSet<(Scope, Name)>,
    ) {
        if self.hesitant.contains(&key.0) {
            return;
        }
        let lost = self.children.child(&key).is_some_and(Child::is_lost);
        // To ask for the owner costs most of this, and is in vain while nobody may take over. Under
        // leases nobody runs twice, whoever is taken for dead.
        if lost && !around.targets.outlook().may_take_over && !self.modes.is_exclusive(key.0) {
            return;
        }
        let turn = self.turn(around, key);
        let child = self.children.child(&key).expect("unclaimed children are known");
        let spec = &child.spec.as_ref().expect("unclaimed children have a specification").spec;
        let succession = child.succession();
        match turn {
            Turn::Owns => (),
            // What there is to end is ended by whom it belongs to.
            Turn::StandsIn if !lost || spec.restart != crate::Restart::Temporary => {
                return self.claim_if_free(around, key, succession, taken);
            }
            Turn::StandsIn | Turn::Waits => return,
        }
        if lost && spec.restart == crate::Restart::Temporary {
            if !around.targets.outlook().may_take_over {
                return;
            }
            let reason = alloc::string::String::from("its node went down");
            return self.end(around, key, Outcome::Failed { reason });
        }
        if let Some(parent) = self.ended_parent(&key) {
            return self.end(around, key, Outcome::WithParent { parent });
        }
        let was_beaten = beaten.is_some();
        let name = spec.name.as_ref();
        let Some(outcome) = beaten_before_it_starts(around.board, key, name, was_beaten) else {
            return self.claim_if_free(around, key, succession, taken);
        };
        if child.may_run_unseen(around.targets, around.visible) {
            // Its own process may be the better one: they will meet.
            return;
        }
        // Perhaps its own process is just not visible yet; nobody is ended on a guess.
        let until = beaten.unwrap_or(around.now + self.patience);
        if until <= around.now {
            self.end(around, key, outcome);
        } else {
            self.beaten.insert(key, until);
        }
    }

    /// Claims `key` for this node, or for whom its strategy chooses, unless a process that does not
    /// run yet has its name, or is given it now; then it is looked at again once it shows that the
    /// name is `taken`.
    fn claim_if_free(
        &mut self,
        around: &mut Around<'_>,
        key: ChildKey,
        succession: Succession,
        taken: &mut BTreeSet<(Scope, Name)>,
    ) {
        if self.is_full() {
            // All are told so at once, and it is somebody else's then.
            return;
        }
        let child = self.children.child(&key).expect("unclaimed children are known");
        let spec = &child.spec.as_ref().expect("unclaimed children have a specification").spec;
        let name = spec.name.clone();
        if let Some((scope, name)) = name.clone()
            && around.board.best(&Seat::Name(scope, name)).is_some()
        {
            self.contention.wait_anew(&key);
            return;
        }
        let verdict =
            if spec.placement.is_ring() { Verdict::Here } else { self.consult(around, key) };
        match verdict {
            Verdict::Here if name.is_none_or(|name| taken.insert(name)) => {
                self.claim(around, key, succession);
            }
            Verdict::Here => (),
            Verdict::There(choice) => self.assign(key, &choice),
            Verdict::Nowhere => drop(self.declined.insert(key)),
        }
    }
}

/// Returns how `key` ends if somebody else runs under its name already.
///
/// One that has run counts also while it fails and is started again.
pub(super) fn beaten_before_it_starts(
    board: &Board,
    key: ChildKey,
    name: Option<&(Scope, Name)>,
    was_beaten: bool,
) -> Option<Outcome> {
    let (scope, name) = name?;
    let claimants = board.claimants(&Seat::Name(*scope, name.clone()));
    let counts = |rival: &&Claimant| rival.has_run || was_beaten;
    let rival = claimants.iter().find(|rival| counts(rival) && rival.child != Some(key))?;
    Some(match rival.child {
        Some((_, winner)) => Outcome::MergedInto { winner },
        None => Outcome::NameLost,
    })
}
