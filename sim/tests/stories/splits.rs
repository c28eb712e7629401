//! What a network that splits does to children, and what is left when it heals.

use std::collections::BTreeSet;
use std::time::Duration;

use ordu_core::{ChildSpec, Command, Config, MemberStatus, Replicas, Reply, Restart};
use ordu_sim::{Host, N1, N2, N3, N4, Network, World, name, named, scope, seeds};

use crate::{LONG, SETTLE, SHORT, home, others, start_children};

/// B100, B101. Both sides of a split start the same named worker; healed, there is one, the same to
/// both, and it survives the end of either node.
#[test]
fn two_children_of_one_name_are_one_after_the_heal() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 2);
        world.partition(&[N1], &[N2]);
        world.run_for(LONG);
        world.start_child(N1, named("counter", "worker")).unwrap();
        world.start_child(N2, named("counter", "worker")).unwrap();
        assert_eq!(world.running_name("worker").len(), 2);
        assert_eq!(world.count(N1, "worker", 1), Ok(1));
        assert_eq!(world.count(N2, "worker", 2), Ok(2));

        world.heal();
        world.run_for(LONG);
        world.settle(SETTLE);
        assert_eq!(world.running_name("worker").len(), 1, "seed {seed}");
        assert_eq!(world.children(N1).len(), 1, "seed {seed}");
        assert_eq!(world.count(N1, "worker", 0), Ok(3), "both sides' counts; seed {seed}");

        let host = world.running_name("worker")[0];
        let other = others(&world, host)[0];
        world.kill(host);
        world.run_for(LONG);
        world.settle(SETTLE);
        assert_eq!(world.running_name("worker"), [other], "seed {seed}");
        assert_eq!(world.children(other).len(), 1, "seed {seed}");
    }
}

/// Both sides of a split forget each other. Healed, they are the union of two clusters: everybody
/// is a member again, in a new life, and what either side holds is there, once.
#[test]
fn a_split_that_outlasts_both_memories_heals_as_the_union_of_two_clusters() {
    for seed in seeds(10) {
        let forget = |_, config: &mut Config| config.forget_after = Duration::from_secs(30);
        let mut world = World::builder(seed, 4).configure(forget).joined();
        let mut children = start_children(&mut world, "counter", 8);
        world.settle(SETTLE);
        world.partition(&[N1, N2], &[N3, N4]);
        world.run_for(Duration::from_secs(90));
        for (host, side) in [(N1, "left"), (N3, "right")] {
            assert_eq!(world.members(host).len(), 2, "{side} has forgotten; seed {seed}");
            children.push(world.start_child(host, named("counter", side)).unwrap().child);
            world.start_child(host, named("counter", "worker")).unwrap();
            assert_eq!(world.write_meta(host, side, Some("here"), Replicas::Two), Ok(()));
        }
        assert_eq!(world.running_name("worker").len(), 2, "seed {seed}");

        world.heal();
        world.run_for(LONG * 2);
        world.settle(SETTLE);
        for host in [N1, N2, N3, N4] {
            assert_eq!(world.members(host).len(), 4, "{host} knows all; seed {seed}");
            for side in ["left", "right"] {
                let kept = world.view(host).metadata.contains_key(&(scope(), name(side)));
                assert!(kept, "{host} reads what {side} wrote; seed {seed}");
            }
        }
        for child in children {
            assert_eq!(world.running_child(child).len(), 1, "{child} runs once; seed {seed}");
        }
        assert_eq!(world.running_name("worker").len(), 1, "seed {seed}");
    }
}

/// B102, with 40 names where the original has 1,000. Each side of a 2 | 2 split resolves all names
/// to processes that run on it; healed, each name has one process again.
#[test]
fn each_side_of_a_split_runs_all_named_children_and_the_heal_leaves_one_of_each() {
    const NAMES: usize = 40;
    for seed in seeds(3) {
        let mut world = World::new(seed, 4);
        let text = |number: usize| format!("child {number}");
        for number in 0..NAMES {
            let host = [N1, N2, N3, N4][number % 4];
            let spec = ChildSpec { restart: Restart::Transient, ..named("ok", &text(number)) };
            world.start_child(host, spec).unwrap();
        }
        world.settle(SETTLE);

        world.partition(&[N1, N2], &[N3, N4]);
        world.run_for(LONG);
        for (asked, side) in [(N1, [N1, N2]), (N3, [N3, N4])] {
            let mut processes = BTreeSet::new();
            for number in 0..NAMES {
                let holder = world.lookup(asked, &text(number)).expect("every name resolves");
                assert!(world.runs_process(&holder.process), "seed {seed}");
                assert!(side.iter().any(|host| host.id() == *holder.process.replica.node()));
                processes.insert(holder.process.clone());
            }
            assert_eq!(processes.len(), NAMES, "seed {seed}");
        }

        world.heal();
        world.run_for(LONG);
        world.settle(SETTLE);
        for number in 0..NAMES {
            assert_eq!(world.running_name(&text(number)).len(), 1, "seed {seed}");
        }
        assert_eq!(world.children(N1).len(), NAMES);
    }
}

