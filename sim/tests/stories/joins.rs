//! How nodes come and go of their own will.

use std::time::Duration;

use ordu_core::{
    Blob, Command, Config, ExitReason, MemberStatus, Reply, StartReason, StopReason, Target,
};
use ordu_sim::{Host, N1, N2, N3, N4, World, named, scope, seeds};

use crate::{LONG, SETTLE, home, others, start_children};

/// Returns a world in which n1 runs alone, and n2 is there to be started.
fn n1_alone(seed: u64) -> World {
    let builder = World::builder(seed, 2).absent(N2);
    let alone = |host, config: &mut Config| {
        if host == N1 {
            config.seeds.clear();
        }
    };
    let mut world = builder.configure(alone).joined();
    world.run_for(Duration::from_secs(1));
    world
}

/// B41, B59. Two nodes see two members.
#[test]
fn two_nodes_see_each_other() {
    for seed in seeds(20) {
        let world = World::new(seed, 2);
        assert_eq!(world.status(N1, N2), Some(MemberStatus::Alive));
        assert_eq!(world.status(N2, N1), Some(MemberStatus::Alive));
        world.assert_settled();
    }
}

/// B60. Three nodes see three members.
#[test]
fn three_nodes_see_each_other() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 3);
        world.assert_settled();
        assert_eq!(world.settled(N1), Ok(()), "seed {seed}");
    }
}

/// A quiet cluster stays as it is: nobody is suspected, nothing starts, nothing stops.
#[test]
fn an_idle_cluster_stays_as_it_is() {
    for seed in seeds(3) {
        let mut world = World::new(seed, 5);
        start_children(&mut world, "ok", 10);
        world.settle(SETTLE);
        let events = world.events().len();
        world.run_for(Duration::from_secs(60));

        assert_eq!(world.runs().len(), 10, "seed {seed}");
        assert_eq!(world.events().len(), events, "{:?}", &world.events()[events..]);
        world.assert_settled();
    }
}

/// B147. Sixteen nodes join four at once: whoever is called meanwhile answers in time, and in the
/// end all know all.
#[test]
fn sixteen_nodes_join_four_at_once_and_keep_nobody_waiting() {
    for seed in seeds(4) {
        let hosts: Vec<Host> = (1..=20).map(Host::new).collect();
        let builder = hosts[4..].iter().fold(World::builder(seed, 20), |b, &host| b.absent(host));
        let mut world = builder.joined();
        let children = start_children(&mut world, "counter", 8);
        world.settle(SETTLE);

        for &host in &hosts[4..] {
            world.start(host);
        }
        for round in 0..40 {
            let host = hosts[round % 4];
            let target = Target::Child(scope(), children[round % children.len()]);
            let payload = Blob::from("1");
            let call = world.request(host, Command::Call { target, payload });
            let answer = world.answer(call);
            assert!(matches!(answer, Reply::Call(Ok(_))), "{answer:?}; seed {seed}");
            world.run_for(Duration::from_millis(100));
        }
        world.settle(SETTLE);
        for &host in &hosts {
            assert_eq!(world.members(host).len(), 20, "{host}; seed {seed}");
            assert_eq!(world.children(host).len(), 8, "{host}; seed {seed}");
        }
    }
}

/// B22. A newcomer takes nothing away (redistribution is passive).
#[test]
fn nothing_moves_when_a_member_joins() {
    for seed in seeds(10) {
        let mut world = World::builder(seed, 4).absent(N4).joined();
        start_children(&mut world, "ok", 12);
        world.settle(SETTLE);

        world.start(N4);
        world.run_for(LONG);
        world.settle(SETTLE);
        assert_eq!(world.load(N4), 0, "seed {seed}");
        assert_eq!(world.runs().len(), 12, "nothing was started again; seed {seed}");
        assert_eq!(world.children(N4).len(), 12, "the newcomer knows all; seed {seed}");
    }
}

/// B23. When the old member leaves, the newcomer runs all that it ran.
#[test]
fn a_newcomer_takes_over_from_the_one_that_leaves() {
    for seed in seeds(10) {
        let mut world = n1_alone(seed);
        start_children(&mut world, "ok", 8);
        assert_eq!(world.load(N1), 8);

        world.start(N2);
        world.settle(SETTLE);
        assert_eq!(world.load(N2), 0, "seed {seed}");

        assert_eq!(world.leave(N1), Ok(()), "seed {seed}");
        world.settle(SETTLE);
        assert_eq!(world.load(N2), 8, "seed {seed}");
    }
}

/// B19. A leaving node hands its children over at once, loses none and doubles none.
#[test]
fn a_leaving_node_hands_its_children_over_at_once() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let children = start_children(&mut world, "ok", 12);
        world.settle(SETTLE);
        let leaver = home(&world, children[0]);
        let moving: Vec<_> =
            children.iter().copied().filter(|&child| home(&world, child) == leaver).collect();

        let before = world.now();
        assert_eq!(world.leave(leaver), Ok(()), "seed {seed}");
        let there = |world: &World| moving.iter().all(|&c| world.running_child(c).len() == 1);
        let quick = Duration::from_secs(1);
        assert!(world.run_until(quick, there), "they are not there by {}", world.now());
        assert!(world.now().since(before) < quick * 2, "seed {seed}");
        assert_eq!(world.exited(leaver), Some(&ExitReason::Left));

        for &child in &moving {
            let runs = world.runs_of(child);
            assert_eq!(runs.len(), 2, "seed {seed}");
            assert_eq!(runs[0].stop, Some(StopReason::Leaving));
            assert_eq!(runs[1].reason, Some(StartReason::Moved));
            assert!(!runs[0].overlaps(runs[1]), "never two at once; seed {seed}");
        }
        world.settle(SETTLE);
        assert_eq!(world.children(others(&world, leaver)[0]).len(), 12);
    }
}

/// B20. The quick are not kept waiting by the slow: each moves the moment it has stopped.
#[test]
fn of_two_children_that_leave_the_quick_one_moves_first() {
    for seed in seeds(5) {
        let mut world = n1_alone(seed);
        let quick = world.start_child(N1, named("counter", "quick")).unwrap().child;
        let slow = world.start_child(N1, named("slow-stop", "slow")).unwrap().child;
        world.start(N2);
        world.settle(SETTLE);

        let leave = world.request(N1, Command::Leave);
        world.run_for(Duration::from_secs(1));
        assert_eq!(world.running_child(quick), [N2], "seed {seed}");
        assert_eq!(world.running_child(slow), [N1], "seed {seed}");

        world.run_for(Duration::from_secs(3));
        assert_eq!(world.running_child(slow), [N2], "seed {seed}");
        assert_eq!(world.answer(leave), Reply::Leave(Ok(())));
        world.settle(SETTLE);
    }
}

/// B140. A node that comes back under its name is a new life: what the old one held is not its own.
#[test]
fn a_node_restarted_under_its_name_is_a_new_life() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let process = world.spawn(N3);
        world.register(N3, "old", &process).unwrap();
        let children = start_children(&mut world, "ok", 9);
        world.settle(SETTLE);
        let before = world.members(N1)[&N3.id()].incarnation;

        world.restart(N3);
        world.run_for(LONG);
        world.settle(SETTLE);
        let after = world.members(N1)[&N3.id()].incarnation;
        assert!(before < after, "{before} and then {after}; seed {seed}");
        for host in [N1, N2, N3] {
            assert_eq!(world.lookup(host, "old"), None, "as {host} sees it; seed {seed}");
        }
        for child in children {
            home(&world, child);
        }
    }
}
