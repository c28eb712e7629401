//! The simulator's links and sessions: that each fault of them does what it says.

use std::time::Duration;

use ordu_core::message::Message;
use ordu_core::{Input, MemberStatus};
use ordu_sim::{N1, N2, N3, N4, N5, Network, Topology, World, seeds};

use crate::simulator::{beats, disconnects, told, toy_builder, toy_world};
use crate::toy::{BEAT, Diary, Fault};

/// Longer than any frame is hoarded.
const HOARD: Duration = Duration::from_secs(125);

const SECOND: Duration = Duration::from_secs(1);

/// Returns a world of toys, at a moment when nothing is on its way.
fn quiet_world(seed: u64, hosts: u16) -> (World, Diary) {
    let (mut world, diary) = toy_world(seed, hosts, Fault::None);
    world.run_for(BEAT / 2);
    (world, diary)
}

/// Returns the beats of n1 that n2 hears while `seconds` pass.
fn heard(world: &mut World, diary: &Diary, seconds: u32) -> Vec<u64> {
    told(diary, N2);
    world.run_for(SECOND * seconds);
    beats(&told(diary, N2), N1)
}

/// Two seconds of frames are hoarded, all of them. They come back minutes later, though n2 has lost
/// its memory and has another session; and they say that they are old.
#[test]
fn hoarded_frames_come_back_to_another_life() {
    for seed in seeds(5) {
        let (mut world, diary) = quiet_world(seed, 2);
        let all = Network { hoard_per_mille: 1_000, ..Network::lan() };
        world.set_one_way(N1, N2, &all);
        let first = heard(&mut world, &diary, 2);
        assert_eq!(first.len(), 20, "each arrives at once, too; seed {seed}");
        world.set_network(Network::lan());
        let before = heard(&mut world, &diary, 2);
        let last = *first.last().unwrap();
        assert!(before.iter().all(|&beat| beat > last), "nothing is back so soon; seed {seed}");

        world.restart(N2);
        told(&diary, N2);
        world.run_for(HOARD);
        let inputs = told(&diary, N2);
        let mut back = beats(&inputs, N1);
        back.retain(|&beat| beat <= last);
        assert!(back.windows(2).any(|pair| pair[0] > pair[1]), "in no order; seed {seed}");
        back.sort_unstable();
        assert_eq!(back, first, "each comes back once; seed {seed}");

        // A cast is brought once or not at all.
        let casts = |input: &Input| {
            let Input::Message { envelope, .. } = input else { return None };
            matches!(envelope.message, Message::Cast(_)).then_some(envelope.beat)
        };
        let mut casts = inputs.iter().filter_map(casts);
        assert!(casts.all(|beat| beat > last), "seed {seed}");
    }
}

#[test]
fn hoarded_frames_are_lost_without_a_session_and_behind_a_cut() {
    for (seed, is_closed) in [(1, true), (1, false), (2, true), (2, false)] {
        let (mut world, diary) = quiet_world(seed, 2);
        world.set_network(Network { hoard_per_mille: 1_000, ..Network::lan() });
        world.run_for(SECOND);
        if is_closed {
            world.break_session(N1, N2);
            world.run_for(SECOND);
        } else {
            world.cut_one_way(N1, N2);
        }
        let back = heard(&mut world, &diary, HOARD.as_secs() as u32);
        assert_eq!(back, [0; 0], "closed {is_closed}; seed {seed}");
    }
}

