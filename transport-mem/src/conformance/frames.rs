//! What happens to frames.

use std::time::Duration;

use ordu_core::Blob;
use ordu_core::limits::FRAME_BYTES_MAX;
use ordu_core::transport::{Lane, SendError, TransportEvent};

use crate::conformance::Factory;
use crate::conformance::watch::Watch;

/// A frame of `bytes` bytes that can be told from others by `number`.
fn numbered(number: u32, bytes: usize) -> Blob {
    let mut frame = Vec::from(number.to_be_bytes());
    frame.resize(bytes.max(frame.len()), number as u8);
    Blob::from(frame)
}

fn number(frame: &Blob) -> u32 {
    let bytes = frame.as_bytes().first_chunk().expect("every frame here is numbered");
    u32::from_be_bytes(*bytes)
}

/// Frames of every size arrive both ways, byte for byte, the empty and the longest one, too.
///
/// # Panics
///
/// Panics where the transport breaks the promise.
pub async fn frames_arrive_as_they_were_sent(factory: &dyn Factory) {
    let [mut a, mut b] = Watch::pair(factory).await;
    for bytes in [0, 1, 100, 65_500, 65_516, 65_517, 65_536, 300_000, FRAME_BYTES_MAX] {
        for lane in [Lane::Control, Lane::Bulk] {
            let frame: Vec<u8> = (0..bytes).map(|at| (at % 251) as u8).collect();
            let frame = Blob::from(frame);
            a.send_patiently(&b, lane, frame.clone()).await;
            assert!(b.frame_from(&a).await == frame, "{bytes} bytes on {lane:?} arrive changed");
            b.send_patiently(&a, lane, frame.clone()).await;
            assert!(a.frame_from(&b).await == frame, "{bytes} bytes on {lane:?} arrive changed");
        }
    }
}

/// Frames of one lane arrive in the order in which they were sent, and none is left out.
///
/// # Panics
///
/// Panics where the transport breaks the promise.
pub async fn order_is_kept_in_each_lane(factory: &dyn Factory) {
    const FRAMES: u32 = 1_500;
    const BULK: u32 = 1 << 31;

    let [a, mut b] = Watch::pair(factory).await;
    for at in 0..FRAMES {
        a.send_patiently(&b, Lane::Control, numbered(at, 16)).await;
        let bytes = if at % 100 == 0 { 100_000 } else { 1_000 };
        a.send_patiently(&b, Lane::Bulk, numbered(BULK | at, bytes)).await;
    }
    let [mut control, mut bulk] = [0, BULK];
    for _ in 0..2 * FRAMES {
        let arrived = number(&b.frame_from(&a).await);
        let next = if arrived < BULK { &mut control } else { &mut bulk };
        assert_eq!(arrived, *next, "a lane keeps its order");
        *next += 1;
    }
}

/// A control frame overtakes the bulk that waits before it.
///
/// # Panics
///
/// Panics where the transport breaks the promise.
pub async fn control_overtakes_bulk(factory: &dyn Factory) {
    const CONTROL: u32 = u32::MAX;

    // The receiver does not read, so that everything fills up to the sender's queue.
    let [a, mut b] = Watch::pair(factory).await;
    let mut sent = 0;
    for _ in 0..5 {
        sent += fill(&a, &b, sent);
        a.pause(Duration::from_millis(20)).await;
    }
    // Not every network fills up; the queue does.
    sent += fill(&a, &b, sent);
    a.send(&b, Lane::Control, numbered(CONTROL, 16));

    let mut before = 0;
    loop {
        let frame = b.frame_from(&a).await;
        if number(&frame) == CONTROL {
            break;
        }
        assert_eq!(number(&frame), before, "bulk keeps its order");
        before += 1;
    }
    let overtaken = sent - before;
    assert!(overtaken >= 16, "control overtook {overtaken} of {sent} bulk frames");
    for at in before..sent {
        assert_eq!(number(&b.frame_from(&a).await), at, "bulk follows, in order");
    }
}

