//! A node with a flight recorder leaves files that can be lived again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ordu::{
    Address, Context, DumpFlightError, FlightRecorder, Incoming, Node, NodeId, Payloads, ProcessId,
};
use ordu_core::flight::{Dump, Reason};
use ordu_transport_mem::{Config, Hub, Mem};

use crate::world::{alone, runtime};

const PATIENCE: Duration = Duration::from_secs(20);

/// Returns a directory that no other test uses.
fn directory(test: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("ordu-it-{}-{test}", std::process::id()));
    let _ = fs::remove_dir_all(&directory);
    directory
}

fn dumps_in(directory: &Path) -> Vec<(PathBuf, Dump)> {
    let entries = fs::read_dir(directory).map(|entries| entries.collect::<Vec<_>>());
    let paths = entries.unwrap_or_default().into_iter().map(|entry| entry.unwrap().path());
    // A file that is being written is not whole yet.
    let read = |path: PathBuf| Some((path.clone(), Dump::decode(&fs::read(path).unwrap()).ok()?));
    paths.filter_map(read).collect()
}

/// Two nodes with flight recorders, on a network that can be cut.
async fn two(directory: &Path, payloads: Payloads) -> (Hub, [Node; 2]) {
    let (hub, runtime) = (Hub::new(1), runtime());
    let mut nodes = Vec::new();
    for id in ["a", "b"] {
        let (node, address) = (NodeId::new(id).unwrap(), Address::new(id).unwrap());
        let config = Config { cluster: "shop".to_owned(), node, address };
        let transport = Arc::new(Mem::bind(&hub, Arc::clone(&runtime), config).unwrap());
        let recorder = FlightRecorder::new(directory).payloads(payloads);
        let node = Node::builder("shop", id).transport(transport).runtime(Arc::clone(&runtime));
        let node = node.seeds((id != "a").then_some("a")).flight_recorder(recorder);
        let node = node.start().await.unwrap();
        node.ready(PATIENCE).await.unwrap();
        nodes.push(node);
    }
    nodes[1].settled().timeout(PATIENCE).await.unwrap();
    (hub, nodes.try_into().unwrap())
}

/// Starts a process that answers until it is stopped.
async fn idle(node: &Node) -> ProcessId {
    let process = async |mut context: Context| {
        while let Incoming::Message(_) | Incoming::Absorb(_) = context.next().await {}
    };
    node.spawn(process).await.unwrap()
}

#[tokio::test]
async fn a_dump_on_demand_is_replayed_to_the_state_of_the_node() {
    let directory = directory("demand");
    let (_, [a, b]) = two(&directory, Payloads::Hashed).await;
    for number in 0..50 {
        let process = idle(&a).await;
        a.registry("default").register(format!("name/{number}"), process).await.unwrap();
    }
    b.settled().timeout(PATIENCE).await.unwrap();
    for (node, name) in [(&a, "a.000001.demand.flight"), (&b, "b.000001.demand.flight")] {
        let path = node.dump_flight().await.unwrap();
        assert_eq!(path, directory.join(name));
        let dump = Dump::decode(&fs::read(path).unwrap()).unwrap();
        assert_eq!((dump.node(), dump.reason()), (node.id(), Reason::Demand));
        let replayed = dump.replay().unwrap();
        assert_eq!(Some(replayed.state_hash), dump.state_hash());
    }
    let second = a.dump_flight().await.unwrap();
    assert_eq!(second, directory.join("a.000002.demand.flight"));

    a.halt().await;
    assert!(matches!(a.dump_flight().await, Err(DumpFlightError::Over)));
    b.halt().await;
    fs::remove_dir_all(&directory).unwrap();
}

/// Where one wins or loses there is a file that says how it came to that.
#[tokio::test]
async fn a_conflict_leaves_a_dump_with_both_sides() {
    let directory = directory("conflict");
    let (hub, [a, b]) = two(&directory, Payloads::Kept).await;
    hub.cut(a.id(), b.id());
    for node in [&a, &b] {
        let process = idle(node).await;
        node.registry("default").register("cart", process).await.unwrap();
    }
    assert_eq!(dumps_in(&directory).len(), 0, "nobody has met anybody yet");
    hub.heal();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while dumps_in(&directory).len() < 2 {
        assert!(tokio::time::Instant::now() < deadline, "a dump is missing");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    b.settled().timeout(PATIENCE).await.unwrap();

    let mut dumps = dumps_in(&directory);
    dumps.sort_by(|(one, _), (other, _)| one.cmp(other));
    assert_eq!(dumps.len(), 2, "one conflict, one dump on each side: {dumps:?}");
    for ((path, dump), node) in dumps.iter().zip(["a", "b"]) {
        assert_eq!(dump.reason(), Reason::Conflict);
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(name, format!("{node}.000001.conflict.flight"));
        let mut conflicts = 0;
        let replayed = dump.replay_with(|step| {
            let outputs = step.outputs.iter();
            conflicts += outputs.filter(|o| format!("{o:?}").contains("Conflict")).count();
        });
        assert_eq!(Some(replayed.unwrap().state_hash), dump.state_hash());
        assert!(conflicts > 0, "the conflict is in it");
    }

    for node in [a, b] {
        node.halt().await;
    }
    fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test]
async fn a_node_without_a_recorder_says_so() {
    let node = alone().start().await.unwrap();
    assert!(matches!(node.dump_flight().await, Err(DumpFlightError::NoRecorder)));
    node.halt().await;

    // One that may keep nothing says that, too.
    let recorder = FlightRecorder::new(directory("nothing")).bytes_max(0);
    let node = alone().flight_recorder(recorder).start().await.unwrap();
    let error = node.dump_flight().await.unwrap_err();
    assert!(matches!(error, DumpFlightError::NothingKept { .. }), "{error:?}");
    node.halt().await;
}
