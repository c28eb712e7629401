//! Users' models in a world of one's own.

use std::time::Duration;

use ordu_core::wire::{decode, encode};
use ordu_core::{Blob, CallError, ChildSpec, Command, Reply, StartChildError, StartReason, Target};
use ordu_sim::{Behaviour, Host, Model, N1, N2, N3, World, name, named, scope, seeds};

/// Adds numbers up, in its own way.
struct Sum(i64);

impl Model for Sum {
    const KIND: &'static str = "sum";
    type Args = i64;
    type Message = i64;
    type Reply = i64;

    fn start(first: i64, state: Option<&[u8]>) -> Result<Self, String> {
        assert!(first != 13, "thirteen");
        let Some(state) = state else { return Ok(Self(first)) };
        decode(state).map(Self).map_err(|error| error.to_string())
    }

    fn handle(&mut self, more: i64) -> i64 {
        assert!(more != 13, "thirteen");
        self.0 += more;
        self.0
    }

    fn stop(self) -> Option<Vec<u8>> {
        assert!(self.0 != 1_313, "thirteen");
        Some(encode(&self.0))
    }

    fn absorb(&mut self, state: &[u8]) {
        let more: i64 = decode(state).expect("it was written so");
        assert!(more != 1_300, "thirteen");
        self.0 += more;
    }
}

fn world(seed: u64) -> World {
    World::builder(seed, 3).model::<Sum>().joined()
}

fn sum(text: &str, first: i64) -> ChildSpec {
    ChildSpec { args: Blob::from(encode(&first)), ..named("sum", text) }
}

fn call(world: &mut World, host: Host, text: &str, message: &impl serde::Serialize) -> Reply {
    let target = Target::Name(scope(), name(text));
    let payload = Blob::from(encode(message));
    let ticket = world.request(host, Command::Call { target, payload });
    world.answer(ticket)
}

fn sums(world: &World, text: &str) -> Vec<i64> {
    world.models::<Sum>(text).into_iter().map(|(_, sum)| sum.0).collect()
}

#[test]
fn a_model_gets_its_arguments_and_answers_from_everywhere() {
    let mut world = world(1);
    world.start_child(N1, sum("a", 40)).unwrap();
    for (host, total) in [(N1, 41), (N2, 42), (N3, 43)] {
        assert_eq!(call(&mut world, host, "a", &1_i64), Reply::Call(Ok(encode(&total).into())));
    }
    assert_eq!(sums(&world, "a"), [43]);
    assert!(world.models::<Sum>("b").is_empty());
    let text = call(&mut world, N1, "a", &"no number");
    assert_eq!(text, Reply::Call(Err(CallError::Malformed)));
}

#[test]
fn a_panic_fails_the_process_and_nothing_else() {
    let mut world = world(1);
    let a = world.start_child(N1, sum("a", 1)).unwrap();
    let b = world.start_child(N1, sum("b", 2)).unwrap();
    let lost = call(&mut world, N2, "a", &13_i64);
    assert!(matches!(lost, Reply::Call(Err(CallError::Lost { .. }))), "{lost:?}");
    assert!(sums(&world, "a").is_empty(), "what panicked is gone");

    // It starts again, from its arguments; the other one never noticed.
    world.settle(Duration::from_secs(10));
    assert_eq!(sums(&world, "a"), [1]);
    let reasons: Vec<_> = world.runs_of(a.child).iter().map(|run| run.reason).collect();
    assert_eq!(reasons, [Some(StartReason::Fresh), Some(StartReason::Restarted)]);
    assert_eq!(world.runs_of(b.child).len(), 1);
}

#[test]
fn a_start_that_fails_or_panics_says_why() {
    let mut world = world(1);
    let of_13 = world.start_child(N1, sum("a", 13)).unwrap_err();
    let StartChildError::Failed { reason } = of_13 else { panic!("{of_13:?}") };
    assert!(reason.starts_with("it panicked: thirteen (sim/tests/kit/models.rs"), "{reason}");

    let of_text = ChildSpec { args: Blob::default(), ..named("sum", "b") };
    let of_text = world.start_child(N1, of_text).unwrap_err();
    let StartChildError::Failed { reason } = of_text else { panic!("{of_text:?}") };
    assert_eq!(reason, "its arguments are of another type than expected");
}

#[test]
fn the_winner_of_a_split_absorbs_the_loser() {
    for seed in seeds(10) {
        let mut world = world(seed);
        world.start_child(N1, sum("a", 1)).unwrap();
        world.partition(&[N1, N2], &[N3]);
        world.run_for(Duration::from_secs(15));
        call(&mut world, N1, "a", &100_i64);
        call(&mut world, N3, "a", &1_000_i64);
        assert_eq!(world.models::<Sum>("a").len(), 2, "seed {seed}");

        world.heal();
        world.settle(Duration::from_secs(30));
        assert_eq!(sums(&world, "a"), [1_102], "seed {seed}: each began with one");
    }
}

#[test]
fn a_panic_while_it_absorbs_fails_the_winner() {
    let mut world = world(3);
    let a = world.start_child(N1, sum("a", 0)).unwrap();
    world.partition(&[N1, N2], &[N3]);
    world.run_for(Duration::from_secs(15));
    call(&mut world, N1, "a", &1_300_i64);
    call(&mut world, N3, "a", &1_300_i64);
    world.heal();
    world.settle(Duration::from_secs(30));
    let runs = world.runs_of(a.child);
    assert_eq!(runs.last().unwrap().reason, Some(StartReason::Restarted));
    assert_eq!(sums(&world, "a"), [0]);
}

#[test]
fn a_panic_while_it_stops_leaves_nothing_and_a_slow_stop_is_forced() {
    let slow = Behaviour::ok().stopping_in(Duration::from_secs(60));
    let mut world = World::builder(1, 2).model::<Sum>().kind("sum", slow).joined();
    let a = world.start_child(N1, sum("a", 1_313)).unwrap();
    world.terminate(N1, a.child).unwrap();
    assert!(world.models::<Sum>("a").is_empty());

    let mut world = self::world(1);
    let a = world.start_child(N1, sum("a", 1_313)).unwrap();
    assert_eq!(world.terminate(N2, a.child), Ok(()));
    assert!(world.models::<Sum>("a").is_empty());
}
