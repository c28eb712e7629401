//! How writes are passed on where there are too many members for each to tell all others.

use super::stories::{lie, value_on};
use super::*;

const COUNT: usize = 20;

/// Returns `COUNT` nodes that know each other.
fn many(seed: u64) -> World {
    let mut world = World::new(seed, COUNT, Budget::default());
    world.connect_all();
    world.run_for(BEAT);
    world
}

/// Lets what is under way arrive, and what that causes set out. Returns how many deltas arrived.
fn hop(world: &mut World) -> usize {
    let is_delta =
        |(_, _, message): &&(usize, usize, Message)| matches!(message, Message::Delta(_));
    let deltas = world.flights.iter().filter(is_delta).count();
    for _ in 0..world.flights.len() {
        world.deliver(0);
    }
    for index in 0..world.nodes.len() {
        world.flush(index);
    }
    deltas
}

/// Returns who lacks the cart that n0 wrote.
fn lacking(world: &World) -> Vec<usize> {
    (1..COUNT).filter(|&index| value_on(world, index, 0, "cart").is_none()).collect()
}

#[test]
fn a_write_goes_to_few_and_is_everywhere_after_few_hops() {
    let mut world = many(1);
    world.put(0, &blob("cart"), &blob("1"));
    world.flush(0);
    assert_eq!(world.flights.len(), 9, "2 log2 n of 19, one of them by both ways");

    let mut deltas = 0;
    for _ in 0..5 {
        deltas += hop(&mut world);
    }
    assert_eq!(lacking(&world), [0; 0], "log2 n hops are enough");
    world.settle();
    assert!(deltas <= 2 * (COUNT - 1), "each is told twice at most, and not {deltas} times");
    world.assert_converged();
}

#[test]
fn who_passes_nothing_on_keeps_nobody_waiting() {
    for mute in (1..COUNT).step_by(3) {
        let mut world = many(1);
        world.put(0, &blob("cart"), &blob("1"));
        world.flush(0);
        for _ in 0..5 {
            world.flights.retain(|&(from, ..)| from != mute);
            hop(&mut world);
        }
        assert_eq!(lacking(&world), [0; 0], "n{mute} is the only one that is mute");
    }
}

#[test]
fn who_is_passed_over_by_all_learns_of_it_from_a_beat() {
    let mut world = many(1);
    world.put(0, &blob("cart"), &blob("1"));
    world.flush(0);
    world.flights.clear();
    world.settle();
    assert_eq!(lacking(&world).len(), COUNT - 1, "all of it was lost");

    world.pass(BEAT);
    world.flights.clear();
    world.beat(0);
    world.settle();
    assert_eq!(lacking(&world), [0; 0]);
    world.assert_converged();
}

#[test]
fn who_has_no_session_with_the_writer_is_told_by_the_others() {
    for index in [1, 2, 10, 19] {
        let mut world = many(1);
        world.disconnect(0, index);
        world.put(0, &blob("cart"), &blob("1"));
        world.settle();
        // n1 comes first after the writer in both ways.
        let late: &[usize] = if index == 1 { &[1] } else { &[] };
        assert_eq!(lacking(&world), late);
        world.pass(BEAT);
        world.beat(5);
        world.settle();
        assert_eq!(lacking(&world), [0; 0], "n{index} hears of it from n5's beat");
    }
}

#[test]
fn what_a_full_window_held_back_is_passed_on_once_there_is_room() {
    let mut world = many(1);
    let value = Blob::from([7; 60_000].as_slice());
    for number in 0..40 {
        world.put(0, &blob(&format!("key-{number}")), &value);
    }
    world.settle();
    for index in 1..COUNT {
        assert_eq!(world.nodes[index].closed_head(&replica(0)), 40, "n{index}");
    }
    world.assert_converged();
}

