//! Children of one specification (B131 of `BEHAVIOURS.md`).

use crate::Failure;
use crate::cluster::{Cluster, SCOPE, homes, plain, start_all, told};
use crate::report::{Finding, Promise};
use crate::worker::{Task, Worker};

pub(crate) const PROMISE: Promise = Promise {
    promise: "Children of one specification spread over the nodes, unless they are to be together.",
    predecessor: "50 children that differed in nothing but their ids all ran on one of 3 nodes.",
};

/// How many nodes there are.
const NODES: usize = 3;
/// How many children of one specification there are.
const CHILDREN: usize = 300;
/// Fewest of them that each node runs: a third of an even share, which chance does not miss.
const FEWEST: usize = CHILDREN / NODES / 3;
/// How many children there are that are to be together.
const TOGETHER: usize = 30;

pub(crate) async fn play(cluster: &mut Cluster, found: &mut Finding) -> Result<(), Failure> {
    let [a, ..] = cluster.three(plain).await?;

    let apart = a.supervisor("apart");
    start_all(&apart, (0..CHILDREN).map(|_| Worker::spec(Task::Work))).await?;
    let spread = homes(&apart);
    found.check(
        spread.len() == NODES && spread.values().all(|&count| FEWEST <= count),
        format!("{CHILDREN} children of one specification run on {}", told(&spread)),
    );

    let together = a.supervisor(SCOPE);
    let specs = (0..TOGETHER).map(|_| Worker::spec(Task::Work).placement_key("tenant/7"));
    start_all(&together, specs).await?;
    let home = homes(&together);
    found.check(
        home.len() == 1 && home.values().sum::<usize>() == TOGETHER,
        format!("{TOGETHER} more that were given one placement key run on {}", told(&home)),
    );
    Ok(())
}
