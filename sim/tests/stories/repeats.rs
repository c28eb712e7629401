//! Starts that are repeated, since their answers were lost.

use std::time::Duration;

use ordu_core::{Blob, ChildId, Command, Outcome, Reply, Restart, StartChildError};
use ordu_sim::{Host, N1, N2, N3, World, named, scope, seeds, spec};

use crate::{LONG, SETTLE, home};

fn once(key: &str) -> Command {
    Command::StartOnce { scope: scope(), key: Blob::from(key), spec: spec("ok") }
}

/// B130. However often a start is repeated, and on whichever nodes, there is one child.
#[test]
fn a_repeated_start_is_one_child() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let first = world.start_once(N1, "order/17", spec("ok")).unwrap();
        assert_eq!(first.child, ChildId::of_key(scope(), b"order/17"));
        for host in [N1, N2, N3, N1] {
            let again = world.start_once(host, "order/17", spec("ok")).unwrap();
            assert_eq!((again.child, &again.process), (first.child, &first.process));
            assert!(again.replicated, "seed {seed}");
        }
        let other = world.start_once(N2, "order/18", spec("ok")).unwrap();
        assert_ne!(other.child, first.child);
        assert_eq!(world.runs_of(first.child).len(), 1, "seed {seed}");
        world.settle(SETTLE);
    }
}

/// Asked on all nodes in one moment, all get the same child, and all go by one specification.
#[test]
fn starts_that_cross_are_one_child() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let tickets = [N1, N2, N3].map(|host| world.request(host, once("order/17")));
        world.run_for(Duration::from_secs(1));
        let children = tickets.map(|ticket| {
            let answer = world.answer(ticket);
            let Reply::Start(Ok(started)) = answer else { panic!("{answer:?}; seed {seed}") };
            started.child
        });
        assert!(children.iter().all(|child| *child == children[0]));
        home(&world, children[0]);
        world.settle(SETTLE);
    }
}

/// Two nodes that accept two children for one key in one moment: all go by the same of them.
#[test]
fn of_two_children_of_one_key_all_go_by_one() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 3);
        for (host, kind) in [(N1, "ok"), (N2, "echo")] {
            let (key, spec) = (Blob::from("order/17"), spec(kind));
            world.request(host, Command::StartOnce { scope: scope(), key, spec });
        }
        world.run_for(Duration::from_secs(2));
        world.settle(SETTLE);
        let child = ChildId::of_key(scope(), b"order/17");
        let kinds = [N1, N2, N3].map(|host| world.children(host)[&child].kind.clone());
        assert!(kinds.iter().all(|kind| *kind == kinds[0]), "{kinds:?}; seed {seed}");
        let specs = [N1, N2, N3]
            .map(|host| world.node(host).and_then(|node| node.spec(scope(), child)).cloned());
        assert!(specs.iter().all(|spec| *spec == specs[0]), "{specs:?}; seed {seed}");
        home(&world, child);
        let runs = world.runs_of(child).into_iter().find(|run| run.ended.is_none());
        assert_eq!(runs.map(|run| run.kind.as_str()), Some(kinds[0].as_str()), "seed {seed}");
    }
}

/// B130. A start whose node dies before it is answered is repeated on another, and starts once.
#[test]
fn a_start_that_dies_with_its_node_is_repeated() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        world.request(N1, once("order/17"));
        world.run_for(Duration::from_micros(seed % 7 * 200));
        world.kill(N1);
        let started = world.start_once(N2, "order/17", spec("ok")).unwrap();
        world.run_for(LONG);
        world.settle(SETTLE);
        assert_ne!(home(&world, started.child), N1, "seed {seed}");
        assert_eq!(world.children(N3).len(), 1);
    }
}

/// Two sides of a split that start the same run it on both; healed, there is one.
#[test]
fn a_start_repeated_behind_a_split_is_one_child_after_the_heal() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 4);
        let [a, b]: [Vec<Host>; 2] = [vec![N1, N2], vec![N3, Host::new(4)]];
        world.partition(&a, &b);
        world.run_for(LONG);
        let here = world.start_once(N1, "order/17", spec("ok")).unwrap();
        let there = world.start_once(N3, "order/17", spec("ok")).unwrap();
        assert_eq!(here.child, there.child);
        assert_eq!(world.running_child(here.child).len(), 2, "seed {seed}");
        world.heal();
        world.settle(LONG);
        home(&world, here.child);
    }
}

/// A key is for one child: whoever uses it for another is told, and nothing is started.
#[test]
fn a_key_that_is_used_for_another_child_is_refused() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 3);
        let child = world.start_once(N1, "order/17", spec("ok")).unwrap().child;
        world.settle(SETTLE);
        let other = world.start_once(N2, "order/17", spec("echo"));
        assert_eq!(other.unwrap_err(), StartChildError::RequestReused { child }, "seed {seed}");
        for (key, bytes) in [(String::new(), 0), ("k".repeat(257), 257)] {
            let refused = world.start_once(N1, &key, spec("ok")).unwrap_err();
            assert_eq!(refused, StartChildError::BadRequestKey { bytes, max: 256 });
        }
        assert_eq!(world.children(N3).len(), 1);
    }
}

/// Of a child that has ended whoever repeats its start is told how.
#[test]
fn what_has_ended_is_not_started_again() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 3);
        let short = ordu_core::ChildSpec {
            restart: Restart::Transient,
            ..named("ends-after-50ms", "short")
        };
        let started = world.start_once(N1, "order/17", short.clone()).unwrap();
        world.run_for(Duration::from_secs(1));
        let again = world.start_once(N2, "order/17", short.clone());
        let outcome = Outcome::Finished;
        assert_eq!(again.unwrap_err(), StartChildError::Ended { outcome }, "seed {seed}");
        world.run_for(Duration::from_secs(9 * 60));
        assert!(world.start_once(N3, "order/17", short).is_err(), "nine minutes are not ten");
        assert_eq!(world.runs_of(started.child).len(), 1, "seed {seed}");
        assert_eq!(world.lookup(N1, "short"), None);
    }
}

/// Ends are kept for ten minutes by the clock that no step of the wall clock moves, and no longer.
#[test]
fn an_end_is_kept_though_wall_clocks_step_by_a_year_and_let_go_of_after_all() {
    const YEAR_MS: i64 = 365 * 24 * 3_600 * 1_000;
    for seed in seeds(4) {
        let mut world = World::new(seed, 3);
        let child = world.start_once(N1, "order/17", spec("ok")).unwrap().child;
        world.settle(SETTLE);
        assert_eq!(world.terminate(N2, child), Ok(()), "seed {seed}");
        for (round, offset_ms) in [YEAR_MS, 0, -YEAR_MS].into_iter().enumerate() {
            for host in [N1, N2, N3] {
                world.set_wall_offset_ms(host, offset_ms);
            }
            world.run_for(Duration::from_secs(3 * 60));
            let outcome = Outcome::Terminated;
            let again = world.start_once(N3, "order/17", spec("ok"));
            assert_eq!(again, Err(StartChildError::Ended { outcome }), "{round}; seed {seed}");
        }
        world.run_for(Duration::from_secs(3 * 60));
        for host in [N1, N2, N3] {
            let node = world.node(host).expect("it is up");
            assert!(!node.has_ended(scope(), child), "it is forgotten; seed {seed}");
        }
    }
}
