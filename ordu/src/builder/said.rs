//! What a node says from the start: of itself, of its registries, and who may be a member.

use std::collections::{BTreeMap, BTreeSet};

use ordu_core::{Blob, Labels, Name, NodeId, Scope};

use crate::builder::{NodeBuilder, StartNodeError};

impl NodeBuilder {
    pub(super) fn labels(&mut self) -> Result<Labels, StartNodeError> {
        let mut labels = Labels::new();
        for (key, value) in std::mem::take(&mut self.labels) {
            labels.insert(key, value).map_err(|source| StartNodeError::Label { source })?;
        }
        Ok(labels)
    }

    pub(super) fn first_metadata(
        &mut self,
    ) -> Result<BTreeMap<(Scope, Name), Blob>, StartNodeError> {
        let mut metadata = BTreeMap::new();
        for (registry, key, value) in std::mem::take(&mut self.metadata) {
            let scope = self.registries.scope(&registry);
            let scope = scope.map_err(|source| StartNodeError::UnknownRegistry { source })?;
            let key = key.map_err(|source| StartNodeError::MetadataKey { registry, source })?;
            metadata.insert((scope, key), value);
        }
        Ok(metadata)
    }
}

/// Returns the nodes that are called `names`.
pub(super) fn listed(names: Vec<String>) -> Result<BTreeSet<NodeId>, StartNodeError> {
    let bad = |member: String| move |source| StartNodeError::Member { member, source };
    names.into_iter().map(|name| NodeId::new(name.as_str()).map_err(bad(name))).collect()
}
