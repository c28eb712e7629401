//! Who is taken for dead, when, and who must not be.

use core::time::Duration;
use std::vec::Vec;

use super::world::{World, id, ms};
use crate::membership::Output;
use crate::{Event, MemberStatus, Time};

const TIMEOUT: Duration = ms_const(3_000);
const BEAT: Duration = ms_const(500);

const fn ms_const(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_silent_node_is_suspect_then_down_within_the_timeout_and_a_beat() {
    for seed in 0..50 {
        let mut world = World::settled(seed, 4);
        let gone = world.replica(4);

        // Its host loses power: no refusal, only silence.
        let at = world.now;
        world.unplug(4);
        world.run_for(TIMEOUT / 2 + ms(20));
        for number in 1..=3 {
            let view = world.of(number).member(&id(4)).unwrap();
            assert_eq!(view.status, MemberStatus::Suspect, "seed {seed}");
            assert!(world.of(number).is_visible(&gone), "the suspect are shown, seed {seed}");
        }
        world.run_for(TIMEOUT);
        let downs = world.downs(&gone);
        assert_eq!(downs.len(), 3, "once at each, seed {seed}: {downs:?}");
        for (down_at, who) in downs {
            let took = down_at.since(at);
            let fits = TIMEOUT - BEAT <= took && took <= TIMEOUT + BEAT;
            assert!(fits, "n{who} took {took:?}, seed {seed}");
            assert!(!world.of(who).is_visible(&gone), "seed {seed}");
        }
    }
}

#[test]
fn one_cut_link_makes_nobody_down() {
    for seed in 0..30 {
        let mut world = World::settled(seed, 3);
        world.cut_link(1, 2);
        world.run_for(ms(60_000));
        assert_eq!(world.all_downs(), [], "n3 hears both and says so; seed {seed}");
        assert_eq!(world.events(|event| matches!(event, Event::MemberSuspect { .. })), 0);

        // Who hears whom is known to everyone.
        let (one, two) = (world.replica(1), world.replica(2));
        let cut_off: Vec<_> = world.of(3).cut_off_from(&two).collect();
        assert_eq!(cut_off, [&one], "seed {seed}");
    }
}

#[test]
fn a_line_of_five_nodes_makes_nobody_down() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 5);
        for a in 1..=5 {
            for b in a + 2..=5 {
                world.cut_link(a, b);
            }
        }
        world.run_for(ms(60_000));
        assert_eq!(world.all_downs(), [], "seed {seed}");
    }
}

#[test]
fn two_dead_nodes_cannot_vouch_for_each_other() {
    for seed in 0..30 {
        let mut world = World::settled(seed, 4);
        let (three, four) = (world.replica(3), world.replica(4));

        // What n1 and n2 said of the dead goes on between them for ever.
        let at = world.now;
        world.unplug(3);
        world.unplug(4);
        world.run_for(TIMEOUT + BEAT);
        assert_eq!(world.downs(&three).iter().filter(|(_, who)| *who <= 2).count(), 2);
        assert_eq!(world.downs(&four).iter().filter(|(_, who)| *who <= 2).count(), 2);
        world.run_for(ms(60_000));
        assert!(!world.of(1).is_visible(&three), "seed {seed}");
        let silence = world.of(1).silence(&three, world.now).unwrap();
        let longest = world.now.since(at) + BEAT;
        assert!(silence <= longest && silence + BEAT >= world.now.since(at), "{silence:?}");
    }
}

#[test]
fn a_killed_process_is_down_in_a_moment() {
    for (seed, count) in (0..60).zip([2, 3, 5, 8].into_iter().cycle()) {
        let mut world = World::settled(seed, count);
        let gone = world.replica(count);
        let at = world.now;
        world.kill(count);
        world.run_for(ms(150));

        let downs = world.downs(&gone);
        assert_eq!(downs.len(), count - 1, "of {count}, seed {seed}: {downs:?}");
        let took = |(down_at, _): &(Time, usize)| down_at.since(at);
        assert!(downs.iter().all(|down| took(down) >= ms(50)), "not before 50 ms; seed {seed}");
        // Nothing of this is a reason to wait: the refusals are evidence.
        assert!(world.of(1).may_take_over(world.now), "seed {seed}");
    }
}

