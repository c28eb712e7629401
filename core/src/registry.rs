//! The names of this node's processes, and the groups that they are in.
//!
//! Only the node on which a process lives writes its names, so `register` is atomic: one input, one
//! look at the board, one entry. Names of other nodes are the board's alone.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::board::Board;
use crate::effect::Effect;
use crate::entry::{Entry, GroupEntry, Key, LeasedEntry, NameEntry, Reason, Standing};
use crate::groups::GroupKey;
use crate::lease::id_of_name;
use crate::message::Seat;
use crate::mode::Modes;
use crate::rank::Origin;
use crate::{Blob, Name, Occupant, Output, Precedence, Scope, Stamp};

/// The processes of this node that may hold names, with their names and groups.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Registry {
    modes: Modes,
    processes: BTreeMap<u64, Local>,
    effects: VecDeque<Effect>,
}

/// A process of this node.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Local {
    standing: Standing,
    is_plain: bool,
    /// Whether it runs, rather than starts.
    has_started: bool,
    /// Whether it was told to stop in favour of a winner.
    is_frozen: bool,
    /// Whether it was told to stop, as it has lost a name: its lease ended, or this node sees too
    /// few members.
    has_lost_name: bool,
    names: BTreeSet<(Scope, Name)>,
    /// Those of its names that it holds under leases, or asks for.
    leased: BTreeMap<(Scope, Name), LeasedEntry>,
    groups: BTreeSet<GroupKey>,
}

/// Why a process of this node was not given a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Denial {
    /// No such process runs here.
    NoProcess,
    /// It runs a child, and may lose a name of the registry while it runs.
    OfChild,
    /// Somebody else has the name, or it has it already.
    Taken(Occupant),
}

impl Registry {
    /// Creates a registry of no processes.
    pub(crate) fn new(modes: Modes) -> Self {
        Self { modes, processes: BTreeMap::new(), effects: VecDeque::new() }
    }

    /// Returns the next effect, in order.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Takes in a process that no supervisor looks after.
    pub(crate) fn handle_spawned(&mut self, number: u64, stamp: Stamp, precedence: Precedence) {
        self.insert(number, Standing::of_plain(number, stamp, precedence), true);
        self.handle_started(number);
    }

    /// Takes in that a child's process starts: it may join groups, and hears what is said there
    /// once it runs.
    pub(crate) fn handle_starting(&mut self, number: u64, standing: Standing) {
        if !self.processes.contains_key(&number) {
            self.insert(number, standing, false);
        }
    }

    /// Takes in that a child's process runs.
    pub(crate) fn handle_running(&mut self, number: u64, standing: Standing) {
        self.handle_starting(number, standing);
        self.handle_started(number);
    }

