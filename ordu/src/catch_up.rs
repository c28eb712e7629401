//! Reading on one node what was written through another.

use std::time::Duration;

use ordu_core::{CatchUpError, CausalToken, Command, Reply};

use crate::node::{Node, Over};
use crate::operation::operation;

/// A wait for a node to have seen what a token speaks of; await it.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct CatchUp {
    node: Node,
    token: CausalToken,
    timeout: Duration,
}

operation!(CatchUp => Result<(), CatchUpError>);

impl CatchUp {
    pub(crate) fn new(node: Node, token: CausalToken) -> Self {
        Self { node, token, timeout: Duration::from_secs(5) }
    }

    async fn run(self) -> Result<(), CatchUpError> {
        match self.node.ask(Command::CatchUp { token: self.token }, self.timeout).await {
            Ok(Reply::CatchUp(caught_up)) => caught_up,
            Ok(other) => unreachable!("to catch up is answered as such, not with {other:?}"),
            Err(Over) => Err(CatchUpError::NotReady),
        }
    }
}
