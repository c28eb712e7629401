//! B148. One seed is one history.

use std::time::Duration;

use ordu_sim::{N1, N2, N3, Network, World, named, seeds};

use crate::{SHORT, start_children};

/// A little of everything.
fn live(seed: u64) -> World {
    let mut world = World::builder(seed, 3).network(Network::lossy()).joined();
    start_children(&mut world, "counter", 3);
    let cart = world.start_child(N2, named("counter", "cart"));
    world.partition(&[N1], &[N2, N3]);
    world.run_for(SHORT * 4);
    world.heal();
    world.pause(N3);
    world.run_for(SHORT);
    world.thaw(N3);
    world.kill(N2);
    world.run_for(SHORT * 4);
    world.restart(N2);
    world.run_for(Duration::from_secs(5));
    drop(cart);
    world
}

/// Whatever a failing seed shows, a second run of it shows again.
#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in seeds(3) {
        assert_eq!(live(seed).trace_hash(), live(seed).trace_hash(), "seed {seed}");
        assert_ne!(live(seed).trace_hash(), live(seed + 1).trace_hash(), "seed {seed}");
    }
}

/// A node's life is a function of its configuration, its seed and its inputs, and of nothing else.
#[test]
fn a_recorded_life_can_be_lived_again() {
    for seed in seeds(3) {
        let world = live(seed);
        for host in [N1, N2, N3] {
            world.assert_replays(host);
        }
    }
}
