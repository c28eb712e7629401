//! Metadata of registries: what any node may write, and no node's end takes away.

use std::time::Duration;

use ordu_core::{Config, Node, Replicas, WriteMetaError};
use ordu_sim::{Host, N1, N2, N3, N4, World, name, scope, seeds};

use crate::{LONG, SETTLE};

/// Longer than a delete is kept, and what it takes to let go of it.
const FORGOTTEN: Duration = Duration::from_secs(11 * 60);

/// Returns what is kept under `key`, as the readers of `host` see it.
fn meta(world: &World, host: Host, key: &str) -> Option<String> {
    world.view(host).metadata.get(&(scope(), name(key))).map(ToString::to_string)
}

fn put(world: &mut World, host: Host, key: &str, value: &str) {
    let seed = world.seed();
    let written = world.write_meta(host, key, Some(value), Replicas::One);
    assert_eq!(written, Ok(()), "seed {seed}");
    assert_eq!(meta(world, host, key).as_deref(), Some(value), "it is read here; seed {seed}");
}

fn delete(world: &mut World, host: Host, key: &str) {
    let seed = world.seed();
    assert_eq!(world.write_meta(host, key, None, Replicas::One), Ok(()), "seed {seed}");
    assert_eq!(meta(world, host, key), None, "it is gone here; seed {seed}");
}

/// Checks that all of `hosts` read `value` under `key`.
#[track_caller]
fn assert_read(world: &World, hosts: &[Host], key: &str, value: Option<&str>) {
    for &host in hosts {
        let seed = world.seed();
        assert_eq!(meta(world, host, key).as_deref(), value, "{key} on {host}; seed {seed}");
    }
}

/// Returns how many writes of metadata all nodes hold at most.
fn writes(world: &World, hosts: &[Host]) -> usize {
    let writes =
        hosts.iter().filter_map(|&host| world.node(host).map(|node| node.metadata_writes()));
    writes.max().expect("some node is up")
}

/// B91 to B94, B113. What one node puts is read on all, any node replaces it, and any deletes it.
#[test]
fn what_one_node_puts_all_read_and_any_deletes() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 3);
        let all = [N1, N2, N3];
        assert_read(&world, &all, "colour", None);
        put(&mut world, N1, "colour", "red");
        put(&mut world, N1, "shape", "round");
        world.settle(SETTLE);
        assert_read(&world, &all, "colour", Some("red"));

        put(&mut world, N2, "colour", "blue");
        put(&mut world, N3, "shape", "square");
        world.settle(SETTLE);
        assert_read(&world, &all, "colour", Some("blue"));
        assert_read(&world, &all, "shape", Some("square"));

        delete(&mut world, N3, "colour");
        delete(&mut world, N3, "nothing");
        world.settle(SETTLE);
        assert_read(&world, &all, "colour", None);
        assert_read(&world, &all, "shape", Some("square"));

        // What is deleted can be put again, by whoever deleted it and by others.
        put(&mut world, N1, "colour", "green");
        world.settle(SETTLE);
        assert_read(&world, &all, "colour", Some("green"));
    }
}

/// B112, B118. Of two values that did not know of each other the later counts on all nodes, and a
/// delete takes only what it knew of.
#[test]
fn after_a_split_the_later_value_counts_and_a_delete_takes_what_it_knew() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 4);
        let all = [N1, N2, N3, N4];
        for key in ["both", "deleted", "refreshed"] {
            put(&mut world, N1, key, "before");
        }
        world.settle(SETTLE);
        world.partition(&[N1, N2], &[N3, N4]);
        world.run_for(LONG);
        assert_read(&world, &all, "both", Some("before"));

        put(&mut world, N1, "both", "left");
        put(&mut world, N2, "refreshed", "left");
        world.run_for(Duration::from_secs(2));
        put(&mut world, N3, "both", "right");
        delete(&mut world, N4, "deleted");
        delete(&mut world, N3, "refreshed");
        world.run_for(Duration::from_secs(2));
        assert_read(&world, &[N1, N2], "both", Some("left"));
        assert_read(&world, &[N3, N4], "both", Some("right"));
        assert_read(&world, &[N3, N4], "refreshed", None);

        world.heal();
        world.settle(SETTLE + LONG);
        assert_read(&world, &all, "both", Some("right"));
        assert_read(&world, &all, "deleted", None);
        assert_read(&world, &all, "refreshed", Some("left"));
    }
}

