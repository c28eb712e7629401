//! A world of one node: tokio's clock, and a transport that reaches nobody.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ordu::{Address, Blob, BoxFuture, Node, NodeBuilder, NodeId, Runtime, Time, Transport, Wall};
use ordu_core::transport::{Lane, SendError, TransportEvent};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Returns the description of a node that reaches nobody and waits for a seed for ever.
pub(crate) fn alone() -> NodeBuilder {
    Node::builder("shop", "a")
        .transport(Arc::new(Nowhere::default()))
        .runtime(runtime())
        .seeds(["nobody:1"])
}

/// Returns a runtime on tokio's own clock.
pub(crate) fn runtime() -> Arc<dyn Runtime> {
    Arc::new(Tokio { origin: Instant::now() })
}

struct Tokio {
    origin: Instant,
}

impl Runtime for Tokio {
    fn spawn(&self, task: BoxFuture<()>) {
        tokio::spawn(task);
    }

    fn now(&self) -> Time {
        Time::ZERO + self.origin.elapsed()
    }

    fn wall(&self) -> Wall {
        Wall::from_millis(1_000_000 + u64::try_from(self.origin.elapsed().as_millis()).unwrap())
    }

    fn sleep_until(&self, at: Time) -> BoxFuture<()> {
        let wait = at.since(self.now());
        Box::pin(async move { tokio::time::sleep(wait.max(Duration::from_micros(1))).await })
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

/// A transport that reaches nobody.
#[derive(Default)]
struct Nowhere {
    closed: Notify,
}

#[async_trait]
impl Transport for Nowhere {
    fn local_address(&self) -> Address {
        Address::new("here:1").unwrap()
    }

    fn dial(&self, _: &Address) {}

    fn hang_up(&self, _: &Address) {}

    fn disconnect(&self, _: &NodeId) {}

    fn send(&self, peer: &NodeId, _: Lane, _: Blob) -> Result<(), SendError> {
        Err(SendError::NoSession { peer: peer.clone() })
    }

    async fn next(&self) -> Option<TransportEvent> {
        self.closed.notified().await;
        None
    }

    async fn close(&self) {
        self.closed.notify_one();
    }
}
