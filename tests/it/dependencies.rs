//! What the dependency tree may hold: the rules of `deny.toml`, without the tool or a network.

use std::collections::BTreeSet;
use std::fs;

use ordu_tests::{metadata, root};

/// All that a user of the core builds; adding to this list is a design decision.
const CORE_TREE: &[&str] = &[
    "async-trait",
    "bincode",
    "foldhash",
    "hashbrown",
    "serde",
    "serde_core",
    "thiserror",
    "unty",
    "xxhash-rust",
];

/// Procedural macros and what they are made of: they run in the compiler, not in a node.
const COMPILE_TIME: &[&str] =
    &["proc-macro2", "quote", "serde_derive", "syn", "thiserror-impl", "unicode-ident"];

/// The core knows no runtime, no operating system and nothing else of ours, at any depth.
#[test]
fn the_core_stands_on_nothing_that_touches_the_world() {
    let metadata = metadata();
    // All features are on in this tree, so the strategies of the feature `proptest` are in it, too.
    let proptest = metadata.tree("proptest");
    for name in metadata.tree("ordu-core") {
        let known = CORE_TREE.contains(&name) || COMPILE_TIME.contains(&name);
        let of_tests = name == "proptest" || proptest.contains(name);
        assert!(known || of_tests, "the core must not depend on {name}");
        assert!(!name.starts_with("ordu"), "the core must not depend on {name}");
    }
    assert!(!metadata.tree("ordu-core").contains("tokio"), "the core must not know a runtime");
}

/// What users add to their programs holds no simulation.
#[test]
fn madsim_stays_in_the_simulator() {
    let metadata = metadata();
    for user_facing in ["ordu", "ordu-core", "ordu-transport-tcp", "ordu-transport-mem"] {
        let tree = metadata.tree(user_facing);
        assert!(!tree.contains("madsim"), "{user_facing} must not bring madsim");
    }
    for dependent in metadata.dependents("madsim") {
        assert!(dependent == "ordu-sim", "{dependent} must not depend on madsim");
    }
    assert!(metadata.dependents("madsim-tokio").is_empty(), "it would always be simulated");
}

/// There is one wire format: 3.0.0 is a deliberate compile error, and 1.x encodes differently.
#[test]
fn there_is_one_version_of_bincode() {
    let metadata = metadata();
    let bincode = metadata.packages().filter(|(name, ..)| *name == "bincode");
    let versions: Vec<&str> = bincode.map(|(_, version, _)| version).collect();
    assert_eq!(versions, ["2.0.1"]);
    assert_eq!(metadata.dependents("bincode"), BTreeSet::from(["ordu-core"]));
}

#[test]
fn banned_crates_are_absent() {
    let metadata = metadata();
    for banned in ["async-std", "native-tls", "openssl-sys"] {
        let dependents = metadata.dependents(banned);
        assert!(dependents.is_empty(), "{banned} is banned, and used by {dependents:?}");
    }
}

#[test]
fn every_licence_is_allowed() {
    let allowed = allowed_licences();
    for (name, version, licence) in metadata().packages() {
        assert!(satisfied(licence, &allowed), "{name} {version} is under {licence}");
    }
}

#[test]
fn every_ignored_advisory_has_a_reason() {
    let deny = fs::read_to_string(root().join("deny.toml")).unwrap();
    let ignored: Vec<&str> = deny.lines().filter(|line| line.contains("RUSTSEC-")).collect();
    assert!(!ignored.is_empty(), "bincode's advisory is ignored, and that is said");
    for line in ignored {
        assert!(line.contains("reason = \""), "no reason is given in: {line}");
    }
}

#[test]
fn licence_expressions_are_read_as_spdx_means_them() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "ISC".to_owned()]);
    let fine = ["MIT", "MIT OR GPL-3.0", "GPL-3.0/MIT", "(MIT OR GPL-3.0) AND ISC", "MIT AND ISC"];
    for licence in fine {
        assert!(satisfied(licence, &allowed), "{licence}");
    }
    for licence in ["GPL-3.0", "MIT AND GPL-3.0", "none", "(MIT AND GPL-3.0) OR GPL-2.0"] {
        assert!(!satisfied(licence, &allowed), "{licence}");
    }
}

/// Returns the licences that `deny.toml` allows, so that there is one list.
fn allowed_licences() -> BTreeSet<String> {
    let deny = fs::read_to_string(root().join("deny.toml")).unwrap();
    let list = deny.split_once("\nallow = [").unwrap().1.split_once(']').unwrap().0;
    let allowed = list.split('"').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>();
    assert!(allowed.contains("MIT"), "the list was found");
    allowed
}

/// Returns whether the SPDX expression `licence` can be met with the licences in `allowed`.
fn satisfied(licence: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = licence.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (result, rest) = either(&words, allowed);
    result && rest.is_empty()
}

/// `a OR b`, the loosest binding; returns what was not read.
fn either<'w>(words: &'w [&'w str], allowed: &BTreeSet<String>) -> (bool, &'w [&'w str]) {
    let (mut result, mut rest) = both(words, allowed);
    while let Some((&"OR", tail)) = rest.split_first() {
        let (right, after) = both(tail, allowed);
        (result, rest) = (result | right, after);
    }
    (result, rest)
}

/// `a AND b`.
fn both<'w>(words: &'w [&'w str], allowed: &BTreeSet<String>) -> (bool, &'w [&'w str]) {
    let (mut result, mut rest) = one(words, allowed);
    while let Some((&"AND", tail)) = rest.split_first() {
        let (right, after) = one(tail, allowed);
        (result, rest) = (result & right, after);
    }
    (result, rest)
}

/// A licence, with its exception if it has one, or an expression in parentheses.
fn one<'w>(words: &'w [&'w str], allowed: &BTreeSet<String>) -> (bool, &'w [&'w str]) {
    match words {
        ["(", inner @ ..] => {
            let (result, rest) = either(inner, allowed);
            (result, rest.strip_prefix(&[")"]).unwrap_or(rest))
        }
        [licence, "WITH", exception, rest @ ..] => {
            (allowed.contains(&format!("{licence} WITH {exception}")), rest)
        }
        [licence, rest @ ..] => (allowed.contains(*licence), rest),
        [] => (false, words),
    }
}
