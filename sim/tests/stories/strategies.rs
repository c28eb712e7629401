//! Children that are placed by strategies: ours, and those of users.

use std::collections::BTreeMap;
use std::time::Duration;

use ordu_core::placement::{
    Choice, Exclusion, Host as Member, Placement, PlacementStrategy, Redistribution, Weight,
};
use ordu_core::{ChildId, ChildSpec, Command, Delay, Reply, StartChildError, StopReason};
use ordu_sim::{Host, N1, N2, N3, N4, Network, World, WorldBuilder, scope, seeds, spec};

use crate::{LONG, SETTLE, home, start_at_once};

/// Chooses some other member than the one that asks, always.
struct Elsewhere;

impl PlacementStrategy for Elsewhere {
    fn name(&self) -> &'static str {
        "elsewhere/1"
    }

    fn choose<'a>(&self, choice: &Choice<'a>) -> Option<&'a Member<'a>> {
        let others: Vec<_> = choice.able().filter(|member| member.node != choice.me).collect();
        let place = usize::try_from(choice.chance).ok()?.checked_rem(others.len())?;
        Some(others[place])
    }
}

/// Chooses machine 2, and nobody while that is not there.
struct Second;

impl PlacementStrategy for Second {
    fn name(&self) -> &'static str {
        "second/1"
    }

    fn choose<'a>(&self, choice: &Choice<'a>) -> Option<&'a Member<'a>> {
        choice.able().find(|member| *member.node == N2.id())
    }
}

fn with_hops(seed: u64, hosts: u16, max_hops: u16) -> WorldBuilder {
    World::builder(seed, hosts).configure(move |_, config| {
        config.strategies.insert(Elsewhere);
        config.strategies.insert(Second);
        config.max_hops = max_hops;
    })
}

fn placed(placement: Placement) -> ChildSpec {
    ChildSpec { placement, ..spec("ok") }
}

fn by_user(name: &str) -> ChildSpec {
    placed(Placement::User(name.into()))
}

/// Returns how many of `children`, each of which runs once, run on each machine.
fn counts(world: &World, children: &[ChildId]) -> BTreeMap<Host, usize> {
    let mut counts = BTreeMap::new();
    for &child in children {
        *counts.entry(home(world, child)).or_default() += 1;
    }
    counts
}

/// B34, B39. Two hundred children that are placed at random, started at once through all members
/// with one hop, are all answered, and run, once each, on whoever was chosen.
#[test]
fn two_hundred_children_placed_at_random_all_start_at_once() {
    for seed in seeds(3) {
        let mut world = with_hops(seed, 4, 1).joined();
        let hosts = world.up();
        let specs = (0..200).map(|number| (hosts[number % 4], placed(Placement::Random)));
        let children = start_at_once(&mut world, specs);
        world.settle(SETTLE);
        let counts = counts(&world, &children);
        assert_eq!(counts.values().sum::<usize>(), 200);
        // Of 200 over 4, with a deviation of 6.
        assert!(hosts.iter().all(|host| (20..80).contains(&counts[host])), "{counts:?} {seed}");
        let runs = children.iter().map(|&child| world.runs_of(child).len());
        assert!(runs.into_iter().all(|runs| runs == 1), "once each; seed {seed}");
        // By the ring they would lie elsewhere: nobody calls that out of place.
        assert_eq!(world.plan_moves(N1, None), [], "seed {seed}");
    }
}

/// B36. Where every member passes a start on for longer than its deadline, it is an error then, and
/// nothing has run. There is no passing on without end: in the end it runs.
#[test]
fn what_is_passed_on_and_on_is_an_error_at_its_deadline() {
    for seed in seeds(2) {
        let delay = Duration::from_millis(250);
        let network = Network { delay, ..Network::lan() };
        let mut world = with_hops(seed, 3, 100).network(network).joined();
        let before = world.now();
        let refused = world.start_child(N1, by_user("elsewhere/1"));
        let Err(StartChildError::TimedOut { child }) = refused else {
            panic!("{refused:?}; seed {seed}");
        };
        assert!(Duration::from_secs(1) < world.now().since(before), "seed {seed}");
        assert_eq!(world.runs_of(child).len(), 0, "seed {seed}");
        assert!(10 < world.explain(N2, child).unwrap().hops, "seed {seed}");
        world.run_for(100 * 2 * delay);
        assert_eq!(world.runs_of(child).len(), 1, "seed {seed}");
        world.settle(SETTLE);
    }
}

