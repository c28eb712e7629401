//! One life of a node, and the next.

use core::time::Duration;
use std::vec::Vec;

use super::world::{World, address, id, ms};
use crate::limits::REPLICAS_MAX;
use crate::membership::{Membership, Output, Presence};
use crate::message::{Beat, Link, Message, Pulse};
use crate::{Incarnation, MemberStatus, Replica, Role, Time};

/// SPEC's B140.
#[test]
fn a_restart_under_the_same_name_retires_the_old_life_at_once() {
    for seed in 0..50 {
        let mut world = World::settled(seed, 3);
        let old = world.replica(3);
        let last_words = Message::Beat(world.of(3).pulses());
        world.kill(3);
        world.boot(3, &[1], 0);
        world.run_for(ms(2_500));
        let new = world.replica(3);
        assert!(old.incarnation().counter < new.incarnation().counter, "seed {seed}");

        for number in 1..=2 {
            let retired = |who: usize, output: &Output| {
                let superseded = true;
                who == number && *output == (Output::Retired { replica: old.clone(), superseded })
            };
            assert_eq!(world.count(retired), 1, "n{number}, seed {seed}");
            assert!(world.of(number).is_visible(&new), "seed {seed}");
            assert!(!world.of(number).is_visible(&old), "seed {seed}");
            assert_eq!(world.of(number).current(&id(3)), Some(&new), "seed {seed}");
            assert_eq!(world.live(number).len(), 3, "seed {seed}");
        }

        // What the old life still had under way changes nothing but a number.
        let silences =
            |world: &World| [&old, &new].map(|replica| world.of(1).silence(replica, world.now));
        let (before, silence) = (world.of(1).refused(), silences(&world));
        let members: Vec<_> = world.of(1).members().map(|(n, view)| (n.clone(), view)).collect();
        world.replay(1, 3, old.incarnation(), 1_000_000, last_words);
        assert_eq!(world.of(1).refused(), before + 1, "seed {seed}");
        assert_eq!(silences(&world), silence, "seed {seed}");
        let after: Vec<_> = world.of(1).members().map(|(n, view)| (n.clone(), view)).collect();
        assert_eq!(members, after, "seed {seed}");
        world.run_for(ms(10_000));
        assert!(world.of(1).is_visible(&new) && !world.of(1).is_visible(&old), "seed {seed}");
    }
}

#[test]
fn who_leaves_is_no_member_any_more_and_stays_gone() {
    for seed in 0..30 {
        let mut world = World::settled(seed, 3);
        let gone = world.replica(3);
        let now = world.now;
        world.machines.get_mut(&3).unwrap().membership.leave(now);
        world.say(3, Presence::Leaving);
        assert_eq!(world.live(3), [id(1), id(2)], "it places nothing on itself; seed {seed}");
        world.run_for(ms(1_500));
        for number in 1..=3 {
            let view = world.of(number).member(&id(3)).unwrap();
            assert_eq!(view.status, MemberStatus::Leaving, "seed {seed}");
            assert_eq!(world.live(number), [id(1), id(2)], "seed {seed}");
            assert!(world.of(number).is_visible(&gone), "its processes still run; seed {seed}");
        }

        // It leaves, and its last frames come late.
        world.say(3, Presence::Left);
        world.run_for(ms(1_500));
        let late = Message::Beat(world.of(3).pulses());
        world.kill(3);
        world.run_for(ms(100));
        world.replay(1, 3, gone.incarnation(), u64::MAX / 4, late);
        world.run_for(ms(5_000));
        for number in 1..=2 {
            assert_eq!(world.of(number).member(&id(3)), None, "seed {seed}");
            assert!(!world.of(number).is_visible(&gone), "seed {seed}");
            let hung_up = |who: usize, output: &Output| {
                who == number && *output == (Output::HangUp { address: address(3) })
            };
            assert_eq!(world.count(hung_up), 1, "seed {seed}");
        }
        assert_eq!(world.downs(&gone), [], "who left did not die; seed {seed}");

        // And the name may be used again.
        world.boot(3, &[1], 0);
        world.run_for(ms(2_000));
        assert_eq!(world.live(1).len(), 3, "seed {seed}");
    }
}

