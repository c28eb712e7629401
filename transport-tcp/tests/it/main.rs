//! The transport over real sockets, from outside.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod conformance;
mod limits;
mod proxy;
mod restarts;
mod strangers;

use std::sync::Arc;
use std::time::Duration;

use ordu_core::NodeId;
use ordu_core::transport::{Transport, TransportEvent};
use ordu_transport_tcp::{Config, Secret, Tcp, TokioNet};

/// How long anything may take that must happen.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long nothing must happen for it to be called quiet.
const QUIET: Duration = Duration::from_millis(300);

fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn secret() -> Secret {
    "one secret, drawn for these tests and for nothing else".parse().unwrap()
}

/// A node of the cluster, with its secret, on a free port of loopback.
fn config(name: &str) -> Config {
    let listen = "127.0.0.1:0".parse().unwrap();
    Config { secret: Some(secret()), ..Config::new("shop", node(name), listen) }
}

async fn start(config: Config) -> Tcp<TokioNet> {
    Tcp::bind(Arc::new(TokioNet::current()), config).await.unwrap()
}

/// Returns the next event, which must come.
async fn event(transport: &dyn Transport) -> TransportEvent {
    let event = tokio::time::timeout(PATIENCE, transport.next()).await;
    event.expect("an event comes in time").expect("the transport is open")
}

/// Checks that nothing happens for a while.
async fn quiet(transport: &dyn Transport) {
    if let Ok(event) = tokio::time::timeout(QUIET, transport.next()).await {
        panic!("nothing was to happen, and there is {event:?}");
    }
}

fn connected(name: &str) -> TransportEvent {
    TransportEvent::Connected { peer: node(name) }
}

fn disconnected(name: &str) -> TransportEvent {
    TransportEvent::Disconnected { peer: node(name) }
}

/// Returns the reason of a rejection, and the address that it names.
fn rejection(event: TransportEvent) -> (Option<String>, String) {
    let TransportEvent::Rejected { address, reason } = event else {
        panic!("instead of a rejection there is {event:?}");
    };
    (address.map(String::from), reason)
}
