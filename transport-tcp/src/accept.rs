//! Lets peers in who dial us, so many at once and no more.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use crate::config::Limits;
use crate::greet::{self, GreetError};
use crate::handshake::{Handshake, HandshakeError, Step};
use crate::net::Net;
use crate::session::{Line, Session};
use crate::shared::Shared;
use crate::table::Outcome;

/// Pause after a failed accept: what is short, such as descriptors, comes back by waiting alone.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until the transport closes, and then stops listening.
pub(crate) async fn accept_all<N: Net>(
    shared: Arc<Shared<N>>,
    listener: N::Listener,
    running: OwnedSemaphorePermit,
) {
    tokio::select! {
        biased;
        () = shared.closing.raised() => (),
        () = accept_each(&shared, &listener) => (),
    }
    drop(listener);
    drop(running);
}

async fn accept_each<N: Net>(shared: &Arc<Shared<N>>, listener: &N::Listener) {
    let gate = Gate::new(&shared.limits);
    loop {
        match shared.net.accept(listener).await {
            Ok((stream, from)) => {
                let Some(ticket) = gate.enter(from.ip()) else {
                    tracing::debug!(%from, "too many peers that have not authenticated yet");
                    continue;
                };
                let shared = Arc::clone(shared);
                let net = Arc::clone(&shared.net);
                net.spawn(Box::pin(async move {
                    tokio::select! {
                        biased;
                        () = shared.closing.raised() => (),
                        () = welcome(&shared, stream, from) => (),
                    }
                    drop(ticket);
                }));
            }
            Err(error) => {
                tracing::debug!(%error, "cannot accept");
                shared.net.sleep_until(shared.net.now() + ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn welcome<N: Net>(shared: &Arc<Shared<N>>, stream: N::Stream, from: SocketAddr) {
    let greeted = shared.within(shared.limits.handshake, greet(shared, stream)).await;
    match greeted.unwrap_or(Err(GreetError::TimedOut)) {
        // The dialer reports that it found itself.
        Ok(()) | Err(GreetError::Handshake(HandshakeError::Ourselves)) => (),
        Err(error @ (GreetError::Handshake(_) | GreetError::TimedOut)) => {
            shared.notice(format!("from {}: {error}", from.ip()));
        }
        Err(error @ (GreetError::Io(_) | GreetError::Superseded { .. } | GreetError::Closing)) => {
            tracing::debug!(%from, %error, "a connection came to nothing")
        }
    }
}

/// Makes a session of `stream`, if it is to be the one with its peer.
async fn greet<N: Net>(shared: &Arc<Shared<N>>, mut stream: N::Stream) -> Result<(), GreetError> {
    let mut handshake = Handshake::acceptor(Arc::clone(&shared.identity), shared.entropy());
    let Step::Decide(peer, statement) = greet::advance(&mut stream, &mut handshake).await? else {
        unreachable!("an acceptor is asked to decide first");
    };
    let session = Arc::new(Session::new(peer.node.clone(), peer.session, &shared.limits));
    let (verdict, running) = {
        let mut state = shared.state();
        if state.closed {
            return Err(GreetError::Closing);
        }
        let (verdict, outcome) = state.table.decide(&peer, &statement, Arc::clone(&session));
        if let Outcome::Admitted { replaced: Some(replaced) } = outcome {
            replaced.end.raise();
        }
        (verdict, shared.run())
    };
    handshake.decide(verdict);
    let unsent = handshake.take_output();
    if !verdict.admitted {
        greet::send(&mut stream, &unsent).await?;
        return Err(GreetError::Superseded { peer: peer.node });
    }
    let (channel, arrived) = handshake.into_channel();
    let line = Line { stream, channel, arrived, unsent };
    session.start(Arc::clone(shared), line, running);
    Ok(())
}

/// Counts connections whose peers have not authenticated yet.
struct Gate {
    inside: Arc<Mutex<Inside>>,
    max: usize,
    per_ip_max: usize,
}

#[derive(Default)]
struct Inside {
    total: usize,
    per_ip: BTreeMap<IpAddr, usize>,
}

/// One connection's place; given back when dropped.
struct Ticket {
    inside: Arc<Mutex<Inside>>,
    ip: IpAddr,
}

impl Gate {
    fn new(limits: &Limits) -> Self {
        let (max, per_ip_max) = (limits.unauthenticated, limits.unauthenticated_per_ip);
        Self { inside: Arc::default(), max, per_ip_max }
    }

    fn enter(&self, ip: IpAddr) -> Option<Ticket> {
        let mut inside = self.inside.lock().expect("nothing panics while it counts");
        let of_ip = inside.per_ip.get(&ip).copied().unwrap_or(0);
        let crowded = of_ip >= self.per_ip_max && !ip.is_loopback();
        if inside.total >= self.max || crowded {
            return None;
        }
        inside.total += 1;
        inside.per_ip.insert(ip, of_ip + 1);
        Some(Ticket { inside: Arc::clone(&self.inside), ip })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut inside = self.inside.lock().expect("nothing panics while it counts");
        inside.total -= 1;
        let of_ip = inside.per_ip.get_mut(&self.ip).expect("whoever leaves has entered");
        *of_ip -= 1;
        if *of_ip == 0 {
            inside.per_ip.remove(&self.ip);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_and_no_crowd_fills_the_gate() {
        let gate = Gate::new(&Limits::default());
        let ip = |last: u8| IpAddr::from([192, 0, 2, last]);

        let mut tickets: Vec<Ticket> = (0..8).map(|_| gate.enter(ip(1)).unwrap()).collect();
        assert!(gate.enter(ip(1)).is_none(), "eight are enough of one address");
        for last in 2..9 {
            tickets.extend((0..8).map(|_| gate.enter(ip(last)).unwrap()));
        }
        assert_eq!(tickets.len(), 64);
        assert!(gate.enter(ip(9)).is_none(), "64 are enough of all");

        tickets.pop();
        assert!(gate.enter(ip(9)).is_some());
        tickets.clear();
        assert!(gate.inside.lock().unwrap().per_ip.is_empty(), "nothing is kept of who left");
    }

    #[test]
    fn nodes_of_one_machine_are_not_a_crowd() {
        let gate = Gate::new(&Limits::default());
        let ip = IpAddr::from([127, 0, 0, 1]);
        let tickets: Vec<Ticket> = (0..64).map_while(|_| gate.enter(ip)).collect();
        assert_eq!(tickets.len(), 64);
        assert!(gate.enter(ip).is_none());
    }
}
