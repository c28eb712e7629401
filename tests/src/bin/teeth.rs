//! Plants deliberate bugs, one at a time, and counts the seeds that the simulator needs to notice.
//! Whether all of them still compile, it checks with as many planted at once as fit.
//!
//! See `CONTRIBUTING.md`; `sim/teeth/run` is how it is called.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use ordu_tests::root;
use ordu_tests::teeth::{Bug, Instrument};
use serde_json::Value;

/// How the command is used.
const USAGE: &str = "\
sim/teeth/run [--base-seed SEED] [--jobs N] [--with LIE] [NAME...]
sim/teeth/run --check [NAME...]

Plants each bug of sim/teeth/bugs, or only those named, in a copy of the repository, and soaks until
a seed fails that passes without the bug, or runs the tests that must fail.
Without names, the lies of sim/teeth/lies are told, too: under each, the bug that it hides must go
unnoticed. --with tells one throughout.
--check only sees that everything compiles with each of them, or of those named, planted.

Ends with 1 if a bug outlives its seeds or does not compile, or a lie hides nothing; with 2 if
something does not work.";

/// The profile that the simulator is built with.
const PROFILE: &str = "teeth";

/// The tests of the core.
const CORE: [&str; 3] = ["-p", "ordu-core", "--lib"];

/// The stories of the simulator.
const STORIES: [&str; 4] = ["-p", "ordu-sim", "--test", "stories"];

/// The tests of the shell.
const SHELL: [&str; 3] = ["-p", "ordu", "--lib"];

/// How long one soak may take, or a run of tests: a bug may well make a node go on for ever.
const SOAK_MAX: Duration = Duration::from_secs(20 * 60);

/// What the command is to do.
struct Orders {
    names: Vec<String>,
    base: u64,
    jobs: usize,
    lie: Option<String>,
    /// Whether it is only seen that they compile.
    is_check: bool,
}

/// Where the bugs are planted.
struct Workshop {
    /// The copy of the repository.
    tree: PathBuf,
    /// Where cargo builds it.
    target: PathBuf,
    /// Where failures are written.
    failures: PathBuf,
}

/// What became of a bug.
struct Fate {
    name: String,
    /// What it died of, or why it lives.
    death: Result<Death, String>,
    seconds: u64,
    /// Whether that is as it must be.
    is_right: bool,
}

/// What a bug died of.
struct Death {
    /// How many seeds it took; none where a test failed.
    seeds: Option<u64>,
    /// The promise that broke, or the test that failed.
    broke: String,
}

/// What every hunt of a bug needs.
struct Hunt<'a> {
    orders: &'a Orders,
    /// The simulator without the bug.
    clean: &'a Path,
    profile: &'a str,
    seeds: u64,
}

fn main() -> ExitCode {
    let trouble = match orders() {
        Ok(Some(orders)) => match run(&orders) {
            Ok(true) => return ExitCode::SUCCESS,
            Ok(false) => return ExitCode::FAILURE,
            Err(trouble) => trouble,
        },
        Ok(None) => USAGE.to_owned(),
        Err(trouble) => format!("{trouble}\n\n{USAGE}"),
    };
    eprintln!("{trouble}");
    ExitCode::from(2)
}

fn orders() -> Result<Option<Orders>, String> {
    let mut orders = Orders { names: Vec::new(), base: 0, jobs: 2, lie: None, is_check: false };
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--base-seed" => orders.base = number(&value()?)?,
            "--jobs" => orders.jobs = number(&value()?)?,
            "--with" => orders.lie = Some(value()?),
            "--check" => orders.is_check = true,
            "-h" | "--help" => return Ok(None),
            option if option.starts_with('-') => return Err(format!("what is {option}?")),
            name => orders.names.push(name.to_owned()),
        }
    }
    Ok(Some(orders))
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

