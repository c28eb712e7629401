//! Names: given, looked up, spread, and held on both sides of a split.

use std::time::Duration;

use crate::process::Cluster;
use crate::rows::{COUNT, Row, Tell, ask, micros_each, traffic};
use crate::words::{Request, wall_nanos};

/// Names of a large registry.
const MANY: usize = 100_000;
/// Names that both sides of a split hold, or one of them.
const SPLIT: usize = 1_000;

fn register(prefix: &str, count: usize, at_once: usize) -> Request {
    Request::Register { prefix: prefix.to_owned(), count, at_once }
}

/// Names of one node alone, given and listed.
pub(super) fn on_one_node(tell: Tell<'_>) {
    let mut cluster = Cluster::start(1);
    let took = cluster.nodes[0].ask(&register("one/", COUNT, 1)).nanos();
    tell(Row {
        work: "register 10k names, one node, one after the other",
        value: micros_each(took, COUNT),
        unit: "µs each",
        target: "≤ 3",
        peers: "Horde 32–91, Syn 17, ractor 43, kameo 200",
    });
    let took = cluster.nodes[0].ask(&register("many/", COUNT, 64)).nanos();
    tell(Row {
        work: "register 10k names, one node, 64 at once",
        value: micros_each(took, COUNT),
        unit: "µs each",
        target: "≤ 3",
        peers: "",
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
}

/// Lookups among many names, and in a map of the same names that holds nothing else.
pub(super) fn looked_up(tell: Tell<'_>) {
    let prefix = || "there/".to_owned();
    let mut cluster = Cluster::start(1);
    cluster.nodes[0].ask(&register("there/", MANY, 64));
    let bare = Request::LookupBare { prefix: prefix(), count: MANY, rounds: 10 };
    tell(Row {
        work: "lookup in a bare concurrent map (papaya), 100k names",
        value: cluster.nodes[0].ask(&bare).nanos(),
        unit: "ns",
        target: "the limit of this run",
        peers: "",
    });
    let mut look_up = |work, writes| {
        let lookup = Request::Lookup { prefix: prefix(), count: MANY, rounds: 10, writes };
        tell(Row {
            work,
            value: cluster.nodes[0].ask(&lookup).nanos(),
            unit: "ns",
            target: "≤ 1.5 × the bare map",
            peers: "Horde 2,400–7,800, Syn 1,300–2,500, ractor 50",
        });
    };
    look_up("lookup of a local name, 100k names", false);
    look_up("… while 10,000 names a second are given and given up", true);
}

/// A registry of a million names, and very many registrations at once.
pub(super) fn by_the_million(tell: Tell<'_>) {
    const MILLION: usize = 1_000_000;
    let mut cluster = Cluster::start(1);
    let took = cluster.nodes[0].ask(&register("at-once/", MANY, MANY)).nanos();
    tell(Row {
        work: "100k registrations, one node, all at once",
        value: took / 1e6,
        unit: "ms until the last is answered",
        target: "none past its deadline of 5 s",
        peers: "Horde 22,000–43,000 of them failed, Syn 2,300 ms",
    });
    cluster.nodes[0].ask(&register("million/", MILLION - MANY, 64));
    let took = cluster.nodes[0].ask(&register("beside/", COUNT, 64)).nanos();
    tell(Row {
        work: "register 10k names beside a million, one node, 64 at once",
        value: micros_each(took, COUNT),
        unit: "µs each",
        target: "≤ 3, as without them",
        peers: "Horde 90–151 beside 100k, Syn 22–32",
    });
}

/// A node that joins one with very many names.
pub(super) fn of_a_newcomer(tell: Tell<'_>) {
    let mut cluster = Cluster::start(1);
    let began = wall_nanos();
    cluster.join();
    let alone = wall_nanos() - began;
    tell(Row {
        work: "a process starts its node, which joins another and is ready",
        value: alone as f64 / 1e6,
        unit: "ms",
        target: "the limit of the next row",
        peers: "",
    });

    let mut cluster = Cluster::start(1);
    cluster.nodes[0].ask(&register("there/", MANY, 64));
    let sent = traffic(&mut cluster);
    let began = wall_nanos();
    cluster.join();
    let ready = wall_nanos() - began;
    let all = cluster.nodes[1].ask(&Request::AwaitNames { count: MANY }).ended() - began;
    let sent = traffic(&mut cluster) - sent;
    tell(Row {
        work: "… the other one has 100k names, until it is ready",
        value: ready as f64 / 1e6,
        unit: "ms",
        target: "≤ 500",
        peers: "",
    });
    tell(Row {
        work: "… until it has all names",
        value: all as f64 / 1e6,
        unit: "ms",
        target: "≤ 500",
        peers: "10k names: Horde 760, Syn 70; chitchat 600 within one process",
    });
    tell(Row {
        work: "… bytes on the wire, both nodes together",
        value: sent as f64 / MANY as f64,
        unit: "bytes a name",
        target: "≤ 45 + name (12)",
        peers: "Horde 1,015, Syn 44",
    });
}

/// Names that processes of two nodes took while a split kept the nodes apart.
pub(super) fn on_both_sides(tell: Tell<'_>) {
    let mut cluster = Cluster::start(2);
    cluster.cut();
    let hold = Request::Hold { prefix: "both/".to_owned(), count: SPLIT };
    // The second node's processes are the younger ones: they lose.
    cluster.nodes[0].ask(&hold);
    cluster.nodes[1].ask(&hold);
    let (healed, met) = cluster.heal();
    let told = cluster.nodes[1].ask(&Request::AwaitStopped { count: SPLIT }).ended();
    tell(Row {
        work: "1,000 names on both sides of a split, heal, until the last loser is told",
        value: told.saturating_sub(met) as f64 / 1e6,
        unit: "ms after the sides meet",
        target: "≤ 50",
        peers: "Horde 85–342, Syn 31–69",
    });
    meeting(tell, healed, met);
}

/// Names of one node that another one loses sight of.
pub(super) fn behind_a_split(tell: Tell<'_>) {
    let mut cluster = Cluster::start(2);
    cluster.nodes[0].ask(&register("behind/", SPLIT, 64));
    cluster.nodes[1].ask(&Request::AwaitNames { count: SPLIT });
    cluster.cut();
    let sent = traffic(&mut cluster);
    let (healed, met) = cluster.heal();
    let found = cluster.nodes[1].ask(&Request::AwaitNames { count: SPLIT }).ended();
    let sent = traffic(&mut cluster) - sent;
    tell(Row {
        work: "1,000 names behind a split, heal, until all are found again",
        value: found.saturating_sub(met) as f64 / 1e6,
        unit: "ms after the sides meet",
        target: "≤ 10",
        peers: "Horde: none of them, ever; Syn 10",
    });
    tell(Row {
        work: "… bytes on the wire, both nodes together",
        value: sent as f64,
        unit: "bytes",
        target: "no name among them",
        peers: "",
    });
    meeting(tell, healed, met);
}

/// How long two sides took to meet again, with greetings half a second apart.
fn meeting(tell: Tell<'_>, healed: u64, met: u64) {
    tell(Row {
        work: "… from the heal until the sides meet",
        value: met.saturating_sub(healed) as f64 / 1e6,
        unit: "ms",
        target: "≤ 500, a beat",
        peers: "",
    });
}

/// Names of one node, as two others see them.
pub(super) fn on_three_nodes(tell: Tell<'_>) {
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
    let lookup = Request::Lookup { prefix, count: COUNT, rounds: 20, writes: false };
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
