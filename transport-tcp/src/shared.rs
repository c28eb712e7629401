//! What the tasks of one transport share.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ordu_core::transport::{Address, TransportEvent};
use ordu_core::{Blob, NodeId, Time};
use tokio::sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore, mpsc};

use crate::config::Limits;
use crate::handshake::{Entropy, Identity};
use crate::net::Net;
use crate::session::Session;
use crate::signal::Signal;
use crate::table::Table;

/// Events that wait for `next`; past it those who have one wait, too.
pub(crate) const EVENTS_MAX: usize = 1_024;

/// Tasks that [`Shared::running`] can count.
const RUNNING_MAX: u32 = 1 << 20;

/// Everything that more than one task of a transport needs.
pub(crate) struct Shared<N: Net> {
    pub(crate) net: Arc<N>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) limits: Limits,
    pub(crate) events: mpsc::Sender<Delivery>,
    /// Raised when nothing new may begin: no dial, no connection, no session.
    pub(crate) closing: Signal,
    /// Raised when nothing is reported any more.
    pub(crate) closed: Signal,
    running: Arc<Semaphore>,
    state: Mutex<State>,
    notices: Mutex<Notices>,
}

/// Who is connected and who is dialled.
pub(crate) struct State {
    pub(crate) table: Table<Arc<Session>>,
    pub(crate) dials: BTreeMap<Address, Arc<Signal>>,
    /// Held by a session of the peer from its `Connected` to its `Disconnected`.
    turns: BTreeMap<NodeId, Turn>,
    pub(crate) closed: bool,
}

/// Lets the sessions with one peer report one after the other.
pub(crate) type Turn = Arc<AsyncMutex<()>>;

/// An event on its way to `next`.
pub(crate) enum Delivery {
    /// From when it is delivered on, frames can be sent to the session.
    Connected(Arc<Session>),
    /// From when it is delivered on, they cannot.
    Disconnected(Arc<Session>),
    /// It gives back its room in the peer's budget when it is delivered.
    Frame { peer: NodeId, frame: Blob, room: OwnedSemaphorePermit },
    /// Everything else.
    Other(TransportEvent),
}

impl<N: Net> Shared<N> {
    pub(crate) fn new(
        net: Arc<N>,
        identity: Identity,
        limits: Limits,
        events: mpsc::Sender<Delivery>,
    ) -> Self {
        let table = Table::new(identity.greeting.node.clone());
        let (dials, turns) = (BTreeMap::new(), BTreeMap::new());
        let notices = Notices::new(net.now());
        Self {
            net,
            identity: Arc::new(identity),
            limits,
            events,
            closing: Signal::new(),
            closed: Signal::new(),
            running: Arc::new(Semaphore::new(RUNNING_MAX as usize)),
            state: Mutex::new(State { table, dials, turns, closed: false }),
            notices: Mutex::new(notices),
        }
    }

    /// Returns the state, locked; never held across a wait.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the state")
    }

    /// Returns what `work` does, or `None` if it takes longer than `limit`.
    pub(crate) async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        // The timer is made when `work` has to wait and no sooner; most writes never do.
        let late = async { self.net.sleep_until(self.net.now() + limit).await };
        tokio::select! {
            biased;
            done = work => Some(done),
            () = late => None,
        }
    }

    /// Returns the randomness of one handshake.
    pub(crate) fn entropy(&self) -> Entropy {
        let mut entropy = Entropy { key: [0; 32], nonce: 0 };
        self.net.fill_random(&mut entropy.key);
        entropy.nonce = self.random();
        entropy
    }

    /// Returns a random number.
    pub(crate) fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        self.net.fill_random(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Returns what a task holds that [`Shared::idle`] is to wait for.
    pub(crate) fn run(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.running).try_acquire_owned().expect("fewer sessions than a million")
    }

    /// Resolves once no such task is left; none may begin meanwhile.
    pub(crate) async fn idle(&self) {
        assert!(self.closing.is_raised(), "nothing new begins");
        let all = self.running.acquire_many(RUNNING_MAX).await;
        drop(all.expect("the semaphore is never closed"));
    }

    /// Returns the order in which sessions with `peer` report.
    pub(crate) fn turn(&self, peer: &NodeId) -> Turn {
        Arc::clone(self.state().turns.entry(peer.clone()).or_default())
    }

    /// Forgets the order of sessions with `peer`, unless another one waits in it.
    pub(crate) fn forget_turn(&self, peer: &NodeId, turn: Turn) {
        let mut state = self.state();
        drop(turn);
        if state.turns.get(peer).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            state.turns.remove(peer);
        }
    }

    /// Takes `session` out of the table and ends it.
    pub(crate) fn end(&self, session: &Session) {
        self.state().table.end(&session.peer, session.id);
        session.end.raise();
    }

    /// Reports that a peer who dialled us was rejected, unless many were of late.
    pub(crate) fn notice(&self, reason: String) {
        tracing::debug!(node = %self.identity.greeting.node, %reason, "rejected a connection");
        let mut notices = self.notices.lock().expect("nothing panics while it holds the notices");
        if notices.take(self.net.now()) {
            let event = TransportEvent::Rejected { address: None, reason };
            // When nobody listens to what matters more, nobody misses it.
            let _ = self.events.try_send(Delivery::Other(event));
        }
    }
}

/// How many rejections may be reported: a burst, and then one each second.
#[derive(Debug)]
struct Notices {
    left: u32,
    refilled_at: Time,
}

impl Notices {
    const BURST: u32 = 8;
    const REFILL: Duration = Duration::from_secs(1);

    fn new(now: Time) -> Self {
        Self { left: Self::BURST, refilled_at: now }
    }

    fn take(&mut self, now: Time) -> bool {
        while self.left < Self::BURST && self.refilled_at + Self::REFILL <= now {
            self.left += 1;
            self.refilled_at = self.refilled_at + Self::REFILL;
        }
        if self.left == Self::BURST {
            self.refilled_at = now;
        }
        let some = self.left > 0;
        self.left -= u32::from(some);
        assert!(self.left <= Self::BURST, "no more than a burst is left");
        some
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_rejections_is_told_once_a_second() {
        let mut notices = Notices::new(Time::ZERO);
        let told = |notices: &mut Notices, from_ms: u64, to_ms: u64| {
            (from_ms..to_ms).filter(|&ms| notices.take(Time::from_millis(ms))).count()
        };
        assert_eq!(told(&mut notices, 0, 1_000), 8, "the burst");
        assert_eq!(told(&mut notices, 1_000, 11_000), 10, "one each second");
        assert_eq!(told(&mut notices, 100_000, 100_500), 8, "silence fills it up again");
    }
}
