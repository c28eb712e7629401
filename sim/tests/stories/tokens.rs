//! Reading through one node what was written through another.

use std::time::Duration;

use ordu_core::{CatchUpError, CausalToken, Command, ProcessId, Replicas, Reply};
use ordu_sim::{Host, N1, N2, N3, Network, World, named, register, scope, seeds};

const LONG: Duration = Duration::from_secs(30);

fn holder(world: &World, host: Host, text: &str) -> Option<ProcessId> {
    world.lookup(host, text).map(|holder| holder.process.clone())
}

/// Gives `process` a name through `host`, and returns what demands that it is seen.
fn registered(world: &mut World, host: Host, name: &str, process: &ProcessId) -> CausalToken {
    let ticket = world.request(host, register(name, process, Replicas::One));
    let reply = world.answer(ticket);
    let Reply::Register(Ok(token)) = reply else { panic!("the name is free: {reply:?}") };
    token
}

fn caught_up(
    world: &mut World,
    host: Host,
    token: &CausalToken,
    within: Duration,
) -> Result<(), CatchUpError> {
    let command = Command::CatchUp { token: token.clone() };
    let ticket = world.request_within(host, command, within);
    let reply = world.answer(ticket);
    let Reply::CatchUp(result) = reply else { panic!("it is answered in kind: {reply:?}") };
    result
}

/// B127. Whoever carries a token from node to node reads what it wrote, over bad links, and whoever
/// carries the tokens of two reads what both wrote.
#[test]
fn a_token_shows_elsewhere_what_was_written_here() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 3);
        let processes = [N1, N2].map(|host| world.spawn(host));
        // Given through another node than its own, it is read there as well.
        let mut token = registered(&mut world, N3, "right", &processes[1]);
        world.set_network(Network::lossy());
        token.join(&registered(&mut world, N1, "left", &processes[0]));
        for host in [N3, N2, N1] {
            assert_eq!(caught_up(&mut world, host, &token, LONG), Ok(()), "seed {seed}");
            assert_eq!(holder(&world, host, "left").as_ref(), Some(&processes[0]), "seed {seed}");
            assert_eq!(holder(&world, host, "right").as_ref(), Some(&processes[1]), "seed {seed}");
        }
    }
}

/// A start is answered with what shows the child, and who runs it.
#[test]
fn the_token_of_a_start_shows_the_child_running() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 3);
        let ticket =
            world.request(N1, Command::Start { scope: scope(), spec: named("echo", "it") });
        let reply = world.answer(ticket);
        let Reply::Start(Ok(started)) = reply else { panic!("seed {seed}: {reply:?}") };
        world.set_network(Network::lossy());
        for host in [N2, N3] {
            assert_eq!(caught_up(&mut world, host, &started.token, LONG), Ok(()), "seed {seed}");
            assert_eq!(holder(&world, host, "it"), Some(started.process.clone()), "seed {seed}");
        }
    }
}

/// Behind a cut nothing is seen, and that is said at the deadline; after it, everything.
#[test]
fn who_cannot_catch_up_says_what_is_missing() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let process = world.spawn(N1);
        world.partition(&[N1], &[N2, N3]);
        let token = registered(&mut world, N1, "far", &process);
        let missing = caught_up(&mut world, N3, &token, Duration::from_secs(2));
        let Err(CatchUpError::TimedOut { journal, here, demanded }) = missing else {
            panic!("seed {seed}: {missing:?}");
        };
        assert_eq!((journal, here < demanded), (process.replica.clone(), true), "seed {seed}");

        world.heal();
        assert_eq!(caught_up(&mut world, N3, &token, LONG), Ok(()), "seed {seed}");
        assert_eq!(holder(&world, N3, "far"), Some(process), "seed {seed}");
    }
}

/// What a life that is over wrote last will never come: nobody waits for it.
#[test]
fn what_died_with_its_writer_is_not_waited_for() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let process = world.spawn(N1);
        world.partition(&[N1], &[N2, N3]);
        let token = registered(&mut world, N1, "lost", &process);
        let command = Command::CatchUp { token };
        let ticket = world.request_within(N3, command, Duration::from_secs(60));
        world.kill(N1);
        world.heal();
        world.restart(N1);

        assert_eq!(world.answer(ticket), Reply::CatchUp(Ok(())), "seed {seed}");
        assert_eq!(holder(&world, N3, "lost"), None, "seed {seed}");
    }
}