/// Plants what is ordered; returns whether everything died that must.
fn run(orders: &Orders) -> Result<bool, String> {
    let directory = root().join("sim/teeth");
    let read = |kind| Bug::read_all(&directory.join(kind));
    let (bugs, lies) = (read("bugs")?, read("lies")?);
    let named = |name: &String, all: &[Bug]| {
        let bug = all.iter().find(|bug| bug.name == *name).cloned();
        bug.ok_or_else(|| format!("there is no {name:?} in {}", directory.display()))
    };
    let chosen: Vec<Bug> = if orders.names.is_empty() {
        bugs.clone()
    } else {
        orders.names.iter().map(|name| named(name, &bugs)).collect::<Result<_, _>>()?
    };
    let lie = orders.lie.as_ref().map(|name| named(name, &lies)).transpose()?;

    let workshop = Workshop::new();
    if orders.is_check {
        // Lies compile or not as bugs do; names choose among bugs alone.
        let told = lies.iter().filter(|_| orders.names.is_empty());
        return workshop.check(chosen.iter().chain(told).collect());
    }
    let width = bugs.iter().chain(&lies).map(|bug| bug.name.len()).max().unwrap_or(0) + 24;
    say(&format!("{:width$} {:>11} {:10} {:>7}", "bug", "seeds", "broke", "seconds"))?;
    workshop.test_clean(&chosen)?;
    let clean = workshop.build("clean", lie.as_slice())?;
    let mut all_right = true;
    for bug in &chosen {
        let fate = workshop.fate(orders, &clean, lie.as_ref(), bug)?;
        fate.print(width, bug)?;
        all_right &= fate.is_right;
    }
    if !orders.names.is_empty() || lie.is_some() {
        return Ok(all_right);
    }
    for lie in &lies {
        let bug = named(lie.hides.as_ref().expect("lies hide something"), &bugs)?;
        let clean = workshop.build("clean-under-lies", std::slice::from_ref(lie))?;
        let fate = workshop.fate(orders, &clean, Some(lie), &bug)?;
        // A lie that hides nothing is no proof that anything can be missed.
        let fate = Fate { is_right: fate.death.is_err(), ..fate };
        fate.print(width, &bug)?;
        all_right &= fate.is_right;
    }
    Ok(all_right)
}

impl Workshop {
    fn new() -> Self {
        let target = env::var_os("CARGO_TARGET_DIR").map_or(root().join("target"), PathBuf::from);
        let ours = root().join(target).join("teeth");
        Self { tree: ours.join("tree"), target: ours.join("build"), failures: ours.join("found") }
    }

    /// Sees what becomes of `bug`, and of the clean simulator at `clean` for comparison; both are
    /// under `lie`, if there is one.
    fn fate(
        &self,
        orders: &Orders,
        clean: &Path,
        lie: Option<&Bug>,
        bug: &Bug,
    ) -> Result<Fate, String> {
        let began = Instant::now();
        let planted: Vec<Bug> = lie.into_iter().chain([bug]).cloned().collect();
        let death = match &bug.instrument {
            Instrument::Simulator { profile, seeds, .. } => {
                let simulator = self.build("planted", &planted)?;
                self.hunt(&Hunt { orders, clean, profile, seeds: *seeds }, &simulator)?
            }
            Instrument::Tests(_) | Instrument::Stories(_) | Instrument::Shell(_) => {
                let (suite, name) = suite(&bug.instrument).expect("these are tests");
                self.plant(&planted)?;
                match self.failing_test(suite, name)? {
                    Some(broke) => Ok(Death { seeds: None, broke }),
                    None => Err(format!("passes every test of {name}")),
                }
            }
        };
        let under = lie.map(|lie| format!(" under {}", lie.name)).unwrap_or_default();
        Ok(Fate {
            name: format!("{}{under}", bug.name),
            is_right: death.is_ok(),
            death,
            seconds: began.elapsed().as_secs(),
        })
    }

    /// Runs seeds until one fails in `simulator`, where a bug is planted, that passes without.
    fn hunt(&self, hunt: &Hunt<'_>, simulator: &Path) -> Result<Result<Death, String>, String> {
        let Hunt { orders, clean, profile, seeds } = *hunt;
        let end = orders.base.saturating_add(seeds);
        let mut next = orders.base;
        while next < end {
            let failures = self.soak(simulator, orders.jobs, profile, next, end - next)?;
            let Some((seed, broke)) = failures.into_iter().next() else {
                return Ok(Err(format!("lives on after {seeds} seeds")));
            };
            if self.soak(clean, 1, profile, seed, 1)?.is_empty() {
                return Ok(Ok(Death { seeds: Some(seed - orders.base + 1), broke }));
            }
            next = seed + 1;
        }
        Ok(Err(format!("lives on after {seeds} seeds, as others fail without it")))
    }

    /// Runs the tests that are to notice `bugs`, each once, without any of them: who fails anyway
    /// notices nothing.
    fn test_clean(&self, bugs: &[Bug]) -> Result<(), String> {
        self.plant(&[])?;
        let suites: BTreeSet<_> = bugs.iter().filter_map(|bug| suite(&bug.instrument)).collect();
        for (suite, name) in suites {
            if let Some(broke) = self.failing_test(suite, name)? {
                return Err(format!("{broke} fails without any bug"));
            }
        }
        Ok(())
    }

