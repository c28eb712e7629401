//! One paragraph per turn, one moral per story.

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const TIGHT: Budget = Budget { entries: 2, bytes: 1_000 };

pub(super) fn value_on(world: &World, index: usize, of: usize, key: &str) -> Option<Blob> {
    world.nodes[index].value(&replica(of), key.as_bytes()).cloned()
}

#[test]
fn a_write_is_seen_everywhere_after_one_flush_and_one_delivery() {
    let mut world = World::connected(1, 3, Budget::default());
    world.put(0, &blob("cart"), &blob("1"));
    assert_eq!(value_on(&world, 0, 0, "cart"), Some(blob("1")), "a node reads its own writes");
    assert_eq!(world.flights.len(), 0, "until the flush nothing is sent");

    world.flush(0);
    assert_eq!(world.flights.len(), 2, "one delta to each peer");
    world.deliver(0);
    world.deliver(0);
    assert_eq!(value_on(&world, 1, 0, "cart"), Some(blob("1")));
    assert_eq!(value_on(&world, 2, 0, "cart"), Some(blob("1")));

    // The acks come with the next flush, and say it all.
    world.settle();
    assert_eq!(world.nodes[0].acked(&replica(0), &replica(1)), 1);
    world.assert_converged();
}

#[test]
fn many_flushes_do_not_wait_for_acks() {
    let mut world = World::connected(1, 2, Budget::default());
    for number in 0..100 {
        world.put(0, &blob(&format!("key-{number}")), &blob("1"));
        world.flush(0);
    }
    assert_eq!(world.flights.len(), 100, "every flush went out by itself");
    world.settle();
    world.assert_converged();
}

#[test]
fn a_peer_that_takes_nothing_is_sent_a_bounded_lot() {
    let mut world = World::connected(1, 2, Budget::default());
    let value = Blob::from([7; 60_000].as_slice());
    for number in 0..100 {
        world.put(0, &blob(&format!("key-{number}")), &value);
        world.flush(0);
    }
    let flying: usize =
        world.flights.iter().map(|(_, _, message)| wire::encode(message).len()).sum();
    assert!(flying < 1 << 20, "{flying} bytes are under way");

    // Once it takes them, the rest follows.
    world.settle();
    world.assert_converged();
}

#[test]
fn a_joiner_gets_a_large_journal_in_parts_and_sees_none_of_them() {
    let mut world = World::connected(3, 3, TIGHT);
    world.isolate(2);
    for number in 0..2_000 {
        world.put(0, &blob(&format!("key-{}", number % 1_500)), &blob("1"));
    }
    world.settle();

    world.connect(2, 0);
    while !world.flights.is_empty() {
        world.deliver(0);
        let seen = world.nodes[2].entries(&replica(0)).count();
        assert!([0, 1_500].contains(&seen), "{seen} names are no state of the owner");
    }
    assert_eq!(world.nodes[2].entries(&replica(0)).count(), 1_500);
    assert!(world.deltas_sent < 2 * 1_500, "{} deltas: much was sent twice", world.deltas_sent);
    world.check();
}

/// The session in which a joiner is sent a large journal breaks: whoever else has the journal sends
/// what is missing and nothing that had come, and so does its owner, but for one window.
#[test]
fn a_joiner_goes_on_with_another_where_a_broken_session_left_it() {
    for owner_returns in [false, true] {
        let mut world = World::connected(4, 3, TIGHT);
        world.isolate(2);
        for number in 0..2_000 {
            world.put(0, &blob(&format!("key-{number}")), &blob("1"));
        }
        world.settle();

        // It takes more than one window, and the session ends in the middle.
        world.connect(2, 0);
        for _ in 0..600 {
            world.deliver(0);
            world.flush(2);
        }
        let copy = &world.nodes[2].held[&replica(0)].copy;
        assert_eq!(copy.staged_until(), Some(2_000));
        let need = copy.need(0);
        assert!((400..1_600).contains(&need), "{need} entries of 2,000 have come");
        world.isolate(2);

        let sent = world.deltas_sent;
        world.connect(2, if owner_returns { 0 } else { 1 });
        world.run_for(5 * SECOND);
        assert_eq!(world.nodes[2].closed_head(&replica(0)), 2_000);
        let missing = usize::try_from(2_000 - need).expect("they are few") / TIGHT.entries;
        let again = world.deltas_sent - sent;
        // The owner pushes from what is closed, until it hears what has come besides.
        let window = if owner_returns { 256 } else { 0 };
        assert!(again <= missing + window + 10, "{again} deltas for {missing} that were missing");
        world.check();
    }
}

