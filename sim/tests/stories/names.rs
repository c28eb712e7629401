//! Who holds a name, and who may take it.

use std::time::Duration;

use ordu_core::{
    Command, NameConflict, Occupant, ProcessId, RegisterError, Replicas, Reply, StartChildError,
    StopReason, UnregisterError,
};
use ordu_sim::{Host, N1, N2, N3, World, name, named, register, scope, seeds};

use crate::{LONG, SETTLE, home};

fn taken(text: &str, by: &ProcessId) -> RegisterError {
    RegisterError::NameTaken { name: name(text), holder: Occupant::Process(by.clone()) }
}

fn holder(world: &World, host: Host, text: &str) -> Option<ProcessId> {
    world.lookup(host, text).map(|holder| holder.process.clone())
}

/// Returns why the process was told to stop, if it was.
pub(crate) fn told<'a>(world: &'a World, process: &ProcessId) -> Option<&'a StopReason> {
    let host = Host::of(process.replica.node())?;
    let is = |run: &&ordu_sim::Run| run.host == host && run.number == process.number;
    world.runs().iter().find(is)?.stop.as_ref()
}

/// B61. Who holds a name cannot take it again, but can take another.
#[test]
fn a_name_is_not_given_twice_to_one_process() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 3);
        let process = world.spawn(N1);
        assert_eq!(world.register(N1, "cart", &process), Ok(()));
        assert_eq!(world.register(N1, "cart", &process), Err(taken("cart", &process)));
        assert_eq!(world.register(N1, "other", &process), Ok(()));

        world.settle(SETTLE);
        for host in [N1, N2, N3] {
            assert_eq!(holder(&world, host, "cart"), Some(process.clone()), "seed {seed}");
            assert_eq!(holder(&world, host, "other"), Some(process.clone()), "seed {seed}");
        }
    }
}

/// B62. What one process holds no other can take, on any node.
#[test]
fn a_name_is_not_given_to_another_process() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 3);
        let first = world.spawn(N1);
        assert_eq!(world.register(N1, "cart", &first), Ok(()));
        world.settle(SETTLE);
        for host in [N1, N2, N3] {
            let late = world.spawn(host);
            assert_eq!(world.register(host, "cart", &late), Err(taken("cart", &first)));
        }
        assert!(world.runs_process(&first), "asking hurts nobody");
        world.settle(SETTLE);
    }
}

/// A name that is given up can be taken; B135: only its holder can give it up.
#[test]
fn only_the_holder_gives_a_name_up() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 3);
        let (first, second) = (world.spawn(N1), world.spawn(N2));
        world.register(N1, "cart", &first).unwrap();
        world.settle(SETTLE);

        let refused = UnregisterError::NotHolder { name: name("cart"), process: second.clone() };
        assert_eq!(world.unregister(N2, "cart", &second), Err(refused), "seed {seed}");
        assert_eq!(world.unregister(N3, "cart", &first), Ok(()), "seed {seed}");
        world.settle(SETTLE);
        assert_eq!(world.register(N2, "cart", &second), Ok(()), "seed {seed}");
        world.settle(SETTLE);
        assert_eq!(holder(&world, N1, "cart"), Some(second));
    }
}

/// B95. A name falls free with its process.
#[test]
fn a_name_falls_free_when_its_process_ends() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 3);
        let process = world.spawn(N2);
        world.register(N2, "cart", &process).unwrap();
        world.settle(SETTLE);

        world.end_process(&process, None);
        world.run_for(Duration::from_millis(100));
        for host in [N1, N2, N3] {
            assert_eq!(holder(&world, host, "cart"), None, "seed {seed}");
        }
        world.settle(SETTLE);
    }
}

