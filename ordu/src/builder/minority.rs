//! What a node is told to do with children where it finds itself in the minority.

use ordu_core::{Mode, OnMinority};

use crate::builder::NodeBuilder;

impl NodeBuilder {
    /// Sets what the node does about the children of the supervisor called `supervisor` while it
    /// sees too few members: it goes on by default, and each side of a split runs all children; or
    /// it stops them and starts none, until it has a quorum again.
    ///
    /// To stop them is not exclusivity: over broken links, or with loss one way, a child may still
    /// run twice; what [`exclusive`](Self::exclusive) supervisors run does not. Give all nodes of
    /// the cluster the same; they refuse each other otherwise.
    ///
    /// # Example
    ///
    /// ```
    /// use ordu::{ChildSpec, Node, OnMinority, Quorum, StartChildError};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let node = Node::builder("shop", "a");
    /// let node = node.on_minority("carts", OnMinority::Stop(Quorum::Static { size: 2 }));
    /// let node = node.start().await?;
    /// let cart = ChildSpec::of_kind("cart", &());
    /// match node.supervisor("carts").start_child(cart).await {
    ///     Ok(cart) => println!("{} runs", cart.id()),
    ///     Err(StartChildError::NoQuorum { up, of, .. }) => println!("{up} of {of} are up"),
    ///     Err(other) => return Err(other.into()),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_minority(self, supervisor: &str, on_minority: OnMinority) -> Self {
        self.mode(supervisor, Mode::Eventual { on_minority })
    }
}
