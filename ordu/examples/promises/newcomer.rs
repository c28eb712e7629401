//! A node that joins where there are many children (B137 of `BEHAVIOURS.md`, in small).

use std::time::{Duration, Instant};

use ordu::{Child, Node, NodeBuilder, Supervisor};
use tokio::sync::watch;

use crate::Failure;
use crate::book;
use crate::cluster::{Cluster, PATIENCE, SCOPE, start_all};
use crate::report::{Finding, Promise, span};
use crate::worker::{Ask, Task, Worker};

pub(crate) const PROMISE: Promise = Promise {
    promise: "A node that joins 20,000 children keeps nobody waiting, and disturbs none of them.",
    predecessor: "It placed each child anew in 4.6 ms: 10,000 on 20 nodes wait about 46 s.",
};

/// How many children there are.
const CHILDREN: usize = 20_000;
/// How many are started at once.
const BATCH: usize = 1_000;
/// Until when each question must be answered, on the busiest of machines.
const DEADLINE: Duration = Duration::from_secs(5);
/// For how long questions are asked once the node has joined, while the others take it in.
const AFTERWARDS: Duration = Duration::from_secs(1);
/// How long a node may be silent. Four of them share this machine with whatever else it does, and
/// none that merely waits for its turn is to be taken for dead.
const SILENCE: Duration = Duration::from_secs(10);

pub(crate) async fn play(cluster: &mut Cluster, found: &mut Finding) -> Result<(), Failure> {
    let [a, b, c] = cluster.three(patient).await?;
    let began = Instant::now();
    let children = start_many(&a.supervisor(SCOPE)).await?;
    let starting = span(began.elapsed());
    a.settled().timeout(PATIENCE).await?;

    let (over, is_over) = watch::channel(false);
    let joining = async {
        let began = Instant::now();
        let joined = cluster.join("d", patient).await;
        let joined = joined.map(|d| (d.registry(SCOPE).count(), began.elapsed(), d));
        tokio::time::sleep(AFTERWARDS).await;
        over.send_replace(true);
        joined
    };
    let ask = |node| ask_on(node, &children, is_over.clone());
    let (joined, on_a, on_b, on_c) = tokio::join!(joining, ask(&a), ask(&b), ask(&c));
    let (known, joining, d) = joined?;
    // Not before: while children are started the cluster is not at rest.
    a.settled().timeout(PATIENCE).await?;

    let joining = span(joining);
    found.check(
        known == CHILDREN,
        format!(
            "they took {starting} to start; a node joined in {joining}, and knew {known} names"
        ),
    );
    let Asked { questions, failed, longest } = on_a.and(on_b).and(on_c);
    found.check(
        0 < questions && failed == 0 && longest <= DEADLINE,
        format!(
            "of {questions} look-ups, calls, starts and explanations {failed} failed; the slowest \
             took {}",
            span(longest)
        ),
    );
    let census = book::census(&children);
    found.check(
        (census.running, census.restarts) == (CHILDREN, 0),
        format!("{} children run on, {} were started again", census.running, census.restarts),
    );
    let began = Instant::now();
    let moves = a.supervisor(SCOPE).plan_moves().timeout(PATIENCE).await.moves;
    let took = span(began.elapsed());
    let concerned = moves.len();
    let elsewhere = moves.iter().filter(|planned| planned.to != *d.id()).count();
    found.check(
        0 < concerned && concerned < CHILDREN / 2 && elsewhere == 0,
        format!(
            "{concerned} belong elsewhere now, {elsewhere} not to the newcomer (told in {took})"
        ),
    );
    Ok(())
}

fn patient(builder: NodeBuilder) -> NodeBuilder {
    builder.failure_timeout(SILENCE)
}

/// Starts all children, each with a name.
async fn start_many(supervisor: &Supervisor) -> Result<Vec<Child>, Failure> {
    let mut children = Vec::new();
    for first in (0..CHILDREN).step_by(BATCH) {
        let numbers = first..first + BATCH;
        let specs = numbers.map(|number| Worker::spec(Task::Work).named(name(number)));
        children.extend(start_all(supervisor, specs).await?);
    }
    Ok(children)
}

/// How questions were answered.
#[derive(Clone, Copy, Default)]
struct Asked {
    questions: usize,
    failed: usize,
    longest: Duration,
}

impl Asked {
    /// Counts a question that was asked when it `began`.
    fn note(&mut self, began: Instant, is_answered: bool) {
        self.questions += 1;
        self.failed += usize::from(!is_answered);
        self.longest = self.longest.max(began.elapsed());
    }

    fn and(self, other: Self) -> Self {
        Self {
            questions: self.questions + other.questions,
            failed: self.failed + other.failed,
            longest: self.longest.max(other.longest),
        }
    }
}

/// Asks `node` one thing after the other, of one child after the other, until it is over.
async fn ask_on(node: &Node, children: &[Child], is_over: watch::Receiver<bool>) -> Asked {
    /// From one child to the next: a prime, so that each has its turn before one has a second.
    const STRIDE: usize = 7_919;
    let (registry, supervisor) = (node.registry(SCOPE), node.supervisor(SCOPE));
    let (mut asked, mut number) = (Asked::default(), 0);
    while !*is_over.borrow() {
        let child = &children[number];
        let began = Instant::now();
        let holder = registry.lookup(name(number)).and_then(|found| found.child);
        asked.note(began, holder == Some(child.id()));

        let began = Instant::now();
        let explained = supervisor.explain(child.id()).timeout(DEADLINE).await;
        asked.note(began, explained.is_ok());

        let began = Instant::now();
        let who = node.call::<Worker>(child, &Ask::Who).timeout(DEADLINE).await;
        asked.note(began, who.is_ok());

        let began = Instant::now();
        let more = node.supervisor("more").start_child(Worker::spec(Task::Work));
        asked.note(began, more.timeout(DEADLINE).await.is_ok());
        number = (number + STRIDE) % CHILDREN;
    }
    asked
}

fn name(number: usize) -> String {
    format!("child/{number}")
}
