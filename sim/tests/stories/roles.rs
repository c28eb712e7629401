//! Members that run nothing, or count for nothing, and what operators say of members.

use std::time::Duration;

use ordu_core::{MemberStatus, RegisterError, Replicas, Role, StartChildError};
use ordu_sim::{Host, N1, N2, N3, N4, World, WorldBuilder, named, seeds, spec};

use crate::{LONG, SETTLE, start_children};

/// Returns a world of `hosts` in which `host` is of `role`.
fn with_role(seed: u64, hosts: u16, host: Host, role: Role) -> WorldBuilder {
    World::builder(seed, hosts).configure(move |at, config| {
        if at == host {
            config.role = role;
        }
    })
}

/// A client reads, calls, starts and ends children, and runs none; what it started outlives it.
#[test]
fn a_client_runs_nothing_and_what_it_started_outlives_it() {
    for seed in seeds(10) {
        let mut world = with_role(seed, 3, N3, Role::Client).joined();
        let mut children = Vec::new();
        for number in 0..8 {
            let named = named("counter", &format!("c/{number}"));
            let started = world.start_child(N3, named).expect("a client may start children");
            assert!(started.replicated, "the client and whoever runs it have it; seed {seed}");
            children.push(started.child);
        }
        world.settle(SETTLE);
        assert_eq!(world.load(N3), 0, "seed {seed}");
        assert_eq!(world.count(N3, "c/0", 2), Ok(2), "seed {seed}");
        let ended = children.pop().expect("there are eight");
        assert_eq!(world.terminate(N3, ended), Ok(()), "seed {seed}");
        for host in [N1, N2, N3] {
            let client = &world.members(host)[&N3.id()];
            assert_eq!((client.role, client.kinds.len()), (Role::Client, 0), "as {host} sees it");
            assert_eq!(world.members(host)[&N1.id()].role, Role::Worker, "as {host} sees it");
        }

        // It goes, and nothing that it asked for goes with it.
        world.kill(N3);
        world.run_for(LONG);
        world.settle(SETTLE);
        for &child in &children {
            assert_eq!(world.running_child(child).len(), 1, "seed {seed}");
            assert_eq!(world.runs_of(child).len(), 1, "nobody moved it; seed {seed}");
        }
    }
}

/// A client takes over nothing, even when it is all that is left; a worker that comes does.
#[test]
fn a_client_takes_nothing_over() {
    for seed in seeds(10) {
        let mut world = with_role(seed, 3, N2, Role::Client).absent(N3).joined();
        let children = start_children(&mut world, "ok", 6);
        world.settle(SETTLE);
        assert_eq!(world.load(N1), 6, "seed {seed}");

        world.kill(N1);
        world.run_for(LONG);
        assert_eq!(world.load(N2), 0, "seed {seed}");
        assert_eq!(world.children(N2).len(), 6, "it knows them all; seed {seed}");

        world.start(N3);
        world.run_for(LONG);
        world.settle(SETTLE);
        assert_eq!(world.load(N3), 6, "seed {seed}");
        assert!(children.iter().all(|&child| world.running_child(child) == [N3]), "seed {seed}");
    }
}

/// The names of a client's own processes show everywhere, and are hidden once it is silent.
#[test]
fn a_clients_names_are_hidden_with_it() {
    for seed in seeds(10) {
        let mut world = with_role(seed, 3, N3, Role::Client).joined();
        let process = world.spawn(N3);
        assert_eq!(world.register_on(N3, "browser", &process, Replicas::All), Ok(()));
        for host in [N1, N2] {
            assert_eq!(world.lookup(host, "browser").map(|holder| &holder.process), Some(&process));
        }
        assert_eq!(world.count(N1, "browser", 3), Ok(3), "it is called as any; seed {seed}");

        world.kill(N3);
        world.run_for(LONG);
        assert_eq!(world.status(N1, N3), Some(MemberStatus::Down));
        assert_eq!(world.lookup(N1, "browser"), None, "seed {seed}");
        world.settle(SETTLE);
    }
}

