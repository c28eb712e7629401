//! Where children run: what they need, how much room there is, and how many members must be up.

use std::collections::BTreeSet;
use std::time::Duration;

use ordu_core::placement::{Exclusion, Need};
use ordu_core::{ChildId, ChildSpec, Command, Delay, ExplainError, NodeId, StartChildError};
use ordu_sim::{Host, N1, N2, N3, N4, Network, World, WorldBuilder, named, scope, seeds, spec};

use crate::{LONG, SETTLE, home, start_children};

/// Machines 1 and 2 lie in zone `a`, all others in zone `b`.
fn zones(seed: u64, hosts: u16) -> WorldBuilder {
    World::builder(seed, hosts).configure(|host, config| {
        let zone = if [N1, N2].contains(&host) { "a" } else { "b" };
        config.labels.insert("zone", zone).expect("it is a label");
    })
}

fn in_zone(value: &str) -> Need {
    Need::Label { key: "zone".into(), value: value.into() }
}

fn needing(needs: impl Into<Vec<Need>>) -> ChildSpec {
    ChildSpec { needs: needs.into(), ..spec("ok") }
}

fn homes(world: &World, children: &[ChildId]) -> BTreeSet<Host> {
    children.iter().map(|&child| home(world, child)).collect()
}

/// What needs a label runs where it is, also after a death; where nobody has it, nowhere.
#[test]
fn what_needs_a_label_runs_where_it_is() {
    for seed in seeds(5) {
        let mut world = zones(seed, 4).joined();
        let start = |world: &mut World, need: Need| -> Vec<ChildId> {
            let started = (0..20).map(|_| world.start_child(N3, needing([need.clone()])));
            started.map(|started| started.unwrap().child).collect()
        };
        let inside = start(&mut world, in_zone("a"));
        let outside = start(&mut world, Need::NoLabel { key: "zone".into(), value: "a".into() });
        assert_eq!(homes(&world, &inside), [N1, N2].into(), "seed {seed}");
        assert_eq!(homes(&world, &outside), [N3, N4].into(), "seed {seed}");

        world.kill(N1);
        world.run_for(LONG);
        assert_eq!(homes(&world, &inside), [N2].into(), "seed {seed}");
        world.kill(N2);
        world.run_for(LONG);
        assert!(inside.iter().all(|&child| world.running_child(child).is_empty()));
        world.assert_settled();

        world.start(N1);
        world.settle(LONG);
        assert_eq!(homes(&world, &inside), [N1].into(), "seed {seed}");
        assert_eq!(homes(&world, &outside), [N3, N4].into(), "seed {seed}");
    }
}

/// What needs a node runs on it alone, and waits for it.
#[test]
fn what_needs_a_node_waits_for_it() {
    for seed in seeds(5) {
        let mut world = zones(seed, 3).joined();
        let pinned = world.start_child(N1, needing([Need::Node(N2.id())])).unwrap().child;
        assert_eq!(home(&world, pinned), N2, "seed {seed}");
        world.kill(N2);
        world.run_for(LONG);
        assert!(world.running_child(pinned).is_empty(), "it runs nowhere else; seed {seed}");
        world.start(N2);
        world.settle(LONG);
        assert_eq!(home(&world, pinned), N2, "seed {seed}");
    }
}

/// B132. A start that nobody can carry out is an error at its deadline that says why of each
/// member; the child is kept, and starts once somebody can.
#[test]
fn what_nobody_can_run_is_kept_and_says_why() {
    for seed in seeds(5) {
        let mut world = zones(seed, 3).absent(N3).lacking(N2, "echo").joined();
        let spec = ChildSpec { needs: [in_zone("b")].into(), ..spec("echo") };
        let before = world.now();
        let (child, members) = match world.start_child(N1, spec) {
            Err(StartChildError::NowhereToRun { child, members }) => (child, members),
            other => panic!("nobody can run it: {other:?}; seed {seed}"),
        };
        assert!(Duration::from_secs(1) < world.now().since(before));
        let mut members: Vec<(NodeId, Exclusion)> = members;
        members.sort_by(|a, b| a.0.cmp(&b.0));
        let expected = [(N1.id(), Exclusion::Need(in_zone("b"))), (N2.id(), Exclusion::Kind)];
        assert_eq!(members, expected);
        let explained = world.explain(N2, child).unwrap();
        assert_eq!((explained.owner, explained.candidates.len()), (None, 2));

        world.start(N3);
        world.settle(LONG);
        assert_eq!(home(&world, child), N3, "seed {seed}");
        let unknown = ChildId::from_bytes([7; 16]);
        let error = ExplainError::Unknown { child: unknown };
        assert_eq!(world.explain(N1, unknown), Err(error));
    }
}

