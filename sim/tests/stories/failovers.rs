//! What becomes of children whose node dies or freezes.

use std::time::Duration;

use ordu_core::{MemberStatus, StartReason};
use ordu_sim::{N1, N2, N3, World, named, seeds};

use crate::{LONG, SETTLE, home, others, start_children};

/// B18. 200 children; the node that is killed runs some of them; the others soon run all 200.
#[test]
fn the_survivors_run_all_children_of_a_killed_node() {
    for seed in seeds(3) {
        let mut world = World::new(seed, 3);
        let children = start_children(&mut world, "ok", 200);
        world.settle(SETTLE);
        let victim = home(&world, children[0]);
        let lost = world.load(victim);
        assert!((1..200).contains(&lost), "{lost} of 200 run on {victim}; seed {seed}");

        // Its links close and it refuses to be dialled, so nobody waits for the whole timeout.
        world.kill(victim);
        let all_run =
            |world: &World| children.iter().all(|&child| world.running_child(child).len() == 1);
        assert!(world.run_until(Duration::from_secs(2), all_run), "seed {seed}");
        world.settle(SETTLE);
        assert_eq!(world.runs().len(), 200 + lost, "only its children moved; seed {seed}");
        for survivor in world.up() {
            assert_eq!(world.children(survivor).len(), 200, "seed {seed}");
        }
    }
}

/// A machine that goes dark is found out by its silence alone.
#[test]
fn the_children_of_a_dark_machine_run_elsewhere() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let children = start_children(&mut world, "ok", 12);
        world.settle(SETTLE);
        let victim = home(&world, children[0]);

        world.crash_silently(victim);
        world.run_for(Duration::from_secs(5));
        for &child in &children {
            assert_ne!(home(&world, child), victim, "seed {seed}");
        }
        world.settle(SETTLE);
        let taken_over = |run: &&ordu_sim::Run| run.reason == Some(StartReason::FailedOver);
        let moved = world.runs().iter().filter(taken_over).count();
        assert_eq!(world.runs().len(), 12 + moved, "seed {seed}");
    }
}

/// Two of five machines go dark at once: they cannot vouch for each other.
#[test]
fn two_machines_that_go_dark_together_are_both_found_out() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 5);
        start_children(&mut world, "ok", 20);
        world.settle(SETTLE);

        world.crash_silently(N1);
        world.crash_silently(N2);
        world.run_for(LONG);
        world.settle(SETTLE);
        assert_eq!(world.status(N3, N1), Some(MemberStatus::Down), "seed {seed}");
        assert_eq!(world.status(N3, N2), Some(MemberStatus::Down), "seed {seed}");
        assert_eq!(world.children(N3).len(), 20);
    }
}

/// A node that was frozen, and replaced meanwhile, keeps its children when it returns: it had them
/// first. The takeovers yield, and what they counted is not lost.
#[test]
fn a_frozen_node_that_returns_keeps_its_children_and_gets_their_counts() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let cart = world.start_child(N1, named("counter", "cart")).unwrap().child;
        world.settle(SETTLE);
        let frozen = home(&world, cart);
        let awake = others(&world, frozen);
        assert_eq!(world.count(awake[0], "cart", 5), Ok(5));

        world.pause(frozen);
        world.run_for(LONG);
        assert_eq!(world.running_child(cart).len(), 2, "one is frozen; seed {seed}");
        assert_eq!(world.count(awake[0], "cart", 3), Ok(3), "it begins anew; seed {seed}");

        world.thaw(frozen);
        world.run_for(LONG);
        world.settle(SETTLE);
        assert_eq!(home(&world, cart), frozen, "seed {seed}");
        assert_eq!(world.count(awake[1], "cart", 0), Ok(8), "seed {seed}");
        assert_eq!(world.runs_of(cart).len(), 2, "seed {seed}");
    }
}

/// A freeze too short to be taken for a death changes nothing.
#[test]
fn a_short_freeze_goes_unnoticed() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        start_children(&mut world, "ok", 9);
        world.settle(SETTLE);

        world.pause(N2);
        world.run_for(Duration::from_secs(1));
        world.thaw(N2);
        world.run_for(LONG);
        world.assert_settled();
        assert_eq!(world.runs().len(), 9, "seed {seed}");
    }
}

/// A machine that dies while a child starts on it does not take the child along.
#[test]
fn a_child_whose_node_dies_before_it_has_started_starts_elsewhere() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 3);
        let scope = ordu_sim::scope();
        let spec = ordu_sim::spec("slow-start");
        let tickets: Vec<_> = (0..6)
            .map(|_| {
                let spec = spec.clone();
                world.request(N1, ordu_core::Command::Start { scope, spec })
            })
            .collect();
        world.run_for(Duration::from_secs(1));
        world.kill(N3);
        for ticket in tickets {
            let reply = world.answer(ticket);
            let ordu_core::Reply::Start(Ok(started)) = reply else {
                world.fail(format!("a start was answered {reply:?}"));
            };
            assert_ne!(home(&world, started.child), N3, "seed {seed}");
        }
        world.settle(SETTLE);
    }
}

/// B133. A temporary child dies with its node.
#[test]
fn a_temporary_child_dies_with_its_node() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 3);
        let spec =
            ordu_core::ChildSpec { restart: ordu_core::Restart::Temporary, ..ordu_sim::spec("ok") };
        let child = world.start_child(N1, spec).unwrap().child;
        world.settle(SETTLE);
        let victim = home(&world, child);

        world.kill(victim);
        world.run_for(LONG);
        assert_eq!(world.runs_of(child).len(), 1, "seed {seed}");
        world.settle(SETTLE);
    }
}
