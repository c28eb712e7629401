//! Children that somebody asks to be started again.

use std::time::Duration;

use ordu_core::{ChildSpec, Command, Reply, RestartChildError, StartReason, StopReason, Target};
use ordu_sim::{Behaviour, N1, N2, N3, World, name, named, scope, seeds, spec};

use crate::{SETTLE, home, others};

/// From whichever node it is asked, the process stops with its grace, and another takes its place
/// on the same node, under the same name.
#[test]
fn a_child_is_started_again_where_it_runs_whoever_asks() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let started = world.start_child(N1, named("ok", "till")).unwrap();
        world.settle(SETTLE);
        let child = started.child;
        let at = home(&world, child);

        for (asked, host) in (1..).zip([N1, N2, N3]) {
            let process = world.restart_child(host, child).unwrap();
            let runs = world.runs_of(child);
            assert_eq!(runs.len(), asked + 1, "seed {seed}");
            assert_eq!(runs[asked - 1].stop, Some(StopReason::Restarting));
            assert_eq!((home(&world, child), runs[asked].number), (at, process.number));
            assert_eq!(world.lookup(host, "till").map(|held| &held.process), Some(&process));
        }
        world.settle(SETTLE);
    }
}

/// Who waits for its next start starts at once, with a budget that is whole again.
#[test]
fn who_waits_for_its_next_start_starts_at_once() {
    for seed in seeds(5) {
        let fails = Behaviour::fails_on(&[2, 3, 4, 5, 6]);
        let mut world = World::builder(seed, 2)
            .kind("fails", fails)
            .configure(|_, config| config.backoff_min = Duration::from_secs(20))
            .joined();
        let started = world.start_child(N1, spec("fails")).unwrap();
        let at = home(&world, started.child);
        world.end_process(&started.process, Some("killed"));
        for _ in 2..=6 {
            let before = world.now();
            let host = others(&world, at)[0];
            let answer = world.restart_child(host, started.child);
            let child = started.child;
            assert_eq!(answer, Err(RestartChildError::TimedOut { child }), "its start fails");
            assert!(world.now().since(before) < Duration::from_secs(20));
        }
        world.restart_child(at, started.child).unwrap();
        assert_eq!(home(&world, started.child), at, "nobody gave it up; seed {seed}");
        assert_eq!(world.quarantined(at), []);
    }
}

/// What a child held in its process is gone with that; who calls it meanwhile is answered by the
/// new one, or told that nobody is there.
#[test]
fn a_child_begins_anew_and_is_found() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 3);
        let spec = ChildSpec { args: "40".into(), ..named("counter", "till") };
        let started = world.start_child(N2, spec).unwrap();
        world.settle(SETTLE);
        let target = || Target::Name(scope(), name("till"));
        assert_eq!(world.call(N3, target(), "2").unwrap().as_bytes(), b"42");

        let process = world.restart_child(N3, started.child).unwrap();
        assert_eq!(world.call(N3, target(), "2").unwrap().as_bytes(), b"42", "seed {seed}");
        let runs = world.runs_of(started.child);
        assert_eq!(runs[1].reason, Some(StartReason::Restarted));
        assert_eq!(runs[1].number, process.number);
    }
}

/// While its node dies, the child is started elsewhere, and that will do.
#[test]
fn a_restart_is_answered_though_its_node_dies() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let started = world.start_child(N1, spec("slow-stop")).unwrap();
        world.settle(SETTLE);
        let at = home(&world, started.child);
        let host = others(&world, at)[0];
        let command = Command::Restart { scope: scope(), child: started.child };
        let ticket = world.request(host, command);
        world.run_for(Duration::from_millis(500));
        world.kill(at);
        world.run_for(Duration::from_secs(4));

        let answer = world.answer(ticket);
        let Reply::Restart(Ok(process)) = answer else { panic!("{answer:?}; seed {seed}") };
        assert_ne!(process.replica.node(), &at.id(), "it runs elsewhere; seed {seed}");
    }
}

/// What is not there cannot be started again, nor what runs behind a cut.
#[test]
fn who_cannot_be_started_again_is_an_error() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 3);
        let started = world.start_child(N1, spec("ok")).unwrap();
        world.settle(SETTLE);
        let child = started.child;
        let at = home(&world, child);
        let host = others(&world, at)[0];

        world.cut_link(at, host);
        world.break_session(at, host);
        world.run_for(Duration::from_millis(100));
        let unreachable = Err(RestartChildError::Unreachable { child });
        assert_eq!(world.restart_child(host, child), unreachable, "seed {seed}");
        world.heal();
        world.settle(SETTLE);

        world.terminate(host, child).unwrap();
        assert_eq!(world.restart_child(host, child), Err(RestartChildError::Unknown { child }));
        world.assert_settled();
    }
}
