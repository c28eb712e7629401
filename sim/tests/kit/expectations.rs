//! Every expectation is broken once, and seen to fail; and holds where it should.

use std::cell::Cell;
use std::time::Duration;

use ordu_sim::kit::{
    Counterexample, Expectation, Simulation, Trouble, always, at_most_one, at_most_one_per_side,
    eventually, eventually_one, eventually_running,
};
use ordu_sim::plan::{Aim, Fault, Profile};
use ordu_sim::shrink::Effort;
use ordu_sim::{Behaviour, Class, Model, N1, N2, N3, Topology};

/// Does nothing, and can be told to fail.
struct Quiet;

impl Model for Quiet {
    const KIND: &'static str = "quiet";
    type Args = ();
    type Message = bool;
    type Reply = ();

    fn start((): (), _: Option<&[u8]>) -> Result<Self, String> {
        Ok(Self)
    }

    fn handle(&mut self, is_last: bool) {
        assert!(!is_last, "that was it");
    }
}

fn quiet() -> Simulation {
    Simulation::new(3).child::<Quiet>("quiet", &()).seeds(2).lasting(Duration::from_secs(30))
}

/// A split that leaves one machine alone, and is mended at the end.
fn split() -> Simulation {
    let cut = Topology::Split { left: vec![N1, N2], right: vec![N3] };
    quiet().at(Duration::from_secs(1), Fault::Cut(cut))
}

/// Returns what `expectation` finds; something must be.
fn broken(simulation: Simulation, expectation: Expectation) -> Box<Counterexample> {
    let label = expectation.to_string();
    let found = simulation.expect(expectation).effort(Effort { runs: 20, ..Effort::default() });
    let found = found.check().expect_err("it cannot hold");
    assert_eq!(found.violation.promise, label);
    found
}

#[test]
fn at_most_one_is_broken_by_a_split() {
    let found = broken(split(), at_most_one("quiet"));
    assert_eq!(found.violation.class, Class::Safety);
    assert!(found.violation.reason.contains("run \"quiet\" at once"), "{found}");

    // It holds without a split, and after one.
    quiet().expect(at_most_one("quiet")).run();
    split().expect(at_most_one("quiet").once_settled()).expect(eventually_one("quiet")).run();
}

#[test]
fn at_most_one_once_settled_is_broken_where_nobody_waits_for_that() {
    // Nothing is to come about, so that all counts as settled while the two still run.
    let found = broken(split(), at_most_one("quiet").once_settled());
    assert!(found.violation.at_us > 30_000_000, "{found}");
}

#[test]
fn at_most_one_per_side_is_broken_by_a_conflict_that_lasts() {
    let slow = split().kind("quiet", Behaviour::ok().stopping_in(Duration::from_secs(4)));
    let found = broken(slow, at_most_one_per_side("quiet", Duration::from_millis(500)));
    assert!(found.violation.reason.contains("reach each other"), "{found}");
    assert!(found.violation.at_us > 30_000_000, "nobody reaches across the split:\n{found}");

    let with_time = || at_most_one_per_side("quiet", Duration::from_secs(20));
    split().expect(with_time()).run();
    quiet().trouble(Trouble::Deaths, Duration::from_secs(10)).expect(with_time()).run();
}

#[test]
fn what_is_to_run_eventually_is_missed_if_it_cannot_start() {
    let never = || quiet().at(Duration::from_secs(1), Fault::Restart(N1));
    let run_or_not = |expectation: Expectation| {
        // It starts once, and then never again: its machine is gone by then.
        let kind = Behaviour::fails_on(&(2..1_000).collect::<Vec<_>>());
        let all = [N1, N2, N3].into_iter();
        let all = all.fold(never(), |story, host| {
            story.at(Duration::from_secs(2 + 9 * u64::from(host.number())), Fault::Restart(host))
        });
        let found = broken(all.kind("quiet", kind), expectation);
        assert_eq!(found.violation.class, Class::Liveness);
        assert!(found.violation.reason.contains("after everything was mended"), "{found}");
    };
    run_or_not(eventually_running("quiet").within(Duration::from_secs(20)));
    run_or_not(eventually_one("quiet").within(Duration::from_secs(20)));

    never().expect(eventually_running("quiet")).expect(eventually_one("quiet")).run();
}

