//! Starts whose node dies before it answers (B130 of `BEHAVIOURS.md`).

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use ordu::{Child, ChildId, ChildSpec, Node, StartChildError};

use crate::Failure;
use crate::book;
use crate::cluster::{Cluster, SCOPE, plain, until};
use crate::report::{Finding, Promise, span};
use crate::worker::{Task, Worker};

pub(crate) const PROMISE: Promise = Promise {
    promise: "Every start is answered by its deadline, and a repeated one starts nothing twice.",
    predecessor: "Whoever had asked a node that died before it replied waited for ever.",
};

/// How many children are started at once.
const STARTS: usize = 30;
/// How long each takes to start: enough for its node to die meanwhile.
const SLOWLY: Duration = Duration::from_secs(1);
/// Until when a start must be answered that can succeed elsewhere.
const DEADLINE: Duration = Duration::from_secs(20);
/// Until when a start must be answered that cannot.
const SHORT_DEADLINE: Duration = Duration::from_millis(500);
/// How late an answer may be noticed on a machine that is busy with something else.
const LEEWAY: Duration = Duration::from_secs(2);

pub(crate) async fn play(cluster: &mut Cluster, found: &mut Finding) -> Result<(), Failure> {
    let nodes = cluster.three(plain).await?;
    start_while_one_dies(&nodes, found).await?;
    let [a, _, dead] = nodes;
    let Some(child) = start_on(&dead, &a, found).await else { return Ok(()) };

    let began = Instant::now();
    let back = cluster.join(dead.id().as_str(), plain).await?;
    let start = back.supervisor(SCOPE).start_child(pinned_to(&back)).once("pinned");
    let repeated = start.timeout(DEADLINE).await?;
    let (took, begun) = (span(began.elapsed()), book::begun(child));
    found.check(
        repeated.id() == child && begun == 1,
        format!(
            "it came back: repeated, that start is one child, begun {begun} time, after {took}"
        ),
    );
    Ok(())
}

/// Starts children that take a while, through the first node, and lets the last one die meanwhile.
async fn start_while_one_dies(nodes: &[Node; 3], found: &mut Finding) -> Result<(), Failure> {
    let [a, b, c] = nodes;
    let death = async {
        until("for all starts to be under way", async || {
            let begun: usize = nodes.iter().map(|node| book::begun_on(node.id())).sum();
            (STARTS <= begun).then_some(())
        })
        .await?;
        let dying = book::alive_on(c.id());
        c.halt().await;
        Ok::<_, Failure>(dying)
    };
    let (answers, dying) = tokio::join!(start_all_once(a), death);
    let dying = dying?;
    let answered = answers.iter().filter(|answer| answer.child.is_ok()).count();
    let longest = answers.iter().map(|answer| answer.took).max().unwrap_or_default();
    found.check(
        0 < dying && answered == STARTS && longest <= DEADLINE + LEEWAY,
        format!(
            "{dying} of {STARTS} were starting on a node that died; {answered} were answered Ok, \
             the last after {}",
            span(longest)
        ),
    );

    // Whoever did not hear the answers asks again, another node.
    let again = start_all_once(b).await;
    let same = answers.iter().zip(&again).filter(|(one, other)| one.is_same(other)).count();
    let children: Vec<Child> = again.into_iter().filter_map(|answer| answer.child.ok()).collect();
    let (census, listed) = (book::census(&children), b.supervisor(SCOPE).count());
    found.check(
        (same, listed, census.running, census.double) == (STARTS, STARTS, STARTS, 0),
        format!(
            "repeated through another node, {same} found their child; {listed} are listed, {} \
             run, {} twice",
            census.running, census.double
        ),
    );
    Ok(())
}

/// Starts a child that nobody but `dead` may run, through `node`, and returns which it is.
async fn start_on(dead: &Node, node: &Node, found: &mut Finding) -> Option<ChildId> {
    let began = Instant::now();
    let start = node.supervisor(SCOPE).start_child(pinned_to(dead)).once("pinned");
    let start = start.timeout(SHORT_DEADLINE);
    let answer = tokio::time::timeout(SHORT_DEADLINE + LEEWAY, start).await;
    let took = span(began.elapsed());
    let (child, told) = match answer {
        Ok(Err(StartChildError::NowhereToRun { child, .. })) => (Some(child), "nowhere to run"),
        Ok(Err(_)) => (None, "another error"),
        Ok(Ok(_)) => (None, "Ok"),
        Err(_) => (None, "nothing"),
    };
    let deadline = span(SHORT_DEADLINE);
    found.check(
        child.is_some(),
        format!("a start on the dead node alone, within {deadline}, came to: {told}, after {took}"),
    );
    child
}

fn pinned_to(node: &Node) -> ChildSpec {
    Worker::spec(Task::Work).needs_node(node.id().clone())
}

/// What came of a start, and how long that took.
struct Answer {
    child: Result<Child, Failure>,
    took: Duration,
}

impl Answer {
    /// Returns whether both are of one child.
    fn is_same(&self, other: &Self) -> bool {
        match (&self.child, &other.child) {
            (Ok(one), Ok(other)) => one.id() == other.id(),
            (Err(_), _) | (_, Err(_)) => false,
        }
    }
}

/// Starts all children through `node`, each with a key of its own.
async fn start_all_once(node: &Node) -> Vec<Answer> {
    let start = async |number: usize| {
        let began = Instant::now();
        let spec = Worker::spec(Task::StartSlowly(SLOWLY));
        let key = format!("order/{number}").into_bytes();
        let start = node.supervisor(SCOPE).start_child(spec).once(key).timeout(DEADLINE);
        let child = match tokio::time::timeout(DEADLINE + LEEWAY, start).await {
            Ok(child) => child.map_err(Failure::from),
            Err(_) => Err("there was no answer".into()),
        };
        Answer { child, took: began.elapsed() }
    };
    join_all((0..STARTS).map(start)).await
}
