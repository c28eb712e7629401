//! What users and operators ask of children, on real sockets.

use std::time::Duration;

use ordu::{
    Budget, ChildSpec, Context, Exclusion, MovePlan, Need, Node, NodeBuilder, NodeId, Process,
    Quarantined, Redistribution, RestartChildError, StartChildError, StartError, StopReason,
};

use crate::cluster::started;

const PATIENCE: Duration = Duration::from_secs(20);

/// What a process is to do at its start, and then.
#[derive(serde::Serialize, serde::Deserialize)]
enum How {
    Well,
    Ignored,
    Crashing,
}

/// Says on which node it runs, and how often it was asked.
struct Till {
    asked: u64,
}

impl Process for Till {
    const KIND: &'static str = "till";
    type Args = How;
    type Message = ();
    type Reply = (String, u64);

    async fn start(how: How, context: &mut Context<Self>) -> Result<Self, StartError> {
        match how {
            How::Well => Ok(Self { asked: 0 }),
            How::Ignored => Err(StartError::ignore()),
            How::Crashing => {
                context.spawn(async { panic!("on purpose") });
                Ok(Self { asked: 0 })
            }
        }
    }

    async fn handle(&mut self, (): (), context: &mut Context<Self>) -> (String, u64) {
        self.asked += 1;
        (context.process_id().replica.node().to_string(), self.asked)
    }

    async fn stop(self, reason: StopReason) -> Option<Vec<u8>> {
        assert_ne!(reason, StopReason::NodeDown, "nothing of it is left by force");
        None
    }
}

fn describe(id: &str) -> NodeBuilder {
    let backoff = Duration::from_millis(1);
    Node::builder("shop", id).kind::<Till>().backoff(backoff, Duration::from_secs(1))
}

/// Starts three nodes in two zones; `c` runs two children at most.
async fn three() -> [Node; 3] {
    let a = started(describe("a").label("zone", "north")).await;
    let b = started(describe("b").label("zone", "north").seeds([a.local_addr()])).await;
    let c = describe("c").label("zone", "south").max_children(2).seeds([a.local_addr()]);
    let c = started(c).await;
    a.settled().await.unwrap();
    [a, b, c]
}

async fn home(child: &ordu::Child) -> String {
    child.call::<Till>(&()).await.unwrap().0
}

