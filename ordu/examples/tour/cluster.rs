//! The node processes together: who is alive, who runs what, who answers.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::try_join_all;

use crate::process::NodeProcess;
use crate::words::{Answer, Member, Request, Setup};
use crate::{Failure, NODES};

/// How long one step may take before the tour is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a child may leave a call without an answer before it counts as lost.
const CALL_PATIENCE: Duration = Duration::from_secs(20);

/// All node processes; a dead one leaves its place empty.
pub(crate) struct Cluster {
    names: Vec<String>,
    secret: Vec<u8>,
    nodes: Vec<Option<NodeProcess>>,
}

/// What was found by asking every node for every child.
#[derive(Debug, Default)]
pub(crate) struct Census {
    /// Children that run nowhere, or that some node had no answer from.
    pub lost: BTreeSet<usize>,
    /// Children that run more than once, or as which two processes answered.
    pub double: BTreeSet<usize>,
}

impl Cluster {
    /// Starts all node processes and waits until each sees all the others.
    pub(crate) async fn start(names: Vec<String>, ports: [u16; NODES]) -> Result<Self, Failure> {
        let mut secret = vec![0; 32];
        getrandom::fill(&mut secret).map_err(|error| format!("no random bytes: {error}"))?;
        let mut cluster = Self { names, secret, nodes: (0..NODES).map(|_| None).collect() };
        for (index, port) in ports.into_iter().enumerate() {
            cluster.start_node(index, port).await?;
        }
        within(PATIENCE, "joining", cluster.all_see_each_other()).await?;
        Ok(cluster)
    }

    /// Starts the node at `index`, for the first time or again under its old name.
    pub(crate) async fn start_node(&mut self, index: usize, port: u16) -> Result<(), Failure> {
        assert!(self.nodes[index].is_none(), "a name belongs to one process");
        let setup = Setup {
            node: name(index),
            port,
            seeds: self.all().map(|node| node.address.clone()).collect(),
            secret: self.secret.clone(),
            names: self.names.clone(),
        };
        let node = within(PATIENCE, "starting a node", NodeProcess::start(&setup)).await?;
        self.nodes[index] = Some(node);
        Ok(())
    }

    /// Starts a child for every name, each node a share of them; calls `progress` after each part.
    pub(crate) async fn start_children(&self, progress: impl Fn(usize)) -> Result<(), Failure> {
        const PART: usize = 100;
        let shares = self.names.len().div_ceil(NODES).max(1);
        let starts = self.all().enumerate().map(async |(index, node)| {
            let end = ((index + 1) * shares).min(self.names.len());
            for from in (index * shares..end).step_by(PART) {
                let to = (from + PART).min(end);
                node.ask(Request::Start { from, to }).await?;
                progress(to - from);
            }
            Ok::<_, Failure>(())
        });
        try_join_all(starts).await?;
        Ok(())
    }

    /// Returns the places of all nodes.
    pub(crate) fn everyone(&self) -> Vec<usize> {
        (0..NODES).collect()
    }

    /// Returns the places of all nodes that live but `one`.
    pub(crate) fn all_but(&self, one: usize) -> Vec<usize> {
        let lives = |&index: &usize| index != one && self.nodes[index].is_some();
        (0..NODES).filter(lives).collect()
    }

    /// Returns the node at `index`, which must live.
    pub(crate) fn node(&self, index: usize) -> &NodeProcess {
        self.nodes[index].as_ref().expect("the tour asks nodes that live")
    }

    /// Takes the node at `index` out of the cluster, to be killed or waited for.
    pub(crate) fn take(&mut self, index: usize) -> NodeProcess {
        self.nodes[index].take().expect("the tour takes nodes that live")
    }

    /// Returns the children that run on the node at `index`, counted by the process itself.
    pub(crate) async fn running(&self, index: usize) -> Result<Vec<usize>, Failure> {
        let running = self.node(index).ask(Request::Running);
        match within(PATIENCE, "counting children", running).await? {
            Answer::Running(children) => Ok(children),
            Answer::Done | Answer::Called(_) => Err("a node answered something else".into()),
        }
    }

    /// Returns the children that run more than once on `nodes` together.
    pub(crate) async fn running_twice(&self, nodes: &[usize]) -> Result<BTreeSet<usize>, Failure> {
        let instances = self.instances(nodes).await?;
        Ok((0..self.names.len()).filter(|&child| instances[child] > 1).collect())
    }

    /// Waits until each of `observers` sees each of `observed` as `wanted`.
    pub(crate) async fn see(
        &self,
        observers: &[usize],
        observed: &[usize],
        wanted: impl Fn(Option<Member>) -> bool,
    ) -> Result<(), Failure> {
        let wanted = &wanted;
        let looks = self.live(observers).map(async |node| {
            node.sees(|members| observed.iter().all(|&i| wanted(members.get(&name(i)).copied())))
                .await
        });
        within(PATIENCE, "waiting for a member to be noticed", try_join_all(looks)).await?;
        Ok(())
    }

