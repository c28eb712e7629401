//! The transport itself.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use ordu_core::limits::FRAME_BYTES_MAX;
use ordu_core::transport::{Address, Lane, SendError, Transport, TransportEvent};
use ordu_core::wire::Greeting;
use ordu_core::{Blob, NodeId};
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use crate::accept;
use crate::config::{BindError, Config};
use crate::dial::Dial;
use crate::handshake::Identity;
use crate::net::Net;
use crate::noise;
use crate::outbox::PushError;
use crate::session::Session;
use crate::shared::{Delivery, EVENTS_MAX, Shared};
use crate::signal::Signal;

/// How long [`Transport::close`] waits for what is ended by force to be reported.
const END_PAUSE: Duration = Duration::from_millis(100);

/// Sessions over TCP. Dropping it ends them at once; [`Transport::close`] sends first what waits.
///
/// A frame goes to the session whose `Connected` was taken from [`Transport::next`] last, never to
/// one that the caller has not heard of.
pub struct Tcp<N: Net> {
    shared: Arc<Shared<N>>,
    address: Address,
    events: AsyncMutex<mpsc::Receiver<Delivery>>,
    /// The sessions that the caller knows of.
    routes: Mutex<BTreeMap<NodeId, Arc<Session>>>,
}

impl<N: Net> Tcp<N> {
    /// Listens as `config` says, and returns the transport; nobody is dialled yet.
    ///
    /// # Errors
    ///
    /// Refuses a configuration that cannot work or is not safe, and an address that is taken.
    pub async fn bind(net: Arc<N>, config: Config) -> Result<Self, BindError> {
        config.check()?;
        let listen = config.listen;
        let (listener, bound) = net.bind(listen).await.map_err(|source| {
            if source.kind() == io::ErrorKind::AddrInUse {
                BindError::AddrInUse { listen }
            } else {
                BindError::Io { listen, source }
            }
        })?;
        let address = config.address(bound)?;

        let key = config.secret.as_ref().map(|secret| noise::derive_key(secret, &config.cluster));
        let mut life = [0; 8];
        net.fill_random(&mut life);
        let greeting = Greeting::new(config.cluster, config.node);
        let identity = Identity { greeting, life: u64::from_le_bytes(life), key };
        let (sender, receiver) = mpsc::channel(EVENTS_MAX);
        let shared = Arc::new(Shared::new(Arc::clone(&net), identity, config.limits, sender));
        let running = shared.run();
        net.spawn(Box::pin(accept::accept_all(Arc::clone(&shared), listener, running)));

        let (events, routes) = (AsyncMutex::new(receiver), Mutex::new(BTreeMap::new()));
        Ok(Self { shared, address, events, routes })
    }

    fn routes(&self) -> MutexGuard<'_, BTreeMap<NodeId, Arc<Session>>> {
        self.routes.lock().expect("nothing panics while it holds the routes")
    }

    fn route(&self, peer: &NodeId) -> Option<Arc<Session>> {
        self.routes().get(peer).map(Arc::clone)
    }

    /// Lets nothing new begin, and returns the sessions that are up.
    fn stop(&self) -> Vec<Arc<Session>> {
        let mut state = self.shared.state();
        state.closed = true;
        state.dials.clear();
        self.shared.closing.raise();
        state.table.sessions().cloned().collect()
    }

    /// Makes known to [`Transport::send`] what the caller hears now.
    fn hear(&self, delivery: Delivery) -> TransportEvent {
        match delivery {
            Delivery::Connected(session) => {
                let peer = session.peer.clone();
                let before = self.routes().insert(peer.clone(), session);
                assert!(before.is_none(), "a session is reported after the end of the last");
                TransportEvent::Connected { peer }
            }
            Delivery::Disconnected(session) => {
                let peer = session.peer.clone();
                let before = self.routes().remove(&peer);
                assert!(
                    before.is_some_and(|before| before.id == session.id),
                    "what ends is what began"
                );
                TransportEvent::Disconnected { peer }
            }
            Delivery::Frame { peer, frame, room } => {
                drop(room);
                TransportEvent::Frame { peer, frame }
            }
            Delivery::Other(event) => event,
        }
    }
}

#[async_trait]
impl<N: Net> Transport for Tcp<N> {
    fn local_address(&self) -> Address {
        self.address.clone()
    }

    fn dial(&self, address: &Address) {
        let stop = Arc::new(Signal::new());
        {
            let mut state = self.shared.state();
            if state.closed || state.dials.contains_key(address) {
                return;
            }
            state.dials.insert(address.clone(), Arc::clone(&stop));
        }
        let dial = Dial { shared: Arc::clone(&self.shared), address: address.clone(), stop };
        self.shared.net.spawn(Box::pin(dial.run()));
    }

    fn hang_up(&self, address: &Address) {
        if let Some(stop) = self.shared.state().dials.remove(address) {
            stop.raise();
        }
    }

    fn disconnect(&self, peer: &NodeId) {
        if let Some(session) = self.route(peer) {
            self.shared.end(&session);
        }
    }

    fn send(&self, peer: &NodeId, lane: Lane, frame: Blob) -> Result<(), SendError> {
        if frame.len() > FRAME_BYTES_MAX {
            return Err(SendError::TooLong { bytes: frame.len(), max: FRAME_BYTES_MAX });
        }
        let no_session = || SendError::NoSession { peer: peer.clone() };
        let session = self.route(peer).ok_or_else(no_session)?;
        session.outbox.push(lane, frame).map_err(|error| match error {
            PushError::Full => SendError::QueueFull { peer: peer.clone() },
            PushError::Closed => no_session(),
        })
    }

    async fn next(&self) -> Option<TransportEvent> {
        let mut events = self.events.lock().await;
        let delivery = tokio::select! {
            biased;
            delivery = events.recv() => delivery.expect("we hold a sender ourselves"),
            () = self.shared.closed.raised() => return None,
        };
        Some(self.hear(delivery))
    }

    async fn close(&self) {
        for session in self.stop() {
            session.outbox.finish();
        }
        let shared = &self.shared;
        if shared.within(shared.limits.drain, shared.idle()).await.is_none() {
            for session in self.stop() {
                shared.end(&session);
            }
            // They report their ends now, as far as there is room for it.
            let _ = shared.within(END_PAUSE, shared.idle()).await;
        }
        shared.closed.raise();
    }
}

impl<N: Net> Drop for Tcp<N> {
    fn drop(&mut self) {
        for session in self.stop() {
            session.end.raise();
        }
        self.shared.closed.raise();
    }
}
