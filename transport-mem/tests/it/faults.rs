//! What the hub does to those who are joined to it, on demand.

use std::sync::Arc;
use std::time::Duration;

use ordu_core::transport::{Address, Lane, Runtime, Transport, TransportEvent};
use ordu_core::{Blob, NodeId};
use ordu_transport_mem::{BindError, Config, Faulty, Hub, Mem};
use ordu_transport_tcp::TokioNet;

const QUIET: Duration = Duration::from_millis(200);

fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn config(name: &str) -> Config {
    let address = Address::new(format!("mem:{name}")).unwrap();
    Config { cluster: String::from("shop"), node: node(name), address }
}

fn mem(hub: &Hub, name: &str) -> Mem {
    Mem::bind(hub, Arc::new(TokioNet::current()), config(name)).unwrap()
}

/// Returns the next event, or `None` if there is none for a while.
async fn event(transport: &dyn Transport) -> Option<TransportEvent> {
    tokio::time::timeout(QUIET, transport.next()).await.ok().flatten()
}

async fn connect(a: &dyn Transport, b: &dyn Transport) -> [TransportEvent; 2] {
    a.dial(&b.local_address());
    [a.next().await.unwrap(), b.next().await.unwrap()]
}

fn connected(name: &str) -> TransportEvent {
    TransportEvent::Connected { peer: node(name) }
}

fn disconnected(name: &str) -> TransportEvent {
    TransportEvent::Disconnected { peer: node(name) }
}

fn frame(from: &str, text: &str) -> TransportEvent {
    TransportEvent::Frame { peer: node(from), frame: Blob::from(text) }
}

fn send(from: &dyn Transport, to: &str, text: &str) {
    from.send(&node(to), Lane::Control, Blob::from(text)).unwrap();
}

#[tokio::test]
async fn a_silent_cut_loses_frames_and_nobody_is_told() {
    let hub = Hub::new(1);
    let (a, b) = (mem(&hub, "a"), mem(&hub, "b"));
    assert_eq!(connect(&a, &b).await, [connected("b"), connected("a")]);

    hub.cut(&node("a"), &node("b"));
    send(&a, "b", "lost");
    send(&b, "a", "lost");
    assert_eq!((event(&a).await, event(&b).await), (None, None));

    hub.heal();
    send(&a, "b", "found");
    assert_eq!(event(&b).await, Some(frame("a", "found")));
}

#[tokio::test]
async fn a_cut_one_way_lets_the_other_way_through() {
    let hub = Hub::new(1);
    let (a, b) = (mem(&hub, "a"), mem(&hub, "b"));
    connect(&a, &b).await;

    hub.cut_one_way(&node("a"), &node("b"));
    send(&a, "b", "lost");
    send(&b, "a", "heard");
    assert_eq!(event(&a).await, Some(frame("b", "heard")));
    assert_eq!(event(&b).await, None);
}

#[tokio::test]
async fn who_is_severed_is_told_and_cannot_dial_until_healed() {
    let hub = Hub::new(1);
    let (a, b) = (mem(&hub, "a"), mem(&hub, "b"));
    connect(&a, &b).await;

    hub.sever(&node("a"), &node("b"));
    assert_eq!(event(&a).await, Some(disconnected("b")));
    assert_eq!(event(&b).await, Some(disconnected("a")));
    a.dial(&b.local_address());
    assert_eq!(event(&a).await, None, "silence, not refusal");

    hub.heal_between(&node("a"), &node("b"));
    assert_eq!(a.next().await, Some(connected("b")));
    assert_eq!(b.next().await, Some(connected("a")));
}

#[tokio::test]
async fn a_session_that_ends_behind_a_cut_is_half_open_until_it_is_used() {
    let hub = Hub::new(1);
    let (a, b) = (mem(&hub, "a"), mem(&hub, "b"));
    connect(&a, &b).await;

    hub.cut(&node("a"), &node("b"));
    a.disconnect(&node("b"));
    assert_eq!(event(&a).await, Some(disconnected("b")));
    assert_eq!(event(&b).await, None, "b cannot know");

    hub.heal();
    send(&b, "a", "anybody there?");
    assert_eq!(event(&b).await, Some(disconnected("a")));
    assert_eq!(event(&a).await, None, "what came for a session that is over is not heard");
}

