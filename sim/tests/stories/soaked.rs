//! What the soak has found: each bug once, as short as it can be told.

use std::time::Duration;

use ordu_core::{Command, Reply, TerminateError};
use ordu_sim::{Behaviour, N1, N2, N3, Network, World, named, scope, seeds, spec};

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

/// A name asked for twice at once goes to one child. A rival that never ran is over as soon as it
/// was beaten for long enough, also if the winner fails again and again; it used to wait for ever.
///
/// Where both came up before they saw each other, a winner that hardly ever runs cannot take the
/// other in, and both stay: such seeds are passed over.
#[test]
fn a_child_beaten_to_its_name_is_over_though_the_winner_keeps_failing() {
    let mut told = 0;
    for seed in seeds(20) {
        let mut world = World::new(seed, 3);
        for (host, kind) in [(N1, "crash-after-50ms"), (N2, "ok")] {
            let (scope, spec) = (scope(), named(kind, "worker"));
            let _ = world.request(host, Command::Start { scope, spec });
        }
        world.run_for(Duration::from_secs(90));
        let ran = |kind: &str| world.runs().iter().any(|run| run.kind == kind);
        if !(ran("ok") && ran("crash-after-50ms")) {
            assert_eq!(world.children(N1).len(), 1, "seed {seed}");
            told += 1;
        }
    }
    assert!(told > 0, "no seed told the story");
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

/// A child whose process loses a name that it was given later has not lost itself: it is started
/// again without the name. It used to end, though it had not been started with that name.
#[test]
fn a_child_outlives_the_loss_of_an_alias() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 2);
        world.partition(&[N1], &[N2]);
        world.run_for(LONG);
        let elder = world.spawn(N1);
        world.register(N1, "alias", &elder).unwrap();
        world.run_for(Duration::from_secs(1));
        let child = world.start_child(N2, spec("ok")).unwrap();
        world.register(N2, "alias", &child.process).unwrap();

        world.heal();
        world.run_for(LONG);
        world.settle(SETTLE);
        let holder = world.lookup(N2, "alias").map(|holder| holder.process.clone());
        assert_eq!(holder, Some(elder), "the elder keeps the name; seed {seed}");
        home(&world, child.child);
        assert_eq!(world.children(N1).len(), 1, "seed {seed}");
    }
}

/// Whoever is told that a name is taken reads it at once, also on another node than the one that
/// wrote it. The answer used to come before the entry.
#[test]
fn a_name_that_was_given_through_another_node_is_read_there_at_once() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let process = world.spawn(N1);
        world.register(N2, "alias", &process).unwrap();
        let holder = world.lookup(N2, "alias").map(|holder| holder.process.clone());
        assert_eq!(holder, Some(process), "seed {seed}");
    }
}

/// A network that repeats frames repeats no call, and no change that one node makes for another.
/// Both used to be carried out as often as they arrived.
#[test]
fn what_arrives_twice_is_done_once() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let process = world.spawn(N1);
        world.set_network(Network { repeat_per_mille: 1_000, ..Network::lossy() });
        let mut counted = 0;
        for number in 0..20 {
            let name = format!("counter-{number}");
            if world.register(N2, &name, &process).is_ok() && world.count(N2, &name, 1).is_ok() {
                counted += 1;
            }
            let _ = world.unregister(N2, &name, &process);
        }
        world.set_network(Network::lan());
        world.run_for(LONG);
        assert!(counted > 0, "seed {seed}");
        assert!(world.total(&process) <= Some(20), "seed {seed}");
        world.settle(SETTLE);
    }
}

/// A child whose node is silent is not over because somebody else runs under its name meanwhile:
/// its process may live, and be the elder. It used to be ended after the failure timeout.
#[test]
fn a_silent_child_is_not_ended_for_a_younger_one_of_its_name() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 2);
        world.partition(&[N1], &[N2]);
        world.run_for(LONG);
        let elder = world.start_child(N1, named("counter", "cart")).unwrap().child;
        world.run_for(Duration::from_secs(1));
        let younger = world.start_child(N2, named("counter", "cart")).unwrap().child;
        assert_eq!(world.count(N1, "cart", 5), Ok(5));
        world.heal();
        world.run_until(LONG, |world| world.children(N2).contains_key(&elder));

        // They have just seen each other, and are parted again for longer than any patience.
        world.partition(&[N1], &[N2]);
        world.run_for(LONG);
        world.heal();
        world.run_for(LONG);
        world.settle(SETTLE);
        home(&world, elder);
        assert!(world.running_child(younger).is_empty(), "seed {seed}");
        assert_eq!(world.count(N2, "cart", 0), Ok(5), "seed {seed}");
    }
}

/// Where a node that starts anew tells of its life before, and dies before it has heard that nobody
/// needs that any more, every life used to be told of for ever: each newcomer asked for them all.
#[test]
fn the_lives_of_nodes_that_start_anew_all_the_time_are_let_go_of_meanwhile() {
    for seed in seeds(3) {
        let mut world = World::new(seed, 4);
        let hosts = world.up();
        for number in 0..200 {
            world.restart(hosts[number % 3]);
            world.run_for(Duration::from_millis(350));
        }
        let held = world.node(hosts[3]).expect("it never died").journals().count();
        assert!(held <= 12, "n4 holds {held} journals of four nodes; seed {seed}");

        world.run_for(LONG);
        world.settle(SETTLE);
    }
}
