//! What is told to stop (B136 of `BEHAVIOURS.md`).

use std::time::{Duration, Instant};

use ordu::{Child, ExitReason, Node, Supervisor};
use tokio::net::TcpStream;

use crate::Failure;
use crate::book;
use crate::cluster::{Cluster, PATIENCE, SCOPE, plain, start_all, until};
use crate::report::{Finding, Promise, span};
use crate::worker::{Task, Worker};

pub(crate) const PROMISE: Promise = Promise {
    promise: "Stop stops: what is told to end has ended, and nothing of it comes back.",
    predecessor: "A registry that was stopped was started again at once, by its own supervisor.",
};

/// How many children there are that go on.
const CHILDREN: usize = 50;
/// How many there are that are ended one by one.
const ENDED: usize = 10;
/// How long a child may take to stop.
const GRACE: Duration = Duration::from_millis(300);
/// For how long nothing may come back.
const WATCHED: Duration = Duration::from_secs(2);

pub(crate) async fn play(cluster: &mut Cluster, found: &mut Finding) -> Result<(), Failure> {
    let [a, b, c] = cluster.three(plain).await?;
    let supervisor = a.supervisor(SCOPE);
    let specs = (0..CHILDREN).map(|_| Worker::spec(Task::Work));
    let children = start_all(&supervisor, specs).await?;
    let ended = end_some(&supervisor, found).await?;
    leave(&b, found).await?;

    until("for its children elsewhere", async || {
        (book::census(&children).running == CHILDREN).then_some(())
    })
    .await?;
    let before = book::begun_on(b.id());
    tokio::time::sleep(WATCHED).await;
    let back = book::begun_on(b.id()) - before + book::census(&ended).running;
    let is_known = c.members().iter().any(|member| member.node == *b.id());
    let census = book::census(&children);
    found.check(
        back == 0 && !is_known && (census.running, census.double) == (CHILDREN, 0),
        format!(
            "{} later {back} of all that had come back; {} of {CHILDREN} others run elsewhere",
            span(WATCHED),
            census.running
        ),
    );
    Ok(())
}

/// Starts and ends some children, one of which does not heed that.
async fn end_some(supervisor: &Supervisor, found: &mut Finding) -> Result<Vec<Child>, Failure> {
    let specs = (0..ENDED).map(|_| Worker::spec(Task::Work));
    let stubborn = Worker::spec(Task::Stay).grace(GRACE);
    let children = start_all(supervisor, specs.chain([stubborn])).await?;
    let mut longest = Duration::ZERO;
    for child in &children {
        let told = Instant::now();
        child.terminate().timeout(PATIENCE).await?;
        longest = longest.max(told.elapsed());
    }
    let running = book::census(&children).running;
    found.check(
        running == 0,
        format!("{} children were ended, and answered for: {running} run", children.len()),
    );
    found.check(
        GRACE <= longest,
        format!("one did not heed it, and ended by force after {} of grace", span(longest)),
    );
    Ok(children)
}

/// Lets `node` leave, and looks what is left of it.
async fn leave(node: &Node, found: &mut Finding) -> Result<(), Failure> {
    let (ran, address) = (book::alive_on(node.id()), node.local_addr().to_string());
    let told = Instant::now();
    node.leave().timeout(PATIENCE).await?;
    let (took, left) = (span(told.elapsed()), book::alive_on(node.id()));
    let reason = node.over().await;
    found.check(
        reason == Some(ExitReason::Left) && 0 < ran && left == 0,
        format!("a node with {ran} children left within {took}: {left} of them run there"),
    );
    let is_open = TcpStream::connect(&address).await.is_ok();
    let starts = node.supervisor(SCOPE).start_child(Worker::spec(Task::Work)).await.is_ok();
    found.check(
        !is_open && !starts,
        format!(
            "its port is {}, and a start through it is {}",
            if is_open { "open" } else { "closed" },
            if starts { "answered Ok" } else { "refused" }
        ),
    );
    Ok(())
}
