//! Members that operators let go, and lists of who may be one.

use std::collections::BTreeSet;
use std::time::Duration;

use ordu_core::{
    Config, EvictError, ExitReason, MemberStatus, NodeId, QuorumError, Replicas, SetMembersError,
};
use ordu_sim::{Host, N1, N2, N3, N4, World, seeds};

use crate::{LONG, SETTLE, SHORT, start_children};

/// Returns the members that `host` knows, in order.
fn members(world: &World, host: Host) -> Vec<NodeId> {
    world.members(host).keys().cloned().collect()
}

#[track_caller]
fn assert_members(world: &World, hosts: &[Host], expected: &[Host]) {
    let expected: Vec<NodeId> = expected.iter().map(|host| host.id()).collect();
    for &host in hosts {
        let seed = world.seed();
        assert_eq!(members(world, host), expected, "the members that {host} knows; seed {seed}");
    }
}

/// B138. Who is evicted hands its children over and leaves; none is lost, and none runs twice.
#[test]
fn who_is_evicted_hands_its_children_over_and_leaves() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 3);
        let children = start_children(&mut world, "counter", 12);
        let process = world.spawn(N3);
        assert_eq!(world.register(N3, "plain", &process), Ok(()));
        world.settle(SETTLE);

        assert_eq!(world.evict(N1, N3, false), Ok(()), "seed {seed}");
        assert_members(&world, &[N1], &[N1, N2]);
        world.settle(SETTLE);
        assert_eq!(world.exited(N3), Some(&ExitReason::Evicted), "seed {seed}");
        assert_members(&world, &[N1, N2], &[N1, N2]);
        assert_eq!(world.lookup(N1, "plain"), None, "seed {seed}");
        for child in children {
            let hosts = world.running_child(child);
            assert!(hosts.len() == 1 && hosts != [N3], "{child} runs on {hosts:?}; seed {seed}");
        }

        // It was that life alone: the next one is as welcome as any.
        world.start(N3);
        world.run_for(SETTLE);
        world.settle(SETTLE);
        assert_members(&world, &[N1, N2, N3], &[N1, N2, N3]);
    }
}

/// A node may evict itself, through itself or another: it has left, and says so.
#[test]
fn a_node_that_evicts_itself_leaves() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 2);
        start_children(&mut world, "counter", 4);
        world.settle(SETTLE);
        assert_eq!(world.evict(N1, N1, seed % 2 == 0), Ok(()), "seed {seed}");
        world.settle(SETTLE);
        assert_eq!(world.exited(N1), Some(&ExitReason::Evicted), "seed {seed}");
        assert_members(&world, &[N2], &[N2]);
    }
}

/// A member that is down is forgotten at once when it is evicted: nothing waits for it any more.
#[test]
fn a_member_that_is_down_and_evicted_is_no_member_any_more() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 3);
        world.crash_silently(N3);
        world.run_for(LONG);
        assert_eq!(world.status(N1, N3), Some(MemberStatus::Down), "seed {seed}");

        assert_eq!(world.evict(N1, N3, false), Ok(()), "seed {seed}");
        let process = world.spawn(N1);
        let registered = world.register_on(N1, "all", &process, Replicas::All);
        assert_eq!(registered, Ok(()), "who is evicted is not asked; seed {seed}");
        world.settle(SETTLE);
        assert_members(&world, &[N1, N2], &[N1, N2]);
    }
}

/// Who is evicted at once while it is cut off goes on until it hears of it; then it is over, with
/// what it ran. What ran there runs elsewhere from the moment on that the others hear of it.
#[test]
fn who_is_evicted_at_once_is_over_when_it_hears_of_it() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 3);
        let children = start_children(&mut world, "counter", 12);
        world.settle(SETTLE);

        // Before anybody can take it for down.
        world.partition(&[N1, N2], &[N3]);
        assert_eq!(world.evict(N1, N3, true), Ok(()), "seed {seed}");
        world.run_for(Duration::from_secs(1));
        assert_members(&world, &[N1, N2], &[N1, N2]);
        for &child in &children {
            let hosts = world.running_child(child);
            assert!(hosts.iter().any(|&host| host != N3), "{child} on {hosts:?}; seed {seed}");
        }
        assert_eq!(world.exited(N3), None, "nobody has told it; seed {seed}");

        world.heal();
        world.settle(SETTLE);
        assert_eq!(world.exited(N3), Some(&ExitReason::Evicted), "seed {seed}");
        assert_members(&world, &[N1, N2], &[N1, N2]);
        for child in children {
            assert_eq!(world.running_child(child).len(), 1, "{child}; seed {seed}");
        }
    }
}

