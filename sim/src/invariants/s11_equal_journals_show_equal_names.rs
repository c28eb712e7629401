//! S11. Who holds a name follows from the visible journals alone.

use std::collections::BTreeMap;
use std::fmt::Debug;

use ordu_core::{Node, ReplicaKey};

use crate::World;
use crate::host::Host;
use crate::invariants::{Finding, Invariant, Promise};
use crate::verdict::Class;

/// Compares what nodes show that hold the same.
pub(crate) struct EqualJournalsShowEqualNames;

/// What a node's names follow from: the visible journals, each with its head and fingerprint.
type Grounds = Vec<(ReplicaKey, u64, u64)>;

impl Invariant for EqualJournalsShowEqualNames {
    fn promise(&self) -> Promise {
        Promise {
            id: "S11",
            says: "nodes to which the same journals are visible show the same holders of names",
            made_in: "ordu_core::Rank",
            class: Class::Safety,
        }
    }

    fn audit(&mut self, world: &World) -> Finding {
        let mut shown: BTreeMap<Grounds, Host> = BTreeMap::new();
        for (host, _, node) in world.nodes() {
            if let Some(&twin) = shown.get(&grounds(node)) {
                same(&world.view(twin).names, &world.view(host).names)
                    .map_err(|name| format!("{twin} and {host} hold the same, but not {name}"))?;
            } else {
                shown.insert(grounds(node), host);
            }
        }
        Ok(())
    }
}

fn grounds(node: &Node) -> Grounds {
    let row = |replica: &ordu_core::Replica| {
        let journal = node.journal(replica);
        let (head, fingerprint) = journal.map_or((0, 0), |j| (j.head(), j.fingerprint()));
        (replica.key(), head, fingerprint)
    };
    node.visible().map(row).collect()
}

/// Compares two views of names.
fn same<K: Ord + Debug, V: PartialEq + Debug>(
    ours: &BTreeMap<K, V>,
    theirs: &BTreeMap<K, V>,
) -> Finding {
    if ours == theirs {
        return Ok(());
    }
    let mut keys = ours.keys().chain(theirs.keys());
    let key = keys.find(|key| ours.get(key) != theirs.get(key));
    let of = |names: &BTreeMap<K, V>| key.and_then(|key| names.get(key).map(|v| format!("{v:?}")));
    Err(format!("{key:?}: {:?} and {:?}", of(ours), of(theirs)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_only_one_of_two_shows_is_found() {
        let ours = BTreeMap::from([("a", 1), ("b", 2)]);
        assert_eq!(same(&ours, &ours.clone()), Ok(()));
        assert!(same(&ours, &BTreeMap::from([("a", 1)])).unwrap_err().contains("\"b\""));
        assert!(same(&ours, &BTreeMap::from([("a", 1), ("b", 3)])).is_err());
    }
}
