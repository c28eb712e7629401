//! Children that run elsewhere than they belong: plans of moves, and whether anything moves.

use crate::entry::CellKey;
use crate::node::Node;
use crate::placement::MovePlan;
use crate::{Blob, NodeId, Reply, Scope};

impl Node {
    /// Returns which children of a supervisor run elsewhere than they belong, or would if `without`
    /// had left, as [`Command::PlanMoves`](crate::Command::PlanMoves) tells.
    pub fn moves(&self, scope: Scope, without: Option<&NodeId>) -> MovePlan {
        let (targets, strategies) = (&self.targets, &self.config.strategies);
        let moves = self.supervisor.plan(scope, targets, strategies, without);
        MovePlan { is_paused: self.supervisor.are_moves_paused(scope), moves }
    }

    pub(super) fn pause_moves(&mut self, ticket: u64, scope: Scope, is_paused: bool) {
        let cell = CellKey::MovesPaused(scope);
        if self.cells.has_value(&cell) != is_paused {
            self.write_cell(&cell, is_paused.then(Blob::default));
            self.carry_out_effects();
        }
        self.reply(ticket, Reply::PauseMoves(Ok(())));
    }
}
