//! What is measured, one function a row or a few that share their set-up.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::process::Cluster;
use crate::words::{Request, wall_nanos};

/// One figure, beside what others reach and what is aimed at.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// What was done.
    pub work: &'static str,
    /// The figure.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// What it is to be.
    pub target: &'static str,
    /// What others measured on a machine of two cores; only ratios within one run compare.
    pub peers: &'static str,
}

/// Names and children of a row, unless it says otherwise.
const COUNT: usize = 10_000;

/// Measures everything, and hands each row on as soon as it is there.
pub(crate) fn measure(mut tell: impl FnMut(Row)) {
    let round_trip_us = tcp_round_trip_us();
    tell(Row {
        work: "bare TCP round trip of one byte, two threads",
        value: round_trip_us,
        unit: "µs",
        target: "the limit of this run",
        peers: "23–45",
    });
    one_node(&mut tell);
    names_on_three_nodes(&mut tell);
    children_on_three_nodes(&mut tell);
}

fn one_node(tell: &mut dyn FnMut(Row)) {
    let register = |prefix: &str, at_once| Request::Register {
        prefix: prefix.to_owned(),
        count: COUNT,
        at_once,
    };
    let mut cluster = Cluster::start(1);
    let took = cluster.nodes[0].ask(&register("one/", 1)).nanos();
    tell(Row {
        work: "register 10k names, one node, one after the other",
        value: took / COUNT as f64 / 1e3,
        unit: "µs each",
        target: "≤ 3",
        peers: "Horde 32–91, Syn 17, ractor 43, kameo 200",
    });
    let took = cluster.nodes[0].ask(&register("many/", 64)).nanos();
    tell(Row {
        work: "register 10k names, one node, 64 at once",
        value: took / COUNT as f64 / 1e3,
        unit: "µs each",
        target: "≤ 3",
        peers: "",
    });
    let lookup = Request::Lookup { prefix: "one/".to_owned(), count: COUNT, rounds: 20 };
    tell(Row {
        work: "lookup of a local name, 20k names",
        value: cluster.nodes[0].ask(&lookup).nanos(),
        unit: "ns",
        target: "≤ 1.5 × papaya (126 quiet)",
        peers: "Horde 2,400–7,800, Syn 1,300–2,500, ractor 50",
    });
    // 10 to 99: a hundred and one names behind each.
    let select = Request::Select { prefix: "one/".to_owned(), count: 100, rounds: 100 };
    tell(Row {
        work: "names by prefix, 20k names, about a hundred at once",
        value: cluster.nodes[0].ask(&select).nanos(),
        unit: "ns a name",
        target: "≤ 3 × a lookup",
        peers: "",
    });

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

fn names_on_three_nodes(tell: &mut dyn FnMut(Row)) {
    let mut cluster = Cluster::start(3);
    let mut visible_us = visible_one_by_one(&mut cluster);
    visible_us.sort_by(f64::total_cmp);
    let visible = "one name visible on both peers";
    tell(Row {
        work: visible,
        value: visible_us[visible_us.len() / 2],
        unit: "µs median",
        target: "≤ 5 × the bare round trip",
        peers: "Horde 163,000–194,000, Syn 1,750, ractor 200–500, kameo 1,100–1,400",
    });
    tell(Row {
        work: visible,
        value: visible_us[visible_us.len() * 99 / 100],
        unit: "µs p99",
        target: "≤ 5,000",
        peers: "",
    });

    let known = visible_us.len();
    let (resident, sent) = (ask(&mut cluster, 2, &Request::Memory), traffic(&mut cluster));
    let prefix = "spread/".to_owned();
    let names = Request::AwaitNames { count: known + COUNT };
    cluster.nodes[1].begin(&names);
    cluster.nodes[2].begin(&names);
    let began = wall_nanos();
    cluster.nodes[0].ask(&Request::Register { prefix: prefix.clone(), count: COUNT, at_once: 64 });
    let ended = cluster.nodes[1].end().ended().max(cluster.nodes[2].end().ended());
    tell(Row {
        work: "10k names on one node until two more have all",
        value: ended.saturating_sub(began) as f64 / 1e6,
        unit: "ms",
        target: "≤ 100",
        peers: "Horde 1,600–4,200, Syn 260–490, ractor 370–1,330",
    });
    cluster.settle();
    let sent = traffic(&mut cluster) - sent;
    tell(Row {
        work: "… bytes on the wire, all nodes together",
        value: sent as f64 / (2 * COUNT) as f64,
        unit: "bytes a name and peer",
        target: "≤ 45 + name (11)",
        peers: "Syn ~90",
    });
    let resident = ask(&mut cluster, 2, &Request::Memory).saturating_sub(resident);
    tell(Row {
        work: "… memory on a peer",
        value: resident as f64 / COUNT as f64,
        unit: "bytes a name",
        target: "≤ 600 + name (11), later 300",
        peers: "Horde 4,400–5,600, Syn 350",
    });
    let lookup = Request::Lookup { prefix, count: COUNT, rounds: 20 };
    tell(Row {
        work: "lookup of a remote name, 10k names",
        value: cluster.nodes[2].ask(&lookup).nanos(),
        unit: "ns",
        target: "the same as local",
        peers: "Horde 97,000–149,000, Syn 850–1,600, kameo 1,161,000",
    });
    tell(idle(&mut cluster));
}

/// Registers names one by one, and returns how long each took to be seen on both peers.
fn visible_one_by_one(cluster: &mut Cluster) -> Vec<f64> {
    const TIMES: usize = 100;
    let measure = |time| {
        let prefix = format!("visible/{time}/");
        let name = Request::AwaitName { name: format!("{prefix}0") };
        cluster.nodes[1].begin(&name);
        cluster.nodes[2].begin(&name);
        // The watchers are at it by then.
        std::thread::sleep(Duration::from_millis(2));
        let began = wall_nanos();
        cluster.nodes[0].ask(&Request::Register { prefix, count: 1, at_once: 1 });
        let ended = cluster.nodes[1].end().ended().max(cluster.nodes[2].end().ended());
        ended.saturating_sub(began) as f64 / 1e3
    };
    (0..TIMES).map(measure).collect()
}

fn idle(cluster: &mut Cluster) -> Row {
    const TIME: Duration = Duration::from_secs(10);
    let before = traffic(cluster);
    std::thread::sleep(TIME);
    let sent = traffic(cluster) - before;
    let links = cluster.nodes.len() * (cluster.nodes.len() - 1);
    Row {
        work: "idle, three nodes, 10k names",
        value: sent as f64 / TIME.as_secs_f64() / links as f64,
        unit: "bytes/s a node and link",
        target: "≤ 500",
        peers: "Horde 18,500, Syn 0",
    }
}

fn children_on_three_nodes(tell: &mut dyn FnMut(Row)) {
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

fn ask(cluster: &mut Cluster, node: usize, request: &Request) -> u64 {
    cluster.nodes[node].ask(request).bytes()
}

/// Returns what all nodes have sent so far.
fn traffic(cluster: &mut Cluster) -> u64 {
    cluster.nodes.iter_mut().map(|node| node.ask(&Request::Traffic).bytes()).sum()
}

/// Returns the median time that one byte takes to another thread and back, over loopback TCP.
fn tcp_round_trip_us() -> f64 {
    const TIMES: usize = 5_000;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
    let address = listener.local_addr().expect("it is bound");
    let echo = std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().expect("somebody connects");
        peer.set_nodelay(true).expect("it is connected");
        let mut byte = [0];
        while peer.read_exact(&mut byte).is_ok() && peer.write_all(&byte).is_ok() {}
    });
    let mut stream = TcpStream::connect(address).expect("it is listened there");
    stream.set_nodelay(true).expect("it is connected");
    let mut nanos = BTreeMap::new();
    for time in 0..TIMES {
        let (began, mut byte) = (Instant::now(), [7]);
        stream.write_all(&byte).and_then(|()| stream.read_exact(&mut byte)).expect("it echoes");
        nanos.insert((began.elapsed().as_nanos(), time), ());
    }
    drop(stream);
    echo.join().expect("an echo does not panic");
    let median = nanos.keys().nth(TIMES / 2).expect("it was measured");
    median.0 as f64 / 1e3
}
