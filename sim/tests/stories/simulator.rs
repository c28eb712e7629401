//! The simulator itself: that its faults do what they say, and that its checks find what is wrong.

use std::collections::BTreeSet;
use std::time::Duration;

use ordu_core::message::Message;
use ordu_core::{Incarnation, Input, MemberStatus, ProcessEvent, Time};
use ordu_sim::{
    Behaviour, Host, N1, N2, N3, Network, Pace, Topology, World, WorldBuilder, seeds, spec,
};

use crate::toy::{BEAT, Diary, Fault, toys};

pub(crate) fn toy_world(seed: u64, hosts: u16, fault: Fault) -> (World, Diary) {
    let (builder, diary) = toy_builder(seed, hosts, fault);
    let mut world = builder.build();
    world.run_for(Duration::from_secs(1));
    (world, diary)
}

pub(crate) fn toy_builder(seed: u64, hosts: u16, fault: Fault) -> (WorldBuilder, Diary) {
    let (maker, diary) = toys(fault);
    (World::builder(seed, hosts).machines(maker), diary)
}

/// Takes out what `host` has been told since the last look.
pub(crate) fn told(diary: &Diary, host: Host) -> Vec<Input> {
    let entries = diary.lock().expect("no toy panics").remove(&host).unwrap_or_default();
    entries.into_iter().map(|entry| entry.input).collect()
}

/// Returns the numbers of the beats among `inputs` that came from `from`.
pub(crate) fn beats(inputs: &[Input], sender: Host) -> Vec<u64> {
    let beat = |input: &Input| {
        let Input::Message { from, envelope } = input else { return None };
        let is_beat = matches!(envelope.message, Message::Beat(_));
        (is_beat && *from == sender.id()).then_some(envelope.beat)
    };
    inputs.iter().filter_map(beat).collect()
}

pub(crate) fn disconnects(inputs: &[Input]) -> usize {
    inputs.iter().filter(|input| matches!(input, Input::Disconnected { .. })).count()
}

fn refusals(inputs: &[Input]) -> usize {
    inputs.iter().filter(|input| matches!(input, Input::Refused { .. })).count()
}

/// All faults at random times, from the seed alone.
fn chaos(seed: u64, steps: u32) -> (World, Diary) {
    let (builder, diary) = toy_builder(seed, 4, Fault::None);
    let mut world = builder.network(Network::wild()).build();
    let mut random = ordu_core::Random::new(seed);
    let topologies = [
        Topology::Ring,
        Topology::Bridge { bridge: N2 },
        Topology::MajoritiesRing,
        Topology::OneWay { from: vec![N1, N2], to: vec![N3] },
    ];
    for _ in 0..steps {
        let mut host = || Host::new(1 + random.below(4) as u16);
        let (a, b) = (host(), host());
        let up = world.up().contains(&a);
        match random.below(18) {
            0 if up => world.kill(a),
            1 if up => world.crash_silently(a),
            2 if up => world.restart(a),
            3 if a != b => world.partition(&[a], &[b]),
            4 if a != b => world.partition_closed(&[a], &[b]),
            5 if a != b => world.cut_one_way(a, b),
            6 if up => world.pause(a),
            7 => world.heal(),
            8 if up => world.suspend(a, Duration::from_millis(random.below(5_000))),
            9 if a != b => world.break_session(a, b),
            10 if a != b => world.half_open(a, b),
            11 => world.set_pace(a, Pace::slowed(random.below(300) as u32)),
            12 => world.set_clock_gain_ppm(a, random.below(200_000) as i32 - 100_000),
            13 => world.set_wall_offset_ms(a, random.draw() as i64),
            14 => world.shape(&topologies[random.below(4) as usize]),
            15 => world.unshape(&topologies[random.below(4) as usize]),
            16 => {
                let presets = Network::presets();
                let (_, preset) = presets[random.below(presets.len() as u64) as usize];
                world.set_one_way(a, b, &preset());
            }
            _ => {
                world.heal_link(a, b);
                world.thaw(a);
                if !world.up().contains(&a) {
                    world.start(a);
                }
            }
        }
        world.run_for(Duration::from_millis(random.below(1_500)));
    }
    (world, diary)
}