#[tokio::test]
async fn a_restarted_node_replaces_the_session_that_its_peer_still_holds() {
    let hub = Hub::new(1);
    let (a, b) = (mem(&hub, "a"), mem(&hub, "b"));
    connect(&a, &b).await;

    hub.cut(&node("a"), &node("b"));
    hub.kill(&node("a"));
    assert_eq!(a.next().await, None, "a is dead");
    assert_eq!(event(&b).await, None, "b cannot know");

    hub.heal();
    let a = mem(&hub, "a");
    a.dial(&b.local_address());
    assert_eq!(a.next().await, Some(connected("b")));
    assert_eq!(b.next().await, Some(disconnected("a")));
    assert_eq!(b.next().await, Some(connected("a")));
    send(&b, "a", "welcome back");
    assert_eq!(event(&a).await, Some(frame("b", "welcome back")));
}

#[tokio::test]
async fn a_killed_node_disconnects_and_refuses() {
    let hub = Hub::new(1);
    let (a, b) = (mem(&hub, "a"), mem(&hub, "b"));
    connect(&a, &b).await;

    hub.kill(&node("b"));
    assert_eq!(b.next().await, None);
    assert_eq!(event(&a).await, Some(disconnected("b")));
    a.dial(&b.local_address());
    let refused = TransportEvent::Refused { address: b.local_address() };
    assert_eq!(event(&a).await, Some(refused));

    // The dead one's end does not take its successor with it.
    let successor = mem(&hub, "b");
    drop(b);
    assert_eq!(a.next().await, Some(connected("b")));
    assert_eq!(successor.next().await, Some(connected("a")));
}

#[tokio::test]
async fn a_slow_link_delays_and_keeps_the_order() {
    let hub = Hub::new(1);
    let (a, b) = (mem(&hub, "a"), mem(&hub, "b"));
    connect(&a, &b).await;

    let delay = Duration::from_millis(60);
    let clock = TokioNet::current();
    hub.delay(&node("a"), &node("b"), delay);
    let sent_at = clock.now();
    send(&a, "b", "first");
    hub.delay(&node("a"), &node("b"), Duration::ZERO);
    send(&a, "b", "second");
    assert_eq!(b.next().await, Some(frame("a", "first")));
    let took = clock.now().since(sent_at);
    assert!(took >= delay, "it took {took:?}");
    assert_eq!(b.next().await, Some(frame("a", "second")));
}

#[tokio::test]
async fn a_lossy_link_loses_about_as_much_as_it_was_told_to() {
    for (permille, lost) in [(0, 0..=0), (300, 500..=700), (1_000, 2_000..=2_000)] {
        let hub = Hub::new(7);
        let (a, b) = (mem(&hub, "a"), mem(&hub, "b"));
        connect(&a, &b).await;
        hub.lose(&node("a"), &node("b"), permille);
        for _ in 0..2_000 {
            send(&a, "b", "perhaps");
        }
        tokio::time::sleep(QUIET).await;
        let mut arrived = 0;
        while event(&b).await.is_some() {
            arrived += 1;
        }
        assert!(lost.contains(&(2_000 - arrived)), "{arrived} arrived at {permille} ‰");
    }
}

#[tokio::test]
async fn two_hubs_never_meet() {
    let (here, there) = (Hub::new(1), Hub::new(1));
    let (a, b) = (mem(&here, "a"), mem(&there, "b"));
    a.dial(&b.local_address());
    let refused = TransportEvent::Refused { address: b.local_address() };
    assert_eq!(event(&a).await, Some(refused));
}

#[tokio::test]
async fn an_address_is_bound_once_at_a_time() {
    let hub = Hub::new(1);
    let a = mem(&hub, "a");
    let again = Mem::bind(&hub, Arc::new(TokioNet::current()), config("a"));
    let taken = BindError::AddrInUse { address: a.local_address() };
    assert_eq!(again.map(|_| ()).unwrap_err(), taken);
    drop(a);
    mem(&hub, "a").close().await;
    mem(&hub, "a");
}

#[tokio::test]
async fn a_decorated_transport_is_cut_off_on_command() {
    let hub = Hub::new(1);
    let (a, b) = (Faulty::new(mem(&hub, "a")), mem(&hub, "b"));
    connect(&a, &b).await;
    let control = a.control();

    control.cut(&[node("b")]);
    send(&a, "b", "lost");
    send(&b, "a", "lost as well");
    assert_eq!((event(&a).await, event(&b).await), (None, None));

    control.heal();
    send(&a, "b", "there");
    send(&b, "a", "and back");
    assert_eq!(event(&b).await, Some(frame("a", "there")));
    assert_eq!(event(&a).await, Some(frame("b", "and back")));
}
