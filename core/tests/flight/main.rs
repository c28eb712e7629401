//! Stories of the flight recorder: what a node was told is lived again, to the same state.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod cluster;

use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use cluster::{Cluster, SECRETS, id};
use ordu_core::flight::{
    DecodeDumpError, Dump, DumpError, Payloads, Reason, Recorder, ReplayError, Settings,
};
use ordu_core::placement::{Choice, Host, Placement, PlacementStrategy, UserStrategies};
use ordu_core::{
    Address, ChildSpec, Command, Config, ConflictRule, Contender, Input, Name, Node, Output,
    Random, Rule, Scope, Target, Time, hash64, wire,
};

/// A ring that a whole story fits into.
const WIDE: usize = 32 << 20;

/// A ring that wraps around several times in a story, with room for a few states.
const NARROW: usize = 112 << 10;

const NODES: [&str; 3] = ["a", "b", "c"];

/// A strategy that chooses the first that is able.
struct First(&'static str);

impl PlacementStrategy for First {
    fn name(&self) -> &str {
        self.0
    }

    fn choose<'a>(&self, choice: &Choice<'a>) -> Option<&'a Host<'a>> {
        choice.able().next()
    }
}

/// A rule that leaves everything to the default order.
struct Named(&'static str);

impl ConflictRule for Named {
    fn name(&self) -> &str {
        self.0
    }

    fn compare(&self, _: &Contender<'_>, _: &Contender<'_>) -> Ordering {
        Ordering::Equal
    }
}

fn settings(bytes_max: usize, payloads: Payloads) -> Settings {
    Settings { bytes_max, payloads }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_dump_is_replayed_to_the_state_that_the_node_had() {
    for payloads in [Payloads::Hashed, Payloads::Kept] {
        for bytes_max in [NARROW, WIDE] {
            let cluster = Cluster::after_a_story(settings(bytes_max, payloads));
            for node in NODES {
                let dump = cluster.dump(node);
                let place = format!("{node}, {payloads:?}, {bytes_max} bytes");
                assert_eq!(dump.is_from_birth(), bytes_max == WIDE, "{place}");
                assert_eq!(dump.dropped() == 0, bytes_max == WIDE, "{place}");
                assert_eq!(dump.dropped() + dump.len(), cluster.fed(node), "{place}");

                let again = Dump::decode(&dump.encode()).unwrap();
                assert_eq!(again, dump, "{place}");
                let (first, second) = (again.replay().unwrap(), again.replay().unwrap());
                assert_eq!(Some(first.state_hash), dump.state_hash(), "{place}");
                assert_eq!(first.state_hash, second.state_hash, "{place}");
                assert_eq!(first.outputs_hash, second.outputs_hash, "{place}");
                assert_eq!(first.inputs, dump.len(), "{place}");
            }
        }
    }
}

/// A dump holds the name of a user's rule and not its code.
#[test]
fn a_dump_is_replayed_by_the_very_rule_that_its_node_had() {
    let user = || Rule::user(Named("ours/1"));
    let cluster = Cluster::after_a_story_by(&user(), settings(NARROW, Payloads::Hashed));
    for node in NODES {
        let taken = cluster.dump(node);
        let mut dump = Dump::decode(&taken.encode()).unwrap();
        let refusal = dump.replay().unwrap_err();
        assert!(matches!(&refusal, ReplayError::RuleMissing { rule } if *rule == user()));
        for other in [Rule::oldest(), Rule::user(Named("ours/2"))] {
            let refusal = dump.supply_rule(other).unwrap_err();
            assert!(matches!(refusal, ReplayError::OtherRule { .. }), "{refusal}");
        }
        assert!(dump.replay().is_err(), "a refusal supplies nothing");

        dump.supply_rule(user()).unwrap();
        assert_eq!(Some(dump.replay().unwrap().state_hash), taken.state_hash(), "{node}");
    }
}

/// Nor does it hold the code of strategies.
#[test]
fn a_dump_is_replayed_with_the_very_strategies_that_its_node_had() {
    let strategies = |names: &[&'static str]| {
        let mut strategies = UserStrategies::default();
        names.iter().for_each(|name| strategies.insert(First(name)));
        strategies
    };
    let own = || strategies(&["first/1", "first/2"]);
    let mut config = Config::new(id("a"), Address::new("a:1").unwrap());
    config.kinds.push("cart".into());
    config.strategies = own();
    let now = Time::from_millis(1);
    let mut recorder = Recorder::new(config.clone(), 7, now, settings(WIDE, Payloads::Kept));
    let mut node = Node::new(config, 7, now);
    let mut feed = |input: Input| {
        recorder.record(now, &input, &node);
        node.handle(now, input);
        let mut outputs = Vec::new();
        outputs.extend(std::iter::from_fn(|| node.poll_output()));
        outputs
    };
    feed(Input::Flush);
    let placement = Placement::User("first/2".into());
    let spec = ChildSpec { placement, ..ChildSpec::new("cart", "") };
    let command = Command::Start { scope: Scope::named("default"), spec };
    let timeout = Duration::from_secs(1);
    let outputs = feed(Input::Request { ticket: 1, timeout, command });
    assert!(outputs.iter().any(|output| matches!(output, Output::Start(_))), "{outputs:?}");

    let taken = recorder.dump(Reason::Demand, Some(&node)).unwrap();
    let mut dump = Dump::decode(&taken.encode()).unwrap();
    assert!(matches!(dump.replay().unwrap_err(), ReplayError::StrategyMissing { .. }));
    let refusal = dump.supply_strategies(strategies(&["first/1"])).unwrap_err();
    assert!(matches!(refusal, ReplayError::OtherStrategies { .. }), "{refusal}");
    let without_code = dump.config().strategies.clone();
    assert!(dump.supply_strategies(without_code).is_err(), "names alone are not enough");
    dump.supply_strategies(own()).unwrap();
    assert_eq!(Some(dump.replay().unwrap().state_hash), taken.state_hash());
}

/// With payloads kept the replayed state is the live one to the last byte.
#[test]
fn a_replay_with_payloads_is_the_life_itself() {
    let cluster = Cluster::after_a_story(settings(WIDE, Payloads::Kept));
    for node in NODES {
        let dump = cluster.dump(node);
        let mut steps = Vec::new();
        let replayed = dump.replay_with(|step| {
            assert_eq!(step.index, steps.len() as u64);
            steps.push((step.at, step.input.clone(), step.outputs.to_vec()));
        });
        assert_eq!(replayed.unwrap().state_hash, cluster.node(node).state_hash());
        assert_eq!(steps, *cluster.diary(node), "{node}");
    }
}

/// The smallest dump there is, and what follows after each further input, is as good as the last.
#[test]
fn a_dump_can_be_taken_at_any_moment() {
    let cluster = Cluster::after_a_story(settings(WIDE, Payloads::Kept));
    let lived = cluster.dump("b");
    let mut node = Node::new(lived.config().clone(), lived.seed(), lived.born());
    let small = settings(NARROW, Payloads::Hashed);
    let mut recorder = Recorder::new(lived.config().clone(), lived.seed(), lived.born(), small);
    assert_eq!(recorder.dump(Reason::Demand, Some(&node)).unwrap().replay().unwrap().inputs, 0);
    for (number, (at, input)) in lived.inputs().enumerate() {
        recorder.record(at, &input, &node);
        node.handle(at, input);
        // Outputs wait for a while, as they do in a driver that takes inputs in by the batch.
        if number % 7 == 0 {
            while node.poll_output().is_some() {}
        }
        if number % 97 == 0 {
            let dump = recorder.dump(Reason::Conflict, Some(&node)).unwrap();
            assert_eq!(dump.replay().map(|replayed| replayed.inputs), Ok(dump.len()), "{number}");
        }
    }
}

/// A decoded state goes on exactly as the one that was encoded, wherever it is cut.
#[test]
fn a_state_that_was_bytes_goes_on_as_the_one_that_was_not() {
    let cluster = Cluster::after_a_story(settings(WIDE, Payloads::Kept));
    for node in NODES {
        let dump = cluster.dump(node);
        let mut twin = Node::new(dump.config().clone(), dump.seed(), dump.born());
        for (number, (at, input, outputs)) in cluster.diary(node).iter().enumerate() {
            if number % 50 == 0 {
                twin = wire::decode(&wire::encode(&twin)).unwrap();
            }
            twin.handle(*at, input.clone());
            let again: Vec<Output> = std::iter::from_fn(|| twin.poll_output()).collect();
            assert_eq!(again, *outputs, "{node}, input {number}");
        }
        assert_eq!(twin.state_hash(), cluster.node(node).state_hash(), "{node}");
    }
}

#[test]
fn what_processes_say_does_not_leave_the_node() {
    let hashed = Cluster::after_a_story(settings(WIDE, Payloads::Hashed));
    let kept = Cluster::after_a_story(settings(WIDE, Payloads::Kept));
    let bytes = |cluster: &Cluster| NODES.map(|node| cluster.dump(node).encode()).concat();
    let (hashed, kept) = (bytes(&hashed), bytes(&kept));
    for secret in SECRETS {
        assert!(contains(&kept, secret), "{secret} is part of the story");
        assert!(!contains(&hashed, secret), "{secret} left the node");
    }
    // What the cluster replicates is there: without it nothing could be lived again.
    for replicated in ["cart/7", "arguments of a child", "value beside a name"] {
        assert!(contains(&hashed, replicated), "{replicated}");
    }
}

/// The state of a loser is part of the node's own as long as the winner has not taken it in.
#[test]
fn the_state_of_a_loser_does_not_leave_the_node_either() {
    for payloads in [Payloads::Hashed, Payloads::Kept] {
        for bytes_max in [NARROW, WIDE] {
            let mut cluster = Cluster::after_a_story(settings(bytes_max, payloads));
            let loser = cluster.hold_the_state_of_a_loser();
            assert!(contains(&wire::encode(cluster.node(loser)), SECRETS[2]), "it is held");
            cluster.run_for(Duration::from_secs(60));
            assert!(contains(&wire::encode(cluster.node(loser)), SECRETS[2]), "it is held still");

            let dump = cluster.dump(loser);
            assert_eq!(dump.is_from_birth(), bytes_max == WIDE);
            let is_kept = payloads == Payloads::Kept;
            assert_eq!(contains(&dump.encode(), SECRETS[2]), is_kept, "{payloads:?}");
            let replayed = dump.replay().unwrap();
            assert_eq!(contains(&wire::encode(&replayed.node), SECRETS[2]), is_kept);
        }
    }
}

#[test]
fn one_other_input_leads_to_another_state() {
    let cluster = Cluster::after_a_story(settings(WIDE, Payloads::Hashed));
    let dump = cluster.dump("a");
    let inputs: Vec<(Time, Input)> = dump.inputs().collect();
    let hash_of = |inputs: &[(Time, Input)]| {
        dump.with_inputs(inputs.iter().cloned()).replay().unwrap().state_hash
    };
    assert_eq!(Some(hash_of(&inputs)), dump.state_hash());

    // A child less, and a moment later.
    let is_start = |(_, input): &(Time, Input)| {
        matches!(input, Input::Request { command: Command::Start { .. }, .. })
    };
    let starts: Vec<usize> = (0..inputs.len()).filter(|&at| is_start(&inputs[at])).collect();
    assert!(starts.len() > 10, "the story has some");
    for place in starts {
        let mut other = inputs.clone();
        other[place].1 = Input::Tick;
        assert_ne!(Some(hash_of(&other)), dump.state_hash(), "without input {place}");
    }
    let mut other = inputs.clone();
    other.last_mut().unwrap().0 = inputs.last().unwrap().0 + Duration::from_micros(1);
    assert_ne!(Some(hash_of(&other)), dump.state_hash(), "a moment later");
}

/// A dump whose expectation was forged says so, instead of passing.
#[test]
fn a_replay_that_ends_elsewhere_is_an_error() {
    let cluster = Cluster::after_a_story(settings(WIDE, Payloads::Hashed));
    let (dump, hash) = (cluster.dump("a"), cluster.dump("a").state_hash().unwrap());
    let mut bytes = dump.encode();
    let place = bytes.windows(8).rposition(|window| window == hash.to_le_bytes()).unwrap();
    bytes[place] ^= 1;
    let forged = Dump::decode(&sealed(bytes)).unwrap();
    let expected = hash ^ 1;
    assert_eq!(
        forged.replay().map(|replayed| replayed.inputs),
        Err(ReplayError::OtherState { expected, actual: hash })
    );
}

#[test]
fn a_node_that_panicked_panics_again_over_the_same_input() {
    let config = Config::new(id("a"), Address::new("a").unwrap());
    let mut recorder = Recorder::new(config.clone(), 1, Time::ZERO, Settings::default());
    let mut node = Node::new(config, 1, Time::ZERO);
    let mut feed = |input: Input| {
        recorder.record(Time::ZERO, &input, &node);
        catch_unwind(AssertUnwindSafe(|| node.handle(Time::ZERO, input)))
    };
    let timeout = Duration::from_secs(1);
    // Nobody runs this kind, so the request waits.
    let spec = ChildSpec { name: None, ..cluster::spec("cart") };
    let command = Command::Start { scope: Scope::named("default"), spec };
    let twice = Input::Request { ticket: 7, timeout, command };
    feed(Input::Flush).unwrap();
    feed(twice.clone()).unwrap();
    // No ticket is used twice: the caller is broken, and the node says so.
    feed(twice.clone()).unwrap_err();

    let dump = recorder.dump(Reason::Panic, None).unwrap();
    assert_eq!((dump.state_hash(), dump.len()), (None, 3));
    let dump = Dump::decode(&dump.encode()).unwrap();
    let mut seen = Vec::new();
    let replay = || dump.replay_with(|step| seen.push(step.input.clone()));
    catch_unwind(AssertUnwindSafe(replay)).unwrap_err();
    assert_eq!(seen, [Input::Flush, twice]);

    // Without the last input it does not panic, and that is no success.
    let shorter = dump.with_inputs(dump.inputs().take(2));
    assert_eq!(shorter.replay().map(|replayed| replayed.inputs), Err(ReplayError::NoPanic));
}

/// Returns `bytes` with a header that fits them: damage that no hash shows.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    const HEADER: usize = 26;
    let (length, hash) = ((bytes.len() - HEADER) as u64, hash64(&bytes[HEADER..]));
    bytes[10..18].copy_from_slice(&length.to_le_bytes());
    bytes[18..26].copy_from_slice(&hash.to_le_bytes());
    bytes
}

#[test]
fn no_bytes_are_taken_for_a_dump_that_are_none() {
    let cluster = Cluster::after_a_story(settings(NARROW, Payloads::Hashed));
    let bytes = cluster.dump("a").encode();
    for end in (0..100).chain((100..bytes.len()).step_by(997)) {
        let error = DecodeDumpError::Truncated { bytes: end };
        assert_eq!(Dump::decode(&bytes[..end]), Err(error));
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(Dump::decode(&longer), Err(DecodeDumpError::Damaged));

    let changed = |place: usize, to: u8| {
        let mut changed = bytes.clone();
        changed[place] = to;
        Dump::decode(&changed)
    };
    assert_eq!(changed(0, b'x'), Err(DecodeDumpError::NoDump));
    assert_eq!(changed(8, 9), Err(DecodeDumpError::OtherFormat { format: 9, ours: 1 }));
    let length = u64::from(bytes[17]) + 255;
    assert!(matches!(changed(17, length as u8), Err(DecodeDumpError::TooLong { .. })));
    assert_eq!(changed(bytes.len() / 2, !bytes[bytes.len() / 2]), Err(DecodeDumpError::Damaged));

    // Another version of the crate: the number is the first thing after the header.
    let mut other = bytes;
    assert_eq!(other[26] as usize, env!("CARGO_PKG_VERSION").len());
    other[27] = b'9';
    let error = Dump::decode(&sealed(other)).unwrap_err();
    assert!(matches!(error, DecodeDumpError::OtherVersion { .. }), "{error}");
}

/// Bytes that somebody forged, hash and all: whatever they claim, there is an answer.
#[test]
fn forged_bytes_are_refused_or_read_but_never_believed() {
    let cluster = Cluster::after_a_story(settings(NARROW, Payloads::Hashed));
    let bytes = cluster.dump("a").encode();
    let mut random = Random::new(1);
    let mut refused = 0;
    for _ in 0..2_000 {
        let mut forged = bytes.clone();
        for _ in 0..=random.draw() % 3 {
            let place = 26 + (random.draw() as usize) % (forged.len() - 26);
            // Lengths and numbers of eight bytes begin with 253.
            forged[place] = if random.draw().is_multiple_of(2) { 253 } else { random.draw() as u8 };
        }
        forged.truncate(forged.len() - (random.draw() % 3) as usize);
        refused += u32::from(Dump::decode(&sealed(forged)).is_err());
    }
    assert!(refused > 1_000, "most of it means nothing: {refused}");
}

/// Inputs alone, without a state: as many as the limit, one byte less, one byte more.
#[test]
fn the_ring_holds_what_it_may_and_not_a_byte_more() {
    let lived = Cluster::after_a_story(settings(WIDE, Payloads::Kept)).dump("a");
    let record = |bytes_max: usize, inputs: usize| {
        let settings = settings(bytes_max, Payloads::Kept);
        let mut recorder = Recorder::new(lived.config().clone(), 1, lived.born(), settings);
        // A node whose state is never asked for, since it does not fit.
        let node = Node::new(lived.config().clone(), 1, lived.born());
        for (at, input) in lived.inputs().take(inputs) {
            recorder.record(at, &input, &node);
            assert!(recorder.bytes() <= bytes_max, "{} of {bytes_max}", recorder.bytes());
        }
        recorder
    };
    let few = 40;
    let needed = record(WIDE, few).bytes();
    let node = Node::new(lived.config().clone(), 1, lived.born());
    assert!(needed / 8 < wire::encode(&node).len(), "no state fits into an eighth of it");

    for bytes_max in [needed, needed + 1] {
        let recorder = record(bytes_max, few);
        assert_eq!((recorder.kept(), recorder.dropped()), (few as u64, 0));
        assert_eq!(recorder.bytes(), needed);
    }
    for bytes_max in [0, 1, needed - 1] {
        let recorder = record(bytes_max, few);
        assert_eq!((recorder.kept(), recorder.dropped()), (0, few as u64), "{bytes_max}");
        let error = DumpError::NothingKept { bytes_max };
        assert_eq!(recorder.dump(Reason::Demand, Some(&node)), Err(error));
    }
    for bytes_max in [NARROW - 1, NARROW, NARROW + 1] {
        let recorder = record(bytes_max, usize::MAX);
        assert!(recorder.bytes() > bytes_max / 4, "there is always a good part of it in use");
        assert_eq!(recorder.kept() + recorder.dropped(), lived.len());
    }
}

/// One message longer than the ring leaves nothing to keep; what comes after it is kept again.
#[test]
fn an_input_longer_than_the_ring_is_survived() {
    let config = Config::new(id("a"), Address::new("a").unwrap());
    let settings = settings(NARROW, Payloads::Kept);
    let mut recorder = Recorder::new(config.clone(), 1, Time::ZERO, settings);
    let mut node = Node::new(config, 1, Time::ZERO);
    let mut feed = |at: u64, input: Input| {
        recorder.record(Time::from_millis(at), &input, &node);
        node.handle(Time::from_millis(at), input);
        recorder.dump(Reason::Demand, Some(&node)).map(|dump| dump.replay().unwrap().inputs)
    };
    assert_eq!(feed(0, Input::Flush), Ok(1));

    let target = Target::Name(Scope::named("default"), Name::new("nobody").unwrap());
    let command = Command::Send { target, payload: vec![7; NARROW].into() };
    let timeout = Duration::from_secs(1);
    let long = Input::Request { ticket: 1, timeout, command };
    assert_eq!(feed(1, long), Err(DumpError::NothingKept { bytes_max: NARROW }));

    let kept_again = (2..2_000).find(|&at| feed(at, Input::Tick).is_ok()).unwrap();
    assert!(kept_again < 1_000, "{kept_again}");
    assert_eq!(feed(kept_again + 1, Input::Tick), Ok(2));
}

/// A payload of a megabyte takes a few bytes of the ring where it is hashed, and is as long as it
/// was in the replay.
#[test]
fn a_stand_in_is_as_long_as_what_it_stands_for() {
    let config = Config::new(id("a"), Address::new("a").unwrap());
    let mut recorder = Recorder::new(config.clone(), 1, Time::ZERO, Settings::default());
    let node = Node::new(config, 1, Time::ZERO);
    let timeout = Duration::from_secs(1);
    let target = Target::Name(Scope::named("default"), Name::new("nobody").unwrap());
    let said = |byte: u8, length: usize| {
        let payload = vec![byte; length].into();
        let command = Command::Call { target: target.clone(), payload };
        Input::Request { ticket: 1, timeout, command }
    };
    let lengths = [0, 1, 7, 8, 9, 4_096, 1 << 20];
    for length in lengths {
        for byte in [1, 1, 2] {
            recorder.record(Time::ZERO, &said(byte, length), &node);
        }
    }
    assert!(recorder.bytes() < 100 * 3 * lengths.len(), "{}", recorder.bytes());
    let dump = recorder.dump(Reason::Demand, None).unwrap();
    let heard: Vec<Vec<u8>> = dump.inputs().map(|(_, input)| payload_of(&input)).collect();
    for (three, length) in heard.chunks(3).zip(lengths) {
        assert!(three.iter().all(|payload| payload.len() == length), "{length}");
        assert_eq!(three[0], three[1], "equal ones stay equal");
        assert!(length < 8 || three[1] != three[2], "others stay others: {length}");
        assert!(length == 0 || three[0] != vec![1; length], "{length}");
    }
}

fn payload_of(input: &Input) -> Vec<u8> {
    let Input::Request { command: Command::Call { payload, .. }, .. } = input else {
        panic!("no call: {input:?}")
    };
    payload.to_vec()
}
