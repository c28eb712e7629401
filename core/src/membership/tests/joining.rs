//! How nodes meet, and whom they refuse.

use std::vec::Vec;

use super::world::{RULE, World, address, id, ms};
use crate::membership::{Membership, Output};
use crate::message::{Hello, Message};
use crate::{Config, Event, Incarnation, MemberStatus, Random, Replica, Stamp, Time, Wall, wire};

#[test]
fn a_node_without_seeds_begins_at_once_and_alone() {
    let mut world = World::empty(1);
    world.boot(1, &[], 0);
    assert_eq!(world.live(1), [id(1)]);
    assert_eq!(world.of(1).incarnation().counter, 1);

    // Nobody is missing: it may take over whatever it finds.
    world.run_for(ms(10_000));
    assert!(world.of(1).may_take_over(world.now));
}

#[test]
fn a_node_whose_seeds_all_refuse_begins_alone_in_no_time() {
    for seed in 0..50 {
        let mut world = World::empty(seed);
        world.boot(1, &[2, 3], 0);
        assert!(!world.of(1).is_joined(), "seed {seed}");
        world.run_for(ms(50));
        assert_eq!(world.live(1), [id(1)], "seed {seed}");
    }
}

#[test]
fn a_node_whose_seeds_are_silent_begins_alone_after_the_failure_timeout() {
    let mut world = World::empty(1);
    world.cut_link(1, 2);
    world.boot(1, &[2], 0);
    world.run_for(ms(2_999));
    assert!(!world.of(1).is_joined());
    world.run_for(ms(1));
    assert_eq!(world.live(1), [id(1)]);
}

#[test]
fn ten_nodes_that_start_at_once_find_each_other_through_one() {
    for seed in 0..20 {
        let mut world = World::empty(seed);
        for number in 1..=10 {
            let seeds = if number == 1 { &[][..] } else { &[1] };
            world.boot(number, seeds, 0);
        }
        world.run_for(ms(3_000));
        for number in 1..=10 {
            assert_eq!(world.live(number).len(), 10, "n{number}, seed {seed}");
            assert_eq!(world.of(number).peers().count(), 9, "n{number}, seed {seed}");
            let views: Vec<_> = world.of(number).members().collect();
            assert!(views.iter().all(|(_, view)| view.status == MemberStatus::Alive));
            assert_eq!(views[0].1.address, Some(address(1)), "seed {seed}");
        }
        assert_eq!(world.all_downs(), [], "seed {seed}");
    }
}

#[test]
fn nodes_that_know_only_each_other_as_seeds_become_one_cluster() {
    for seed in 0..50 {
        let mut world = World::empty(seed);
        world.boot(1, &[1, 2, 3], 0);
        world.boot(2, &[1, 2, 3], 0);
        world.boot(3, &[1, 2, 3], 0);
        world.run_for(ms(5_000));
        for number in 1..=3 {
            assert_eq!(world.live(number), [id(1), id(2), id(3)], "seed {seed}");
        }
    }
}

#[test]
fn a_joiner_learns_the_clocks_of_those_that_welcome_it() {
    let mut world = World::settled(1, 3);
    world.boot(4, &[1], 0);
    world.run_for(ms(1_000));
    let joined = |output: &Output| {
        let Output::Joined { stamp_floor, .. } = output else { return None };
        Some(*stamp_floor)
    };
    let floor = world.log.iter().find_map(|(_, _, output)| joined(output)).unwrap();
    assert!(floor > Stamp::first_of(Wall::from_millis(1_790_000_000_000)));
}

#[test]
fn a_clock_beyond_the_bound_is_refused_and_both_are_named() {
    for (ahead, refused) in [(400, false), (-400, false), (600, true), (-600, true)] {
        let mut world = World::empty(7);
        world.boot(1, &[], 0);
        world.boot(2, &[1], ahead);
        world.run_for(ms(10_000));
        assert_eq!(world.live(1).len() == 1, refused, "{ahead} ms");

        let named = |event: &Event| {
            let Event::ClockRefused { ours, theirs, .. } = event else { return false };
            (590..=610).contains(&ours.as_millis().abs_diff(theirs.as_millis()))
        };
        assert_eq!(world.events(named) > 0, refused, "{ahead} ms");
        // Nor do they meet in a tight loop.
        assert!(world.events(named) <= 12, "{} times", world.events(named));
    }
}

/// One side alone: in a cluster the other one, which sees the opposite, would refuse as well.
#[test]
fn a_clock_is_refused_only_if_no_moment_of_the_round_trip_explains_it() {
    let cases =
        [(499, 0, true), (501, 0, false), (-499, 0, true), (-501, 0, false), (-900, 450, true)];
    for (offset_ms, round_trip_ms, fits) in cases {
        let config = Config::new(id(1), address(1));
        let (now, wall) = (Time::from_millis(5), 1_790_000_000_000_u64);
        let mut membership = Membership::new(&config, RULE, Random::new(1), now);
        membership.handle_wall(now, Wall::from_millis(wall));
        membership.start(now);
        membership.handle_connected(now, &id(2));

        // Their clock was read when the answer was sent, and nobody knows when that was.
        let later = now + ms(round_trip_ms);
        let theirs = (wall + round_trip_ms).saturating_add_signed(offset_ms);
        let answer = Hello {
            sent: Time::ZERO,
            wall: Wall::from_millis(theirs),
            rule: RULE.into(),
            echo: Some(now),
            ring: crate::placement::Ring::VERSION,
            terms: config.terms(),
        };
        membership.handle_hello(later, &id(2), &answer);
        assert_eq!(membership.is_open(&id(2)), fits, "{offset_ms} ms in {round_trip_ms} ms");
        let barred = core::iter::from_fn(|| membership.poll_output())
            .any(|output| output == Output::Disconnect { peer: id(2) });
        assert_eq!(barred, !fits, "{offset_ms} ms in {round_trip_ms} ms");
    }
}

