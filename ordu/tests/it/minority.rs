//! Children that stop, and names that are given up, while a node sees too few members, over real
//! sockets.

use std::time::Duration;

use ordu::{
    ChildSpec, Context, Incoming, Mode, Node, NodeBuilder, OnMinority, Process, Quorum,
    RegisterError, StartChildError, StartError, StopReason,
};

use crate::cluster::{started, until};

const RULE: OnMinority = OnMinority::Stop(Quorum::Static { size: 2 });

/// Says that it is there, and by its end that it was told why.
struct Cart;

impl Process for Cart {
    const KIND: &'static str = "cart";
    type Args = ();
    type Message = ();
    type Reply = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, StartError> {
        Ok(Self)
    }

    async fn handle(&mut self, (): (), _: &mut Context<Self>) {}

    async fn stop(self, reason: StopReason) -> Option<Vec<u8>> {
        let is_expected = matches!(reason, StopReason::NoQuorum | StopReason::NodeDown);
        assert!(is_expected, "nobody asked for its end: {reason:?}");
        None
    }
}

fn describe(node: &str) -> NodeBuilder {
    let node = Node::builder("shop", node).on_minority("carts", RULE).kind::<Cart>();
    node.failure_timeout(Duration::from_millis(600)).beat_interval(Duration::from_millis(100))
}

/// B124. Without a second node nothing starts, with one everything runs, and when it is gone all
/// stops until it is back.
#[tokio::test]
async fn children_run_while_enough_nodes_are_up() {
    let a = started(describe("a")).await;
    let (carts, spec) = (a.supervisor("carts"), || ChildSpec::new::<Cart>(&()).named("cart"));
    let refused = carts.start_child(spec()).await;
    let refusal = StartChildError::NoQuorum { up: 1, of: 2, child: None };
    assert_eq!(refused.map(|child| child.id()), Err(refusal));
    let view = carts.quorum().await.unwrap();
    assert_eq!((view.mode, view.may_run), (Mode::Eventual { on_minority: RULE }, false));

    let b = started(describe("b").seeds([a.local_addr()])).await;
    until("two to be up", async || carts.quorum().await.unwrap().may_run).await;
    let cart = carts.start_child(spec()).await.unwrap();
    assert_eq!(cart.call::<Cart>(&()).await, Ok(()));

    b.halt().await;
    until("one to be left", async || !carts.quorum().await.unwrap().may_run).await;
    until("it to stop", async || a.registry("default").lookup("cart").is_none()).await;
    let refused = carts.start_child(spec()).await;
    assert!(matches!(refused, Err(StartChildError::NoQuorum { up: 1, of: 2, .. })));

    let b = started(describe("b").seeds([a.local_addr()])).await;
    until("it to run again", async || a.registry("default").lookup("cart").is_some()).await;
    assert_eq!(carts.children().len(), 1, "the same child");
    b.halt().await;
    a.halt().await;
    assert_eq!(carts.quorum().await, None, "a node that is over says nothing");
}

/// A process has a name while enough nodes are up, is told when they are not, and has none then.
#[tokio::test]
async fn names_are_held_while_enough_nodes_are_up() {
    let mode = Mode::Eventual { on_minority: RULE };
    let a = started(describe("a").registry_mode("tills", mode)).await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let spawned = a.spawn(move |mut context| async move {
        if let Incoming::Stop(reason) = context.next().await {
            tell.send(reason).unwrap();
        }
    });
    let (till, tills) = (spawned.await.unwrap(), a.registry("tills"));
    let refused = tills.register("till/7", &till).await;
    assert_eq!(refused.map(drop), Err(RegisterError::NoQuorum { up: 1, of: 2 }));
    let view = tills.quorum().unwrap().await.unwrap();
    assert_eq!((view.mode, view.may_run, view.up, view.of), (mode, false, 1, 2));

    let b = describe("b").registry_mode("tills", mode).seeds([a.local_addr()]);
    let b = started(b).await;
    until("two to be up", async || tills.quorum().unwrap().await.unwrap().may_run).await;
    tills.register("till/7", &till).await.unwrap();
    until("all to see it", async || b.registry("tills").lookup("till/7").is_some()).await;

    b.halt().await;
    assert_eq!(told.recv().await, Some(StopReason::NoQuorum));
    assert!(tills.lookup("till/7").is_none(), "it was free before its process was told");
    a.halt().await;
    assert!(a.registry("default").quorum().unwrap().await.is_none(), "a node that is over");
}
