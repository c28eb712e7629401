//! Names that are held under leases: one process holds each at a time, whatever the network does.
//!
//! Every world holds all grants and renewals against true time (S41 to S43), so what the stories
//! themselves look at is that names are given, to whom, when, and what is told.

use std::time::Duration;

use ordu_core::{
    Event, Loss, Node, Occupant, ProcessId, RegisterError, Reply, StartChildError, StopReason,
    Time, UnregisterError,
};
use ordu_sim::{
    Host, N1, N2, N3, N4, N5, Topology, World, WorldBuilder, locks, name, named, seeds, spec,
};

use crate::drift::{ABSTENTION, LEASE, TAKEOVER, drifting, granting};
use crate::names::told;
use crate::others;

/// Long enough for whatever is granted at all.
const PATIENT: Duration = Duration::from_secs(15);

/// Returns a cluster whose machines all grant names.
fn builder(seed: u64, hosts: u16) -> WorldBuilder {
    drifting(seed, hosts).exclusive_names(hosts)
}

fn world(seed: u64, hosts: u16) -> World {
    granting(builder(seed, hosts))
}

fn taken(text: &str, by: &ProcessId) -> RegisterError {
    RegisterError::NameTaken { name: name(text), holder: Occupant::Process(by.clone()) }
}

fn holder(world: &World, host: Host, text: &str) -> Option<ProcessId> {
    world.lock_holder(host, text).map(|holder| holder.process.clone())
}

fn lapses(world: &World) -> usize {
    let lapsed = |event: &&Event| matches!(event, Event::NameLapsed { .. });
    world.events().iter().map(|(_, _, event)| event).filter(lapsed).count()
}

/// A name is granted within a moment, shows everywhere with its token, and is held for as long as
/// its process runs.
#[test]
fn a_name_is_held_under_a_lease_that_is_renewed() {
    for seed in seeds(5) {
        let mut world = world(seed, 3);
        let process = world.spawn(N1);
        let at = world.now();
        assert_eq!(world.lock(N1, "ledger", &process, PATIENT), Ok(()), "seed {seed}");
        assert!(world.now().since(at) < Duration::from_millis(500), "seed {seed}");
        world.run_for(Duration::from_secs(60));
        for host in [N1, N2, N3] {
            let held = world.lock_holder(host, "ledger").expect("it shows");
            assert_eq!(held.process, process, "seed {seed}");
            assert!(held.token.is_some(), "seed {seed}");
        }
        assert_eq!((told(&world, &process), world.tenures()), (None, (1, 0)), "seed {seed}");

        // Nobody else is given it meanwhile, nor is the process itself once more.
        for host in [N1, N3] {
            let other = world.spawn(host);
            let refused = world.lock(host, "ledger", &other, PATIENT);
            assert_eq!(refused, Err(taken("ledger", &process)), "seed {seed}");
        }
        let again = world.lock(N1, "ledger", &process, PATIENT);
        assert_eq!(again, Err(taken("ledger", &process)), "seed {seed}");
    }
}

/// What is given back, and what a process held that has ended, is granted to the next at once, who
/// has a higher token.
#[test]
fn a_name_that_is_given_back_is_granted_at_once() {
    for seed in seeds(5) {
        let mut world = world(seed, 3);
        let mut last = None;
        for turn in 0..6_u64 {
            let host = [N1, N2, N3][turn as usize % 3];
            let process = world.spawn(host);
            let at = world.now();
            assert_eq!(world.lock(host, "ledger", &process, PATIENT), Ok(()), "seed {seed}");
            assert!(world.now().since(at) < Duration::from_secs(1), "turn {turn}, seed {seed}");
            let token = world.lock_holder(host, "ledger").and_then(|held| held.token);
            assert!(last < token, "turn {turn}, seed {seed}");
            last = token;
            if turn.is_multiple_of(2) {
                assert_eq!(world.unlock(host, "ledger", &process), Ok(()), "seed {seed}");
                assert_eq!(told(&world, &process), None, "seed {seed}");
            } else {
                world.end_process(&process, None);
            }
            world.run_for(Duration::from_millis(50));
            assert!(holder(&world, N1, "ledger").is_none(), "turn {turn}, seed {seed}");
        }
        assert_eq!((world.tenures(), lapses(&world)), ((6, 0), 0), "seed {seed}");
    }
}