/// Nobody is evicted who is no member, and what is refused changes nothing.
#[test]
fn only_members_are_evicted_and_no_list_is_empty() {
    for seed in seeds(5) {
        let mut world = World::builder(seed, 3).absent(N3).joined();
        let unknown = Err(EvictError::Unknown { node: N3.id() });
        assert_eq!(world.evict(N1, N3, false), unknown, "seed {seed}");
        assert_eq!(world.evict(N1, N3, true), unknown, "seed {seed}");
        assert_eq!(world.set_members(N1, Some(&[])), Err(SetMembersError::Empty));
        assert_eq!(world.view(N1).member_list, None, "seed {seed}");
        world.settle(SETTLE);
        assert_members(&world, &[N1, N2], &[N1, N2]);
    }
}

/// B43 to B48. A list is set once, twice, with names of nodes that are not there, and answered at
/// once each time; all learn of it. B51. A child starts right after a node made itself the list.
#[test]
fn a_list_is_the_same_however_often_it_is_set_and_whoever_is_missing() {
    for seed in seeds(10) {
        let mut world = World::builder(seed, 4).absent(N4).joined();
        let all = [N1, N2, N3, N4];
        for host in [N1, N1, N2] {
            let asked = world.now();
            assert_eq!(world.set_members(host, Some(&all)), Ok(()), "seed {seed}");
            assert!(world.now().since(asked) < Duration::from_millis(100), "seed {seed}");
        }
        world.settle(SETTLE);
        let listed: Option<_> = Some(all.iter().map(|host| host.id()).collect());
        for host in [N1, N2, N3] {
            assert_eq!(world.view(host).member_list, listed, "seed {seed}");
        }
        assert_members(&world, &[N1, N2, N3], &[N1, N2, N3]);

        // Whoever is on it may come.
        world.start(N4);
        world.run_for(SETTLE);
        assert_members(&world, &all, &all);

        assert_eq!(world.set_members(N1, Some(&[N1])), Ok(()));
        let child = start_one(&mut world);
        world.run_for(SETTLE);
        assert_members(&world, &[N1], &[N1]);
        assert_eq!(world.running_child(child), [N1], "seed {seed}");
    }
}

fn start_one(world: &mut World) -> ordu_core::ChildId {
    let started = world.start_child(N1, ordu_sim::spec("counter"));
    started.expect("the child starts").child
}

/// B49, B50, B96. Who is not on the list any more leaves, hands its children over, and its names
/// vanish; it is not let in again before the list is lifted, whoever set it and is gone since.
#[test]
fn who_is_not_on_the_list_leaves_and_is_let_in_when_it_is_lifted() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 4);
        let children = start_children(&mut world, "counter", 12);
        let process = world.spawn(N3);
        assert_eq!(world.register(N3, "plain", &process), Ok(()));
        world.settle(SETTLE);

        assert_eq!(world.set_members(N1, Some(&[N1, N2, N4])), Ok(()));
        world.run_for(SETTLE);
        world.settle(SETTLE);
        assert_eq!(world.exited(N3), Some(&ExitReason::NotListed), "seed {seed}");
        assert_members(&world, &[N1, N2, N4], &[N1, N2, N4]);
        assert_eq!(world.lookup(N2, "plain"), None, "seed {seed}");
        for child in children {
            let hosts = world.running_child(child);
            assert!(hosts.len() == 1 && hosts != [N3], "{child} runs on {hosts:?}; seed {seed}");
        }

        // The list outlives its writer.
        world.leave(N1).expect("a node may always leave");
        world.settle(SETTLE);
        world.start(N3);
        world.run_for(SETTLE);
        assert_eq!(world.exited(N3), Some(&ExitReason::NotListed), "seed {seed}");
        assert_members(&world, &[N2, N4], &[N2, N4]);

        assert_eq!(world.set_members(N4, None), Ok(()));
        world.settle(SETTLE);
        world.start(N3);
        world.run_for(SETTLE);
        world.settle(SETTLE);
        assert_members(&world, &[N2, N3, N4], &[N2, N3, N4]);
        assert_eq!(world.view(N3).member_list, None, "seed {seed}");
    }
}

