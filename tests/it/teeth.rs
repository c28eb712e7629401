//! The deliberate bugs of `sim/teeth`: each can still be planted, and says what finds it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use ordu_sim::invariants::promises;
use ordu_sim::plan::Profile;
use ordu_tests::root;
use ordu_tests::teeth::{Bug, Instrument};

/// How many bugs there are to be at least.
const BUGS_MIN: usize = 44;

#[test]
fn every_bug_can_be_planted_and_every_lie_on_top_of_what_it_hides() {
    let bugs = read("bugs");
    assert!(bugs.len() >= BUGS_MIN, "only {} bugs are left", bugs.len());
    for bug in &bugs {
        assert_eq!(bug.hides, None, "{} is a lie", bug.name);
        plant(&[bug]);
    }
    let lies = read("lies");
    assert!(!lies.is_empty(), "nothing shows that the teeth can fail");
    for lie in &lies {
        let hidden = bugs.iter().find(|bug| Some(&bug.name) == lie.hides.as_ref());
        plant(&[lie, hidden.unwrap_or_else(|| panic!("{} hides nothing", lie.name))]);
    }
}

#[test]
fn every_bug_names_promises_and_a_profile_that_there_are() {
    let known: BTreeSet<&str> = promises().iter().map(|promise| promise.id).collect();
    for bug in &read("bugs") {
        match &bug.instrument {
            Instrument::Simulator { promises, profile, .. } => {
                for promise in promises {
                    assert!(known.contains(promise.as_str()), "{} breaks {promise}?", bug.name);
                }
                assert!(profile.parse::<Profile>().is_ok(), "{}: {profile}", bug.name);
            }
            Instrument::Tests(name) => check_module(bug, "core/src", name),
            Instrument::Shell(name) => check_module(bug, "ordu/src", name),
            Instrument::Stories(name) => {
                let stories = root().join("sim/tests/stories").join(name).with_extension("rs");
                assert!(stories.is_file(), "{}: there is no {}", bug.name, stories.display());
            }
        }
    }
}

#[test]
fn a_bug_that_has_lost_its_place_is_refused() {
    let bug = "BUG: a is b\nPROMISE: S1\nPROFILE: full\nSEEDS: 1\nFILE: f\n<<<<\na\n====\nb\n>>>>";
    let change = &Bug::parse("it", bug).unwrap().changes[0];
    assert_eq!(change.apply("x a y"), Ok("x b y".to_owned()));
    for text in ["x y", "a a"] {
        let wrong = change.apply(text).unwrap_err();
        assert!(wrong.contains("not once"), "{wrong}");
    }
    let tested = bug.replace("PROMISE: S1\nPROFILE: full\nSEEDS: 1", "TEST: crdt");
    let instrument = Bug::parse("it", &tested).unwrap().instrument;
    assert_eq!(instrument, Instrument::Tests("crdt".to_owned()));
    let told = Bug::parse("it", &tested.replace("TEST: crdt", "STORY: joins")).unwrap();
    assert_eq!(told.instrument, Instrument::Stories("joins".to_owned()));
    let kept = Bug::parse("it", &tested.replace("TEST: crdt", "SHELL: gate")).unwrap();
    assert_eq!(kept.instrument, Instrument::Shell("gate".to_owned()));
    let both = bug.replace("SEEDS: 1", "SEEDS: 1\nTEST: crdt");
    assert!(Bug::parse("it", &both).is_err(), "two instruments");
    for missing in ["PROMISE: S1\n", "PROFILE: full\n", "SEEDS: 1\n", "FILE: f\n", ">>>>"] {
        assert!(Bug::parse("it", &bug.replace(missing, "")).is_err(), "without {missing:?}");
    }
}

/// Checks that there is the module `name` below `sources`, in whose tests `bug` dies.
fn check_module(bug: &Bug, sources: &str, name: &str) {
    let module = root().join(sources).join(name.replace("::", "/"));
    let is_there = module.is_dir() || module.with_extension("rs").is_file();
    assert!(is_there, "{}: there is no {}", bug.name, module.display());
}

/// Plants `bugs`, one on top of the other, in copies of the files that they change.
fn plant(bugs: &[&Bug]) {
    let mut files = BTreeMap::new();
    for bug in bugs {
        for change in &bug.changes {
            let text = files
                .entry(change.file.clone())
                .or_insert_with(|| fs::read_to_string(root().join(&change.file)).unwrap());
            *text = change.apply(text).unwrap_or_else(|wrong| panic!("{}: {wrong}", bug.name));
        }
    }
    let is_changed =
        |(file, text): (&_, &_)| fs::read_to_string(root().join(file)).unwrap() != *text;
    assert!(files.iter().any(is_changed), "{} changes nothing", bugs[0].name);
}

fn read(directory: &str) -> Vec<Bug> {
    Bug::read_all(&root().join("sim/teeth").join(directory)).unwrap()
}
