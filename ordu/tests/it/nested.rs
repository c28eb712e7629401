//! Children that supervise others, on real sockets.

use std::time::Duration;

use ordu::{
    ChildId, ChildSpec, Context, Node, Process, Restart, StartChildError, StartError, StopReason,
};

use crate::cluster::started;

const PATIENCE: Duration = Duration::from_secs(20);

/// Starts as many workers as it is told, which belong to it, or finds those that there are.
struct Team;

/// Does what it is told.
struct Worker;

impl Process for Team {
    const KIND: &'static str = "team";
    type Args = usize;
    type Message = ();
    type Reply = ();

    async fn start(workers: usize, context: &mut Context<Self>) -> Result<Self, StartError> {
        let own = context.child_id().ok_or_else(|| StartError::new("a team is a child"))?;
        let supervisor = context.node().supervisor("default");
        context.spawn(async move {
            for number in 0..workers {
                let worker = ChildSpec::new::<Worker>(&()).parent(own);
                let found = supervisor.ensure(format!("{own}/{number}"), worker).await;
                drop(found.expect("a worker starts"));
            }
        });
        Ok(Self)
    }

    async fn handle(&mut self, (): (), _: &mut Context<Self>) {}

    async fn stop(self, _: StopReason) -> Option<Vec<u8>> {
        None
    }
}

impl Process for Worker {
    const KIND: &'static str = "worker";
    type Args = ();
    type Message = ();
    type Reply = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, StartError> {
        Ok(Self)
    }

    async fn handle(&mut self, (): (), context: &mut Context<Self>) {
        context.stop();
    }

    async fn stop(self, _: StopReason) -> Option<Vec<u8>> {
        None
    }
}

/// Waits until so many workers of `team` run, as `node` sees it.
async fn until(node: &Node, team: ChildId, count: usize) {
    let workers = || {
        let workers = node.supervisor("default").children_of(team);
        workers.iter().filter(|worker| worker.process.is_some()).count()
    };
    let wait = async {
        while workers() != count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
}

/// B24. Workers are restarted when they end, are found again by the next process of their team, and
/// end with it.
#[tokio::test]
async fn workers_belong_to_their_team_for_life() {
    let describe = |id: &str| Node::builder("shop", id).kind::<Team>().kind::<Worker>();
    let a = started(describe("a")).await;
    let b = started(describe("b").seeds([a.local_addr()])).await;
    let supervisor = a.supervisor("default");
    let team = supervisor.start_child(ChildSpec::new::<Team>(&4)).await.unwrap();
    until(&b, team.id(), 4).await;

    let workers = supervisor.children_of(team.id());
    let worker = supervisor.child(workers[0].id).unwrap();
    worker.call::<Worker>(&()).await.unwrap();
    until(&b, team.id(), 4).await;
    team.restart().await.unwrap();
    until(&a, team.id(), 4).await;
    let ids = |workers: Vec<ordu::ChildInfo>| workers.iter().map(|w| w.id).collect::<Vec<_>>();
    assert_eq!(ids(supervisor.children_of(team.id())), ids(workers), "they were found");

    b.supervisor("default").terminate_child(team.id()).await.unwrap();
    until(&a, team.id(), 0).await;
    let late = ChildSpec::new::<Worker>(&()).restart(Restart::Transient).parent(team.id());
    let late = supervisor.start_child(late).await;
    assert_eq!(late.unwrap_err(), StartChildError::NoParent { parent: team.id() });
    a.halt().await;
    b.halt().await;
}
