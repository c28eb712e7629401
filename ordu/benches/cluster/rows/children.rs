//! Children: starts, and the death of a node.

use std::time::Duration;

use crate::process::Cluster;
use crate::rows::{COUNT, Row, Tell};
use crate::words::{Request, wall_nanos};

/// Starts on one node alone.
pub(super) fn on_one_node(tell: Tell<'_>) {
    let mut cluster = Cluster::start(1);
    let took = cluster.nodes[0].ask(&Request::Start { count: COUNT, at_once: 64 }).nanos();
    tell(Row {
        work: "start_child, one node, 64 at once",
        value: COUNT as f64 / took * 1e9,
        unit: "children/s",
        target: "≥ 150,000",
        peers: "Horde 5,000–16,000; spawn: ractor 187,000, kameo 274,000",
    });
}

/// Starts over three nodes, one of which is killed then.
pub(super) fn on_three_nodes(tell: Tell<'_>) {
    let mut cluster = Cluster::start(3);
    let took = cluster.nodes[0].ask(&Request::Start { count: COUNT, at_once: 64 }).nanos();
    tell(Row {
        work: "start 10k children over three nodes from one, 64 at once",
        value: COUNT as f64 / took * 1e9,
        unit: "children/s",
        target: "≥ 50,000",
        peers: "Horde 330–1,590",
    });

    let children = 3_000;
    let mut cluster = Cluster::start(3);
    cluster.nodes[0].ask(&Request::Start { count: children, at_once: 64 });
    cluster.settle();
    // A session that ends within a beat of its start is not dialled again before the next one.
    std::thread::sleep(Duration::from_secs(1));
    let victim = cluster.nodes.pop().expect("there are three");
    let not_on = victim.name.clone();
    let watch = Request::AwaitRunning { children, not_on };
    cluster.nodes[0].begin(&watch);
    cluster.nodes[1].begin(&watch);
    let began = wall_nanos();
    victim.kill();
    let ended = cluster.nodes[0].end().ended().max(cluster.nodes[1].end().ended());
    tell(Row {
        work: "SIGKILL one of three nodes, 3,000 children, until all run again",
        value: ended.saturating_sub(began) as f64 / 1e6,
        unit: "ms",
        target: "≤ 150 after the connection closes",
        peers: "Horde 240–1,170, with 17–37 doubles in 2 of 9 kills",
    });
}
