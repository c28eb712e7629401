//! What each fault does to a cluster, and that the cluster is itself again after it.

use std::time::Duration;

use ordu_core::{Event, MemberStatus, Random};
use ordu_sim::{Host, N1, N2, N3, N4, N5, Network, Pace, Topology, World, named, seeds};

use crate::{LONG, SETTLE, home, start_children};

const SECOND: Duration = Duration::from_secs(1);

const MINUTE: Duration = Duration::from_secs(60);

/// How many children a cluster runs while it suffers.
const CHILDREN: usize = 12;

/// Returns a cluster at rest that runs some children.
fn cluster(seed: u64, hosts: u16) -> World {
    let mut world = World::new(seed, hosts);
    start_children(&mut world, "ok", CHILDREN);
    world.settle(SETTLE);
    world
}

/// Returns who suspected whom so far.
fn suspicions(world: &World) -> Vec<(Host, Host)> {
    let suspicion = |event: &Event| {
        let Event::MemberSuspect { replica } = event else { return None };
        Host::of(replica.node())
    };
    world.events().iter().filter_map(|(_, by, event)| Some((*by, suspicion(event)?))).collect()
}

/// Checks that every child that a cluster was started with runs, once.
#[track_caller]
fn assert_all_run_once(world: &World) {
    let started: std::collections::BTreeSet<_> =
        world.runs().iter().filter_map(|run| run.child).collect();
    assert_eq!(started.len(), CHILDREN, "seed {}", world.seed());
    for child in started {
        home(world, child);
    }
}

/// Frames of minutes ago, of sessions and lives that are over, change nothing.
#[test]
fn hoarded_frames_change_nothing() {
    for seed in seeds(10) {
        let mut world = cluster(seed, 3);
        world.set_network(Network { hoard_per_mille: 500, ..Network::lan() });
        world.start_child(N1, named("counter", "cart")).unwrap();
        world.run_for(SECOND);
        assert_eq!(world.count(N2, "cart", 7), Ok(7));
        world.run_for(SECOND * 5);
        world.restart(N3);
        world.run_for(LONG);
        world.break_session(N1, N2);
        world.run_for(SECOND * 5);
        world.set_network(Network::lan());
        world.settle(SETTLE);
        let sum = world.count(N1, "cart", 0);

        // For two minutes nothing happens but the past.
        let (runs, events) = (world.runs().len(), world.events().len());
        world.run_for(MINUTE * 2 + SECOND * 5);
        world.assert_settled();
        assert_eq!(world.runs().len(), runs, "seed {seed}");
        assert_eq!(world.events()[events..], [], "seed {seed}");
        assert_eq!(world.count(N1, "cart", 0), sum, "seed {seed}");
    }
}

/// Of a session that one side forgot, the other learns with the next one, which comes at once; and
/// where that cannot come, from its own timer, and nobody is taken for dead.
#[test]
fn a_half_open_session_is_noticed() {
    for seed in seeds(10) {
        let mut world = cluster(seed, 3);
        world.half_open(N1, N2);
        world.run_for(SECOND);
        let process = world.spawn(N2);
        world.register(N2, "cart", &process).unwrap();
        world.run_for(SECOND);
        assert_eq!(world.count(N1, "cart", 1), Ok(1), "they talk again; seed {seed}");

        world.half_open(N2, N1);
        world.cut_link(N1, N2);
        world.run_for(MINUTE);
        assert_ne!(world.status(N1, N2), Some(MemberStatus::Down), "seed {seed}");
        assert_ne!(world.status(N2, N1), Some(MemberStatus::Down), "seed {seed}");
        world.heal();
        world.run_for(LONG);
        assert_eq!(world.count(N1, "cart", 1), Ok(2), "seed {seed}");
        world.settle(SETTLE);
        assert_eq!(world.runs().len(), CHILDREN + 1, "nothing started anew; seed {seed}");
    }
}

/// F10. A link that comes and goes every 0.1 to 5 seconds for a minute, with its session or
/// without, is one that the third node answers for.
#[test]
fn a_flapping_link_starts_nothing() {
    for seed in seeds(10) {
        for closed in [false, true] {
            let mut world = cluster(seed, 3);
            let mut random = Random::new(seed);
            let end = world.now() + MINUTE;
            while world.now() < end {
                world.partition(&[N1], &[N2]);
                if closed {
                    world.break_session(N1, N2);
                }
                world.run_for(Duration::from_millis(100 + random.below(4_900)));
                world.heal_partition(&[N1], &[N2]);
                world.run_for(Duration::from_millis(100 + random.below(4_900)));
            }
            world.settle(SETTLE + LONG);
            assert_all_run_once(&world);
            assert_eq!(world.runs().len(), CHILDREN, "closed {closed}; seed {seed}");
        }
    }
}

