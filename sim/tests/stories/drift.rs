//! Leases over clocks at either end of what they may do, and how long that takes.

use std::time::Duration;

use ordu_core::ChildId;
use ordu_sim::{Host, World, WorldBuilder};

/// Longer than voters that have just started, or have just changed, grant or decide nothing.
pub(crate) const ABSTENTION: Duration = Duration::from_secs(6);

/// As long as it takes at most until what a node held that is gone is granted to another: until
/// what was promised has passed, whatever clocks show, and somebody has asked.
pub(crate) const TAKEOVER: Duration = Duration::from_millis(6_500);

/// After which a lease has ended that nobody renews, by the slowest clock.
pub(crate) const LEASE: Duration = Duration::from_millis(5_100);

/// Returns a cluster of `hosts` machines in which half of the clocks are as fast as they may be,
/// and the others as slow.
pub(crate) fn drifting(seed: u64, hosts: u16) -> WorldBuilder {
    (1..=hosts).fold(World::builder(seed, hosts), |builder, number| {
        let is_fast = (seed + u64::from(number)).is_multiple_of(2);
        builder.clock_gain_ppm(Host::new(number), if is_fast { 10_000 } else { -10_000 })
    })
}

/// Returns the nodes of `builder` once they know each other and its voters grant.
pub(crate) fn granting(builder: WorldBuilder) -> World {
    let mut world = builder.joined();
    world.run_for(ABSTENTION);
    world
}

/// Returns whether each of `children` runs once.
pub(crate) fn all_run(children: &[ChildId]) -> impl Fn(&World) -> bool {
    |world| children.iter().all(|&child| world.running_child(child).len() == 1)
}
