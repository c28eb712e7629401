//! The fuzzer's targets on every machine: its corpus again, and random bytes.

use std::path::Path;
use std::{env, fs};

use ordu_core::Random;

use super::*;

/// Runs of each target; `ORDU_FUZZ_RUNS` asks for more.
const RUNS: u64 = 200;

#[test]
fn frames_arrive_as_they_were_and_nothing_else_does() {
    let runs: Vec<FrameRun> = corpus("frame").iter().map(|bytes| frame(bytes, 1)).collect();
    for_random_bytes(RUNS * 5, 200, |bytes| {
        frame(bytes, 10);
    });

    assert!(runs.iter().any(|run| run.refused), "some streams are refused: {runs:?}");
    assert!(runs.iter().any(|run| run.farewell && run.frames > 3), "some are whole: {runs:?}");
    assert!(runs.iter().any(|run| run.messages > 0), "some hold messages: {runs:?}");
}

#[test]
fn handshakes_end_with_friends_and_nobody_else() {
    let runs: Vec<HandshakeRun> = corpus("handshake").iter().map(|b| handshake(b)).collect();
    for_random_bytes(RUNS, 100, |bytes| {
        handshake(bytes);
    });

    assert!(runs.iter().any(|run| run.done == [true, true]), "some agree: {runs:?}");
    assert!(runs.iter().any(|run| run.failed == [true, true]), "some do not: {runs:?}");
    assert!(runs.iter().any(|run| run.done[0] != run.done[1]), "some are cut off: {runs:?}");
}

/// Everything that the first byte can say, with the rest delivered at once.
#[test]
fn every_meeting_ends_as_it_must() {
    for meeting in 0..=u8::MAX {
        let run = handshake(&[meeting]);
        assert_eq!(run.done[0], run.done[1], "both have a session or none: {meeting:#x}");
    }
}

/// Inputs that once broke something, if any did, in a folder of their target.
#[test]
fn what_the_fuzzer_found_stays_mended() {
    for bytes in inputs("regressions/frame") {
        frame(&bytes, 1);
    }
    for bytes in inputs("regressions/handshake") {
        handshake(&bytes);
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

/// Returns what the files of `directory` hold, in the order of their names; none without it.
fn inputs(directory: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(directory);
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}
