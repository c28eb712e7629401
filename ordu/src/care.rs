//! What operators ask of children: start again, let out of quarantine, explain.

use std::time::Duration;

use ordu_core::placement::MovePlan;
use ordu_core::{
    ChildId, Command, ExplainError, Explanation, NodeId, PauseMovesError, ProcessId, Quarantined,
    ReleaseError, Reply, RestartChildError,
};

use crate::node::Over;
use crate::operation::operation;
use crate::supervisor::{Supervisor, TIMEOUT};

/// The start of another process of a child; await it. Returns that process.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct RestartChild {
    supervisor: Supervisor,
    child: ChildId,
    timeout: Duration,
}

operation!(RestartChild => Result<ProcessId, RestartChildError>);

impl RestartChild {
    pub(crate) fn new(supervisor: Supervisor, child: ChildId) -> Self {
        Self { supervisor, child, timeout: TIMEOUT }
    }

    async fn run(self) -> Result<ProcessId, RestartChildError> {
        let Self { supervisor, child, timeout } = self;
        let (node, scope) = supervisor.into_parts();
        match node.ask(Command::Restart { scope, child }, timeout).await {
            Ok(Reply::Restart(restarted)) => restarted,
            Ok(other) => unreachable!("a restart is answered as such, not with {other:?}"),
            Err(Over) => Err(RestartChildError::NotReady),
        }
    }
}

/// The release of a child from quarantine; await it.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct Release {
    supervisor: Supervisor,
    child: ChildId,
    timeout: Duration,
}

operation!(Release => Result<(), ReleaseError>);

impl Release {
    pub(crate) fn new(supervisor: Supervisor, child: ChildId) -> Self {
        Self { supervisor, child, timeout: TIMEOUT }
    }

    async fn run(self) -> Result<(), ReleaseError> {
        let Self { supervisor, child, timeout } = self;
        let (node, scope) = supervisor.into_parts();
        match node.ask(Command::Release { scope, child }, timeout).await {
            Ok(Reply::Release(released)) => released,
            Ok(other) => unreachable!("a release is answered as such, not with {other:?}"),
            Err(Over) => Err(ReleaseError::NotReady),
        }
    }
}

/// The question which children are in quarantine; await it. A node that is over knows of none.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct AskQuarantined {
    supervisor: Supervisor,
    timeout: Duration,
}

operation!(AskQuarantined => Vec<Quarantined>);

impl AskQuarantined {
    pub(crate) fn new(supervisor: Supervisor) -> Self {
        Self { supervisor, timeout: TIMEOUT }
    }

    async fn run(self) -> Vec<Quarantined> {
        let Self { supervisor, timeout } = self;
        let (node, scope) = supervisor.into_parts();
        match node.ask(Command::Quarantined { scope }, timeout).await {
            Ok(Reply::Quarantined(children)) => children,
            Ok(other) => unreachable!("the question is answered as such, not with {other:?}"),
            Err(Over) => Vec::new(),
        }
    }
}

/// The question why a child runs where it runs; await it.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct Explain {
    supervisor: Supervisor,
    child: ChildId,
    timeout: Duration,
}

operation!(Explain => Result<Explanation, ExplainError>);

impl Explain {
    pub(crate) fn new(supervisor: Supervisor, child: ChildId) -> Self {
        Self { supervisor, child, timeout: TIMEOUT }
    }

    async fn run(self) -> Result<Explanation, ExplainError> {
        let Self { supervisor, child, timeout } = self;
        let (node, scope) = supervisor.into_parts();
        match node.ask(Command::Explain { scope, child }, timeout).await {
            Ok(Reply::Explain(explanation)) => explanation,
            Ok(other) => unreachable!("the question is answered as such, not with {other:?}"),
            Err(Over) => Err(ExplainError::NotReady),
        }
    }
}

/// The question which children would move, and whether anything moves for now; await it. A node
/// that is over knows of none.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct PlanMoves {
    supervisor: Supervisor,
    without: Option<NodeId>,
    timeout: Duration,
}

operation!(PlanMoves => MovePlan);

impl PlanMoves {
    pub(crate) fn new(supervisor: Supervisor) -> Self {
        Self { supervisor, without: None, timeout: TIMEOUT }
    }

    /// Thinks of `node` as having left: tells what its leave would move, and where.
    pub fn without(mut self, node: NodeId) -> Self {
        self.without = Some(node);
        self
    }

    async fn run(self) -> MovePlan {
        let Self { supervisor, without, timeout } = self;
        let (node, scope) = supervisor.into_parts();
        match node.ask(Command::PlanMoves { scope, without }, timeout).await {
            Ok(Reply::PlanMoves(plan)) => plan,
            Ok(other) => unreachable!("the question is answered as such, not with {other:?}"),
            Err(Over) => MovePlan::default(),
        }
    }
}

/// The wish that children stay where they run, or that they move again; await it.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct PauseMoves {
    supervisor: Supervisor,
    is_paused: bool,
    timeout: Duration,
}

operation!(PauseMoves => Result<(), PauseMovesError>);

impl PauseMoves {
    pub(crate) fn new(supervisor: Supervisor, is_paused: bool) -> Self {
        Self { supervisor, is_paused, timeout: TIMEOUT }
    }

    async fn run(self) -> Result<(), PauseMovesError> {
        let Self { supervisor, is_paused, timeout } = self;
        let (node, scope) = supervisor.into_parts();
        match node.ask(Command::PauseMoves { scope, is_paused }, timeout).await {
            Ok(Reply::PauseMoves(result)) => result,
            Ok(other) => unreachable!("a pause is answered as such, not with {other:?}"),
            Err(Over) => Err(PauseMovesError::NotReady),
        }
    }
}
