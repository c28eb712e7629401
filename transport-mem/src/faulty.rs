//! Any transport, cut off from some of its peers on command.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use ordu_core::transport::{Address, Lane, SendError, Transport, TransportEvent};
use ordu_core::{Blob, NodeId};

/// A transport that drops frames to and from the peers that its [`FaultControl`] names.
///
/// Sessions stay up and nobody is told: to either side the other one falls silent, as it does when
/// a switch fails. Frames that were accepted before the cut and arrive after it are lost, too.
#[derive(Debug)]
pub struct Faulty<T> {
    inner: T,
    control: FaultControl,
}

/// Cuts a [`Faulty`] transport off from peers. A clone controls the same transport.
#[derive(Clone, Debug, Default)]
pub struct FaultControl(Arc<Mutex<BTreeSet<NodeId>>>);

impl<T: Transport> Faulty<T> {
    /// Returns `inner`, cut off from nobody.
    pub fn new(inner: T) -> Self {
        Self { inner, control: FaultControl::default() }
    }

    /// Returns what cuts it off.
    pub fn control(&self) -> FaultControl {
        self.control.clone()
    }
}

impl FaultControl {
    /// Loses all frames to and from `peers` from now on, beside those that were cut off before.
    pub fn cut(&self, peers: &[NodeId]) {
        self.lock().extend(peers.iter().cloned());
    }

    /// Loses nothing any more. What was lost stays lost.
    pub fn heal(&self) {
        self.lock().clear();
    }

    /// Returns whether frames to and from `peer` are lost.
    pub fn is_cut(&self, peer: &NodeId) -> bool {
        self.lock().contains(peer)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<NodeId>> {
        self.0.lock().expect("nothing panics while it holds the peers")
    }
}

#[async_trait]
impl<T: Transport> Transport for Faulty<T> {
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
        if self.control.is_cut(peer) {
            return Ok(());
        }
        self.inner.send(peer, lane, frame)
    }

    async fn next(&self) -> Option<TransportEvent> {
        loop {
            let event = self.inner.next().await?;
            let lost = match &event {
                TransportEvent::Frame { peer, .. } => self.control.is_cut(peer),
                TransportEvent::Connected { .. }
                | TransportEvent::Disconnected { .. }
                | TransportEvent::Refused { .. }
                | TransportEvent::Rejected { .. }
                | TransportEvent::Ourselves { .. } => false,
            };
            if !lost {
                return Some(event);
            }
        }
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
