//! How sessions come and go.

use std::time::Duration;

use ordu_core::Blob;
use ordu_core::transport::{Address, Lane, SendError, TransportEvent};

use crate::conformance::Factory;
use crate::conformance::watch::{Late, Watch};

/// How long nothing must happen for it to be called quiet; past the longest pause between dials.
const QUIET: Duration = Duration::from_millis(250);

/// Checks that frames go both ways between `a` and `b`.
async fn exchange(a: &mut Watch, b: &mut Watch) {
    a.send(b, Lane::Control, Blob::from("ping"));
    assert_eq!(b.frame_from(a).await, Blob::from("ping"), "frames go one way");
    b.send(a, Lane::Control, Blob::from("pong"));
    assert_eq!(a.frame_from(b).await, Blob::from("pong"), "frames go the other way");
}

/// Returns the address of a transport that was closed: nobody listens there.
async fn dead_address(factory: &dyn Factory) -> Address {
    let gone = Watch::start(factory, "shop", "gone").await;
    gone.close().await;
    gone.address()
}

/// When two nodes dial each other at once, both end with the same, single session.
///
/// # Panics
///
/// Panics where the transport breaks the promise.
pub async fn two_dials_make_one_session(factory: &dyn Factory) {
    for _ in 0..6 {
        let mut a = Watch::start(factory, "shop", "a").await;
        let mut b = Watch::start(factory, "shop", "b").await;
        a.dial(&b);
        b.dial(&a);
        a.connected_to(&b).await;
        b.connected_to(&a).await;

        // The rival may replace it once; then it stays.
        a.settle(QUIET).await;
        b.settle(QUIET).await;
        assert!(a.is_connected_to(&b) && b.is_connected_to(&a), "a session is left");
        exchange(&mut a, &mut b).await;
    }
}

/// Dialling what is dialled or connected already makes no second session.
///
/// # Panics
///
/// Panics where the transport breaks the promise.
pub async fn dialling_twice_changes_nothing(factory: &dyn Factory) {
    let mut a = Watch::start(factory, "shop", "a").await;
    let mut b = Watch::start(factory, "shop", "b").await;
    a.dial(&b);
    a.dial(&b);
    a.connected_to(&b).await;
    b.connected_to(&a).await;

    a.dial(&b);
    b.dial(&a);
    for watch in [&mut a, &mut b] {
        match watch.event_within(QUIET).await {
            Err(Late) => (),
            Ok(event) => panic!("another dial causes {event:?}"),
        }
    }
    exchange(&mut a, &mut b).await;
}

/// Every attempt at an address where nobody listens is reported.
///
/// # Panics
///
/// Panics where the transport breaks the promise.
pub async fn refusals_are_reported_again_and_again(factory: &dyn Factory) {
    let dead = dead_address(factory).await;
    let mut a = Watch::start(factory, "shop", "a").await;
    a.dial_address(&dead);
    for _ in 0..3 {
        match a.event("a refusal").await {
            Some(TransportEvent::Refused { address }) => {
                assert_eq!(address, dead, "a refusal names the address");
            }
            other => panic!("nobody listens, and yet there is {other:?}"),
        }
    }
}

/// After a hang-up nothing is tried any more, and a session that is up stays up.
///
/// # Panics
///
/// Panics where the transport breaks the promise.
pub async fn hanging_up_ends_dialling(factory: &dyn Factory) {
    let dead = dead_address(factory).await;
    let mut a = Watch::start(factory, "shop", "a").await;
    a.dial_address(&dead);
    let refused = a.event("a refusal").await;
    assert!(matches!(refused, Some(TransportEvent::Refused { .. })), "{refused:?}");
    a.hang_up(&dead);
    // One attempt may have been under way.
    let _ = a.event_within(QUIET).await;
    match a.event_within(Duration::from_secs(3)).await {
        Err(Late) => (),
        Ok(event) => panic!("after the hang-up comes {event:?}"),
    }

    let mut b = Watch::start(factory, "shop", "b").await;
    a.dial(&b);
    a.connected_to(&b).await;
    b.connected_to(&a).await;
    a.hang_up(&b.address());
    exchange(&mut a, &mut b).await;
}

