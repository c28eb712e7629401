//! The command line, as users and CI systems meet it; and every failure that was ever kept.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ordu_core::flight::Dump;
use ordu_sim::{Failure, N1, N2, Verdict, World, named};
use serde_json::Value;

/// Where failures are kept once they are mended.
const REGRESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/regressions");

fn ordu_sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ordu-sim")).args(arguments).output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Returns an empty directory of this test's own.
fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// What failed once and was mended stays mended.
#[test]
fn what_failed_before_passes_now() {
    let mut count = 0;
    for entry in fs::read_dir(REGRESSIONS).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        if let Ok(dump) = Dump::decode(&bytes) {
            dump.replay().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        } else {
            let report = Failure::read(&path).unwrap().replay();
            assert_eq!(report.verdict, Verdict::Passed, "{}", path.display());
        }
        count += 1;
    }
    assert!(count > 0, "there are files to replay");
}

#[test]
fn one_seed_prints_one_hash() {
    let run =
        |seed: &str| ordu_sim(&["run", "--seed", seed, "--profile", "quick-restart", "--json"]);
    let (first, again, other) = (run("7"), run("7"), run("8"));
    assert!(first.status.success(), "{first:?}");
    assert_eq!(json(&first), json(&again));
    assert_eq!(json(&first)["verdict"], "passed");
    assert_ne!(json(&first)["trace_hash"], json(&other)["trace_hash"]);
}

#[test]
fn a_soak_prints_its_sums_and_goes_on_where_it_stopped() {
    let scratch = scratch("soak");
    let (summary, junit) = (scratch.join("summary.json"), scratch.join("junit.xml"));
    let soak = |seeds: &str| {
        let summary = summary.to_str().unwrap();
        let junit = junit.to_str().unwrap();
        let output = ordu_sim(&[
            "soak",
            "--seeds",
            seeds,
            "--base-seed",
            "40",
            "--profile",
            "crossing-names",
            "--json",
            "--summary",
            summary,
            "--junit",
            junit,
        ]);
        assert!(output.status.success(), "{output:?}");
        json(&output)
    };
    assert_eq!(soak("2")["seeds"], 2);
    let all = soak("5");
    assert_eq!(all["seeds"], 5, "three more, and the two before");
    assert!(all["failures"].as_object().unwrap().is_empty());
    assert!(all["seeds_per_s"].as_f64().unwrap() > 0.0);
    assert!(all["sim_hours"].as_f64().unwrap() > 0.0);
    assert!(all["marks_missed"].as_array().is_some());
    assert!(fs::read_to_string(&junit).unwrap().contains("5 seeds that passed"));
}

/// A soak that was told to reach every state fails where it does not.
#[test]
fn a_mark_that_is_missed_fails_a_soak_that_wants_all() {
    let arguments =
        ["soak", "--seeds", "1", "--base-seed", "1", "--profile", "quick-restart", "--all-marks"];
    assert_eq!(ordu_sim(&arguments).status.code(), Some(128));
}

#[test]
fn a_failure_file_is_replayed_and_explained() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/regressions/55-s15.json");
    let (first, again) =
        (ordu_sim(&["replay", file, "--json"]), ordu_sim(&["replay", file, "--json"]));
    assert!(first.status.success(), "{first:?}");
    assert_eq!(json(&first)["trace_hash"], json(&again)["trace_hash"]);

    let story = ordu_sim(&["explain", file, "--name", "own-1"]);
    let story = String::from_utf8(story.stdout).unwrap();
    assert!(story.contains("Start { scope"), "{story}");
    assert!(story.contains(" n1 n2 n3"), "{story}");
}

#[test]
fn the_dump_of_a_node_is_replayed_from_its_file() {
    let mut world = World::new(1, 3);
    world.start_child(N1, named("counter", "cart")).unwrap();
    let path = scratch("dump").join("n2.flight");
    fs::write(&path, world.dump(N2).encode()).unwrap();
    let output = ordu_sim(&["replay", path.to_str().unwrap(), "--json"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(json(&output)["verdict"], "passed");
    assert_eq!(json(&output)["node"], "n2");
}

#[test]
fn a_command_that_makes_no_sense_says_why() {
    let missing = scratch("missing").join("none.json");
    let cases: [(&[&str], &str); 7] = [
        (&[], "nothing is asked for"),
        (&["soak", "--seeds", "many"], "many"),
        (&["run", "--profile", "ful"], "\"ful\" is no profile; there are: full"),
        (&["sleep"], "there is no command \"sleep\""),
        (&["replay"], "replay needs a file"),
        (&["replay", missing.to_str().unwrap()], "none.json"),
        (&["explain", "--seed", "1"], "explain needs --name or --child"),
    ];
    for (arguments, reason) in cases {
        let output = ordu_sim(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(reason), "{arguments:?}: {said}");
    }
}
