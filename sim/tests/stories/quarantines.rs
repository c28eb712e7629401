//! Children that fail again and again: given up by one node after the other, then tried by none.

use std::collections::BTreeSet;
use std::time::Duration;

use ordu_core::{
    Budget, ChildId, ChildSpec, Event, NodeId, Occupant, ReleaseError, RestartChildError,
    StartChildError,
};
use ordu_sim::{Behaviour, Host, N1, N2, N3, N4, World, name, named, seeds, spec};

use crate::{SETTLE, home, others, start_children};

/// Long enough for three nodes to spend their budgets.
const THREE_BUDGETS: Duration = Duration::from_secs(30);

/// How long the dead are remembered in these stories.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// A process that starts at first, and then fails to in as many starts as the budgets of three
/// nodes have: the first run is killed by the story, which counts as well.
fn spent() -> Behaviour {
    Behaviour::fails_on(&(2..=18).collect::<Vec<u64>>())
}

/// Returns a world and a child in it that three nodes have given up.
fn quarantined(seed: u64, hosts: u16, spec: ChildSpec) -> (World, ChildId) {
    let mut world = World::builder(seed, hosts)
        .kind("spent", spent())
        .configure(|_, config| config.forget_after = FORGOTTEN)
        .joined();
    let started = world.start_child(N1, spec).expect("its first start succeeds");
    world.end_process(&started.process, Some("killed"));
    world.run_for(THREE_BUDGETS);
    (world, started.child)
}

/// Returns the nodes that have given `child` up, as `host` sees it; it must be in quarantine.
#[track_caller]
fn given_up_by(world: &mut World, host: Host, child: ChildId) -> Vec<NodeId> {
    let quarantined = world.quarantined(host);
    let [only] = quarantined.as_slice() else { panic!("in quarantine are {quarantined:?}") };
    assert_eq!(only.child, child);
    only.given_up.iter().map(|by| by.node.clone()).collect()
}

/// B125. A child that crashes for ever is tried on three nodes, on each as often as its budget
/// says, and then by none; nobody else feels it, and all see it.
#[test]
fn a_child_that_crashes_for_ever_ends_in_quarantine_and_hurts_no_other() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 4);
        let healthy = start_children(&mut world, "ok", 20);
        let child = world.start_child(N1, spec("crash-after-50ms")).unwrap().child;
        world.run_for(THREE_BUDGETS);

        let runs = world.runs_of(child);
        let hosts: BTreeSet<Host> = runs.iter().map(|run| run.host).collect();
        assert_eq!(hosts.len(), 3, "it was tried on three nodes of four; seed {seed}");
        for host in &hosts {
            let here = runs.iter().filter(|run| run.host == *host).count();
            assert_eq!(here, 6, "five failures are within the budget, the sixth is not");
        }
        for host in [N1, N2, N3, N4] {
            let by = given_up_by(&mut world, host, child);
            assert_eq!(by, hosts.iter().map(|host| host.id()).collect::<Vec<_>>());
        }
        world.run_for(Duration::from_secs(600));
        assert_eq!(world.runs_of(child).len(), 18, "none tries it any more; seed {seed}");
        for child in healthy {
            assert_eq!(world.runs_of(child).len(), 1, "a healthy child was touched; seed {seed}");
        }
        world.assert_settled();
    }
}

/// What a node gives up it says, and how it failed last; the last one says that it was the last.
#[test]
fn nodes_say_what_they_give_up() {
    for seed in seeds(5) {
        let (world, child) = quarantined(seed, 4, spec("spent"));
        let mut said = Vec::new();
        for (_, _, event) in world.events() {
            if let Event::ChildGivenUp { child: of, reason, given_up_by, is_in_quarantine } = event
            {
                assert_eq!((*of, reason.as_str()), (child, "not yet"));
                said.push((*given_up_by, *is_in_quarantine));
            }
        }
        assert_eq!(said, [(1, false), (2, false), (3, true)], "seed {seed}");
    }
}

/// B125. Released, it is tried again, and stays where it works.
#[test]
fn who_is_released_is_tried_again_with_a_whole_budget() {
    for seed in seeds(5) {
        let (mut world, child) = quarantined(seed, 3, spec("spent"));
        assert_eq!(given_up_by(&mut world, N2, child).len(), 3, "seed {seed}");
        let runs = world.runs_of(child).len();

        assert_eq!(world.release_child(N2, child), Ok(()));
        world.run_for(Duration::from_secs(1));
        home(&world, child);
        assert_eq!(world.runs_of(child).len(), runs + 1, "seed {seed}");
        for host in [N1, N2, N3] {
            assert_eq!(world.quarantined(host), [], "seed {seed}");
        }
        assert_eq!(world.release_child(N3, child), Ok(()), "nobody gave it up: no change");
        assert_eq!(world.runs_of(child).len(), runs + 1, "seed {seed}");
        world.settle(SETTLE);
    }
}

