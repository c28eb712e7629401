//! Children that stop, and names that are given up, where a node finds itself in the minority; and
//! what that does not promise.

use std::collections::BTreeSet;
use std::time::Duration;

use ordu_core::StartChildError::NoQuorum;
use ordu_core::{
    ChildId, Command, Delay, Domain, Event, Loss, MemberStatus, Mode, Occupant, Quorum,
    RegisterError, Reply, StartChildError, StopReason, Voters,
};
use ordu_sim::{
    Host, N1, N2, N3, N4, N5, World, WorldBuilder, locks, name, named, scope, seeds, spec,
};

use crate::names::told;
use crate::{LONG, SETTLE, SHORT, start_children};

/// How long a node takes at most until it knows that it hears nobody any more, by a LAN, and its
/// children have stopped.
const STOPPED: Duration = Duration::from_secs(5);

/// The rules by which of any two sides at most one goes on, among up to five members.
const RULES: [Quorum; 4] =
    [Quorum::Voters, Quorum::Uniform, Quorum::KeepMajority, Quorum::Static { size: 3 }];

fn builder(seed: u64, hosts: u16, quorum: Quorum) -> WorldBuilder {
    World::builder(seed, hosts).configure(move |_, config| {
        config.voters = Some(Voters::new((1..=hosts).map(|number| Host::new(number).id())));
        config.modes.insert(scope(), Mode::stopping(quorum));
        config.registry_modes.insert(locks(), Mode::stopping(quorum));
    })
}

/// Returns a cluster at rest, with children.
fn world(seed: u64, hosts: u16, quorum: Quorum, children: usize) -> (World, Vec<ChildId>) {
    let mut world = builder(seed, hosts, quorum).joined();
    let children = start_children(&mut world, "ok", children);
    world.settle(SETTLE);
    (world, children)
}

/// Returns how many children run on `hosts`.
fn load(world: &World, hosts: &[Host]) -> usize {
    hosts.iter().map(|&host| world.load(host)).sum()
}

/// Returns how many processes that were started after `count` others ran the same child as another
/// one at some moment since.
fn doubles(world: &World, count: usize) -> usize {
    let (before, since) = world.runs().split_at(count);
    let twice = |(place, run): &(usize, &ordu_sim::Run)| {
        let others = before.iter().chain(&since[..*place]);
        others.into_iter().any(|other| other.child == run.child && other.overlaps(run))
    };
    since.iter().enumerate().filter(twice).count()
}

/// Returns what `host` said last of a quorum: that it has one, or has none any more.
fn said_last(world: &World, host: Host, of: Domain) -> Option<bool> {
    let said = world.events().iter().rev().filter(|(_, at, _)| *at == host);
    let mut said = said.filter_map(|(_, _, event)| {
        let Event::Quorum { domain, is_met, .. } = event else { return None };
        (*domain == of).then_some(*is_met)
    });
    said.next()
}

/// B124. Where a node finds that it is in the minority all its children stop within a bound, and
/// nowhere else; the others run them all. Healed, each runs once, and was started but once more.
#[test]
fn the_smaller_side_of_a_split_stops_its_children_within_a_bound() {
    for seed in seeds(5) {
        for quorum in RULES {
            let (mut world, children) = world(seed, 5, quorum, 20);
            let (small, large) = ([N4, N5], [N1, N2, N3]);
            let moved = load(&world, &small);
            world.partition(&small, &large);
            let stopped = world.run_until(STOPPED, |world| load(world, &small) == 0);
            assert!(stopped, "{quorum:?}, seed {seed}: {}", world.tail());
            for run in world.runs().iter().filter(|run| small.contains(&run.host)) {
                assert_eq!(run.stop, Some(StopReason::NoQuorum), "{quorum:?}, seed {seed}");
            }
            assert_eq!(
                said_last(&world, N4, Domain::Supervisor(scope())),
                Some(false),
                "{quorum:?}, seed {seed}"
            );
            world.run_for(LONG);
            assert_eq!(load(&world, &large), 20, "{quorum:?}, seed {seed}");
            assert_eq!(load(&world, &small), 0, "{quorum:?}, seed {seed}");
            for host in small {
                world.settled(host).unwrap_or_else(|error| panic!("{error}, seed {seed}"));
            }

            world.heal();
            world.run_for(LONG);
            world.settle(SETTLE);
            for &child in &children {
                assert_eq!(world.running_child(child).len(), 1, "{quorum:?}, seed {seed}");
            }
            assert_eq!(world.runs().len(), 20 + moved, "each was started elsewhere, once");
            assert_eq!(
                said_last(&world, N4, Domain::Supervisor(scope())),
                Some(true),
                "{quorum:?}, seed {seed}"
            );
        }
    }
}

