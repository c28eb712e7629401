//! Tries an address until there is a session with whoever listens there.

use std::io;
use std::sync::Arc;

use ordu_core::Random;
use ordu_core::transport::{Address, TransportEvent};

use crate::greet::{self, GreetError};
use crate::handshake::{Handshake, HandshakeError, Peer, Step};
use crate::net::Net;
use crate::session::{Line, Session};
use crate::shared::{Delivery, Shared};
use crate::signal::Signal;
use crate::table::Outcome;

/// One address being dialled, until `stop` is raised or a session is up.
pub(crate) struct Dial<N: Net> {
    pub(crate) shared: Arc<Shared<N>>,
    pub(crate) address: Address,
    pub(crate) stop: Arc<Signal>,
}

/// How an attempt ended.
enum Attempt {
    /// There is a session, by this connection or another.
    Connected,
    /// Nobody listens.
    Refused,
    /// We listen there ourselves.
    Ourselves,
    /// Somebody answers who is not of our cluster.
    Rejected(String),
    /// Anything that another attempt may mend.
    Failed(String),
}

impl<N: Net> Dial<N> {
    /// Dials until there is a session.
    pub(crate) async fn run(self) {
        let Self { shared, address, stop } = &self;
        tokio::select! {
            biased;
            () = stop.raised() => (),
            () = shared.closing.raised() => (),
            () = self.attempts() => return,
        }
        tracing::debug!(%address, "hung up");
        self.forget();
    }

    async fn attempts(&self) {
        let Self { shared, address, .. } = self;
        let mut random = Random::new(shared.random());
        let mut pause = shared.limits.redial_min;
        loop {
            let event = match self.attempt().await {
                Attempt::Connected => return,
                Attempt::Ourselves => {
                    self.forget();
                    let event = TransportEvent::Ourselves { address: address.clone() };
                    // When nobody listens to what is said, the transport is closed.
                    let _ = shared.events.send(Delivery::Other(event)).await;
                    return;
                }
                Attempt::Refused => Some(TransportEvent::Refused { address: address.clone() }),
                Attempt::Rejected(reason) => {
                    Some(TransportEvent::Rejected { address: Some(address.clone()), reason })
                }
                Attempt::Failed(reason) => {
                    tracing::debug!(%address, %reason, "an attempt to connect failed");
                    None
                }
            };
            if let Some(event) = event
                && shared.events.send(Delivery::Other(event)).await.is_err()
            {
                return;
            }
            let at = shared.net.now() + random.jittered(pause);
            shared.net.sleep_until(at).await;
            pause = (2 * pause).min(shared.limits.redial_max.max(shared.limits.redial_min));
        }
    }

    async fn attempt(&self) -> Attempt {
        let Self { shared, address, .. } = self;
        let limit = shared.limits.handshake;
        let stream = match shared.within(limit, shared.net.connect(address.as_str())).await {
            Some(Ok(stream)) => stream,
            Some(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return Attempt::Refused;
            }
            Some(Err(error)) => return Attempt::Failed(error.to_string()),
            None => return Attempt::Failed(String::from("nobody answered in time")),
        };
        let greeted = shared.within(limit, self.greet(stream)).await;
        match greeted.unwrap_or(Err(GreetError::TimedOut)) {
            Ok(()) => Attempt::Connected,
            Err(GreetError::Handshake(HandshakeError::Ourselves)) => Attempt::Ourselves,
            Err(error @ (GreetError::Handshake(_) | GreetError::TimedOut)) => {
                Attempt::Rejected(error.to_string())
            }
            Err(error @ (GreetError::Superseded { .. } | GreetError::Closing)) => {
                Attempt::Failed(error.to_string())
            }
            Err(GreetError::Io(error)) => Attempt::Failed(error.to_string()),
        }
    }

    /// Makes a session of `stream`, unless there is one.
    async fn greet(&self, mut stream: N::Stream) -> Result<(), GreetError> {
        let shared = &self.shared;
        let mut handshake = Handshake::dialer(Arc::clone(&shared.identity), shared.entropy());
        let Step::State(peer) = greet::advance(&mut stream, &mut handshake).await? else {
            unreachable!("a dialer is asked what it holds first");
        };
        let (statement, awaited) = {
            let mut state = shared.state();
            let statement = state.table.state(&peer);
            (statement, Awaited { shared, peer: Some(peer) })
        };
        handshake.state(&statement);
        let Step::Answered(verdict) = greet::advance(&mut stream, &mut handshake).await? else {
            unreachable!("a dialer is answered then");
        };

        let peer = awaited.into_peer();
        let (channel, arrived) = handshake.into_channel();
        let session = Arc::new(Session::new(peer.node.clone(), peer.session, &shared.limits));
        let mut state = shared.state();
        if state.closed {
            state.table.abandon(&peer);
            return Err(GreetError::Closing);
        }
        let running = shared.run();
        match state.table.settle(&peer, verdict, Arc::clone(&session)) {
            Outcome::Admitted { replaced } => {
                if let Some(replaced) = replaced {
                    replaced.end.raise();
                }
                state.dials.remove(&self.address);
                drop(state);
                let line = Line { stream, channel, arrived, unsent: Vec::new() };
                session.start(Arc::clone(shared), line, running);
                Ok(())
            }
            Outcome::Refused { connected: true } => {
                state.dials.remove(&self.address);
                Ok(())
            }
            Outcome::Refused { connected: false } => {
                Err(GreetError::Superseded { peer: peer.node })
            }
        }
    }

    fn forget(&self) {
        let mut state = self.shared.state();
        // After a hang-up the address may be dialled anew already.
        if state.dials.get(&self.address).is_some_and(|stop| Arc::ptr_eq(stop, &self.stop)) {
            state.dials.remove(&self.address);
        }
    }
}

/// Gives a connection up if its verdict is waited for no longer.
struct Awaited<'a, N: Net> {
    shared: &'a Shared<N>,
    peer: Option<Peer>,
}

impl<N: Net> Awaited<'_, N> {
    fn into_peer(mut self) -> Peer {
        self.peer.take().expect("it is taken once")
    }
}

impl<N: Net> Drop for Awaited<'_, N> {
    fn drop(&mut self) {
        if let Some(peer) = &self.peer {
            self.shared.state().table.abandon(peer);
        }
    }
}
