//! Nodes that leave in good order.

use std::time::Duration;

use ordu_sim::{N1, World, seeds};

use crate::{SETTLE, start_children};

/// The children of a node that leaves run elsewhere a moment later, and none is lost or run twice.
#[test]
fn the_children_of_a_node_that_leaves_run_elsewhere_within_a_second() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 3);
        let children = start_children(&mut world, "counter", 12);
        world.settle(SETTLE);
        let left = world.now();
        world.leave(N1).expect("a node may always leave");
        world.run_for(Duration::from_secs(5));

        for child in children {
            let runs = world.runs_of(child);
            let moved = runs.iter().find(|run| left <= run.started);
            let Some(moved) = moved else {
                assert_ne!(world.running_child(child), [N1], "seed {seed}");
                continue;
            };
            assert!(
                moved.started.since(left) <= Duration::from_secs(1),
                "{child} runs again {:?} after the leave began; seed {seed}",
                moved.started.since(left)
            );
            assert_eq!(runs.iter().filter(|run| run.ended.is_none()).count(), 1, "seed {seed}");
        }
        world.settle(SETTLE);
    }
}