/// The names that processes hold on the smaller side of a split are given up within a bound, and
/// their processes told so, which may not be given names there; the others keep theirs, and give
/// away what is free. Healed, all see the same, and names are given away everywhere.
#[test]
fn the_smaller_side_of_a_split_gives_its_names_up() {
    for seed in seeds(5) {
        for quorum in RULES {
            let mut world = builder(seed, 5, quorum).joined();
            world.settle(SETTLE);
            let (small, large) = ([N4, N5], [N1, N2, N3]);
            let (lost, kept) = (world.spawn(N4), world.spawn(N1));
            for text in ["ledger", "archive"] {
                assert_eq!(world.lock(N4, text, &lost, SHORT), Ok(()), "{quorum:?}, seed {seed}");
            }
            assert_eq!(world.register(N4, "elsewhere", &lost), Ok(()), "{quorum:?}, seed {seed}");
            assert_eq!(world.lock(N1, "gate", &kept, SHORT), Ok(()), "{quorum:?}, seed {seed}");
            world.settle(SETTLE);

            world.partition(&small, &large);
            let holds = |world: &World, text| world.lock_holder(N4, text).is_some();
            let given_up = world
                .run_until(STOPPED, |world| !holds(world, "ledger") && !holds(world, "archive"));
            assert!(given_up, "{quorum:?}, seed {seed}: {}", world.tail());
            assert_eq!(told(&world, &lost), Some(&StopReason::NoQuorum), "{quorum:?}, seed {seed}");
            assert_eq!(
                said_last(&world, N4, Domain::Registry(locks())),
                Some(false),
                "{quorum:?}, seed {seed}"
            );
            let loss = world.view(N4).losses.get(&(locks(), name("ledger")));
            assert_eq!(loss, Some(&Loss::NoQuorum), "{quorum:?}, seed {seed}");
            let view = world.quorum_of(N4, Domain::Registry(locks()));
            assert_eq!((view.mode, view.may_run), (Mode::stopping(quorum), false));
            let other = world.spawn(N4);
            let refused = world.lock(N4, "ledger", &other, SHORT);
            let (up, of) = (view.up, view.of);
            assert_eq!(refused, Err(RegisterError::NoQuorum { up, of }), "{quorum:?}, seed {seed}");

            // Without a mode of its own a registry goes on giving names away on both sides.
            assert_eq!(world.register(N4, "usual", &other), Ok(()), "{quorum:?}, seed {seed}");
            world.run_for(LONG);
            let next = world.spawn(N2);
            assert_eq!(world.lock(N2, "ledger", &next, SHORT), Ok(()), "{quorum:?}, seed {seed}");
            let taken = RegisterError::NameTaken {
                name: name("gate"),
                holder: Occupant::Process(kept.clone()),
            };
            assert_eq!(world.lock(N2, "gate", &next, SHORT), Err(taken), "{quorum:?}, seed {seed}");
            assert_eq!(told(&world, &kept), None, "{quorum:?}, seed {seed}");

            world.heal();
            world.run_for(LONG);
            world.settle(SETTLE);
            for host in [N1, N2, N3, N4, N5] {
                let seen = |text| world.lock_holder(host, text).map(|holder| &holder.process);
                assert_eq!(seen("ledger"), Some(&next), "{quorum:?}, seed {seed}");
                assert_eq!(seen("gate"), Some(&kept), "{quorum:?}, seed {seed}");
                assert_eq!(seen("archive"), None, "{quorum:?}, seed {seed}");
            }
            assert_eq!(world.lock(N4, "archive", &other, SHORT), Ok(()), "{quorum:?}, seed {seed}");
            assert_eq!(
                said_last(&world, N4, Domain::Registry(locks())),
                Some(true),
                "{quorum:?}, seed {seed}"
            );
        }
    }
}