#[test]
fn one_seed_is_one_trace() {
    for seed in seeds(5) {
        let hash = |seed| chaos(seed, 40).0.trace_hash();
        assert_eq!(hash(seed), hash(seed));
        assert_ne!(hash(seed), hash(seed + 1));
    }
}

/// The transport's promise: for every peer `Connected`, then frames, then `Disconnected`, and so
/// on.
#[test]
fn sessions_come_and_go_in_turn_whatever_happens() {
    for seed in seeds(20) {
        let (_, diary) = chaos(seed, 60);
        for (host, entries) in diary.lock().unwrap().iter() {
            let mut open = BTreeSet::new();
            let (mut life, mut last) = (Incarnation::NONE, Time::ZERO);
            for entry in entries {
                assert!(last <= entry.at, "the clock of {host} goes back; seed {seed}");
                last = entry.at;
                if entry.life != life {
                    life = entry.life;
                    open.clear();
                }
                let right = if let Input::Connected { peer } = &entry.input {
                    open.insert(peer.clone())
                } else if let Input::Disconnected { peer } = &entry.input {
                    open.remove(peer)
                } else if let Input::Message { from, .. } = &entry.input {
                    open.contains(from)
                } else {
                    true
                };
                assert!(right, "{host} at {last}: {:?}; seed {seed}", entry.input);
            }
        }
    }
}

