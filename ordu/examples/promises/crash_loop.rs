//! One child that crashes after every start (B125 of `BEHAVIOURS.md`).

use std::time::{Duration, Instant};

use ordu::{Child, ChildId, Node, Replicas};

use crate::Failure;
use crate::book;
use crate::cluster::{Cluster, SCOPE, answering, plain, start_all, until};
use crate::report::{Finding, Promise, span};
use crate::worker::{Ask, MENDED, Task, Worker};

pub(crate) const PROMISE: Promise = Promise {
    promise: "A crash loop harms no other child, and ends in a quarantine that can be lifted.",
    predecessor: "One crash loop beside 60 healthy children: soon all 3 nodes had stopped.",
};

/// How many children there are that nothing is wrong with.
const HEALTHY: usize = 60;
/// How many nodes give a child up before none tries it, unless told otherwise.
const NODES: usize = 3;
/// How long the one that was released must run on: ten times as long as it did before.
const WATCHED: Duration = Duration::from_millis(500);

pub(crate) async fn play(cluster: &mut Cluster, found: &mut Finding) -> Result<(), Failure> {
    let nodes = cluster.three(plain).await?;
    let supervisor = nodes[0].supervisor(SCOPE);
    let specs = (0..HEALTHY).map(|_| Worker::spec(Task::Work));
    let healthy = start_all(&supervisor, specs).await?;

    let began = Instant::now();
    let poison = supervisor.start_child(Worker::spec(Task::Crash).named("poison")).await?;
    let given_up = until("for the quarantine on all nodes", async || {
        let mut given_up = usize::MAX;
        for node in &nodes {
            given_up = given_up.min(given_up_by(node, poison.id()).await?);
        }
        Some(given_up)
    })
    .await?;
    let (took, crashes) = (span(began.elapsed()), book::begun(poison.id()));
    found.check(
        given_up == NODES,
        format!(
            "it crashed {crashes} times in {took}; then all saw that {given_up} nodes gave it up"
        ),
    );

    let census = book::census(&healthy);
    let answered = answering(&healthy).await;
    found.check(
        (census.running, census.restarts, answered) == (HEALTHY, 0, HEALTHY),
        format!(
            "of {HEALTHY} others {} run, {answered} answer, {} were started again",
            census.running, census.restarts
        ),
    );
    release(&nodes, &poison, found).await
}

/// An operator removes the cause, and lets the child out, through another node than it was started
/// through.
async fn release(nodes: &[Node; 3], poison: &Child, found: &mut Finding) -> Result<(), Failure> {
    let registry = nodes[1].registry(SCOPE);
    registry.put_meta(MENDED, "yes").replicated(Replicas::All).await?;

    let began = Instant::now();
    nodes[2].supervisor(SCOPE).release(poison.id()).await?;
    let process = until("for the child that was released", async || {
        registry.call::<Worker>("poison", &Ask::Who).await.ok()
    })
    .await?;
    let took = span(began.elapsed());
    tokio::time::sleep(WATCHED).await;
    let runs_on = registry.call::<Worker>("poison", &Ask::Who).await.ok() == Some(process);
    let left = nodes[0].supervisor(SCOPE).quarantined().await.len();
    let onward = if runs_on { "runs on" } else { "ran not for long" };
    found.check(
        runs_on && left == 0,
        format!(
            "mended and released, it answered after {took} and {onward}; {left} are in quarantine"
        ),
    );
    Ok(())
}

/// Returns how many nodes have given `child` up, once `node` sees it in quarantine.
async fn given_up_by(node: &Node, child: ChildId) -> Option<usize> {
    let quarantined = node.supervisor(SCOPE).quarantined().await;
    let of_child = quarantined.into_iter().find(|quarantined| quarantined.child == child)?;
    Some(of_child.given_up.len())
}
