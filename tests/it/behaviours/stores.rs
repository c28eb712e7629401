//! What a cluster held that is over, brought into the next one.

use std::sync::{Arc, Mutex};

use ordu::{Blob, ChildSpec, Export, Node};
use ordu_sim::mad::{Cluster, Medium, simulate};
use ordu_sim::{N1, N2, seeds};

use super::ground::{Clerk, PATIENCE};

/// Starts what is to outlive the cluster of `a` and `b`, and returns it as bytes.
async fn kept(a: &Node, b: &Node) -> Vec<u8> {
    let start = async |node: &Node, name: &str| {
        let spec = ChildSpec::new::<Clerk>(&40).named(name);
        node.supervisor("default").start_child(spec).await.unwrap()
    };
    start(a, "till").await;
    let cart = start(b, "cart").await;
    start(a, "closed").await.terminate().await.unwrap();
    a.registry("default").put_meta("schema", "3").await.unwrap();
    assert_eq!(cart.call::<Clerk>(&2).await, Ok(42));
    a.settled().timeout(PATIENCE).await.unwrap();
    b.export().await.unwrap().encode()
}

/// Sees in the next cluster what there was in the one before, and nothing else.
async fn assert_kept(node: &Node) {
    let registry = node.registry("default");
    for name in ["till", "cart"] {
        let total = registry.call::<Clerk>(name, &1).timeout(PATIENCE).await;
        assert_eq!(total, Ok(41), "{name} begins anew");
    }
    assert!(registry.lookup("closed").is_none(), "it has ended");
    assert_eq!(node.supervisor("default").children().len(), 2);
    assert_eq!(registry.meta("schema"), Some(Blob::from("3")));
}

/// B116. All nodes stop, and others begin with what was kept.
#[tokio::test]
async fn a_cluster_on_real_sockets_goes_on_with_what_it_exported() {
    let start = async |name: &str, seeds: Vec<String>, export: Export| {
        let builder = Node::builder("shop", name).kind::<Clerk>().seeds(seeds).import(export);
        let node = builder.start().await.unwrap();
        node.ready(PATIENCE).await.unwrap();
        node
    };
    let a = start("a", vec![], Export::default()).await;
    let b = start("b", vec![a.local_addr().to_string()], Export::default()).await;
    let bytes = kept(&a, &b).await;
    a.halt().await;
    b.halt().await;

    let export = Export::decode(&bytes).unwrap();
    let c = start("c", vec![], export.clone()).await;
    let d = start("d", vec![c.local_addr().to_string()], export).await;
    d.settled().timeout(PATIENCE).await.unwrap();
    assert_kept(&d).await;
    c.halt().await;
    d.halt().await;
}

/// B116. All machines are killed, and the next life of each begins with what was kept.
#[test]
fn a_simulated_cluster_goes_on_with_what_it_exported() {
    for medium in Medium::ALL {
        for seed in seeds(2) {
            simulate(seed, move |log| async move {
                let store = Arc::new(Mutex::new(Export::default()));
                let shelf = Arc::clone(&store);
                let mut cluster = Cluster::boot(&log, medium, 2, move |_, builder| {
                    builder.kind::<Clerk>().import(shelf.lock().unwrap().clone())
                });
                cluster.rest(PATIENCE).await;
                let bytes = kept(&cluster.node(N1), &cluster.node(N2)).await;
                *store.lock().unwrap() = Export::decode(&bytes).unwrap();

                cluster.kill(N1);
                cluster.kill(N2);
                cluster.restart(N1);
                cluster.restart(N2);
                cluster.rest(PATIENCE).await;
                assert_kept(&cluster.node(N2)).await;
            });
        }
    }
}
