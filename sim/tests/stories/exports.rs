//! What a cluster exports, and what one that starts anew makes of it.

use std::collections::{BTreeMap, BTreeSet};

use ordu_core::{Blob, ChildId, Export, Replicas};
use ordu_sim::{Host, N1, N2, N3, World, name, named, scope, seeds, spec};

use crate::{LONG, SETTLE, home, start_children};

/// Returns what all members of a cluster agree on that a user of it would keep.
#[track_caller]
fn exported(world: &World) -> Export {
    let exports = world.up().into_iter().map(|host| world.node(host).expect("it is up").export());
    let exports: Vec<Export> = exports.collect();
    let seed = world.seed();
    assert!(exports.iter().all(|export| *export == exports[0]), "all know the same; seed {seed}");
    Export::decode(&exports[0].encode()).expect("it was just encoded")
}

/// Returns a cluster of which `given` import `export`, at rest.
fn imported(seed: u64, export: &Export, given: &'static [Host]) -> World {
    let export = export.clone();
    let mut world = World::builder(seed, 3)
        .configure(move |host, config| {
            if given.contains(&host) {
                config.import = export.clone();
            }
        })
        .joined();
    world.run_for(LONG);
    world.settle(SETTLE);
    world
}

/// Returns the children that a cluster runs, each of which runs once, with its name.
#[track_caller]
fn running(world: &World) -> BTreeMap<ChildId, Option<String>> {
    let children = world.children(N1).into_iter();
    let children = children.map(|(child, view)| {
        home(world, child);
        (child, view.name.as_ref().map(ToString::to_string))
    });
    children.collect()
}

/// B116. A cluster stops whole and starts again: with its children, each once and under its id and
/// its name, without those that ended, and with its metadata. One node that was given the export is
/// enough, and if all were, it is the same.
#[test]
fn a_cluster_that_stopped_goes_on_with_what_it_exported() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let ended = start_children(&mut world, "counter", 3);
        start_children(&mut world, "counter", 9);
        for text in ["cart", "till"] {
            world.start_child(N2, named("counter", text)).expect("the name is free");
        }
        for (key, value) in [("schema", "3"), ("colour", "red")] {
            assert_eq!(world.write_meta(N3, key, Some(value), Replicas::All), Ok(()));
        }
        for &child in &ended {
            assert_eq!(world.terminate(N1, child), Ok(()), "seed {seed}");
        }
        world.settle(SETTLE);
        let before = running(&world);
        assert_eq!(before.len(), 11, "seed {seed}");
        let export = exported(&world);
        assert_eq!((export.children(), export.metadata()), (11, 2), "seed {seed}");

        for given in [&[N1][..], &[N2, N3], &[N1, N2, N3]] {
            let mut after = imported(seed + 1_000, &export, given);
            assert_eq!(running(&after), before, "by {given:?}; seed {seed}");
            for host in [N1, N2, N3] {
                let schema = after.view(host).metadata.get(&(scope(), name("schema"))).cloned();
                assert_eq!(schema, Some(Blob::from("3")), "{host}; seed {seed}");
            }
            assert_eq!(after.count(N3, "cart", 1), Ok(1), "it begins anew; seed {seed}");
            assert_eq!(exported(&after), export, "nothing is lost on the way; seed {seed}");

            // What is imported is replicated as what is started is.
            let host = home(&after, *before.keys().next().expect("there are some"));
            after.kill(host);
            after.run_for(LONG);
            after.settle(SETTLE);
            let left = after.up()[0];
            assert_eq!(after.children(left).len(), 11, "seed {seed}");
        }
    }
}

/// Who imports into a cluster that is there already adds what is missing, and changes nothing: what
/// has ended there stays ended, and what was written there stays written.
#[test]
fn who_imports_later_brings_nothing_back_and_overwrites_nothing() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let children = start_children(&mut world, "counter", 4);
        assert_eq!(world.write_meta(N1, "colour", Some("red"), Replicas::All), Ok(()));
        world.settle(SETTLE);
        let export = exported(&world);

        let mut world = imported(seed, &export, &[N1, N2, N3]);
        assert_eq!(world.terminate(N1, children[0]), Ok(()), "seed {seed}");
        assert_eq!(world.write_meta(N1, "colour", Some("blue"), Replicas::All), Ok(()));
        let fresh = world.start_child(N1, spec("counter")).expect("it starts").child;
        world.settle(SETTLE);
        for host in [N3, N2] {
            world.restart(host);
            world.run_for(LONG);
            world.settle(SETTLE);
        }
        let expected: BTreeSet<ChildId> = children[1..].iter().copied().chain([fresh]).collect();
        assert_eq!(running(&world).into_keys().collect::<BTreeSet<_>>(), expected, "seed {seed}");
        let colour = world.view(N2).metadata.get(&(scope(), name("colour"))).cloned();
        assert_eq!(colour, Some(Blob::from("blue")), "seed {seed}");
    }
}

/// The list of members is part of it: a node that is not on it is not let in. A list that was
/// written since stays, whoever imports the old one once more.
#[test]
fn an_imported_list_of_members_counts_until_another_is_written() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 3);
        assert_eq!(world.set_members(N1, Some(&[N1, N2])), Ok(()));
        world.run_for(LONG);
        let export = exported(&world);
        assert_eq!(export.members().map(BTreeSet::len), Some(2), "seed {seed}");

        let given = export.clone();
        let mut world = World::builder(seed, 3)
            .absent(N3)
            .configure(move |_, config| config.import = given.clone())
            .joined();
        world.run_for(LONG);
        world.start(N3);
        world.run_for(LONG);
        assert!(world.exited(N3).is_some(), "seed {seed}");
        assert_eq!(world.members(N1).len(), 2, "seed {seed}");

        assert_eq!(world.set_members(N1, Some(&[N1, N2, N3])), Ok(()), "seed {seed}");
        world.restart(N2);
        world.run_for(LONG);
        assert_eq!(exported(&world).members().map(BTreeSet::len), Some(3), "seed {seed}");
        world.start(N3);
        world.run_for(LONG);
        assert_eq!(world.members(N1).len(), 3, "seed {seed}");
    }
}