/// B103, by our rule. A split makes a copy of a worker; healed, the original goes on and the copy
/// dies, and what both counted is kept.
#[test]
fn the_copy_that_a_split_makes_yields_to_the_original() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 3);
        let cart = world.start_child(N1, named("counter", "cart")).unwrap().child;
        world.settle(SETTLE);
        let alone = home(&world, cart);
        let majority = others(&world, alone);
        assert_eq!(world.count(alone, "cart", 100), Ok(100));

        world.partition(&[alone], &majority);
        world.run_for(LONG);
        assert_eq!(world.running_child(cart).len(), 2, "seed {seed}");
        assert_eq!(world.count(alone, "cart", 10), Ok(110), "seed {seed}");
        assert_eq!(world.count(majority[0], "cart", 1), Ok(1), "seed {seed}");

        world.heal();
        world.run_for(LONG);
        world.settle(SETTLE);
        assert_eq!(home(&world, cart), alone, "the original goes on; seed {seed}");
        assert_eq!(world.count(majority[1], "cart", 0), Ok(111), "seed {seed}");
    }
}

/// P8. One link among three or five is cut, silently or with its session: all others can still
/// speak for each other, so nobody is down and nothing starts.
#[test]
fn one_cut_link_starts_nothing_extra() {
    for seed in seeds(3) {
        for hosts in [3, 5] {
            for closed in [false, true] {
                let mut world = World::new(seed, hosts);
                start_children(&mut world, "ok", 12);
                world.settle(SETTLE);

                if closed {
                    world.partition_closed(&[N1], &[N2]);
                } else {
                    world.cut_link(N1, N2);
                }
                world.run_for(Duration::from_secs(60));
                assert_eq!(world.runs().len(), 12, "{hosts} hosts, closed {closed}; seed {seed}");
                let status = world.status(N1, N2);
                assert_ne!(status, Some(MemberStatus::Down), "seed {seed}");

                world.heal();
                world.run_for(LONG);
                world.settle(SETTLE);
                assert_eq!(world.runs().len(), 12, "{hosts} hosts, closed {closed}; seed {seed}");
            }
        }
    }
}

/// One deaf ear: n1 does not hear n2 directly any more, but hears of it through n3.
#[test]
fn a_link_that_works_one_way_starts_nothing_extra() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 3);
        start_children(&mut world, "ok", 9);
        world.settle(SETTLE);
        world.cut_one_way(N2, N1);
        world.run_for(Duration::from_secs(30));
        assert_eq!(world.runs().len(), 9, "seed {seed}");

        world.heal();
        world.run_for(LONG);
        world.settle(SETTLE);
    }
}

/// B141. A split shorter than the timeout is as if it had not been.
#[test]
fn a_short_disconnect_costs_no_name_and_no_child() {
    for seed in seeds(10) {
        for closed in [false, true] {
            let mut world = World::new(seed, 3);
            let process = world.spawn(N3);
            world.register(N3, "cart", &process).unwrap();
            start_children(&mut world, "ok", 9);
            world.settle(SETTLE);

            if closed {
                world.partition_closed(&[N1, N2], &[N3]);
            } else {
                world.partition(&[N1, N2], &[N3]);
            }
            world.run_for(SHORT);
            assert!(world.lookup(N1, "cart").is_some(), "closed {closed}; seed {seed}");
            world.heal();
            world.run_for(LONG);
            world.settle(SETTLE);
            assert_eq!(world.runs().len(), 10, "closed {closed}; seed {seed}");
            for host in [N1, N2, N3] {
                let holder = world.lookup(host, "cart").map(|holder| &holder.process);
                assert_eq!(holder, Some(&process), "closed {closed}; seed {seed}");
            }
        }
    }
}

/// What was pushed into a short silence never arrived; the exchange of digests finds and mends it,
/// though nobody writes again.
#[test]
fn digests_alone_repair_lost_pushes() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let process = world.spawn(N1);
        world.settle(SETTLE);

        world.partition(&[N1], &[N2, N3]);
        for number in 0..20 {
            world.register(N1, &format!("name {number}"), &process).unwrap();
        }
        world.run_for(Duration::from_millis(100));
        world.heal();
        assert_eq!(world.lookup(N2, "name 7"), None, "the push was lost; seed {seed}");

        world.run_for(Duration::from_secs(5));
        for host in [N2, N3] {
            assert_eq!(world.view(host).names.len(), 20, "as {host} sees it; seed {seed}");
        }
        world.settle(SETTLE);
    }
}

