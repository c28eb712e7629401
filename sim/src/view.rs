//! What the readers of one node see: its view changes, added up.

use std::collections::{BTreeMap, BTreeSet};

use ordu_core::{
    Blob, ChildId, ChildView, Holder, Loss, MemberView, Name, NodeId, ProcessId, Scope, ViewChange,
};

/// Everything that one life of a node shows its readers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct View {
    /// The members.
    pub members: BTreeMap<NodeId, MemberView>,
    /// Who holds which name.
    pub names: BTreeMap<(Scope, Name), Holder>,
    /// How a holder last lost a name.
    pub losses: BTreeMap<(Scope, Name), Loss>,
    /// The children that have not ended.
    pub children: BTreeMap<(Scope, ChildId), ChildView>,
    /// The members of groups, with what they keep beside their membership.
    pub groups: BTreeMap<(Scope, Name, ProcessId), Blob>,
    /// The metadata of registries.
    pub metadata: BTreeMap<(Scope, Name), Blob>,
    /// Who may be a member; `None` if anybody may.
    pub member_list: Option<BTreeSet<NodeId>>,
}

impl View {
    /// Takes in one change.
    pub(crate) fn handle(&mut self, change: ViewChange) {
        match change {
            ViewChange::Member { node, view } => set(&mut self.members, node, view),
            ViewChange::Name { scope, name, holder, loss } => {
                if let Some(loss) = loss {
                    self.losses.insert((scope, name.clone()), loss);
                }
                set(&mut self.names, (scope, name), holder);
            }
            ViewChange::Child { scope, child, view } => {
                set(&mut self.children, (scope, child), view);
            }
            ViewChange::Group { scope, group, process, metadata } => {
                set(&mut self.groups, (scope, group, process), metadata);
            }
            ViewChange::Meta { scope, key, value } => set(&mut self.metadata, (scope, key), value),
            ViewChange::MemberList { listed } => self.member_list = listed,
        }
    }
}

fn set<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}