    /// Runs the tests of `suite` in the copy whose names contain `name`; returns one that fails.
    fn failing_test(&self, suite: &[&str], name: &str) -> Result<Option<String>, String> {
        let mut command = self.cargo();
        command.args(["test", "--locked", "--quiet"]).args(suite);
        // Each test has a line of its own, the failed one too.
        command.args(["--", "--format", "pretty", name]);
        let Some((text, errors)) = within(SOAK_MAX, &mut command, &self.tree)? else {
            return Ok(Some("time".to_owned()));
        };
        let ends = |end: &str| {
            let tests = text.lines().filter_map(|line| line.strip_prefix("test "));
            tests.filter_map(|test| test.strip_suffix(end)).next().map(str::to_owned)
        };
        match (ends(" ... FAILED"), ends(" ... ok")) {
            (Some(failed), _) => Ok(Some(failed)),
            (None, Some(_)) => Ok(None),
            (None, None) => Err(format!("no test of {suite:?} is called {name:?}:\n{errors}")),
        }
    }

    /// Soaks until something fails; returns the seeds that failed, and which promise each broke.
    fn soak(
        &self,
        simulator: &Path,
        jobs: usize,
        profile: &str,
        base: u64,
        seeds: u64,
    ) -> Result<BTreeMap<u64, String>, String> {
        let mut command = Command::new(simulator);
        command.args(["soak", "--failures-max", "1", "--no-shrink", "--json"]);
        command.args(["--profile", profile, "--jobs", &jobs.to_string()]);
        command.args(["--base-seed", &base.to_string(), "--seeds", &seeds.to_string()]);
        command.arg("--failures").arg(&self.failures);
        let Some((text, errors)) = within(SOAK_MAX, &mut command, &self.tree)? else {
            return Ok(BTreeMap::from([(base, "time".to_owned())]));
        };
        let Ok(summary) = serde_json::from_str::<Value>(&text) else {
            // Whoever takes the whole simulator down is noticed as well.
            return match text.is_empty() && errors.contains("overflow") {
                true => Ok(BTreeMap::from([(base, "process".to_owned())])),
                false => Err(format!("the soak says {text:?} and {errors:?}")),
            };
        };
        let failures = summary["failures"].as_object().ok_or("the soak lists no failures")?;
        failures
            .iter()
            .map(|(seed, violation)| {
                let promise = violation["promise"].as_str().unwrap_or("?").to_owned();
                Ok((number(seed)?, promise))
            })
            .collect()
    }

    /// Sees that everything compiles with each of `bugs`, of which those that change different
    /// lines are planted together, and returns whether it does.
    fn check(&self, bugs: Vec<&Bug>) -> Result<bool, String> {
        let (all, mut broken) = (bugs.len(), 0);
        let mut groups = Vec::new();
        let mut left = bugs;
        while !left.is_empty() {
            self.plant(&[])?;
            let (mut together, mut later, mut wrong) = (Vec::new(), Vec::new(), String::new());
            for bug in left {
                match bug.plant(&self.tree) {
                    Ok(()) => together.push(bug.clone()),
                    Err(why) => {
                        later.push(bug);
                        wrong = format!("{}: {why}", bug.name);
                    }
                }
            }
            if together.is_empty() {
                return Err(wrong);
            }
            groups.push(together);
            left = later;
        }
        while let Some(group) = groups.pop() {
            self.plant(&group)?;
            let Some(errors) = self.compile_errors()? else { continue };
            if let [bug] = &group[..] {
                say(&format!("with {} this does not compile:\n{errors}", bug.name))?;
                broken += 1;
            } else {
                // One of them does not compile, or two are at odds, which means nothing.
                let (one, other) = group.split_at(group.len() / 2);
                groups.extend([one.to_vec(), other.to_vec()]);
            }
        }
        say(&format!("{} of {all} compile", all - broken))?;
        Ok(broken == 0)
    }

    /// Compiles what bugs are planted in, and its tests; returns the errors, if there are any.
    fn compile_errors(&self) -> Result<Option<String>, String> {
        let output = self
            .cargo()
            .args(["check", "--locked", "--quiet", "--tests"])
            .args(["-p", "ordu-core", "-p", "ordu-sim", "-p", "ordu"])
            .output()
            .map_err(|error| format!("cargo does not run: {error}"))?;
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok((!output.status.success()).then_some(errors))
    }