#[test]
fn a_merely_remembered_higher_life_is_outdone() {
    let mut world = World::settled(1, 3);
    let was = world.replica(3);
    let higher = Replica::new(id(3), Incarnation { counter: 9, nonce: 1 });
    let now = world.now;
    let membership = &mut world.machines.get_mut(&3).unwrap().membership;
    assert!(!membership.handle_remembered(now, &higher, ms(60_000)), "not before it is outdone");
    world.run_for(ms(3_000));

    let is = world.replica(3);
    assert_eq!(is.incarnation().counter, 10);
    let reborn = Output::Reborn { was: was.clone(), replica: is.clone() };
    assert_eq!(world.count(|who, output| who == 3 && *output == reborn), 1);
    for number in 1..=2 {
        assert!(world.of(number).is_visible(&is) && !world.of(number).is_visible(&was));
    }
    assert!(world.of(3).remembered().any(|replica| *replica == higher), "its journal is kept");
    assert_eq!(world.count(|_, output| matches!(output, Output::Superseded { .. })), 0);
}

#[test]
fn a_higher_life_that_beats_ends_ours() {
    let mut world = World::settled(1, 3);
    let higher = Replica::new(id(3), Incarnation { counter: 9, nonce: 1 });
    let now = world.now;
    let membership = &mut world.machines.get_mut(&3).unwrap().membership;
    membership.handle_remembered(now, &higher, ms(100));
    world.drain(3);
    world.run_for(ms(1_000));

    // n1 heard of it lately, but before we began to look: still a memory.
    let life = world.of(1).incarnation();
    let pulse = |counter, age_ms| {
        let (replica, link) = (higher.key(), Link::Open);
        let pulses =
            Vec::from([Pulse { replica, counter, age_ms, head: 0, link, silent_ms: age_ms }]);
        Message::Beat(Beat { pulses })
    };
    world.replay(3, 1, life, 50, pulse(7, 1_100));
    assert!(world.of(3).is_joined());

    // One beat may have been long under way.
    world.replay(3, 1, life, 51, pulse(8, 40));
    assert!(world.of(3).is_joined());

    // But whoever goes on beating lives.
    for beat in 1..6 {
        world.run_for(ms(500));
        assert!(world.of(3).is_joined(), "after {beat} beats");
        world.replay(3, 1, life, 51 + beat, pulse(8 + beat, 40));
    }
    assert!(!world.of(3).is_joined());
    let superseded = Output::Superseded { by: higher.incarnation() };
    assert_eq!(world.count(|who, output| who == 3 && *output == superseded), 1);
}

#[test]
fn a_higher_life_of_which_only_its_last_beat_is_told_is_a_memory() {
    let mut world = World::settled(1, 3);
    let higher = Replica::new(id(3), Incarnation { counter: 9, nonce: 1 });
    let pulse = |counter, age_ms| {
        let (replica, link) = (higher.key(), Link::Open);
        let pulses =
            Vec::from([Pulse { replica, counter, age_ms, head: 0, link, silent_ms: age_ms }]);
        Message::Beat(Beat { pulses })
    };
    let now = world.now;
    world.machines.get_mut(&3).unwrap().membership.handle_remembered(now, &higher, ms(0));
    world.drain(3);
    let life = world.of(1).incarnation();

    // n1 remembers it, too, and has heard no beat of it.
    world.run_for(ms(2_040));
    world.replay(3, 1, life, 50, pulse(0, 2_039));
    // Then n1 learns of the last one, from before all this but for the time that the news took.
    world.run_for(ms(900));
    world.replay(3, 1, life, 51, pulse(8, 2_930));
    world.run_for(ms(100));
    world.replay(3, 1, life, 52, pulse(9, 3_030));
    assert!(world.of(3).is_joined(), "one beat told late is not a timeout full of them");

    // Nor is the whole of its life, told late and at once.
    world.replay(3, 1, life, 53, pulse(30, 200));
    assert!(world.of(3).is_joined());
    world.run_for(ms(3_500));
    assert_eq!(world.replica(3).incarnation().counter, 10, "it is outdone in the end");
    assert_eq!(world.count(|_, output| matches!(output, Output::Superseded { .. })), 0);
}

#[test]
fn beats_of_a_higher_life_that_come_late_each_by_itself_are_a_memory() {
    let mut world = World::settled(1, 3);
    let higher = Replica::new(id(3), Incarnation { counter: 9, nonce: 1 });
    let pulse = |counter| {
        let (replica, link) = (higher.key(), Link::Open);
        let pulses =
            Vec::from([Pulse { replica, counter, age_ms: 0, head: 0, link, silent_ms: 0 }]);
        Message::Beat(Beat { pulses })
    };
    let now = world.now;
    world.machines.get_mut(&3).unwrap().membership.handle_remembered(now, &higher, ms(0));
    world.drain(3);
    let life = world.of(1).incarnation();

    // They are from all over its life, and come as it pleases the network.
    for (number, counter) in [40, 31, 60, 7, 59, 80, 100, 22, 99].into_iter().enumerate() {
        world.run_for(ms(1_000));
        world.replay(3, 1, life, 50 + number as u64, pulse(counter));
        assert!(world.of(3).is_joined(), "after {counter}");
    }
    world.run_for(ms(3_500));
    assert_eq!(world.replica(3).incarnation().counter, 10, "it is outdone in the end");
    assert_eq!(world.count(|_, output| matches!(output, Output::Superseded { .. })), 0);
}