    /// Waits until every live node sees every live node.
    pub(crate) async fn all_see_each_other(&self) -> Result<(), Failure> {
        let live: Vec<usize> = self.all_but(NODES);
        self.see(&live, &live, |member| member.is_some_and(|member| member.up)).await
    }

    /// Calls `children` by name from each of `callers` until all have answered; returns, for each
    /// caller, who answered.
    async fn call(
        &self,
        callers: &[usize],
        children: &[usize],
    ) -> Result<Vec<Vec<Option<String>>>, Failure> {
        let within_ms = crate::report::millis(CALL_PATIENCE);
        let calls = self.live(callers).map(async |node| {
            let names = children.to_vec();
            match node.ask(Request::Call { names, within_ms }).await? {
                Answer::Called(processes) => Ok(processes),
                Answer::Done | Answer::Running(_) => {
                    Err(Failure::from("a node answered something else"))
                }
            }
        });
        within(PATIENCE, "calling children", try_join_all(calls)).await
    }

    /// Calls `children` by name from each of `callers` until all have answered; returns those from
    /// which some caller had no answer in time.
    pub(crate) async fn call_until_answered(
        &self,
        callers: &[usize],
        children: &[usize],
    ) -> Result<BTreeSet<usize>, Failure> {
        let answers = self.call(callers, children).await?;
        let silent = |turn: &usize| answers.iter().any(|by| by[*turn].is_none());
        Ok((0..children.len()).filter(silent).map(|turn| children[turn]).collect())
    }

    /// Waits until every live node says that the cluster is at rest.
    pub(crate) async fn settle(&self) -> Result<(), Failure> {
        let within_ms = crate::report::millis(PATIENCE);
        let settles = self.all().map(async |node| node.ask(Request::Settle { within_ms }).await);
        within(PATIENCE * 2, "waiting for rest", try_join_all(settles)).await?;
        Ok(())
    }

    /// Asks every live node for every child, and every process for what really runs in it.
    pub(crate) async fn census(&self) -> Result<Census, Failure> {
        let live = self.all_but(NODES);
        let children: Vec<usize> = (0..self.names.len()).collect();
        let answers = self.call(&live, &children).await?;
        let instances = self.instances(&live).await?;

        let mut census = Census::default();
        for child in children {
            let answered: BTreeSet<_> = answers.iter().map(|by| by[child].as_ref()).collect();
            if instances[child] == 0 || answered.contains(&None) {
                census.lost.insert(child);
            }
            if instances[child] > 1 || answered.into_iter().flatten().count() > 1 {
                census.double.insert(child);
            }
        }
        Ok(census)
    }

    /// Cuts the network in two, or heals it if one side is empty.
    pub(crate) async fn cut(&self, left: &[usize], right: &[usize]) -> Result<(), Failure> {
        for (here, there) in [(left, right), (right, left)] {
            let peers: Vec<String> = there.iter().map(|&index| name(index)).collect();
            for node in self.live(here) {
                let peers = peers.clone();
                node.ask(Request::Cut { peers }).await?;
            }
        }
        Ok(())
    }

    /// Lets all frames through again.
    pub(crate) async fn heal(&self) -> Result<(), Failure> {
        for node in self.all() {
            node.ask(Request::Heal).await?;
        }
        Ok(())
    }

    /// Returns how often each child runs on `nodes` together.
    async fn instances(&self, nodes: &[usize]) -> Result<Vec<usize>, Failure> {
        let mut instances = vec![0; self.names.len()];
        for &index in nodes {
            for child in self.running(index).await? {
                instances[child] += 1;
            }
        }
        Ok(instances)
    }

    /// Iterates over all nodes that live.
    fn all(&self) -> impl Iterator<Item = &NodeProcess> {
        self.nodes.iter().flatten()
    }

    /// Iterates over those of `nodes` that live.
    fn live(&self, nodes: &[usize]) -> impl Iterator<Item = &NodeProcess> {
        nodes.iter().filter_map(|&index| self.nodes[index].as_ref())
    }
}

/// Returns what the node at `index` is called.
pub(crate) fn name(index: usize) -> String {
    format!("n{}", index + 1)
}

/// Waits for `future`, and gives the tour up if that takes longer than `patience`.
pub(crate) async fn within<T>(
    patience: Duration,
    what: &str,
    future: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(patience, future).await {
        Ok(result) => result,
        Err(_) => Err(format!("{what} took longer than {patience:?}").into()),
    }
}
