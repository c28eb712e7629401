//! The fuzzer's targets on every machine: its corpus again, and random bytes.
//!
//! Handshakes and records have theirs in the transport, which shows them to nobody else.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::{env, fs};

use ordu_core::limits::{FRAME_BYTES_MAX, PAYLOAD_BYTES_MAX};
use ordu_core::message::{Cast, Envelope, Message};
use ordu_core::wire::encode_frame;
use ordu_core::{Blob, Incarnation, Random};
use ordu_sim::fuzz::{self, ConfigRun, DeltaRun, MessageRun, SpecRun};
use ordu_tests::root;

/// Runs of each target; `ORDU_FUZZ_RUNS` asks for more.
const RUNS: u64 = 200;

#[test]
fn the_corpus_and_random_bytes_are_read_or_refused() {
    let runs: Vec<MessageRun> =
        corpus("message").iter().map(|bytes| fuzz::message(bytes)).collect();
    for_random_bytes(RUNS * 100, 300, |bytes| {
        fuzz::message(bytes);
    });

    for kind in (0..19).chain(21..24) {
        assert!(runs.contains(&MessageRun::Read(kind)), "the corpus has a message of kind {kind}");
    }
    assert!(runs.contains(&MessageRun::Skipped) && runs.contains(&MessageRun::Refused));
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
fn whatever_may_be_sent_to_a_process_is_read_and_no_frame_above_the_limit_is() {
    let frame = |payload_bytes| {
        let payload = Blob::from(vec![7; payload_bytes]);
        let message = Message::Cast(Cast { number: u64::MAX, payload });
        let incarnation = Incarnation { counter: u64::MAX, nonce: u64::MAX };
        encode_frame(&Envelope { incarnation, beat: u64::MAX, message })
    };
    for payload_bytes in [PAYLOAD_BYTES_MAX - 1, PAYLOAD_BYTES_MAX] {
        assert_eq!(fuzz::message(&frame(payload_bytes)), MessageRun::Read(14));
    }
    let header_bytes = frame(PAYLOAD_BYTES_MAX).len() - PAYLOAD_BYTES_MAX;
    for frame_bytes in [FRAME_BYTES_MAX - 1, FRAME_BYTES_MAX, FRAME_BYTES_MAX + 1] {
        let frame = frame(frame_bytes - header_bytes);
        assert_eq!(frame.len(), frame_bytes);
        let run = fuzz::message(&frame);
        assert!(frame_bytes <= FRAME_BYTES_MAX || run == MessageRun::Refused, "{run:?}");
    }
}

#[test]
fn copies_follow_their_journal_whatever_is_done_to_its_deltas() {
    let runs: Vec<DeltaRun> = corpus("delta").iter().map(|bytes| fuzz::delta(bytes)).collect();
    for_random_bytes(RUNS * 20, 300, |bytes| {
        fuzz::delta(bytes);
    });

    assert!(runs.iter().any(|run| run.delivered > 8), "many deltas arrive: {runs:?}");
    let lies = |of: fn(&DeltaRun) -> u32| runs.iter().map(of).sum::<u32>();
    assert!(lies(|run| run.refused) >= 8, "lies are refused: {runs:?}");
    assert!(lies(|run| run.believed) >= 8, "and others are not to be told: {runs:?}");
}

#[test]
fn specifications_are_started_or_kept_or_refused() {
    let runs: Vec<SpecRun> = corpus("spec").iter().map(|bytes| fuzz::spec(bytes, 1)).collect();
    for_random_bytes(RUNS * 20, 100, |bytes| {
        fuzz::spec(bytes, 1);
    });

    let all =
        [SpecRun::Malformed, SpecRun::TooLarge, SpecRun::Orphan, SpecRun::Kept, SpecRun::Started];
    for run in all {
        assert!(runs.contains(&run), "the corpus has one that is {run:?}");
    }
}

#[test]
fn configurations_are_lived_by_or_refused() {
    let runs: Vec<ConfigRun> =
        corpus("config").iter().map(|bytes| fuzz::config(bytes, 1)).collect();
    for_random_bytes(RUNS * 20, 30, |bytes| {
        fuzz::config(bytes, 1);
    });

    let lived = runs.iter().filter(|run| matches!(run, ConfigRun::Lived(joined) if *joined >= 2));
    assert!(lived.count() >= 8, "two nodes find each other: {runs:?}");
    assert!(runs.contains(&ConfigRun::Refused));
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

/// Inputs that once broke something, one file each, in a folder of their target.
#[test]
fn what_the_fuzzer_found_stays_mended() {
    let run = |target: &str, bytes: &[u8]| match target {
        "config" => drop(fuzz::config(bytes, 1)),
        "delta" => drop(fuzz::delta(bytes)),
        "message" => drop(fuzz::message(bytes)),
        "node" => drop(fuzz::node(bytes)),
        "spec" => drop(fuzz::spec(bytes, 1)),
        "frame" | "handshake" => (),
        other => panic!("no target is called {other}"),
    };
    let folders = entries("regressions");
    assert!(!folders.is_empty(), "it has found something already");
    for folder in folders {
        let target = folder.file_name().and_then(OsStr::to_str).expect("a target's name");
        for bytes in inputs(&format!("regressions/{target}")) {
            run(target, &bytes);
        }
    }
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
    let inputs = inputs(&format!("corpus/{target}"));
    assert!(inputs.len() >= 4, "the corpus of {target} is there");
    inputs
}

/// Returns what the files of `directory` hold, in the order of their names.
fn inputs(directory: &str) -> Vec<Vec<u8>> {
    entries(directory).iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Returns what is in `directory` of the fuzzer, in the order of their names.
fn entries(directory: &str) -> Vec<PathBuf> {
    let directory = root().join("fuzz").join(directory);
    let mut entries: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}
