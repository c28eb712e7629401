//! Evictions and the list of members, over real sockets.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::time::Duration;

use ordu::{EvictError, ExitReason, Node, NodeId, Replicas, SetMembersError};

use crate::cluster::{started, three, until};
use crate::names::ready;

const PATIENCE: Duration = Duration::from_secs(20);

fn id(node: &str) -> NodeId {
    NodeId::new(node).unwrap()
}

fn members(node: &Node) -> Vec<String> {
    node.members().into_iter().map(|member| member.node.to_string()).collect()
}

/// B138. Who is evicted has left, and says why; the others do not know it any more.
#[tokio::test]
async fn who_is_evicted_leaves_and_may_come_back() {
    let [a, b, c] = three().await;
    a.evict(&id("c")).timeout(PATIENCE).await.unwrap();
    assert_eq!(members(&a), ["a", "b"]);
    assert_eq!(c.over().await, Some(ExitReason::Evicted));
    until("the other one to know it", async || members(&b) == ["a", "b"]).await;

    let c = started(Node::builder("shop", "c").seeds([a.local_addr()])).await;
    until("it to be back", async || members(&b) == ["a", "b", "c"]).await;
    b.evict(&id("c")).at_once().timeout(PATIENCE).await.unwrap();
    assert_eq!(c.over().await, Some(ExitReason::Evicted));

    let unknown = EvictError::Unknown { node: id("d") };
    assert_eq!(a.evict(&id("d")).await, Err(unknown));
    b.evict(&id("b")).timeout(PATIENCE).await.unwrap();
    assert_eq!(b.over().await, Some(ExitReason::Evicted));
    assert_eq!(b.evict(&id("a")).await, Err(EvictError::NotReady));
    a.halt().await;
}

/// B41 to B50, B96. Who is on the list may be a member, and nobody else.
#[tokio::test]
async fn who_is_not_on_the_list_is_no_member() {
    let [a, b, c] = three().await;
    assert_eq!((a.member_list(), b.member_list()), (None, None));
    let process = c.spawn(async |_| std::future::pending::<()>().await).await.unwrap();
    c.registry("default").register("clerk", process).replicated(Replicas::All).await.unwrap();
    assert!(a.registry("default").lookup("clerk").is_some());

    // One of them is not there, which is no error.
    let listed = ["a", "b", "d"].map(id);
    let token = a.set_members(listed.clone()).replicated(Replicas::Two).await.unwrap();
    b.caught_up(&token).timeout(PATIENCE).await.unwrap();
    assert_eq!(b.member_list(), Some(BTreeSet::from(listed)));
    assert_eq!(c.over().await, Some(ExitReason::NotListed));
    for node in [&a, &b] {
        until("it to be gone", async || members(node) == ["a", "b"]).await;
        assert_eq!(node.registry("default").lookup("clerk"), None);
    }

    let c = Node::builder("shop", "c").seeds([a.local_addr()]).start().await.unwrap();
    assert_eq!(c.over().await, Some(ExitReason::NotListed));
    let d = started(Node::builder("shop", "d").seeds([a.local_addr()])).await;
    until("it to be there", async || members(&b) == ["a", "b", "d"]).await;

    d.open_membership().replicated(Replicas::All).timeout(PATIENCE).await.unwrap();
    assert_eq!(d.member_list(), None);
    let c = started(Node::builder("shop", "c").seeds([b.local_addr()])).await;
    until("all to be there", async || members(&a) == ["a", "b", "c", "d"]).await;
    for node in [a, b, c, d] {
        node.halt().await;
    }
}

/// B41, B42. Members given at the start are members, and nobody else.
#[tokio::test]
async fn members_given_at_the_start_are_members_and_nobody_else() {
    let listed = |node: &str| Node::builder("shop", node).members(["a", "b"]);
    let a = started(listed("a")).await;
    assert_eq!(a.member_list(), Some(BTreeSet::from(["a", "b"].map(id))));
    let c = Node::builder("shop", "c").seeds([a.local_addr()]).start().await.unwrap();
    assert_eq!(c.over().await, Some(ExitReason::NotListed));
    let b = started(listed("b").seeds([a.local_addr()])).await;
    until("both to be there", async || members(&a) == ["a", "b"] && members(&b) == ["a", "b"])
        .await;
    for node in [a, b] {
        node.halt().await;
    }

    let error = listed("c").start().await.unwrap_err();
    let says = error.source().expect("it says why").to_string();
    assert_eq!(says, "c is not on the list of members that it is given; add it");
    let error = Node::builder("shop", "a").members(["a", ""]).start().await.unwrap_err();
    assert_eq!(error.to_string(), "no member can be called \"\"");
}

/// Every refusal says what is wrong, and leaves what there is.
#[tokio::test(start_paused = true)]
async fn a_list_that_is_none_is_refused_and_changes_nothing() {
    let node = ready().await;
    assert_eq!(node.set_members([]).await, Err(SetMembersError::Empty));
    let many = (0..1_025).map(|number| id(&format!("n{number}")));
    let too_many = SetMembersError::TooMany { count: 1_025, max: 1_024 };
    assert_eq!(node.set_members(many).await, Err(too_many));
    node.open_membership().await.unwrap();
    assert_eq!(node.member_list(), None);

    node.set_members([node.id().clone()]).await.unwrap();
    assert_eq!(node.member_list(), Some(BTreeSet::from([node.id().clone()])));
    node.halt().await;
    assert_eq!(node.member_list(), None, "a node that is over knows nothing any more");
    assert_eq!(node.set_members([id("a")]).await, Err(SetMembersError::NotReady));
}
