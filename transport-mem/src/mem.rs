//! The transport itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use ordu_core::limits::FRAME_BYTES_MAX;
use ordu_core::transport::{Address, Lane, Runtime, SendError, Transport, TransportEvent};
use ordu_core::wire::{self, Greeting};
use ordu_core::{Blob, NodeId, Random};
use tokio::sync::Notify;

use crate::hub::{Attempt, End, Hub};
use crate::mailbox::{Delivery, Mailbox};
use crate::session::{PushError, Session, Side};

/// Pause after the first failed attempt to dial; each later one is twice as long.
const REDIAL_MIN: Duration = Duration::from_millis(50);
/// Longest pause between attempts to dial.
const REDIAL_MAX: Duration = Duration::from_secs(2);
/// How long closing waits for what is queued.
const DRAIN: Duration = Duration::from_secs(1);

/// Who a node is, and where in its [`Hub`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of the cluster; sessions with nodes of another are refused.
    pub cluster: String,
    /// The name of the node.
    pub node: NodeId,
    /// Where peers find it; any text does, such as `mem:a`.
    pub address: Address,
}

/// Sessions within a process. Dropping it ends them as a crash would.
///
/// A frame goes to the session whose `Connected` was taken from [`Transport::next`] last.
pub struct Mem {
    hub: Hub,
    runtime: Arc<dyn Runtime>,
    address: Address,
    life: u64,
    mailbox: Arc<Mailbox>,
    idle: Arc<Notify>,
    /// The sessions that the caller knows of.
    routes: Mutex<BTreeMap<NodeId, (Arc<Session>, Side)>>,
}

impl Mem {
    /// Binds a node to `hub`; nobody is dialled yet.
    ///
    /// # Errors
    ///
    /// Refuses an address that is taken.
    pub fn bind(hub: &Hub, runtime: Arc<dyn Runtime>, config: Config) -> Result<Self, BindError> {
        let Config { cluster, node, address } = config;
        let mut state = hub.state();
        if state.is_taken(&address) {
            return Err(BindError::AddrInUse { address });
        }
        let life = state.count();
        let (mailbox, idle) = (Arc::new(Mailbox::new()), Arc::new(Notify::new()));
        let end = End {
            life,
            greeting: wire::encode(&Greeting::new(cluster, node.clone())),
            node,
            runtime: Arc::clone(&runtime),
            mailbox: Arc::clone(&mailbox),
            idle: Arc::clone(&idle),
            sessions: BTreeMap::new(),
            dials: BTreeMap::new(),
            closing: false,
        };
        state.insert(address.clone(), end);
        let routes = Mutex::new(BTreeMap::new());
        Ok(Self { hub: hub.clone(), runtime, address, life, mailbox, idle, routes })
    }

    fn routes(&self) -> MutexGuard<'_, BTreeMap<NodeId, (Arc<Session>, Side)>> {
        self.routes.lock().expect("nothing panics while it holds the routes")
    }

    fn route(&self, peer: &NodeId) -> Option<(Arc<Session>, Side)> {
        self.routes().get(peer).cloned()
    }

    /// Makes known to [`Transport::send`] what the caller hears now.
    fn hear(&self, delivery: Delivery) -> TransportEvent {
        match delivery {
            Delivery::Connected(session, side) => {
                let peer = session.peer(side).clone();
                let before = self.routes().insert(peer.clone(), (session, side));
                assert!(before.is_none(), "a session is reported after the end of the last");
                TransportEvent::Connected { peer }
            }
            Delivery::Disconnected(session, side) => {
                let peer = session.peer(side).clone();
                let before = self.routes().remove(&peer);
                assert!(
                    before.is_some_and(|(before, _)| before.id == session.id),
                    "what ends is what began"
                );
                TransportEvent::Disconnected { peer }
            }
            Delivery::Frame(session, side, frame) => {
                session.ways[1 - side].taken(frame.len());
                TransportEvent::Frame { peer: session.peer(side).clone(), frame }
            }
            Delivery::Other(event) => event,
        }
    }
}

#[async_trait]
impl Transport for Mem {
    fn local_address(&self) -> Address {
        self.address.clone()
    }

    fn dial(&self, address: &Address) {
        let dial = {
            let mut state = self.hub.state();
            let dial = state.count();
            match state.end_of(&self.address, self.life) {
                Some(end) if !end.closing && !end.dials.contains_key(address) => {
                    end.dials.insert(address.clone(), dial);
                }
                Some(_) | None => return,
            }
            dial
        };
        let (hub, runtime) = (self.hub.clone(), Arc::clone(&self.runtime));
        let (from, life, to) = (self.address.clone(), self.life, address.clone());
        self.runtime.spawn(Box::pin(async move {
            let mut seed = [0; 8];
            runtime.fill_random(&mut seed);
            let mut random = Random::new(u64::from_le_bytes(seed));
            let mut pause = REDIAL_MIN;
            while let Attempt::Again = hub.attempt(&from, life, &to, dial) {
                let at = runtime.now() + random.jittered(pause);
                runtime.sleep_until(at).await;
                pause = (2 * pause).min(REDIAL_MAX);
            }
        }));
    }

    fn hang_up(&self, address: &Address) {
        if let Some(end) = self.hub.state().end_of(&self.address, self.life) {
            end.dials.remove(address);
        }
    }

    fn disconnect(&self, peer: &NodeId) {
        if let Some((session, side)) = self.route(peer) {
            self.hub.end(&session, side);
        }
    }

    fn send(&self, peer: &NodeId, lane: Lane, frame: Blob) -> Result<(), SendError> {
        if frame.len() > FRAME_BYTES_MAX {
            return Err(SendError::TooLong { bytes: frame.len(), max: FRAME_BYTES_MAX });
        }
        let no_session = || SendError::NoSession { peer: peer.clone() };
        let (session, side) = self.route(peer).ok_or_else(no_session)?;
        let delay = self.hub.state().faults(&session.ends[side].node, peer).delay;
        session.ways[side].push(lane, frame, self.runtime.now() + delay).map_err(
            |error| match error {
                PushError::Full => SendError::QueueFull { peer: peer.clone() },
                PushError::Closed => no_session(),
            },
        )
    }

    async fn next(&self) -> Option<TransportEvent> {
        self.mailbox.next().await.map(|delivery| self.hear(delivery))
    }

    async fn close(&self) {
        let sessions = {
            let mut state = self.hub.state();
            let Some(end) = state.end_of(&self.address, self.life) else {
                return;
            };
            end.closing = true;
            end.dials.clear();
            end.sessions.values().cloned().collect::<Vec<_>>()
        };
        for (session, side) in &sessions {
            session.ways[*side].finish();
        }
        let connected = || {
            let mut state = self.hub.state();
            let end = state.end_of(&self.address, self.life);
            end.is_some_and(|end| !end.sessions.is_empty())
        };
        let drained = async {
            while connected() {
                self.idle.notified().await;
            }
        };
        tokio::select! {
            biased;
            () = drained => (),
            () = self.runtime.sleep_until(self.runtime.now() + DRAIN) => (),
        }
        self.hub.state().remove(&self.address, self.life);
    }
}

impl Drop for Mem {
    fn drop(&mut self) {
        self.hub.state().remove(&self.address, self.life);
    }
}

/// Why a transport was not bound. The hub is as it was.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another transport is bound there; close or drop it first, or choose another address.
    #[error("another transport is bound to {address}")]
    AddrInUse {
        /// Where it was to be bound.
        address: Address,
    },
}