#[test]
fn a_lan_keeps_the_order_and_loses_nothing() {
    let (mut world, diary) = toy_world(1, 2, Fault::None);
    told(&diary, N2);
    world.run_for(Duration::from_secs(5));
    let heard = beats(&told(&diary, N2), N1);
    assert_eq!(heard.len(), 50);
    assert!(heard.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{heard:?}");
}

#[test]
fn a_wild_network_loses_repeats_and_overtakes() {
    let (mut world, diary) = toy_world(1, 2, Fault::None);
    world.set_network(Network::wild());
    told(&diary, N2);
    world.run_for(Duration::from_secs(20));
    let heard = beats(&told(&diary, N2), N1);
    let mut distinct = heard.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert!((110..170).contains(&distinct.len()), "{} of 200 arrive", distinct.len());
    assert!(heard.len() > distinct.len() + 10, "some arrive twice");
    assert!(heard.windows(2).any(|pair| pair[0] > pair[1]), "some are overtaken");
}

#[test]
fn a_silent_partition_keeps_the_session_and_carries_nothing() {
    let (mut world, diary) = toy_world(1, 3, Fault::None);
    world.partition(&[N1], &[N2]);
    told(&diary, N2);
    world.run_for(Duration::from_secs(5));
    let inputs = told(&diary, N2);
    assert_eq!(disconnects(&inputs), 0);
    assert_eq!(beats(&inputs, N1), [0; 0]);
    assert!(beats(&inputs, N3).len() >= 49, "the other link is whole");

    world.heal();
    world.run_for(Duration::from_secs(1));
    assert!(beats(&told(&diary, N2), N1).len() >= 9, "the session goes on");
}

#[test]
fn a_closed_partition_ends_the_session_on_both_sides() {
    let (mut world, diary) = toy_world(1, 3, Fault::None);
    told(&diary, N1);
    told(&diary, N2);
    world.partition_closed(&[N1], &[N2]);
    world.run_for(Duration::from_secs(1));
    assert_eq!(disconnects(&told(&diary, N1)), 1);
    assert_eq!(disconnects(&told(&diary, N2)), 1);
    assert_eq!(world.status(N1, N2), Some(MemberStatus::Down));
    assert_eq!(world.status(N1, N3), Some(MemberStatus::Alive));
}

#[test]
fn a_link_cut_one_way_carries_the_other_way() {
    let (mut world, diary) = toy_world(1, 2, Fault::None);
    world.cut_one_way(N1, N2);
    told(&diary, N1);
    told(&diary, N2);
    world.run_for(Duration::from_secs(1));
    assert!(beats(&told(&diary, N1), N2).len() >= 9);
    assert_eq!(beats(&told(&diary, N2), N1), [0; 0]);
}

#[test]
fn a_killed_node_is_noticed_and_refuses_and_a_dark_one_does_neither() {
    let (mut world, diary) = toy_world(1, 3, Fault::None);
    told(&diary, N3);
    world.kill(N1);
    world.crash_silently(N2);
    world.run_for(Duration::from_secs(2));
    assert_eq!(disconnects(&told(&diary, N3)), 1, "only the killed one says so");
    assert_eq!(world.up(), [N3]);

    // The reborn node dials both.
    world.restart(N3);
    world.run_for(Duration::from_secs(10));
    assert!(refusals(&told(&diary, N3)) >= 3, "n1 refuses again and again, n2 never answers");
    world.start(N1);
    world.start(N2);
    world.run_for(Duration::from_secs(5));
    assert!(world.all_know_each_other());
}

#[test]
fn a_node_reborn_after_a_silent_crash_replaces_its_session() {
    let (mut world, diary) = toy_world(1, 2, Fault::None);
    world.crash_silently(N1);
    world.run_for(Duration::from_secs(1));
    told(&diary, N2);
    world.start(N1);
    world.run_for(Duration::from_secs(1));
    let inputs = told(&diary, N2);
    let lost = inputs.iter().position(|input| matches!(input, Input::Disconnected { .. }));
    let found = inputs.iter().position(|input| matches!(input, Input::Connected { .. }));
    assert!(lost.unwrap() < found.unwrap(), "{inputs:?}");
}

#[test]
fn a_frozen_node_hears_nothing_and_then_all_at_once() {
    let (mut world, diary) = toy_world(1, 2, Fault::None);
    told(&diary, N2);
    world.pause(N2);
    world.run_for(Duration::from_secs(3));
    assert!(told(&diary, N2).is_empty());

    let before = world.now();
    world.thaw(N2);
    world.run_for(Duration::from_millis(1));
    let entries = diary.lock().unwrap().remove(&N2).unwrap();
    let inputs: Vec<Input> = entries.iter().map(|entry| entry.input.clone()).collect();
    assert!(beats(&inputs, N1).len() >= 29, "{}", beats(&inputs, N1).len());
    assert_eq!(inputs.iter().filter(|input| **input == Input::Tick).count(), 1);
    let span = entries.last().unwrap().at.since(entries[0].at);
    assert!(span <= Duration::from_millis(1), "{span:?} after {before}");
}

#[test]
fn timers_fire_by_the_clock_of_their_own_machine() {
    let (builder, diary) = toy_builder(1, 2, Fault::None);
    let mut world = builder.clock_gain_ppm(N2, 100_000).build();
    world.run_for(Duration::from_secs(100));
    let ticks = |host| told(&diary, host).iter().filter(|i| **i == Input::Tick).count();
    let beats_in = |span: Duration| span.as_millis() as usize / BEAT.as_millis() as usize;
    assert_eq!(ticks(N1), beats_in(Duration::from_secs(100)));
    let fast = ticks(N2);
    assert!(fast.abs_diff(beats_in(Duration::from_secs(110))) <= 2, "{fast}");
}

#[test]
fn a_wrong_wall_clock_is_read_as_it_is() {
    let (mut world, diary) = toy_world(1, 2, Fault::None);
    world.set_wall_offset_ms(N2, -3_600_000);
    told(&diary, N1);
    told(&diary, N2);
    world.run_for(Duration::from_secs(1));
    let wall = |host| {
        let walls = told(&diary, host).into_iter().filter_map(|input| {
            let Input::Wall(wall) = input else { return None };
            Some(wall.as_millis())
        });
        walls.max().unwrap()
    };
    let (right, wrong) = (wall(N1), wall(N2));
    assert!(right.abs_diff(wrong + 3_600_000) < 200, "{right} and {wrong}");
}

#[test]
fn model_processes_start_end_and_stop_as_their_kind_says() {
    let (maker, diary) = toys(Fault::None);
    let mut world = World::builder(1, 1)
        .machines(maker)
        .kind("late", Behaviour::ok().starting_in(Duration::from_millis(800)))
        .build();
    let steady = world.start_child(N1, spec("ok")).unwrap();
    let brief = world.start_child(N1, spec("ends-after-50ms")).unwrap();
    let before = world.now();
    world.start_child(N1, spec("late")).unwrap();
    assert!(world.now().since(before) >= Duration::from_millis(600));
    let slow = world.start_child(N1, spec("slow-stop")).unwrap();
    world.run_for(Duration::from_secs(1));
    assert!(world.runs_process(&steady.process));
    assert!(!world.runs_process(&brief.process));
    let events = told(&diary, N1);
    let exited = ProcessEvent::Exited { failure: None };
    assert!(events.contains(&Input::Process { number: brief.process.number, event: exited }));

    // The slow one takes three seconds to stop, and its grace is half a second.
    let before = world.now();
    world.terminate(N1, slow.child).unwrap();
    let took = world.now().since(before);
    assert!(took >= Duration::from_millis(500) && took < Duration::from_millis(600), "{took:?}");
    let stopped = ProcessEvent::Stopped { state: None };
    let number = slow.process.number;
    assert!(told(&diary, N1).contains(&Input::Process { number, event: stopped }));

    // A counter that stops in time leaves its sum.
    let spec = ordu_core::ChildSpec { args: "42".into(), ..spec("counter") };
    let counter = world.start_child(N1, spec).unwrap();
    world.terminate(N1, counter.child).unwrap();
    let stopped = ProcessEvent::Stopped { state: Some("42".into()) };
    let number = counter.process.number;
    assert!(told(&diary, N1).contains(&Input::Process { number, event: stopped }));

    // The world dies with all that runs in it, on the record.
    assert!(world.runs_of(steady.child)[0].ended.is_none());
    world.kill(N1);
    assert_eq!(world.runs_of(steady.child)[0].ended, Some(world.now()));
}

#[test]
fn a_pure_machine_replays() {
    let (world, _) = toy_world(1, 3, Fault::None);
    world.assert_replays(N1);
}

#[test]
#[should_panic(expected = "n1 asks for something else when it is replayed")]
fn a_machine_that_looks_outside_does_not_replay() {
    let (world, _) = toy_world(1, 3, Fault::Impure);
    world.assert_replays(N1);
}

#[test]
#[should_panic(expected = "n1 is woken, and its timer stays at")]
fn a_timer_that_stands_still_is_found() {
    toy_world(1, 2, Fault::StuckTimer);
}

#[test]
#[should_panic(expected = "ask for over 1001 things")]
fn a_flood_of_outputs_is_found() {
    toy_world(1, 2, Fault::Floods);
}

#[test]
#[should_panic(expected = "n2 did not answer in time")]
fn a_request_without_an_answer_is_found() {
    let (mut world, _) = toy_world(1, 2, Fault::Mute);
    world.request(N2, ordu_core::Command::Settled);
    world.run_for(Duration::from_secs(11));
}

#[test]
#[should_panic(expected = "is not open, and is answered")]
fn a_second_answer_is_found() {
    let (mut world, _) = toy_world(1, 2, Fault::AnswersTwice);
    world.request(N2, ordu_core::Command::Settled);
}

#[test]
#[should_panic(expected = "is answered Settled")]
fn an_answer_out_of_kind_is_found() {
    let (mut world, _) = toy_world(1, 2, Fault::AnswersOutOfKind);
    let _ = world.start_child(N1, spec("ok"));
}

#[test]
#[should_panic(expected = "starts as 1001 on n1, and is 1 there")]
fn a_child_started_twice_on_one_node_is_found() {
    let (mut world, _) = toy_world(1, 2, Fault::StartsTwice);
    let _ = world.start_child(N1, spec("ok"));
}

#[test]
#[should_panic(expected = "does not run")]
fn a_child_that_is_only_said_to_run_is_found() {
    let (mut world, _) = toy_world(1, 1, Fault::StartsNothing);
    let _ = world.start_child(N1, spec("ok"));
    world.assert_settled();
}

#[test]
#[should_panic(expected = "was accepted and is lost")]
fn a_child_that_everybody_forgot_is_found() {
    let (mut world, _) = toy_world(1, 1, Fault::Forgets);
    let _ = world.start_child(N1, spec("ok"));
    world.run_for(Duration::from_secs(1));
    world.assert_settled();
}

#[test]
#[should_panic(expected = "to n1 and None to n2")]
fn nodes_that_disagree_are_found() {
    let (mut world, _) = toy_world(1, 2, Fault::None);
    let _ = world.start_child(N1, spec("ok"));
    world.assert_settled();
}

#[test]
#[should_panic(expected = "n1 sees n2 as Some(Down)")]
fn members_that_do_not_see_each_other_are_found() {
    let (mut world, _) = toy_world(1, 2, Fault::None);
    world.partition_closed(&[N1], &[N2]);
    world.run_for(Duration::from_secs(1));
    world.assert_settled();
}
