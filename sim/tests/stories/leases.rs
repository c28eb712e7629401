//! Children that run under leases: one process of each at a time, whatever the network does.
//!
//! Every world holds all starts and renewals against true time (S18 to S22), so what the stories
//! themselves look at is that children do run, when, and where.

use std::time::Duration;

use ordu_core::{Event, Mode, StartReason, StopReason, Voters};
use ordu_sim::{Host, N1, N2, N3, N4, N5, Network, Topology, World, WorldBuilder, scope, seeds, spec};

use crate::{home, others, start_at_once};

/// Longer than voters that have just started grant nothing.
const ABSTENTION: Duration = Duration::from_secs(6);

/// As long as it takes at most until a child of a node that is gone runs again: until its promise
/// has passed, whatever clocks show, and somebody has asked.
const TAKEOVER: Duration = Duration::from_millis(6_500);

fn builder(seed: u64, hosts: u16) -> WorldBuilder {
    // Half of the machines at either end of what clocks may do.
    let mut builder = World::builder(seed, hosts).exclusive(hosts);
    for number in 1..=hosts {
        let gain_ppm = if (seed + u64::from(number)).is_multiple_of(2) { 10_000 } else { -10_000 };
        builder = builder.clock_gain_ppm(Host::new(number), gain_ppm);
    }
    builder
}

/// Returns a cluster whose voters grant.
fn world(seed: u64, hosts: u16) -> World {
    let mut world = builder(seed, hosts).joined();
    world.run_for(ABSTENTION);
    world
}

fn start(world: &mut World, count: usize) -> Vec<ordu_core::ChildId> {
    let hosts = world.up();
    let specs = (0..count).map(|number| (hosts[number % hosts.len()], spec("counter")));
    let specs: Vec<_> = specs.collect();
    start_at_once(world, specs)
}

/// Children start at once where voters grant, and one request a period renews them all.
#[test]
fn children_run_under_leases_that_are_renewed_together() {
    for seed in seeds(5) {
        let mut world = world(seed, 3);
        let children = start(&mut world, 60);
        world.run_for(Duration::from_secs(60));
        for &child in &children {
            home(&world, child);
        }
        assert_eq!(world.runs().len(), 60, "nothing was started again; seed {seed}");
        let (started, lapsed) = world.leases();
        assert_eq!((started, lapsed), (60, 0), "seed {seed}");
        world.settle(Duration::from_secs(10));
    }
}

/// Who is killed runs nothing any more, but nobody can know that: its children run elsewhere once
/// what was promised to it has passed, and not much later.
#[test]
fn the_children_of_a_killed_node_run_again_once_its_leases_have_passed() {
    for seed in seeds(10) {
        let mut world = world(seed, 3);
        let children = start(&mut world, 12);
        let victim = home(&world, children[0]);
        world.kill(victim);
        let all_run = |world: &World| children.iter().all(|&c| world.running_child(c).len() == 1);
        let at = world.now();
        assert!(world.run_until(TAKEOVER, all_run), "seed {seed}: {}", world.tail());
        let took = world.now().since(at);
        assert!(Duration::from_millis(3_500) < took, "not before they have passed: {took:?}");
        let taken = |run: &&ordu_sim::Run| run.reason == Some(StartReason::FailedOver);
        assert!(world.runs().iter().any(|run| taken(&run)), "seed {seed}");
    }
}
