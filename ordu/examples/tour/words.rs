//! What the tour and its node processes say to each other: one JSON value a line.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The first line that a node process reads.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// What the node is called.
    pub node: String,
    /// Where it listens on loopback; 0 is any free port.
    pub port: u16,
    /// Where the others listen.
    pub seeds: Vec<String>,
    /// What the cluster shares; not on the command line, which everybody can read.
    pub secret: Vec<u8>,
    /// The names of all children.
    pub names: Vec<String>,
}

/// What a node process is asked to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Start the children in a range of the names.
    Start { from: usize, to: usize },
    /// Call children by name, again and again, until each has answered or time is up.
    Call { names: Vec<usize>, within_ms: u64 },
    /// Say which children run in this very process, without asking the cluster.
    Running,
    /// Wait until the whole cluster is at rest.
    Settle { within_ms: u64 },
    /// Drop every frame to and from these nodes.
    Cut { peers: Vec<String> },
    /// Let all frames through again.
    Heal,
    /// Leave the cluster for good.
    Leave { within_ms: u64 },
}

/// A request with its number.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// What the answer carries.
    pub number: u64,
    /// What is asked.
    pub request: Request,
}

/// What a node process says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Line {
    /// It has joined and listens here.
    Ready { address: String },
    /// Its view of the members changed.
    Members(Members),
    /// It has done what it was asked, or says why not.
    Answer { number: u64, result: Result<Answer, String> },
}

/// The members as one node sees them, by name.
pub(crate) type Members = BTreeMap<String, Member>;

/// A member as another sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Member {
    /// Whether it is alive, suspected or not.
    pub up: bool,
    /// Which of its lives it is in.
    pub life: u64,
}

/// What comes of a request.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// There is nothing more to say.
    Done,
    /// Who answered each name that was called: the id of its process, or `None` if nobody did.
    Called(Vec<Option<String>>),
    /// The children that run here, by their place among the names, each as often as it runs.
    Running(Vec<usize>),
}
