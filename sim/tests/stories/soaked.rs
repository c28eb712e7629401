//! What the soak has found: each bug once, as short as it can be told.

use std::time::Duration;

use ordu_core::{Command, Reply, TerminateError};
use ordu_sim::{Behaviour, N1, N2, N3, World, named, scope, seeds, spec};

use crate::{LONG, SETTLE, home};

/// A node that starts anew while it is cut off finds nobody who knows of its life before, and may
/// take a lower one. It used to be refused as a ghost for ever; it is told, and takes a higher one.
#[test]
fn a_node_that_began_anew_behind_a_split_is_a_member_after_it() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 3);
        world.partition(&[N1, N2], &[N3]);
        world.restart(N3);
        world.run_for(LONG);
        let child = world.start_child(N3, spec("ok")).unwrap().child;

        world.heal();
        world.run_for(LONG);
        world.settle(SETTLE);
        home(&world, child);
        assert_eq!(world.settled(N1), Ok(()), "seed {seed}");
    }
}

/// Two nodes that both began anew without each other each take the other for a ghost.
#[test]
fn two_nodes_that_outlived_each_other_meet_again() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 2);
        world.partition(&[N1], &[N2]);
        world.restart(N1);
        world.restart(N2);
        world.run_for(LONG);

        world.heal();
        world.run_for(LONG);
        world.settle(SETTLE);
        assert_eq!(world.settled(N2), Ok(()), "seed {seed}");
    }
}

/// Cut off before it saw the claim of a child that runs, a node starts it, too. That this start
/// fails, its first there, used to end the child for good, wherever it ran.
#[test]
fn a_start_that_fails_behind_a_split_does_not_end_what_runs_beyond_it() {
    for seed in seeds(5) {
        let mut world =
            World::builder(seed, 3).kind("fails-second", Behaviour::fails_on(&[2])).joined();
        world.cut_link(N2, N3);
        let start = |world: &mut World| world.start_child(N1, spec("fails-second")).unwrap().child;
        let children: Vec<_> = (0..12).map(|_| start(&mut world)).collect();
        assert!(children.iter().any(|&child| home(&world, child) == N2), "seed {seed}");
        world.partition(&[N1, N2], &[N3]);
        world.run_for(LONG);

        world.heal();
        world.run_for(LONG);
        world.settle(SETTLE);
        for child in children {
            home(&world, child);
        }
    }
}

/// A name asked for twice at once goes to one child. Its rival is over as soon as it was beaten for
/// long enough, also if the winner fails again and again; it used to wait for ever.
#[test]
fn a_child_beaten_to_its_name_is_over_though_the_winner_keeps_failing() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        for (host, kind) in [(N1, "crash-after-50ms"), (N2, "ok")] {
            let (scope, spec) = (scope(), named(kind, "worker"));
            let _ = world.request(host, Command::Start { scope, spec });
        }
        world.run_for(Duration::from_secs(90));
        assert_eq!(world.children(N1).len(), 1, "seed {seed}");
    }
}

/// A node that leaves may not hear any more who runs what, and what it writes may go with it.
#[test]
fn a_node_that_leaves_ends_no_child() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 3);
        let child = world.start_child(N1, spec("slow-stop")).unwrap().child;
        world.settle(SETTLE);
        let host = home(&world, child);
        let _ = world.request(host, Command::Leave);
        let ticket = world.request(host, Command::Terminate { scope: scope(), child });
        let refused = Reply::Terminate(Err(TerminateError::NotReady));
        assert_eq!(world.reply(ticket), Some(&refused), "seed {seed}");
        world.run_for(LONG);
        world.settle(SETTLE);
        home(&world, child);
    }
}