#[test]
fn a_clock_that_steps_once_the_session_is_open_ends_nothing() {
    let mut world = World::settled(3, 3);
    let now = world.now;
    let stepped = Wall::from_millis(2_000_000_000_000);
    world.machines.get_mut(&2).unwrap().membership.handle_wall(now, stepped);
    world.run_for(ms(60_000));
    assert_eq!(world.all_downs(), []);
    assert_eq!(world.events(|event| matches!(event, Event::ClockRefused { .. })), 0);
}

#[test]
fn another_rule_is_refused() {
    let mut world = World::settled(3, 2);
    let hello = world.hello_with_rule("newest/1");
    let (life, beat) = (world.of(2).incarnation(), world.of(2).beat());
    world.replay(1, 2, life, beat, hello);

    let refused = |event: &Event| matches!(event, Event::RuleRefused { rule, peer } if rule == "newest/1" && *peer == id(2));
    assert_eq!(world.events(refused), 1);
    assert_eq!(world.of(1).peers().count(), 0);

    // The peer says nothing of the kind again, and after a while is let in.
    world.run_for(ms(5_000));
    assert_eq!(world.live(1), [id(1), id(2)]);
}

/// Nodes that place children by other rings would each start what the other one runs.
#[test]
fn another_version_of_the_ring_is_refused() {
    let mut world = World::settled(3, 2);
    let Message::Hello(hello) = world.hello_with_rule(RULE) else { unreachable!() };
    let hello = Message::Hello(Hello { ring: hello.ring + 1, ..hello });
    let (life, beat) = (world.of(2).incarnation(), world.of(2).beat());
    world.replay(1, 2, life, beat, hello);

    let is_refused = |event: &Event| {
        let Event::RingRefused { peer, version } = event else { return false };
        (peer, *version) == (&id(2), crate::placement::Ring::VERSION + 1)
    };
    assert_eq!(world.events(is_refused), 1);
    assert_eq!(world.of(1).peers().count(), 0);
    world.run_for(ms(5_000));
    assert_eq!(world.live(1), [id(1), id(2)]);
}

#[test]
fn nothing_is_believed_before_clocks_and_rules_agree() {
    let config = Config::new(id(1), address(1));
    let now = Time::from_millis(5);
    let mut membership = Membership::new(&config, RULE, Random::new(1), now);
    membership.start(now);
    membership.handle_wall(now, Wall::from_millis(1));
    membership.handle_connected(now, &id(2));

    let life = Incarnation { counter: 1, nonce: 7 };
    let verdict = membership.handle_heard(now, &id(2), life, 1);
    assert_eq!(verdict, crate::membership::Verdict::Unchecked);
    assert_eq!(membership.current(&id(2)), None);
    let stranger = membership.handle_heard(now, &id(3), life, 1);
    assert_eq!(stranger, crate::membership::Verdict::Unchecked, "there is no session");
}

#[test]
fn a_lost_greeting_is_repeated_until_it_is_answered() {
    for seed in 0..30 {
        let mut world = World::empty(seed);
        world.loss_percent = 60;
        world.boot(1, &[], 0);
        world.boot(2, &[1], 0);
        world.run_for(ms(2_900));
        world.loss_percent = 0;
        world.run_for(ms(2_000));
        assert_eq!(world.live(1), [id(1), id(2)], "seed {seed}");
        assert_eq!(world.live(2), [id(1), id(2)], "seed {seed}");
    }
}

#[test]
fn a_snapshot_goes_on_as_the_original_does() {
    let mut world = World::settled(5, 4);
    world.kill(4);
    world.run_for(ms(20));
    let now = world.now;
    let original = &mut world.machines.get_mut(&1).unwrap().membership;
    let bytes = wire::encode(original);
    let mut copy: Membership = wire::decode(&bytes).unwrap();
    assert_eq!(wire::encode(&copy), bytes);

    let mut at = now;
    let mut outputs = [Vec::new(), Vec::new()];
    for _ in 0..200 {
        at = original.poll_timeout().unwrap().max(at);
        for (membership, outputs) in [&mut *original, &mut copy].into_iter().zip(&mut outputs) {
            membership.handle_tick(at);
            outputs.extend(core::iter::from_fn(|| membership.poll_output()));
        }
    }
    assert!(outputs[0].iter().any(|output| matches!(output, Output::Down { .. })));
    assert_eq!(outputs[0], outputs[1]);
    assert_eq!(wire::encode(original), wire::encode(&copy));
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let run = |seed| {
        let mut world = World::settled(seed, 4);
        world.loss_percent = 20;
        world.kill(3);
        world.run_for(ms(10_000));
        world.log
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_welcome_that_knows_an_impossible_life_does_not_set_ours() {
    let mut world = World::settled(2, 2);
    world.boot(3, &[1], 0);
    while world.of(3).peers().count() == 0 {
        world.run_for(ms(1));
    }
    let mad = crate::message::Welcome {
        counter: u64::MAX,
        stamp: Stamp::default(),
        members: Vec::from([(id(9), address(9))]),
    };
    let life = world.of(1).incarnation();
    world.replay(3, 1, life, 1, Message::Welcome(mad));
    world.run_for(ms(3_000));
    assert_eq!(world.replica(3).incarnation().counter, 1);
    assert_eq!(world.live(1), [id(1), id(2), id(3)]);
    let replica: Replica = world.replica(3);
    assert!(world.of(2).is_visible(&replica));
}
