//! Children that move to where they belong, once members have come.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ordu_core::placement::{Move, Redistribution};
use ordu_core::{ChildId, ChildSpec, StartReason, StopReason};
use ordu_sim::{Behaviour, Host, N1, N2, N3, N4, World, WorldBuilder, seeds, spec};

use crate::{LONG, SETTLE, home, start_children};

const QUIET: Duration = Duration::from_secs(5);

fn active(seed: u64, hosts: u16, at_once: usize) -> WorldBuilder {
    World::builder(seed, hosts).configure(move |_, config| {
        config.redistribution = Redistribution::Active { at_once, quiet: QUIET };
    })
}

fn homes(world: &World, children: &[ChildId]) -> BTreeMap<ChildId, Host> {
    children.iter().map(|&child| (child, home(world, child))).collect()
}

/// Returns the children of a plan, and where each of them goes.
fn ends_of(moves: &[Move]) -> BTreeMap<ChildId, Host> {
    let end = |to: &Move| (to.child, Host::of(&to.to).expect("a node has its machine"));
    moves.iter().map(end).collect()
}

/// B21. When a member joins, just those children move that belong to it, to it, as a plan said
/// before; they are told why, and nothing else is touched.
#[test]
fn a_newcomer_is_given_what_belongs_to_it_and_nothing_else_moves() {
    for seed in seeds(5) {
        let mut world = active(seed, 4, 3).absent(N4).joined();
        let children = start_children(&mut world, "ok", 40);
        world.settle(2 * QUIET);
        let before = homes(&world, &children);
        assert_eq!(world.plan_moves(N1, None), [], "all are where they belong; seed {seed}");

        world.start(N4);
        world.run_for(Duration::from_secs(2));
        assert_eq!(homes(&world, &children), before, "nothing moves before it is quiet");
        let planned = ends_of(&world.plan_moves(N2, None));
        assert!(!planned.is_empty(), "something belongs to the newcomer; seed {seed}");
        assert!(planned.values().all(|to| *to == N4), "and to nobody else; seed {seed}");

        world.run_for(2 * QUIET);
        world.settle(SETTLE);
        for (child, was) in before {
            let now = home(&world, child);
            assert_eq!(now, *planned.get(&child).unwrap_or(&was), "seed {seed}");
            let runs = world.runs_of(child);
            if planned.contains_key(&child) {
                assert_eq!(runs[0].stop, Some(StopReason::Moving), "seed {seed}");
                assert_eq!(runs[1].reason, Some(StartReason::Moved), "seed {seed}");
                assert!(!runs[0].overlaps(runs[1]), "it stops before it starts; seed {seed}");
            } else {
                assert_eq!(runs.len(), 1, "seed {seed}");
            }
        }
        assert_eq!(world.plan_moves(N3, None), [], "seed {seed}");
    }
}

/// No node lets more of its children move at once than it is told to.
#[test]
fn a_few_move_at_once() {
    for seed in seeds(3) {
        // Longer than it takes until the node looks again, a beat later.
        let slow = Behaviour::ok().stopping_in(Duration::from_millis(1_300));
        let mut world = active(seed, 3, 2).kind("slow", slow).absent(N3).joined();
        start_children(&mut world, "slow", 40);
        world.start(N3);
        let mut most = 0;
        for _ in 0..900 {
            world.run_for(Duration::from_millis(50));
            for host in [N1, N2] {
                let moving = world.runs().iter().filter(|run| {
                    let is_moving = run.stop == Some(StopReason::Moving);
                    run.host == host && run.ended.is_none() && is_moving
                });
                most = most.max(moving.count());
            }
        }
        assert_eq!(most, 2, "as many as may, and no more; seed {seed}");
        world.settle(SETTLE);
        assert_eq!(world.plan_moves(N1, None), [], "seed {seed}");
        assert!(0 < world.load(N3));
    }
}

/// What is to stay stays, and is moved when its node goes.
#[test]
fn what_stays_is_left_where_it_runs() {
    for seed in seeds(5) {
        let mut world = active(seed, 3, 10).absent(N3).joined();
        let start = |_| {
            let spec = ChildSpec { stays: true, ..spec("ok") };
            world.start_child(N1, spec).unwrap().child
        };
        let children: Vec<ChildId> = (0..20).map(start).collect();
        let before = homes(&world, &children);
        world.start(N3);
        world.run_for(3 * QUIET);
        world.settle(SETTLE);
        assert_eq!(homes(&world, &children), before, "seed {seed}");

        let of_n2: BTreeSet<ChildId> =
            before.iter().filter(|(_, host)| **host == N2).map(|(child, _)| *child).collect();
        let planned = ends_of(&world.plan_moves(N1, Some(N2)));
        assert_eq!(planned.keys().copied().collect::<BTreeSet<_>>(), of_n2, "seed {seed}");
        world.leave(N2).unwrap();
        world.run_for(2 * QUIET);
        world.settle(SETTLE);
        for (child, to) in planned {
            assert_eq!(home(&world, child), to, "where the plan said; seed {seed}");
        }
    }
}

/// What would run elsewhere if a node left is known before it does.
#[test]
fn what_a_leave_would_move_is_told_before() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 4);
        let children = start_children(&mut world, "ok", 40);
        world.settle(SETTLE);
        let before = homes(&world, &children);
        let planned = ends_of(&world.plan_moves(N1, Some(N3)));
        world.leave(N3).unwrap();
        world.settle(SETTLE);
        for (child, was) in before {
            assert_eq!(planned.contains_key(&child), was == N3, "seed {seed}");
            let shall = planned.get(&child).copied().unwrap_or(was);
            assert_eq!(home(&world, child), shall, "seed {seed}");
        }
    }
}

/// Where all nodes are full nothing moves about; where one gets room, what belongs there moves
/// back.
#[test]
fn a_full_cluster_comes_to_rest() {
    for seed in seeds(5) {
        let mut world = World::builder(seed, 3)
            .configure(|_, config| {
                config.max_children = Some(10);
                config.redistribution = Redistribution::Active { at_once: 2, quiet: QUIET };
            })
            .joined();
        let children = start_children(&mut world, "ok", 30);
        world.run_for(LONG);
        world.settle(LONG);
        let runs = world.runs().len();
        world.run_for(Duration::from_secs(120));
        assert_eq!(world.runs().len(), runs, "nothing moves to and fro; seed {seed}");
        let ended = children[0];
        world.terminate(N1, ended).unwrap();
        // Whoever moves leaves room for the next; each of them comes to where it belongs.
        world.run_for(Duration::from_secs(240));
        world.settle(LONG);
        let runs = world.runs().len();
        world.run_for(Duration::from_secs(120));
        assert_eq!(world.runs().len(), runs, "and comes to rest again; seed {seed}");
        homes(&world, &children[1..]);
    }
}
