//! How a holder loses its name, as every node tells its readers.

use std::time::Duration;

use ordu_core::{Loss, ProcessId};
use ordu_sim::{Host, N1, N2, N3, World, name, named, scope, seeds};

use crate::{SETTLE, home};

/// Returns how the last holder of a name lost it, as `host`'s readers were told.
fn loss(world: &World, host: Host, text: &str) -> Option<Loss> {
    world.view(host).losses.get(&(scope(), name(text))).copied()
}

/// Returns a cluster of three, with a process of `N1` that all see as "cart".
fn with_a_name(seed: u64) -> (World, ProcessId) {
    let mut world = World::new(seed, 3);
    let process = world.spawn(N1);
    assert_eq!(world.register(N1, "cart", &process), Ok(()));
    world.settle(SETTLE);
    (world, process)
}

#[test]
fn a_name_that_is_given_up_was_unregistered() {
    for seed in seeds(5) {
        let (mut world, process) = with_a_name(seed);
        world.unregister(N3, "cart", &process).unwrap();
        world.settle(SETTLE);
        for host in [N1, N2, N3] {
            assert_eq!(loss(&world, host, "cart"), Some(Loss::Unregistered), "seed {seed}");
        }
    }
}

#[test]
fn a_name_whose_process_ends_is_lost_by_that() {
    for seed in seeds(5) {
        let (mut world, process) = with_a_name(seed);
        world.end_process(&process, Some("out of milk"));
        world.run_for(Duration::from_secs(1));
        world.settle(SETTLE);
        for host in [N1, N2, N3] {
            assert_eq!(loss(&world, host, "cart"), Some(Loss::Ended), "seed {seed}");
        }
    }
}

#[test]
fn a_name_whose_node_dies_is_lost_with_it() {
    for seed in seeds(5) {
        let (mut world, _) = with_a_name(seed);
        world.kill(N1);
        world.settle(SETTLE);
        for host in [N2, N3] {
            assert_eq!(loss(&world, host, "cart"), Some(Loss::NodeLost), "seed {seed}");
        }
    }
}

/// A child that is started anew has its name still, as another process; when its node dies, the
/// name is lost with that before it moves.
#[test]
fn a_child_loses_its_name_by_a_restart_and_by_a_failover() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 3);
        let child = world.start_child(N1, named("counter", "cart")).unwrap().child;
        world.settle(SETTLE);
        let process = world.lookup(N1, "cart").unwrap().process.clone();
        world.end_process(&process, Some("out of milk"));
        world.run_for(Duration::from_secs(1));
        world.settle(SETTLE);
        for host in [N1, N2, N3] {
            assert_eq!(loss(&world, host, "cart"), Some(Loss::Ended), "seed {seed}");
        }

        let host = home(&world, child);
        world.kill(host);
        world.settle(SETTLE);
        for other in [N1, N2, N3].into_iter().filter(|&other| other != host) {
            assert_eq!(loss(&world, other, "cart"), Some(Loss::NodeLost), "seed {seed}");
            assert!(world.lookup(other, "cart").is_some(), "it runs elsewhere; seed {seed}");
        }
    }
}

/// Both sides of a split give the name away; after the heal every node that saw the loser there is
/// told that it lost a conflict.
#[test]
fn the_loser_of_a_conflict_loses_its_name_by_that() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 3);
        world.settle(SETTLE);
        world.partition(&[N1], &[N2, N3]);
        world.run_for(crate::LONG);
        let (first, second) = (world.spawn(N1), world.spawn(N2));
        world.register(N1, "cart", &first).unwrap();
        world.register(N2, "cart", &second).unwrap();
        world.run_for(crate::LONG);
        world.heal_partition(&[N1], &[N2, N3]);
        world.settle(SETTLE);

        let winner = world.lookup(N1, "cart").unwrap().process.clone();
        let saw_loser: &[Host] = if winner == first { &[N2, N3] } else { &[N1] };
        for host in [N1, N2, N3] {
            let expected = saw_loser.contains(&host).then_some(Loss::Conflict);
            assert_eq!(loss(&world, host, "cart"), expected, "{host}, seed {seed}");
        }
    }
}
