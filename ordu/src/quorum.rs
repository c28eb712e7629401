//! Whether a node sees enough members to run the children of a supervisor, or to have the names of
//! a registry held there.

use std::time::Duration;

use ordu_core::{Command, Domain, QuorumView, Reply, UnknownRegistry};

use crate::call::TIMEOUT;
use crate::node::{Node, Over};
use crate::operation::operation;
use crate::registry::Registry;
use crate::supervisor::Supervisor;

impl Supervisor {
    /// Tells whether its children may run on this node, as it sees it: how many are up of those
    /// that count by its [`Mode`](crate::Mode), and for how long that has been so; under leases
    /// also how many this node holds, and when the first of them ends. Answered at once.
    ///
    /// Events tell when it changes: [`Event::Quorum`](crate::Event::Quorum), and of voters
    /// [`Event::Majority`](crate::Event::Majority).
    pub fn quorum(&self) -> AskQuorum {
        let (node, scope) = self.clone().into_parts();
        AskQuorum { node, domain: Domain::Supervisor(scope), timeout: TIMEOUT }
    }
}

impl Registry {
    /// Tells whether its names may be held on this node, as it sees it, as
    /// [`Supervisor::quorum`] does of children. Answered at once.
    ///
    /// # Errors
    ///
    /// When this node was not told of the registry.
    pub fn quorum(&self) -> Result<AskQuorum, UnknownRegistry> {
        let (node, domain) = (self.node().clone(), Domain::Registry(self.scope()?));
        Ok(AskQuorum { node, domain, timeout: TIMEOUT })
    }
}

/// The question whether a node has a quorum for children, or for names; await it. A node that is
/// over says nothing.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct AskQuorum {
    node: Node,
    domain: Domain,
    timeout: Duration,
}

operation!(AskQuorum => Option<QuorumView>);

impl AskQuorum {
    async fn run(self) -> Option<QuorumView> {
        let Self { node, domain, timeout } = self;
        match node.ask(Command::Quorum { domain }, timeout).await {
            Ok(Reply::Quorum(view)) => Some(view),
            Ok(other) => unreachable!("the question is answered as such, not with {other:?}"),
            Err(Over) => None,
        }
    }
}
