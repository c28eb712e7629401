//! What is printed, and what may go wrong about it.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use ordu_sim::{FailureError, Verdict};
use serde_json::Value;

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error(transparent)]
    Failure(#[from] FailureError),
    #[error("cannot print: {0}")]
    Output(#[from] io::Error),
    #[error("cannot use {path}: {source}", path = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{path} is no summary: {source}", path = path.display())]
    Summary { path: PathBuf, source: serde_json::Error },
    #[error("{0}")]
    Usage(&'static str),
    #[error("cannot replay {path}: {reason}", path = path.display())]
    Dump { path: PathBuf, reason: String },
}

impl Trouble {
    /// Returns what turns an error about the file at `path` into a trouble.
    pub(crate) fn about(path: &std::path::Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path: path.clone(), source }
    }
}

/// How a command ends.
pub(crate) type Outcome = Result<ExitCode, Trouble>;

/// Prints `text`, and ends well.
pub(crate) fn print(text: &str) -> Outcome {
    writeln!(io::stdout().lock(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}

/// Prints `value` on one line.
pub(crate) fn print_json(value: &Value) -> Result<(), Trouble> {
    writeln!(io::stdout().lock(), "{value}")?;
    Ok(())
}

/// Returns the status that a verdict ends the command with.
pub(crate) fn status(verdict: &Verdict) -> ExitCode {
    verdict.violation().map_or(ExitCode::SUCCESS, |violation| violation.class.into())
}

/// Returns a verdict in one word: `passed`, or the class of what was broken.
pub(crate) fn word(verdict: &Verdict) -> String {
    verdict.violation().map_or("passed".to_owned(), |violation| violation.class.to_string())
}