/// B63, B64. Both sides of a split take a name; once healed one process has it everywhere, and the
/// other is gone with all its names, told by whom it was beaten.
#[test]
fn a_name_taken_on_both_sides_of_a_partition_survives_once() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 3);
        world.partition(&[N1, N2], &[N3]);
        world.run_for(LONG);
        let early = world.spawn(N1);
        world.register(N1, "cart", &early).unwrap();
        world.register(N1, "early's own", &early).unwrap();
        world.run_for(Duration::from_secs(1));
        let late = world.spawn(N3);
        world.register(N3, "cart", &late).unwrap();
        world.register(N3, "late's own", &late).unwrap();
        world.run_for(Duration::from_secs(1));

        // Neither side knows what the other does.
        assert_eq!(holder(&world, N2, "cart"), Some(early.clone()));
        assert_eq!(holder(&world, N3, "cart"), Some(late.clone()));

        // The earlier process wins (B128), whoever hears first of whom.
        world.heal();
        world.run_for(LONG);
        world.settle(SETTLE);
        assert!(world.runs_process(&early), "seed {seed}");
        assert!(!world.runs_process(&late), "seed {seed}");
        let conflict =
            NameConflict { scope: scope(), name: Some(name("cart")), winner: early.clone() };
        assert_eq!(told(&world, &late), Some(&StopReason::Conflict(conflict)), "seed {seed}");
        assert_eq!(told(&world, &early), None, "the winner is told nothing; seed {seed}");
        for host in [N1, N2, N3] {
            assert_eq!(holder(&world, host, "cart"), Some(early.clone()), "seed {seed}");
            assert_eq!(holder(&world, host, "early's own"), Some(early.clone()), "seed {seed}");
            assert_eq!(holder(&world, host, "late's own"), None, "seed {seed}");
        }
    }
}

/// B126. Of many who ask for one name at one moment, one gets it.
#[test]
fn of_concurrent_registers_on_one_node_one_wins() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let processes: Vec<ProcessId> = (0..8).map(|_| world.spawn(N2)).collect();
        let tickets: Vec<_> = processes
            .iter()
            .map(|process| world.request(N2, register("cart", process, Replicas::One)))
            .collect();
        let answers: Vec<Reply> = tickets.into_iter().map(|t| world.answer(t)).collect();
        let won = answers.iter().position(|answer| matches!(answer, Reply::Register(Ok(_))));
        let winner = &processes[won.expect("one of them wins")];
        for (answer, process) in answers.iter().zip(&processes) {
            let refused = Reply::Register(Err(taken("cart", winner)));
            assert!(process == winner || *answer == refused, "seed {seed}: {answer:?}");
        }
        world.settle(SETTLE);
        assert!(processes.iter().all(|process| world.runs_process(process)), "nobody is hurt");
    }
}

/// B127. A node reads its own writes at once, and everyone's once they are replicated to all.
#[test]
fn a_node_reads_what_it_wrote() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let process = world.spawn(N1);
        assert_eq!(world.register(N1, "mine", &process), Ok(()));
        assert_eq!(holder(&world, N1, "mine"), Some(process.clone()), "seed {seed}");
        assert_eq!(world.unregister(N1, "mine", &process), Ok(()));
        assert_eq!(holder(&world, N1, "mine"), None, "seed {seed}");

        assert_eq!(world.register_on(N1, "all", &process, Replicas::All), Ok(()));
        for host in [N1, N2, N3] {
            assert_eq!(holder(&world, host, "all"), Some(process.clone()), "seed {seed}");
        }
    }
}

/// What cannot be replicated in time is answered in time.
#[test]
fn a_register_for_all_members_ends_at_its_deadline_when_one_is_cut_off() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 3);
        let process = world.spawn(N1);
        world.cut_link(N1, N3);
        world.cut_link(N2, N3);
        let command = register("cart", &process, Replicas::All);
        let ticket = world.request_within(N1, command, Duration::from_secs(1));
        let answer = world.answer(ticket);
        let timed_out =
            |reply: &Reply| matches!(reply, Reply::Register(Err(RegisterError::TimedOut { .. })));
        assert!(timed_out(&answer), "{answer:?}; seed {seed}");
    }
}

