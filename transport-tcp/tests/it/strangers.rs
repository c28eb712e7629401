//! Who knocks and does not belong here.

use std::time::Duration;

use ordu_core::transport::{Transport, TransportEvent};
use ordu_transport_tcp::{Config, Secret, Tcp, TokioNet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::{PATIENCE, config, event, node, quiet, rejection, start};

/// Dials from one node to another that do not fit together; the reasons that each side hears.
async fn reject(dialer: Config, listener: Config) -> (String, String) {
    let (a, b) = (start(dialer).await, start(listener).await);
    a.dial(&b.local_address());
    let (address, at_dialer) = rejection(event(&a).await);
    assert_eq!(address, Some(String::from(b.local_address())));
    let (address, at_listener) = rejection(event(&b).await);
    assert_eq!(address, None);
    assert!(at_listener.contains("127.0.0.1"), "who it was is told: {at_listener}");
    (at_dialer, at_listener)
}

#[tokio::test]
async fn another_secret_is_rejected_on_both_sides() {
    let other: Secret = "another secret, which is as long as the first one".parse().unwrap();
    let (a, b) = reject(config("a"), Config { secret: Some(other), ..config("b") }).await;
    for reason in [a, b] {
        assert!(reason.contains("secret"), "{reason}");
        assert!(!reason.contains("drawn for these tests"), "secrets are not told: {reason}");
    }
}

#[tokio::test]
async fn another_cluster_with_the_same_secret_is_rejected_on_both_sides() {
    let other = Config { cluster: String::from("shed"), ..config("b") };
    let (a, b) = reject(config("a"), other).await;
    for reason in [a, b] {
        assert!(reason.contains("cluster"), "{reason}");
    }
}

#[tokio::test]
async fn plain_text_and_encryption_reject_each_other() {
    let plain = |name| Config { secret: None, ..config(name) };
    let (a, b) = reject(plain("a"), config("b")).await;
    assert!(a.contains("give us the cluster's"), "{a}");
    assert!(b.contains("give it the cluster's"), "{b}");
    let (a, b) = reject(config("a"), plain("b")).await;
    assert!(a.contains("give it the cluster's"), "{a}");
    assert!(b.contains("give us the cluster's"), "{b}");
}

#[tokio::test]
async fn whoever_speaks_something_else_is_hung_up_on() {
    let a = start(config("a")).await;
    let strangers: [&[u8]; 3] =
        [b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"?"];
    for bytes in strangers {
        let mut stream = TcpStream::connect(a.local_address().as_str()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let (_, reason) = rejection(event(&a).await);
        assert!(reason.contains("does not speak Ordu"), "{reason}");
        // A reset is as good an end as any: not all that was sent is read.
        let answer = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 64])).await;
        assert!(matches!(answer.unwrap(), Ok(0) | Err(_)), "strangers are not answered");
    }
}

#[tokio::test]
async fn whoever_connects_and_leaves_is_not_worth_a_word() {
    let a = start(config("a")).await;
    for _ in 0..5 {
        drop(TcpStream::connect(a.local_address().as_str()).await.unwrap());
    }
    quiet(&a).await;
}

#[tokio::test]
async fn a_flood_of_strangers_is_told_of_a_few_times() {
    let a = start(config("a")).await;
    for _ in 0..100 {
        let mut stream = TcpStream::connect(a.local_address().as_str()).await.unwrap();
        stream.write_all(b"?").await.unwrap();
        let _ = stream.read(&mut [0; 1]).await;
    }
    let mut told = 0;
    while let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(100), a.next()).await {
        rejection(event);
        told += 1;
    }
    assert!((8..=16).contains(&told), "told {told} times of 100 strangers");
}

#[tokio::test]
async fn a_dialled_stranger_is_reported_with_its_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").await;
            let _ = stream.read(&mut [0; 256]).await;
        }
    });
    let a = start(config("a")).await;
    a.dial(&ordu_core::Address::new(address.clone()).unwrap());
    // It is tried again and again: somebody may mend it.
    for _ in 0..2 {
        let (told, reason) = rejection(event(&a).await);
        assert_eq!(told.as_deref(), Some(address.as_str()));
        assert!(reason.contains("check the address"), "{reason}");
    }
}

/// A peer that accepts and says nothing does not keep the dialer for ever.
#[tokio::test]
async fn a_listener_that_never_answers_is_given_up_and_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = ordu_core::Address::new(listener.local_addr().unwrap().to_string()).unwrap();
    let mut impatient = config("a");
    impatient.limits.handshake = Duration::from_millis(100);
    let a = start(impatient).await;
    a.dial(&address);
    for _ in 0..2 {
        let (stream, _) = listener.accept().await.unwrap();
        let (_, reason) = rejection(event(&a).await);
        assert!(reason.contains("in time"), "{reason}");
        drop(stream);
    }
}

/// A peer that trickles its handshake is hung up on when the time for all of it is over.
#[tokio::test]
async fn a_trickled_handshake_is_dropped() {
    let mut impatient = config("a");
    impatient.limits.handshake = Duration::from_millis(300);
    let a = start(impatient).await;
    let mut stream = TcpStream::connect(a.local_address().as_str()).await.unwrap();
    let began = std::time::Instant::now();
    // A proper beginning, one byte at a time, and each well before a timeout that starts anew.
    let proper = b"ordu\x01\x01\x00\x31\x01".iter().chain(std::iter::repeat(&7));
    for &byte in proper.take(40) {
        if stream.write_all(&[byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    let (_, reason) = rejection(event(&a).await);
    assert!(reason.contains("in time"), "{reason}");
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    let end = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)), "the connection is closed: {end:?}");
}

#[tokio::test]
async fn a_node_that_dials_itself_says_so() {
    let a = start(config("a")).await;
    a.dial(&a.local_address());
    // Once, as who dials; that it was dialled is no news.
    let address = a.local_address();
    assert_eq!(event(&a).await, TransportEvent::Ourselves { address });
    // Somebody else of its name is another matter.
    let twin = start(config("a")).await;
    a.dial(&twin.local_address());
    let (address, reason) = rejection(event(&a).await);
    assert!(reason.contains("name of its own"), "{reason}");
    assert_eq!(address, Some(String::from(twin.local_address())));
}

#[tokio::test]
async fn listening_beyond_loopback_needs_a_secret() {
    let net = || std::sync::Arc::new(TokioNet::current());
    let everywhere = || Config::new("shop", node("a"), "0.0.0.0:0".parse().unwrap());
    let error = Tcp::bind(net(), everywhere()).await.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("0.0.0.0:0"), "{error}");
    assert!(error.to_string().contains("secret"), "{error}");

    let advertise = Some(String::from("127.0.0.1"));
    let config = Config { secret: Some(crate::secret()), advertise, ..everywhere() };
    let a = Tcp::bind(net(), config).await.unwrap();
    let address = String::from(a.local_address());
    assert!(address.starts_with("127.0.0.1:") && !address.ends_with(":0"), "{address}");
}

#[tokio::test]
async fn a_secret_is_never_printed() {
    let text = format!("{:?}", config("a"));
    assert!(text.contains("Secret(..)"), "{text}");
    assert!(!text.contains("drawn"), "{text}");
}
