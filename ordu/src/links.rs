//! Who hears whom.

use std::time::Duration;

use ordu_core::{Command, LinksView, Reply};

use crate::call::TIMEOUT;
use crate::node::{Node, Over};
use crate::operation::operation;

impl Node {
    /// Tells of each ordered pair of members whether the one hears the other directly, and how old
    /// is what it heard, as this node sees it. Answered at once.
    ///
    /// What is heard of members goes round a broken link, so that none is down as long as there is
    /// a way round; this is where such a link shows. [`LinksView`] is displayed as the links that
    /// look broken, one a line, and as nothing if all is well.
    ///
    /// # Example
    ///
    /// ```
    /// # async fn example(node: &ordu::Node) {
    /// if let Some(links) = node.links().await {
    ///     for link in links.broken() {
    ///         println!("{link}"); // b does not hear c: silent for 12.3s, as it said 200.0ms ago
    ///     }
    /// }
    /// # }
    /// ```
    pub fn links(&self) -> AskLinks {
        AskLinks { node: self.clone(), timeout: TIMEOUT }
    }
}

/// The question who hears whom; await it. A node that is over says nothing.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct AskLinks {
    node: Node,
    timeout: Duration,
}

operation!(AskLinks => Option<LinksView>);

impl AskLinks {
    async fn run(self) -> Option<LinksView> {
        let Self { node, timeout } = self;
        match node.ask(Command::Links, timeout).await {
            Ok(Reply::Links(view)) => Some(view),
            Ok(other) => unreachable!("the question is answered as such, not with {other:?}"),
            Err(Over) => None,
        }
    }
}