/// A name that is only asked for is found by nobody, and is not its process's to give back.
#[test]
fn what_is_not_granted_yet_is_found_by_nobody() {
    for seed in seeds(5) {
        // These have just started, and grant nothing yet.
        let mut world = builder(seed, 3).joined();
        let process = world.spawn(N1);
        let ticket = world.request_lock(N1, "ledger", &process, PATIENT);
        world.run_for(Duration::from_secs(1));
        for host in [N1, N2, N3] {
            assert!(world.lock_holder(host, "ledger").is_none(), "seed {seed}");
        }
        let not_holder =
            UnregisterError::NotHolder { name: name("ledger"), process: process.clone() };
        assert_eq!(world.unlock(N1, "ledger", &process), Err(not_holder), "seed {seed}");
        let Reply::Register(Ok(_)) = world.answer(ticket) else { panic!("seed {seed}") };
        assert!(Duration::from_secs(5) < world.now().since(Time::ZERO), "seed {seed}");
        assert_eq!(holder(&world, N1, "ledger"), Some(process), "seed {seed}");
    }
}

/// Who waits until its deadline is told so, and nothing is left of what it asked for; nor is
/// anything of what a process asked for that ended meanwhile.
#[test]
fn what_is_not_granted_in_time_is_withdrawn() {
    for seed in seeds(5) {
        let mut world = builder(seed, 3).joined();
        let process = world.spawn(N1);
        let late = world.lock(N1, "ledger", &process, Duration::from_secs(1));
        let not_granted = RegisterError::NotGranted { name: name("ledger") };
        assert_eq!(late, Err(not_granted), "seed {seed}");
        let short_lived = world.spawn(N1);
        let ticket = world.request_lock(N1, "other", &short_lived, PATIENT);
        world.run_for(Duration::from_millis(200));
        world.end_process(&short_lived, None);
        let gone = RegisterError::NoProcess { process: short_lived };
        assert_eq!(world.answer(ticket), Reply::Register(Err(gone)), "seed {seed}");

        world.run_for(Duration::from_secs(10));
        assert_eq!(world.tenures(), (0, 0), "seed {seed}");
        for text in ["ledger", "other"] {
            let next = world.spawn(N2);
            assert_eq!(world.lock(N2, text, &next, PATIENT), Ok(()), "{text}, seed {seed}");
        }
    }
}

/// The process of a node that is cut off is told that it lost its name before anybody else is
/// granted that, and whoever asks on the smaller side is told why it cannot have it.
#[test]
fn who_is_cut_off_is_told_before_another_holds_its_name() {
    for seed in seeds(10) {
        let mut world = world(seed, 5);
        let first = world.spawn(N1);
        assert_eq!(world.lock(N1, "ledger", &first, PATIENT), Ok(()), "seed {seed}");
        let before = world.lock_holder(N1, "ledger").and_then(|held| held.token);
        let rest = others(&world, N1);
        let at = world.now();
        world.partition(&[N1], &rest);

        // The other side sees it for as long as the node is not taken for dead.
        world.run_for(Duration::from_millis(3_900));
        let second = world.spawn(N3);
        let ticket = world.request_lock(N3, "ledger", &second, PATIENT);
        let granted = world.run_until(PATIENT, |world| world.reply(ticket).is_some());
        assert!(granted, "seed {seed}: {}", world.tail());
        assert!(matches!(world.reply(ticket), Some(Reply::Register(Ok(_)))), "seed {seed}");
        assert!(world.now().since(at) < TAKEOVER + Duration::from_secs(2), "seed {seed}");
        assert_eq!(told(&world, &first), Some(&StopReason::NameLapsed), "seed {seed}");
        assert!(world.lock_holder(N1, "ledger").is_none(), "seed {seed}");
        assert!(before < world.lock_holder(N3, "ledger").and_then(|held| held.token));

        let late = world.spawn(N1);
        let refused = world.lock(N1, "ledger", &late, PATIENT);
        assert_eq!(refused, Err(RegisterError::NoQuorum { up: 1, of: 5 }), "seed {seed}");
        world.heal();
        world.run_for(Duration::from_secs(10));
        for host in world.up() {
            assert_eq!(holder(&world, host, "ledger"), Some(second.clone()), "seed {seed}");
        }
        assert_eq!((told(&world, &second), lapses(&world)), (None, 1), "seed {seed}");
    }
}