/// Sends bulk frames of 64 KiB, numbered from `first`, until the queue is full; how many.
fn fill(from: &Watch, to: &Watch, first: u32) -> u32 {
    const FRAMES_MAX: u32 = 10_000;

    for at in 0..FRAMES_MAX {
        match from.try_send(to, Lane::Bulk, numbered(first + at, 64 << 10)) {
            Ok(()) => (),
            Err(SendError::QueueFull { peer }) => {
                assert_eq!(peer, to.node, "the error names the peer");
                return at;
            }
            Err(error) => panic!("the queue is full at most: {error}"),
        }
    }
    panic!("{FRAMES_MAX} frames of 64 KiB wait and the queue is not full");
}

/// To a peer that does not read, a bounded number of frames waits; none of those is lost.
///
/// # Panics
///
/// Panics where the transport breaks the promise.
pub async fn queues_are_bounded(factory: &dyn Factory) {
    let [a, mut b] = Watch::pair(factory).await;
    let sent = fill(&a, &b, 0);
    assert!(sent >= 16, "only {sent} frames of 64 KiB fit into the queue");
    for at in 0..sent {
        assert_eq!(number(&b.frame_from(&a).await), at, "what was accepted arrives");
    }
    // There is room again.
    a.send_patiently(&b, Lane::Bulk, numbered(sent, 16)).await;
    assert_eq!(number(&b.frame_from(&a).await), sent);
}

/// A frame over the limit is refused; one at the limit is not.
///
/// # Panics
///
/// Panics where the transport breaks the promise.
pub async fn long_frames_are_refused(factory: &dyn Factory) {
    let [a, mut b] = Watch::pair(factory).await;
    for lane in [Lane::Control, Lane::Bulk] {
        let error = a.try_send(&b, lane, numbered(1, FRAME_BYTES_MAX + 1));
        let too_long = SendError::TooLong { bytes: FRAME_BYTES_MAX + 1, max: FRAME_BYTES_MAX };
        assert_eq!(error, Err(too_long), "a frame over the limit is refused");
        a.send(&b, lane, numbered(2, FRAME_BYTES_MAX));
        assert_eq!(number(&b.frame_from(&a).await), 2, "a frame at the limit arrives");
    }
}

/// Without a session nothing is sent, and the error says that there is none.
///
/// # Panics
///
/// Panics where the transport breaks the promise.
pub async fn nothing_is_sent_without_a_session(factory: &dyn Factory) {
    let mut a = Watch::start(factory, "shop", "a").await;
    let mut b = Watch::start(factory, "shop", "b").await;
    let no_session = SendError::NoSession { peer: b.node.clone() };
    let sent = a.try_send(&b, Lane::Control, Blob::from("early"));
    assert_eq!(sent, Err(no_session.clone()), "there is no session yet");

    a.dial(&b);
    a.connected_to(&b).await;
    b.connected_to(&a).await;
    b.disconnect(&a);
    a.disconnected_from(&b).await;
    let sent = a.try_send(&b, Lane::Control, Blob::from("late"));
    assert_eq!(sent, Err(no_session), "there is no session any more");
}

/// What was sent in one session does not arrive in the next.
///
/// # Panics
///
/// Panics where the transport breaks the promise.
pub async fn frames_never_cross_sessions(factory: &dyn Factory) {
    const SESSIONS: u32 = 6;

    let [mut a, mut b] = Watch::pair(factory).await;
    for session in 1..=SESSIONS {
        // A lot is on its way when the session ends, from one side or from the other.
        for _ in 0..50 {
            a.send(&b, Lane::Bulk, numbered(session, 32 << 10));
            a.send(&b, Lane::Control, numbered(session, 16));
        }
        if session % 2 == 0 {
            a.disconnect(&b)
        } else {
            b.disconnect(&a)
        }
        a.disconnected_from(&b).await;
        let late = a.try_send(&b, Lane::Control, numbered(session, 16));
        assert!(late.is_err(), "a session that ended takes nothing");
        loop {
            match b.event("the end of a session").await {
                Some(TransportEvent::Frame { frame, .. }) => {
                    assert_eq!(number(&frame), session, "a frame belongs to its session");
                }
                Some(TransportEvent::Disconnected { .. }) => break,
                other => panic!("within session {session} comes {other:?}"),
            }
        }
        a.dial(&b);
        a.connected_to(&b).await;
        b.connected_to(&a).await;
    }
    a.send(&b, Lane::Control, numbered(SESSIONS + 1, 16));
    assert_eq!(number(&b.frame_from(&a).await), SESSIONS + 1, "nothing comes out of the past");
}
