//! A process whose count no conflict may lose, and what is true of it whatever anyone believes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use ordu::{
    CallError, ChildId, ChildSpec, Context, NodeBuilder, Process, ProcessId, StartError, StopReason,
};
use ordu_sim::Host;
use ordu_sim::mad::{Cluster, Log, Medium};

/// Time in which a cluster of these tests comes to rest, a healed connection's pause included.
pub(crate) const REST: Duration = Duration::from_secs(60);

/// How many children the tests start: enough for each of three nodes to run some.
pub(crate) const CHILDREN: usize = 12;

thread_local! {
    /// The counters that are in memory, those of frozen machines included. A simulation is a
    /// thread of its own, and so is this.
    static RUNNING: RefCell<BTreeMap<ProcessId, ChildId>> = const { RefCell::new(BTreeMap::new()) };
}

/// Adds up what it is sent; hands its total on, and adds what a loser handed on.
pub(crate) struct Counter {
    process: ProcessId,
    total: u64,
}

impl Process for Counter {
    const KIND: &'static str = "counter";
    type Args = ();
    type Message = u64;
    type Reply = u64;

    async fn start((): (), context: &mut Context<Self>) -> Result<Self, StartError> {
        let process = context.process_id().clone();
        let child = context.child_id().expect("only children count");
        RUNNING.with_borrow_mut(|running| running.insert(process.clone(), child));
        Ok(Self { process, total: context.state().map_or(0, read_total) })
    }

    async fn handle(&mut self, more: u64, _: &mut Context<Self>) -> u64 {
        self.total += more;
        self.total
    }

    async fn stop(self, _: StopReason) -> Option<Vec<u8>> {
        Some(self.total.to_le_bytes().to_vec())
    }

    async fn absorb(&mut self, state: &[u8]) {
        self.total += read_total(state);
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        // At the end of a simulation the thread may have no more use for it.
        let _ = RUNNING.try_with(|running| running.borrow_mut().remove(&self.process));
    }
}

fn read_total(state: &[u8]) -> u64 {
    u64::from_le_bytes(state.try_into().expect("it was written so"))
}

/// Returns where each of the children runs, in truth.
pub(crate) fn running(child: ChildId) -> Vec<Host> {
    RUNNING.with_borrow(|running| {
        let of_child = running.iter().filter(|&(_, &of)| of == child);
        let host = |process: &ProcessId| Host::of(process.replica.node());
        of_child.map(|(process, _)| host(process).expect("nodes are called as hosts")).collect()
    })
}

/// Lets a node run counters.
pub(crate) fn describe(_: Host, builder: NodeBuilder) -> NodeBuilder {
    builder.kind::<Counter>()
}

/// Returns three nodes that know each other and are at rest.
pub(crate) async fn three(log: &Log, medium: Medium) -> Cluster {
    let cluster = Cluster::boot(log, medium, 3, describe);
    cluster.rest(REST).await;
    cluster
}

/// Starts the children `counter/0` and so on from `host`, and returns them once all nodes know.
pub(crate) async fn start_children(cluster: &Cluster, host: Host) -> Vec<ChildId> {
    let supervisor = cluster.node(host).supervisor("default");
    let mut children = Vec::new();
    for number in 0..CHILDREN {
        let spec = ChildSpec::new::<Counter>(&()).named(name_of(number));
        let child = supervisor.start_child(spec).await.expect("its name is free");
        cluster.note(format_args!("{host} started {child:?}"));
        children.push(child.id());
    }
    cluster.rest(REST).await;
    for &child in &children {
        assert_eq!(running(child).len(), 1, "{child} runs once");
    }
    children
}

pub(crate) fn name_of(number: usize) -> String {
    format!("counter/{number}")
}

/// Adds `more` to the counter of that number, from `host`.
pub(crate) async fn add(
    cluster: &Cluster,
    host: Host,
    number: usize,
    more: u64,
) -> Result<u64, CallError> {
    let registry = cluster.node(host).registry("default");
    let total = registry.call::<Counter>(name_of(number), &more).await;
    cluster.note(format_args!("{host} adds {more} to {}: {total:?}", name_of(number)));
    total
}

/// Waits until each counter answers `host`.
pub(crate) async fn until_all_answer(cluster: &Cluster, host: Host) {
    for number in 0..CHILDREN {
        let what = format!("{} to answer {host}", name_of(number));
        let answers = async || add(cluster, host, number, 0).await.is_ok();
        cluster.until(&what, REST, answers).await;
    }
}

/// Asserts that each child runs exactly once, on a machine that is up, that all nodes know the same
/// children under the same names, and that each node is told the totals that `total` says.
pub(crate) async fn assert_one_each(
    cluster: &Cluster,
    children: &[ChildId],
    total: impl Fn(ChildId) -> u64,
) {
    for (number, &child) in children.iter().enumerate() {
        let hosts = running(child);
        assert_eq!(hosts.len(), 1, "{child} runs on {hosts:?}");
        assert!(cluster.up().contains(&hosts[0]), "{child} runs on {hosts:?}");
        for host in cluster.up() {
            let found = cluster.node(host).registry("default").lookup(name_of(number));
            assert_eq!(found.and_then(|found| found.child), Some(child), "{host} knows it");
            let told = add(cluster, host, number, 0).await;
            assert_eq!(told, Ok(total(child)), "{host} asks {}", name_of(number));
        }
    }
    for host in cluster.up() {
        assert_eq!(cluster.node(host).supervisor("default").count(), children.len(), "{host}");
        assert_eq!(cluster.node(host).registry("default").count(), children.len(), "{host}");
    }
}