/// Clients count in no majority: two that are silent delay no name, and two that are there make
/// none.
#[test]
fn clients_count_in_no_majority() {
    let two_clients = |seed| {
        World::builder(seed, 4).configure(|at, config| {
            if at == N3 || at == N4 {
                config.role = Role::Client;
            }
        })
    };
    for seed in seeds(10) {
        let mut world = two_clients(seed).joined();
        let process = world.spawn(N1);
        // Neither client can say that it holds the name, and nobody waits for that.
        world.partition(&[N1, N2], &[N3, N4]);
        for (name, replicas) in [("m", Replicas::Majority), ("a", Replicas::All)] {
            let before = world.now();
            assert_eq!(world.register_on(N1, name, &process, replicas), Ok(()), "seed {seed}");
            assert!(world.now().since(before) < Duration::from_secs(1), "seed {seed}");
        }

        // With the other worker gone, the clients make up for it in no count.
        world.heal();
        world.kill(N2);
        world.run_for(LONG);
        for (name, replicas) in [("t", Replicas::Two), ("n", Replicas::Majority)] {
            let answer = world.register_on(N1, name, &process, replicas);
            assert_eq!(answer, Err(RegisterError::TimedOut { wanted: 2 }), "{name}; seed {seed}");
        }
    }
}

/// A worker with none but a client beside it answers as one that is alone.
#[test]
fn a_client_is_no_company() {
    for seed in seeds(10) {
        let mut world = with_role(seed, 2, N2, Role::Client).joined();
        let started = world.start_child(N1, spec("ok")).expect("it is started here");
        assert!(!started.replicated, "nobody has it who counts; seed {seed}");
        assert_eq!(world.terminate(N1, started.child), Ok(()), "seed {seed}");

        // What the client writes itself is on two nodes as soon as the worker has it.
        let started = world.start_child(N2, spec("ok")).expect("it is started on the worker");
        assert!(started.replicated, "both have it; seed {seed}");
        assert_eq!(world.terminate(N2, started.child), Ok(()), "seed {seed}");
    }
}

/// A keeper counts in majorities and runs nothing.
#[test]
fn a_keeper_counts_and_runs_nothing() {
    for seed in seeds(10) {
        let mut world = with_role(seed, 3, N3, Role::Keeper).joined();
        let children = start_children(&mut world, "ok", 12);
        world.settle(SETTLE);
        assert_eq!(world.load(N3), 0, "seed {seed}");
        assert_eq!(world.load(N1) + world.load(N2), 12, "seed {seed}");

        // With one worker gone, the keeper makes the majority.
        let process = world.spawn(N1);
        world.kill(N2);
        world.run_for(LONG);
        let held = world.register_on(N1, "m", &process, Replicas::Majority);
        assert_eq!(held, Ok(()), "seed {seed}");
        world.settle(SETTLE);
        let is_on_n1 = |&child| world.running_child(child) == [N1];
        assert!(children.iter().all(is_on_n1), "seed {seed}");
    }
}

/// A client waits for a cluster as long as it takes, and two of them are none.
#[test]
fn clients_alone_begin_no_cluster() {
    for seed in seeds(10) {
        let roles = |at: Host, config: &mut ordu_core::Config| {
            if at != N1 {
                config.role = Role::Client;
            }
        };
        let mut world = World::builder(seed, 3).absent(N1).configure(roles).build();
        world.run_for(LONG * 3);
        for host in [N2, N3] {
            assert!(world.members(host).is_empty(), "{host} is a member of nothing; seed {seed}");
        }
        let refused = world.start_child(N2, spec("ok"));
        assert_eq!(refused, Err(StartChildError::NotReady), "seed {seed}");

        world.start(N1);
        world.run_for(LONG);
        world.settle(SETTLE);
        for host in [N1, N2, N3] {
            assert_eq!(world.members(host).len(), 3, "as {host} sees it; seed {seed}");
        }
    }
}

/// What an operator says of a member is seen by all, and said anew by its next life.
#[test]
fn labels_are_seen_by_all_members() {
    for seed in seeds(10) {
        let labelled = |at: Host, config: &mut ordu_core::Config| {
            config.labels.insert("zone", format!("zone-of-{at}")).expect("it is short");
        };
        let mut world = World::builder(seed, 3).configure(labelled).joined();
        let check = |world: &World| {
            for host in [N1, N2, N3] {
                for of in [N1, N2, N3] {
                    let zone = world.members(host)[&of.id()].labels.value("zone");
                    assert_eq!(zone, Some(format!("zone-of-{of}").as_str()), "seed {seed}");
                }
            }
        };
        world.settle(SETTLE);
        check(&world);
        world.restart(N2);
        world.run_for(LONG);
        world.settle(SETTLE);
        check(&world);
    }
}