/// Whoever reads the registry learns that the name was lost as its lease ended.
#[test]
fn readers_learn_that_a_lease_has_ended() {
    for seed in seeds(5) {
        let mut world = world(seed, 3);
        let process = world.spawn(N1);
        assert_eq!(world.lock(N1, "ledger", &process, PATIENT), Ok(()), "seed {seed}");
        // N1 is heard, and reached, by N2 alone.
        let cut = Topology::BrokenLink { a: N1, b: N3 };
        world.shape(&cut);
        world.kill(N3);
        world.run_for(LEASE);
        assert_eq!(told(&world, &process), None, "two of three are a majority; seed {seed}");
        world.cut_link(N1, N2);
        world.run_for(LEASE);
        let loss = world.view(N1).losses.get(&(locks(), name("ledger"))).copied();
        assert_eq!(loss, Some(Loss::Lapsed), "seed {seed}");
    }
}

/// A node that dies gives nothing back: its names are granted once what was promised to it has
/// passed, and not much later.
#[test]
fn the_name_of_a_killed_node_is_granted_once_its_lease_has_passed() {
    for seed in seeds(10) {
        let mut world = world(seed, 3);
        let first = world.spawn(N1);
        assert_eq!(world.lock(N1, "ledger", &first, PATIENT), Ok(()), "seed {seed}");
        world.run_for(Duration::from_millis(300));
        world.kill(N1);
        let at = world.now();
        let second = world.spawn(N2);
        let early = world.lock(N2, "ledger", &second, Duration::from_secs(1));
        assert_eq!(early, Err(taken("ledger", &first)), "it is not known to be dead; seed {seed}");
        let is_free = |world: &World| world.lock_holder(N2, "ledger").is_none();
        assert!(world.run_until(Duration::from_secs(5), is_free), "seed {seed}");
        assert_eq!(world.lock(N2, "ledger", &second, PATIENT), Ok(()), "seed {seed}");
        let took = world.now().since(at);
        assert!(Duration::from_millis(3_500) < took && took < TAKEOVER, "{took:?}; seed {seed}");
    }
}

/// A machine is frozen beyond the end of its lease. When it goes on, its process is told before
/// anything else, and somebody else holds the name.
#[test]
fn who_is_frozen_beyond_its_lease_is_told_as_it_thaws() {
    for seed in seeds(10) {
        let mut world = world(seed, 3);
        let first = world.spawn(N1);
        assert_eq!(world.lock(N1, "ledger", &first, PATIENT), Ok(()), "seed {seed}");
        world.pause(N1);
        world.run_for(Duration::from_secs(4));
        let second = world.spawn(N2);
        assert_eq!(world.lock(N2, "ledger", &second, PATIENT), Ok(()), "seed {seed}");
        world.run_for(Duration::from_secs(5));
        assert_eq!(told(&world, &first), None, "it stands still; seed {seed}");

        world.thaw(N1);
        world.run_for(Duration::from_millis(10));
        assert_eq!(told(&world, &first), Some(&StopReason::NameLapsed), "seed {seed}");
        world.run_for(Duration::from_secs(5));
        for host in [N1, N2, N3] {
            assert_eq!(holder(&world, host, "ledger"), Some(second.clone()), "seed {seed}");
        }
    }
}

/// All five ask at once, and no two reach the same majority: one of them is granted the name, and
/// the others are told; nobody waits for ever.
#[test]
fn split_votes_for_a_name_end() {
    for seed in seeds(10) {
        let mut world = world(seed, 5);
        world.shape(&Topology::MajoritiesRing);
        for round in 0..3 {
            let text = format!("ledger-{round}");
            let ask = |host: Host, world: &mut World| {
                let process = world.spawn(host);
                world.request_lock(host, &text, &process, PATIENT)
            };
            let tickets: Vec<_> =
                [N1, N2, N3, N4, N5].into_iter().map(|host| ask(host, &mut world)).collect();
            let replies: Vec<Reply> = tickets.into_iter().map(|t| world.answer(t)).collect();
            let granted = replies.iter().filter(|r| matches!(r, Reply::Register(Ok(_)))).count();
            assert_eq!(granted, 1, "seed {seed}: {replies:?}");
        }
    }
}

