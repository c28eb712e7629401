//! Whether a node sees enough members to run the children of a supervisor.

use std::time::Duration;

use ordu_core::{Command, QuorumView, Reply};

use crate::call::TIMEOUT;
use crate::node::Over;
use crate::operation::operation;
use crate::supervisor::Supervisor;

impl Supervisor {
    /// Tells whether its children may run on this node, as it sees it: how many are up of those
    /// that count by its [`Mode`](crate::Mode), and for how long that has been so; under leases
    /// also how many this node holds, and when the first of them ends. Answered at once.
    ///
    /// Events tell when it changes: [`Event::Quorum`](crate::Event::Quorum), and of voters
    /// [`Event::Majority`](crate::Event::Majority).
    pub fn quorum(&self) -> AskQuorum {
        AskQuorum { supervisor: self.clone(), timeout: TIMEOUT }
    }
}

/// The question whether the children of a supervisor may run here; await it. A node that is over
/// says nothing.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct AskQuorum {
    supervisor: Supervisor,
    timeout: Duration,
}

operation!(AskQuorum => Option<QuorumView>);

impl AskQuorum {
    async fn run(self) -> Option<QuorumView> {
        let Self { supervisor, timeout } = self;
        let (node, scope) = supervisor.into_parts();
        match node.ask(Command::Quorum { scope }, timeout).await {
            Ok(Reply::Quorum(view)) => Some(view),
            Ok(other) => unreachable!("the question is answered as such, not with {other:?}"),
            Err(Over) => None,
        }
    }
}
