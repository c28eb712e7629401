//! Children: started somewhere, kept running, ended for good.

use std::fmt;
use std::time::Duration;

use ordu_core::{
    Blob, CausalToken, ChildId, Command, Name, NameError, ProcessId, Reply, Scope, StartChildError,
    StartedChild, TerminateError,
};

use crate::call::{Call, Cast};
use crate::care::{AskQuarantined, Explain, PauseMoves, PlanMoves, Release, RestartChild};
use crate::node::{Node, Over};
use crate::operation::operation;
use crate::process::Process;
use crate::spec::ChildSpec;

/// How long starts and ends of children wait unless told otherwise.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// A supervisor of children, as one node sees it; a clone is of the same.
///
/// Every node can start and end children; where they run the cluster decides. Reads are of the
/// node's own view and never wait for anything.
#[derive(Clone, Debug)]
pub struct Supervisor {
    node: Node,
    scope: Scope,
}

impl Supervisor {
    pub(crate) fn new(node: Node, name: &str) -> Self {
        Self { node, scope: Scope::named(name) }
    }

    pub(crate) fn into_parts(self) -> (Node, Scope) {
        (self.node, self.scope)
    }

    /// Starts a child and keeps it running somewhere in the cluster; 10 s unless told otherwise.
    ///
    /// Two starts make two children, however equal; only a name makes a child the only one.
    pub fn start_child(&self, spec: ChildSpec) -> StartChild {
        StartChild { supervisor: self.clone(), spec, how: How::Anew, timeout: TIMEOUT }
    }

    /// Starts many children at once, and answers for each of them, in the order of `specs`; 10 s
    /// for all of them together unless told otherwise.
    pub fn start_children(&self, specs: impl IntoIterator<Item = ChildSpec>) -> StartChildren {
        let specs = specs.into_iter().collect();
        StartChildren { supervisor: self.clone(), specs, timeout: TIMEOUT }
    }

