//! What every transport must do, the one in memory does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use ordu_core::NodeId;
use ordu_core::transport::{Address, Runtime, Transport};
use ordu_transport_mem::conformance::{self, Factory};
use ordu_transport_mem::{Config, Faulty, Hub, Mem};
use ordu_transport_tcp::TokioNet;

struct InMemory {
    hub: Hub,
    started: AtomicU64,
    faulty: bool,
}

#[async_trait]
impl Factory for InMemory {
    fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::new(TokioNet::current())
    }

    async fn start(&self, cluster: &str, node: NodeId) -> Box<dyn Transport> {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let address = Address::new(format!("mem:{number}")).unwrap();
        let config = Config { cluster: String::from(cluster), node, address };
        let mem = Mem::bind(&self.hub, self.runtime(), config).unwrap();
        if self.faulty { Box::new(Faulty::new(mem)) } else { Box::new(mem) }
    }
}

fn in_memory(faulty: bool) -> InMemory {
    InMemory { hub: Hub::new(1), started: AtomicU64::new(0), faulty }
}

#[tokio::test]
async fn on_one_thread() {
    conformance::all(&in_memory(false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_many_threads() {
    conformance::all(&in_memory(false)).await;
}

#[tokio::test]
async fn behind_a_decorator_that_cuts_nothing() {
    conformance::all(&in_memory(true)).await;
}
