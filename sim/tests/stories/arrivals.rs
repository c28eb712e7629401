//! How a node that has joined comes to know what the others know, before it acts as one of them.

use std::time::Duration;

use ordu_core::{
    Command, Config, ExitReason, MemberStatus, Node, RegisterError, Replicas, Reply,
    StartChildError, WriteMetaError,
};
use ordu_sim::{Host, N1, N2, N3, N4, Network, World, name, register, scope, seeds, spec};

use crate::{LONG, SETTLE, home, start_children};

/// How many names n2 has: so many deltas of ten entries each.
const NAMES: usize = 300;

/// Returns a link over which an answer takes nearly a second.
fn far() -> Network {
    Network { delay: Duration::from_millis(400), ..Network::lan() }
}

/// Returns a world in which n3 is absent and far from n2, which holds a lot: names, the last of
/// which is `cart`, and metadata. Its journal takes several windows of deltas.
fn world_with_much_on_n2(seed: u64) -> World {
    let small = |_, config: &mut Config| config.delta_entries_max = 10;
    let mut world = World::builder(seed, 3).absent(N3).configure(small).joined();
    let process = world.spawn(N2);
    for number in 0..NAMES {
        world.register(N2, &format!("name-{number}"), &process).expect("it is free");
    }
    assert_eq!(world.write_meta(N2, "colour", Some("red"), Replicas::One), Ok(()));
    world.register(N2, "cart", &process).expect("it is free");
    world.settle(SETTLE);
    world
}

fn is_ready(world: &World, host: Host) -> bool {
    world.node(host).is_some_and(Node::is_ready)
}

fn has_joined(world: &World, host: Host) -> bool {
    world.node(host).is_some_and(|node| node.replica().is_some())
}

/// Returns for how long `host` has joined and is not ready, and what it is refused meanwhile.
#[track_caller]
fn arrive(world: &mut World, host: Host, within: Duration) -> Duration {
    let seed = world.seed();
    assert!(world.run_until(LONG, |world| has_joined(world, host)), "seed {seed}");
    let joined = world.now();
    assert!(world.run_until(within, |world| is_ready(world, host)), "{host} hangs; seed {seed}");
    world.now().since(joined)
}

/// Before it knows of all names and all metadata a joiner says of none that it is free; what it
/// is asked it refuses, with an error that says to wait. Once it is ready it knows them all.
#[test]
fn a_joiner_says_nothing_of_what_it_has_not_heard_of() {
    for seed in seeds(10) {
        let mut world = world_with_much_on_n2(seed);
        let children = start_children(&mut world, "ok", 6);
        let over = children[0];
        assert_eq!(world.terminate(N1, over), Ok(()), "seed {seed}");
        world.set_link(N2, N3, &far());
        world.start(N3);

        // It has n1's word and n1's journal long before it has n2's.
        let has_joined = world.run_until(LONG, |world| has_joined(world, N3));
        assert!(has_joined && !is_ready(&world, N3), "seed {seed}");
        assert_eq!(world.lookup(N3, "cart"), None, "seed {seed}");
        let start = world.request(N3, Command::Start { scope: scope(), spec: spec("ok") });
        let refused = Reply::Start(Err(StartChildError::NotReady));
        assert_eq!(world.reply(start), Some(&refused), "seed {seed}");
        let stranger = world.lookup(N1, "cart").expect("n1 knows it").process.clone();
        let taken = world.request(N3, register("cart", &stranger, Replicas::One));
        let refused = Reply::Register(Err(RegisterError::NotReady));
        assert_eq!(world.reply(taken), Some(&refused), "seed {seed}");
        let (key, value, replicas) = (name("colour"), None, Replicas::One);
        let write = Command::WriteMeta { scope: scope(), key, value, replicas };
        let written = world.request(N3, write);
        let refused = Reply::WriteMeta(Err(WriteMetaError::NotReady));
        assert_eq!(world.reply(written), Some(&refused), "seed {seed}");

        // At the very moment at which it is ready it reads what n2 wrote long ago.
        arrive(&mut world, N3, LONG);
        assert!(world.lookup(N3, "cart").is_some(), "seed {seed}");
        let names = (0..NAMES).filter(|n| world.lookup(N3, &format!("name-{n}")).is_some());
        assert_eq!(names.count(), NAMES, "seed {seed}");
        let colour = world.view(N3).metadata.get(&(scope(), name("colour")));
        assert_eq!(colour.map(ToString::to_string).as_deref(), Some("red"), "seed {seed}");
        assert_eq!(world.children(N3).len(), 5, "what has ended has; seed {seed}");
        world.settle(SETTLE);
        assert_eq!(world.load(N3), 0, "nothing was started twice; seed {seed}");
    }
}