/// One request a period renews all that a node holds, however many names that is.
#[test]
fn names_are_renewed_together() {
    for seed in seeds(3) {
        let mut world = world(seed, 3);
        let process = world.spawn(N1);
        let tickets: Vec<_> = (0..100)
            .map(|number| world.request_lock(N1, &format!("n{number}"), &process, PATIENT))
            .collect();
        for ticket in tickets {
            assert!(matches!(world.answer(ticket), Reply::Register(Ok(_))), "seed {seed}");
        }
        world.run_for(Duration::from_secs(30));
        assert_eq!((world.tenures(), lapses(&world)), ((100, 0), 0), "seed {seed}");
        world.settle(Duration::from_secs(10));
    }
}

/// Children hold no names under leases, and names are asked for where their process runs.
#[test]
fn what_is_not_held_under_leases_is_refused() {
    for seed in seeds(3) {
        let mut world = world(seed, 3);
        let mut with_name = named("counter", "ledger");
        with_name.name = Some((locks(), name("ledger")));
        let refused = world.start_child(N1, with_name).map(drop);
        assert_eq!(refused, Err(StartChildError::BarredName { registry: locks() }), "seed {seed}");

        let child = world.start_child(N1, spec("counter")).expect("it starts").process;
        let host = Host::of(child.replica.node()).expect("it runs somewhere");
        let refused = world.lock(host, "ledger", &child, PATIENT);
        assert_eq!(refused, Err(RegisterError::RunsChild { process: child }), "seed {seed}");

        let process = world.spawn(N2);
        world.run_for(Duration::from_secs(1));
        let refused = world.lock(N1, "ledger", &process, PATIENT);
        assert_eq!(refused, Err(RegisterError::Elsewhere { process }), "seed {seed}");
        assert_eq!(world.tenures(), (0, 0), "seed {seed}");
    }
}

/// What the promise assumes of clocks is needed: a clock that runs slower than is said has its
/// process hold a name for too long, and the world sees it.
#[test]
#[should_panic(expected = "S41")]
fn a_clock_that_runs_too_slowly_is_seen_to_break_the_promise() {
    let mut world = World::builder(1, 3).exclusive_names(3).clock_gain_ppm(N1, -400_000).joined();
    world.run_for(2 * ABSTENTION);
    let first = world.spawn(N1);
    world.lock(N1, "ledger", &first, PATIENT).expect("voters grant");
    world.partition(&[N1], &[N2, N3]);
    world.run_for(Duration::from_secs(4));
    let second = world.spawn(N2);
    world.lock(N2, "ledger", &second, PATIENT).expect("it is free");
    world.run_for(Duration::from_secs(10));
}

/// What the promise assumes of voters is needed: if they grant as soon as they are started, they
/// grant what they have forgotten to have promised, and the world sees it.
#[test]
#[should_panic(expected = "S41")]
fn voters_that_do_not_abstain_are_seen_to_grant_a_name_twice() {
    let mut world = World::builder(1, 5)
        .exclusive_names(3)
        // By its clock, such a node was started long ago.
        .machines(Box::new(|config, seed, _| Box::new(Node::new(config, seed, Time::ZERO))))
        .joined();
    let first = world.spawn(N4);
    world.lock(N4, "ledger", &first, PATIENT).expect("voters grant");
    world.run_for(Duration::from_millis(500));
    let rest = others(&world, N4);
    world.partition(&[N4], &rest);
    for voter in [N1, N2, N3] {
        world.restart(voter);
    }
    // The one of the others that saw it all takes the holder for dead before its lease has ended.
    let is_free = |world: &World| world.lock_holder(N5, "ledger").is_none();
    assert!(world.run_until(PATIENT, is_free));
    let second = world.spawn(N5);
    world.lock(N5, "ledger", &second, PATIENT).expect("they have forgotten");
}