/// A child keeps its name in quarantine, whoever looks for it is told, and it can be ended there.
#[test]
fn a_child_in_quarantine_keeps_its_name_until_it_is_ended() {
    for seed in seeds(5) {
        let (mut world, child) = quarantined(seed, 3, named("spent", "poison"));
        let taken = world.start_child(N2, named("ok", "poison"));
        let (name, holder) = (name("poison"), Occupant::Child(child));
        assert_eq!(taken.unwrap_err(), StartChildError::NameTaken { name, holder });
        match world.ensure_child(N3, named("ok", "poison")) {
            Err(StartChildError::Quarantined { child: found, given_up }) => {
                assert_eq!((found, given_up.len()), (child, 3), "seed {seed}");
            }
            other => panic!("it is in quarantine: {other:?}"),
        }
        let restarted = world.restart_child(N1, child);
        assert_eq!(restarted, Err(RestartChildError::Quarantined { child }));

        assert_eq!(world.terminate(N1, child), Ok(()));
        world.settle(SETTLE);
        assert_eq!(world.quarantined(N2), [], "seed {seed}");
        assert_eq!(world.release_child(N3, child), Err(ReleaseError::Unknown { child }));
        world.start_child(N2, named("ok", "poison")).unwrap();
    }
}

/// S17. What gave a child up is remembered when it dies: the failures of a child are not forgotten
/// with a node.
#[test]
fn a_node_that_gave_a_child_up_is_remembered_after_its_death() {
    for seed in seeds(5) {
        let (mut world, child) = quarantined(seed, 5, spec("spent"));
        let by = given_up_by(&mut world, N1, child);
        let runs = world.runs_of(child).len();
        for host in [N1, N2, N3, N4].into_iter().filter(|host| by.contains(&host.id())).take(2) {
            world.kill(host);
        }
        world.run_for(2 * FORGOTTEN);
        let up = world.up()[0];
        assert_eq!(given_up_by(&mut world, up, child), by, "seed {seed}");
        assert_eq!(world.runs_of(child).len(), runs, "seed {seed}");
    }
}

/// One node is enough where there is no other: a newcomer tries what it has not tried.
#[test]
fn a_newcomer_tries_what_all_others_have_given_up() {
    for seed in seeds(5) {
        let mut world = World::builder(seed, 3)
            .kind("spent", Behaviour::fails_on(&(2..=12).collect::<Vec<u64>>()))
            .absent(N3)
            .joined();
        let started = world.start_child(N1, spec("spent")).unwrap();
        world.end_process(&started.process, Some("killed"));
        world.run_for(THREE_BUDGETS);
        assert_eq!(given_up_by(&mut world, N1, started.child), [N1.id(), N2.id()], "seed {seed}");
        world.assert_settled();

        world.start(N3);
        world.settle(SETTLE);
        assert_eq!(home(&world, started.child), N3, "seed {seed}");
        assert_eq!(world.quarantined(N1), []);
    }
}

/// A child may fail as often as it likes, or once, as its specification says.
#[test]
fn a_budget_is_what_the_child_says() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 3);
        let patient = ChildSpec { budget: None, ..spec("crash-after-50ms") };
        let patient = world.start_child(N1, patient).unwrap().child;
        let once = Budget { failures: 0, within: Duration::from_secs(1), nodes: 1 };
        let fragile = ChildSpec { budget: Some(once), ..spec("crash-after-50ms") };
        let fragile = world.start_child(N1, fragile).unwrap().child;
        world.run_for(Duration::from_secs(60));

        assert_eq!(world.runs_of(fragile).len(), 1, "seed {seed}");
        assert_eq!(given_up_by(&mut world, N2, fragile).len(), 1, "seed {seed}");
        let runs = world.runs_of(patient);
        assert!((8..60).contains(&runs.len()), "{} starts; seed {seed}", runs.len());
        assert!(runs.iter().all(|run| run.host == runs[0].host), "it stays where it is");
    }
}

/// Failures that lie further apart than the budget's time add up to nothing.
#[test]
fn who_fails_seldom_is_not_given_up() {
    for seed in seeds(3) {
        let slow = Behaviour::crashes_after(Duration::from_secs(7));
        let mut world = World::builder(seed, 3).kind("fails-at-times", slow).joined();
        let child = world.start_child(N1, spec("fails-at-times")).unwrap().child;
        world.run_for(Duration::from_secs(600));
        assert!(12 < world.runs_of(child).len(), "seed {seed}");
        assert_eq!(world.quarantined(N1), [], "seed {seed}");
    }
}

/// Two sides of a split both give a child up; healed, what each found counts.
#[test]
fn what_both_sides_of_a_split_gave_up_adds_up() {
    for seed in seeds(5) {
        let mut world =
            World::builder(seed, 4).kind("works-once", Behaviour::fails_on(&LATER)).joined();
        let started = world.start_child(N1, spec("works-once")).unwrap();
        let home = home(&world, started.child);
        let near = others(&world, home)[0];
        let far: Vec<Host> = others(&world, home)[1..].to_vec();
        world.partition(&[home, near], &far);
        world.run_for(Duration::from_secs(8));
        for host in [home, far[0]] {
            let process = world.children(host)[&started.child].process.clone();
            world.end_process(&process.expect("it runs on both sides"), Some("killed"));
        }
        world.run_for(THREE_BUDGETS);
        world.heal();
        world.settle(SETTLE);
        let by = given_up_by(&mut world, N1, started.child);
        assert_eq!(by.len(), 4, "two on each side; seed {seed}");
        assert!(world.running_child(started.child).is_empty());
    }
}

/// Starts that fail, once a child has run on both sides of a split.
const LATER: [u64; 60] = {
    let mut starts = [0; 60];
    let mut next = 0;
    while next < 60 {
        starts[next] = next as u64 + 3;
        next += 1;
    }
    starts
};