    /// Starts the child called `name`, or finds it, and waits until it runs; 10 s unless told
    /// otherwise. However many nodes ask for one name, and however often, there is one child.
    ///
    /// Of a child that is there nothing changes, whatever `spec` says. One that ends meanwhile is
    /// started anew. Nodes that are asked before they hear of each other, in one moment or on two
    /// sides of a split, may start one each: these become one when they meet, and whoever was given
    /// the other one asks again.
    ///
    /// # Example
    ///
    /// ```
    /// # use ordu::{ChildSpec, Context, Node};
    /// # async fn example(node: &Node) -> Result<(), Box<dyn std::error::Error>> {
    /// let spec = ChildSpec::of_kind("clock", &());
    /// let clock = node.supervisor("default").ensure("clock/main", spec).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn ensure(
        &self,
        name: impl TryInto<Name, Error: Into<NameError>>,
        spec: ChildSpec,
    ) -> StartChild {
        let registry = spec.name.as_ref().map_or("default", |(registry, _)| registry).to_owned();
        let spec = spec.named_in(&registry, name);
        StartChild { supervisor: self.clone(), spec, how: How::Found, timeout: TIMEOUT }
    }

    /// Ends a child for good, wherever it runs; 10 s unless told otherwise.
    pub fn terminate_child(&self, child: ChildId) -> Terminate {
        Terminate { supervisor: self.clone(), child, timeout: TIMEOUT }
    }

    /// Stops the process of a child, wherever it runs, and starts another in its place, with a
    /// budget that is whole again; 10 s unless told otherwise.
    pub fn restart_child(&self, child: ChildId) -> RestartChild {
        RestartChild::new(self.clone(), child)
    }

    /// Lets the nodes that have given `child` up try it again; 10 s unless told otherwise. Where
    /// none has, nothing changes.
    pub fn release(&self, child: ChildId) -> Release {
        Release::new(self.clone(), child)
    }

    /// Tells which children are in quarantine: they failed on so many nodes that none tries them
    /// any more ([`ChildSpec::budget`]). They are still [listed](Self::children), and keep their
    /// names.
    pub fn quarantined(&self) -> AskQuarantined {
        AskQuarantined::new(self.clone())
    }

    /// Tells which children run elsewhere than they belong, and where each would go; of those that
    /// are placed at random that is a guess, and of those by a strategy that this node has no code
    /// for it tells nothing. Nothing moves by that; see
    /// [`NodeBuilder::redistribution`](crate::NodeBuilder::redistribution).
    pub fn plan_moves(&self) -> PlanMoves {
        PlanMoves::new(self.clone())
    }

    /// Leaves all children where they run, on every node as soon as it hears of it, until
    /// [`Supervisor::resume_moves`]: for an upgrade that has every node come and go. What has no
    /// node starts elsewhere all the same, and what stops already starts where it belongs.
    pub fn pause_moves(&self) -> PauseMoves {
        PauseMoves::new(self.clone(), true)
    }

    /// Lets children move again that belong elsewhere; a pause that this node has not heard of yet
    /// stands. They move once nodes have been quiet as long as
    /// [`NodeBuilder::redistribution`](crate::NodeBuilder::redistribution) says. Nodes that do not
    /// redistribute move none.
    pub fn resume_moves(&self) -> PauseMoves {
        PauseMoves::new(self.clone(), false)
    }

    /// Tells why `child` runs where it runs, or nowhere, as this node sees it.
    pub fn explain(&self, child: ChildId) -> Explain {
        Explain::new(self.clone(), child)
    }

    /// Returns a handle of `child`, if this node knows it and has seen it run.
    pub fn child(&self, child: ChildId) -> Option<Child> {
        let process = self.node.view().child(self.scope, child)?.last?;
        Some(Child {
            supervisor: self.clone(),
            id: child,
            process,
            replicated: None,
            token: CausalToken::default(),
        })
    }

    /// Returns all children, in the order of their ids. Takes time for the children of all
    /// supervisors.
    pub fn children(&self) -> Vec<ChildInfo> {
        let children = self.node.view().children(self.scope).into_iter();
        let info = |(id, seen): (ChildId, crate::view::SeenChild)| ChildInfo {
            id,
            kind: seen.view.kind,
            name: seen.view.name,
            process: seen.view.process,
            parent: seen.view.parent,
        };
        children.map(info).collect()
    }

    /// Returns the children that belong to `parent`, in the order of their ids. Takes as long as
    /// [`Supervisor::children`].
    pub fn children_of(&self, parent: ChildId) -> Vec<ChildInfo> {
        let children = self.children().into_iter();
        children.filter(|child| child.parent == Some(parent)).collect()
    }

    /// Returns how many children there are, those between two runs included. Takes O(1) time.
    pub fn count(&self) -> usize {
        self.node.view().child_count(self.scope)
    }
}

/// A child, as [`Supervisor::children`] lists it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChildInfo {
    /// The child, for life.
    pub id: ChildId,
    /// What it runs.
    pub kind: String,
    /// The name it was started with.
    pub name: Option<Name>,
    /// The process that runs it; `None` between two runs.
    pub process: Option<ProcessId>,
    /// The child that it belongs to.
    pub parent: Option<ChildId>,
}

/// The start of a child; await it.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct StartChild {
    supervisor: Supervisor,
    spec: ChildSpec,
    how: How,
    timeout: Duration,
}

/// Which child will do.
#[derive(Debug)]
enum How {
    /// A new one.
    Anew,
    /// The one of a key, if there is one.
    Once(Blob),
    /// The one of its name, if there is one.
    Found,
}

operation!(StartChild => Result<Child, StartChildError>);

impl StartChild {
    /// Makes the start one that can be repeated, on any node: whoever starts the same child with
    /// the same `key`, of 1 to 256 bytes, gets the same child, also after an answer that was lost.
    ///
    /// The key belongs to the supervisor. It is forgotten ten minutes after the child has ended, at
    /// the earliest; until then a repeated start is told how it ended. A node that has not heard of
    /// the end, cut off from who has, starts the child, which ends again once it hears. And of two
    /// different children that two nodes start with one key before they hear of each other, the
    /// first goes on alone.
    /// [`Supervisor::ensure`] goes by names instead, and takes no key.
    pub fn once(mut self, key: impl Into<Blob>) -> Self {
        self.how = match self.how {
            How::Anew | How::Once(_) => How::Once(key.into()),
            How::Found => How::Found,
        };
        self
    }