/// Children hold no names that a process may lose while it runs, and such names are asked for where
/// their process runs.
#[test]
fn names_that_may_be_given_up_are_for_processes_of_the_asked_node_alone() {
    for seed in seeds(3) {
        let mut world = builder(seed, 3, Quorum::Uniform).joined();
        world.settle(SETTLE);
        let mut with_name = named("counter", "ledger");
        with_name.name = Some((locks(), name("ledger")));
        let refused = world.start_child(N1, with_name).map(drop);
        assert_eq!(refused, Err(StartChildError::BarredName { registry: locks() }), "seed {seed}");

        let child = world.start_child(N1, spec("counter")).expect("it starts").process;
        let host = Host::of(child.replica.node()).expect("it runs somewhere");
        let refused = world.lock(host, "ledger", &child, SHORT);
        assert_eq!(refused, Err(RegisterError::RunsChild { process: child }), "seed {seed}");

        let process = world.spawn(N2);
        world.settle(SETTLE);
        let refused = world.lock(N1, "ledger", &process, SHORT);
        assert_eq!(refused, Err(RegisterError::Elsewhere { process }), "seed {seed}");
    }
}

/// B124. Where no side has a quorum nothing runs anywhere; healed, each child is started exactly
/// once again.
#[test]
fn in_equal_halves_nobody_hears_most_voters_and_all_start_once_when_they_meet() {
    for seed in seeds(20) {
        let (mut world, children) = world(seed, 4, Quorum::Voters, 16);
        world.partition(&[N1, N2], &[N3, N4]);
        let all = [N1, N2, N3, N4];
        let stopped = world.run_until(STOPPED, |world| load(world, &all) == 0);
        assert!(stopped, "seed {seed}: {}", world.tail());
        world.run_for(LONG * 2);
        assert_eq!(load(&world, &all), 0, "seed {seed}");
        assert_eq!(world.runs().len(), 16, "nothing was started, seed {seed}");
        for host in all {
            let view = world.quorum(host);
            assert_eq!((view.may_run, view.up, view.of), (false, 2, 4), "seed {seed}");
            assert!(LONG < view.lasts, "{view:?}, seed {seed}");
            let explanation = world.explain(host, children[0]).unwrap();
            assert_eq!(explanation.delay, Some(Delay::NoQuorum), "seed {seed}");
        }

        world.heal();
        world.run_for(LONG);
        world.settle(SETTLE);
        assert_eq!(world.runs().len(), 32, "each was started again, once, seed {seed}");
        assert_eq!(doubles(&world, 16), 0, "seed {seed}");
    }
}

/// Where a side has the lowest name, or the higher names, it goes on with all by the rules that
/// let one half of an even split go on; the other half stops.
#[test]
fn of_two_halves_one_goes_on_by_the_rules_that_break_ties() {
    for seed in seeds(5) {
        for (quorum, on, off) in
            [(Quorum::KeepMajority, [N1, N4], [N2, N3]), (Quorum::Uniform, [N3, N4], [N1, N2])]
        {
            let (mut world, _) = world(seed, 4, quorum, 12);
            world.partition(&on, &off);
            world.run_for(LONG + STOPPED);
            let loads = (load(&world, &on), load(&world, &off));
            assert_eq!(loads, (12, 0), "{quorum:?}, seed {seed}");
            world.heal();
            world.run_for(LONG);
            world.settle(SETTLE);
        }
    }
}

/// Of three members two die: the last one stops, though nobody else is left to run anything, and
/// starts all when one is back (V1).
#[test]
fn the_last_of_three_stops_all_and_starts_all_with_a_second_one() {
    for seed in seeds(5) {
        for quorum in [Quorum::Voters, Quorum::Uniform, Quorum::KeepMajority] {
            let (mut world, children) = world(seed, 3, quorum, 22);
            world.kill(N2);
            world.kill(N3);
            let stopped = world.run_until(STOPPED, |world| world.load(N1) == 0);
            assert!(stopped, "{quorum:?}, seed {seed}");
            world.run_for(LONG);
            assert_eq!(world.load(N1), 0, "{quorum:?}, seed {seed}");

            world.start(N2);
            world.run_for(LONG);
            for &child in &children {
                assert_eq!(world.running_child(child).len(), 1, "{quorum:?}, seed {seed}");
            }
        }
    }
}

