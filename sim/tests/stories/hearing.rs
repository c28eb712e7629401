//! Which members hear each other, as any node tells, though nobody is down.

use std::collections::BTreeSet;
use std::time::Duration;

use ordu_core::message::Link;
use ordu_core::{LinksView, MemberStatus};
use ordu_sim::{Host, N1, N2, N3, N4, World, seeds};

use crate::LONG;

const ALL: [Host; 4] = [N1, N2, N3, N4];

/// How long it takes at most until a broken link is seen from everywhere: half of the failure
/// timeout, and two beats.
const SEEN: Duration = Duration::from_millis(2_600);

/// Returns the links that `host` names as broken: who does not hear whom.
fn named(world: &mut World, host: Host) -> BTreeSet<(String, String)> {
    let view = world.links(host);
    view.broken().map(|link| (link.observer.to_string(), link.subject.to_string())).collect()
}

/// Returns the names of links: who does not hear whom.
fn deaf<const N: usize>(links: [(Host, Host); N]) -> BTreeSet<(String, String)> {
    links.into_iter().map(|(by, of)| (by.to_string(), of.to_string())).collect()
}

fn told(view: &LinksView, by: Host, of: Host) -> &ordu_core::LinkView {
    let is_it = |link: &&ordu_core::LinkView| link.observer == by.id() && link.subject == of.id();
    view.links.iter().find(is_it).expect("it is a pair of members")
}

/// Where all is well every node knows of every pair that it was heard just now, and names nothing.
#[test]
fn every_node_knows_of_every_pair_how_old_what_was_heard_is() {
    for seed in seeds(10) {
        let mut world = World::builder(seed, 4).joined();
        world.run_for(LONG);
        for host in ALL {
            let view = world.links(host);
            assert_eq!(view.links.len(), 12, "{host}, seed {seed}");
            for link in &view.links {
                let age = link.silence + link.age;
                assert!(age < Duration::from_millis(1_200), "{link}, seed {seed}");
                assert_eq!(link.session, Link::Open, "{link}, seed {seed}");
                assert!(link.observer != host.id() || link.age.is_zero(), "{link}, seed {seed}");
            }
            assert_eq!(view.to_string(), "", "seed {seed}");
        }
    }
}

/// One link is cut in one direction. Nobody is down by that, and all four name exactly that link:
/// at first while its session is still up, and for as long as it is cut once that has ended.
#[test]
fn a_link_that_is_cut_one_way_is_named_by_all_and_no_other() {
    for seed in seeds(10) {
        let mut world = World::builder(seed, 4).joined();
        world.run_for(LONG);
        world.cut_one_way(N2, N3);
        let cut = world.now();
        world.run_for(SEEN);
        while world.now().since(cut) < Duration::from_secs(60) {
            for host in ALL {
                let expected = deaf([(N3, N2)]);
                assert_eq!(named(&mut world, host), expected, "{host}, seed {seed}");
                let view = world.links(host);
                let line = view.to_string();
                assert!(line.starts_with("n3 does not hear n2: silent for "), "{line}");
                for of in ALL {
                    assert_ne!(world.status(host, of), Some(MemberStatus::Down), "seed {seed}");
                }
            }
            world.run_for(Duration::from_millis(700));
        }
        // What n2 was told by n3 last is old; others are told all the time.
        let view = world.links(N2);
        assert!(Duration::from_secs(50) < told(&view, N3, N2).age, "seed {seed}");
        let view = world.links(N1);
        let link = told(&view, N3, N2);
        assert!(link.age < Duration::from_secs(1), "{link}, seed {seed}");
        assert!(Duration::from_secs(55) < link.silence, "{link}, seed {seed}");
        assert_eq!(link.session, Link::Closed, "seed {seed}");

        world.heal();
        world.run_for(LONG);
        for host in ALL {
            assert_eq!(named(&mut world, host), deaf([]), "{host}, seed {seed}");
        }
    }
}

/// A link that is cut both ways is named in both directions by those that hear both ends; each end
/// names what it knows: that it does not hear the other.
#[test]
fn a_link_that_is_cut_both_ways_is_named_in_both_directions() {
    for seed in seeds(10) {
        let mut world = World::builder(seed, 4).joined();
        world.run_for(LONG);
        world.cut_link(N2, N3);
        for pause in [SEEN, LONG, LONG] {
            world.run_for(pause);
            for host in [N1, N4] {
                let both = deaf([(N2, N3), (N3, N2)]);
                assert_eq!(named(&mut world, host), both, "{host}, seed {seed}");
            }
            assert_eq!(named(&mut world, N2), deaf([(N2, N3)]), "seed {seed}");
            assert_eq!(named(&mut world, N3), deaf([(N3, N2)]), "seed {seed}");
        }
    }
}

/// Two halves that hear each other through one member alone: it names the four links that are
/// missing, in both directions, and nobody is down.
#[test]
fn the_one_bridge_between_two_halves_names_all_links_that_are_missing() {
    for seed in seeds(5) {
        let mut world = World::builder(seed, 5).joined();
        world.run_for(LONG);
        let bridge = ordu_sim::N5;
        for left in [N1, N2] {
            for right in [N3, N4] {
                world.cut_link(left, right);
            }
        }
        world.run_for(LONG);
        let mut missing = BTreeSet::new();
        for left in [N1, N2] {
            for right in [N3, N4] {
                missing.extend(deaf([(left, right), (right, left)]));
            }
        }
        assert_eq!(named(&mut world, bridge), missing, "seed {seed}");
        for host in ALL {
            assert!(named(&mut world, host).is_subset(&missing), "{host}, seed {seed}");
            assert_eq!(world.members(host).len(), 5, "seed {seed}");
            assert_eq!(world.status(bridge, host), Some(MemberStatus::Alive), "seed {seed}");
        }
    }
}

/// A member that dies, or stands still, is no broken link, neither before it is taken for dead nor
/// after.
#[test]
fn who_is_dead_is_no_broken_link() {
    for seed in seeds(10) {
        let mut world = World::builder(seed, 4).joined();
        world.run_for(LONG);
        world.crash_silently(N4);
        for _ in 0..16 {
            world.run_for(Duration::from_millis(500));
            for host in [N1, N2, N3] {
                let broken = world.links(host);
                let is_fresh = world.status(host, N4) == Some(MemberStatus::Alive);
                assert!(is_fresh || broken.broken().next().is_none(), "{broken}, seed {seed}");
            }
        }
        for host in [N1, N2, N3] {
            let view = world.links(host);
            assert_eq!(view.links.len(), 6, "{view:?}, seed {seed}");
        }
    }
}
