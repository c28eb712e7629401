//! How old members are, and the side of a split that goes on as the oldest is on it.

use std::time::Duration;

use ordu_core::{MemberStatus, Mode, Quorum, Stamp, StopReason};
use ordu_sim::{Host, N1, N2, N3, N4, N5, World, scope, seeds};

use crate::{LONG, SETTLE, start_children};

/// How long a node takes at most until it knows whom it hears no more, by a LAN, and its children
/// have stopped.
const STOPPED: Duration = Duration::from_secs(5);

/// What the oldest does when it is alone.
const RULES: [Quorum; 2] =
    [Quorum::KeepOldest { down_if_alone: true }, Quorum::KeepOldest { down_if_alone: false }];

/// Returns a cluster at rest, with children, that goes by `quorum`, and its members, the oldest
/// first.
fn world(seed: u64, quorum: Quorum, children: usize) -> (World, Vec<Host>) {
    let mut world = World::builder(seed, 5)
        .configure(move |_, config| {
            config.modes.insert(scope(), Mode::stopping(quorum));
        })
        .joined();
    start_children(&mut world, "ok", children);
    world.settle(SETTLE);
    let by_age = by_age(&world, N1);
    (world, by_age)
}

/// Returns when `host` joined, as `reader` sees it.
fn joined(world: &World, reader: Host, host: Host) -> Option<Stamp> {
    world.members(reader).get(&host.id()).and_then(|member| member.joined)
}

/// Returns the members as `reader` sees them, the oldest first.
fn by_age(world: &World, reader: Host) -> Vec<Host> {
    let mut hosts = vec![N1, N2, N3, N4, N5];
    hosts.sort_by_key(|&host| (joined(world, reader, host), host.id()));
    hosts
}

/// Returns how many children run on `hosts`.
fn load(world: &World, hosts: &[Host]) -> usize {
    hosts.iter().map(|&host| world.load(host)).sum()
}

/// When a member joined is written once in its life, and everyone sees the same; who joins later is
/// younger than all that it finds, whatever its clock says, and so is who is started anew.
#[test]
fn who_joins_later_is_younger_though_its_clock_is_late() {
    for seed in seeds(10) {
        // The clock of the last one to join is late by almost what is allowed.
        let mut world = World::builder(seed, 4)
            .configure(|_, config| config.clock_bound = Duration::from_secs(5))
            .build();
        world.kill(N4);
        world.set_wall_offset_ms(N4, -4_500);
        let all_have_joined =
            |world: &World| [N1, N2, N3].iter().all(|&host| joined(world, N1, host).is_some());
        assert!(world.run_until(LONG, all_have_joined), "seed {seed}");
        let before = [N1, N2, N3].map(|host| joined(&world, N1, host));
        world.start(N4);
        world.run_for(LONG);
        world.settle(SETTLE);
        for reader in [N1, N2, N3, N4] {
            let now = [N1, N2, N3].map(|host| joined(&world, reader, host));
            assert_eq!(now, before, "{reader}, seed {seed}");
            let last = joined(&world, reader, N4);
            assert!(before.iter().all(|first| *first < last), "{last:?}, seed {seed}");
        }

        world.kill(N1);
        world.run_for(Duration::from_secs(1));
        world.start(N1);
        world.run_for(LONG);
        world.settle(SETTLE);
        assert!(joined(&world, N2, N4) < joined(&world, N2, N1), "it lives anew, seed {seed}");
    }
}