/// A node in the minority takes on nothing, and says how many it sees; what it was asked for before
/// is kept, and so are names.
#[test]
fn starts_are_refused_in_the_minority_and_names_stay_reserved() {
    for seed in seeds(5) {
        let mut world = builder(seed, 3, Quorum::KeepMajority).joined();
        let cart = world.start_child(N3, named("ok", "cart")).unwrap().child;
        world.settle(SETTLE);
        world.partition(&[N3], &[N1, N2]);
        world.run_for(SHORT);
        let command = Command::Start { scope: scope(), spec: spec("slow-start") };
        let early: Vec<_> = (0..12)
            .map(|_| world.request_within(N3, command.clone(), Duration::from_secs(8)))
            .collect();
        world.run_for(LONG);

        let refused = NoQuorum { up: 1, of: 3, child: None };
        assert_eq!(world.start_child(N3, spec("ok")), Err(refused.clone()), "seed {seed}");
        let unknown = world.ensure_child(N3, named("ok", "till"));
        assert_eq!(unknown, Err(refused.clone()), "seed {seed}");
        let once = world.start_once(N3, "key", spec("ok"));
        assert_eq!(once, Err(refused), "seed {seed}");
        let kept = NoQuorum { up: 1, of: 3, child: Some(cart) };
        assert_eq!(world.ensure_child(N3, named("ok", "cart")), Err(kept), "seed {seed}");
        for ticket in early {
            let Reply::Start(result) = world.answer(ticket) else {
                panic!("an answer out of kind")
            };
            if let Err(error) = result {
                let NoQuorum { up: 1, of: 3, child: Some(_) } = error else {
                    panic!("a start ends with {error}, seed {seed}")
                };
            }
        }
        assert!(world.ensure_child(N1, named("ok", "till")).is_ok(), "seed {seed}");

        world.heal();
        world.run_for(LONG);
        world.settle(SETTLE);
        assert!(world.ensure_child(N3, named("ok", "cart")).unwrap().found, "seed {seed}");
    }
}

/// Over one cut link all that is heard goes round: nobody is in the minority, nothing stops and
/// nothing is started.
#[test]
fn one_cut_link_stops_nothing() {
    for seed in seeds(3) {
        for quorum in RULES {
            let (mut world, _) = world(seed, 5, quorum, 15);
            world.cut_link(N1, N2);
            world.break_session(N1, N2);
            world.run_for(Duration::from_secs(60));
            assert_eq!(world.runs().len(), 15, "{quorum:?}, seed {seed}");
            assert_ne!(world.status(N1, N2), Some(MemberStatus::Down), "seed {seed}");
            world.heal();
            world.run_for(LONG);
            world.settle(SETTLE);
        }
    }
}

/// What no such rule promises: who hears all the others and is heard by none is not in the minority
/// as it sees it, while the others take its children over. They run twice until the others, who
/// have given it up, speak to it no more.
#[test]
fn who_hears_all_and_is_heard_by_none_runs_on_so_that_children_run_twice() {
    for seed in seeds(5) {
        for quorum in RULES {
            let (mut world, children) = world(seed, 5, quorum, 60);
            let own = world.load(N5);
            assert!(0 < own, "seed {seed}");
            for other in [N1, N2, N3, N4] {
                world.cut_one_way(N5, other);
            }
            let taken_over = world.run_until(LONG, |world| load(world, &[N1, N2, N3, N4]) == 60);
            assert!(taken_over, "{quorum:?}, seed {seed}");
            assert!(world.quorum(N5).may_run, "{quorum:?}, seed {seed}");
            let twice = children.iter().filter(|&&child| world.running_child(child).len() == 2);
            assert_eq!(twice.count(), own, "{quorum:?}: not exclusivity, seed {seed}");
            world.run_for(Duration::from_secs(1));
            assert_eq!(world.load(N5), own, "{quorum:?}: nor for a moment only, seed {seed}");

            world.run_for(LONG);
            assert_eq!(world.load(N5), 0, "{quorum:?}, seed {seed}");
            world.heal();
            world.run_for(LONG);
            world.settle(SETTLE);
            for &child in &children {
                assert_eq!(world.running_child(child).len(), 1, "{quorum:?}, seed {seed}");
            }
        }
    }
}

