//! What one peer can make a node do and send.

use super::stories::value_on;
use super::*;
use crate::limits::DELTA_BYTES_MAX;

/// Returns how many bytes of entries are under way to `to`.
fn flying(world: &World, to: usize) -> usize {
    let deltas = world.flights.iter().filter(|&&(_, there, _)| there == to);
    deltas.map(|(.., message)| wire::encode(message).len()).sum()
}

#[test]
fn who_asks_for_digests_again_and_again_gets_few() {
    let mut world = World::connected(1, 2, Budget::default());
    world.pass(Duration::from_secs(60));
    world.flights.clear();
    for _ in 0..1_000 {
        let digest = Digest { rows: Vec::new(), answer: true };
        let (here, now) = (&mut world.nodes[0], world.now);
        here.handle_digest(now, &replica(1), &digest);
        world.drain(0);
    }
    assert_eq!(world.flights.len(), 8, "all that come at once");

    // A second later it has its answers again, but no more than come back in that time.
    world.now = world.now + Duration::from_secs(1);
    for _ in 0..1_000 {
        let digest = Digest { rows: Vec::new(), answer: true };
        let (here, now) = (&mut world.nodes[0], world.now);
        here.handle_digest(now, &replica(1), &digest);
        world.drain(0);
    }
    assert_eq!(world.flights.len(), 8 + 8);
    assert_eq!(world.refused, [], "a link that stalled may bring many at once");
}

#[test]
fn who_asks_to_and_fro_is_sent_the_same_only_so_often() {
    let mut world = World::connected(1, 2, Budget { entries: 1, ..Budget::default() });
    for number in 0..10 {
        world.put(0, &blob(&format!("key-{number}")), &blob("1"));
    }
    world.settle();
    world.pass(Duration::from_secs(60));
    world.flights.clear();
    for round in 0..1_000 {
        let need = Need { replica: replica(0), from: round % 2 };
        world.hand(1, 0, Message::Need(need));
    }
    let deltas = world.flights.len();
    assert!(deltas <= 32 * 10, "{deltas} deltas of ten entries");

    // Who means it honestly is answered a moment later.
    world.flights.clear();
    world.pass(Duration::from_secs(1));
    world.flights.clear();
    world.hand(1, 0, Message::Need(Need { replica: replica(0), from: 0 }));
    assert_eq!(world.flights.len(), 10);
}

/// Returns a world in which n0 holds a megabyte of each of ten others, and none of them lives.
fn after_many() -> World {
    let mut world = World::new(1, 12, Budget::default());
    let value = Blob::from([7; 60_000].as_slice());
    for index in 2..12 {
        world.connect(0, index);
        for number in 0..17 {
            world.put(index, &blob(&format!("key-{number}")), &value);
        }
        world.settle();
        world.isolate(index);
    }
    world
}

#[test]
fn a_newcomer_that_lacks_many_journals_is_sent_a_bounded_lot_at_once() {
    let mut world = after_many();
    world.connect(0, 1);
    let mut most = 0;
    while !world.flights.is_empty() {
        world.deliver(0);
        for index in 0..2 {
            world.flush(index);
        }
        most = most.max(flying(&world, 1));
    }
    assert!(most < 6 * DELTA_BYTES_MAX, "{most} bytes wait before whatever else there is");
    for index in 2..12 {
        let is_there = value_on(&world, 1, index, "key-16").is_some();
        assert!(is_there, "n{index}'s is there, though no time passed");
    }
}

#[test]
fn our_own_writes_do_not_wait_for_what_a_newcomer_lacks_of_others() {
    let mut world = after_many();
    world.connect(0, 1);
    for _ in 0..4 {
        world.deliver(0);
    }
    assert!(flying(&world, 1) > 3 * DELTA_BYTES_MAX, "it is sent as much as it may be");
    let under_way = world.flights.len();
    world.put(0, &blob("cart"), &blob("1"));
    world.flush(0);
    assert_eq!(world.flights.len(), under_way + 1, "it went out");
    world.settle();
    assert_eq!(value_on(&world, 1, 0, "cart"), Some(blob("1")));
}

#[test]
fn what_was_lost_on_its_way_keeps_nothing_else_waiting_for_long() {
    let mut world = after_many();
    world.connect(0, 1);
    for _ in 0..4 {
        world.deliver(0);
    }
    // All of it is lost, but for the session.
    world.flights.clear();
    world.run_for(Duration::from_secs(8));
    for index in 2..12 {
        assert!(value_on(&world, 1, index, "key-16").is_some(), "n{index}'s is there");
    }
}
