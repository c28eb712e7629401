//! What readers see of process groups.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ordu_core::{Blob, Name, ProcessId, Scope};

/// What readers see of process groups. One writer, any number of readers; they wait for each other
/// only as long as it takes to copy the members of one group.
#[derive(Default)]
pub(crate) struct GroupView {
    groups: RwLock<State>,
}

/// Invariant: the two maps say the same, and no group and no process in them is without the other.
#[derive(Default)]
struct State {
    members: HashMap<(Scope, Name), BTreeMap<ProcessId, Blob>>,
    of_process: HashMap<ProcessId, BTreeSet<(Scope, Name)>>,
}

impl GroupView {
    /// Takes in that `process` is a member of a group, with such metadata, or is none any more.
    pub(crate) fn apply(&self, key: (Scope, Name), process: ProcessId, metadata: Option<Blob>) {
        let mut state = self.write();
        match metadata {
            Some(metadata) => {
                state.of_process.entry(process.clone()).or_default().insert(key.clone());
                state.members.entry(key).or_default().insert(process, metadata);
            }
            None => state.remove(&key, &process),
        }
    }

    /// Returns the members of a group with their metadata, in order.
    pub(crate) fn members(&self, key: &(Scope, Name)) -> Vec<(ProcessId, Blob)> {
        let state = self.read();
        let members = state.members.get(key).into_iter().flatten();
        members.map(|(process, metadata)| (process.clone(), metadata.clone())).collect()
    }

    /// Returns how many members a group has.
    pub(crate) fn count(&self, key: &(Scope, Name)) -> usize {
        self.read().members.get(key).map_or(0, BTreeMap::len)
    }

    /// Returns the groups of a set that `process` is a member of, in order.
    pub(crate) fn groups_of(&self, scope: Scope, process: &ProcessId) -> Vec<Name> {
        let state = self.read();
        let groups = state.of_process.get(process).into_iter().flatten();
        groups.filter(|(of, _)| *of == scope).map(|(_, group)| group.clone()).collect()
    }

    /// Returns the groups of a set that have members, in order.
    pub(crate) fn groups(&self, scope: Scope) -> Vec<Name> {
        let state = self.read();
        let groups = state.members.keys().filter(|(of, _)| *of == scope);
        let mut groups: Vec<Name> = groups.map(|(_, group)| group.clone()).collect();
        groups.sort_unstable();
        groups
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        *self.write() = State::default();
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.groups.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.groups.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remove(&mut self, key: &(Scope, Name), process: &ProcessId) {
        if let Some(members) = self.members.get_mut(key) {
            members.remove(process);
            if members.is_empty() {
                self.members.remove(key);
            }
        }
        if let Some(groups) = self.of_process.get_mut(process) {
            groups.remove(key);
            if groups.is_empty() {
                self.of_process.remove(process);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ordu_core::{Incarnation, NodeId, Replica};

    use super::*;

    fn process(number: u64) -> ProcessId {
        let replica = Replica::new(NodeId::new("a").unwrap(), Incarnation { counter: 1, nonce: 2 });
        ProcessId { replica, number }
    }

    #[test]
    fn members_and_groups_are_two_sides_of_one_thing() {
        let view = GroupView::default();
        let (rooms, topics) = (Scope::named("rooms"), Scope::named("topics"));
        let key = |scope, text: &str| (scope, Name::new(text).unwrap());
        view.apply(key(rooms, "b"), process(2), Some(Blob::from("two")));
        view.apply(key(rooms, "b"), process(1), Some(Blob::from("one")));
        view.apply(key(rooms, "a"), process(1), Some(Blob::default()));
        view.apply(key(topics, "b"), process(1), Some(Blob::default()));
        view.apply(key(rooms, "b"), process(2), Some(Blob::from("2")));

        let members = [(process(1), Blob::from("one")), (process(2), Blob::from("2"))];
        assert_eq!(view.members(&key(rooms, "b")), members);
        assert_eq!((view.count(&key(rooms, "b")), view.count(&key(rooms, "c"))), (2, 0));
        assert_eq!(view.groups_of(rooms, &process(1)), [key(rooms, "a").1, key(rooms, "b").1]);
        assert_eq!(view.groups_of(topics, &process(2)), []);
        assert_eq!(view.groups(rooms), [key(rooms, "a").1, key(rooms, "b").1]);

        // Each end of a membership may be told twice, and of one that never was.
        for (text, number) in [("b", 2), ("b", 1), ("a", 1), ("a", 1), ("x", 9)] {
            view.apply(key(rooms, text), process(number), None);
        }
        assert_eq!(view.groups(rooms), []);
        view.apply(key(topics, "b"), process(1), None);
        let state = view.read();
        assert!(state.members.is_empty() && state.of_process.is_empty());
    }
}
