//! What is moved once members have come or changed.

use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{ChildId, NodeId, Scope};

/// What a node does with children that run on it and belong elsewhere, since members came.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub enum Redistribution {
    /// Nothing: a child stays where it runs until its node goes.
    #[default]
    Passive,
    /// It stops them, a few at a time, and each starts where it belongs; but for those that are
    /// specified to [stay](crate::ChildSpec::stays).
    Active {
        /// How many of them may be stopping at once; low spares whoever calls them.
        at_once: usize,
        /// For how long all members must have been as they are: while they come and go nothing
        /// moves.
        quiet: Duration,
    },
}

impl Redistribution {
    /// Ten children at once, once the members have been as they are for ten seconds.
    pub const ACTIVE: Self = Self::Active { at_once: 10, quiet: Duration::from_secs(10) };
}

/// Which children run elsewhere than they belong, and where each would go.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct MovePlan {
    /// Whether nothing moves for now, as operators want it
    /// ([`Command::PauseMoves`](crate::Command::PauseMoves)).
    pub is_paused: bool,
    /// The moves, in the order of the children.
    pub moves: Vec<Move>,
}

/// A child that runs elsewhere than it belongs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Move {
    /// The supervisor.
    pub scope: Scope,
    /// The child.
    pub child: ChildId,
    /// Where it runs.
    pub from: NodeId,
    /// Where it belongs.
    pub to: NodeId,
}
