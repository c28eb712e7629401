//! Temporary children whose node dies (B133 of `BEHAVIOURS.md`).

use std::time::Instant;

use ordu::{Child, Restart};

use crate::Failure;
use crate::book;
use crate::cluster::{Cluster, PATIENCE, SCOPE, plain, start_all, until};
use crate::report::{Finding, Promise, span};
use crate::worker::{Task, Worker};

pub(crate) const PROMISE: Promise = Promise {
    promise: "A temporary child ends with its node, and is started nowhere else.",
    predecessor: "Of 36 temporary children of a node that died, 36 were started elsewhere.",
};

/// How many temporary children there are, and as many that are not.
const EACH: usize = 60;

pub(crate) async fn play(cluster: &mut Cluster, found: &mut Finding) -> Result<(), Failure> {
    let [a, b, c] = cluster.three(plain).await?;
    let supervisor = a.supervisor(SCOPE);
    let specs = (0..EACH).map(|_| Worker::spec(Task::Work).restart(Restart::Temporary));
    let temporary = start_all(&supervisor, specs).await?;
    let specs = (0..EACH).map(|_| Worker::spec(Task::Work));
    let permanent = start_all(&a.supervisor("permanent"), specs).await?;
    let on_c = |child: &&Child| child.process().replica.node() == c.id();
    let there = [&temporary, &permanent].map(|children| children.iter().filter(on_c).count());
    let [to_end, to_move] = there;

    let began = Instant::now();
    c.halt().await;
    until("for the permanent children", async || {
        (book::census(&permanent).running == EACH).then_some(())
    })
    .await?;
    let took = span(began.elapsed());
    // Whatever else the others mean to do is done once they are at rest.
    a.settled().timeout(PATIENCE).await?;

    let census = book::census(&temporary);
    let again = census.restarts;
    found.check(
        0 < to_end && again == 0,
        format!("{to_end} of {EACH} ran on a node that died; {again} were started again"),
    );
    let (running, left) = (census.running, EACH - to_end);
    let listed = [&a, &b].map(|node| node.supervisor(SCOPE).count());
    found.check(
        running == left && listed == [left; 2],
        format!("{running} of them run on elsewhere, and both other nodes list {}", listed[0]),
    );
    let census = book::census(&permanent);
    found.check(
        0 < to_move && (census.running, census.double) == (EACH, 0),
        format!("{to_move} permanent ones beside them ran elsewhere after {took}"),
    );
    Ok(())
}
