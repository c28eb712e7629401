//! One seed is one history.

use std::time::Duration;

use ordu_core::flight::Dump;
use ordu_core::{CallError, Target};
use ordu_sim::{N1, N2, N3, Network, World, name, named, scope, seeds};

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

/// B148. Whatever a failing seed shows, a second run of it shows again.
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

/// What a node was told is a value that can be stored and lived again, without the world.
#[test]
fn a_dump_of_a_node_is_lived_again_without_its_world() {
    for seed in seeds(3) {
        let world = live(seed);
        for host in [N1, N2, N3] {
            let dump = Dump::decode(&world.dump(host).encode()).unwrap();
            assert_eq!((dump.node(), dump.is_from_birth()), (&host.id(), true), "seed {seed}");
            let replayed = dump.replay().unwrap();
            assert_eq!(Some(replayed.state_hash), dump.state_hash(), "seed {seed}");
        }
    }
}

/// A life full of talk is lived again from a state in the middle of it, and takes no more memory.
#[test]
fn a_long_life_is_kept_from_some_state_on() {
    let mut world = World::new(1, 3);
    let nobody = Target::Name(scope(), name("nobody"));
    let speech = "x".repeat(64 << 10);
    let mut longest = 0;
    for _ in 0..4 {
        for _ in 0..25 {
            assert_eq!(world.call(N1, nobody.clone(), &speech), Err(CallError::Nobody));
            world.run_for(SHORT);
        }
        longest = longest.max(world.dump(N1).encode().len());
        world.assert_replays(N1);
    }
    let dump = world.dump(N1);
    assert!(!dump.is_from_birth() && dump.dropped() > 0, "{} are kept", dump.len());
    assert!(longest < 5 << 20, "{longest}");
}