#[test]
fn processes_killed_at_once_are_down_in_a_moment_too() {
    for seed in 0..30 {
        let mut world = World::settled(seed, 5);
        let gone = [world.replica(4), world.replica(5)];
        world.kill(4);
        world.kill(5);
        world.run_for(ms(150));
        for replica in &gone {
            assert_eq!(world.downs(replica).len(), 3, "seed {seed}");
        }
    }
}

#[test]
fn whom_one_other_member_still_hears_is_not_down_for_a_refusal() {
    // n3 is refused to n1 and n2 by a firewall, and n4 goes on hearing it.
    for seed in 0..30 {
        let mut world = World::settled(seed, 4);
        world.cut_link(1, 3);
        world.cut_link(2, 3);
        world.end_session(1, 3);
        world.end_session(2, 3);
        world.run_for(ms(20));
        for number in [1, 2] {
            world.refuse(number, 3);
        }
        world.run_for(ms(10_000));
        assert_eq!(world.all_downs(), [], "seed {seed}");

        // n2, which did not hear it either, dies: what it said counts no more, what n4 says does.
        let (two, three) = (world.replica(2), world.replica(3));
        world.kill(2);
        world.run_for(ms(10_000));
        assert_eq!(world.downs(&two).len(), 3, "seed {seed}");
        assert_eq!(world.downs(&three), [], "seed {seed}");
    }
}

#[test]
fn a_thawed_node_accuses_nobody() {
    for (seed, frozen_ms) in (0..60).zip([800, 2_000, 5_000, 30_000].into_iter().cycle()) {
        let mut world = World::settled(seed, 4);
        let cold = world.replica(4);
        world.freeze(4);
        world.run_for(ms(frozen_ms));
        world.thaw(4);
        world.run_for(ms(5_000));

        let accused = world.all_downs().into_iter().filter(|(_, who, _)| *who == 4).count();
        assert_eq!(accused, 0, "after {frozen_ms} ms, seed {seed}");
        // The others had to take it for dead if that was long, and see it again.
        for number in 1..=3 {
            assert!(world.of(number).is_visible(&cold), "seed {seed}");
        }
        assert_eq!(world.live(4).len(), 4, "seed {seed}");
    }
}

/// Steps one machine alone, so that its socket may be read as late as it pleases.
#[test]
fn time_that_a_node_was_stopped_for_is_nobodys_silence() {
    for (silent_ms, stopped_ms) in [(300, 10_000), (2_300, 10_000), (2_300, 700)] {
        let mut world = World::settled(9, 3);
        let mut now = world.now + ms(silent_ms);
        let membership = &mut world.machines.get_mut(&1).unwrap().membership;
        let mut step = |from: Time, to: Time| {
            let mut at = from;
            while at <= to {
                membership.handle_tick(at);
                at = membership.poll_timeout().unwrap();
            }
            let outputs = core::iter::from_fn(|| membership.poll_output());
            outputs.filter(|output| matches!(output, Output::Down { .. })).count()
        };
        assert_eq!(step(world.now, now), 0);

        // What arrived meanwhile is still to be read: for one beat nobody is judged.
        now = now + ms(500) + ms(stopped_ms);
        assert_eq!(step(now, now + ms(499)), 0, "{silent_ms} ms, then {stopped_ms} ms");
        // After that the silence from before counts, and no more than that.
        let downs = if silent_ms < 1_000 { 0 } else { 2 };
        let later = step(now + ms(500), now + ms(1_400));
        assert_eq!(later, downs, "{silent_ms} ms, then {stopped_ms} ms");
    }
}

#[test]
fn a_node_that_was_stopped_reads_what_came_before_it_believes_a_refusal() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 3);
        world.kill(3);
        world.run_for(ms(40));
        assert_eq!(world.all_downs(), [], "seed {seed}");

        // It stops in the moment between the refusals and the judgement.
        let membership = &mut world.machines.get_mut(&1).unwrap().membership;
        let thaw = world.now + ms(10_000);
        let mut at = thaw;
        let mut downs = Vec::new();
        while at <= thaw + BEAT {
            membership.handle_tick(at);
            let outputs = core::iter::from_fn(|| membership.poll_output());
            let is_down = |output: &Output| matches!(output, Output::Down { .. });
            downs.extend(outputs.filter(is_down).map(|_| at.since(thaw)));
            at = membership.poll_timeout().unwrap();
        }
        assert_eq!(downs, [BEAT], "seed {seed}");
    }
}

