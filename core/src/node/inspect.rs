//! What tests and tools see of a node from outside.

use crate::crdt::Journal;
use crate::node::Node;
use crate::{Replica, Stamp};

impl Node {
    /// Returns the closed content of `replica`'s journal, as held here; the node's own, too.
    pub fn journal(&self, replica: &Replica) -> Option<&Journal> {
        self.replication.journal(replica)
    }

    /// Iterates over the journals held here, the node's own among them, with their only writers.
    pub fn journals(&self) -> impl Iterator<Item = (&Replica, &Journal)> {
        let replicas = self.replication.replicas();
        replicas.filter_map(|replica| Some((replica, self.replication.journal(replica)?)))
    }

    /// Returns whether names and children of `replica` show here.
    pub fn is_visible(&self, replica: &Replica) -> bool {
        self.visible.contains(replica)
    }

    /// Returns the highest stamp that was given out or taken in here.
    pub fn last_stamp(&self) -> Stamp {
        self.clock.last()
    }
}