/// B119. What both sides of a split put, be it the same, is deleted by whoever saw both.
#[test]
fn what_both_sides_put_alike_one_deletes_for_both() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 2);
        world.partition(&[N1], &[N2]);
        world.run_for(LONG);
        put(&mut world, N1, "colour", "red");
        put(&mut world, N2, "colour", "red");
        world.heal();
        world.settle(SETTLE + LONG);
        delete(&mut world, N1, "colour");
        world.settle(SETTLE);
        assert_read(&world, &[N1, N2], "colour", None);
    }
}

/// What a node wrote is read on after its death, can be replaced and deleted without it, and does
/// not come back with its journal or with its next life.
#[test]
fn the_death_of_its_writer_takes_nothing_and_brings_nothing_back() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 3);
        for key in ["kept", "replaced", "deleted"] {
            let written = world.write_meta(N1, key, Some("old"), Replicas::All);
            assert_eq!(written, Ok(()), "seed {seed}");
        }
        if seed % 2 == 0 {
            world.kill(N1)
        } else {
            world.crash_silently(N1)
        }
        assert_read(&world, &[N2, N3], "kept", Some("old"));
        world.run_for(LONG);
        world.settle(SETTLE);
        assert_read(&world, &[N2, N3], "kept", Some("old"));
        put(&mut world, N2, "replaced", "new");
        delete(&mut world, N3, "deleted");
        world.settle(SETTLE);

        // Its next life reads what there is; what the last one wrote is in good hands.
        world.start(N1);
        world.run_for(LONG);
        world.settle(SETTLE);
        for other in [N2, N3] {
            if seed % 3 == 0 {
                world.leave(other).expect("a node may always leave");
                world.run_for(LONG);
                world.settle(SETTLE);
            }
        }
        let left = world.up();
        assert_read(&world, &left, "kept", Some("old"));
        assert_read(&world, &left, "replaced", Some("new"));
        assert_read(&world, &left, "deleted", None);
    }
}

/// What a life that is over wrote and somebody replaced who is silent waits for nobody to adopt it.
#[test]
fn what_the_silent_replaced_is_in_good_hands() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        put(&mut world, N1, "key", "old");
        world.settle(SETTLE);
        world.partition(&[N1], &[N2, N3]);
        put(&mut world, N3, "key", "new");
        world.run_for(Duration::from_secs(2));
        world.crash_silently(N3);
        world.run_for(LONG);
        world.restart(N1);
        world.heal();
        world.run_for(LONG);
        world.settle(SETTLE);
        assert_read(&world, &[N1, N2], "key", Some("new"));

        world.start(N3);
        world.run_for(LONG);
        world.settle(SETTLE);
        assert_read(&world, &[N1, N2, N3], "key", Some("new"));
    }
}

/// A node that never comes back is forgotten, and what it wrote is not.
#[test]
fn what_the_forgotten_wrote_stays() {
    for seed in seeds(10) {
        let forget = |_, config: &mut Config| config.forget_after = Duration::from_secs(120);
        let mut world = World::builder(seed, 3).configure(forget).joined();
        let written = world.write_meta(N1, "kept", Some("old"), Replicas::Two);
        assert_eq!(written, Ok(()), "seed {seed}");
        assert_eq!(world.write_meta(N1, "gone", Some("old"), Replicas::Two), Ok(()));
        delete(&mut world, N1, "gone");
        world.settle(SETTLE);
        world.crash_silently(N1);
        world.run_for(Duration::from_secs(300));
        world.settle(SETTLE);
        for host in [N2, N3] {
            assert!(!world.members(host).contains_key(&N1.id()), "seed {seed}");
            let journals = world.node(host).expect("it is up").journals();
            let nodes: Vec<_> = journals.map(|(replica, _)| replica.node().clone()).collect();
            assert!(!nodes.contains(&N1.id()), "its journal is gone; seed {seed}");
        }
        assert_read(&world, &[N2, N3], "kept", Some("old"));
        assert_read(&world, &[N2, N3], "gone", None);
        world.run_for(FORGOTTEN);
        assert_read(&world, &[N2, N3], "kept", Some("old"));
        assert!(writes(&world, &[N2, N3]) <= 2, "the delete is gone, two may hold it; seed {seed}");
    }
}

