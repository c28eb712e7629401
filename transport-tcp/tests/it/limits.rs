//! How much a transport lets others take.

use std::sync::Arc;
use std::time::Duration;

use ordu_core::transport::Transport;
use ordu_transport_tcp::{BindError, Config, Tcp, TokioNet};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::{PATIENCE, config, connected, event, start};

async fn knock(at: &dyn Transport) -> TcpStream {
    TcpStream::connect(at.local_address().as_str()).await.unwrap()
}

/// Whoever stands in the door keeps others out, but not for longer than a handshake may take.
#[tokio::test]
async fn so_many_may_stand_in_the_door_and_no_more() {
    let mut narrow = config("a");
    narrow.limits.unauthenticated = 4;
    narrow.limits.handshake = Duration::from_secs(1);
    let a = start(narrow).await;
    let mut first = Vec::new();
    for _ in 0..4 {
        first.push(knock(&a).await);
    }
    let mut late = knock(&a).await;
    let closed = tokio::time::timeout(Duration::from_millis(500), late.read(&mut [0; 1])).await;
    assert!(matches!(closed, Ok(Ok(0) | Err(_))), "the fifth is turned away at once: {closed:?}");

    let b = start(config("b")).await;
    b.dial(&a.local_address());
    assert_eq!(event(&b).await, connected("a"), "the next one to try gets in");
    drop(first);
}

/// Sessions do not count: authenticated peers do not stand in the door.
#[tokio::test]
async fn sessions_do_not_keep_others_out() {
    let mut narrow = config("hub");
    narrow.limits.unauthenticated = 2;
    let hub = start(narrow).await;
    let mut peers = Vec::new();
    for number in 0..6 {
        let peer = start(config(&format!("peer {number}"))).await;
        peer.dial(&hub.local_address());
        assert_eq!(event(&peer).await, connected("hub"));
        peers.push(peer);
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let a = start(config("a")).await;
    let listen = a.local_address().as_str().parse().unwrap();
    let again = || Config { listen, ..config("b") };
    let net = Arc::new(TokioNet::current());
    let error = Tcp::bind(Arc::clone(&net), again()).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, BindError::AddrInUse { .. }), "{error:?}");
    assert!(error.to_string().contains(a.local_address().as_str()), "{error}");

    // Closed, it is free at once.
    a.close().await;
    Tcp::bind(Arc::clone(&net), again()).await.unwrap().close().await;

    // Dropped, it is free soon.
    drop(Tcp::bind(Arc::clone(&net), again()).await.unwrap());
    let free = async {
        while Tcp::bind(Arc::clone(&net), again()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, free).await.expect("a dropped transport stops listening");
}