    /// Builds a simulator with `bugs` in it; returns where it is.
    fn build(&self, name: &str, bugs: &[Bug]) -> Result<PathBuf, String> {
        self.plant(bugs)?;
        let output = self
            .cargo()
            .args(["build", "--profile", PROFILE, "--locked", "--quiet", "-p", "ordu-sim"])
            .args(["--bin", "ordu-sim"])
            .output()
            .map_err(|error| format!("cargo does not run: {error}"))?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            let names: Vec<&str> = bugs.iter().map(|bug| bug.name.as_str()).collect();
            return Err(format!("with {names:?} it does not build:\n{errors}"));
        }
        let kept = self.target.join(format!("ordu-sim-{name}"));
        let built =
            self.target.join(PROFILE).join("ordu-sim").with_extension(env::consts::EXE_EXTENSION);
        fs::copy(&built, &kept).map_err(|error| format!("{}: {error}", built.display()))?;
        Ok(kept)
    }

    /// Makes the copy the repository with `bugs` in it.
    fn plant(&self, bugs: &[Bug]) -> Result<(), String> {
        self.restore(&root(), &self.tree)?;
        for bug in bugs {
            bug.plant(&self.tree).map_err(|wrong| format!("{}: {wrong}", bug.name))?;
        }
        Ok(())
    }

    /// Returns cargo, about to do something with the copy.
    fn cargo(&self) -> Command {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.target);
        cargo
    }

    /// Makes the files below `to` those below `from`; writes only what differs, so that as little
    /// as possible is built anew.
    fn restore(&self, from: &Path, to: &Path) -> Result<(), String> {
        let about = |error: io::Error| format!("cannot copy {}: {error}", from.display());
        fs::create_dir_all(to).map_err(about)?;
        for entry in fs::read_dir(from).map_err(about)? {
            let (entry, path) =
                entry.map(|entry| (entry.file_name(), entry.path())).map_err(about)?;
            let to = to.join(&entry);
            if path.is_dir() {
                if entry != "target" && entry != ".git" && entry != "corpus" {
                    self.restore(&path, &to)?;
                }
            } else {
                let text = fs::read(&path).map_err(about)?;
                if fs::read(&to).ok().as_ref() != Some(&text) {
                    fs::write(&to, text).map_err(about)?;
                }
            }
        }
        Ok(())
    }
}

impl Fate {
    fn print(&self, width: usize, bug: &Bug) -> Result<(), String> {
        let mut remarks = Vec::new();
        let (seeds, broke) = match (&self.death, &bug.instrument) {
            (Ok(death), Instrument::Simulator { promises, seeds, .. }) => {
                if !promises.contains(&death.broke) {
                    remarks.push(format!("not {}", promises.join(" ")));
                }
                let took = death.seeds.unwrap_or_default();
                (format!("{took} of {seeds}"), death.broke.as_str())
            }
            (Ok(death), Instrument::Tests(_) | Instrument::Stories(_) | Instrument::Shell(_)) => {
                remarks.push(death.broke.clone());
                (String::new(), "a test")
            }
            (Err(why), instrument) => {
                remarks.push(why.clone());
                let seeds = match instrument {
                    Instrument::Simulator { seeds, .. } => format!("> {seeds}"),
                    Instrument::Tests(_) | Instrument::Stories(_) | Instrument::Shell(_) => {
                        String::new()
                    }
                };
                (seeds, "nothing")
            }
        };
        if !self.is_right {
            remarks.push("WRONG".to_owned());
        }
        let remarks = remarks.join(", ");
        let line =
            format!("{:width$} {seeds:>11} {broke:10} {:>7}  {remarks}", self.name, self.seconds);
        say(line.trim_end())
    }
}

/// Returns the tests that are to notice, if it is tests: the arguments of cargo, and which of them.
fn suite(instrument: &Instrument) -> Option<(&'static [&'static str], &str)> {
    match instrument {
        Instrument::Simulator { .. } => None,
        Instrument::Tests(name) => Some((&CORE, name)),
        Instrument::Stories(name) => Some((&STORIES, name)),
        Instrument::Shell(name) => Some((&SHELL, name)),
    }
}

/// Runs `command` in `directory` and returns what it prints, or nothing if it takes too long.
fn within(
    most: Duration,
    command: &mut Command,
    directory: &Path,
) -> Result<Option<(String, String)>, String> {
    let about = |error: io::Error| format!("the simulator does not run: {error}");
    let mut child = command
        .current_dir(directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(about)?;
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let read = |pipe: Option<Box<dyn io::Read + Send>>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            // What was read up to an error is all that there is to judge by.
            let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let out = read(out.take().map(|pipe| Box::new(pipe) as _));
    let err = read(err.take().map(|pipe| Box::new(pipe) as _));
    let began = Instant::now();
    let mut is_late = false;
    while child.try_wait().map_err(about)?.is_none() {
        if most <= began.elapsed() {
            is_late = true;
            child.kill().map_err(about)?;
        }
        thread::sleep(Duration::from_millis(50));
    }
    let texts = (out.join().expect("reading cannot fail"), err.join().expect("nor can this"));
    Ok((!is_late).then_some(texts))
}

fn say(line: &str) -> Result<(), String> {
    writeln!(io::stdout().lock(), "{line}").map_err(|error| format!("cannot print: {error}"))
}
