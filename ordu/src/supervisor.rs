//! Children: started somewhere, kept running, ended for good.

use std::fmt;
use std::time::Duration;

use ordu_core::limits::PRECEDENCE_BYTES_MAX;
use ordu_core::wire::encode;
use ordu_core::{
    Blob, CausalToken, ChildId, Command, Name, NameError, Precedence, ProcessId, Reply, Restart,
    Scope, StartChildError, StartedChild, TerminateError,
};
use serde::Serialize;

use crate::call::{Call, Cast};
use crate::node::{Node, Over};
use crate::operation::operation;
use crate::process::Process;

/// How long starts and ends of children wait unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

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

    /// Starts a child and keeps it running somewhere in the cluster; 10 s unless told otherwise.
    ///
    /// Two starts make two children, however equal; only a name makes a child the only one.
    pub fn start_child(&self, spec: ChildSpec) -> StartChild {
        StartChild { supervisor: self.clone(), spec, finds: false, timeout: TIMEOUT }
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
        StartChild { supervisor: self.clone(), spec, finds: true, timeout: TIMEOUT }
    }

    /// Ends a child for good, wherever it runs; 10 s unless told otherwise.
    pub fn terminate_child(&self, child: ChildId) -> Terminate {
        Terminate { supervisor: self.clone(), child, timeout: TIMEOUT }
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
        };
        children.map(info).collect()
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
}

/// What to start: a kind of process, its arguments, and how it is looked after.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChildSpec {
    spec: ordu_core::ChildSpec,
    /// The registry and the name as they were given; looked at when the child is started.
    name: Option<(String, Result<Name, NameError>)>,
    /// As it was given, as well.
    precedence: Blob,
}

impl ChildSpec {
    /// Returns a process of type `P` that is started with `args`: without a name, restarted
    /// whenever it ends, with 5 s to stop.
    ///
    /// # Panics
    ///
    /// Panics if `args` cannot be encoded.
    pub fn new<P: Process>(args: &P::Args) -> Self {
        Self::of_kind(P::KIND, args)
    }

    /// As [`ChildSpec::new`], for a plain process that nodes know as `kind`.
    ///
    /// # Panics
    ///
    /// Panics if `args` cannot be encoded.
    pub fn of_kind<A: Serialize>(kind: impl Into<String>, args: &A) -> Self {
        let spec = ordu_core::ChildSpec {
            kind: kind.into(),
            args: Blob::from(encode(args)),
            restart: Restart::default(),
            grace: Duration::from_secs(5),
            name: None,
            value: Blob::default(),
            placement_key: None,
            precedence: Precedence::default(),
        };
        Self { spec, name: None, precedence: Blob::default() }
    }

    /// Names the child in the registry `default`, for its whole life.
    pub fn named(self, name: impl TryInto<Name, Error: Into<NameError>>) -> Self {
        self.named_in("default", name)
    }

    /// Names the child in the registry called `registry`, for its whole life.
    pub fn named_in(
        mut self,
        registry: &str,
        name: impl TryInto<Name, Error: Into<NameError>>,
    ) -> Self {
        self.name = Some((registry.to_owned(), Name::new(name)));
        self
    }

    /// Stores `value` beside the name: each process of the child begins with it, and may change it
    /// ([`Registry::update`](crate::Registry::update)).
    pub fn value(mut self, value: impl Into<Blob>) -> Self {
        self.spec.value = value.into();
        self
    }

    /// Sets when the child is started again.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.spec.restart = restart;
        self
    }

    /// Sets how long the child may take to stop before it is stopped by force.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.spec.grace = grace;
        self
    }

    /// Sets the bytes that the cluster's conflict rule goes by, at most 64; they are fixed for the
    /// child's life. The rules of Ordu's own do not look at them, see
    /// [`NodeBuilder::conflict_rule`](crate::NodeBuilder::conflict_rule).
    pub fn precedence(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.precedence = Blob::from(bytes.as_ref());
        self
    }

    /// Sets what the child is placed by: children with one key run on one node.
    pub fn placement_key(mut self, key: impl Into<Blob>) -> Self {
        self.spec.placement_key = Some(key.into());
        self
    }
}

/// The start of a child; await it.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct StartChild {
    supervisor: Supervisor,
    spec: ChildSpec,
    /// Whether a child of its name will do.
    finds: bool,
    timeout: Duration,
}

operation!(StartChild => Result<Child, StartChildError>);

impl StartChild {
    async fn run(self) -> Result<Child, StartChildError> {
        let Self { supervisor, spec: ChildSpec { mut spec, name, precedence }, finds, timeout } =
            self;
        if let Some((registry, name)) = name {
            spec.name = Some((supervisor.node.registries().scope(&registry)?, name?));
        }
        let (bytes, max) = (precedence.len(), PRECEDENCE_BYTES_MAX);
        spec.precedence = Precedence::new(precedence)
            .map_err(|_| StartChildError::BadPrecedence { bytes, max })?;
        let scope = supervisor.scope;
        let command =
            if finds { Command::Ensure { scope, spec } } else { Command::Start { scope, spec } };
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