#[test]
fn old_news_keep_nobody_alive() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 3);
        let (two, three) = (world.replica(2), world.replica(3));
        let (count, life) = (world.of(3).beat(), world.of(2).incarnation());
        let at = world.now;
        world.unplug(3);
        world.run_for(ms(2_400));

        // A beat of n3 that nobody here heard of comes a long way round.
        let link = crate::message::Link::Closed;
        let replica = three.key();
        let (counter, age_ms, silent_ms) = (count + 1, 2_200, 2_200);
        let pulse = crate::message::Pulse { replica, counter, age_ms, head: 0, link, silent_ms };
        let beat = world.of(2).beat();
        let message = crate::message::Beat { pulses: Vec::from([pulse]) };
        world.replay(1, 2, life, beat, crate::message::Message::Beat(message));
        assert!(world.of(1).is_visible(&two));

        world.run_for(ms(1_100));
        let (down_at, _) = *world.downs(&three).iter().find(|(_, who)| *who == 1).unwrap();
        assert!(down_at.since(at) <= TIMEOUT + BEAT, "seed {seed}");
    }
}

/// SPEC's B141.
#[test]
fn a_link_that_flaps_makes_nobody_down() {
    for seed in 0..30 {
        let mut world = World::settled(seed, 3);
        for _ in 0..20 {
            for number in [1, 2] {
                world.cut_link(number, 3);
                world.end_session(number, 3);
            }
            world.run_for(ms(800));
            world.heal();
            world.run_for(ms(2_500));
        }
        assert_eq!(world.all_downs(), [], "seed {seed}");
        assert_eq!(world.live(1).len(), 3, "seed {seed}");
    }
}

#[test]
fn a_member_that_returns_is_shown_only_when_its_journal_has_caught_up() {
    for seed in 0..30 {
        let mut world = World::settled(seed, 3);
        let back = world.replica(3);
        world.unplug(3);
        world.run_for(TIMEOUT + BEAT);
        assert!(!world.of(1).is_visible(&back));

        // It wrote meanwhile. Its beats arrive; what it wrote does not.
        world.write(3, 5);
        world.hold_rows = true;
        world.heal();
        world.run_for(ms(4_000));
        assert_eq!(world.of(1).member(&id(3)).unwrap().status, MemberStatus::Down, "seed {seed}");
        let up = |who: usize, output: &Output| {
            who < 3 && matches!(output, Output::Up { replica } if *replica == back)
        };
        assert_eq!(world.count(up), 0, "seed {seed}");

        // A part of what it wrote is not enough.
        let now = world.now;
        for number in [1, 2] {
            let membership = &mut world.machines.get_mut(&number).unwrap().membership;
            membership.handle_closed(now, &back, 5);
            world.drain(number);
        }
        assert_eq!(world.count(up), 0, "seed {seed}");

        world.hold_rows = false;
        world.run_for(ms(1_100));
        assert_eq!(world.count(up), 2, "seed {seed}");
        assert!(world.of(1).is_visible(&back), "seed {seed}");
    }
}

#[test]
fn a_relay_that_has_not_caught_up_itself_brings_nobody_back() {
    for seed in 0..20 {
        let mut world = World::settled(seed, 3);
        let back = world.replica(3);
        world.unplug(3);
        world.run_for(TIMEOUT + BEAT);
        world.write(3, 5);

        // Only n2 hears it again, and lacks what it wrote.
        world.hold_rows = true;
        world.heal();
        world.cut_link(1, 3);
        world.run_for(ms(4_000));
        for number in [1, 2] {
            assert!(!world.of(number).is_visible(&back), "n{number}, seed {seed}");
            let membership = &mut world.machines.get_mut(&number).unwrap().membership;
            membership.handle_closed(world.now, &back, 5);
            assert!(!membership.is_visible(&back), "n{number}, seed {seed}");
        }

        world.hold_rows = false;
        world.run_for(ms(3_000));
        for number in [1, 2] {
            assert!(world.of(number).is_visible(&back), "n{number}, seed {seed}");
        }
    }
}

#[test]
fn a_member_whose_journal_did_not_move_is_back_with_its_first_beat() {
    for seed in 0..30 {
        let mut world = World::settled(seed, 3);
        let back = world.replica(3);
        world.unplug(3);
        world.end_session(1, 3);
        world.run_for(TIMEOUT + BEAT);
        world.heal();
        let at = world.now;
        while world.of(1).peers().count() < 2 {
            world.run_for(ms(1));
            assert!(world.now.since(at) < ms(5_000), "seed {seed}");
        }
        world.run_for(ms(20));
        assert!(world.of(1).is_visible(&back), "seed {seed}");
    }
}