/// Both sides hear of the end of a session, and a new one can follow, whoever dials.
///
/// # Panics
///
/// Panics where the transport breaks the promise.
pub async fn disconnected_peers_reconnect(factory: &dyn Factory) {
    let [mut a, mut b] = Watch::pair(factory).await;
    for round in 0..8 {
        let [ender, other] = if round % 2 == 0 { [&a, &b] } else { [&b, &a] };
        ender.disconnect(other);
        // At first the dial comes before anybody has heard of the end; later it comes after it,
        // from the one that ended the session or from the other.
        if round < 2 {
            ender.dial(other);
        }
        a.disconnected_from(&b).await;
        b.disconnected_from(&a).await;
        match round {
            0 | 1 => (),
            2..5 => a.dial(&b),
            _ => b.dial(&a),
        }
        a.connected_to(&b).await;
        b.connected_to(&a).await;
        exchange(&mut a, &mut b).await;
    }
}

/// A node of another cluster gets no session, and whoever dialled hears why.
///
/// # Panics
///
/// Panics where the transport breaks the promise.
pub async fn other_clusters_are_rejected(factory: &dyn Factory) {
    let mut a = Watch::start(factory, "shop", "a").await;
    let mut b = Watch::start(factory, "shed", "b").await;
    a.dial(&b);
    rejected(&mut a, &b).await;
    match b.event_within(QUIET).await {
        Err(Late) | Ok(Some(TransportEvent::Rejected { address: None, .. })) => (),
        Ok(event) => panic!("a node of another cluster causes {event:?}"),
    }
    assert!(!a.is_connected_to(&b) && !b.is_connected_to(&a), "no session crosses clusters");
}

/// A node of our own name gets no session: two nodes must not share one.
///
/// # Panics
///
/// Panics where the transport breaks the promise.
pub async fn our_own_name_is_rejected(factory: &dyn Factory) {
    let mut a = Watch::start(factory, "shop", "a").await;
    let twin = Watch::start(factory, "shop", "a").await;
    a.dial(&twin);
    rejected(&mut a, &twin).await;
    a.hang_up(&twin.address());
    a.settle(QUIET).await;
}

/// A node that dials itself, as one will that looks its peers up, hears so once and quietly, and
/// the address is not dialled any more.
///
/// # Panics
///
/// Panics where the transport breaks the promise.
pub async fn whoever_dials_itself_hears_so_once(factory: &dyn Factory) {
    let mut a = Watch::start(factory, "shop", "a").await;
    let itself = a.address();
    for _ in 0..2 {
        a.dial_address(&itself);
        match a.event("that it is itself").await {
            Some(TransportEvent::Ourselves { address }) => assert_eq!(address, itself),
            other => panic!("a node that dials itself hears {other:?}"),
        }
        let late = a.event_within(QUIET).await;
        assert!(matches!(late, Err(Late)), "that is all: {late:?}");
    }
}

async fn rejected(dialer: &mut Watch, listener: &Watch) {
    match dialer.event("a rejection").await {
        Some(TransportEvent::Rejected { address, reason }) => {
            assert_eq!(address, Some(listener.address()), "a rejection names the address");
            assert!(!reason.is_empty(), "a rejection has a reason");
        }
        other => panic!("instead of a rejection there is {other:?}"),
    }
}

/// Closing sends what waits, tells the peer, stops listening, and ends the events.
///
/// # Panics
///
/// Panics where the transport breaks the promise.
pub async fn closing_sends_what_waits(factory: &dyn Factory) {
    const FRAMES: usize = 40;

    let [mut a, mut b] = Watch::pair(factory).await;
    for _ in 0..FRAMES {
        a.send(&b, Lane::Bulk, vec![7; 32 << 10]);
    }
    a.close().await;
    for at in 0..FRAMES {
        let frame = b.frame_from(&a).await;
        assert_eq!(frame.len(), 32 << 10, "frame {at} of {FRAMES} arrives after the close");
    }
    b.disconnected_from(&a).await;

    let sent = a.try_send(&b, Lane::Control, Blob::from("late"));
    let no_session = SendError::NoSession { peer: b.node.clone() };
    assert_eq!(sent, Err(no_session), "a closed transport sends nothing");
    while let Some(event) = a.event("the end of the events").await {
        let ends = matches!(event, TransportEvent::Disconnected { .. });
        assert!(ends, "after the close comes {event:?}");
    }
    assert_eq!(a.event("the end of the events").await, None, "the end is the end");
    a.close().await;

    b.dial(&a);
    let refused = b.event("a refusal").await;
    assert!(
        matches!(refused, Some(TransportEvent::Refused { .. })),
        "a closed transport listens no more, and yet there is {refused:?}"
    );
}
