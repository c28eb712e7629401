//! A transport that counts what it sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use ordu::{Address, Blob, NodeId, Transport};
use ordu_core::transport::{Lane, SendError, TransportEvent};

/// A transport, and how many bytes of frames it took; encryption and headers come on top.
pub(crate) struct Counting<T> {
    inner: T,
    counted: Counted,
}

/// What a [`Counting`] transport counted.
#[derive(Clone, Default)]
pub(crate) struct Counted(Arc<AtomicU64>);

impl<T> Counting<T> {
    /// Counts what goes through `inner`.
    pub(crate) fn new(inner: T) -> Self {
        Self { inner, counted: Counted::default() }
    }

    /// Returns the counter.
    pub(crate) fn counted(&self) -> Counted {
        self.counted.clone()
    }
}

impl Counted {
    /// Returns how many bytes were sent so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl<T: Transport> Transport for Counting<T> {
    fn local_address(&self) -> Address {
        self.inner.local_address()
    }

    fn dial(&self, address: &Address) {
        self.inner.dial(address);
    }

    fn hang_up(&self, address: &Address) {
        self.inner.hang_up(address);
    }

    fn disconnect(&self, peer: &NodeId) {
        self.inner.disconnect(peer);
    }

    fn send(&self, peer: &NodeId, lane: Lane, frame: Blob) -> Result<(), SendError> {
        self.counted.0.fetch_add(frame.len() as u64, Ordering::Relaxed);
        self.inner.send(peer, lane, frame)
    }

    async fn next(&self) -> Option<TransportEvent> {
        self.inner.next().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