#[test]
fn a_lost_push_is_repaired_within_a_beat() {
    let mut world = World::connected(1, 2, Budget::default());
    world.put(0, &blob("cart"), &blob("1"));
    world.flush(0);
    world.flights.clear();

    world.pass(Duration::from_millis(300));
    world.flights.clear();
    world.beat(0);
    world.settle();
    assert_eq!(value_on(&world, 1, 0, "cart"), Some(blob("1")));
    world.assert_converged();
}

#[test]
fn a_lost_push_is_repaired_by_the_next_one() {
    let mut world = World::connected(1, 2, Budget::default());
    world.put(0, &blob("cart"), &blob("1"));
    world.flush(0);
    world.flights.clear();

    // The next one shows the gap, and no time has to pass.
    world.put(0, &blob("cask"), &blob("1"));
    world.settle();
    world.assert_converged();
}

#[test]
fn what_a_cut_link_keeps_back_comes_by_way_of_others() {
    let mut world = World::connected(1, 3, Budget::default());
    world.disconnect(0, 2);
    world.put(0, &blob("cart"), &blob("1"));
    world.settle();
    assert_eq!(value_on(&world, 2, 0, "cart"), None);

    // n1 says in its beat how far it is with n0, and n2 cannot ask n0 itself.
    world.pass(BEAT);
    world.beat(1);
    world.settle();
    assert_eq!(value_on(&world, 2, 0, "cart"), Some(blob("1")));
    assert_eq!(world.nodes[1].acked(&replica(0), &replica(2)), 1, "the sender is told");
}

#[test]
fn the_journal_of_the_dead_still_reaches_a_joiner() {
    let mut world = World::connected(1, 4, TIGHT);
    world.isolate(3);
    for number in 0..20 {
        world.put(0, &blob(&format!("key-{number}")), &blob("1"));
    }
    world.settle();
    world.isolate(0);

    world.connect(3, 1);
    world.settle();
    assert_eq!(world.nodes[3].entries(&replica(0)).count(), 20);
    world.check();
}

#[test]
fn parts_of_a_head_that_died_with_its_holder_do_not_block_what_others_have() {
    let mut world = World::connected(1, 3, TIGHT);
    world.isolate(2);
    for number in 0..20 {
        world.put(0, &blob(&format!("key-{number}")), &blob("1"));
    }
    // n1 has ten writes, n2 gets parts of twenty, and n0 dies.
    world.settle();
    world.disconnect(0, 1);
    for number in 0..20 {
        world.put(0, &blob(&format!("more-{number}")), &blob("1"));
    }
    world.connect(0, 2);
    for _ in 0..6 {
        world.deliver(0);
    }
    assert!(world.nodes[2].held[&replica(0)].copy.staged_until() == Some(40));
    world.isolate(0);

    world.connect(1, 2);
    world.run_for(5 * SECOND);
    assert_eq!(world.nodes[2].closed_head(&replica(0)), 20);
    world.check();
}

#[test]
fn parts_of_what_nobody_has_any_more_are_given_up() {
    let mut world = World::connected(1, 3, TIGHT);
    world.isolate(2);
    for number in 0..20 {
        world.put(0, &blob(&format!("key-{number}")), &blob("1"));
    }
    // n2 gets the first parts of a journal that nobody else has heard of, and n0 dies.
    world.disconnect(0, 1);
    world.connect(0, 2);
    for _ in 0..6 {
        world.deliver(0);
    }
    assert_eq!(world.nodes[2].held[&replica(0)].copy.staged_until(), Some(20));
    world.isolate(0);

    world.connect(1, 2);
    world.run_for(5 * SECOND);
    assert_eq!(world.nodes[2].pending().0, 1, "it may come yet");
    world.run_for(15 * SECOND);
    assert_eq!(world.nodes[2].pending(), (0, 0));
    world.check();
}

#[test]
fn a_tombstone_goes_once_everyone_who_counts_has_it() {
    let mut world = World::connected(1, 3, Budget::default());
    world.put(0, &blob("cart"), &blob("1"));
    world.settle();
    world.isolate(2);
    world.delete(0, &blob("cart"));
    world.run_for(3 * SECOND);
    assert_eq!(world.nodes[0].journal(&replica(0)).unwrap().tombstone_count(), 1, "n2 lacks it");

    world.connect(2, 0);
    world.connect(2, 1);
    world.run_for(6 * SECOND);
    for node in &world.nodes {
        let journal = node.journal(&replica(0)).unwrap();
        assert_eq!((journal.len(), journal.floor()), (0, 2), "nothing is left of it");
    }
    world.assert_converged();
}

