//! One transport under observation.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ordu_core::transport::{Address, Lane, Runtime, SendError, Transport, TransportEvent};
use ordu_core::{Blob, NodeId};

use crate::conformance::Factory;

/// How long anything may take that must happen; generous, since machines are busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// A transport, and which sessions its events say are up.
pub(super) struct Watch {
    pub(super) node: NodeId,
    transport: Box<dyn Transport>,
    runtime: Arc<dyn Runtime>,
    connected: BTreeSet<NodeId>,
}

impl Watch {
    /// Starts node `node` of `cluster`.
    pub(super) async fn start(factory: &dyn Factory, cluster: &str, node: &str) -> Self {
        let node = NodeId::new(node).expect("the checks use proper names");
        let transport = factory.start(cluster, node.clone()).await;
        let (runtime, connected) = (factory.runtime(), BTreeSet::new());
        Self { node, transport, runtime, connected }
    }

    /// Starts `a` and `b` of one cluster, with a session that `a` dialled.
    pub(super) async fn pair(factory: &dyn Factory) -> [Self; 2] {
        let mut a = Self::start(factory, "shop", "a").await;
        let mut b = Self::start(factory, "shop", "b").await;
        a.dial(&b);
        a.connected_to(&b).await;
        b.connected_to(&a).await;
        [a, b]
    }

    pub(super) fn address(&self) -> Address {
        self.transport.local_address()
    }

    pub(super) fn dial(&self, peer: &Self) {
        self.transport.dial(&peer.address());
    }

    pub(super) fn dial_address(&self, address: &Address) {
        self.transport.dial(address);
    }

    pub(super) fn hang_up(&self, address: &Address) {
        self.transport.hang_up(address);
    }

    pub(super) fn disconnect(&self, peer: &Self) {
        self.transport.disconnect(&peer.node);
    }

    pub(super) async fn close(&self) {
        self.transport.close().await;
    }

    pub(super) fn try_send(&self, peer: &Self, lane: Lane, frame: Blob) -> Result<(), SendError> {
        self.transport.send(&peer.node, lane, frame)
    }

    /// Sends what must be accepted.
    pub(super) fn send(&self, peer: &Self, lane: Lane, frame: impl Into<Blob>) {
        if let Err(error) = self.try_send(peer, lane, frame.into()) {
            panic!("node {} cannot send to {}: {error}", self.node, peer.node);
        }
    }

    /// Sends again and again until there is room.
    pub(super) async fn send_patiently(&self, peer: &Self, lane: Lane, frame: Blob) {
        let deadline = self.runtime.now() + PATIENCE;
        loop {
            match self.try_send(peer, lane, frame.clone()) {
                Ok(()) => return,
                Err(SendError::QueueFull { .. }) => (),
                Err(error) => panic!("node {} cannot send: {error}", self.node),
            }
            let now = self.runtime.now();
            assert!(now < deadline, "the queue of node {} stays full", self.node);
            self.runtime.sleep_until(now + Duration::from_millis(5)).await;
        }
    }

    /// Waits.
    pub(super) async fn pause(&self, duration: Duration) {
        self.runtime.sleep_until(self.runtime.now() + duration).await;
    }

    /// Returns the next event that comes within `patience`; `Err` if none does.
    pub(super) async fn event_within(
        &mut self,
        patience: Duration,
    ) -> Result<Option<TransportEvent>, Late> {
        let deadline = self.runtime.now() + patience;
        let event = tokio::select! {
            biased;
            event = self.transport.next() => event,
            () = self.runtime.sleep_until(deadline) => return Err(Late),
        };
        if let Some(event) = &event {
            self.check_nesting(event);
        }
        Ok(event)
    }

    /// Returns the next event, `None` once the transport is closed.
    pub(super) async fn event(&mut self, awaited: &str) -> Option<TransportEvent> {
        match self.event_within(PATIENCE).await {
            Ok(event) => event,
            Err(Late) => panic!("node {} waits in vain for {awaited}", self.node),
        }
    }

    /// Skips events up to `Connected` with `peer`; there must be no other session before it.
    pub(super) async fn connected_to(&mut self, peer: &Self) {
        while !self.connected.contains(&peer.node) {
            let event = self.event("a session").await;
            assert!(event.is_some(), "node {} was not closed", self.node);
        }
    }

    /// Skips events up to `Disconnected` from `peer`.
    pub(super) async fn disconnected_from(&mut self, peer: &Self) {
        while self.connected.contains(&peer.node) {
            let event = self.event("the end of a session").await;
            assert!(event.is_some(), "node {} was not closed", self.node);
        }
    }

    /// Returns the next frame; it must be from `peer`, and within this session.
    pub(super) async fn frame_from(&mut self, peer: &Self) -> Blob {
        loop {
            match self.event("a frame").await {
                Some(TransportEvent::Frame { peer: from, frame }) => {
                    assert_eq!(from, peer.node, "a frame comes from who sent it");
                    return frame;
                }
                Some(TransportEvent::Refused { .. } | TransportEvent::Rejected { .. }) => (),
                other => panic!("node {} waits for a frame and gets {other:?}", self.node),
            }
        }
    }

    /// Skips events until `pause` goes by without one.
    pub(super) async fn settle(&mut self, pause: Duration) {
        while let Ok(event) = self.event_within(pause).await {
            assert!(event.is_some(), "node {} was not closed", self.node);
        }
    }

    pub(super) fn is_connected_to(&self, peer: &Self) -> bool {
        self.connected.contains(&peer.node)
    }

    fn check_nesting(&mut self, event: &TransportEvent) {
        let Self { node, connected, .. } = self;
        match event {
            TransportEvent::Connected { peer } => {
                assert!(peer != node, "node {node} is connected to itself");
                let new = connected.insert(peer.clone());
                assert!(new, "node {node} is connected to {peer} twice in a row");
            }
            TransportEvent::Disconnected { peer } => {
                let known = connected.remove(peer);
                assert!(known, "node {node} is disconnected from {peer} without a session");
            }
            TransportEvent::Frame { peer, .. } => {
                assert!(connected.contains(peer), "a frame of {peer} comes outside a session");
            }
            TransportEvent::Refused { .. }
            | TransportEvent::Rejected { .. }
            | TransportEvent::Ourselves { .. } => (),
        }
    }
}

/// Nothing came in time.
#[derive(Debug)]
pub(super) struct Late;
