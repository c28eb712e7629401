//! What a peer may say, wrongly or in bad faith, and what does not come of it.

use core::time::Duration;
use std::format;
use std::vec::Vec;

use super::world::{World, address, id, ms};
use crate::limits::MEMBERS_MAX;
use crate::membership::Verdict;
use crate::message::{Beat, Link, Message, Pulse};
use crate::{Event, Incarnation, NodeId, Replica, ReplicaKey};

fn pulse(replica: ReplicaKey, counter: u64) -> Message {
    let (age_ms, head, link, silent_ms) = (0, 0, Link::Open, 0);
    let pulses = Vec::from([Pulse { replica, counter, age_ms, head, link, silent_ms }]);
    Message::Beat(Beat { pulses })
}

/// THREATS' S15: whoever claims the highest count there is silences nobody.
#[test]
fn a_count_out_of_this_world_does_not_keep_a_node_from_being_heard() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 3);
        let (one, three) = (world.replica(1), world.replica(3));
        let before = world.of(2).refused();
        for beat in 0..5 {
            let count = 1_000 + beat;
            world.replay(2, 1, one.incarnation(), count, pulse(three.key(), u64::MAX));
            world.replay(3, 1, one.incarnation(), count, pulse(three.key(), u64::MAX));
        }
        assert_eq!(world.of(2).refused(), before + 5, "seed {seed}");
        // n1 itself is ahead of its own count now, and catches up when it hears so.
        world.run_for(ms(10_000));
        assert_eq!(world.all_downs(), [], "seed {seed}");
        assert!(world.of(3).beat() < 1_000, "seed {seed}");
    }
}

#[test]
fn a_count_that_was_raised_by_a_lie_is_outdone_by_its_owner() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 3);
        let (one, three) = (world.replica(1), world.replica(3));
        let lie = (1 << 32) - 1_000;
        let beat = world.of(1).beat();
        world.replay(2, 1, one.incarnation(), beat, pulse(three.key(), lie));

        // n3 learns of the lie from n2's next beat, and beats above it.
        world.run_for(ms(1_100));
        assert!(lie < world.of(3).beat(), "seed {seed}");
        world.run_for(ms(10_000));
        assert_eq!(world.all_downs(), [], "seed {seed}");
    }
}

#[test]
fn a_life_out_of_this_world_is_not_admitted() {
    let mut world = World::settled(1, 3);
    let mad = Incarnation { counter: u64::MAX, nonce: 1 };
    let (now, three) = (world.now, world.replica(3));
    let membership = &mut world.machines.get_mut(&1).unwrap().membership;

    assert!(!membership.handle_remembered(now, &Replica::new(id(3), mad), Duration::ZERO));
    assert_eq!(membership.handle_heard(now, &id(3), mad, 1), Verdict::Stale);
    assert_eq!(membership.handle_heard(now, &id(3), mad, 2), Verdict::Stale);
    assert!(membership.is_visible(&three));
    assert!(!membership.handle_remembered(now, &Replica::new(id(1), mad), Duration::ZERO));
    world.drain(1);
    assert_eq!(world.events(|event| matches!(event, Event::Refused { .. })), 1, "told once");
    world.run_for(ms(5_000));
    assert_eq!(world.live(1).len(), 3);
    assert!(world.of(1).is_joined());
}

#[test]
fn a_list_of_many_thousand_members_fills_no_more_than_its_place() {
    let mut world = World::settled(1, 2);
    let now = world.now;
    let membership = &mut world.machines.get_mut(&1).unwrap().membership;
    let mut admitted = 0;
    for number in 0..5_000 {
        let life = Incarnation { counter: 1, nonce: 1 };
        let replica = Replica::new(NodeId::new(format!("ghost-{number}")).unwrap(), life);
        admitted += usize::from(membership.handle_remembered(now, &replica, Duration::ZERO));
    }
    assert_eq!(admitted, MEMBERS_MAX - 2);
    assert_eq!(membership.members().count(), MEMBERS_MAX);
}

#[test]
fn one_address_for_two_names_and_two_for_one_confuse_nobody() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 3);
        // A new node under the address of a dead one, and the dead one's name elsewhere.
        let gone = world.replica(3);
        world.kill(3);
        world.run_for(ms(200));
        world.boot(4, &[1], 0);
        world.run_for(ms(2_000));
        assert_eq!(world.live(1), [id(1), id(2), id(4)], "seed {seed}");
        let entry = crate::membership::MemberEntry {
            address: address(3),
            kinds: Vec::new(),
            presence: crate::membership::Presence::Here,
            role: crate::Role::Worker,
            labels: crate::Labels::new(),
            is_full: false,
            strategies: Vec::new(),
            weight: crate::placement::Weight::USUAL,
            can_lease: false,
            joined: crate::Stamp::default(),
        };
        let (now, four) = (world.now, world.replica(4));
        for number in 1..=2 {
            let membership = &mut world.machines.get_mut(&number).unwrap().membership;
            membership.handle_member(now, &four, entry.clone());
            membership.handle_refused(now, &address(3));
        }
        world.run_for(ms(10_000));
        assert_eq!(world.downs(&four), [], "its session is up; seed {seed}");
        assert!(!world.of(1).is_visible(&gone), "seed {seed}");
    }
}

#[test]
fn ten_thousand_beats_in_a_burst_are_as_good_as_one() {
    let mut world = World::settled(1, 3);
    let (one, three) = (world.replica(1), world.replica(3));
    for count in 0..10_000 {
        world.replay(2, 1, one.incarnation(), 100 + count, pulse(three.key(), 100));
    }
    world.run_for(ms(10_000));
    assert_eq!(world.all_downs(), []);
    assert_eq!(world.live(2).len(), 3);
}