/// B117. Whoever comes late reads all that there is, and nothing that was deleted.
#[test]
fn a_late_joiner_reads_what_there_is() {
    for seed in seeds(20) {
        let mut world = World::builder(seed, 4).absent(N4).joined();
        for number in 0..20 {
            let host = [N1, N2, N3][number % 3];
            put(&mut world, host, &format!("key {number}"), "first");
        }
        world.settle(SETTLE);
        for number in 0..10 {
            let host = [N1, N2, N3][(number + seed as usize) % 3];
            delete(&mut world, host, &format!("key {number}"));
        }
        world.settle(SETTLE);
        world.kill(N2);
        world.start(N4);
        world.run_for(LONG);
        world.settle(SETTLE);
        for number in 0..20 {
            let value = (10 <= number).then_some("first");
            assert_read(&world, &[N1, N3, N4], &format!("key {number}"), value);
        }
    }
}

/// What a node wrote before it left is read by those who stay, though it left at once.
#[test]
fn what_is_written_just_before_a_leave_stays() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 3);
        put(&mut world, N1, "last", "words");
        world.leave(N1).expect("a node may always leave");
        world.run_for(LONG);
        world.settle(SETTLE);
        assert_read(&world, &[N2, N3], "last", Some("words"));
        delete(&mut world, N2, "last");
        world.settle(SETTLE);
        assert_read(&world, &[N2, N3], "last", None);
    }
}

/// Deletes and replaced values do not add up: after a while there is one write for each value.
#[test]
fn what_was_deleted_or_replaced_leaves_nothing_behind() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 3);
        let all = [N1, N2, N3];
        for round in 0..30_usize {
            let host = all[(round + seed as usize) % 3];
            put(&mut world, host, "busy", &round.to_string());
            put(&mut world, host, &format!("key {round}"), "short-lived");
            world.run_for(Duration::from_millis(200));
            delete(&mut world, all[(round + 1) % 3], &format!("key {round}"));
        }
        world.settle(SETTLE);
        world.run_for(Duration::from_secs(60));
        assert!(31 <= writes(&world, &all), "deletes are kept for minutes; seed {seed}");
        assert_eq!(world.view(N1).metadata.len(), 1, "seed {seed}");

        world.run_for(FORGOTTEN);
        world.settle(SETTLE);
        assert_read(&world, &all, "busy", Some("29"));
        assert_eq!(writes(&world, &all), 1, "seed {seed}");
    }
}

/// A delete outlives the longest absence of somebody who still has what it deletes.
#[test]
fn nothing_comes_back_with_a_node_that_was_away_for_long() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 3);
        let all = [N1, N2, N3];
        put(&mut world, N1, "theirs", "old");
        put(&mut world, N3, "own", "old");
        world.settle(SETTLE);
        world.partition(&[N1, N2], &[N3]);
        world.run_for(LONG);
        delete(&mut world, N2, "theirs");
        delete(&mut world, N2, "own");
        world.run_for(FORGOTTEN);
        assert_read(&world, &[N1, N2], "own", None);
        assert_read(&world, &[N3], "own", Some("old"));

        world.heal();
        world.settle(SETTLE + LONG);
        assert_read(&world, &all, "theirs", None);
        assert_read(&world, &all, "own", None);
        world.run_for(FORGOTTEN);
        world.settle(SETTLE);
        assert_eq!(writes(&world, &all), 0, "seed {seed}");
    }
}

