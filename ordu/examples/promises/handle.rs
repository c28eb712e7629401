//! A handle of a child that restarts, fails over and moves (B139 of `BEHAVIOURS.md`).

use ordu::{Child, Node, ProcessId, Role, Supervisor};

use crate::Failure;
use crate::book;
use crate::cluster::{Cluster, PATIENCE, SCOPE, plain, until};
use crate::report::{Finding, Promise};
use crate::worker::{Ask, Task, Worker};

pub(crate) const PROMISE: Promise = Promise {
    promise: "A child's handle outlives restarts, failovers and moves; its runs are told apart.",
    predecessor: "Children are ended by process: after any restart the one at hand is unknown.",
};

pub(crate) async fn play(cluster: &mut Cluster, found: &mut Finding) -> Result<(), Failure> {
    // Who holds the handle runs no children, and so does not die with this one.
    let holder = cluster.join("a", |builder| builder.role(Role::Keeper)).await?;
    let mut workers = Vec::new();
    for name in ["b", "c", "d"] {
        workers.push(cluster.join(name, plain).await?);
    }
    holder.settled().timeout(PATIENCE).await?;
    let supervisor = holder.supervisor(SCOPE);
    let child = supervisor.start_child(Worker::spec(Task::Work)).await?;
    let mut runs = vec![Run::present(&supervisor, &child).await?];

    // The call that it dies of is not answered.
    let _ = child.call::<Worker>(&Ask::Panic).await;
    runs.push(Run::after(&runs, &supervisor, &child).await?);

    child.restart().timeout(PATIENCE).await?;
    runs.push(Run::after(&runs, &supervisor, &child).await?);

    home(&workers, &child)?.halt().await;
    runs.push(Run::after(&runs, &supervisor, &child).await?);

    home(&workers, &child)?.leave().timeout(PATIENCE).await?;
    runs.push(Run::after(&runs, &supervisor, &child).await?);

    judge(&runs, &holder, found).await;
    end(home(&workers, &child)?, &supervisor, &child, found).await
}

/// Looks whether later runs can be told from earlier ones, and whether only the last one answers.
async fn judge(runs: &[Run], node: &Node, found: &mut Finding) {
    let told: Vec<String> = runs.iter().map(Run::told).collect();
    found.check(
        runs.is_sorted_by(|earlier, later| earlier.epoch < later.epoch),
        format!("panic, restart, failover, leave: it called epoch {}", told.join(", ")),
    );
    let mut answering = Vec::new();
    for run in runs {
        let who = node.call::<Worker>(&run.process, &Ask::Who).await;
        answering.extend(who.is_ok().then(|| run.told()));
    }
    found.check(
        answering.iter().eq(told.last()),
        format!(
            "of {} processes that ran it {} answers: {}",
            runs.len(),
            answering.len(),
            answering.join(", ")
        ),
    );
}

/// Ends the child by its id, through another node than the one that `supervisor` is of.
async fn end(
    through: &Node,
    supervisor: &Supervisor,
    child: &Child,
    found: &mut Finding,
) -> Result<(), Failure> {
    through.supervisor(SCOPE).terminate_child(child.id()).timeout(PATIENCE).await?;
    until("for the end to be known", async || (supervisor.count() == 0).then_some(())).await?;
    let begun = book::begun(child.id());
    let left = book::census(std::slice::from_ref(child)).running;
    let answer = child.call::<Worker>(&Ask::Who).await;
    found.check(
        left == 0 && answer.is_err(),
        format!("ended by its id through another node after {begun} runs: {left} of them go on"),
    );
    Ok(())
}

/// A run of the child.
struct Run {
    process: ProcessId,
    /// Which one it is, in the count of the cluster.
    epoch: u64,
}

impl Run {
    /// Returns the run that answers the handle now; fails if none does.
    async fn present(supervisor: &Supervisor, child: &Child) -> Result<Self, Failure> {
        let process = child.call::<Worker>(&Ask::Who).await?;
        let claims = supervisor.explain(child.id()).await?.claims;
        let claim = claims.into_iter().find(|claim| claim.process == process);
        let epoch = claim.ok_or("the process that answered has no claim")?.epoch;
        Ok(Self { process, epoch })
    }

    /// Waits until the handle is answered by a run that is none of `before`.
    async fn after(
        before: &[Self],
        supervisor: &Supervisor,
        child: &Child,
    ) -> Result<Self, Failure> {
        until("for the next run of the child", async || {
            let run = Self::present(supervisor, child).await.ok()?;
            before.iter().all(|old| old.process != run.process).then_some(run)
        })
        .await
    }

    /// Returns the run in words.
    fn told(&self) -> String {
        format!("{} on {}", self.epoch, self.process.replica.node())
    }
}

/// Returns the node among `nodes` that runs `child`.
fn home<'a>(nodes: &'a [Node], child: &Child) -> Result<&'a Node, Failure> {
    let process = child.process();
    let home = nodes.iter().find(|node| node.id() == process.replica.node());
    home.ok_or_else(|| "the child runs on no node that may run it".into())
}
