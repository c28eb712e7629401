//! What stands beside a name, and who changes it.

use std::time::Duration;

use ordu_core::{ProcessId, UpdateError, Updated};
use ordu_sim::{Host, N1, N2, N3, World, name, named, seeds};

use crate::{LONG, SETTLE, home, others};

fn value(world: &World, host: Host, text: &str) -> Option<String> {
    world.lookup(host, text).map(|holder| holder.value.to_string())
}

fn not_holder(text: &str, process: &ProcessId) -> UpdateError {
    UpdateError::NotHolder { name: name(text), process: process.clone() }
}

/// B83. The holder changes what stands beside its name, and that shows at once where it was asked.
/// B84. Nobody else changes it. B127. A change that rests on an older value is not made.
#[test]
fn a_value_is_changed_by_its_holder_from_any_node() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let (holder, other) = (world.spawn(N1), world.spawn(N2));
        world.register(N1, "cart", &holder).unwrap();
        world.settle(SETTLE);

        assert_eq!(world.update(N1, "cart", &holder, "", "a"), Ok(Updated::Done), "seed {seed}");
        assert_eq!(value(&world, N1, "cart").as_deref(), Some("a"), "seed {seed}");
        world.settle(SETTLE);
        assert_eq!(world.update(N3, "cart", &holder, "a", "b"), Ok(Updated::Done), "seed {seed}");
        for host in [N1, N3] {
            assert_eq!(value(&world, host, "cart").as_deref(), Some("b"), "seed {seed}");
        }

        let changed = Updated::Changed { value: "b".into() };
        for host in [N1, N2, N3] {
            let stale = world.update(host, "cart", &holder, "a", "c");
            assert_eq!(stale, Ok(changed.clone()), "seed {seed}");
            let refused = world.update(host, "cart", &other, "b", "c");
            assert_eq!(refused, Err(not_holder("cart", &other)), "seed {seed}");
        }
        world.settle(SETTLE);
        for host in [N1, N2, N3] {
            assert_eq!(value(&world, host, "cart").as_deref(), Some("b"), "seed {seed}");
        }
    }
}

/// The name that a child is started with has a value, too: each process of the child begins with
/// that of the specification.
#[test]
fn each_process_of_a_child_begins_with_the_value_of_its_specification() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let spec = ordu_core::ChildSpec { value: "fresh".into(), ..named("ok", "cart") };
        let first = world.start_child(N1, spec).unwrap();
        world.settle(SETTLE);
        for host in [N1, N2, N3] {
            assert_eq!(value(&world, host, "cart").as_deref(), Some("fresh"), "seed {seed}");
        }

        // Changed by its process, it is changed everywhere.
        let updated = world.update(N2, "cart", &first.process, "fresh", "worn");
        assert_eq!(updated, Ok(Updated::Done), "seed {seed}");
        world.settle(SETTLE);
        for host in [N1, N2, N3] {
            assert_eq!(value(&world, host, "cart").as_deref(), Some("worn"), "seed {seed}");
        }

        // Started again in place, it is as it was at first; what is gone changes nothing.
        world.end_process(&first.process, Some("on demand"));
        world.run_for(Duration::from_millis(100));
        world.settle(SETTLE);
        for host in [N1, N2, N3] {
            assert_eq!(value(&world, host, "cart").as_deref(), Some("fresh"), "seed {seed}");
        }
        let refused = world.update(N2, "cart", &first.process, "fresh", "worn");
        assert_eq!(refused, Err(not_holder("cart", &first.process)), "seed {seed}");

        // And so it is on another node.
        let host = home(&world, first.child);
        let second = world.lookup(host, "cart").unwrap().process.clone();
        world.update(host, "cart", &second, "fresh", "worn").unwrap();
        world.settle(SETTLE);
        world.kill(host);
        world.run_for(LONG);
        for host in others(&world, host) {
            assert_eq!(value(&world, host, "cart").as_deref(), Some("fresh"), "seed {seed}");
        }
    }
}

/// A value that was changed on one side of a split is what all see once it is healed.
#[test]
fn a_value_changed_in_a_split_is_seen_after_it() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let holder = world.spawn(N3);
        world.register(N3, "cart", &holder).unwrap();
        world.settle(SETTLE);
        world.partition(&[N1, N2], &[N3]);
        world.run_for(LONG);
        world.update(N3, "cart", &holder, "", "during").unwrap();
        let refused = world.update(N1, "cart", &holder, "", "never");
        assert_eq!(refused, Err(not_holder("cart", &holder)), "seed {seed}");

        world.heal();
        world.run_for(LONG);
        world.settle(SETTLE);
        for host in [N1, N2, N3] {
            assert_eq!(value(&world, host, "cart").as_deref(), Some("during"), "seed {seed}");
        }
    }
}