/// B37. After ten hops whoever holds a start runs it.
#[test]
fn after_ten_hops_whoever_holds_a_start_runs_it() {
    for seed in seeds(5) {
        // A hop is two network delays; these make the story tell the hops apart.
        let delay = Duration::from_millis(20);
        let network = Network { delay, ..Network::lan() };
        let mut world = with_hops(seed, 3, 10).network(network).joined();
        let before = world.now();
        let started = world.start_child(N1, by_user("elsewhere/1")).unwrap();
        let took = world.now().since(before);
        // One more tells of the first start, and another one brings the answer.
        let is_ten = (10 * delay..=15 * delay).contains(&took);
        assert!(is_ten, "ten hops take ten delays, not {took:?}; seed {seed}");
        assert_eq!(world.runs_of(started.child).len(), 1, "seed {seed}");
        home(&world, started.child);
        world.settle(SETTLE);
        let explained = world.explain(N3, started.child).unwrap();
        assert_eq!((explained.strategy.as_str(), explained.hops), ("elsewhere/1", 0));
    }
}

/// B38. A strategy that always says the same needs one hop.
#[test]
fn a_stable_strategy_needs_one_hop() {
    for seed in seeds(5) {
        let mut world = with_hops(seed, 3, 1).joined();
        let specs = [N1, N2, N3].map(|host| (host, by_user("second/1")));
        let children = start_at_once(&mut world, specs.into_iter().cycle().take(30));
        assert_eq!(counts(&world, &children), [(N2, 30)].into(), "seed {seed}");
    }
}

/// A strategy that chooses nobody leaves its child to wait, says so, and is asked again.
#[test]
fn a_child_waits_while_its_strategy_chooses_nobody() {
    for seed in seeds(5) {
        let mut world = with_hops(seed, 3, 10).absent(N2).joined();
        let refused = world.start_child(N1, by_user("second/1"));
        let Err(StartChildError::TimedOut { child }) = refused else {
            panic!("{refused:?}; seed {seed}");
        };
        let delays = [N1, N3].map(|host| world.explain(host, child).unwrap().delay);
        assert_eq!(delays.iter().flatten().collect::<Vec<_>>(), [&Delay::NobodyChosen]);
        world.start(N2);
        world.settle(LONG);
        assert_eq!(home(&world, child), N2, "seed {seed}");
    }
}

/// Who has no code for a strategy comes into question for none of its children, not even to ask.
#[test]
fn only_who_has_code_for_a_strategy_is_asked_and_chosen() {
    for seed in seeds(5) {
        let world = World::builder(seed, 3).configure(|host, config| {
            if host != N3 {
                config.strategies.insert(Elsewhere);
            }
        });
        let mut world = world.joined();
        let specs = (0..20).map(|_| (N3, by_user("elsewhere/1")));
        let children = start_at_once(&mut world, specs);
        let counts = counts(&world, &children);
        assert!(!counts.contains_key(&N3), "{counts:?}; seed {seed}");
        let explained = world.explain(N1, children[0]).unwrap();
        let without = explained.candidates.iter().find(|by| by.exclusion.is_some()).unwrap();
        assert_eq!((&without.node, &without.exclusion), (&N3.id(), &Some(Exclusion::Strategy)));
    }
}

/// With bounded loads nobody has much more than its share, by weight, and the children of one key
/// still lie together as far as there is room.
#[test]
fn bounded_loads_are_kept_to_by_weight() {
    for seed in seeds(3) {
        let mut world = World::builder(seed, 3)
            .configure(|host, config| {
                let points = if host == N1 { 2 * Weight::USUAL.points() } else { 256 };
                config.weight = Weight::new(points).expect("it is a weight");
            })
            .joined();
        let spec =
            ChildSpec { placement_key: Some("one key".into()), ..placed(Placement::bounded(120)) };
        let mut children = Vec::new();
        for number in 0..80_usize {
            let host = world.up()[number % 3];
            children.push(world.start_child(host, spec.clone()).unwrap().child);
        }
        let counts = counts(&world, &children);
        // Of 80, 40 and twice 20 are the shares; asked one by one, nobody is a child over 120 %.
        assert!(counts[&N1] <= 48 && counts[&N2] <= 24 && counts[&N3] <= 24, "{counts:?} {seed}");
        let fullest = counts.values().filter(|&&count| [24, 48].contains(&count)).count();
        assert!(1 <= fullest, "one key fills one member first: {counts:?}; seed {seed}");
    }
}

/// A heavier member has as much more of the ring.
#[test]
fn a_weight_is_a_share_of_the_ring() {
    for seed in seeds(2) {
        let mut world = World::builder(seed, 3)
            .configure(|host, config| {
                let points = if host == N2 { 3 * Weight::USUAL.points() } else { 256 };
                config.weight = Weight::new(points).expect("it is a weight");
            })
            .joined();
        let children = start_at_once(&mut world, (0..500).map(|_| (N1, spec("ok"))));
        let counts = counts(&world, &children);
        assert!((250..350).contains(&counts[&N2]), "300 of 500 are its share: {counts:?} {seed}");
    }
}

