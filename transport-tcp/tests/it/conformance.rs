//! What every transport must do, this one does.

use std::sync::Arc;

use async_trait::async_trait;
use ordu_core::NodeId;
use ordu_core::transport::{Runtime, Transport};
use ordu_transport_mem::conformance::{self, Factory};
use ordu_transport_tcp::{Config, Secret, TokioNet};

struct OverTcp {
    secret: Option<Secret>,
}

#[async_trait]
impl Factory for OverTcp {
    fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::new(TokioNet::current())
    }

    async fn start(&self, cluster: &str, node: NodeId) -> Box<dyn Transport> {
        let listen = "127.0.0.1:0".parse().unwrap();
        let config = Config { secret: self.secret.clone(), ..Config::new(cluster, node, listen) };
        Box::new(super::start(config).await)
    }
}

#[tokio::test]
async fn encrypted_on_one_thread() {
    conformance::all(&OverTcp { secret: Some(super::secret()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_on_many_threads() {
    conformance::all(&OverTcp { secret: Some(super::secret()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_plain_text_on_loopback() {
    conformance::all(&OverTcp { secret: None }).await;
}
