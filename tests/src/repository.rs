//! The repository itself, as data: its files and its dependency tree.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde_json::Value;

/// Returns the root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package has a parent").to_owned()
}

/// Returns every file below `directory` with one of `extensions`, in order, build output aside.
///
/// # Panics
///
/// Panics if a directory cannot be read.
pub fn sources(directory: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(directory).expect("the directory can be read");
    for entry in entries {
        let path = entry.expect("the directory can be read").path();
        let hidden = path.file_name().and_then(OsStr::to_str).is_some_and(|n| n.starts_with('.'));
        if path.is_dir() {
            if !hidden && !path.ends_with("target") {
                found.extend(sources(&path, extensions));
            }
        } else if path.extension().and_then(OsStr::to_str).is_some_and(|e| extensions.contains(&e))
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Every package that a build of the workspace uses on this machine, and who depends on whom.
#[derive(Debug)]
pub struct Metadata {
    packages: BTreeMap<String, Value>,
    normal: BTreeMap<String, BTreeSet<String>>,
    any: BTreeMap<String, BTreeSet<String>>,
}

/// Asks cargo for the dependency tree of the workspace, all features on.
///
/// # Panics
///
/// Panics if cargo cannot answer, which it can wherever it has just built the workspace.
pub fn metadata() -> Metadata {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["metadata", "--format-version=1", "--locked", "--all-features"];
    let output = Command::new(cargo)
        .args(arguments)
        .args(["--filter-platform", &host()])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata failed: {errors}");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");

    let mut packages = BTreeMap::new();
    for package in array(&metadata["packages"]) {
        packages.insert(text(&package["id"]).to_owned(), package.clone());
    }
    let (mut normal, mut any) = (BTreeMap::new(), BTreeMap::new());
    for node in array(&metadata["resolve"]["nodes"]) {
        let id = text(&node["id"]).to_owned();
        let used = |kinds: fn(&Value) -> bool| {
            let deps = array(&node["deps"]).iter();
            let of_kind = deps.filter(|dep| array(&dep["dep_kinds"]).iter().any(kinds));
            of_kind.map(|dep| text(&dep["pkg"]).to_owned()).collect::<BTreeSet<_>>()
        };
        normal.insert(id.clone(), used(|kind| kind["kind"].is_null()));
        any.insert(id, used(|_| true));
    }
    Metadata { packages, normal, any }
}

impl Metadata {
    /// Iterates over all packages as (name, version, licence expression).
    pub fn packages(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.packages.values().map(|package| {
            let licence = package["license"].as_str().unwrap_or("none");
            (text(&package["name"]), text(&package["version"]), licence)
        })
    }

    /// Returns the names of all packages that a user of `package` builds: dependencies of
    /// dependencies included, those of tests and of builds left out.
    pub fn tree(&self, package: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut ahead: Vec<&str> = self.ids(package).collect();
        while let Some(id) = ahead.pop() {
            for next in &self.normal[id] {
                if reached.insert(next.as_str()) {
                    ahead.push(next);
                }
            }
        }
        reached.into_iter().map(|id| self.name(id)).collect()
    }

    /// Returns the names of all packages that depend on `package` directly, in any way.
    pub fn dependents(&self, package: &str) -> BTreeSet<&str> {
        let wanted: BTreeSet<&str> = self.ids(package).collect();
        let depends = |(_, deps): &(&String, &BTreeSet<String>)| {
            deps.iter().any(|dep| wanted.contains(dep.as_str()))
        };
        self.any.iter().filter(depends).map(|(id, _)| self.name(id)).collect()
    }

    fn ids(&self, name: &str) -> impl Iterator<Item = &str> {
        self.packages.iter().filter(move |(_, p)| p["name"] == name).map(|(id, _)| id.as_str())
    }

    fn name(&self, id: &str) -> &str {
        text(&self.packages[id]["name"])
    }
}

/// Returns the platform that the tests were built for, as rustc calls it.
fn host() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").current_dir(root()).output().expect("rustc runs");
    let version = String::from_utf8(output.stdout).expect("rustc writes UTF-8");
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("rustc names its host").to_owned()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().expect("cargo's documented format").as_slice()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("cargo's documented format")
}
