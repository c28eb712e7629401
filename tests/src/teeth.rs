//! Deliberate bugs, as files: what each one changes, and which promise it is to break.
//!
//! A bug is a small text file:
//!
//! ```text
//! BUG: What is wrong, in words;
//!      on more lines if need be.
//! PROMISE: S12 L5
//! PROFILE: three-way-conflict
//! SEEDS: 20
//! FILE: core/src/conflict.rs
//! <<<<
//! what stands there
//! ====
//! what is to stand there
//! >>>>
//! ```
//!
//! Where a test of `ordu-core` is the instrument, since what is wrong shows in one machine and
//! the cluster around it makes good for it, one line names it, or its module, `TEST: replication`,
//! in place of the promise, the profile and the seeds; where it is a story of the simulator, since
//! chance alone leads nobody there, a line `STORY: arrivals` does. What only the shell does, tests
//! of `ordu` see: `SHELL: gate`.
//!
//! There may be more blocks, and more files. What a block replaces must stand in its file exactly
//! once, so that a bug whose place has moved is noticed, not planted somewhere else. A *lie* is the
//! same about a checker, and names in `HIDES` the bug that it must hide.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A deliberate bug.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bug {
    /// What it goes by: the name of its file.
    pub name: String,
    /// What is wrong, in words.
    pub about: String,
    /// What must notice.
    pub instrument: Instrument,
    /// The bug that this one hides, if it is a lie of a checker.
    pub hides: Option<String>,
    /// What it changes.
    pub changes: Vec<Replacement>,
}

/// What must notice a bug.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Instrument {
    /// The simulator.
    Simulator {
        /// The promises that the bug should break.
        promises: Vec<String>,
        /// The profile of runs that finds it best.
        profile: String,
        /// Within how many seeds it must be found.
        seeds: u64,
    },
    /// The tests of `ordu-core` whose names contain this.
    Tests(String),
    /// The stories of `ordu-sim` whose names contain this.
    Stories(String),
    /// The tests of `ordu` itself whose names contain this.
    Shell(String),
}

/// A text of a file that another one takes the place of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Replacement {
    /// Which file, from the root of the repository.
    pub file: PathBuf,
    /// What stands there, once.
    pub before: String,
    /// What is to stand there.
    pub after: String,
}

impl Bug {
    /// Reads all bugs in `directory`, in the order of their names.
    ///
    /// # Errors
    ///
    /// Says which file is none, and why.
    pub fn read_all(directory: &Path) -> Result<Vec<Self>, String> {
        let about = |error| format!("{}: {error}", directory.display());
        let entries = fs::read_dir(directory).map_err(about)?;
        let mut bugs = Vec::new();
        for entry in entries {
            let path = entry.map_err(about)?.path();
            if path.extension().is_none_or(|extension| extension != "patch") {
                return Err(format!("{} is no patch", path.display()));
            }
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            let text = fs::read_to_string(&path).map_err(about)?;
            let bug = Self::parse(name, &text);
            bugs.push(bug.map_err(|wrong| format!("{}: {wrong}", path.display()))?);
        }
        bugs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(bugs)
    }

    /// Reads the bug `name` from `text`.
    ///
    /// # Errors
    ///
    /// Says what is missing, or which line is out of place.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let (mut promises, mut profile, mut seeds) = (Vec::new(), String::new(), 0);
        let (mut about, mut hides, mut changes) = (String::new(), None, Vec::new());
        let (mut tests, mut file, mut lines) = (None, None, (1..).zip(text.lines()));
        while let Some((number, line)) = lines.next() {
            if line == "<<<<" {
                let file = file.clone().ok_or("a block comes before its file")?;
                let before = block(&mut lines, "====")?;
                let after = block(&mut lines, ">>>>")?;
                changes.push(Replacement { file, before, after });
                continue;
            }
            match line.split_once(": ").ok_or(format!("line {number} is out of place"))? {
                ("BUG", what) => about.push_str(what),
                ("PROMISE", ids) => promises = ids.split(' ').map(str::to_owned).collect(),
                ("PROFILE", name) => profile.push_str(name),
                ("SEEDS", count) => {
                    seeds = count.parse().map_err(|_| format!("{count:?} is no number"))?;
                }
                ("TEST", name) => tests = Some(Instrument::Tests(name.to_owned())),
                ("STORY", name) => tests = Some(Instrument::Stories(name.to_owned())),
                ("SHELL", name) => tests = Some(Instrument::Shell(name.to_owned())),
                ("HIDES", hidden) => hides = Some(hidden.to_owned()),
                ("FILE", path) => file = Some(PathBuf::from(path)),
                (word, _) => return Err(format!("line {number} begins with {word:?}")),
            }
            if line.starts_with("BUG: ") {
                while let Some(more) = lines.clone().next().and_then(|(_, l)| l.strip_prefix("  "))
                {
                    about.push(' ');
                    about.push_str(more.trim_start());
                    lines.next();
                }
            }
        }
        let is_aimed = hides.is_some() || !promises.is_empty() && !profile.is_empty();
        let is_seen = tests.is_some() != (is_aimed && seeds > 0);
        if about.is_empty() || changes.is_empty() || !is_seen {
            return Err("it does not say all, or two things at once".to_owned());
        }
        let simulator = Instrument::Simulator { promises, profile, seeds };
        let instrument = tests.unwrap_or(simulator);
        Ok(Self { name: name.to_owned(), about, instrument, hides, changes })
    }

    /// Plants the bug in the tree at `root`.
    ///
    /// # Errors
    ///
    /// Says which text is not there, or there more than once; then nothing is changed.
    pub fn plant(&self, root: &Path) -> Result<(), String> {
        let mut files = BTreeMap::new();
        for change in &self.changes {
            let path = root.join(&change.file);
            let about = |error| format!("{}: {error}", path.display());
            let text = match files.remove(&path) {
                Some(text) => text,
                None => fs::read_to_string(&path).map_err(about)?,
            };
            files.insert(path, change.apply(&text)?);
        }
        for (path, text) in files {
            fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }
}

impl Replacement {
    /// Returns `text` with what is to stand there in the place of what stands there.
    ///
    /// # Errors
    ///
    /// Says how often it stands there, if that is not once.
    pub fn apply(&self, text: &str) -> Result<String, String> {
        let count = text.matches(&self.before).count();
        if count != 1 {
            let (file, before) = (self.file.display(), &self.before);
            return Err(format!("{file} has this {count} times, not once:\n{before}"));
        }
        Ok(text.replacen(&self.before, &self.after, 1))
    }
}

/// Takes the lines up to `end`.
fn block<'a>(
    lines: &mut impl Iterator<Item = (usize, &'a str)>,
    end: &str,
) -> Result<String, String> {
    let mut block = Vec::new();
    for (_, line) in lines {
        if line == end {
            return Ok(block.join("\n"));
        }
        block.push(line);
    }
    Err(format!("a block has no {end}"))
}
