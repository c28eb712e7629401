//! How a run ended: well, or with which promise broken.

use std::fmt;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

/// How a run ended.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Verdict {
    /// Every promise held.
    Passed,
    /// One did not.
    Failed(Violation),
}

impl Verdict {
    /// Returns what was broken, if anything was.
    pub fn violation(&self) -> Option<&Violation> {
        match self {
            Self::Passed => None,
            Self::Failed(violation) => Some(violation),
        }
    }
}

/// A promise that did not hold.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// What kind of promise it was.
    pub class: Class,
    /// Which one it was: `S8`, `L3`; see [`invariants`](crate::invariants).
    pub promise: String,
    /// What was seen.
    pub reason: String,
    /// When, in microseconds of true time.
    pub at_us: u64,
}

impl Violation {
    /// Returns whether `other` breaks the same promise, perhaps at another time and place.
    pub fn is_like(&self, other: &Self) -> bool {
        self.class == other.class && self.promise == other.promise
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.at_us as f64 / 1e6;
        write!(f, "{} {} at {seconds:.3} s: {}", self.class, self.promise, self.reason)
    }
}

/// What kind of promise a run can break; each ends the command line with a code of its own.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum Class {
    /// A node panicked.
    Panic,
    /// What must come to pass did not, in its time.
    Liveness,
    /// What must never be, was.
    Safety,
    /// The same run gave something else.
    NonDeterminism,
    /// More of something than there may be.
    Bounds,
}

impl Class {
    /// Returns the status that the command line ends with: 127 to 131, in the order of the
    /// variants.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Panic => 127,
            Self::Liveness => 128,
            Self::Safety => 129,
            Self::NonDeterminism => 130,
            Self::Bounds => 131,
        }
    }
}

impl From<Class> for ExitCode {
    fn from(class: Class) -> Self {
        class.exit_code().into()
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Panic => "panic",
            Self::Liveness => "liveness",
            Self::Safety => "safety",
            Self::NonDeterminism => "non-determinism",
            Self::Bounds => "bounds",
        })
    }
}