#[test]
fn a_member_silent_for_long_is_forgotten_and_nobody_brings_it_back() {
    let mut world = World::settled(1, 3);
    let gone = world.replica(3);
    world.unplug(3);
    world.run_for(ms(3_500));
    // Half a day later the memory is not worth passing on to a stranger.
    let day = Duration::from_secs(24 * 60 * 60);
    for number in [1, 2] {
        let machine = world.machines.get_mut(&number).unwrap();
        let mut at = world.now;
        // Time passes in steps of a beat, as it does when nothing else happens.
        let _ = core::iter::from_fn(|| machine.membership.poll_output()).count();
        while at < world.now + day {
            at = machine.membership.poll_timeout().unwrap().max(at + ms(500));
            machine.membership.handle_tick(at);
        }
        let forgotten = core::iter::from_fn(|| machine.membership.poll_output())
            .filter(|output| *output == Output::Forgotten { replica: gone.clone() })
            .count();
        assert_eq!(forgotten, 1);
        assert_eq!(machine.membership.member(&id(3)), None);
        assert!(!machine.membership.handle_remembered(at, &gone, day / 2), "too old to believe");
        assert!(machine.membership.handle_remembered(at, &gone, day / 2 - ms(1)), "young enough");
    }
}

/// What others tell of lives comes with sums of silences, which may make a later one seem older.
#[test]
fn a_life_told_of_later_than_the_one_above_it_is_remembered_for_longer() {
    let mut world = World::settled(1, 3);
    let now = world.now;
    let membership = &mut world.machines.get_mut(&1).unwrap().membership;
    let life = |counter| Replica::new(id(4), Incarnation { counter, nonce: 7 });
    assert!(membership.handle_remembered(now, &life(5), Duration::ZERO));
    let mut at = now;
    let mut pass = |membership: &mut Membership, until: Time| {
        while at < until {
            at = membership.poll_timeout().unwrap().max(at + ms(500));
            membership.handle_tick(at);
            let _ = core::iter::from_fn(|| membership.poll_output()).count();
        }
        at
    };

    let hours = |hours: u64| Duration::from_secs(hours * 60 * 60);
    let at = pass(membership, now + hours(6));
    assert!(membership.handle_remembered(at, &life(3), Duration::ZERO));
    pass(membership, now + hours(24));
    assert_eq!(membership.highest(&id(4)), Some(life(3)), "of the later one nothing is left");
    assert_eq!(membership.current(&id(4)), None);
    let at = pass(membership, now + hours(31));
    assert_eq!(membership.highest(&id(4)), None);
    assert!(membership.handle_remembered(at, &life(6), Duration::ZERO), "a new life is welcome");
}

#[test]
fn ten_thousand_restarts_of_one_node_leave_a_bounded_memory() {
    let mut world = World::settled(1, 2);
    let mut now = world.now;
    let membership = &mut world.machines.get_mut(&1).unwrap().membership;
    for counter in 2..10_002 {
        now = now + ms(10);
        let life = Replica::new(id(2), Incarnation { counter, nonce: 7 });
        assert!(membership.handle_remembered(now, &life, Duration::ZERO));
        membership.handle_tick(now);
        let _ = core::iter::from_fn(|| membership.poll_output()).count();
    }
    assert!(membership.remembered().count() <= REPLICAS_MAX);
    assert_eq!(membership.current(&id(2)).unwrap().incarnation().counter, 10_001);
    assert_eq!(membership.pulses().pulses.len(), 2, "the retired have no pulse");
}

/// What others leave behind is taken on by those that count alone, and they are counted alone.
#[test]
fn a_client_takes_nothing_on_and_is_not_counted() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 3);
        world.say_as(3, Presence::Here, Role::Client);
        world.say_as(2, Presence::Here, Role::Keeper);
        world.run_for(ms(2_500));
        let client = world.replica(3);
        for number in 1..=2 {
            assert_eq!(world.live(number), [id(1), id(2)], "n{number}, seed {seed}");
            let of = world.of(number);
            assert_eq!(of.not_forgotten().count(), 3, "n{number}, seed {seed}");
            assert!(!of.counts(&client) && of.counting().all(|counted| *counted != client));
            assert_eq!(of.member(&id(3)).map(|member| member.role), Some(Role::Client));
        }
    }
}