/// Children of one key lie on different members, in different zones first; one whose node dies goes
/// where the fewest of them are.
#[test]
fn children_of_one_key_are_spread_over_zones_and_members() {
    for seed in seeds(5) {
        let zone = |host: Host| if [N1, N2].contains(&host) { "a" } else { "b" };
        let mut world = World::builder(seed, 4)
            .configure(move |host, config| {
                config.labels.insert("zone", zone(host)).expect("it is a label");
            })
            .joined();
        let spec = ChildSpec {
            placement_key: Some("copies".into()),
            ..placed(Placement::spread_over("zone"))
        };
        let mut children = Vec::new();
        for (number, host) in world.up().into_iter().enumerate() {
            children.push(world.start_child(host, spec.clone()).unwrap().child);
            let homes = counts(&world, &children);
            assert_eq!(homes.len(), number + 1, "each on its own: {homes:?}; seed {seed}");
            let in_a = homes.keys().filter(|&&host| zone(host) == "a").count();
            assert!(in_a.abs_diff(number + 1 - in_a) <= 1, "{homes:?}; seed {seed}");
        }
        let lone = world.explain(N1, children[0]).unwrap();
        let kin = lone.candidates.iter().map(|by| (Host::of(&by.node).unwrap(), by.kin));
        let mut kin: Vec<_> = kin.collect();
        kin.sort_unstable();
        let at = home(&world, children[0]);
        let expected = world.up().into_iter().map(|host| (host, usize::from(host != at)));
        assert_eq!(kin, expected.collect::<Vec<_>>(), "but for itself; seed {seed}");

        world.kill(at);
        world.settle(LONG);
        let homes = counts(&world, &children);
        assert_eq!(homes.values().max(), Some(&2), "{homes:?}; seed {seed}");
        let doubled = homes.iter().find(|(_, count)| **count == 2).map(|(host, _)| *host);
        assert_eq!(doubled.map(zone), Some(zone(at)), "one of two zones lacks it; seed {seed}");
    }
}

/// Whoever chose may die right then, and so may whom it chose: the child starts all the same, once.
#[test]
fn a_child_starts_though_who_chose_or_was_chosen_dies() {
    for seed in seeds(20) {
        let mut world = World::builder(seed, 4).joined();
        let up = world.up();
        let specs: Vec<_> = (0..12).map(|_| (N4, placed(Placement::Random))).collect();
        let tickets: Vec<_> = specs
            .into_iter()
            .map(|(host, spec)| {
                world.request_within(host, Command::Start { scope: scope(), spec }, LONG)
            })
            .collect();
        // Some choices are on their way, some have arrived; who dies is any but who was asked.
        world.run_for(Duration::from_micros(300 + 400 * (seed % 8)));
        let victim = up[usize::try_from(seed % 3).unwrap()];
        world.crash_silently(victim);
        let mut children: Vec<ChildId> = Vec::new();
        for ticket in tickets {
            let reply = world.answer(ticket);
            let Reply::Start(Ok(started)) = reply else { panic!("{reply:?}; seed {seed}") };
            children.push(started.child);
        }
        world.settle(LONG);
        let counts = counts(&world, &children);
        assert!(!counts.contains_key(&victim), "{counts:?}; seed {seed}");
        assert_eq!(counts.values().sum::<usize>(), 12, "seed {seed}");
    }
}

/// A newcomer is given what others have far too much of, a few at a time; not while moves are
/// paused, and nothing that is merely unevenly spread.
#[test]
fn what_is_far_over_its_bound_moves_to_a_newcomer_unless_moves_are_paused() {
    const QUIET: Duration = Duration::from_secs(3);
    for seed in seeds(3) {
        let mut world = World::builder(seed, 3)
            .configure(|_, config| {
                config.redistribution = Redistribution::Active { at_once: 2, quiet: QUIET };
            })
            .absent(N3)
            .joined();
        let specs = (0..60).map(|number| {
            let placement = if number < 40 { Placement::bounded(110) } else { Placement::Random };
            (N1, placed(placement))
        });
        let children = start_at_once(&mut world, specs);
        let (bounded, random) = children.split_at(40);
        let before = random.iter().map(|&child| home(&world, child)).collect::<Vec<_>>();
        world.pause_moves(N2, true);
        world.start(N3);
        world.run_for(LONG);
        assert_eq!(counts(&world, bounded).get(&N3), None, "paused; seed {seed}");
        assert!(!world.plan_moves(N1, None).is_empty(), "seed {seed}");
        world.settle(SETTLE);

        world.pause_moves(N1, false);
        world.run_for(2 * LONG);
        world.settle(SETTLE);
        let counts = counts(&world, bounded);
        assert!((5..20).contains(&counts[&N3]), "{counts:?}; seed {seed}");
        assert_eq!(world.plan_moves(N2, None), [], "seed {seed}");
        let after = random.iter().map(|&child| home(&world, child)).collect::<Vec<_>>();
        assert_eq!(after, before, "what is placed at random stays; seed {seed}");
        let moved = bounded.iter().find(|&&child| home(&world, child) == N3).unwrap();
        assert_eq!(world.runs_of(*moved)[0].stop, Some(StopReason::Moving), "seed {seed}");
    }
}