/// F10. A node that comes and goes may be taken for dead each time it is away for longer than the
/// timeout, and only then do its children, and those it takes for orphans, start a second time.
#[test]
fn a_flapping_node_costs_a_bounded_number_of_starts() {
    for seed in seeds(10) {
        let mut world = cluster(seed, 3);
        let mut random = Random::new(seed);
        let end = world.now() + MINUTE;
        let mut long_ones = 0;
        while world.now() < end {
            let away = Duration::from_millis(100 + random.below(4_900));
            long_ones += usize::from(away > SECOND * 2);
            world.partition(&[N1, N2], &[N3]);
            world.run_for(away);
            world.heal_partition(&[N1, N2], &[N3]);
            world.run_for(Duration::from_millis(100 + random.below(4_900)));
        }
        world.settle(SETTLE + LONG);
        assert_all_run_once(&world);
        let bound = CHILDREN * (1 + long_ones);
        let runs = world.runs().len();
        assert!(runs <= bound, "{runs} runs, {long_ones} long absences; seed {seed}");
    }
}

/// F20. A machine that is slow is a good member as long as it can bear what comes. At 400 ms for
/// each input it cannot, and hears of everything ever later; at two seconds it speaks too rarely,
/// too, and is suspected. Its word on the others is old then, and must not make them suspects of
/// each other.
#[test]
fn a_slow_machine_makes_no_healthy_one_a_suspect() {
    for seed in seeds(3) {
        for times in [100, 1_000, 4_000, 20_000] {
            let mut world = cluster(seed, 5);
            world.set_pace(N3, Pace::slowed(times));
            world.run_for(MINUTE * 2);
            let mut suspicions = suspicions(&world);
            let is_suspect = suspicions.iter().any(|(_, of)| *of == N3);
            assert!(is_suspect || times < 20_000, "{times} times; seed {seed}");
            assert!(!is_suspect || 1_000 < times, "{times} times; seed {seed}");
            suspicions.retain(|(by, of)| *by != N3 && *of != N3);
            assert_eq!(suspicions, [], "{times} times; seed {seed}");

            world.set_pace(N3, Pace::full());
            world.run_for(LONG);
            world.settle(SETTLE);
            assert_all_run_once(&world);
        }
    }
}

/// F9, P8. As long as the word of each node gets to all the others by some way, nobody is down and
/// nothing starts a second time.
#[test]
fn a_network_in_one_piece_starts_no_second_instance() {
    for seed in seeds(2) {
        for (hosts, topology) in [
            (3, Topology::BrokenLink { a: N1, b: N2 }),
            (5, Topology::BrokenLink { a: N2, b: N5 }),
            (4, Topology::MajoritiesRing),
            (5, Topology::MajoritiesRing),
            (6, Topology::MajoritiesRing),
            (5, Topology::Ring),
            (7, Topology::Ring),
            (5, Topology::Line),
            (5, Topology::Star { centre: N4 }),
            (5, Topology::Bridge { bridge: N3 }),
            (4, Topology::OneWay { from: vec![N1, N2], to: vec![N3] }),
        ] {
            let mut world = cluster(seed, hosts);
            world.shape(&topology);
            world.run_for(MINUTE);
            let runs = world.runs().len();
            assert_eq!(runs, CHILDREN, "{topology:?} of {hosts}; seed {seed}");

            world.unshape(&topology);
            world.run_for(LONG);
            world.settle(SETTLE);
            assert_eq!(world.runs().len(), CHILDREN, "{topology:?} of {hosts}; seed {seed}");
        }
    }
}

/// Of three nodes in a majorities ring each hears one other, and no two hear each other: sessions,
/// which take both ways, end, and there are no new ones. That is as good as isolation.
#[test]
fn three_nodes_in_a_majorities_ring_are_on_their_own_and_meet_again() {
    for seed in seeds(5) {
        let mut world = cluster(seed, 3);
        world.shape(&Topology::MajoritiesRing);
        world.run_for(MINUTE);
        for child in world.children(N1).into_keys().collect::<Vec<_>>() {
            assert_eq!(world.running_child(child), [N1, N2, N3], "seed {seed}");
        }
        assert_eq!(world.runs().len(), CHILDREN * 3, "one start on each; seed {seed}");
        world.unshape(&Topology::MajoritiesRing);
        world.run_for(LONG);
        world.settle(SETTLE);
        assert_all_run_once(&world);
    }
}

/// Isolated, every node runs everything it knows of; together again, they run everything once.
#[test]
fn isolated_nodes_are_one_cluster_again() {
    for seed in seeds(5) {
        let mut world = cluster(seed, 4);
        world.shape(&Topology::Isolated);
        world.run_for(LONG);
        assert_eq!(world.runs().len(), CHILDREN * 4, "seed {seed}");
        world.unshape(&Topology::Isolated);
        world.run_for(LONG);
        world.settle(SETTLE);
        assert_all_run_once(&world);
    }
}

/// On every named link children start, and after it all are there, once.
#[test]
fn every_kind_of_link_is_survived() {
    for seed in seeds(3) {
        for (name, network) in Network::presets() {
            let mut world = World::builder(seed, 3).network(network()).build();
            world.run_for(LONG);
            start_children(&mut world, "ok", CHILDREN);
            world.run_for(MINUTE);
            world.set_network(Network::lan());
            world.run_for(LONG);
            world.settle(SETTLE + SETTLE);
            let children = world.children(N1).len();
            assert_eq!(children, CHILDREN, "{name}; seed {seed}");
        }
    }
}