/// Waits until one child is in quarantine.
async fn only_quarantined(node: &Node) -> Quarantined {
    let supervisor = node.supervisor("default");
    tokio::time::timeout(PATIENCE, async {
        loop {
            if let [only] = supervisor.quarantined().await.as_slice() {
                return only.clone();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap()
}

async fn halt(nodes: [Node; 3]) {
    for node in nodes {
        node.halt().await;
    }
}

#[tokio::test]
async fn children_run_where_they_need_to_and_nodes_run_no_more_than_they_may() {
    let [a, b, c] = three().await;
    let supervisor = a.supervisor("default");
    let south = || ChildSpec::new::<Till>(&How::Well).needs_label("zone", "south");
    let north = Need::NoLabel { key: "zone".into(), value: "south".into() };
    let north = ChildSpec::new::<Till>(&How::Well).needs(north);
    let specs = (0..2).map(|_| south()).chain((0..8).map(|_| north.clone()));
    let mut homes = Vec::new();
    for child in supervisor.start_children(specs).await {
        homes.push(home(&child.unwrap()).await);
    }
    assert_eq!(&homes[..2], ["c", "c"]);
    assert!(homes[2..].iter().all(|home| home != "c"), "{homes:?}");

    let full = supervisor.start_child(south()).timeout(Duration::from_millis(300)).await;
    let Err(StartChildError::NowhereToRun { child, members }) = full else { panic!("{full:?}") };
    let c_id = NodeId::new("c").unwrap();
    assert!(members.contains(&(c_id.clone(), Exclusion::Full)), "{members:?}");
    assert!(c.members().iter().any(|member| member.node == c_id && member.is_full));
    let explained = b.supervisor("default").explain(child).await.unwrap();
    assert_eq!((explained.owner, explained.candidates.len()), (None, 3));

    let pinned = ChildSpec::new::<Till>(&How::Well).needs_node(NodeId::new("b").unwrap());
    let pinned = c.supervisor("default").start_child(pinned).await.unwrap();
    assert_eq!(home(&pinned).await, "b");
    halt([a, b, c]).await;
}

#[tokio::test]
async fn a_child_that_crashes_on_and_on_is_put_in_quarantine_and_released() {
    let [a, b, c] = three().await;
    let supervisor = b.supervisor("default");
    let budget = Budget { failures: 2, within: Duration::from_secs(10), nodes: 2 };
    let spec = ChildSpec::new::<Till>(&How::Crashing).named("poison").budget(budget);
    let poison = supervisor.start_child(spec).await;
    let id = match poison {
        Ok(child) => child.id(),
        Err(StartChildError::Quarantined { child, .. }) => child,
        Err(error) => panic!("{error}"),
    };
    let quarantined = only_quarantined(&b).await;
    assert_eq!((quarantined.child, quarantined.given_up.len()), (id, 2));
    assert!(quarantined.given_up.iter().all(|by| by.reason.contains("on purpose")));
    assert_eq!(quarantined.name.as_ref().map(|name| name.as_bytes()), Some(&b"poison"[..]));

    let restarted = supervisor.restart_child(id).await;
    assert_eq!(restarted, Err(RestartChildError::Quarantined { child: id }));
    let found = supervisor.ensure("poison", ChildSpec::new::<Till>(&How::Well)).await;
    assert!(matches!(found, Err(StartChildError::Quarantined { .. })), "{found:?}");

    // Released it is tried again, crashes on, and is back before long.
    supervisor.release(id).await.unwrap();
    assert_eq!(supervisor.quarantined().await, []);
    assert_eq!(only_quarantined(&b).await.child, id);
    supervisor.terminate_child(id).await.unwrap();
    assert_eq!(supervisor.quarantined().await, []);
    halt([a, b, c]).await;
}

#[tokio::test]
async fn a_child_is_started_again_once_and_not_at_all() {
    let [a, b, c] = three().await;
    let spec = || ChildSpec::new::<Till>(&How::Well);
    let till = a.supervisor("default").start_child(spec()).once("order/17").await.unwrap();
    let again = b.supervisor("default").start_child(spec()).once("order/17").await.unwrap();
    assert_eq!((again.id(), again.process()), (till.id(), till.process()));
    let other = spec().named("other");
    let other = c.supervisor("default").start_child(other).once("order/17").await;
    assert!(matches!(other, Err(StartChildError::RequestReused { .. })), "{other:?}");

    let before = till.process();
    assert_eq!(till.call::<Till>(&()).await.unwrap().1, 1);
    assert_eq!(till.call::<Till>(&()).await.unwrap().1, 2);
    let after = c.supervisor("default").restart_child(till.id()).await.unwrap();
    assert_ne!(after, before);
    a.settled().await.unwrap();
    assert_eq!((till.process(), till.call::<Till>(&()).await.unwrap().1), (after, 1));

    let ignored = b.supervisor("default").start_child(ChildSpec::new::<Till>(&How::Ignored)).await;
    assert_eq!(ignored.unwrap_err(), StartChildError::Ignored);
    assert_eq!(b.supervisor("default").count(), 1);
    halt([a, b, c]).await;
}

#[tokio::test]
async fn children_wait_for_as_many_members_as_they_are_told_to() {
    let describe = |id| describe(id).min_members(2, Duration::from_secs(60));
    let a = started(describe("a")).await;
    let supervisor = a.supervisor("default");
    let spec = || ChildSpec::new::<Till>(&How::Well);
    let early = supervisor.start_child(spec()).once("early").timeout(Duration::from_millis(200));
    assert!(matches!(early.await, Err(StartChildError::TimedOut { .. })));
    let b = started(describe("b").seeds([a.local_addr()])).await;
    supervisor.start_child(spec()).once("early").await.unwrap();
    assert_eq!(supervisor.count(), 1);
    a.halt().await;
    b.halt().await;
}

#[tokio::test]
async fn children_move_to_a_newcomer_that_they_belong_to() {
    let moving = Redistribution::Active { at_once: 4, quiet: Duration::from_millis(200) };
    let describe = |id| describe(id).redistribution(moving);
    let a = started(describe("a")).await;
    let supervisor = a.supervisor("default");
    let specs = (0..20).map(|number| {
        let spec = ChildSpec::new::<Till>(&How::Well);
        if number < 10 { spec.stays() } else { spec }
    });
    let mut children = Vec::new();
    for child in supervisor.start_children(specs).await {
        children.push(child.unwrap());
    }
    let b = started(describe("b").seeds([a.local_addr()])).await;
    let planned = supervisor.plan_moves().await.moves;
    a.settled().await.unwrap();
    assert_eq!(supervisor.plan_moves().await, MovePlan::default());
    let mut moved = 0;
    for (number, child) in children.iter().enumerate() {
        let home = home(child).await;
        assert!(home == "a" || 10 <= number, "what stays was moved");
        moved += usize::from(home == "b");
    }
    assert!(0 < moved && planned.len() <= moved, "{moved} moved of {planned:?}");
    let leaving = supervisor.plan_moves().without(NodeId::new("b").unwrap()).await.moves;
    assert_eq!(leaving.len(), moved);
    a.halt().await;
    b.halt().await;
}
