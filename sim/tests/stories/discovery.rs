//! How nodes find each other that were told of nobody at their start.

use std::time::Duration;

use ordu_core::{Config, Event};
use ordu_sim::{Host, N1, N2, N3, World, WorldBuilder, seeds};

use crate::SETTLE;

/// Returns a world whose nodes are told of nobody, and look for each other.
fn seekers(seed: u64, hosts: u16) -> WorldBuilder {
    World::builder(seed, hosts).configure(|_, config: &mut Config| {
        config.seeds.clear();
        config.awaits_seeds = true;
    })
}

/// Returns whether `host` has joined some cluster, be it its own.
fn has_joined(world: &World, host: Host) -> bool {
    let joined = |event: &Event| matches!(event, Event::Joined { .. });
    world.events().iter().any(|(_, of, event)| *of == host && joined(event))
}

/// Nobody begins a cluster of its own while others may still be found, nor waits for ever.
#[test]
fn a_node_that_looks_for_others_begins_alone_after_the_failure_timeout() {
    for seed in seeds(10) {
        let mut world = seekers(seed, 1).build();
        world.run_for(Duration::from_millis(2_900));
        assert!(!has_joined(&world, N1), "it looks for others still; seed {seed}");
        world.run_for(Duration::from_millis(200));
        assert!(has_joined(&world, N1), "seed {seed}");
    }
}

/// To find oneself and the dead is to find nobody: they are no reason to begin alone at once, and
/// nobody is told of them.
#[test]
fn a_node_that_finds_itself_and_the_dead_has_found_nobody() {
    for seed in seeds(10) {
        let mut world = seekers(seed, 3).absent(N2).absent(N3).build();
        for _ in 0..10 {
            world.discover(N1, &[N1, N2, N3]);
            world.run_for(Duration::from_millis(290));
        }
        assert!(!has_joined(&world, N1), "seed {seed}");
        world.run_for(Duration::from_millis(200));
        assert!(has_joined(&world, N1), "seed {seed}");
        let is_found = |event: &Event| matches!(event, Event::MemberUp { .. });
        let found = world.events().iter().filter(|(_, _, event)| is_found(event)).count();
        assert_eq!(found, 0, "{:?}; seed {seed}", world.events());
    }
}

/// Whoever is found in time is joined: nobody lives alone before.
#[test]
fn a_cluster_found_in_time_is_joined() {
    for seed in seeds(20) {
        let mut world = seekers(seed, 3).build();
        world.run_for(Duration::from_secs(1));
        for host in [N1, N2, N3] {
            assert!(!has_joined(&world, host), "{host} looks for others still; seed {seed}");
            world.discover(host, &[N1, N2, N3]);
        }
        world.settle(SETTLE);
        assert!(world.all_know_each_other(), "seed {seed}");
        for (at, host, event) in world.events() {
            let is_fine = matches!(
                event,
                Event::Joined { .. } | Event::Ready { .. } | Event::MemberUp { .. }
            );
            assert!(is_fine, "{host} at {at}: {event:?}; seed {seed}");
        }
    }
}

/// Two clusters that began apart, since neither was to be found, become one once one of them is.
#[test]
fn clusters_that_began_apart_become_one_when_one_is_found() {
    for seed in seeds(20) {
        let mut world = seekers(seed, 3).build();
        world.discover(N2, &[N3]);
        world.run_for(Duration::from_secs(5));
        assert_eq!(world.members(N1).len(), 1, "seed {seed}");
        assert_eq!(world.members(N2).len(), 2, "seed {seed}");

        // n2 has a session already, and looks all the same where it knows nobody.
        world.discover(N2, &[N1, N2, N3]);
        world.settle(SETTLE);
        assert!(world.all_know_each_other(), "seed {seed}");
    }
}

/// What is no seed any more is not dialled, and what is one again is.
#[test]
fn a_place_that_is_found_no_more_is_left_alone_until_it_is_found_again() {
    for seed in seeds(10) {
        let mut world = seekers(seed, 2).absent(N2).build();
        world.discover(N1, &[N2]);
        world.run_for(Duration::from_secs(5));
        world.discover(N1, &[]);
        world.start(N2);
        world.run_for(Duration::from_secs(20));
        assert_eq!(world.members(N1).len(), 1, "nobody dials; seed {seed}");
        assert_eq!(world.members(N2).len(), 1, "seed {seed}");

        world.discover(N1, &[N2]);
        world.settle(SETTLE);
        assert!(world.all_know_each_other(), "seed {seed}");
    }
}