/// Broken sessions are made anew at once: nobody is so much as suspected.
#[test]
fn sessions_that_break_cost_nothing() {
    for seed in seeds(5) {
        let mut world = cluster(seed, 3);
        world.set_network(Network::resets());
        world.run_for(MINUTE);
        assert_eq!(suspicions(&world), [], "seed {seed}");
        world.set_network(Network::lan());
        world.settle(SETTLE);
        assert_eq!(world.runs().len(), CHILDREN, "seed {seed}");
    }
}

/// F19. Wall clocks order events and nothing else: whatever they show, once they are right again
/// all is as it was.
#[test]
fn a_wall_clock_that_steps_far_is_survived() {
    const HOUR_MS: i64 = 3_600_000;
    for seed in seeds(3) {
        for offset_ms in [HOUR_MS, -HOUR_MS, 9_000 * HOUR_MS, -9_000 * HOUR_MS, i64::MIN] {
            let mut world = cluster(seed, 3);
            world.set_wall_offset_ms(N2, offset_ms);
            world.run_for(MINUTE / 2);
            world.set_wall_offset_ms(N2, 0);
            world.run_for(LONG);
            world.settle(SETTLE);
            assert_all_run_once(&world);
        }
    }
}

/// F18. Clocks that go up to three per cent wrong, and change their minds, are no fault at all.
#[test]
fn clocks_that_change_their_rate_cost_nothing() {
    for seed in seeds(5) {
        let mut world = cluster(seed, 4);
        let mut random = Random::new(seed);
        for _ in 0..60 {
            for host in [N1, N2, N3, N4] {
                let gain_ppm = random.below(60_001) as i32 - 30_000;
                world.set_clock_gain_ppm(host, gain_ppm);
            }
            world.run_for(SECOND);
        }
        assert_eq!(suspicions(&world), [], "seed {seed}");
        assert_eq!(world.runs().len(), CHILDREN, "seed {seed}");
        world.settle(SETTLE);
    }
}

/// A machine that sleeps is taken for dead, and does not know when it wakes that it was away.
#[test]
fn a_machine_that_slept_finds_its_place_again() {
    for seed in seeds(10) {
        let mut world = cluster(seed, 3);
        world.suspend(N2, MINUTE);
        world.run_for(LONG);
        assert_eq!(world.status(N1, N2), Some(MemberStatus::Down), "seed {seed}");
        world.run_for(MINUTE);
        world.settle(SETTLE);
        assert_all_run_once(&world);
    }
}

/// Does one fault of any kind but the loss of a memory to the machines of a world of five.
fn harm(world: &mut World, random: &mut Random) {
    let mut below = |end: u64| random.below(end);
    let (a, b) = (Host::new(1 + below(5) as u16), Host::new(1 + below(5) as u16));
    let (topologies, presets) = (topologies(), Network::presets());
    let topology = &topologies[below(topologies.len() as u64) as usize];
    let (_, preset) = presets[below(presets.len() as u64) as usize];
    let is_up = world.up().contains(&a);
    match below(16) {
        0 => world.shape(topology),
        1 | 2 => world.unshape(topology),
        3 if a != b => world.cut_one_way(a, b),
        4 if a != b => world.heal_one_way(a, b),
        5 if a != b => world.partition(&[a], &[b]),
        6 if a != b => world.heal_partition(&[a], &[b]),
        7 | 8 if a != b => world.break_session(a, b),
        9 | 10 if a != b => world.half_open(a, b),
        11 if a != b => world.set_one_way(a, b, &preset()),
        12 => world.set_pace(a, Pace::slowed(below(200) as u32)),
        13 => world.set_pace(a, Pace::full()),
        14 => world.set_clock_gain_ppm(a, below(20_001) as i32 - 10_000),
        15 if is_up => world.suspend(a, Duration::from_millis(below(15_000))),
        _ => (),
    }
}

fn topologies() -> [Topology; 8] {
    [
        Topology::Split { left: vec![N1, N2], right: vec![N3, N4, N5] },
        Topology::Isolated,
        Topology::Bridge { bridge: N3 },
        Topology::Ring,
        Topology::Line,
        Topology::Star { centre: N2 },
        Topology::MajoritiesRing,
        Topology::OneWay { from: vec![N1], to: vec![N2, N4] },
    ]
}

/// Faults of every kind that costs no memory, on top of each other, for two minutes.
#[test]
fn whatever_befalls_links_and_machines_passes() {
    for seed in seeds(10) {
        let mut world = cluster(seed, 5);
        let mut random = Random::new(seed);
        for _ in 0..80 {
            harm(&mut world, &mut random);
            world.run_for(Duration::from_millis(random.below(3_000)));
        }
        world.heal();
        world.set_network(Network::lan());
        for host in [N1, N2, N3, N4, N5] {
            world.thaw(host);
            world.set_pace(host, Pace::full());
        }
        world.run_for(LONG);
        world.settle(SETTLE);
        assert_all_run_once(&world);
    }
}