/// One member knows an old list alone: whoever is on the newer one joins through the others, and
/// brings it along.
#[test]
fn an_old_list_turns_nobody_away_who_is_welcome_elsewhere() {
    for seed in seeds(20) {
        let mut world = World::builder(seed, 4).absent(N4).joined();
        assert_eq!(world.set_members(N1, Some(&[N1, N2, N3])), Ok(()));
        world.settle(SETTLE);
        world.cut_link(N3, N1);
        world.cut_link(N3, N2);
        assert_eq!(world.set_members(N1, Some(&[N1, N2, N3, N4])), Ok(()));
        world.start(N4);
        world.run_for(SETTLE);
        assert_eq!(world.exited(N4), None, "seed {seed}");
        assert_members(&world, &[N1, N2, N3, N4], &[N1, N2, N3, N4]);
        world.heal();
        world.settle(SETTLE);
        assert_members(&world, &[N1, N2, N3, N4], &[N1, N2, N3, N4]);
    }
}

/// Who is turned away waits for the others to answer, but not for ever, and begins no cluster of
/// its own.
#[test]
fn who_is_turned_away_waits_for_the_silent_no_longer_than_a_failure_timeout() {
    for seed in seeds(20) {
        let mut world = World::builder(seed, 3).absent(N3).joined();
        assert_eq!(world.set_members(N1, Some(&[N1, N2])), Ok(()));
        world.settle(SETTLE);
        world.cut_link(N3, N2);
        world.start(N3);
        world.run_for(SHORT);
        assert_eq!(world.exited(N3), None, "the other one may let it in; seed {seed}");
        world.run_for(LONG);
        assert_eq!(world.exited(N3), Some(&ExitReason::NotListed), "seed {seed}");
        assert_members(&world, &[N1, N2], &[N1, N2]);
    }
}

/// A member that is down when the list leaves it out is forgotten; when it is back it hears that it
/// is none, and goes.
#[test]
fn who_is_taken_off_the_list_behind_a_split_leaves_once_it_is_healed() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 3);
        let children = start_children(&mut world, "counter", 9);
        world.settle(SETTLE);
        // Some are taken off the list when they are down, and some before they are.
        world.partition(&[N1, N2], &[N3]);
        let (before, after) = if seed % 2 == 0 { (LONG, SHORT) } else { (SHORT, LONG) };
        world.run_for(before);
        assert_eq!(world.set_members(N2, Some(&[N1, N2])), Ok(()));
        world.run_for(after);
        assert_members(&world, &[N1, N2], &[N1, N2]);

        world.heal();
        world.run_for(SETTLE);
        world.settle(SETTLE);
        assert_eq!(world.exited(N3), Some(&ExitReason::NotListed), "seed {seed}");
        assert_members(&world, &[N1, N2], &[N1, N2]);
        for child in children {
            assert_eq!(world.running_child(child).len(), 1, "{child}; seed {seed}");
        }
    }
}

/// Of two lists that did not know of each other the later one counts, on both sides of the split.
#[test]
fn of_two_lists_the_later_one_counts() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 4);
        world.partition(&[N1, N2], &[N3, N4]);
        world.run_for(LONG);
        assert_eq!(world.set_members(N1, Some(&[N1, N2, N3])), Ok(()));
        world.run_for(Duration::from_secs(2));
        assert_eq!(world.set_members(N3, Some(&[N1, N2, N3, N4])), Ok(()));
        world.heal();
        world.run_for(SETTLE);
        world.settle(SETTLE);
        let listed: Option<_> = Some([N1, N2, N3, N4].iter().map(|host| host.id()).collect());
        for host in world.up() {
            assert_eq!(world.view(host).member_list, listed, "on {host}; seed {seed}");
        }
        assert!(world.up().len() >= 3, "whoever was on every list is there; seed {seed}");
    }
}