/// B132. No node runs more children than it may: what belongs to one that is full runs on the next
/// one, also after a death; where all are full it waits for room. None is lost.
#[test]
fn what_belongs_to_a_full_node_runs_on_the_next_one() {
    for seed in seeds(5) {
        let mut world =
            World::builder(seed, 4).configure(|_, config| config.max_children = Some(20)).joined();
        let children = start_children(&mut world, "ok", 60);
        world.settle(SETTLE);
        let loads = |world: &World| [N1, N2, N3, N4].map(|host| world.load(host));
        assert!(loads(&world).iter().all(|&load| load <= 20), "{:?}", loads(&world));
        assert_eq!(homes(&world, &children).len(), 4, "seed {seed}");

        // Three nodes have room for all sixty, and not for one more.
        world.kill(N4);
        world.run_for(LONG);
        world.settle(SETTLE);
        assert_eq!(loads(&world), [20, 20, 20, 0], "seed {seed}");
        assert_eq!(homes(&world, &children).len(), 3);
        let full = [N1, N2, N3].map(|host| (host.id(), Exclusion::Full));
        let extra = match world.start_child(N1, spec("ok")) {
            Err(StartChildError::NowhereToRun { child, mut members }) => {
                members.sort_by(|a, b| a.0.cmp(&b.0));
                assert_eq!(members, full, "seed {seed}");
                child
            }
            other => panic!("there is no room: {other:?}; seed {seed}"),
        };
        assert!(world.members(N1)[&N2.id()].is_full);

        let at = home(&world, children[7]);
        world.terminate(N2, children[7]).unwrap();
        world.settle(SETTLE);
        assert_eq!(home(&world, extra), at, "where there is room; seed {seed}");
        assert_eq!(loads(&world), [20, 20, 20, 0], "seed {seed}");
    }
}

/// A burst of starts fills the nodes no further than they may be, and each child runs once.
#[test]
fn a_burst_overfills_nobody() {
    for seed in seeds(5) {
        let mut world = World::builder(seed, 3)
            .configure(|host, config| {
                config.max_children = Some(if host == N1 { 5 } else { 100 });
            })
            .joined();
        let start = |_| Command::Start { scope: scope(), spec: spec("ok") };
        for (number, command) in (0..150_u16).map(start).enumerate() {
            world.request([N1, N2, N3][number % 3], command);
        }
        world.run_for(Duration::from_secs(1));
        world.settle(SETTLE);
        assert_eq!(world.load(N1), 5, "seed {seed}");
        assert_eq!(world.load(N2) + world.load(N3), 145, "seed {seed}");
        assert_eq!(world.runs().len(), 150, "each runs once; seed {seed}");
    }
}

/// A cluster that starts as a whole puts each child where it belongs, if it waits for its members.
#[test]
fn children_wait_for_enough_members() {
    for seed in seeds(5) {
        let build = |min_members| {
            let builder = World::builder(seed, 4).configure(move |_, config| {
                config.min_members = min_members;
                config.min_members_wait = Duration::from_secs(30);
            });
            let mut world = builder.absent(N2).absent(N3).absent(N4).build();
            world.run_for(Duration::from_secs(5));
            let start = |_| world_start(&mut world);
            let children: Vec<ChildId> = (0..40).map(start).collect();
            (world, children)
        };
        let (mut world, children) = build(3);
        assert!(children.iter().all(|&child| world.running_child(child).is_empty()));
        let explained = world.explain(N1, children[0]).unwrap();
        assert_eq!(explained.delay, Some(Delay::TooFewMembers), "seed {seed}");
        world.start(N2);
        world.run_for(Duration::from_secs(3));
        assert!(children.iter().all(|&child| world.running_child(child).is_empty()));
        world.start(N3);
        world.run_for(Duration::from_secs(3));
        assert_eq!(homes(&world, &children).len(), 3, "spread over all; seed {seed}");
        // Once there were enough, fewer will do.
        world.kill(N2);
        world.kill(N3);
        world.run_for(LONG);
        assert_eq!(homes(&world, &children), [N1].into(), "seed {seed}");

        let (world, children) = build(1);
        assert_eq!(homes(&world, &children), [N1].into(), "else they do not wait; seed {seed}");
        let (mut world, children) = build(3);
        world.run_for(Duration::from_secs(30));
        assert_eq!(homes(&world, &children), [N1].into(), "nor for ever; seed {seed}");
    }
}

