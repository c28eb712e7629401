//! Children by the thousand: none is lost, none runs twice, and all members count the same.

use std::time::Duration;

use ordu_core::{Budget, ChildSpec, Command, Event, Random, Restart};
use ordu_sim::{N1, N2, N3, N4, World, named, scope, seeds, spec};

use crate::{LONG, SETTLE, home, start_at_once, start_children};

/// B7. A thousand short tasks, started through random members, run once each.
#[test]
fn a_thousand_short_tasks_started_through_random_members_run_once_each() {
    for seed in seeds(2) {
        let mut world = World::new(seed, 5);
        let mut random = Random::new(seed);
        let hosts = world.up();
        let task = ChildSpec { restart: Restart::Transient, ..spec("ends-after-50ms") };
        let specs = (0..1_000).map(|_| {
            let host = hosts[usize::try_from(random.below(5)).expect("it is below 5")];
            (host, task.clone())
        });
        let specs: Vec<_> = specs.collect();
        let children = start_at_once(&mut world, specs);
        // Whoever waits for rest does not wait for tasks.
        world.run_for(Duration::from_secs(1));
        world.settle(SETTLE);
        for child in children {
            let runs = world.runs_of(child);
            assert_eq!(runs.len(), 1, "{child}; seed {seed}");
            assert!(runs[0].ended.is_some(), "{child}; seed {seed}");
        }
        assert_eq!(world.children(N1).len(), 0, "all are done; seed {seed}");
    }
}

/// B8. Two thousand children started through one member are all there.
#[test]
fn two_thousand_children_started_through_one_member_are_all_there() {
    for seed in seeds(2) {
        let mut world = World::new(seed, 3);
        let children = start_at_once(&mut world, (0..2_000).map(|_| (N1, spec("ok"))));
        world.settle(SETTLE);
        for host in world.up() {
            assert_eq!(world.children(host).len(), 2_000, "{host} counts them; seed {seed}");
            let here = children.iter().filter(|child| world.running_child(**child) == [host]);
            assert!((400..1_000).contains(&here.count()), "they are spread; seed {seed}");
        }
    }
}

/// B30. A thousand named children on two members: both count them all, and so does the one that
/// stays when the other leaves.
#[test]
fn a_thousand_named_children_outlive_the_leave_of_one_of_two_members() {
    for seed in seeds(2) {
        let mut world = World::new(seed, 2);
        let hosts = [N1, N2];
        let specs =
            (0..1_000).map(|number| (hosts[number % 2], named("ok", &format!("cart/{number}"))));
        let specs: Vec<_> = specs.collect();
        let children = start_at_once(&mut world, specs);
        world.settle(SETTLE);
        for host in hosts {
            assert_eq!(world.children(host).len(), 1_000, "seed {seed}");
            assert_eq!(world.view(host).names.len(), 1_000, "seed {seed}");
        }

        assert_eq!(world.leave(N1), Ok(()), "seed {seed}");
        world.run_for(Duration::from_secs(1));
        world.settle(SETTLE);
        assert_eq!(world.children(N2).len(), 1_000, "seed {seed}");
        assert_eq!(world.view(N2).names.len(), 1_000, "seed {seed}");
        for child in children {
            assert_eq!(world.running_child(child), [N2], "seed {seed}");
        }
    }
}

/// B134. Ten thousand conflicts on one heal count as no failure of anybody, and touch no other
/// child: who may not fail even once is not given up.
#[test]
fn ten_thousand_conflicts_on_one_heal_spend_no_budget() {
    // A tenth of them where the build checks most, which takes ten times as long.
    const CHILDREN: usize = if cfg!(debug_assertions) { 1_000 } else { 10_000 };
    let none = Budget { failures: 0, within: Duration::from_secs(3_600), nodes: 1 };
    for seed in seeds(1) {
        let mut world = World::new(seed, 4);
        let bystanders = start_children(&mut world, "ok", 8);
        let start = |number: usize| {
            let spec = named("ok", &format!("twin {number}"));
            let spec = ChildSpec { budget: Some(none), ..spec };
            Command::Start { scope: scope(), spec }
        };
        let (left, right) = ([N1, N2], [N3, N4]);
        world.partition(&left, &right);
        world.run_for(LONG);
        for number in 0..CHILDREN {
            world.request(left[number % 2], start(number));
            world.request(right[number % 2], start(number));
        }
        world.run_for(LONG);
        let runs = |world: &World| world.runs().iter().filter(|run| run.ended.is_none()).count();
        assert_eq!(runs(&world), 2 * CHILDREN + 2 * bystanders.len(), "both sides; seed {seed}");

        world.heal();
        world.run_for(LONG);
        world.settle(LONG);
        assert_eq!(runs(&world), CHILDREN + bystanders.len(), "one of each; seed {seed}");
        let failed =
            |event: &Event| matches!(event, Event::ChildGivenUp { .. } | Event::ChildFailed { .. });
        assert!(!world.events().iter().any(|(_, _, event)| failed(event)), "seed {seed}");
        assert_eq!(world.quarantined(N1), []);
        for child in bystanders {
            home(&world, child);
        }
    }
}
