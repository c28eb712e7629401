//! The fuzzer's targets on every machine: its corpus again, and random bytes.

use std::collections::BTreeSet;
use std::{env, fs};

use ordu_core::Random;
use ordu_sim::fuzz;
use ordu_tests::root;

/// Runs of each target; `ORDU_FUZZ_RUNS` asks for more.
const RUNS: u64 = 200;

#[test]
fn the_corpus_and_random_bytes_are_read_or_refused() {
    for bytes in corpus("message") {
        fuzz::message(&bytes);
    }
    for_random_bytes(RUNS * 100, 300, fuzz::message);
}

/// A change of one byte of a real message is the likeliest to get far.
#[test]
fn a_garbled_message_is_read_or_refused() {
    for seed in corpus("message") {
        for place in 0..seed.len() {
            for change in [1, 0x80, 0xff] {
                let mut bytes = seed.clone();
                bytes[place] ^= change;
                fuzz::message(&bytes);
            }
            fuzz::message(&seed[..place]);
        }
    }
}

#[test]
fn the_corpus_and_random_bytes_break_no_node() {
    for bytes in corpus("node") {
        fuzz::node(&bytes);
    }
    for_random_bytes(RUNS, 600, |bytes| {
        fuzz::node(bytes);
    });
}

#[test]
fn the_same_bytes_give_the_same_nodes() {
    let runs = || corpus("node").iter().map(|bytes| fuzz::node(bytes)).collect::<Vec<_>>();
    let (first, second) = (runs(), runs());
    assert_eq!(first, second);
    let hashes: BTreeSet<u64> = first.iter().map(|run| run.hash).collect();
    assert_eq!(hashes.len(), first.len(), "other bytes give other nodes");
}

/// A target that never gets anywhere finds nothing.
#[test]
fn the_corpus_gets_somewhere() {
    for bytes in corpus("node") {
        let run = fuzz::node(&bytes);
        assert!(run.joined >= 3, "all three nodes take their places: {run:?}");
        assert!(run.started > 0 && run.answered > 0, "children start: {run:?}");
    }
}

/// Runs `target` over random bytes of up to `length_max`; the seed of a failure is its first line.
fn for_random_bytes(runs: u64, length_max: u64, target: impl Fn(&[u8])) {
    let asked = env::var("ORDU_FUZZ_RUNS").ok().and_then(|runs| runs.parse().ok());
    let runs = asked.map_or(runs, |asked: u64| runs / RUNS * asked);
    for seed in 0..runs {
        let mut random = Random::new(seed);
        let length = random.below(length_max);
        let bytes: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
        let run = std::panic::AssertUnwindSafe(|| target(&bytes));
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("seed {seed}, bytes {bytes:?}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// Returns the committed corpus of `target`, in order.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = root().join("fuzz/corpus").join(target);
    let mut files: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 4, "the corpus of {target} is there");
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}