/// Of a fixed number that is no more than half of the members each side of a split has enough.
#[test]
fn a_fixed_number_that_is_too_small_lets_both_sides_go_on() {
    for seed in seeds(5) {
        let (mut world, children) = world(seed, 4, Quorum::Static { size: 2 }, 12);
        world.partition(&[N1, N2], &[N3, N4]);
        world.run_for(LONG * 2);
        for &child in &children {
            assert_eq!(world.running_child(child).len(), 2, "seed {seed}");
        }
        world.heal();
        world.run_for(LONG);
        world.settle(SETTLE);
    }
}

/// A link that flaps faster than anyone is given up, and a node that stands still for a moment,
/// stop nothing.
#[test]
fn short_disturbances_stop_nothing() {
    for seed in seeds(5) {
        let (mut world, _) = world(seed, 3, Quorum::KeepMajority, 12);
        for _ in 0..10 {
            world.partition_closed(&[N1], &[N2, N3]);
            world.run_for(Duration::from_millis(700));
            world.heal();
            world.run_for(Duration::from_secs(2));
        }
        world.suspend(N1, Duration::from_secs(20));
        world.run_for(Duration::from_secs(20) + LONG);
        world.settle(SETTLE);
        let ends: BTreeSet<_> = world.runs().iter().map(|run| format!("{:?}", run.stop)).collect();
        assert!(!ends.contains("Some(NoQuorum)"), "{ends:?}, seed {seed}");
    }
}

/// Nodes that go by other rules for one supervisor refuse each other.
#[test]
fn nodes_that_stop_by_different_rules_refuse_each_other() {
    for seed in seeds(3) {
        let rule = |host| if host == N1 { Quorum::Uniform } else { Quorum::KeepMajority };
        let configure = move |host, config: &mut ordu_core::Config| {
            config.modes.insert(scope(), Mode::stopping(rule(host)));
        };
        let mut world = World::builder(seed, 2).configure(configure).build();
        world.run_for(LONG);
        let refused = |(_, _, event): &(ordu_core::Time, Host, Event)| {
            matches!(event, Event::TermsRefused { .. })
        };
        assert!(world.events().iter().any(refused), "seed {seed}");
        assert_eq!(world.members(N1).len(), 1, "seed {seed}");
    }
}

/// B124. Under leases, too, a node that does not hear most voters takes on nothing and says so;
/// what it took on a moment before is kept, and runs once there is a majority.
#[test]
fn where_no_lease_is_to_be_had_starts_are_refused() {
    for seed in seeds(5) {
        let mut world = World::builder(seed, 3).exclusive(3).joined();
        let early = world.quorum(N1);
        assert!(early.may_run && early.abstains.is_some_and(|left| !left.is_zero()), "{early:?}");
        world.run_for(Duration::from_secs(6));
        let children = start_children(&mut world, "ok", 9);
        let view = world.quorum(N3);
        assert_eq!((view.up, view.of, view.abstains), (3, 3, Some(Duration::ZERO)), "seed {seed}");
        assert_eq!((view.leases_held, view.leases_asked), (world.load(N3), 0), "seed {seed}");
        let ends = view.lease_ends.filter(|_| 0 < view.leases_held);
        assert!(ends.is_none_or(|ends| ends <= Duration::from_secs(5)), "{view:?}, seed {seed}");

        world.partition(&[N3], &[N1, N2]);
        world.run_for(SHORT);
        let command = Command::Start { scope: scope(), spec: spec("ok") };
        let asked: Vec<_> = (0..12)
            .map(|_| world.request_within(N3, command.clone(), Duration::from_secs(5)))
            .collect();
        world.run_for(LONG);
        let mut kept = Vec::new();
        for ticket in asked {
            let answer = world.answer(ticket);
            let Reply::Start(Err(NoQuorum { up: 1, of: 3, child: Some(child) })) = answer else {
                panic!("a start ends with {answer:?}, seed {seed}")
            };
            kept.push(child);
        }
        let refused = NoQuorum { up: 1, of: 3, child: None };
        assert_eq!(world.start_child(N3, spec("ok")), Err(refused), "seed {seed}");
        let view = world.quorum(N3);
        assert_eq!((view.may_run, view.leases_held, world.load(N3)), (false, 0, 0), "seed {seed}");
        assert_eq!(view.lease_ends, None, "seed {seed}");

        world.heal();
        world.run_for(LONG * 2);
        for child in children.into_iter().chain(kept) {
            assert_eq!(world.running_child(child).len(), 1, "seed {seed}");
        }
    }
}
