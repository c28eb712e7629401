//! What outlives the nodes of a cluster, so that it may outlive the cluster.

use ordu_core::Export;
use tokio::sync::oneshot;

use crate::driver::Mail;
use crate::node::Node;

/// Where an export goes.
pub(crate) type Exported = oneshot::Sender<Result<Export, ExportError>>;

impl Node {
    /// Returns what the cluster holds that belongs to no node: its children, the metadata of its
    /// registries, and the list of members if there is one. Costs all of that.
    ///
    /// A cluster whose nodes all stop forgets it. Keep it as bytes ([`Export::encode`]), and let
    /// the nodes of the cluster that starts anew [import](crate::NodeBuilder::import) it. What
    /// processes have in memory is not in it; they start as they were started first.
    ///
    /// ```no_run
    /// # async fn example(node: ordu::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use ordu::{Export, Node};
    ///
    /// std::fs::write("shop.export", node.export().await?.encode())?;
    /// // All nodes stop, and start again.
    /// let export = Export::decode(&std::fs::read("shop.export")?)?;
    /// let node = Node::builder("shop", "a").import(export).start().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the node is not ready, and does not know all of it yet, or is over.
    pub async fn export(&self) -> Result<Export, ExportError> {
        let (answer, answered) = oneshot::channel();
        let sent = self.mailbox().send(Mail::Export { answer }).await;
        sent.map_err(|_| ExportError::Over)?;
        answered.await.unwrap_or(Err(ExportError::Over))
    }
}

/// Why there is no export.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The node has not taken in yet what the others know; wait until it is ready.
    #[error("the node is not ready")]
    NotReady,
    /// The node is over, and with it what it knew; ask another one.
    #[error("the node is over")]
    Over,
}