#[test]
fn a_relay_that_lies_is_found_out_and_others_are_not_even_heard() {
    let mut world = many(1);
    world.put(0, &blob("a"), &blob("1"));
    world.settle();

    // n9 passes nothing on to n0's next, in any way.
    let first = (1..COUNT).find(|&to| {
        let (from, owner) = (replica(9), replica(0));
        to != 9 && !world.nodes[to].is_relay(&from, &owner)
    });
    let first = first.unwrap();
    world.hand(9, first, lie());
    assert_eq!(value_on(&world, first, 0, "b"), None, "nobody else may be ahead of the owner");

    let (from, to) = (1..COUNT)
        .flat_map(|from| (1..COUNT).map(move |to| (from, to)))
        .find(|&(from, to)| world.nodes[to].is_relay(&replica(from), &replica(0)))
        .unwrap();
    world.hand(from, to, lie());
    assert_eq!(value_on(&world, to, 0, "b"), Some(blob("lie")), "who could tell?");
    world.run_for(Duration::from_secs(15));
    assert!(!world.refused.is_empty(), "n0 was told of writes that it did not make");
    for index in 1..COUNT {
        assert_eq!(value_on(&world, index, 0, "b"), None, "n{index} has it right");
        assert_eq!(world.nodes[index].closed_head(&replica(0)), 1);
    }
}

/// What one write costs: by the writer, and by whoever else sends most, messages and bytes.
#[derive(Debug, Eq, PartialEq)]
struct Cost {
    writer: (usize, usize),
    busiest: (usize, usize),
    /// Deltas of all, and acks that reach the writer.
    deltas: usize,
    acks: usize,
    /// How many network delays pass until all see it.
    hops: usize,
}

/// Lets n0 of `count` nodes write 100 bytes once, where more than `push_to_all_max` relay; `mute`
/// have stopped.
fn cost(count: usize, push_to_all_max: usize, mute: &[usize]) -> Cost {
    let mut world = World::relaying(1, count, Budget::default(), push_to_all_max);
    world.connect_all();
    world.run_for(BEAT);
    world.put(0, &blob("cart"), &Blob::from([7; 100].as_slice()));
    world.flush(0);
    let (mut sent, mut cost_hops, mut acks) = (BTreeMap::<usize, (usize, usize)>::new(), None, 0);
    for hop_number in 1..=count {
        world.flights.retain(|(from, ..)| !mute.contains(from));
        for (from, to, message) in &world.flights {
            acks += usize::from(*to == 0 && matches!(message, Message::Ack(_)));
            if let Message::Delta(_) = message {
                let sent = sent.entry(*from).or_default();
                *sent = (sent.0 + 1, sent.1 + wire::encode(message).len());
            }
        }
        if world.flights.is_empty() {
            break;
        }
        hop(&mut world);
        let lacks = |index: &usize| value_on(&world, *index, 0, "cart").is_none();
        if cost_hops.is_none() && !(0..count).any(|index| lacks(&index)) {
            cost_hops = Some(hop_number);
        }
    }
    let writer = sent[&0];
    let others = sent.iter().filter(|(from, _)| **from != 0).map(|(_, sent)| *sent);
    let (busiest, deltas) = (others.max().unwrap_or_default(), sent.values().map(|s| s.0).sum());
    Cost { writer, busiest, deltas, acks, hops: cost_hops.unwrap_or(usize::MAX) }
}

/// What one write of 100 bytes costs, for the table in the documentation of `relay`.
#[test]
fn the_writer_sends_to_few_and_nobody_passes_on_to_many() {
    let all = [(17, 16, 1_920), (32, 31, 3_720), (64, 63, 7_560)];
    for (count, deltas, bytes) in all {
        let busiest = (0, 0);
        let writer = (deltas, bytes);
        let expected = Cost { writer, busiest, deltas, acks: count - 1, hops: 1 };
        assert_eq!(cost(count, usize::MAX, &[]), expected);
    }
    let relayed = [
        (17, (8, 960), (3, 360), 30, 3),
        (32, (9, 1_080), (4, 480), 61, 4),
        (64, (11, 1_320), (5, 600), 125, 5),
    ];
    for (count, writer, busiest, deltas, hops) in relayed {
        let expected = Cost { writer, busiest, deltas, acks: count - 1, hops };
        assert_eq!(cost(count, 16, &[]), expected);
        // Whoever stops in the middle costs nobody a hop.
        assert_eq!(cost(count, 16, &[count / 2]).hops, hops);
    }
}