/// B128. Who wins does not depend on who heals first: here the two sides hear of each other through
/// a third, and in either order.
#[test]
fn the_winner_is_the_same_whoever_syncs_first() {
    for seed in seeds(10) {
        for order in [[N1, N3], [N3, N1]] {
            let mut world = World::new(seed, 3);
            world.partition(&[N1], &[N2]);
            world.partition(&[N1, N2], &[N3]);
            world.run_for(LONG);
            let early = world.spawn(N1);
            world.run_for(Duration::from_secs(1));
            let late = world.spawn(N3);

            // The later process takes the name first: it is the process's age that counts.
            world.register(N3, "cart", &late).unwrap();
            world.run_for(Duration::from_secs(1));
            world.register(N1, "cart", &early).unwrap();

            for host in order {
                world.heal_link(host, N2);
                world.run_for(Duration::from_secs(3));
            }
            world.heal();
            world.run_for(LONG);
            world.settle(SETTLE);
            assert!(world.runs_process(&early), "seed {seed}, {order:?}");
            assert!(!world.runs_process(&late), "seed {seed}, {order:?}");
            assert_eq!(holder(&world, N2, "cart"), Some(early), "seed {seed}, {order:?}");
        }
    }
}

/// B62. Also who hears of a name too late is told who has it, and not just that somebody does.
#[test]
fn a_name_that_was_taken_a_moment_ago_is_refused_with_its_holder() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let (first, second) = (world.spawn(N2), world.spawn(N2));
        world.settle(SETTLE);
        // N1 asks for the name before it can know that N2 has given it away.
        world.request(N2, register("cart", &first, Replicas::One));
        let ticket = world.request(N1, register("cart", &second, Replicas::One));
        let refused = Reply::Register(Err(taken("cart", &first)));
        assert_eq!(world.answer(ticket), refused, "seed {seed}");
    }
}

/// B65. A child started under a held name is refused, and the answer says by whom.
#[test]
fn a_child_is_not_started_under_a_held_name() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 3);
        let first = world.start_child(N1, named("echo", "cart")).unwrap();
        world.settle(SETTLE);
        for host in [N1, N2, N3] {
            let refused = StartChildError::NameTaken {
                name: name("cart"),
                holder: Occupant::Process(first.process.clone()),
            };
            assert_eq!(world.start_child(host, named("echo", "cart")), Err(refused), "seed {seed}");
        }
        assert_eq!(world.running_name("cart"), [home(&world, first.child)]);

        // And it is called by its name from everywhere.
        for host in [N1, N2, N3] {
            let target = ordu_core::Target::Name(scope(), name("cart"));
            let reply = world.call(host, target, "hello");
            assert_eq!(reply, Ok(ordu_core::Blob::from("hello")), "seed {seed}");
        }
    }
}

/// Every command ends: what is asked at the worst moment is answered at its deadline at the latest,
/// which the world itself checks (I6).
#[test]
fn every_request_to_a_cut_off_node_is_answered() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let process = world.spawn(N3);
        world.register(N3, "cart", &process).unwrap();
        world.settle(SETTLE);
        world.partition(&[N1], &[N2, N3]);

        let target = ordu_core::Target::Name(scope(), name("cart"));
        let payload = ordu_core::Blob::from("1");
        let (scope, process) = (scope(), process);
        let commands = [
            Command::Call { target: target.clone(), payload: payload.clone() },
            Command::Send { target, payload },
            Command::Unregister { scope, name: name("cart"), process: process.clone() },
            register("other", &process, Replicas::All),
            Command::Start { scope, spec: named("ok", "child") },
            Command::Settled,
        ];
        let timeout = Duration::from_secs(2);
        let tickets: Vec<_> = commands
            .into_iter()
            .map(|command| world.request_within(N1, command, timeout))
            .collect();
        world.run_for(timeout * 2);
        for ticket in tickets {
            assert!(world.reply(ticket).is_some(), "{ticket:?}; seed {seed}");
        }
    }
}
