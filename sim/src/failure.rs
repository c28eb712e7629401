//! What is kept of a run that failed: enough to run it again, and to read what happened.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::run::{Report, run};
use crate::verdict::{Class, Verdict, Violation};

/// The format of the files that are written.
const FORMAT: u32 = 1;

/// A run that failed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The format of the file.
    pub format: u32,
    /// The commit of the code that ran it, as far as that was known.
    pub commit: String,
    /// Which promise was broken.
    pub violation: Violation,
    /// The hash of everything that happened, in hexadecimal.
    pub trace_hash: String,
    /// The seed that drew the plan, before it was made smaller.
    pub seed: u64,
    /// How many steps the plan had before it was made smaller.
    pub steps_before: usize,
    /// The plan.
    pub plan: Plan,
    /// The last happenings.
    pub tail: Vec<String>,
}

impl Failure {
    /// Returns what to keep of a run of `plan`, if it failed.
    pub fn of(plan: &Plan, report: &Report, commit: &str) -> Option<Self> {
        let violation = report.verdict.violation()?.clone();
        Some(Self {
            format: FORMAT,
            commit: commit.to_owned(),
            violation,
            trace_hash: hex(report.trace_hash),
            seed: plan.seed,
            steps_before: plan.steps.len(),
            plan: plan.clone(),
            tail: report.tail.lines().map(str::to_owned).collect(),
        })
    }

    /// Reads a failure from the file at `path`.
    ///
    /// # Errors
    ///
    /// Says why the file cannot be read, or is none of this format.
    pub fn read(path: &Path) -> Result<Self, FailureError> {
        let wrong = |source| FailureError::Read { path: path.to_owned(), source };
        let text = fs::read_to_string(path).map_err(wrong)?;
        let malformed = |reason: String| FailureError::Malformed { path: path.to_owned(), reason };
        let failure: Self =
            serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        if failure.format != FORMAT {
            let theirs = failure.format;
            return Err(malformed(format!("it is of format {theirs}, not {FORMAT}")));
        }
        failure.plan.check().map_err(|wrong| malformed(wrong.to_string()))?;
        Ok(failure)
    }

    /// Writes it into `directory`, which is made if there is none, and returns where it is.
    ///
    /// # Errors
    ///
    /// Says which file could not be written.
    pub fn write(&self, directory: &Path) -> Result<PathBuf, FailureError> {
        let promise = self.violation.promise.to_lowercase();
        let path = directory.join(format!("{}-{promise}.json", self.seed));
        let wrong = |source| FailureError::Write { path: path.clone(), source };
        fs::create_dir_all(directory).map_err(wrong)?;
        let text = serde_json::to_string_pretty(self).expect("a failure is plain data");
        fs::write(&path, text + "\n").map_err(wrong)?;
        Ok(path)
    }

    /// Runs the plan again, twice, and returns what became of it.
    ///
    /// Two runs that differ are themselves a failure, of the class
    /// [`NonDeterminism`](Class::NonDeterminism).
    pub fn replay(&self) -> Report {
        let (first, second) = (run(&self.plan), run(&self.plan));
        if first.trace_hash == second.trace_hash {
            return first;
        }
        let (a, b) = (hex(first.trace_hash), hex(second.trace_hash));
        let verdict = Verdict::Failed(Violation {
            class: Class::NonDeterminism,
            promise: "S31".to_owned(),
            reason: format!("one plan gave the hashes {a} and {b}"),
            at_us: 0,
        });
        Report { verdict, ..first }
    }
}

/// Returns `hash` as it is shown.
pub fn hex(hash: u64) -> String {
    format!("{hash:016x}")
}

/// Why a failure could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FailureError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file can be read, and holds no failure.
    #[error("{path} is no failure file: {reason}", path = path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file cannot be written.
    #[error("cannot write {path}: {source}", path = path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}