/// Nobody gives a joiner a child before it is ready, so that no child waits for it; afterwards it
/// gets its share.
#[test]
fn a_joiner_is_given_no_child_before_it_is_ready() {
    for seed in seeds(10) {
        let mut world = world_with_much_on_n2(seed);
        world.set_link(N2, N3, &far());
        world.start(N3);
        let sees = |world: &World| world.status(N1, N3) == Some(MemberStatus::Joining);
        assert!(world.run_until(LONG, sees), "n1 sees it join; seed {seed}");

        for _ in 0..20 {
            let child = world.start_child(N1, spec("ok")).expect("it starts").child;
            assert_ne!(home(&world, child), N3, "seed {seed}");
            assert!(!is_ready(&world, N3), "no start waited for it; seed {seed}");
        }
        arrive(&mut world, N3, LONG);
        world.settle(SETTLE);
        assert_eq!(world.status(N1, N3), Some(MemberStatus::Alive), "seed {seed}");
        let before = world.load(N3);
        start_children(&mut world, "ok", 40);
        assert!(before < world.load(N3), "seed {seed}");
        world.settle(SETTLE);
    }
}

/// A joiner waits for nobody who died in the midst of telling it, nor for whoever it cannot reach.
#[test]
fn a_joiner_waits_for_nobody_in_vain() {
    for seed in seeds(10) {
        let mut world = world_with_much_on_n2(seed);
        world.set_link(N2, N3, &far());
        world.start(N3);
        assert!(world.run_until(LONG, |world| has_joined(world, N3)), "seed {seed}");
        world.run_for(Duration::from_millis(900));
        assert!(!is_ready(&world, N3), "seed {seed}");
        match seed % 2 {
            0 => world.crash_silently(N2),
            _ => world.cut_link(N2, N3),
        }
        let took = arrive(&mut world, N3, LONG);
        assert!(took < Duration::from_secs(7), "it took {took:?}; seed {seed}");

        // What n2 wrote came by way of n1, before it was ready.
        let colour = world.view(N3).metadata.contains_key(&(scope(), name("colour")));
        assert!(colour, "seed {seed}");
    }
}

/// A node that begins a cluster is ready at once, and so is one whose seeds all refuse.
#[test]
fn a_node_alone_is_ready_when_it_joins() {
    for seed in seeds(10) {
        let mut world = World::builder(seed, 3).absent(N2).absent(N3).build();
        let took = arrive(&mut world, N1, Duration::ZERO);
        assert_eq!(took, Duration::ZERO, "seed {seed}");
        assert_eq!(world.status(N1, N1), Some(MemberStatus::Alive), "seed {seed}");
    }
}

/// A joiner that is told to leave leaves, though it never was ready.
#[test]
fn a_joiner_may_leave_before_it_is_ready() {
    for seed in seeds(10) {
        let mut world = world_with_much_on_n2(seed);
        world.set_link(N2, N3, &far());
        world.start(N3);
        assert!(world.run_until(LONG, |world| has_joined(world, N3)), "seed {seed}");
        assert!(!is_ready(&world, N3), "seed {seed}");
        assert_eq!(world.leave(N3), Ok(()), "seed {seed}");
        assert_eq!(world.exited(N3), Some(&ExitReason::Left), "seed {seed}");
        world.settle(SETTLE);
    }
}

/// A node that others have forgotten takes a new life, and arrives anew: it does not act on what
/// it knew before they went on without it.
#[test]
fn a_node_that_was_forgotten_arrives_anew() {
    for seed in seeds(5) {
        let forget = |host, config: &mut Config| {
            config.delta_entries_max = 10;
            if host != N4 {
                config.forget_after = Duration::from_secs(30);
            }
        };
        let mut world = World::builder(seed, 4).configure(forget).joined();
        world.settle(SETTLE);
        let before = world.node(N4).and_then(Node::replica).cloned();
        world.partition(&[N1, N2, N3], &[N4]);
        world.run_for(Duration::from_secs(60));
        let process = world.spawn(N2);
        for number in 0..NAMES {
            world.register(N2, &format!("name-{number}"), &process).expect("it is free");
        }
        world.set_link(N2, N4, &far());
        world.heal();
        let is_new = |world: &World| world.node(N4).and_then(Node::replica) != before.as_ref();
        assert!(world.run_until(LONG * 3, is_new), "seed {seed}");
        assert!(!is_ready(&world, N4), "seed {seed}");
        assert!(world.run_until(LONG, |world| is_ready(world, N4)), "seed {seed}");
        assert!(world.lookup(N4, "name-299").is_some(), "seed {seed}");
        world.settle(SETTLE + LONG);
    }
}
