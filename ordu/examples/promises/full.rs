//! A failover that meets nodes which are full (B132 of `BEHAVIOURS.md`).

use std::time::Instant;

use ordu::{Child, Exclusion, Node, NodeBuilder};

use crate::Failure;
use crate::book;
use crate::cluster::{Cluster, PATIENCE, SCOPE, start_all, until};
use crate::report::{Finding, Promise, span};
use crate::worker::{Task, Worker};

pub(crate) const PROMISE: Promise = Promise {
    promise: "A failover that meets full nodes loses nobody: who does not fit waits in sight.",
    predecessor: "With 40 children a node at most, a death deleted 40 of 80 in silence.",
};

/// How many children a node runs at most.
const CAP: usize = 40;
/// How many there are: more than two nodes may run.
const CHILDREN: usize = 100;
/// How many fit on two nodes.
const FITTING: usize = 2 * CAP;
/// How many do not.
const WAITING: usize = CHILDREN - FITTING;

pub(crate) async fn play(cluster: &mut Cluster, found: &mut Finding) -> Result<(), Failure> {
    let [a, _, c] = cluster.three(capped).await?;
    let specs = (0..CHILDREN).map(|_| Worker::spec(Task::Work));
    let children = start_all(&a.supervisor(SCOPE), specs).await?;
    let running = || book::census(&children).running;

    let began = Instant::now();
    let affected = book::alive_on(c.id());
    c.halt().await;
    until("for two nodes to be full", async || (running() == FITTING).then_some(())).await?;
    let took = span(began.elapsed());
    a.settled().timeout(PATIENCE).await?;
    let census = book::census(&children);
    found.check(
        0 < affected && (census.running, census.double) == (FITTING, 0),
        format!(
            "a node with {affected} of {CHILDREN} died; {} ran after {took}, as many as fit",
            census.running
        ),
    );
    look_who_waits(&a, &children, found).await?;

    let began = Instant::now();
    let d = cluster.join("d", capped).await?;
    until("for the room on the newcomer", async || (running() == CHILDREN).then_some(())).await?;
    let took = span(began.elapsed());
    let (census, there) = (book::census(&children), book::alive_on(d.id()));
    found.check(
        (census.running, census.double, there) == (CHILDREN, 0, WAITING),
        format!(
            "a node was added: {took} later {} ran, {there} of them there, {} twice",
            census.running, census.double
        ),
    );
    Ok(())
}

/// Looks how those are seen that wait, and what is said of them.
async fn look_who_waits(
    node: &Node,
    children: &[Child],
    found: &mut Finding,
) -> Result<(), Failure> {
    let supervisor = node.supervisor(SCOPE);
    let listed = supervisor.children();
    let waits =
        |child: &&Child| listed.iter().any(|info| info.id == child.id() && info.process.is_none());
    let (mut waiting, mut explained) = (0, 0);
    for child in children.iter().filter(waits) {
        let explanation = supervisor.explain(child.id()).await?;
        let mut members = explanation.candidates.into_iter();
        waiting += 1;
        explained += usize::from(members.all(|by| by.exclusion == Some(Exclusion::Full)));
    }
    let listed = listed.len();
    found.check(
        (listed, waiting, explained) == (CHILDREN, WAITING, WAITING),
        format!(
            "{listed} are listed; {waiting} wait, {explained} of them because all nodes are full"
        ),
    );
    Ok(())
}

fn capped(builder: NodeBuilder) -> NodeBuilder {
    builder.max_children(CAP)
}
