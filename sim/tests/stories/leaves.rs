//! Nodes that leave in good order.

use std::time::Duration;

use ordu_core::{Command, Config, Node, Reply};
use ordu_sim::{N1, N2, N3, N4, Network, World, name, scope, seeds, spec};

use crate::{LONG, SETTLE, start_children};

/// The children of a node that leaves run elsewhere a moment later, and none is lost or run twice.
#[test]
fn the_children_of_a_node_that_leaves_run_elsewhere_within_a_second() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 3);
        let children = start_children(&mut world, "counter", 12);
        world.settle(SETTLE);
        let left = world.now();
        world.leave(N1).expect("a node may always leave");
        world.run_for(Duration::from_secs(5));

        for child in children {
            let runs = world.runs_of(child);
            let moved = runs.iter().find(|run| left <= run.started);
            let Some(moved) = moved else {
                assert_ne!(world.running_child(child), [N1], "seed {seed}");
                continue;
            };
            assert!(
                moved.started.since(left) <= Duration::from_secs(1),
                "{child} runs again {:?} after the leave began; seed {seed}",
                moved.started.since(left)
            );
            assert_eq!(runs.iter().filter(|run| run.ended.is_none()).count(), 1, "seed {seed}");
        }
        world.settle(SETTLE);
    }
}

/// What a node writes once it has said that it left is nobody's business any more, and nobody says
/// that he has it: the leave does not wait for that.
#[test]
fn a_node_that_writes_on_after_its_last_word_has_left_all_the_same() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 3);
        let process = world.spawn(N1);
        assert_eq!(world.register(N1, "late", &process), Ok(()));
        world.settle(SETTLE);

        let left = world.now();
        let leave = world.request(N1, Command::Leave);
        world.run_for(Duration::from_micros(50 * (seed % 20)));
        if world.reply(leave).is_some() {
            // All knew sooner than that.
            continue;
        }
        let unregister = Command::Unregister { scope: scope(), name: name("late"), process };
        let unregister = world.request(N1, unregister);
        assert_eq!(world.answer(unregister), Reply::Unregister(Ok(())));
        assert_eq!(world.answer(leave), Reply::Leave(Ok(())), "seed {seed}");
        assert!(world.now().since(left) < Duration::from_secs(1), "seed {seed}");
    }
}

/// Whoever knows that a node left says so, be it in a later session than the one it heard it in.
#[test]
fn a_leave_outlasts_a_session_that_breaks_in_its_middle() {
    let far = Network { delay: Duration::from_secs(1), ..Network::lan() };
    for seed in seeds(40) {
        let mut world = World::new(seed, 3);
        world.set_link(N1, N3, &far);
        world.settle(SETTLE);

        // While it waits for what is far to answer, what is near has heard it, and cannot say so.
        let left = world.now();
        let leave = world.request(N1, Command::Leave);
        world.run_for(Duration::from_micros(50 * (seed % 40)));
        world.break_session(N1, N2);
        assert_eq!(world.answer(leave), Reply::Leave(Ok(())), "seed {seed}");
        let took = world.now().since(left);
        assert!((2_000..5_000).contains(&took.as_millis()), "{took:?}; seed {seed}");
        world.settle(SETTLE);
    }
}

/// What a node that died had accepted, and only the one that leaves has heard of, is not lost with
/// it: it stays until somebody who stays has that, and is believed though it said its last word.
/// That somebody has no session with it for a moment is no reason to go.
#[test]
fn who_leaves_stays_until_somebody_has_what_it_alone_knows_of_the_dead() {
    const CHILDREN: usize = 40;
    let far = Network { delay: Duration::from_millis(200), ..Network::lan() };
    for seed in seeds(20) {
        let small = |_, config: &mut Config| config.delta_entries_max = 1;
        let mut world = World::builder(seed, 3).absent(N3).configure(small).joined();
        let start = |_| world.start_child(N2, spec("ok")).expect("it starts").child;
        let children: Vec<_> = (0..CHILDREN).map(start).collect();
        world.settle(SETTLE);
        world.kill(N2);
        world.set_link(N1, N3, &far);
        world.start(N3);
        let is_known = |world: &World| world.status(N1, N3).is_some();
        assert!(world.run_until(LONG, is_known), "seed {seed}");

        assert!(!world.node(N3).is_some_and(Node::is_ready), "it knows nothing; seed {seed}");
        let leave = world.request(N1, Command::Leave);
        if seed % 2 == 1 {
            world.run_for(Duration::from_millis(50 * (seed % 20)));
            world.break_session(N1, N3);
        }
        assert_eq!(world.answer(leave), Reply::Leave(Ok(())), "seed {seed}");
        world.settle(SETTLE);
        for child in children {
            assert_eq!(world.running_child(child), [N3], "seed {seed}");
        }
    }
}

/// A node that has been silent for so long that newcomers do not take it in any more keeps nobody
/// from leaving.
#[test]
fn what_newcomers_do_not_take_in_any_more_keeps_no_leave_waiting() {
    for seed in seeds(10) {
        let forget = |_, config: &mut Config| config.forget_after = Duration::from_secs(40);
        let mut world = World::builder(seed, 3).configure(forget).joined();
        start_children(&mut world, "ok", 6);
        world.settle(SETTLE);
        world.crash_silently(N2);
        world.run_for(Duration::from_secs(25));
        world.restart(N3);
        world.run_for(LONG);

        let left = world.now();
        assert_eq!(world.leave(N1), Ok(()), "seed {seed}");
        assert!(world.now().since(left) < Duration::from_secs(1), "seed {seed}");
        world.settle(SETTLE);
    }
}

/// A node leaves while one member cannot hear it. The one hears of it from the others, however late
/// they compare what they know: nobody takes the node for down.
#[test]
fn who_could_not_hear_that_a_node_left_is_told_by_those_who_did() {
    for seed in seeds(20) {
        let mut world = World::builder(seed, 4)
            .configure(|_, config| config.digest_interval = Duration::from_secs(5))
            .joined();
        start_children(&mut world, "counter", 4);
        world.settle(SETTLE);
        world.partition_closed(&[N1], &[N3]);
        world.leave(N1).expect("nobody that it reaches keeps it");
        world.run_for(LONG);
        for host in [N2, N3, N4] {
            let shown = world.view(host).members.contains_key(&N1.id());
            assert!(!shown, "{host} shows who left; seed {seed}: {}", world.tail());
        }
    }
}