/// On one stream a frame that is 15 seconds late keeps the others waiting, and none is overtaken.
#[test]
fn a_stalling_link_stands_still_and_keeps_the_order() {
    let (mut world, diary) = quiet_world(3, 2);
    world.set_network(Network::stalling());
    told(&diary, N2);
    let mut longest = 0;
    let mut all = Vec::new();
    for _ in 0..600 {
        let heard = heard(&mut world, &diary, 1);
        longest = if heard.is_empty() { longest + 1 } else { 0 }.max(longest);
        all.extend(heard);
    }
    assert!(all.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{all:?}");
    assert!(all.len() > 5_800, "{}", all.len());
    assert!((1..=15).contains(&longest), "{longest} seconds of silence");
}

#[test]
fn a_congested_link_loses_nothing_and_is_overtaken() {
    let (mut world, diary) = quiet_world(1, 2);
    world.set_network(Network::congested());
    let mut all = heard(&mut world, &diary, 60);
    world.set_network(Network::lan());
    all.extend(heard(&mut world, &diary, 16));
    assert!(all.windows(2).any(|pair| pair[0] > pair[1] + 10), "a second late or more");
    all.sort_unstable();
    assert!(all.windows(2).all(|pair| pair[0] + 1 == pair[1]), "each once: {all:?}");
}

#[test]
fn a_broken_frame_ends_the_session_on_both_sides() {
    for seed in seeds(10) {
        let (mut world, diary) = quiet_world(seed, 3);
        told(&diary, N1);
        told(&diary, N2);
        world.set_one_way(N1, N2, &Network { reset_per_mille: 1_000, ..Network::lan() });
        world.run_for(SECOND);
        let of_both = [N1, N2].map(|host| disconnects(&told(&diary, host)));
        assert_eq!(of_both, [1, 1], "seed {seed}");
        assert_eq!(world.status(N1, N2), Some(MemberStatus::Down));
        assert_eq!(world.status(N1, N3), Some(MemberStatus::Alive));
    }
}

/// Whoever breaks a session with what it sends does not learn of it behind a cut.
#[test]
fn a_broken_frame_leaves_a_session_half_open_behind_a_cut() {
    let (mut world, diary) = quiet_world(1, 2);
    told(&diary, N1);
    told(&diary, N2);
    world.cut_one_way(N2, N1);
    world.set_one_way(N1, N2, &Network { reset_per_mille: 1_000, ..Network::lan() });
    world.run_for(SECOND * 10);
    assert_eq!([N1, N2].map(|host| disconnects(&told(&diary, host))), [0, 1]);
}

#[test]
fn a_way_has_its_own_weather() {
    let (mut world, diary) = quiet_world(1, 2);
    world.set_one_way(N1, N2, &Network { loss_per_mille: 1_000, ..Network::lan() });
    told(&diary, N1);
    assert_eq!(heard(&mut world, &diary, 2), [0; 0]);
    assert_eq!(beats(&told(&diary, N1), N2).len(), 20);
}

#[test]
fn a_link_cut_by_two_faults_waits_for_both_to_end() {
    let (mut world, diary) = quiet_world(1, 3);
    world.partition(&[N1], &[N2, N3]);
    world.cut_one_way(N1, N2);
    world.heal_one_way(N1, N2);
    assert_eq!(heard(&mut world, &diary, 1), [0; 0], "the partition goes on");

    world.cut_one_way(N1, N2);
    world.heal_partition(&[N1], &[N2, N3]);
    assert_eq!(heard(&mut world, &diary, 1), [0; 0], "the cut goes on");
    assert!(beats(&told(&diary, N3), N1).len() >= 9, "n3 is not concerned");

    world.heal_one_way(N1, N2);
    assert!(heard(&mut world, &diary, 1).len() >= 9);

    // One end for all: everything is mended, or one link is.
    for end in [World::heal, |world: &mut World| world.heal_link(N2, N1)] {
        world.partition(&[N1], &[N2]);
        world.partition(&[N1], &[N2]);
        assert_eq!(heard(&mut world, &diary, 1), [0; 0]);
        end(&mut world);
        assert!(heard(&mut world, &diary, 1).len() >= 9);
    }
}

/// A bridge whose middle does not hear one half is unshaped one shape after the other.
#[test]
fn shapes_lie_on_top_of_each_other() {
    let (mut world, diary) = quiet_world(1, 5);
    let bridge = Topology::Bridge { bridge: N3 };
    let deaf = Topology::OneWay { from: vec![N1], to: vec![N2, N3, N4, N5] };
    let hears_n1 = |world: &mut World| {
        for host in [N2, N3, N4, N5] {
            told(&diary, host);
        }
        world.run_for(SECOND);
        [N2, N3, N4, N5].map(|host| beats(&told(&diary, host), N1).len() >= 9)
    };
    world.shape(&bridge);
    assert_eq!(hears_n1(&mut world), [true, true, false, false]);
    world.shape(&deaf);
    assert_eq!(hears_n1(&mut world), [false; 4]);
    world.unshape(&bridge);
    assert_eq!(hears_n1(&mut world), [false; 4]);
    world.shape(&bridge);
    world.unshape(&deaf);
    assert_eq!(hears_n1(&mut world), [true, true, false, false]);
    world.unshape(&bridge);
    assert_eq!(hears_n1(&mut world), [true; 4]);
}

#[test]
fn a_session_that_breaks_is_over_on_both_sides() {
    let (mut world, diary) = quiet_world(1, 3);
    told(&diary, N1);
    told(&diary, N2);
    world.break_session(N1, N2);
    world.run_for(SECOND);
    assert_eq!([N1, N2].map(|host| disconnects(&told(&diary, host))), [1, 1]);
    assert_eq!(disconnects(&told(&diary, N3)), 0);

    // Toys dial once; of a session that is over, nothing is left to break.
    world.break_session(N1, N2);
    world.half_open(N1, N2);
    world.run_for(SECOND);
    assert_eq!([N1, N2].map(|host| disconnects(&told(&diary, host))), [0, 0]);
}

/// n1 forgets the session. n2 speaks into the void for a minute and is told nothing; then n1 begins
/// anew and dials, and n2 learns that one session is over before it learns of the next.
#[test]
fn a_half_open_session_is_a_void_until_the_next_one() {
    for seed in seeds(10) {
        let (mut world, diary) = quiet_world(seed, 2);
        told(&diary, N1);
        told(&diary, N2);
        world.half_open(N1, N2);
        world.run_for(SECOND * 60);
        let (forgetful, faithful) = (told(&diary, N1), told(&diary, N2));
        assert_eq!(disconnects(&forgetful), 1, "seed {seed}");
        assert_eq!(beats(&forgetful, N2), [0; 0], "seed {seed}");
        assert_eq!(disconnects(&faithful), 0, "seed {seed}");
        assert_eq!(beats(&faithful, N1), [0; 0], "seed {seed}");

        world.restart(N1);
        world.run_for(SECOND);
        let inputs = told(&diary, N2);
        let lost = inputs.iter().position(|input| matches!(input, Input::Disconnected { .. }));
        let found = inputs.iter().position(|input| matches!(input, Input::Connected { .. }));
        assert!(lost.unwrap() < found.unwrap(), "{inputs:?}; seed {seed}");
        assert!(beats(&inputs, N1).len() >= 5, "seed {seed}");
    }
}

/// A handshake that takes longer than one waits for it is given up and tried again: where half of
/// all frames are seconds late, both are lucky soon, and where every frame is, never.
#[test]
fn nodes_dial_again_where_a_handshake_takes_too_long() {
    let mut tries = 0;
    for seed in seeds(20) {
        for (slow_per_mille, meet) in [(500, true), (1_000, false)] {
            let (builder, diary) = toy_builder(seed, 2, Fault::None);
            let delay = Duration::from_millis(if meet { 1 } else { 2_600 });
            let slow = Duration::from_secs(15);
            let late = Network { delay, slow_per_mille, slow, ..Network::lan() };
            let mut world = builder.network(late).build();
            world.run_for(SECOND * 20);
            let inputs = [told(&diary, N1), told(&diary, N2)].concat();
            let is_connected = |input: &Input| matches!(input, Input::Connected { .. });
            tries += usize::from(inputs.iter().any(is_connected) == meet);
        }
    }
    assert!(tries >= 38, "{tries} of 40");
}