/// What was evicted is not remembered for ever: nothing grows with how often it happens.
#[test]
fn evictions_are_forgotten_with_the_lives_that_they_ended() {
    for seed in seeds(5) {
        let builder = World::builder(seed, 3);
        let mut world =
            builder.configure(|_, config| config.forget_after = Duration::from_secs(120)).joined();
        for _ in 0..3 {
            assert_eq!(world.evict(N1, N3, false), Ok(()), "seed {seed}");
            world.run_for(SETTLE);
            world.start(N3);
            world.run_for(SETTLE);
        }
        world.run_for(Duration::from_secs(25 * 60));
        world.settle(SETTLE);
        for host in [N1, N2, N3] {
            let writes = world.node(host).map(|node| node.metadata_writes());
            assert_eq!(writes, Some(0), "{host} remembers evictions; seed {seed}");
        }
    }
}

/// B41, B42. Members given at the start are members, and nobody else; what operators say counts
/// before it, whenever a node starts.
#[test]
fn a_list_that_nodes_are_started_with_counts_until_operators_say_otherwise() {
    for seed in seeds(10) {
        let list = |host, config: &mut Config| {
            if host != N4 {
                config.members = Some([N1, N2, N3].map(|host| host.id()).into());
            }
        };
        let mut world = World::builder(seed, 4).absent(N3).absent(N4).configure(list).joined();
        world.settle(SETTLE);
        let listed = world.view(N2).member_list.as_ref().map(BTreeSet::len);
        assert_eq!(listed, Some(3), "seed {seed}");
        for host in [N3, N4] {
            world.start(host);
            world.run_for(LONG);
        }
        assert_eq!(world.exited(N4), Some(&ExitReason::NotListed), "seed {seed}");
        assert_members(&world, &[N1, N2, N3], &[N1, N2, N3]);

        // Whoever starts with the old list changes nothing of the new one, or of none.
        for operators in [Some(&[N1, N2, N3, N4][..]), None] {
            assert_eq!(world.set_members(N1, operators), Ok(()), "seed {seed}");
            world.run_for(SHORT);
            world.restart(N2);
            world.run_for(LONG);
            world.start(N4);
            world.run_for(LONG);
            assert_members(&world, &[N1, N2, N3, N4], &[N1, N2, N3, N4]);
            world.leave(N4).expect("a node may always leave");
        }
    }
}

/// B31. To wait for a quorum ends at its deadline without one, and as soon as there is one: of the
/// list of members, or of all that are not forgotten.
#[test]
fn a_quorum_is_waited_for_until_there_is_one() {
    for seed in seeds(5) {
        let listed = [N1, N2, N3].map(Host::id);
        let mut world = World::builder(seed, 3)
            .configure(move |_, config| config.members = Some(listed.iter().cloned().collect()))
            .absent(N2)
            .absent(N3)
            .joined();
        let before = world.now();
        let missing = QuorumError::TimedOut { up: 1, of: 3 };
        assert_eq!(world.wait_for_quorum(N1), Err(missing), "seed {seed}");
        assert!(Duration::from_secs(1) < world.now().since(before), "seed {seed}");

        world.start(N2);
        assert_eq!(world.wait_for_quorum(N1), Ok(()), "seed {seed}");
        assert_eq!(world.wait_for_quorum(N2), Ok(()), "seed {seed}");
        world.kill(N2);
        world.run_for(LONG);
        let missing = QuorumError::TimedOut { up: 1, of: 3 };
        assert_eq!(world.wait_for_quorum(N1), Err(missing), "seed {seed}");

        world.set_members(N1, None).unwrap();
        let missing = QuorumError::TimedOut { up: 1, of: 2 };
        assert_eq!(world.wait_for_quorum(N1), Err(missing), "who is down is not forgotten");
    }
}