#[test]
fn a_member_that_does_not_count_gets_what_it_missed_as_a_whole() {
    let mut world = World::connected(1, 3, TIGHT);
    for key in ["a", "b", "c", "d", "e"] {
        world.put(0, &blob(key), &blob("1"));
    }
    world.settle();
    world.isolate(2);
    for index in 0..2 {
        world.nodes[index].set_members(&[replica(0), replica(1)]);
    }
    world.delete(0, &blob("a"));
    world.delete(0, &blob("b"));
    world.run_for(3 * SECOND);
    assert_eq!(world.nodes[0].journal(&replica(0)).unwrap().floor(), 7);
    world.put(0, &blob("f"), &blob("1"));

    world.connect(2, 0);
    world.run_for(SECOND);
    assert_eq!(value_on(&world, 2, 0, "a"), None, "the deleted do not come back");
    world.connect(2, 1);
    world.run_for(SECOND);
    world.assert_converged();
}

/// Lets n0 write five names, and `index`'s memory fail it: of one it has another, which nobody can
/// tell by its head.
fn world_with_a_wrong_copy(seed: u64, index: usize) -> World {
    let mut world = World::connected(seed, 3, TIGHT);
    for key in ["a", "b", "c", "d", "e"] {
        world.put(0, &blob(key), &blob("1"));
    }
    world.run_for(8 * SECOND);

    let mut wrong = crate::crdt::Journal::new();
    for key in ["x", "b", "c", "d", "e"] {
        wrong.put(blob(key), blob("1"));
    }
    let mut copy = crate::crdt::JournalCopy::new();
    copy.join(&wrong);
    let held = world.nodes[index].held.get_mut(&replica(0)).unwrap();
    (held.copy, held.confirmed) = (copy, None);
    let seen = world.seen[index].get_mut(&replica(0)).unwrap();
    seen.remove(&blob("a"));
    seen.insert(blob("x"), blob("1"));
    world
}

#[test]
fn a_copy_that_went_wrong_is_fetched_anew_from_its_owner() {
    let mut world = world_with_a_wrong_copy(1, 1);
    world.run_for(6 * SECOND);
    world.assert_converged();
    let deltas_sent = world.deltas_sent;
    world.run_for(6 * SECOND);
    assert_eq!(world.deltas_sent, deltas_sent, "once is enough");
}

#[test]
fn a_copy_that_its_owner_confirmed_wins_over_one_that_went_wrong() {
    for seed in 0..20 {
        let mut world = world_with_a_wrong_copy(seed, 1);
        world.isolate(0);
        world.run_for(20 * SECOND);
        for index in 1..3 {
            assert_eq!(value_on(&world, index, 0, "a"), Some(blob("1")), "n{index}, seed {seed}");
        }
    }
}

#[test]
fn a_replacement_goes_on_where_a_lost_session_left_it() {
    let mut world = World::connected(1, 2, TIGHT);
    let value = Blob::from([7; 60_000].as_slice());
    world.put(0, &blob("gone"), &value);
    world.settle();
    world.isolate(1);
    world.nodes[0].set_members(&[]);
    for number in 0..100 {
        world.put(0, &blob(&format!("key-{number}")), &value);
    }
    world.delete(0, &blob("gone"));
    world.run_for(2 * SECOND);
    assert_eq!(world.nodes[0].journal(&replica(0)).unwrap().floor(), 0, "n1 may need it yet");
    world.nodes[0].forget(&replica(1));
    world.run_for(2 * SECOND);
    assert_eq!(world.nodes[0].journal(&replica(0)).unwrap().floor(), 102);

    // It takes more than one window, and the session ends in the middle.
    world.connect(0, 1);
    for _ in 0..80 {
        world.deliver(0);
        for index in 0..2 {
            world.flush(index);
        }
    }
    let copy = &world.nodes[1].held[&replica(0)].copy;
    assert_eq!(copy.staged_until(), Some(102));
    let missing = usize::try_from(102 - copy.need(0)).unwrap();
    world.isolate(1);

    // What had arrived is not sent again.
    let deltas_sent = world.deltas_sent;
    world.connect(0, 1);
    world.run_for(2 * SECOND);
    assert_eq!(world.nodes[1].fingerprint(&replica(0)), world.nodes[0].fingerprint(&replica(0)));
    assert_eq!(world.nodes[1].closed_head(&replica(0)), 102);
    let again = world.deltas_sent - deltas_sent;
    assert!(missing < 90, "a good part had arrived");
    assert!(again <= missing + 15, "{again} deltas for {missing} entries and one window");
}