    async fn run(self) -> Result<Child, StartChildError> {
        let Self { supervisor, spec, how, timeout } = self;
        let (scope, spec) = (supervisor.scope, spec.resolved(&supervisor.node)?);
        let command = match how {
            How::Anew => Command::Start { scope, spec },
            How::Once(key) => Command::StartOnce { scope, key, spec },
            How::Found => Command::Ensure { scope, spec },
        };
        let started = match supervisor.node.ask(command, timeout).await {
            Ok(Reply::Start(started)) => started?,
            Ok(other) => unreachable!("a start is answered as such, not with {other:?}"),
            Err(Over) => return Err(StartChildError::NotReady),
        };
        let StartedChild { child: id, process, replicated, found, token } = started;
        let replicated = (!found).then_some(replicated);
        Ok(Child { supervisor, id, process, replicated, token })
    }
}

/// The start of many children; await it.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct StartChildren {
    supervisor: Supervisor,
    specs: Vec<ChildSpec>,
    timeout: Duration,
}

operation!(StartChildren => Vec<Result<Child, StartChildError>>);

impl StartChildren {
    async fn run(self) -> Vec<Result<Child, StartChildError>> {
        let Self { supervisor, specs, timeout } = self;
        let starts = specs.into_iter().map(|spec| {
            let supervisor = supervisor.clone();
            StartChild { supervisor, spec, how: How::Anew, timeout }.run()
        });
        futures_util::future::join_all(starts).await
    }
}

/// The end of a child; await it.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct Terminate {
    supervisor: Supervisor,
    child: ChildId,
    timeout: Duration,
}

operation!(Terminate => Result<(), TerminateError>);

impl Terminate {
    async fn run(self) -> Result<(), TerminateError> {
        let Self { supervisor: Supervisor { node, scope }, child, timeout } = self;
        match node.ask(Command::Terminate { scope, child }, timeout).await {
            Ok(Reply::Terminate(terminated)) => terminated,
            Ok(other) => unreachable!("a termination is answered as such, not with {other:?}"),
            Err(Over) => Err(TerminateError::NotReady),
        }
    }
}

/// A child, for its whole life: through restarts, moves and failovers.
///
/// To drop the handle changes nothing for the child.
#[derive(Clone)]
pub struct Child {
    supervisor: Supervisor,
    id: ChildId,
    process: ProcessId,
    replicated: Option<bool>,
    token: CausalToken,
}

impl Child {
    /// Returns the id of the child.
    pub fn id(&self) -> ChildId {
        self.id
    }

    /// Returns the process that runs the child, or the last one that this node saw.
    pub fn process(&self) -> ProcessId {
        let seen = self.supervisor.node.view().child(self.supervisor.scope, self.id);
        seen.and_then(|seen| seen.last).unwrap_or_else(|| self.process.clone())
    }

    /// Returns whether a second member held the child's specification when its start was answered;
    /// if not, the death of one node right then could have lost it. `None` if this handle did not
    /// start the child.
    pub fn was_replicated(&self) -> Option<bool> {
        self.replicated
    }

    /// Returns what to demand of another node ([`Node::caught_up`](crate::Node::caught_up)) that is
    /// to see the child, and that it runs. Demands nothing if this handle did not start the child.
    pub fn token(&self) -> &CausalToken {
        &self.token
    }

    /// Calls whichever process runs the child; 5 s unless told otherwise.
    ///
    /// # Panics
    ///
    /// Panics if `message` cannot be encoded.
    pub fn call<P: Process>(&self, message: &P::Message) -> Call<P> {
        self.supervisor.node.call(self, message)
    }

    /// Sends `message` to whichever process runs the child, and waits for no reply.
    ///
    /// # Panics
    ///
    /// Panics if `message` cannot be encoded.
    pub fn send<P: Process>(&self, message: &P::Message) -> Cast {
        self.supervisor.node.send::<P>(self, message)
    }

    /// Stops its process and starts another in its place; 10 s unless told otherwise.
    pub fn restart(&self) -> RestartChild {
        self.supervisor.restart_child(self.id)
    }

    /// Ends the child for good; 10 s unless told otherwise.
    pub fn terminate(&self) -> Terminate {
        self.supervisor.terminate_child(self.id)
    }

    pub(crate) fn scope(&self) -> Scope {
        self.supervisor.scope
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("id", &self.id)
            .field("process", &self.process())
            .finish_non_exhaustive()
    }
}
