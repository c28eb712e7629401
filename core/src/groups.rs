//! Who is in which group, as far as the visible journals say.
//!
//! A membership is of one process alone and only its own node writes it, so there is nothing to
//! agree on: the members of a group are the union of what the visible journals say of it.

use alloc::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Name, Replica, Scope};

/// A group: the set that it belongs to, and its name there.
pub(crate) type GroupKey = (Scope, Name);

/// All groups with members in sight.
///
/// Invariant: no group is empty, and neither is the part of it that runs on one node.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Groups {
    members: BTreeMap<GroupKey, BTreeMap<Replica, BTreeSet<u64>>>,
}

impl Groups {
    /// Puts the process `number` of `replica` into `group`. Takes O(log g + log m) time for g
    /// groups and m members.
    pub(crate) fn insert(&mut self, group: GroupKey, replica: &Replica, number: u64) {
        let by_replica = self.members.entry(group).or_default();
        by_replica.entry(replica.clone()).or_default().insert(number);
    }

    /// Takes the process `number` of `replica` out of `group`; it need not be in it.
    pub(crate) fn remove(&mut self, group: &GroupKey, replica: &Replica, number: u64) {
        let Some(by_replica) = self.members.get_mut(group) else { return };
        let Some(numbers) = by_replica.get_mut(replica) else { return };
        numbers.remove(&number);
        if numbers.is_empty() {
            by_replica.remove(replica);
        }
        if by_replica.is_empty() {
            self.members.remove(group);
        }
    }

    /// Iterates over the lives with members of `group`, each with how many there are.
    pub(crate) fn replicas(&self, group: &GroupKey) -> impl Iterator<Item = (&Replica, usize)> {
        let by_replica = self.members.get(group).into_iter().flatten();
        by_replica.map(|(replica, numbers)| (replica, numbers.len()))
    }

    /// Iterates over the processes of `replica` that are members of `group`.
    pub(crate) fn numbers(&self, group: &GroupKey, replica: &Replica) -> impl Iterator<Item = u64> {
        let by_replica = self.members.get(group);
        by_replica.and_then(|by| by.get(replica)).into_iter().flatten().copied()
    }

    /// Returns whether the process `number` of `replica` is a member of `group`.
    pub(crate) fn contains(&self, group: &GroupKey, replica: &Replica, number: u64) -> bool {
        let numbers = self.members.get(group).and_then(|by_replica| by_replica.get(replica));
        numbers.is_some_and(|numbers| numbers.contains(&number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Incarnation, NodeId};

    fn replica(node: &str) -> Replica {
        Replica::new(NodeId::new(node).unwrap(), Incarnation { counter: 1, nonce: 1 })
    }

    #[test]
    fn nothing_is_left_of_a_group_without_members() {
        let mut groups = Groups::default();
        let room = (Scope::named("rooms"), Name::new("1").unwrap());
        groups.insert(room.clone(), &replica("a"), 1);
        groups.insert(room.clone(), &replica("a"), 2);
        groups.insert(room.clone(), &replica("a"), 2);
        groups.insert(room.clone(), &replica("b"), 1);
        let of: alloc::vec::Vec<_> = groups.replicas(&room).map(|(_, count)| count).collect();
        assert_eq!(of, [2, 1]);
        assert!(groups.contains(&room, &replica("b"), 1));
        assert!(!groups.contains(&room, &replica("b"), 2));

        groups.remove(&room, &replica("c"), 1);
        groups.remove(&room, &replica("b"), 1);
        groups.remove(&room, &replica("b"), 1);
        groups.remove(&room, &replica("a"), 1);
        assert!(groups.numbers(&room, &replica("a")).eq([2]));
        groups.remove(&room, &replica("a"), 2);
        assert_eq!(groups, Groups::default());
    }
}