/// Says that n0 wrote far more than it did.
pub(super) fn lie() -> Message {
    let entry = DeltaEntry { step: 1_000, key: blob("b"), written: Written::Value(blob("lie")) };
    let (from, to, until) = (1, 1_001, 1_001);
    let entries = Vec::from([entry]);
    Message::Delta(Delta { replica: replica(0), from, to, until, floor: 0, silence_ms: 0, entries })
}

#[test]
fn nobody_is_believed_to_know_more_of_an_owner_than_it_does() {
    let mut world = World::connected(1, 3, Budget::default());
    world.put(0, &blob("a"), &blob("1"));
    world.settle();
    world.hand(2, 1, lie());
    assert_eq!(value_on(&world, 1, 0, "b"), None);
    world.assert_converged();
}

#[test]
fn a_lie_about_the_absent_is_found_out_when_they_return() {
    let mut world = World::connected(1, 3, Budget::default());
    world.put(0, &blob("a"), &blob("1"));
    world.settle();
    world.isolate(0);
    world.hand(2, 1, lie());
    world.run_for(3 * SECOND);
    for index in 1..3 {
        assert_eq!(value_on(&world, index, 0, "b"), Some(blob("lie")), "who could tell?");
    }

    // n0 never shows that it wrote that much, to either of them.
    world.connect_all();
    world.run_for(15 * SECOND);
    assert!(!world.refused.is_empty(), "n0 was told of writes that it did not make");
    for index in 1..3 {
        assert_eq!(world.nodes[index].closed_head(&replica(0)), 1, "n{index} has it right");
        assert_eq!(value_on(&world, index, 0, "b"), None);
    }
    world.put(0, &blob("c"), &blob("1"));
    world.settle();
    assert_eq!(value_on(&world, 1, 0, "c"), Some(blob("1")), "new writes are heard again");
}

/// What an owner said before it wrote more, and what comes long after, is no word against a copy
/// of that.
#[test]
fn what_an_owner_said_before_casts_no_doubt_on_what_it_wrote_since() {
    let mut world = World::connected(1, 3, Budget::default());
    for round in ["1", "2", "3", "4"] {
        world.put(0, &blob("a"), &blob(round));
        world.settle();
    }
    // n2 has heard less of it.
    world.disconnect(0, 2);
    world.disconnect(1, 2);
    world.put(0, &blob("a"), &blob("last"));
    world.settle();
    world.connect(1, 2);
    for _ in 0..8 {
        world.nodes[1].handle_pulse(world.now, &replica(0), &replica(0), 3);
        world.drain(1);
        world.pass(5 * SECOND);
    }
    assert_eq!(world.nodes[1].closed_head(&replica(0)), 5);
    assert!(!world.flights.iter().any(|(from, to, message)| {
        matches!(message, Message::Need(need) if (*from, *to, need.from) == (1, 0, 0))
    }));
    assert_eq!(value_on(&world, 1, 0, "a"), Some(blob("last")));
    world.connect(0, 2);
    world.run_for(3 * SECOND);
    world.assert_converged();
}

#[test]
fn the_forgotten_do_not_come_back_with_a_peer_that_remembers() {
    let mut world = World::connected(1, 3, Budget::default());
    world.put(0, &blob("a"), &blob("1"));
    world.settle();
    world.isolate(0);
    world.nodes[1].forget(&replica(0));
    world.drain(1);
    assert_eq!(world.seen[1][&replica(0)], BTreeMap::new(), "readers see it go");

    world.run_for(5 * SECOND);
    assert!(world.nodes[1].journal(&replica(0)).is_none());
    assert!(world.nodes[2].journal(&replica(0)).is_some());
}

#[test]
fn a_stranger_who_was_silent_for_long_is_not_taken_in() {
    let mut world = World::new(1, 3, Budget::default());
    world.connect(0, 1);
    world.put(0, &blob("a"), &blob("1"));
    world.settle();
    world.isolate(0);
    world.nodes[1].set_silence(&replica(0), Duration::from_secs(30));
    world.connect(1, 2);
    world.run_for(3 * SECOND);
    assert!(world.nodes[2].journal(&replica(0)).is_none(), "30 s are half of the 60");

    world.nodes[1].set_silence(&replica(0), Duration::from_millis(29_999));
    world.run_for(3 * SECOND);
    assert_eq!(value_on(&world, 2, 0, "a"), Some(blob("1")));
}

