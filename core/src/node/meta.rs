//! Metadata of registries: what any member may write, and all can read.

use core::mem;
use core::time::Duration;

use crate::entry::CellKey;
use crate::limits::{METAS_MAX, VALUE_BYTES_MAX};
use crate::node::Node;
use crate::requests::Written;
use crate::{Blob, Name, Output, Replicas, Reply, Scope, Stamp, ViewChange, WriteMetaError};

impl Node {
    pub(super) fn write_meta(
        &mut self,
        ticket: u64,
        timeout: Duration,
        (scope, key): (Scope, Name),
        value: Option<Blob>,
        replicas: Replicas,
    ) {
        let bytes = value.as_ref().map_or(0, |value| value.len());
        if VALUE_BYTES_MAX < bytes {
            let error = WriteMetaError::TooLarge { bytes, max: VALUE_BYTES_MAX };
            return self.reply(ticket, Reply::WriteMeta(Err(error)));
        }
        let cell = CellKey::Meta(scope, key);
        let is_known = self.cells.is_known(&cell);
        if value.is_some() && !is_known && METAS_MAX <= self.cells.count(scope) {
            let error = WriteMetaError::TooMany { max: METAS_MAX };
            return self.reply(ticket, Reply::WriteMeta(Err(error)));
        }
        // Of what nobody wrote there is nothing to delete.
        if value.is_some() || is_known {
            self.write_cell(&cell, value);
        }
        self.await_replicas(ticket, timeout, Written::Meta, replicas);
    }

    /// Adds the metadata that this node was given at its start, where there is none yet; once.
    ///
    /// Under a key that nobody wrote it has the lowest stamp there is: whatever another node puts,
    /// or put where we could not see it, comes before it. Where something was deleted it has to say
    /// what it supersedes, and is a write like any other.
    pub(super) fn add_first_metadata(&mut self) {
        for ((scope, key), value) in mem::take(&mut self.config.metadata) {
            self.add_metadata(scope, key, value);
        }
    }

    /// Adds metadata where there is none.
    pub(super) fn add_metadata(&mut self, scope: Scope, key: Name, value: Blob) {
        let cell = CellKey::Meta(scope, key);
        if self.cells.has_value(&cell) || METAS_MAX <= self.cells.count(scope) {
            return;
        }
        if self.cells.is_known(&cell) {
            self.write_cell(&cell, Some(value));
        } else {
            let me = self.me.as_ref().expect("only who has joined is ready");
            self.cells.write(me, Stamp::default(), &cell, Some(value));
        }
        self.carry_out_effects();
    }

    /// Tells whom it concerns of the next cell that changed; returns whether there was any.
    pub(super) fn show_cell(&mut self) -> bool {
        let Some((key, value)) = self.cells.poll_change() else { return false };
        match key {
            CellKey::Meta(scope, key) => {
                self.outputs.push_back(Output::View(ViewChange::Meta { scope, key, value }));
            }
            CellKey::Members => self.handle_list(value.as_ref()),
            CellKey::Evicted(node) => self.handle_eviction(&node, value.as_ref()),
            CellKey::GivenUp(scope, child, node) => {
                self.handle_given_up((scope, child), &node, value.as_ref());
            }
            CellKey::MovesPaused(scope) => {
                self.supervisor.handle_moves_paused(self.now, scope, value.is_some());
            }
        }
        true
    }
}
