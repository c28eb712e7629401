//! Members that are removed while they live (B138 of `BEHAVIOURS.md`).

use std::future::IntoFuture;
use std::time::{Duration, Instant};

use ordu::{Child, ExitReason, Node};

use crate::Failure;
use crate::book;
use crate::cluster::{Cluster, PATIENCE, SCOPE, answering, homes, plain, start_all, told, until};
use crate::report::{Finding, Promise, span};
use crate::worker::{Task, Worker};

pub(crate) const PROMISE: Promise = Promise {
    promise: "A live member that is removed hands its children over, and none is invisible.",
    predecessor: "It ran its children on, unseen: the others listed 19 of 40.",
};

/// How many children there are.
const CHILDREN: usize = 40;

pub(crate) async fn play(cluster: &mut Cluster, found: &mut Finding) -> Result<(), Failure> {
    let [a, b, c] = cluster.three(plain).await?;
    let d = cluster.join("d", plain).await?;
    a.settled().timeout(PATIENCE).await?;
    let specs = (0..CHILDREN).map(|_| Worker::spec(Task::Work));
    let children = start_all(&a.supervisor(SCOPE), specs).await?;

    let (removal, others) = (Removal::of(&d, &children), [&a, &b, &c]);
    let evicted = a.evict(d.id()).timeout(PATIENCE).into_future();
    let (evicted, seen) = tokio::join!(evicted, removal.watch(&others));
    evicted?;
    removal.judge(seen?, "evicted", ExitReason::Evicted, found).await;

    let (removal, others) = (Removal::of(&c, &children), [&a, &b]);
    let listed = others.map(|node| node.id().clone());
    let set = a.set_members(listed).timeout(PATIENCE).into_future();
    let (set, seen) = tokio::join!(set, removal.watch(&others));
    set?;
    removal.judge(seen?, "left off the list of members", ExitReason::NotListed, found).await;

    let [on_a, on_b] = others.map(|node| homes(&node.supervisor(SCOPE)));
    found.check(
        on_a == on_b && on_a.values().sum::<usize>() == CHILDREN,
        format!("the two that are left list all of them, on {}", told(&on_a)),
    );
    Ok(())
}

/// The removal of one node that runs some of the children.
struct Removal<'a> {
    node: &'a Node,
    children: &'a [Child],
    began: Instant,
    /// How many of them ran there.
    ran: usize,
}

/// What the others saw of a removal.
struct Seen {
    /// The fewest children that one of them listed meanwhile.
    fewest: usize,
    /// How long it took until each saw all run elsewhere.
    took: Duration,
}

impl<'a> Removal<'a> {
    fn of(node: &'a Node, children: &'a [Child]) -> Self {
        Self { node, children, began: Instant::now(), ran: book::alive_on(node.id()) }
    }

    /// Waits until each of `others` sees all children run elsewhere.
    async fn watch(&self, others: &[&Node]) -> Result<Seen, Failure> {
        let mut fewest = usize::MAX;
        until("for the children of a member that is removed", async || {
            let mut are_elsewhere = true;
            for other in others {
                let supervisor = other.supervisor(SCOPE);
                fewest = fewest.min(supervisor.count());
                let homes = homes(&supervisor);
                are_elsewhere &= homes.values().sum::<usize>() == self.children.len();
                are_elsewhere &= !homes.contains_key(self.node.id());
            }
            are_elsewhere.then_some(())
        })
        .await?;
        Ok(Seen { fewest, took: self.began.elapsed() })
    }

    async fn judge(&self, seen: Seen, how: &str, reason: ExitReason, found: &mut Finding) {
        let Self { node, children, ran, .. } = self;
        let Seen { fewest, took } = seen;
        let over = node.over().await;
        let (answered, all) = (answering(children).await, children.len());
        found.check(
            over == Some(reason) && 0 < *ran && answered == all,
            format!(
                "a node with {ran} of {all} was {how}: {answered} were elsewhere after {}",
                span(took)
            ),
        );
        let (left, census) = (book::alive_on(node.id()), book::census(children));
        found.check(
            (fewest, left, census.running, census.double) == (all, 0, all, 0),
            format!("never fewer than {fewest} were listed; {left} ran on there unseen"),
        );
    }
}
