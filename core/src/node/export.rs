//! What outlives nodes, taken out of a cluster and brought into one.

use core::mem;

use crate::Export;
use crate::entry::{CellKey, Entry as _, Key, MembersEntry};
use crate::node::Node;

impl Node {
    /// Returns what this node knows of all that belongs to no node: children, metadata, the list of
    /// members. Costs all of it.
    ///
    /// Every member that is [ready](Self::is_ready) knows the same, but for what is on its way.
    pub fn export(&self) -> Export {
        let mut export = Export::default();
        for ((scope, child), known) in self.supervisor.standing() {
            let key = Key::Spec(*scope, *child).encode();
            let entry = known.spec_in.iter().find_map(|by| self.replication.value(by, &key));
            if let Some(entry) = entry.cloned() {
                export.children.push((key, entry));
            }
        }
        for (key, value) in self.cells.values() {
            match key {
                CellKey::Meta(scope, name) => {
                    export.metadata.push((*scope, name.clone(), value.clone()));
                }
                CellKey::Members => {
                    export.members = MembersEntry::decode(value).map(|entry| entry.nodes);
                }
                // It is about lives, and those are over; other nodes may run what these could not.
                CellKey::Evicted(_) | CellKey::GivenUp(..) => {}
                // Whatever it was for, nothing of it is under way any more.
                CellKey::MovesPaused(_) => {}
            }
        }
        export
    }

    /// Adds what this node was given of a cluster that was before, where nothing is known of it;
    /// once.
    ///
    /// Whoever adds a child writes the same, so that it is one child, and one that has ended since
    /// stays ended for as long as that is remembered.
    pub(super) fn take_in_import(&mut self) {
        let Export { children, metadata, members } = mem::take(&mut self.config.import);
        for (key, entry) in children {
            let Some(Key::Spec(scope, child)) = Key::decode(&key) else { continue };
            if self.supervisor.child(&(scope, child)).is_none() {
                self.replication.put(key, entry);
            }
        }
        for (scope, name, value) in metadata {
            self.add_metadata(scope, name, value);
        }
        if let Some(nodes) = members {
            self.add_list(nodes);
        }
        self.carry_out_effects();
    }
}