fn world_start(world: &mut World) -> ChildId {
    let command = Command::Start { scope: scope(), spec: spec("ok") };
    let before: BTreeSet<ChildId> = world.children(N1).into_keys().collect();
    world.request(N1, command);
    world.run_for(Duration::from_millis(50));
    let after: BTreeSet<ChildId> = world.children(N1).into_keys().collect();
    *after.difference(&before).next().expect("it is accepted")
}

/// A node says of each child why it is where it is.
#[test]
fn a_node_explains_where_a_child_runs() {
    for seed in seeds(5) {
        let mut world = zones(seed, 4).joined();
        let spec = ChildSpec { needs: [in_zone("a")].into(), ..named("ok", "till") };
        let started = world.start_child(N4, spec).unwrap();
        world.settle(SETTLE);
        let at = home(&world, started.child);
        for host in [N1, N2, N3, N4] {
            let explained = world.explain(host, started.child).unwrap();
            assert_eq!(explained.placement_key.as_bytes(), started.child.to_bytes());
            assert_eq!(explained.owner, Some(at.id()), "seed {seed}");
            let able = explained.candidates.iter().find(|by| by.exclusion.is_none());
            assert_eq!(able.map(|by| by.node.clone()), explained.owner);
            assert_eq!(explained.candidates.len(), 4, "all are judged");
            let [claim] = explained.claims.as_slice() else { panic!("{explained:?}") };
            assert_eq!((&claim.process, claim.is_running), (&started.process, true));
            assert_eq!((claim.epoch, claim.takeovers, claim.moves), (1, 0, 0));
            assert_eq!((explained.delay, explained.is_in_quarantine), (None, false));
        }
        world.kill(at);
        world.run_for(LONG);
        let explained = world.explain(N4, started.child).unwrap();
        let running = explained.claims.iter().find(|claim| claim.is_running && claim.is_visible);
        assert_eq!(running.map(|claim| (claim.takeovers, claim.moves)), Some((1, 0)));
    }
}

/// Who leaves and was full has room before all have heard that it left, and says no more of that:
/// it is gone once its last word was acknowledged, and waits for no further one.
#[test]
fn a_full_node_leaves_as_any_other() {
    for seed in seeds(10) {
        let even = Network { delay: Duration::from_millis(50), ..Network::lan() };
        let mut world = World::builder(seed, 3)
            .network(even)
            .configure(|host, config| {
                config.max_children = Some(if host == N1 { 1 } else { 100 });
            })
            .joined();
        start_children(&mut world, "ok", 60);
        world.settle(LONG);
        assert!(world.members(N2)[&N1.id()].is_full, "seed {seed}");
        // A beat comes before what it says last is acknowledged.
        let late = Network { delay: Duration::from_millis(500), ..Network::lan() };
        world.set_one_way(N2, N1, &late);
        let before = world.now();
        world.leave(N1).unwrap();
        let took = world.now().since(before);
        assert!(took < Duration::from_millis(600), "it took {took:?}; seed {seed}");
        world.heal();
        world.settle(LONG);
    }
}

/// A child whose name another one has, and that no node has room for, keeps no cluster from rest.
#[test]
fn a_beaten_child_without_room_is_at_rest() {
    for seed in seeds(10) {
        let mut world =
            World::builder(seed, 3).configure(|_, config| config.max_children = Some(1)).joined();
        let start = |kind: &str, spec: ChildSpec| {
            let spec = ChildSpec { kind: kind.to_owned(), ..spec };
            Command::Start { scope: scope(), spec }
        };
        for host in [N1, N2, N3] {
            world.request(host, start("ok", named("ok", "till")));
            world.request(host, start("ok", spec("ok")));
        }
        world.run_for(LONG);
        world.settle(LONG);
    }
}