/// The oldest and one other go on with all children, though they are the fewer; the other three
/// stop theirs. Healed, each child runs once.
#[test]
fn the_side_of_the_oldest_goes_on_and_the_larger_one_stops() {
    for seed in seeds(5) {
        for quorum in RULES {
            let (mut world, by_age) = world(seed, quorum, 20);
            let (on, off) = ([by_age[0], by_age[4]], [by_age[1], by_age[2], by_age[3]]);
            let moved = load(&world, &off);
            world.partition(&on, &off);
            let stopped = world.run_until(STOPPED, |world| load(world, &off) == 0);
            assert!(stopped, "{quorum:?}, seed {seed}: {}", world.tail());
            for run in world.runs().iter().filter(|run| off.contains(&run.host)) {
                assert_eq!(run.stop, Some(StopReason::NoQuorum), "{quorum:?}, seed {seed}");
            }
            world.run_for(LONG);
            assert_eq!(load(&world, &on), 20, "{quorum:?}, seed {seed}");
            assert_eq!(load(&world, &off), 0, "{quorum:?}, seed {seed}");

            world.heal();
            world.run_for(LONG);
            world.settle(SETTLE);
            assert_eq!(load(&world, &by_age), 20, "{quorum:?}, seed {seed}");
            assert_eq!(world.runs().len(), 20 + moved, "each was started elsewhere, once");
        }
    }
}

/// Cut off from all others, the oldest stops and they go on, if it is told to; else it goes on, and
/// they stop.
#[test]
fn the_oldest_that_is_alone_stops_or_goes_on_as_it_is_told() {
    for seed in seeds(5) {
        for quorum in RULES {
            let (mut world, by_age) = world(seed, quorum, 20);
            let (oldest, others) = by_age.split_at(1);
            world.partition(oldest, others);
            world.run_for(STOPPED + LONG);
            let loads = (load(&world, oldest), load(&world, others));
            let gives_way = quorum == Quorum::KeepOldest { down_if_alone: true };
            let expected = if gives_way { (0, 20) } else { (20, 0) };
            assert_eq!(loads, expected, "{quorum:?}, seed {seed}");
            world.heal();
            world.run_for(LONG);
            world.settle(SETTLE);
            assert_eq!(load(&world, &by_age), 20, "{quorum:?}, seed {seed}");
        }
    }
}

/// Where the oldest dies the others go on, if it was told to give way, until another one dies, too;
/// else nothing runs. Back, it is the youngest: the next one is the oldest now.
#[test]
fn where_the_oldest_dies_the_others_go_on_only_if_it_gives_way() {
    for seed in seeds(5) {
        for quorum in RULES {
            let (mut world, by_age) = world(seed, quorum, 20);
            let (oldest, others) = (by_age[0], &by_age[1..]);
            world.kill(oldest);
            world.run_for(LONG + STOPPED);
            let gives_way = quorum == Quorum::KeepOldest { down_if_alone: true };
            let expected = if gives_way { 20 } else { 0 };
            assert_eq!(load(&world, others), expected, "{quorum:?}, seed {seed}");

            let second = others[3];
            world.kill(second);
            world.run_for(LONG + STOPPED);
            assert_eq!(load(&world, &others[..3]), 0, "{quorum:?}, seed {seed}");

            world.start(oldest);
            world.run_for(LONG + STOPPED);
            assert_eq!(by_age_of(&world, others[0], &[others[0], oldest]), others[0]);
            let mut up = others[..3].to_vec();
            up.push(oldest);
            assert_eq!(load(&world, &up), 20, "{quorum:?}, seed {seed}: {}", world.tail());
            assert_eq!(world.status(others[0], second), Some(MemberStatus::Down), "seed {seed}");
        }
    }
}

/// Returns the oldest of `hosts`, as `reader` sees it.
fn by_age_of(world: &World, reader: Host, hosts: &[Host]) -> Host {
    let by_age = by_age(world, reader);
    by_age.into_iter().find(|host| hosts.contains(host)).expect("one of them is oldest")
}

/// Over one cut link all that is heard goes round: nothing stops, be it the oldest's link.
#[test]
fn one_cut_link_of_the_oldest_stops_nothing() {
    for seed in seeds(3) {
        for quorum in RULES {
            let (mut world, by_age) = world(seed, quorum, 15);
            world.cut_link(by_age[0], by_age[1]);
            world.break_session(by_age[0], by_age[1]);
            world.run_for(Duration::from_secs(60));
            assert_eq!(world.runs().len(), 15, "{quorum:?}, seed {seed}");
            world.heal();
            world.run_for(LONG);
            world.settle(SETTLE);
        }
    }
}