#[test]
fn acks_of_an_earlier_life_count_for_nothing() {
    let mut world = World::connected(1, 2, Budget::default());
    world.put(0, &blob("a"), &blob("1"));
    world.settle();
    assert_eq!(world.nodes[0].acked(&replica(0), &replica(1)), 1);

    let reborn = Replica::new(node(1), Incarnation { counter: 2, nonce: 1 });
    let now = world.now;
    let here = &mut world.nodes[0];
    here.handle_peer(now, &node(1), &reborn);
    assert_eq!(here.acked(&replica(0), &replica(1)), 0);
    let ack = Ack { heads: Vec::from([(replica(0).key(), 1)]) };
    here.handle_ack(now, &replica(1), &ack);
    assert_eq!(here.acked(&replica(0), &replica(1)), 0, "nor does what is still on its way");
    here.handle_ack(now, &reborn, &ack);
    assert_eq!(here.acked(&replica(0), &reborn), 1);
}

#[test]
fn what_no_honest_peer_says_is_refused_and_changes_nothing() {
    let mut world = World::connected(1, 2, Budget::default());
    world.put(0, &blob("a"), &blob("1"));
    world.settle();
    let before = wire::encode(&world.nodes[0]);

    let delta = |of: usize, from, to| {
        let replica = replica(of);
        let (until, entries) = (to, Vec::new());
        Message::Delta(Delta { replica, from, to, until, floor: 0, silence_ms: 0, entries })
    };
    let row = |of: usize, head, floor| DigestRow {
        replica: replica(of),
        head,
        fingerprint: 0,
        floor,
        silence_ms: 0,
    };
    let digest = |rows| Message::Digest(Digest { rows, answer: false });
    let need = Message::Need(Need { replica: replica(0), from: 2 });
    let ack = Message::Ack(Ack { heads: Vec::from([(replica(0).key(), u64::MAX)]) });
    let said = [
        (delta(0, 1, 2), Refusal::OurJournal),
        (delta(1, 2, 1), Refusal::Delta(DeltaError::Backward { from: 2, to: 1 })),
        (digest(Vec::from([row(0, 9, 0)])), Refusal::AheadOfUs { claimed: 9, head: 1 }),
        (digest(Vec::from([row(1, 1, 2)])), Refusal::FloorAboveHead { floor: 2, head: 1 }),
        (
            digest((0..5_000).map(|of| row(of, 1, 0)).collect()),
            Refusal::TooManyRows { rows: 5_000 },
        ),
        (need, Refusal::AheadOfUs { claimed: 2, head: 1 }),
        (ack, Refusal::AheadOfUs { claimed: u64::MAX, head: 1 }),
    ];
    for (message, reason) in said {
        world.hand(1, 0, message);
        assert_eq!(world.refused.pop(), Some((0, replica(1), reason)));
        assert_eq!(wire::encode(&world.nodes[0]), before, "{reason}");
    }
    assert_eq!(world.flights, []);
}

#[test]
fn invented_replicas_are_bounded() {
    let mut world = World::connected(1, 2, Budget::default());
    let row = |of: usize| {
        let (head, fingerprint, floor, silence_ms) = (1, 0, 0, 0);
        DigestRow { replica: replica(of), head, fingerprint, floor, silence_ms }
    };
    for page in 0..3 {
        let rows = (0..4_000).map(|of| row(10 + page * 4_000 + of)).collect();
        world.hand(1, 0, Message::Digest(Digest { rows, answer: false }));
    }
    assert_eq!(world.nodes[0].replicas().count(), 1 + crate::limits::REPLICAS_MAX);
}

#[test]
fn a_removed_copy_may_come_back() {
    let mut world = World::connected(1, 2, Budget::default());
    world.put(0, &blob("a"), &blob("1"));
    world.settle();
    world.nodes[1].remove(&replica(0));
    world.drain(1);
    assert_eq!(world.seen[1].remove(&replica(0)), Some(BTreeMap::new()));

    world.run_for(3 * SECOND);
    assert_eq!(value_on(&world, 1, 0, "a"), Some(blob("1")));
}
