//! Who hears whom, over real sockets.

use std::time::Duration;

use ordu::{Link, Node, NodeBuilder};

use crate::cluster::{started, until};

fn describe(node: &str) -> NodeBuilder {
    let node = Node::builder("shop", node);
    node.failure_timeout(Duration::from_millis(600)).beat_interval(Duration::from_millis(100))
}

/// Each node knows of each pair, and names nothing; of who has left it tells nothing any more.
#[tokio::test]
async fn a_node_tells_of_each_pair_of_members_that_it_hears() {
    let a = started(describe("a")).await;
    let b = started(describe("b").seeds([a.local_addr()])).await;
    let c = started(describe("c").seeds([a.local_addr()])).await;
    for node in [&a, &b, &c] {
        until("all six to be known", async || {
            let view = node.links().await.unwrap();
            view.links.len() == 6 && view.broken().next().is_none()
        })
        .await;
    }
    let view = a.links().await.unwrap();
    for link in &view.links {
        assert_eq!(link.session, Link::Open, "{link}");
    }

    c.leave().await.unwrap();
    until("two to be left", async || a.links().await.unwrap().links.len() == 2).await;
    b.halt().await;
    a.halt().await;
    assert!(a.links().await.is_none(), "a node that is over says nothing");
}
