//! Where a behaviour is seen: on real sockets, and on simulated machines over either transport.

use std::future::{Future, pending};
use std::time::Duration;

use ordu::{
    Context, Incoming, Node, NodeBuilder, NodeId, Process, ProcessId, SettleError, StartError,
};
use ordu_sim::mad::{Cluster, Medium, simulate};
use ordu_sim::{Host, seeds};

/// How long anything may take; on simulated machines a healed connection's pause is included.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Adds up what it is sent.
pub(super) struct Clerk(u64);

impl Process for Clerk {
    const KIND: &'static str = "clerk";
    type Args = u64;
    type Message = u64;
    type Reply = u64;

    async fn start(first: u64, _: &mut Context<Self>) -> Result<Self, StartError> {
        Ok(Self(first))
    }

    async fn handle(&mut self, more: u64, _: &mut Context<Self>) -> u64 {
        self.0 += more;
        self.0
    }
}

/// Nodes that found each other: `n1` and so on, with the registries `default` and `carts`.
pub(super) struct Ground {
    nodes: Vec<Node>,
    place: Place,
}

enum Place {
    Sockets,
    Machines(Box<Cluster>),
}

/// Shows `behaviour` on real sockets, and on simulated machines over TCP and in memory.
pub(super) fn everywhere<F>(nodes: u16, behaviour: impl Fn(Ground) -> F + Copy + Send + 'static)
where
    F: Future<Output = ()>,
{
    on_machines(nodes, behaviour);
    eprintln!("on real sockets");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.unwrap().block_on(async { behaviour(Ground::on_sockets(nodes).await).await });
}

/// Shows `behaviour` on simulated machines alone, where links can be cut.
pub(super) fn on_machines<F>(nodes: u16, behaviour: impl Fn(Ground) -> F + Copy + Send + 'static)
where
    F: Future<Output = ()>,
{
    for medium in Medium::ALL {
        for seed in seeds(2) {
            simulate(seed, move |log| async move {
                let describe = |host: Host, builder| describe(builder, &host.to_string());
                let cluster = Cluster::boot(&log, medium, nodes, describe);
                cluster.rest(PATIENCE).await;
                let nodes = cluster.up().into_iter().map(|host| cluster.node(host)).collect();
                behaviour(Ground { nodes, place: Place::Machines(Box::new(cluster)) }).await;
            });
        }
    }
}

/// Describes the node called `name`; each has other metadata for the registry `rules`.
fn describe(builder: NodeBuilder, name: &str) -> NodeBuilder {
    let builder = builder.kind::<Clerk>().registry("carts").registry("rules");
    builder.metadata("rules", "made-by", name).metadata("rules", "version", "1")
}

impl Ground {
    async fn on_sockets(count: u16) -> Self {
        let mut nodes: Vec<Node> = Vec::new();
        for number in 1..=count {
            let seeds: Vec<String> =
                nodes.iter().take(1).map(|node| node.local_addr().to_string()).collect();
            let name = format!("n{number}");
            let builder = describe(Node::builder("shop", name.as_str()), &name).seeds(seeds);
            let node = builder.start().await.unwrap();
            node.ready(PATIENCE).await.unwrap();
            nodes.push(node);
        }
        let ground = Self { nodes, place: Place::Sockets };
        ground.rest().await;
        ground
    }

    /// Returns the first nodes, as many as there are to be.
    pub(super) fn nodes<const COUNT: usize>(&self) -> [Node; COUNT] {
        std::array::from_fn(|index| self.nodes[index].clone())
    }

    /// Waits until all nodes are at rest: what one knows all know.
    pub(super) async fn rest(&self) {
        match &self.place {
            Place::Sockets => {
                for node in &self.nodes {
                    match node.settled().timeout(PATIENCE).await {
                        Ok(()) | Err(SettleError::NotReady) => (),
                        Err(error) => panic!("{} is not at rest: {error}", node.id()),
                    }
                }
            }
            Place::Machines(cluster) => cluster.rest(PATIENCE).await,
        }
    }

    /// Waits until `is_so`.
    pub(super) async fn until(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        match &self.place {
            Place::Sockets => {
                let deadline = tokio::time::Instant::now() + PATIENCE;
                while !is_so().await {
                    assert!(tokio::time::Instant::now() < deadline, "waited too long for {what}");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            Place::Machines(cluster) => cluster.until(what, PATIENCE, is_so).await,
        }
    }

    /// Lets `duration` pass.
    pub(super) async fn pass(&self, duration: Duration) {
        match &self.place {
            Place::Sockets => tokio::time::sleep(duration).await,
            Place::Machines(cluster) => cluster.pass(duration).await,
        }
    }

    /// Cuts the machines `left` off from the machines `right`, given by their numbers.
    pub(super) fn part(&mut self, left: &[u16], right: &[u16]) {
        let hosts = |numbers: &[u16]| numbers.iter().map(|&number| Host::new(number)).collect();
        let (left, right): (Vec<Host>, Vec<Host>) = (hosts(left), hosts(right));
        self.machines().partition(&left, &right);
    }

    /// Mends every link.
    pub(super) fn heal(&mut self) {
        self.machines().heal();
    }

    /// Kills a machine and starts it anew, under the same name.
    pub(super) fn restart(&mut self, number: u16) {
        self.machines().restart(Host::new(number));
    }

    fn machines(&mut self) -> &mut Cluster {
        match &mut self.place {
            Place::Machines(cluster) => cluster,
            Place::Sockets => panic!("real links are not cut here"),
        }
    }

    /// Returns the handle of the present life of a node, given by its number.
    pub(super) fn present(&self, number: u16) -> Node {
        match &self.place {
            Place::Machines(cluster) => cluster.node(Host::new(number)),
            Place::Sockets => self.nodes[usize::from(number) - 1].clone(),
        }
    }

    /// Ends all nodes.
    pub(super) async fn end(self) {
        for node in self.nodes {
            node.halt().await;
        }
    }
}

/// Runs a process on `node` that does nothing, until it is told to stop.
pub(super) async fn idle(node: &Node) -> ProcessId {
    node.spawn(async |context: Context| context.stopped().await).await.unwrap()
}

/// Runs a process on `node` that does not heed any notice.
pub(super) async fn deaf(node: &Node) -> ProcessId {
    node.spawn(async |_: Context| pending::<()>().await).await.unwrap()
}

/// Runs a process on `node` that ends at the first message.
pub(super) async fn brief(node: &Node) -> ProcessId {
    let process = async |mut context: Context| {
        if let Incoming::Message(letter) = context.next().await {
            letter.reply(&0_u64).await;
        }
    };
    node.spawn(process).await.unwrap()
}

/// Returns the members that `node` knows, in order.
pub(super) fn members(node: &Node) -> Vec<String> {
    node.members().into_iter().map(|member| member.node.to_string()).collect()
}

pub(super) fn id(node: &str) -> NodeId {
    NodeId::new(node).unwrap()
}