/// All three are alone for a while; each side does what it can, and the heal leaves one of each.
#[test]
fn a_cluster_that_falls_apart_comes_together_again() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 3);
        start_children(&mut world, "counter", 9);
        world.settle(SETTLE);
        world.partition(&[N1], &[N2, N3]);
        world.partition(&[N2], &[N3]);
        world.run_for(LONG);
        for host in [N1, N2, N3] {
            assert_eq!(world.load(host), 9, "each runs all; seed {seed}");
        }

        world.heal();
        world.run_for(LONG);
        world.settle(SETTLE);
        assert_eq!(world.children(N2).len(), 9);
    }
}

/// A link that flaps faster than anyone is given up.
#[test]
fn a_flapping_link_moves_nothing() {
    for seed in seeds(3) {
        let mut world = World::new(seed, 3);
        start_children(&mut world, "ok", 9);
        world.settle(SETTLE);
        for _ in 0..20 {
            world.partition_closed(&[N1], &[N2, N3]);
            world.run_for(Duration::from_millis(700));
            world.heal();
            world.run_for(Duration::from_secs(2));
        }
        world.run_for(LONG);
        world.settle(SETTLE);
        assert_eq!(world.runs().len(), 9, "seed {seed}");
    }
}

/// On a bad network everything takes longer and ends the same (I9).
#[test]
fn a_lossy_network_changes_nothing_but_the_time() {
    for seed in seeds(5) {
        let mut world = World::builder(seed, 3).network(Network::lossy()).joined();
        let children = start_children(&mut world, "ok", 6);
        let process = world.spawn(N2);
        world.register_on(N2, "cart", &process, Replicas::All).unwrap();
        world.settle(Duration::from_secs(30));
        for child in children {
            home(&world, child);
        }
        assert_eq!(world.lookup(N3, "cart").unwrap().process, process);
    }
}

/// A network that does everything wrong for half a minute, with a node that dies in it, is
/// survived: once it is good again the cluster settles.
#[test]
fn a_cluster_survives_a_wild_network() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 3);
        start_children(&mut world, "ok", 9);
        let cart = world.start_child(N1, named("counter", "cart")).unwrap().child;
        world.settle(SETTLE);

        world.set_network(Network::wild());
        world.run_for(Duration::from_secs(15));
        world.kill(N2);
        world.run_for(Duration::from_secs(5));
        world.start(N2);
        world.run_for(Duration::from_secs(10));

        world.set_network(Network::lan());
        world.run_for(LONG);
        world.settle(Duration::from_secs(30));
        home(&world, cart);
        let holder = world.lookup(N3, "cart").map(|holder| holder.child);
        assert_eq!(holder, Some(Some(cart)), "{}; seed {seed}", name("cart"));
    }
}

/// A child that nobody on this side of a split has ever seen run may run on the other: it is not
/// ended for somebody here who has its name, and goes on alone once that one has ended.
#[test]
fn a_child_of_the_other_side_is_not_ended_for_one_that_has_its_name_here() {
    let mut met = 0;
    for seed in seeds(60) {
        let mut world = World::new(seed, 4);
        // What n2 claims the other side hears from n1 alone, and so a moment later.
        world.cut_link(N2, N3);
        world.cut_link(N2, N4);
        let start = |spec| Command::Start { scope: scope(), spec };
        let theirs = world.request(N1, start(named("ok", "cart")));
        world.run_for(Duration::from_micros(200));
        world.request(N4, start(named("ok", "cart")));
        world.run_for(Duration::from_millis(4));
        world.partition(&[N1, N2], &[N3, N4]);
        world.run_for(LONG);

        let Reply::Start(Ok(theirs)) = world.answer(theirs) else { continue };
        let theirs = theirs.child;
        let on = |world: &World, child, hosts: &[Host]| {
            world.running_child(child).iter().all(|host| hosts.contains(host))
                && !world.running_child(child).is_empty()
        };
        let known = world.children(N3);
        let ours = known.keys().copied().find(|child| *child != theirs);
        let Some(ours) = ours.filter(|&ours| on(&world, ours, &[N3, N4])) else { continue };
        if !known.contains_key(&theirs) || !on(&world, theirs, &[N1, N2]) {
            continue;
        }
        met += 1;
        world.terminate(N3, ours).expect("it is known here");
        world.heal();
        world.settle(SETTLE);
        assert_eq!(world.running_child(theirs).len(), 1, "seed {seed}");
        assert_eq!(world.running_child(ours), [], "seed {seed}");
    }
    assert!(met > 3, "{met} of 60 seeds lead there");
}
