//! How children end, and which are started again.

use std::time::Duration;

use ordu_core::{ChildSpec, Restart, StopReason, TerminateError};
use ordu_sim::{N1, N2, N3, World, seeds, spec};

use crate::{SETTLE, home, others, start_children};

fn with_restart(kind: &str, restart: Restart) -> ChildSpec {
    ChildSpec { restart, ..spec(kind) }
}

/// B9. A temporary child lives once.
#[test]
fn a_temporary_child_that_is_killed_is_gone() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let started = world.start_child(N1, with_restart("ok", Restart::Temporary)).unwrap();
        world.end_process(&started.process, Some("killed"));
        world.run_for(Duration::from_secs(5));

        assert_eq!(world.runs_of(started.child).len(), 1, "seed {seed}");
        assert!(world.children(N2).is_empty());
        world.assert_settled();
    }
}

/// B10. A transient child that ends as it should has ended.
#[test]
fn a_transient_child_that_finishes_is_gone() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let spec = with_restart("ends-after-50ms", Restart::Transient);
        let started = world.start_child(N3, spec).unwrap();
        world.run_for(Duration::from_secs(5));

        assert_eq!(world.runs_of(started.child).len(), 1, "seed {seed}");
        assert!(world.children(N1).is_empty());
        world.assert_settled();
    }
}

/// B11. A transient child that fails is started again.
#[test]
fn a_transient_child_that_fails_stays() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let started = world.start_child(N1, with_restart("ok", Restart::Transient)).unwrap();
        world.end_process(&started.process, Some("it broke"));
        world.run_for(Duration::from_secs(1));
        world.settle(SETTLE);

        assert_eq!(world.runs_of(started.child).len(), 2, "seed {seed}");
        home(&world, started.child);
    }
}

/// B125. A child that crashes again and again is started more and more seldom, and hurts no other.
#[test]
fn a_crash_loop_backs_off_and_hurts_no_other_child() {
    for seed in seeds(3) {
        let mut world = World::new(seed, 3);
        let healthy = start_children(&mut world, "ok", 6);
        let crashing = world.start_child(N1, spec("crash-after-50ms")).unwrap().child;
        world.run_for(Duration::from_secs(60));

        let runs = world.runs_of(crashing).len();
        assert!((4..60).contains(&runs), "{runs} starts in a minute; seed {seed}");
        for child in healthy {
            assert_eq!(world.runs_of(child).len(), 1, "a healthy child was touched; seed {seed}");
        }
    }
}

/// A failed restart is tried again, not given up (B132).
#[test]
fn a_restart_that_fails_is_tried_again() {
    for seed in seeds(5) {
        let mut world = World::builder(seed, 3)
            .kind("second-start-fails", ordu_sim::Behaviour::fails_on(&[2, 3]))
            .joined();
        let started = world.start_child(N1, spec("second-start-fails")).unwrap();
        world.end_process(&started.process, Some("killed"));
        world.run_for(Duration::from_secs(1));
        world.settle(Duration::from_secs(20));

        assert_eq!(world.runs_of(started.child).len(), 2, "seed {seed}");
    }
}

/// B17. Any member can end any child.
#[test]
fn a_child_is_ended_through_a_member_that_does_not_run_it() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let child = world.start_child(N1, spec("ok")).unwrap().child;
        world.settle(SETTLE);

        let stranger = others(&world, home(&world, child))[0];
        assert_eq!(world.terminate(stranger, child), Ok(()), "seed {seed}");
        assert!(world.running_child(child).is_empty(), "it is gone when the answer comes");
        assert_eq!(world.runs_of(child)[0].stop, Some(StopReason::Terminated));

        // It does not come back, and everyone knows that it has ended.
        world.run_for(Duration::from_secs(5));
        assert!(world.running_child(child).is_empty());
        for host in [N1, N2, N3] {
            let again = world.terminate(host, child);
            assert_eq!(again, Err(TerminateError::Unknown { child }), "seed {seed}");
        }
        world.assert_settled();
    }
}

/// A process that does not stop in its grace is stopped by force, and the answer waits for that.
#[test]
fn a_slow_stop_is_forced_after_its_grace() {
    for seed in seeds(3) {
        let mut world = World::new(seed, 3);
        let spec = ChildSpec { grace: Duration::from_millis(500), ..spec("slow-stop") };
        let child = world.start_child(N1, spec).unwrap().child;
        let before = world.now();
        assert_eq!(world.terminate(N1, child), Ok(()));

        let took = world.now().since(before);
        assert!(took >= Duration::from_millis(500), "{took:?}");
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert!(world.running_child(child).is_empty());
    }
}