    /// Takes in that a process is gone: its names are free, and it is in no group.
    pub(crate) fn handle_gone(&mut self, number: u64) {
        let Some(local) = self.processes.remove(&number) else { return };
        let is_beaten = local.is_frozen && !local.has_lost_name;
        let reason = if is_beaten { Reason::Beaten } else { Reason::Ended };
        for (scope, name) in local.names {
            let key = self.key_of(scope, name);
            self.effects.push_back(Effect::Delete { key, reason });
        }
        for (scope, group) in local.groups {
            let key = Key::Group(scope, group, number).encode();
            self.effects.push_back(Effect::Delete { key, reason });
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
        if local.is_frozen || !local.has_started {
            return Err(Denial::NoProcess);
        }
        if !local.is_plain && self.modes.bars_children(scope) {
            return Err(Denial::OfChild);
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

    /// Asks for a lease on a name for the process `number`, with a ballot, unless somebody has it
    /// or asks for it.
    ///
    /// # Errors
    ///
    /// A refusal changes nothing; its own names are refused to a process, too.
    pub(crate) fn ask(
        &mut self,
        board: &Board,
        (scope, name): (Scope, Name),
        number: u64,
        value: Blob,
        ballot: u64,
    ) -> Result<(), Denial> {
        let local = self.processes.get_mut(&number).ok_or(Denial::NoProcess)?;
        if local.is_frozen || !local.has_started {
            return Err(Denial::NoProcess);
        }
        if !local.is_plain {
            return Err(Denial::OfChild);
        }
        if let Some(best) = board.best(&Seat::Name(scope, name.clone())) {
            return Err(Denial::Taken(Occupant::Process(best.rank.process.clone())));
        }
        // Alike for all who claim the name, so that the ballot decides.
        let origin = Some(Origin { stamp: Stamp::default(), id: id_of_name(&name) });
        let standing = Standing { origin, moves: ballot, ..local.standing.clone() };
        let entry = LeasedEntry { standing, granted: false, value };
        let is_new = local.names.insert((scope, name.clone()));
        assert!(is_new, "a free name is not held");
        let key = Key::Leased(scope, name.clone()).encode();
        self.effects.push_back(Effect::Put { key, value: entry.encode() });
        local.leased.insert((scope, name), entry);
        Ok(())
    }

    /// Takes in that the process `number` holds a name that it asked for; returns with what ballot,
    /// and what is to be written of it under which key, if it still wants it and was not told to
    /// stop.
    pub(crate) fn handle_granted(
        &mut self,
        seat: &(Scope, Name),
        number: u64,
    ) -> Option<(u64, Blob, Blob)> {
        let local = self.processes.get_mut(&number).filter(|local| !local.is_frozen)?;
        let entry = local.leased.get_mut(seat)?;
        entry.granted = true;
        let key = Key::Leased(seat.0, seat.1.clone()).encode();
        Some((entry.standing.moves, key, entry.encode()))
    }

    /// Withdraws what the process `number` asked for or held under a lease; returns whether that
    /// stood.
    pub(crate) fn withdraw(&mut self, seat: &(Scope, Name), number: u64, reason: Reason) -> bool {
        let Some(local) = self.processes.get_mut(&number) else { return false };
        if local.leased.remove(seat).is_none() {
            return false;
        }
        local.names.remove(seat);
        let key = Key::Leased(seat.0, seat.1.clone()).encode();
        self.effects.push_back(Effect::Delete { key, reason });
        true
    }

    /// Withdraws all that the process `number` held under leases: it has stopped in favour of a
    /// winner, and may be waited for by that.
    pub(crate) fn handle_stopped(&mut self, number: u64) {
        let Some(local) = self.processes.get_mut(&number) else { return };
        for seat in core::mem::take(&mut local.leased).into_keys() {
            local.names.remove(&seat);
            let (key, reason) = (Key::Leased(seat.0, seat.1).encode(), Reason::Beaten);
            self.effects.push_back(Effect::Delete { key, reason });
        }
    }

    /// Takes all names of the registry `scope` from the processes that have them, as this node sees
    /// too few members; returns which processes those are.
    pub(crate) fn give_up(&mut self, scope: Scope) -> Vec<u64> {
        let mut holders = Vec::new();
        for (number, local) in &mut self.processes {
            let seats: Vec<_> =
                local.names.iter().filter(|seat| seat.0 == scope).cloned().collect();
            if !seats.is_empty() {
                holders.push(*number);
            }
            for seat in seats {
                local.names.remove(&seat);
                let (key, reason) = (Key::Name(seat.0, seat.1).encode(), Reason::NoQuorum);
                self.effects.push_back(Effect::Delete { key, reason });
            }
        }
        holders
    }

    /// Takes in that the process `number` is to stop, as it has lost a name; returns whether it was
    /// not told to stop before.
    pub(crate) fn handle_name_lost(&mut self, number: u64) -> bool {
        let Some(local) = self.processes.get_mut(&number) else { return false };
        let is_told = local.is_frozen;
        local.is_frozen = true;
        local.has_lost_name |= !is_told;
        !is_told
    }

    /// Takes a name from the process `number`; returns whether it had it.
    pub(crate) fn unregister(&mut self, scope: Scope, name: &Name, number: u64) -> bool {
        let Some(local) = self.processes.get_mut(&number) else { return false };
        let seat = (scope, name.clone());
        if local.leased.get(&seat).is_some_and(|entry| !entry.granted) {
            return false;
        }
        let had = local.names.remove(&seat);
        if local.leased.remove(&seat).is_some() {
            let (name, lease) = (name.clone(), None);
            let given_back = Output::Hold { number, scope, name, lease };
            self.effects.push_back(Effect::Emit(given_back));
        }
        if had {
            let (key, reason) = (self.key_of(scope, name.clone()), Reason::Unregistered);
            self.effects.push_back(Effect::Delete { key, reason });
        }
        had
    }

    /// Replaces the value beside a name of the process `number`; returns whether it has the name.
    pub(crate) fn update(
        &mut self,
        (scope, name): (Scope, Name),
        number: u64,
        value: Blob,
    ) -> bool {
        let key = (scope, name);
        let Some(local) = self.processes.get_mut(&number) else { return false };
        if !local.names.contains(&key) {
            return false;
        }
        if let Some(entry) = local.leased.get_mut(&key) {
            entry.value = value;
            let (key, value) = (Key::Leased(key.0, key.1).encode(), entry.encode());
            self.effects.push_back(Effect::Put { key, value });
            return true;
        }
        let entry = NameEntry { standing: local.standing.clone(), value };
        let key = Key::Name(key.0, key.1).encode();
        self.effects.push_back(Effect::Put { key, value: entry.encode() });
        true
    }

    /// Makes the process `number` a member of `group`, or replaces its metadata; returns whether it
    /// starts or runs here.
    pub(crate) fn join_group(&mut self, group: GroupKey, number: u64, metadata: Blob) -> bool {
        let local = self.processes.get_mut(&number).filter(|local| !local.is_frozen);
        let Some(local) = local else { return false };
        local.groups.insert(group.clone());
        let key = Key::Group(group.0, group.1, number).encode();
        self.effects.push_back(Effect::Put { key, value: GroupEntry { metadata }.encode() });
        true
    }

    /// Takes the process `number` out of `group`; returns whether it was in it.
    pub(crate) fn leave_group(&mut self, group: &GroupKey, number: u64) -> bool {
        let Some(local) = self.processes.get_mut(&number) else { return false };
        let was_member = local.groups.remove(group);
        if was_member {
            let key = Key::Group(group.0, group.1.clone(), number).encode();
            self.effects.push_back(Effect::Delete { key, reason: Reason::Unregistered });
        }
        was_member
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

    /// Returns whether the process `number` is here, has started and was not told to stop.
    pub(crate) fn is_running(&self, number: u64) -> bool {
        self.processes.get(&number).is_some_and(|local| local.has_started && !local.is_frozen)
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

    /// Iterates over the groups of all processes, with the process.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (GroupKey, u64)> {
        self.processes
            .iter()
            .flat_map(|(number, local)| local.groups.iter().map(|group| (group.clone(), *number)))
    }

    /// Returns how many effects wait to be carried out.
    pub(crate) fn queued(&self) -> usize {
        self.effects.len()
    }

    /// Returns what a name of one of our processes stands under in our journal.
    fn key_of(&self, scope: Scope, name: Name) -> Blob {
        if self.modes.leases_names(scope) {
            Key::Leased(scope, name).encode()
        } else {
            Key::Name(scope, name).encode()
        }
    }

    fn handle_started(&mut self, number: u64) {
        let local = self.processes.get_mut(&number).expect("it was taken in before");
        local.has_started = true;
    }

    fn insert(&mut self, number: u64, standing: Standing, is_plain: bool) {
        let (names, groups) = (BTreeSet::new(), BTreeSet::new());
        let local = Local {
            standing,
            is_plain,
            has_started: false,
            is_frozen: false,
            has_lost_name: false,
            names,
            leased: BTreeMap::new(),
            groups,
        };
        let twin = self.processes.insert(number, local);
        assert!(twin.is_none(), "no number is given twice");
    }
}
