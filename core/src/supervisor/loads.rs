//! How many children are on each node, or on their way to it: what strategies go by.

use alloc::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Blob, NodeId, Scope};

/// The supervisor and the placement key that children share which are told apart by it.
pub(crate) type Kin = (Scope, Blob);

/// Where a child counts, and with whom it shares its placement key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Whereabouts {
    /// The node.
    pub(crate) node: NodeId,
    /// Whom it is told apart from, if from anybody.
    pub(crate) kin: Option<Kin>,
}

/// How many children count on each node.
///
/// Invariant: no count is 0.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Loads {
    children: BTreeMap<NodeId, usize>,
    kin: BTreeMap<(Kin, NodeId), usize>,
}

impl Loads {
    /// Returns how many children are on `node`.
    pub(crate) fn children(&self, node: &NodeId) -> usize {
        self.children.get(node).copied().unwrap_or(0)
    }

    /// Returns how many of `kin` are on `node`.
    pub(crate) fn kin(&self, kin: &Kin, node: &NodeId) -> usize {
        self.kin.get(&(kin.clone(), node.clone())).copied().unwrap_or(0)
    }

    /// Counts a child that has come.
    pub(crate) fn add(&mut self, child: Whereabouts) {
        let Whereabouts { node, kin } = child;
        *self.children.entry(node.clone()).or_default() += 1;
        if let Some(kin) = kin {
            *self.kin.entry((kin, node)).or_default() += 1;
        }
    }

    /// Counts a child no more that has gone.
    pub(crate) fn remove(&mut self, child: Whereabouts) {
        let Whereabouts { node, kin } = child;
        decrement(&mut self.children, &node);
        if let Some(kin) = kin {
            decrement(&mut self.kin, &(kin, node));
        }
    }
}

fn decrement<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    let count = counts.get_mut(key).expect("what goes was counted when it came");
    *count -= 1;
    if *count == 0 {
        counts.remove(key);
    }
}
