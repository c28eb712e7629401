//! What readers of each node see of the members, as it was shown to them.

use std::collections::BTreeMap;

use ordu_core::{Incarnation, NodeId, Output, ViewChange};

use crate::host::Host;
use crate::invariants::Scene;

/// In which lives the present life of each node shows the others.
#[derive(Default)]
pub(super) struct Shown {
    lives: BTreeMap<Host, (u64, BTreeMap<NodeId, Incarnation>)>,
}

impl Shown {
    /// Takes in what a node asks for.
    pub(super) fn handle_output(&mut self, scene: &Scene<'_>, output: &Output) {
        let Output::View(ViewChange::Member { node, view }) = output else { return };
        let (life, members) = self.lives.entry(scene.host).or_default();
        if *life != scene.life {
            (*life, *members) = (scene.life, BTreeMap::new());
        }
        match view {
            Some(view) => members.insert(node.clone(), view.incarnation),
            None => members.remove(node),
        };
    }

    /// Returns the life in which `observer` shows `node`, if it does.
    pub(super) fn life(&self, observer: &NodeId, node: &NodeId) -> Option<Incarnation> {
        let (_, members) = self.lives.get(&Host::of(observer)?)?;
        members.get(node).copied()
    }
}
