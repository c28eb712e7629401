//! How children start, and how the cluster lists them.

use std::collections::BTreeSet;
use std::time::Duration;

use ordu_core::{Command, Reply, StartChildError, StartReason};
use ordu_sim::{Behaviour, N1, N2, N3, World, named, scope, seeds, spec};

use crate::{SETTLE, home, start_children};

/// B1. Whichever member is asked, the answer is a process that really runs.
#[test]
fn a_child_started_on_any_member_runs_when_the_answer_comes() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        for host in [N1, N2, N3] {
            let started = world.start_child(host, spec("ok")).unwrap();
            assert!(world.runs_process(&started.process), "seed {seed}");
            assert!(started.replicated, "two of three members are there to hold it");
            home(&world, started.child);
        }
        world.settle(SETTLE);
    }
}

/// B2. A specification is no identity.
#[test]
fn one_specification_started_twice_is_two_children() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 3);
        let first = world.start_child(N1, spec("ok")).unwrap();
        let second = world.start_child(N1, spec("ok")).unwrap();
        assert_ne!(first.child, second.child);

        world.settle(SETTLE);
        home(&world, first.child);
        home(&world, second.child);
    }
}

/// B4. A permanent child that fails is started again, as the same child and as another process.
#[test]
fn a_killed_permanent_child_is_started_again() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let started = world.start_child(N1, spec("ok")).unwrap();
        world.end_process(&started.process, Some("killed"));
        world.run_for(Duration::from_secs(1));

        let runs = world.runs_of(started.child);
        assert_eq!(runs.len(), 2, "seed {seed}");
        assert_eq!(runs[1].reason, Some(StartReason::Restarted));
        assert!(!runs[0].overlaps(runs[1]));
        assert!(!world.runs_process(&started.process), "the old process stays gone");
        world.settle(SETTLE);
    }
}

/// B5. Children spread. Of ten, chance puts all on one of three once in some ten thousand times; of
/// forty, never.
#[test]
fn children_run_on_more_than_one_member() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let children = start_children(&mut world, "ok", 40);
        let homes: BTreeSet<_> = children.iter().map(|&child| home(&world, child)).collect();
        assert!(homes.len() > 1, "all run on {homes:?}; seed {seed}");
    }
}

/// B6. A start function that refuses leaves no child behind, anywhere.
#[test]
fn a_start_that_answers_with_an_error_leaves_no_child() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let answer = world.start_child(N2, spec("never-starts"));
        assert_eq!(answer, Err(StartChildError::Failed { reason: "never".into() }), "seed {seed}");

        world.run_for(SETTLE);
        assert!(world.runs().is_empty());
        for host in [N1, N2, N3] {
            assert!(world.children(host).is_empty(), "{host} lists it; seed {seed}");
        }
        world.assert_settled();
    }
}

/// B6. A start function that says that there is nothing to run leaves no child behind either, and
/// is no failure.
#[test]
fn a_start_that_has_nothing_to_run_leaves_no_child() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let answer = world.start_child(N2, named("ignores", "nothing"));
        assert_eq!(answer, Err(StartChildError::Ignored), "seed {seed}");

        world.run_for(SETTLE);
        assert!(world.runs().is_empty());
        for host in [N1, N2, N3] {
            assert!(world.children(host).is_empty(), "{host} lists it; seed {seed}");
        }
        world.assert_settled();
        world.start_child(N3, named("ok", "nothing")).unwrap();
    }
}

/// B29. While a child that crashes after a slow start is started again and again, and another one
/// starts as slowly, every question is answered at once.
#[test]
fn slow_starts_and_crashes_keep_no_question_waiting() {
    for seed in seeds(5) {
        let slow = Duration::from_secs(3);
        let crashing = Behaviour::crashes_after(Duration::from_millis(10)).starting_in(slow);
        let mut world = World::builder(seed, 2).kind("slow-crash", crashing).joined();
        let child = world.start_child(N1, spec("slow-crash")).unwrap().child;
        let other = Command::Start { scope: scope(), spec: spec("slow-start") };
        let other = world.request(N2, other);
        for _ in 0..200 {
            world.run_for(Duration::from_millis(50));
            let before = world.now();
            for host in [N1, N2] {
                assert!(world.children(host).contains_key(&child), "seed {seed}");
                world.explain(host, child).unwrap();
                assert_eq!(world.quarantined(host), []);
            }
            assert_eq!(world.now(), before, "an answer took time; seed {seed}");
        }
        assert!(matches!(world.answer(other), Reply::Start(Ok(_))), "seed {seed}");
    }
}

/// A start that hangs ends with its timeout, and its caller does not wait for ever.
#[test]
fn a_start_that_hangs_is_answered_all_the_same() {
    for seed in seeds(3) {
        let mut world = World::builder(seed, 3)
            .configure(|_, config| config.start_timeout = Duration::from_secs(2))
            .joined();
        let answer = world.start_child(N1, spec("hangs"));
        assert!(matches!(answer, Err(StartChildError::Failed { .. })), "{answer:?}; seed {seed}");
    }
}

/// B14. Nothing is nothing.
#[test]
fn an_empty_cluster_lists_no_children() {
    let world = World::new(1, 3);
    for host in [N1, N2, N3] {
        assert!(world.children(host).is_empty());
    }
    world.assert_settled();
}

/// B15, B16. Every member lists the children of all members, and counts them right.
#[test]
fn every_member_lists_all_children() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 3);
        let children: BTreeSet<_> = start_children(&mut world, "ok", 10).into_iter().collect();
        world.settle(SETTLE);
        for host in [N1, N2, N3] {
            let listed: BTreeSet<_> = world.children(host).into_keys().collect();
            assert_eq!(listed, children, "as {host} sees it; seed {seed}");
        }
    }
}

/// Many starts at one moment, through one member, are many children.
#[test]
fn starts_asked_for_at_once_are_all_answered() {
    for seed in seeds(3) {
        let mut world = World::new(seed, 3);
        let start = |_| world.request(N2, Command::Start { scope: scope(), spec: spec("ok") });
        let tickets: Vec<_> = (0..100).map(start).collect();
        let mut children = BTreeSet::new();
        for ticket in tickets {
            let Reply::Start(Ok(started)) = world.answer(ticket) else {
                world.fail("a start failed");
            };
            children.insert(started.child);
        }
        assert_eq!(children.len(), 100, "seed {seed}");
        world.settle(SETTLE);
        assert_eq!(world.runs().len(), 100, "each was started once; seed {seed}");
    }
}