/// A delete is kept as long by a node that was forgotten, and had written much in the life before.
#[test]
fn a_delete_in_a_new_life_is_kept_as_long() {
    for seed in seeds(3) {
        let forget = |host, config: &mut Config| {
            if host != N3 {
                config.forget_after = Duration::from_secs(30);
            }
        };
        let mut world = World::builder(seed, 3).configure(forget).joined();
        for round in 0..20 {
            put(&mut world, N3, "busy", &round.to_string());
        }
        put(&mut world, N1, "deleted", "1");
        world.run_for(FORGOTTEN);
        let before = world.node(N3).and_then(Node::replica).cloned();
        world.partition(&[N1, N2], &[N3]);
        world.run_for(Duration::from_secs(60));
        world.heal();
        let is_new = |world: &World| world.node(N3).and_then(Node::replica) != before.as_ref();
        assert!(world.run_until(LONG * 3, is_new), "seed {seed}");
        world.settle(SETTLE + LONG);

        delete(&mut world, N3, "deleted");
        world.run_for(Duration::from_secs(9 * 60));
        let kept = writes(&world, &[N3]);
        world.run_for(FORGOTTEN);
        assert_eq!(writes(&world, &[N3]), kept - 1, "it was kept until now; seed {seed}");
    }
}

/// A write says how many members it is to be on, and when it is not.
#[test]
fn a_write_waits_for_as_many_members_as_it_says() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        world.settle(SETTLE);
        let written = world.write_meta(N1, "key", Some("1"), Replicas::All);
        assert_eq!(written, Ok(()), "seed {seed}");
        assert_read(&world, &[N1, N2, N3], "key", Some("1"));

        world.partition(&[N1], &[N2, N3]);
        let written = world.write_meta(N1, "key", Some("2"), Replicas::Majority);
        assert_eq!(written, Err(WriteMetaError::TimedOut { wanted: 2 }), "seed {seed}");
        assert_read(&world, &[N1], "key", Some("2"));
        let written = world.write_meta(N2, "key", None, Replicas::Majority);
        assert_eq!(written, Ok(()), "seed {seed}");
        assert_read(&world, &[N2, N3], "key", None);

        world.heal();
        world.settle(SETTLE + LONG);
        assert_read(&world, &[N1, N2, N3], "key", Some("2"));
    }
}

/// B90. What nodes are given at their start they add where nothing is kept, and overwrite nothing:
/// not what is there, nor what was put where they could not see it.
#[test]
fn what_is_given_at_the_start_is_added_where_there_is_nothing() {
    let given = |host: Host, config: &mut Config| {
        for key in ["colour", "shape"] {
            config.metadata.insert((scope(), name(key)), host.to_string().as_str().into());
        }
    };
    for seed in seeds(20) {
        let mut world = World::builder(seed, 3).absent(N2).absent(N3).configure(given).joined();
        let all = [N1, N2, N3];
        world.run_for(LONG);
        assert_read(&world, &[N1], "colour", Some("n1"));
        put(&mut world, N1, "colour", "red");

        // Who joins finds both, and leaves them alone.
        world.start(N2);
        world.run_for(LONG);
        world.settle(SETTLE);
        assert_read(&world, &[N1, N2], "colour", Some("red"));
        assert_read(&world, &[N1, N2], "shape", Some("n1"));

        // Who cannot find the others begins alone, and adds what it was given. It is the last to
        // write, and gives way all the same to what was put before.
        world.partition(&[N1, N2], &[N3]);
        world.start(N3);
        world.run_for(LONG);
        assert_read(&world, &[N3], "colour", Some("n3"));
        world.heal();
        world.settle(SETTLE + LONG);
        assert_read(&world, &all, "colour", Some("red"));

        // What is deleted is not there, and comes with the next who starts with it.
        delete(&mut world, N1, "shape");
        world.settle(SETTLE);
        assert_read(&world, &all, "shape", None);
        world.restart(N2);
        world.run_for(LONG);
        world.settle(SETTLE);
        assert_read(&world, &all, "shape", Some("n2"));
        assert_read(&world, &all, "colour", Some("red"));
    }
}
