//! Sessions that died at one end only, and bytes that were changed on the way.

use std::time::Duration;

use ordu_core::Blob;
use ordu_core::transport::{Lane, Transport, TransportEvent};

use crate::proxy::{Harm, Proxy};
use crate::{config, connected, disconnected, event, node, quiet, start};

/// A node dies without a word, comes back, and is let in although its old session is still held.
#[tokio::test]
async fn a_restarted_peer_gets_in_while_its_dead_session_is_held() {
    // Both ways: the name that comes back is the smaller one, or the larger one.
    for (dying, staying) in [("a", "b"), ("b", "a")] {
        let stays = start(config(staying)).await;
        let dies = start(config(dying)).await;
        let proxy = Proxy::start(&stays.local_address(), Harm::None).await;
        dies.dial(&proxy.address);
        assert_eq!(event(&dies).await, connected(staying));
        assert_eq!(event(&stays).await, connected(dying));

        proxy.freeze();
        drop(dies);
        quiet(&stays).await;

        let reborn = start(config(dying)).await;
        reborn.dial(&stays.local_address());
        assert_eq!(event(&reborn).await, connected(staying));
        assert_eq!(event(&stays).await, disconnected(dying));
        assert_eq!(event(&stays).await, connected(dying));

        stays.send(&node(dying), Lane::Control, Blob::from("welcome")).unwrap();
        let frame = TransportEvent::Frame { peer: node(staying), frame: Blob::from("welcome") };
        assert_eq!(event(&reborn).await, frame);
        quiet(&stays).await;
    }
}

/// The same life of a node gives a silent session up, and is let in again.
#[tokio::test]
async fn a_peer_that_gave_the_session_up_gets_in_while_it_is_held() {
    for (leaving, staying) in [("a", "b"), ("b", "a")] {
        let stays = start(config(staying)).await;
        let leaves = start(config(leaving)).await;
        let proxy = Proxy::start(&stays.local_address(), Harm::None).await;
        leaves.dial(&proxy.address);
        assert_eq!(event(&leaves).await, connected(staying));
        assert_eq!(event(&stays).await, connected(leaving));

        proxy.freeze();
        leaves.disconnect(&node(staying));
        leaves.dial(&stays.local_address());
        assert_eq!(event(&leaves).await, disconnected(staying));
        assert_eq!(event(&leaves).await, connected(staying));
        assert_eq!(event(&stays).await, disconnected(leaving));
        assert_eq!(event(&stays).await, connected(leaving));
    }
}

/// A second address of a peer that is connected makes no second session.
#[tokio::test]
async fn another_way_to_a_connected_peer_changes_nothing() {
    let (a, b) = (start(config("a")).await, start(config("b")).await);
    let proxy = Proxy::start(&b.local_address(), Harm::None).await;
    a.dial(&b.local_address());
    assert_eq!(event(&a).await, connected("b"));
    assert_eq!(event(&b).await, connected("a"));
    a.dial(&proxy.address);
    quiet(&a).await;
    quiet(&b).await;
}

/// Whatever is flipped or cut off, nothing but what was sent is ever heard.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_byte_ends_the_session_and_is_never_heard() {
    const FRAMES: usize = 6;
    // Preamble and hello are 57 bytes, the statement about 70, and the frames about 40 each.
    let harms = (0..360).step_by(9).flat_map(|at| {
        let bit = (at % 8) as u8;
        [Harm::Flip(at, bit), Harm::Cut(at)]
    });
    for harm in harms {
        let (a, b) = (start(config("a")).await, start(config("b")).await);
        let proxy = Proxy::start(&b.local_address(), harm).await;
        a.dial(&proxy.address);
        // In the handshake: no session comes of it.
        let Ok(first) = tokio::time::timeout(Duration::from_millis(60), a.next()).await else {
            continue;
        };
        if !matches!(first, Some(TransportEvent::Connected { .. })) {
            continue;
        }
        a.hang_up(&proxy.address);
        assert_eq!(event(&b).await, connected("a"));
        for number in 0..FRAMES {
            let _ =
                a.send(&node("b"), Lane::Control, Blob::from(format!("frame {number}").as_str()));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut heard = 0;
        loop {
            match tokio::time::timeout(Duration::from_millis(60), b.next()).await {
                Ok(Some(TransportEvent::Frame { frame, .. })) => {
                    assert_eq!(frame, Blob::from(format!("frame {heard}").as_str()), "{harm:?}");
                    heard += 1;
                }
                Ok(Some(TransportEvent::Disconnected { .. })) => {
                    assert!(heard < FRAMES, "{harm:?} after everything was heard");
                    break;
                }
                Ok(Some(TransportEvent::Rejected { .. })) => (),
                Ok(other) => panic!("{harm:?} causes {other:?}"),
                Err(_) => {
                    // The flipped byte is a length, and the record goes on beyond what was sent; or
                    // it lies after all that was sent.
                    assert!(heard == FRAMES || matches!(harm, Harm::Flip(..)), "{harm:?}");
                    break;
                }
            }
        }
    }
}

/// To a peer that takes nothing in, a write does not wait for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_write_ends_the_session() {
    let b = start(config("b")).await;
    let mut stalls = config("a");
    stalls.limits.write_stall = Duration::from_millis(300);
    let a = start(stalls).await;
    let proxy = Proxy::start(&b.local_address(), Harm::Swallow(400)).await;
    a.dial(&proxy.address);
    assert_eq!(event(&a).await, connected("b"));
    // Enough to fill the system's own buffers, and then ours.
    let frame = Blob::from(vec![7; 256 << 10]);
    for _ in 0..200 {
        let _ = a.send(&node("b"), Lane::Bulk, frame.clone());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(event(&a).await, disconnected("b"));
}

/// A transport closes in about a second, even if its peer takes nothing in.
#[tokio::test(flavor = "multi_thread")]
async fn closing_waits_for_nobody_for_long() {
    let (a, b) = (start(config("a")).await, start(config("b")).await);
    let proxy = Proxy::start(&b.local_address(), Harm::Swallow(400)).await;
    a.dial(&proxy.address);
    assert_eq!(event(&a).await, connected("b"));
    while a.send(&node("b"), Lane::Bulk, Blob::from(vec![7; 256 << 10])).is_ok() {}

    let began = std::time::Instant::now();
    a.close().await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    assert_eq!(event(&a).await, disconnected("b"));
    assert_eq!(a.next().await, None);
}
