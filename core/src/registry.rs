//! The names of this node's processes.
//!
//! Only the node on which a process lives writes its names, so `register` is atomic: one input, one
//! look at the board, one entry. Names of other nodes are the board's alone.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::board::Board;
use crate::effect::Effect;
use crate::entry::{Entry, Key, NameEntry, Standing};
use crate::message::Seat;
use crate::{Blob, Name, Occupant, Precedence, Scope, Stamp};

/// The processes of this node that may hold names, and the names that they hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Registry {
    processes: BTreeMap<u64, Local>,
    effects: VecDeque<Effect>,
}

/// A process of this node.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Local {
    standing: Standing,
    is_plain: bool,
    /// Whether it was told to stop in favour of a winner.
    is_frozen: bool,
    names: BTreeSet<(Scope, Name)>,
}

/// Why a process of this node was not given a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Denial {
    /// No such process runs here.
    NoProcess,
    /// Somebody else has the name, or it has it already.
    Taken(Occupant),
}

impl Registry {
    /// Returns the next effect, in order.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Takes in a process that no supervisor looks after.
    pub(crate) fn handle_spawned(&mut self, number: u64, stamp: Stamp, precedence: Precedence) {
        self.insert(number, Standing::of_plain(number, stamp, precedence), true);
    }

    /// Takes in that a child's process runs.
    pub(crate) fn handle_running(&mut self, number: u64, standing: Standing) {
        if !self.processes.contains_key(&number) {
            self.insert(number, standing, false);
        }
    }

    /// Takes in that a process is gone: its names are free.
    pub(crate) fn handle_gone(&mut self, number: u64) {
        let Some(local) = self.processes.remove(&number) else { return };
        for (scope, name) in local.names {
            self.effects.push_back(Effect::Delete { key: Key::Name(scope, name).encode() });
        }
    }

    /// Takes in that a process stops in favour of a winner, or goes on after all.
    pub(crate) fn handle_frozen(&mut self, number: u64, is_frozen: bool) {
        if let Some(local) = self.processes.get_mut(&number) {
            local.is_frozen = is_frozen;
        }
    }

    /// Gives the process `number` one more name, unless somebody has it.
    ///
    /// `reserved` is a child that keeps the name for itself. Takes O(log n) time for n names.
    ///
    /// # Errors
    ///
    /// A refusal changes nothing; its own names are refused to a process, too.
    pub(crate) fn register(
        &mut self,
        board: &Board,
        reserved: Option<Occupant>,
        (scope, name): (Scope, Name),
        number: u64,
        value: Blob,
    ) -> Result<(), Denial> {
        let local = self.processes.get_mut(&number).ok_or(Denial::NoProcess)?;
        if local.is_frozen {
            return Err(Denial::NoProcess);
        }
        if let Some(holder) = board.best(&Seat::Name(scope, name.clone())) {
            return Err(Denial::Taken(Occupant::Process(holder.rank.process.clone())));
        }
        if let Some(occupant) = reserved {
            return Err(Denial::Taken(occupant));
        }
        let entry = NameEntry { standing: local.standing.clone(), value };
        let is_new = local.names.insert((scope, name.clone()));
        assert!(is_new, "a free name is not held");
        let key = Key::Name(scope, name).encode();
        self.effects.push_back(Effect::Put { key, value: entry.encode() });
        Ok(())
    }

    /// Takes a name from the process `number`; returns whether it had it.
    pub(crate) fn unregister(&mut self, scope: Scope, name: &Name, number: u64) -> bool {
        let Some(local) = self.processes.get_mut(&number) else { return false };
        let had = local.names.remove(&(scope, name.clone()));
        if had {
            self.effects.push_back(Effect::Delete { key: Key::Name(scope, name.clone()).encode() });
        }
        had
    }

    /// Iterates over the seats of the names that the process `number` was given after its start.
    pub(crate) fn seats(&self, number: u64) -> impl Iterator<Item = Seat> {
        let local = self.processes.get(&number);
        local.into_iter().flat_map(|local| {
            local.names.iter().map(|(scope, name)| Seat::Name(*scope, name.clone()))
        })
    }

    /// Returns whether the process `number` is here and no supervisor looks after it.
    pub(crate) fn is_plain(&self, number: u64) -> bool {
        self.processes.get(&number).is_some_and(|local| local.is_plain)
    }

    /// Returns whether the process `number` is here and was not told to stop.
    pub(crate) fn is_running(&self, number: u64) -> bool {
        self.processes.get(&number).is_some_and(|local| !local.is_frozen)
    }

    /// Iterates over the processes that no supervisor looks after.
    pub(crate) fn plain(&self) -> impl Iterator<Item = u64> {
        self.processes.iter().filter(|(_, local)| local.is_plain).map(|(number, _)| *number)
    }

    /// Iterates over the names that processes were given after their start, with the process.
    pub(crate) fn names(&self) -> impl Iterator<Item = (Scope, Name, u64)> {
        self.processes.iter().flat_map(|(number, local)| {
            local.names.iter().map(|(scope, name)| (*scope, name.clone(), *number))
        })
    }

    /// Returns how many effects wait to be carried out.
    pub(crate) fn queued(&self) -> usize {
        self.effects.len()
    }

    fn insert(&mut self, number: u64, standing: Standing, is_plain: bool) {
        let local = Local { standing, is_plain, is_frozen: false, names: BTreeSet::new() };
        let twin = self.processes.insert(number, local);
        assert!(twin.is_none(), "no number is given twice");
    }
}
