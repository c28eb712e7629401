//! What the bench and its node processes say to each other: one JSON value a line.

use serde::{Deserialize, Serialize};

/// The first line that a node process reads.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// What the node is called.
    pub node: String,
    /// Where the others listen.
    pub seeds: Vec<String>,
    /// What the cluster shares.
    pub secret: Vec<u8>,
}

/// What a node process is asked, one thing at a time.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Give one process the names `{prefix}{number}`, `at_once` of them under way at once, each by
    /// its deadline.
    Register { prefix: String, count: usize, at_once: usize },
    /// Run a process for each of the names `{prefix}{number}`, and give it that.
    Hold { prefix: String, count: usize },
    /// Wait until so many processes that hold names were told to stop.
    AwaitStopped { count: usize },
    /// Wait until so many members are up.
    AwaitMembers { count: usize },
    /// Lose all frames to and from a node.
    Cut { from: String },
    /// Lose none any more.
    Heal,
    /// Wait until the registry holds so many names.
    AwaitNames { count: usize },
    /// Wait until somebody holds the name.
    AwaitName { name: String },
    /// Look the names `{prefix}{number}` up, each `rounds` times, in an order without a pattern;
    /// and give and give up ten thousand others a second meanwhile, if `writes`.
    Lookup { prefix: String, count: usize, rounds: usize, writes: bool },
    /// The same in a map that holds nothing else.
    LookupBare { prefix: String, count: usize, rounds: usize },
    /// Ask for the names with the prefix `{prefix}{number}` for each number below `count`, each
    /// `rounds` times.
    Select { prefix: String, count: usize, rounds: usize },
    /// Start children, `at_once` of them under way at once.
    Start { count: usize, at_once: usize },
    /// Wait until so many children run, none of them on the node.
    AwaitRunning { children: usize, not_on: String },
    /// Wait until the cluster is at rest.
    Settle,
    /// Say how much memory the process has in use.
    Memory,
    /// Say how much was sent to peers.
    Traffic,
}

/// What a node process answers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// From when to when it took, on the wall clock of the machine, in nanoseconds.
    Took { began: u64, ended: u64 },
    /// How long one of many took, in nanoseconds.
    Each { nanos: f64 },
    /// How many bytes.
    Bytes(u64),
}

impl Answer {
    /// Returns how long it took, in nanoseconds.
    pub(crate) fn nanos(self) -> f64 {
        match self {
            Self::Took { began, ended } => ended.saturating_sub(began) as f64,
            Self::Each { nanos } => nanos,
            Self::Bytes(bytes) => panic!("asked for a time, answered with {bytes} bytes"),
        }
    }

    /// Returns when it ended, on the wall clock of the machine, in nanoseconds.
    pub(crate) fn ended(self) -> u64 {
        match self {
            Self::Took { ended, .. } => ended,
            Self::Each { .. } | Self::Bytes(_) => panic!("asked for a point in time: {self:?}"),
        }
    }

    /// Returns how many bytes it was.
    pub(crate) fn bytes(self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Took { .. } | Self::Each { .. } => panic!("asked for bytes: {self:?}"),
        }
    }
}

/// Returns the time of the machine, which all processes on it share, in nanoseconds.
pub(crate) fn wall_nanos() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = now.expect("the clock is past 1970").as_nanos();
    u64::try_from(nanos).expect("584 years are enough")
}
