//! What leases assume of voters and clocks: where it does not hold, nodes refuse each other, or the
//! world sees the promise broken.

use std::time::Duration;

use ordu_core::{Event, Node, Time, Voters};
use ordu_sim::{N1, N2, N3, World, seeds};

use super::{builder, forget_what_was_granted_to, start, world};
use crate::drift::{TAKEOVER, granting};
use crate::{home, others};

/// Who goes by other voters is not believed anything.
#[test]
fn nodes_with_other_voters_refuse_each_other() {
    for seed in seeds(3) {
        let mut world = builder(seed, 3)
            .configure(|host, config| {
                if host == N3 {
                    config.voters = Some(Voters::new([N3.id()]));
                }
            })
            .build();
        world.run_for(Duration::from_secs(20));
        let refused = |event: &Event| matches!(event, Event::TermsRefused { .. });
        assert!(world.events().iter().any(|(_, _, event)| refused(event)), "seed {seed}");
        assert_eq!(world.members(N3).len(), 1, "seed {seed}");
        assert_eq!(world.members(N1).len(), 2, "seed {seed}");
    }
}

/// All wall clocks are set on by a minute, or back, right after a holder was cut off: what was
/// promised to it lasts as long as it would have.
#[test]
fn wall_clocks_that_step_end_no_promise() {
    for seed in seeds(6) {
        let mut world = world(seed, 3);
        let children = start(&mut world, 12);
        let holder = home(&world, children[0]);
        let rest = others(&world, holder);
        world.partition(&[holder], &rest);
        let step_ms = if seed.is_multiple_of(2) { 60_000 } else { -60_000 };
        for host in world.up() {
            world.set_wall_offset_ms(host, step_ms);
        }
        let at = world.now();
        let elsewhere = |world: &World| {
            children.iter().all(|&child| world.running_child(child).iter().any(|h| *h != holder))
        };
        assert!(world.run_until(TAKEOVER, elsewhere), "seed {seed}: {}", world.tail());
        assert!(Duration::from_millis(3_900) < world.now().since(at), "seed {seed}");
    }
}

/// What the promise assumes of clocks is needed: if they run more differently than nodes are told,
/// a lease outlasts what was promised, and the world sees it.
#[test]
#[should_panic(expected = "S19")]
fn clocks_beyond_the_bound_are_seen_to_break_the_promise() {
    let mut builder = World::builder(1, 3).exclusive(3);
    for host in [N1, N2, N3] {
        builder = builder.clock_gain_ppm(host, 200_000);
    }
    let mut world = granting(builder);
    let children = start(&mut world, 12);
    let slow = home(&world, children[0]);
    world.set_clock_gain_ppm(slow, -200_000);
    let rest = others(&world, slow);
    world.partition(&[slow], &rest);
    world.run_for(2 * TAKEOVER);
}

/// What the promise assumes of clocks is needed: if one stands still while its machine sleeps, as
/// `CLOCK_MONOTONIC` does, a lease outlasts the sleep, and the world sees it.
#[test]
#[should_panic(expected = "S19")]
fn a_clock_that_stands_still_in_sleep_is_seen_to_break_the_promise() {
    let mut world = world(1, 3);
    let children = start(&mut world, 12);
    let asleep = home(&world, children[0]);
    world.suspend(asleep, Duration::from_secs(10));
    world.run_for(2 * TAKEOVER);
}

/// What the promise assumes of voters is needed: if they grant as soon as they are started, they
/// grant what they have forgotten to have promised, and the world sees it.
#[test]
#[should_panic(expected = "S19")]
fn voters_that_do_not_abstain_are_seen_to_break_the_promise() {
    let mut world = World::builder(1, 5)
        .exclusive(3)
        // By its clock, such a node was started long ago.
        .machines(Box::new(|config, seed, _| Box::new(Node::new(config, seed, Time::ZERO))))
        .joined();
    let children = start(&mut world, 12);
    let holder = home(&world, children[0]);
    forget_what_was_granted_to(&mut world, holder);
    world.run_for(2 * TAKEOVER);
}
