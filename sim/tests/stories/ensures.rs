//! Children that are started, or found, by their names.

use std::collections::BTreeSet;
use std::time::Duration;

use ordu_core::{ChildId, Command, Occupant, Reply, StartChildError};
use ordu_sim::{N1, N2, N3, Ticket, World, name, named, scope, seeds, spec};

use crate::{LONG, SETTLE, home};

fn ensure(world: &mut World, host: ordu_sim::Host) -> Ticket {
    let spec = named("counter", "cart");
    world.request_within(host, Command::Ensure { scope: scope(), spec }, LONG)
}

/// Returns the child that a request was answered with, and whether it had been there before.
#[track_caller]
fn child(world: &mut World, ticket: Ticket) -> (ChildId, bool) {
    let reply = world.answer(ticket);
    let Reply::Start(Ok(started)) = reply else { panic!("seed {}: {reply:?}", world.seed()) };
    (started.child, started.found)
}

/// Of many who ask for one name through one member one starts the child, and the others find it.
#[test]
fn however_many_ask_one_member_for_a_name_there_is_one_child() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let tickets: Vec<Ticket> = (0..10).map(|_| ensure(&mut world, N1)).collect();
        let answers: Vec<(ChildId, bool)> =
            tickets.into_iter().map(|ticket| child(&mut world, ticket)).collect();
        assert_eq!(answers.iter().filter(|(_, found)| !found).count(), 1, "seed {seed}");
        let children: BTreeSet<ChildId> = answers.iter().map(|(child, _)| *child).collect();
        assert_eq!(children.len(), 1, "seed {seed}");
        world.settle(SETTLE);
        home(&world, answers[0].0);

        // And whoever asks later, through whichever member, finds it.
        let found = world.ensure_child(N3, named("ok", "cart")).expect("it is there");
        assert_eq!((found.child, found.found), (answers[0].0, true), "seed {seed}");
    }
}

/// Of those who ask different members at once, before these hear of each other, each gets the
/// child that goes on, or one that goes on as that; none is told that the name is taken.
#[test]
fn however_many_members_are_asked_for_a_name_there_is_one_child_in_the_end() {
    for seed in seeds(40) {
        let mut world = World::new(seed, 3);
        let tickets = [N1, N2, N3].map(|host| ensure(&mut world, host));
        let children = tickets.map(|ticket| child(&mut world, ticket).0);
        world.settle(SETTLE);
        let left: Vec<ChildId> = world.children(N1).into_keys().collect();
        assert_eq!(left.len(), 1, "seed {seed}");
        assert!(children.contains(&left[0]), "seed {seed}");
        home(&world, left[0]);
        let found = world.ensure_child(N2, named("counter", "cart")).expect("it is there");
        assert_eq!((found.child, found.found), (left[0], true), "seed {seed}");
    }
}

/// One that is between two runs is waited for; it is the same child.
#[test]
fn a_child_that_is_started_again_is_found_once_it_runs() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let started = world.ensure_child(N1, named("counter", "cart")).expect("it starts");
        assert!(!started.found, "seed {seed}");
        world.end_process(&started.process, Some("killed"));
        world.run_for(Duration::from_millis(5));
        let found = world.ensure_child(N2, named("counter", "cart")).expect("it is there");
        assert_eq!((found.child, found.found), (started.child, true), "seed {seed}");
        assert_ne!(found.process, started.process, "seed {seed}");
        assert!(world.runs_process(&found.process), "seed {seed}");
    }
}

/// One that ends while somebody waits for it is replaced: there is a child of that name.
#[test]
fn a_child_that_ends_meanwhile_is_started_anew() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let started = world.ensure_child(N1, named("slow-stop", "cart")).expect("it starts");
        let end = Command::Terminate { scope: scope(), child: started.child };
        let end = world.request(N2, end);
        world.run_for(Duration::from_millis(10));
        let next = world.ensure_child(N3, named("counter", "cart")).expect("it starts anew");
        assert!(!next.found && next.child != started.child, "seed {seed}");
        assert_eq!(world.answer(end), Reply::Terminate(Ok(())), "seed {seed}");
        world.settle(SETTLE);
        assert_eq!(world.running_child(started.child), [], "seed {seed}");
        home(&world, next.child);
    }
}

/// On both sides of a split there is one; the heal leaves one of the two.
#[test]
fn a_split_may_make_two_and_the_heal_makes_one_of_them() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        world.partition(&[N1], &[N2, N3]);
        world.run_for(LONG);
        let alone = world.ensure_child(N1, named("counter", "cart")).expect("it starts");
        let others = world.ensure_child(N2, named("counter", "cart")).expect("it starts");
        assert_ne!(alone.child, others.child, "seed {seed}");
        world.heal();
        world.settle(SETTLE);
        let left: Vec<ChildId> = world.children(N3).into_keys().collect();
        assert!(left == [alone.child] || left == [others.child], "seed {seed}");
        let found = world.ensure_child(N3, named("counter", "cart")).expect("it is there");
        assert_eq!((found.child, found.found), (left[0], true), "seed {seed}");
    }
}

/// What cannot be found is refused, with what is in the way; nothing is started.
#[test]
fn who_asks_for_no_name_or_for_that_of_a_plain_process_is_refused() {
    let mut world = World::new(7, 2);
    assert_eq!(world.ensure_child(N1, spec("ok")), Err(StartChildError::Unnamed));
    let process = world.spawn(N2);
    assert_eq!(world.register(N2, "cart", &process), Ok(()));
    world.settle(SETTLE);
    let (name, holder) = (name("cart"), Occupant::Process(process));
    let taken = StartChildError::NameTaken { name, holder };
    assert_eq!(world.ensure_child(N1, named("ok", "cart")), Err(taken));
    assert_eq!(world.children(N1).len(), 0);
}