#[test]
fn ten_per_cent_loss_makes_nobody_down_for_twenty_minutes() {
    for seed in 0..5 {
        let mut world = World::settled(seed, 5);
        world.loss_percent = 10;
        world.run_for(ms(20 * 60_000));
        assert_eq!(world.all_downs(), [], "seed {seed}");
    }
}

#[test]
fn a_slow_observer_stretches_its_own_patience() {
    let mut world = World::settled(3, 3);
    world.machines.get_mut(&3).unwrap().sluggish = ms(450);
    world.run_for(ms(20_000));
    assert_eq!(world.all_downs(), [], "its beats come late, and are beats");

    // A death takes it longer to see than the others, but no more than three times as long.
    let gone = world.replica(2);
    let at = world.now;
    world.unplug(2);
    world.run_for(ms(12_000));
    let took = |number: usize| {
        let downs = world.downs(&gone);
        downs.iter().find(|(_, who)| *who == number).unwrap().0.since(at)
    };
    assert!(took(1) <= TIMEOUT + BEAT);
    assert!(took(3) > TIMEOUT * 2 && took(3) <= TIMEOUT * 3 + BEAT * 2, "{:?}", took(3));

    // Once it keeps time again, so does its patience.
    world.machines.get_mut(&3).unwrap().sluggish = Duration::ZERO;
    world.run_for(ms(6_000));
    let gone = world.replica(1);
    let at = world.now;
    world.unplug(1);
    world.run_for(TIMEOUT + BEAT);
    let (down_at, _) = *world.downs(&gone).iter().find(|(_, who)| *who == 3).unwrap();
    assert!(down_at.since(at) <= TIMEOUT + BEAT);
}

#[test]
fn who_loses_over_half_at_once_waits_twice_as_long_before_it_takes_over() {
    for seed in 0..30 {
        let mut world = World::settled(seed, 5);
        for far in [3, 4, 5] {
            world.cut_link(1, far);
            world.cut_link(2, far);
        }
        let at = world.now;
        while world.all_downs().len() < 12 {
            world.run_for(ms(50));
            assert!(world.now.since(at) < TIMEOUT + BEAT, "seed {seed}");
        }
        for number in 1..=2 {
            assert!(!world.of(number).may_take_over(world.now), "n{number}, seed {seed}");
        }
        for number in 3..=5 {
            assert!(world.of(number).may_take_over(world.now), "n{number}, seed {seed}");
        }
        world.run_for(at.since(world.now) + TIMEOUT * 2 - world.now.since(at));
        world.run_for(BEAT + ms(100));
        for number in 1..=5 {
            assert!(world.of(number).may_take_over(world.now), "n{number}, seed {seed}");
        }
    }
}

#[test]
fn the_end_of_the_wait_is_asked_for() {
    let mut world = World::settled(1, 3);
    world.unplug(1);
    world.run_for(TIMEOUT + BEAT);
    let membership = world.of(1);
    assert!(!membership.may_take_over(world.now));
    // Whoever wakes when asked to never waits longer than it must.
    let mut last = false;
    let mut at = world.now;
    let membership = &mut world.machines.get_mut(&1).unwrap().membership;
    while !last {
        let next = membership.poll_timeout().unwrap();
        last = membership.may_take_over(next);
        if !last {
            assert!(at < next);
            at = next;
            membership.handle_tick(at);
        } else {
            assert!(!membership.may_take_over(next.saturating_sub(Duration::from_micros(1))));
        }
    }
}

#[test]
fn a_frame_a_beat_is_all_it_takes_and_two_messages_count_once() {
    let mut world = World::settled(4, 2);
    let (life, beat) = (world.of(2).incarnation(), world.of(2).beat());
    let before = world.of(1).silence(&world.replica(2), world.now).unwrap();
    let peer = id(2);
    let now = world.now + ms(10);
    let membership = &mut world.machines.get_mut(&1).unwrap().membership;

    // An old count says nothing, a new one says all.
    let _ = membership.handle_heard(now, &peer, life, beat);
    let replica = membership.current(&peer).unwrap().clone();
    assert_eq!(membership.silence(&replica, now).unwrap(), before + ms(10));
    let _ = membership.handle_heard(now, &peer, life, beat + 1);
    assert_eq!(membership.silence(&replica, now).unwrap(), Duration::ZERO);
}
