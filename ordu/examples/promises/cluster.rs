//! The nodes of a scenario, and how to wait for what they do.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use ordu::{Child, ChildSpec, Node, NodeBuilder, NodeId, Secret, Supervisor};

use crate::Failure;
use crate::worker::{Ask, Worker};

/// How long one step may take before the scenario is given up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// The supervisor and the registry that the children are in.
pub(crate) const SCOPE: &str = "default";
/// How long to wait before looking again.
const LOOK: Duration = Duration::from_millis(5);

/// The nodes of one scenario.
pub(crate) struct Cluster {
    secret: [u8; Secret::BYTES_MIN],
    nodes: Vec<Node>,
}

impl Cluster {
    /// Returns a cluster without nodes, and with a secret of its own.
    pub(crate) fn new() -> Self {
        let mut secret = [0; Secret::BYTES_MIN];
        getrandom::fill(&mut secret).expect("every supported system has random bytes");
        Self { secret, nodes: Vec::new() }
    }

    /// Starts a node called `name`, with more than the defaults where `tuned` says so, and waits
    /// until it has joined those that are there.
    pub(crate) async fn join(
        &mut self,
        name: &str,
        tuned: impl FnOnce(NodeBuilder) -> NodeBuilder,
    ) -> Result<Node, Failure> {
        // A node that is over knows no members.
        let live = self.nodes.iter().filter(|node| !node.members().is_empty());
        let seeds: Vec<String> = live.map(|node| node.local_addr().to_string()).collect();
        let builder = Node::builder("promises", name)
            .kind::<Worker>()
            .secret(Secret::from_bytes(self.secret)?)
            .listen((Ipv4Addr::LOCALHOST, 0))
            .seeds(seeds);
        let node = tuned(builder).start().await?;
        self.nodes.push(node.clone());
        node.ready(PATIENCE).await?;
        Ok(node)
    }

    /// Starts three nodes that know each other.
    pub(crate) async fn three(
        &mut self,
        tuned: impl Fn(NodeBuilder) -> NodeBuilder,
    ) -> Result<[Node; 3], Failure> {
        let a = self.join("a", &tuned).await?;
        let b = self.join("b", &tuned).await?;
        let c = self.join("c", &tuned).await?;
        a.settled().timeout(PATIENCE).await?;
        Ok([a, b, c])
    }

    /// Ends all nodes at once; those that are over already stay so.
    pub(crate) async fn end(self) {
        for node in self.nodes {
            node.halt().await;
        }
    }
}

/// Returns a node as it is without being told otherwise.
pub(crate) fn plain(builder: NodeBuilder) -> NodeBuilder {
    builder
}

/// Starts a child for each of `specs`; one that does not start ends the scenario.
pub(crate) async fn start_all(
    supervisor: &Supervisor,
    specs: impl IntoIterator<Item = ChildSpec>,
) -> Result<Vec<Child>, Failure> {
    let started = supervisor.start_children(specs).timeout(PATIENCE).await;
    started.into_iter().map(|child| child.map_err(Failure::from)).collect()
}

/// Returns how many children run on each node, as `supervisor` sees it.
pub(crate) fn homes(supervisor: &Supervisor) -> BTreeMap<NodeId, usize> {
    let mut homes = BTreeMap::new();
    for process in supervisor.children().into_iter().filter_map(|child| child.process) {
        *homes.entry(process.replica.node().clone()).or_default() += 1;
    }
    homes
}

/// Returns `homes` in words.
pub(crate) fn told(homes: &BTreeMap<NodeId, usize>) -> String {
    let each: Vec<String> = homes.iter().map(|(node, count)| format!("{node}: {count}")).collect();
    each.join(", ")
}

/// Returns how many of `children` answer a call, each as the process that it is listed with.
pub(crate) async fn answering(children: &[Child]) -> usize {
    let mut answering = 0;
    for child in children {
        let who = child.call::<Worker>(&Ask::Who).await;
        answering += usize::from(who.is_ok_and(|process| process == child.process()));
    }
    answering
}

/// Waits until `look` finds something, and returns it.
pub(crate) async fn until<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> Result<T, Failure> {
    let looking = async {
        loop {
            match look().await {
                Some(found) => return found,
                None => tokio::time::sleep(LOOK).await,
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, looking).await;
    found.map_err(|_| format!("waited for over {PATIENCE:?} {what}").into())
}
