//! The names that children keep for themselves, between two runs as well.

use alloc::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::supervisor::children::ChildKey;
use crate::table::Table;
use crate::{Name, Scope};

/// Which children reserve which names.
///
/// Mostly a name is one child's alone, and that it is takes no look at the names: `shared` is 0.
///
/// Invariant: no name is reserved by nobody; `shared` counts the names that several children
/// reserve.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reserved {
    children: Table<(Scope, Name), BTreeSet<ChildKey>>,
    shared: usize,
}

impl Reserved {
    /// Returns whether some name is reserved by several children.
    pub(super) fn are_some_shared(&self) -> bool {
        self.shared > 0
    }

    /// Iterates over the children that reserve `name`.
    pub(super) fn of(&self, name: &(Scope, Name)) -> impl Iterator<Item = &ChildKey> {
        self.children.get(name).into_iter().flatten()
    }

    /// Reserves `name` for `key`.
    pub(super) fn insert(&mut self, name: &(Scope, Name), key: ChildKey) {
        let children = self.children.get_or_default(name);
        let is_new = children.insert(key);
        self.shared += usize::from(is_new && children.len() == 2);
    }

    /// Lets `key` reserve `name` no more.
    pub(super) fn remove(&mut self, name: &(Scope, Name), key: ChildKey) {
        self.shared -= self.children.change(name, |children| {
            let was_there = children.remove(&key);
            (usize::from(was_there && children.len() == 1), !children.is_empty())
        });
    }
}

/// What is counted follows from the rest, and is not stored.
impl Serialize for Reserved {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.children.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Reserved {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let children = Table::<(Scope, Name), BTreeSet<ChildKey>>::deserialize(deserializer)?;
        let shared = children.iter().filter(|(_, children)| children.len() > 1).count();
        Ok(Self { children, shared })
    }
}
