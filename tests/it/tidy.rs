//! What no compiler checks: the arrows between crates, the size of files, and who reads the clock.

use std::fs;
use std::path::{Path, PathBuf};

use ordu_tests::{root, sources};

/// Lines after which a file is to be split.
const FILE_LINES_MAX: usize = 600;

/// Columns after which a line is to be broken, in comments as in code.
const COLUMNS_MAX: usize = 100;

/// Which of our crates each crate may depend on; tests and examples may use more.
const ARROWS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("transport-tcp", &["ordu-core"]),
    ("transport-mem", &["ordu-core"]),
    ("ordu", &["ordu-core", "ordu-transport-tcp"]),
    ("sim", &["ordu", "ordu-core", "ordu-transport-mem", "ordu-transport-tcp"]),
];

/// The files that may read clocks and spawn tasks by themselves: the runtime, nothing else.
const RUNTIME_FILES: &[&str] = &["transport-tcp/src/runtime.rs", "transport-tcp/src/clock.rs"];

/// What only a runtime may do; everything else asks the runtime.
const RUNTIME_WORDS: &[&str] = &[
    "std::time::Instant",
    "Instant::now",
    "SystemTime",
    "tokio::spawn",
    "tokio::time",
    "thread::sleep",
    "thread::spawn",
];

#[test]
fn arrows_point_inward() {
    for (directory, allowed) in ARROWS {
        let manifest = read(&root().join(directory).join("Cargo.toml"));
        for name in dependencies(&manifest).filter(|name| name.starts_with("ordu")) {
            assert!(allowed.contains(&name), "{directory} must not depend on {name}");
        }
    }
}

#[test]
fn madsim_is_named_in_the_simulator_alone() {
    for path in sources(&root(), &["toml"]).into_iter().filter(|path| !is_in(path, "sim")) {
        let manifest = read(&path);
        let names_it = dependencies(&manifest).any(|name| name.starts_with("madsim"));
        assert!(!names_it, "{} must not depend on madsim", path.display());
    }
    for path in sources(&root(), &["rs"]).into_iter().filter(|path| !is_in(path, "sim")) {
        let code = read(&path);
        let uses_it = code.contains(concat!("madsim", "::")) || code.contains("cfg(mad\u{73}im");
        assert!(!uses_it, "{} must not know madsim", path.display());
    }
}

#[test]
fn only_runtimes_touch_clocks_and_tasks() {
    for package in ["core", "ordu", "transport-tcp", "transport-mem"] {
        for path in sources(&root().join(package).join("src"), &["rs"]) {
            let name = path.strip_prefix(root()).unwrap().to_owned();
            let is_runtime = RUNTIME_FILES.iter().any(|file| name == Path::new(file));
            let is_test = path.ends_with("tests.rs") || path.ends_with("testing.rs");
            if is_runtime || is_test {
                continue;
            }
            for (number, line) in code_before_tests(&read(&path)) {
                for word in RUNTIME_WORDS {
                    let place = format!("{}:{number}", name.display());
                    assert!(!line.contains(word), "{place} uses {word}; ask the runtime");
                }
            }
        }
    }
}

#[test]
fn no_file_is_too_long() {
    for path in sources(&root(), &["rs"]) {
        let lines = read(&path).lines().count();
        assert!(lines <= FILE_LINES_MAX, "{} has {lines} lines; split it", path.display());
    }
}

#[test]
fn no_line_is_too_wide() {
    let mut wide = Vec::new();
    for path in sources(&root(), &["rs", "toml"]) {
        for (number, line) in (1_usize..).zip(read(&path).lines()) {
            let columns = line.chars().count();
            // A string that cannot be broken is no reason to.
            if COLUMNS_MAX < columns && !line.contains('"') {
                wide.push(format!("{}:{number} has {columns} columns", path.display()));
            }
        }
    }
    assert!(wide.is_empty(), "{}", wide.join("\n"));
}

/// Nothing is left for later, and no test is left out.
#[test]
fn nothing_is_unfinished() {
    let marks = ["TO\u{44}O", "FIX\u{4d}E", "to\u{64}o!(", "unimple\u{6d}ented!(", "#[igno\u{72}e"];
    for path in sources(&root(), &["rs"]) {
        for (number, line) in (1..).zip(read(&path).lines()) {
            for mark in &marks {
                assert!(!line.contains(mark), "{}:{number} has a {mark}", path.display());
            }
        }
    }
}

/// Each crate's `lib.rs` lists its own face, by name; only `ordu` shows some of the core's types.
#[test]
fn there_is_one_path_to_one_thing() {
    for package in ["core", "ordu", "transport-tcp", "transport-mem", "sim"] {
        let face = read(&root().join(package).join("src/lib.rs"));
        for line in face.lines().filter(|line| line.starts_with("pub use ")) {
            assert!(!line.contains("::*"), "{package} re-exports without naming: {line}");
            let own = line.starts_with("pub use crate::") || line.starts_with("pub use self::");
            let core_in_ordu = package == "ordu" && line.starts_with("pub use ordu_");
            assert!(own || core_in_ordu, "{package} re-exports what is not its own: {line}");
        }
    }
}

/// A link in a document at the root leads to a file.
#[test]
fn documents_point_at_files_that_exist() {
    for entry in fs::read_dir(root()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        for link in read(&path).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap();
            let is_local = !target.is_empty() && !target.contains("://");
            let exists = !is_local || root().join(target).exists();
            assert!(exists, "{} points at {link}, which is not there", path.display());
        }
    }
}

/// Yields the lines of `code` with their numbers, up to the tests at its end, without comments.
fn code_before_tests(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = (1..).zip(code.lines()).take_while(|(_, line)| *line != "#[cfg(test)]");
    lines.map(|(number, line)| (number, line.split("//").next().unwrap_or(line)))
}

/// Yields the names that the sections `[dependencies]` of `manifest` list, target-specific ones
/// too.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    manifest.lines().filter_map(move |line| {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]") && !line.contains("dev-dependencies");
            inside &= line != "[workspace.dependencies]";
            return None;
        }
        let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
        (inside && !name.is_empty() && !name.starts_with('#')).then_some(name)
    })
}

fn is_in(path: &Path, directory: &str) -> bool {
    path.starts_with(root().join(directory))
}

fn read(path: &PathBuf) -> String {
    fs::read_to_string(path).unwrap()
}