#[test]
fn eventually_one_is_broken_by_two() {
    // Or by none: nobody ever had that name.
    let found = broken(quiet(), eventually_one("nobody").within(Duration::from_secs(5)));
    assert!(found.violation.reason.contains("[] run \"nobody\""), "{found}");
    let split = split();
    let no_time = eventually_one("quiet").within(Duration::ZERO);
    let found = broken(split, no_time);
    assert!(found.violation.reason.contains("run \"quiet\""), "{found}");
}

#[test]
fn what_is_always_so_is_looked_at_at_every_step() {
    let found = broken(
        quiet(),
        always("nothing runs on n2 or n3", |moment| {
            match moment.running("quiet").iter().find(|&&host| host != N1) {
                Some(host) => Err(format!("it runs on {host}")),
                None => Err("it runs on n1".to_owned()),
            }
        }),
    );
    assert!(found.plan.steps.is_empty(), "nothing needs to happen for that:\n{found}");

    let found = broken(
        quiet(),
        always("20 s do not pass", |moment| {
            assert!(moment.now().as_micros() < 20_000_000, "20 s passed");
            Ok(())
        }),
    );
    assert!(found.violation.reason.contains("20 s passed"), "an assertion counts:\n{found}");
    assert!(found.violation.at_us.abs_diff(20_000_000) < 1_000_000, "{found}");
}

#[test]
fn nothing_is_expected_of_what_nobody_can_remember() {
    // All three die at once, and with them all that knew of the child.
    let all_die = || {
        let kill = |story: Simulation, host| story.at(Duration::from_secs(9), Fault::Kill(host));
        [N1, N2, N3].into_iter().fold(quiet(), kill)
    };
    all_die().expect(eventually_running("quiet")).expect(eventually_one("quiet")).run();
    broken(
        all_die(),
        eventually("it runs", |moment| match moment.running("quiet")[..] {
            [] if moment.is_gone("quiet") => Err("it is gone".to_owned()),
            [..] => Ok(()),
        }),
    );

    // One that there never was is not gone.
    broken(quiet(), eventually_running("nobody").within(Duration::from_secs(1)));
}

#[test]
fn what_has_come_about_must_stay_so() {
    let found = broken(
        quiet(),
        eventually("it is early", |moment| match moment.now().as_micros() < 40_000_000 {
            true => Ok(()),
            false => Err("it is late".to_owned()),
        }),
    );
    assert_eq!(found.violation.reason, "it is late");
}

#[test]
fn a_model_that_goes_by_more_than_it_was_told_is_found() {
    thread_local!(static CALLS: Cell<u32> = const { Cell::new(0) });
    struct Impure;
    impl Model for Impure {
        const KIND: &'static str = "impure";
        type Args = ();
        type Message = ();
        type Reply = u32;
        fn start((): (), _: Option<&[u8]>) -> Result<Self, String> {
            Ok(Self)
        }
        fn handle(&mut self, (): ()) -> u32 {
            CALLS.replace(CALLS.get() + 1)
        }
    }
    let simulation = Simulation::new(2).child::<Impure>("impure", &()).calls::<Impure>(
        "impure",
        Duration::from_secs(5),
        |_| (),
    );
    let found = simulation.check().expect_err("the second run counts on");
    assert_eq!(found.violation.class, Class::NonDeterminism);
}

#[test]
fn profiles_bring_their_own_machines_and_troubles() {
    for profile in [Profile::Full, Profile::Directed(Aim::ConflictThenDeath)] {
        let summary = Simulation::new(3)
            .child::<Quiet>("quiet", &())
            .calls::<Quiet>("quiet", Duration::from_secs(1), |_| false)
            .profile(profile)
            .seeds(3)
            .expect(eventually_one("quiet"))
            .run();
        assert!(summary.tally.processes > 3, "{profile} starts its own children: {summary:?}");
    }
}

#[test]
#[should_panic(expected = "the simulation makes no sense: the plan names n3, and has 2 machines")]
fn a_fault_of_a_machine_that_there_is_not_is_refused() {
    let simulation = Simulation::new(2).child::<Quiet>("quiet", &());
    simulation.at(Duration::from_secs(1), Fault::Kill(N3)).run();
}

#[test]
#[should_panic(expected = "has no time to come about")]
fn what_is_expected_at_every_step_has_no_time_to_come_about() {
    let _ = at_most_one("quiet").within(Duration::from_secs(1));
}

#[test]
fn a_process_that_panics_starts_again() {
    let summary = quiet()
        .calls::<Quiet>("quiet", Duration::from_secs(10), |_| true)
        .expect(eventually_one("quiet"))
        .run();
    assert!(summary.tally.processes > 2, "{summary:?}");
}
