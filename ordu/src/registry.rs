//! Names: who holds which, on whatever node.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ordu_core::{
    Blob, CausalToken, Command, Name, NameError, ProcessId, RegisterError, Replicas, Reply, Scope,
    UnknownRegistry, UnregisterError,
};

use crate::call::{Call, Cast, TIMEOUT};
use crate::node::{Node, Over};
use crate::operation::operation;
use crate::process::Process;
use crate::recipient::Recipient;
use crate::select::Select;
use crate::subscription::Subscription;
use crate::update::Update;
use crate::view::Found;

/// A registry of names, as one node sees it; a clone is of the same.
///
/// Whatever is a [`Name`] or can become one is taken for a name: text without control characters
/// (`&str`, `String`), or any bytes, 1 to 512 of them. What cannot is told by the operation's
/// error, once it is awaited.
///
/// Reads are of the node's own view and wait for no other node; a node reads what it wrote itself.
/// A registry must have been declared ([`NodeBuilder::registry`](crate::NodeBuilder::registry)): in
/// one that was not nobody is found, and whatever can fail says why.
#[derive(Clone, Debug)]
pub struct Registry {
    node: Node,
    name: Arc<str>,
    /// `None` if the node was not told of it.
    scope: Option<Scope>,
}

impl Registry {
    pub(crate) fn new(node: Node, name: &str) -> Self {
        let scope = node.registries().scope(name).ok();
        Self { node, name: Arc::from(name), scope }
    }

    /// Returns who holds `name`, on whichever node. Waits for nothing and takes no lock.
    pub fn lookup(&self, name: impl AsRef<[u8]>) -> Option<Found> {
        self.node.view().holder(self.scope?, name.as_ref()).map(Found::from)
    }

    /// Returns the names that `process` holds, in order.
    pub fn names_of(&self, process: &ProcessId) -> Vec<Name> {
        self.scope.map_or_else(Vec::new, |scope| self.node.view().names_of(scope, process))
    }

    /// Returns how many names are held. Takes O(1) time.
    pub fn count(&self) -> usize {
        self.scope.map_or(0, |scope| self.node.view().name_count(scope))
    }

    /// Begins a question about many names at once.
    pub fn select<'a>(&self) -> Select<'a> {
        Select::new(self.clone())
    }

    /// Returns all names and who holds them, as they are at one moment; costs what
    /// [`Registry::select`] says.
    ///
    /// # Errors
    ///
    /// When this node was not told of the registry.
    pub fn snapshot(&self) -> Result<BTreeMap<Name, Found>, UnknownRegistry> {
        Ok(self.select().entries()?.into_iter().collect())
    }

    /// Returns all names that are held now, and then every change, without a gap.
    ///
    /// # Errors
    ///
    /// When this node was not told of the registry.
    pub fn subscribe(&self) -> Result<Subscription, UnknownRegistry> {
        Ok(Subscription::new(self.node.clone(), self.scope()?))
    }

    /// Returns whoever holds `name` as a value to address messages to, from any node. Nobody needs
    /// to hold it yet.
    ///
    /// # Errors
    ///
    /// When `name` cannot be a name. That the node was not told of the registry shows at the use.
    pub fn via(
        &self,
        name: impl TryInto<Name, Error: Into<NameError>>,
    ) -> Result<Recipient, NameError> {
        Ok(Recipient::Name { registry: self.name.to_string(), name: Name::new(name)? })
    }

    /// Gives `process`, which may run on any node, the name `name`; 5 s unless told otherwise.
    ///
    /// In an [exclusive registry](crate::NodeBuilder::exclusive_registry) it is answered once the
    /// lease on the name is granted, within the deadline; what is not granted by then is withdrawn.
    ///
    /// For an address in the place of a process, the name is an alias of who is behind it now, and
    /// does not follow it to another process.
    pub fn register(
        &self,
        name: impl TryInto<Name, Error: Into<NameError>>,
        process: impl Into<Recipient>,
    ) -> Register {
        Register {
            registry: self.clone(),
            name: Name::new(name),
            process: process.into(),
            value: Blob::default(),
            replicas: Replicas::default(),
            timeout: TIMEOUT,
        }
    }

    /// Takes the name `name` from `process`, which must hold it; 5 s unless told otherwise.
    pub fn unregister(
        &self,
        name: impl TryInto<Name, Error: Into<NameError>>,
        process: impl Into<Recipient>,
    ) -> Unregister {
        let (name, process) = (Name::new(name), process.into());
        Unregister { registry: self.clone(), name, process, timeout: TIMEOUT }
    }

    /// Takes from `process` those of its names that `matches` answers with true for, one after the
    /// other, and returns them; 5 s for all of them unless told otherwise.
    ///
    /// The name that a child was started with is left alone: it ends with the child.
    pub fn unregister_matching(
        &self,
        process: impl Into<Recipient>,
        matches: impl FnMut(&Name, &Found) -> bool + Send + 'static,
    ) -> UnregisterMatching {
        let (process, matches) = (process.into(), Box::new(matches));
        UnregisterMatching { registry: self.clone(), process, matches, timeout: TIMEOUT }
    }

    /// Puts what `change` makes of the value beside `name` in its place, and returns the new value
    /// and the old one; 5 s unless told otherwise.
    ///
    /// `process` must hold the name: nobody else changes what stands beside it. No change is lost:
    /// where two happen at once, `change` is asked again with what the other one left. At the
    /// answer the new value shows on this node and on that of the process. A name that a child was
    /// started with has the value of the child's specification again when the child is started
    /// again.
    pub fn update<V: Into<Blob>>(
        &self,
        name: impl TryInto<Name, Error: Into<NameError>>,
        process: impl Into<Recipient>,
        mut change: impl FnMut(&Blob) -> V + Send + 'static,
    ) -> Update {
        Update {
            registry: self.clone(),
            name: Name::new(name),
            process: process.into(),
            change: Box::new(move |old| change(old).into()),
            timeout: TIMEOUT,
        }
    }

    /// Calls the process that holds `name` and waits for its reply; 5 s unless told otherwise.
    ///
    /// # Panics
    ///
    /// Panics if `message` cannot be encoded.
    pub fn call<P: Process>(
        &self,
        name: impl TryInto<Name, Error: Into<NameError>>,
        message: &P::Message,
    ) -> Call<P> {
        Call::new(self.node.clone(), self.via(name).map_err(Into::into), message)
    }

    /// Sends `message` to the process that holds `name`, and waits for no reply.
    ///
    /// # Panics
    ///
    /// Panics if `message` cannot be encoded.
    pub fn send<P: Process>(
        &self,
        name: impl TryInto<Name, Error: Into<NameError>>,
        message: &P::Message,
    ) -> Cast {
        Cast::new(self.node.clone(), self.via(name).map_err(Into::into), message)
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    pub(crate) fn scope(&self) -> Result<Scope, UnknownRegistry> {
        match self.scope {
            Some(scope) => Ok(scope),
            None => self.node.registries().scope(&self.name),
        }
    }
}

/// A registration; await it for what to demand of another node that is to see the name.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct Register {
    registry: Registry,
    name: Result<Name, NameError>,
    process: Recipient,
    value: Blob,
    replicas: Replicas,
    timeout: Duration,
}

operation!(Register => Result<CausalToken, RegisterError>);

impl Register {
    /// Stores `value` beside the name.
    pub fn value(mut self, value: impl Into<Blob>) -> Self {
        self.value = value.into();
        self
    }

    /// Sets how many members must hold the entry before the answer; one unless told otherwise.
    pub fn replicated(mut self, replicas: Replicas) -> Self {
        self.replicas = replicas;
        self
    }

    async fn run(self) -> Result<CausalToken, RegisterError> {
        let (scope, name) = (self.registry.scope()?, self.name?);
        let Self { registry: Registry { node, .. }, value, replicas, timeout, .. } = self;
        let process = self.process.process(&node)?.ok_or(RegisterError::Nobody)?;
        let command = Command::Register { scope, name, process, value, replicas };
        match node.ask(command, timeout).await {
            Ok(Reply::Register(registered)) => registered,
            Ok(other) => unreachable!("a registration is answered as such, not with {other:?}"),
            Err(Over) => Err(RegisterError::NotReady),
        }
    }
}

/// The end of a registration; await it.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct Unregister {
    registry: Registry,
    name: Result<Name, NameError>,
    process: Recipient,
    timeout: Duration,
}

operation!(Unregister => Result<(), UnregisterError>);

impl Unregister {
    async fn run(self) -> Result<(), UnregisterError> {
        let (scope, name) = (self.registry.scope()?, self.name?);
        let node = self.registry.node;
        let process = self.process.process(&node)?.ok_or(UnregisterError::Nobody)?;
        match node.ask(Command::Unregister { scope, name, process }, self.timeout).await {
            Ok(Reply::Unregister(unregistered)) => unregistered,
            Ok(other) => unreachable!("an unregistration is answered as such, not with {other:?}"),
            Err(Over) => Err(UnregisterError::NotReady),
        }
    }
}

/// The end of several registrations of one process; await it for the names that fell free.
#[must_use = "nothing happens before it is awaited"]
pub struct UnregisterMatching {
    registry: Registry,
    process: Recipient,
    matches: Box<Matches>,
    timeout: Duration,
}

/// Whether a name is to be given up.
type Matches = dyn FnMut(&Name, &Found) -> bool + Send;

operation!(UnregisterMatching => Result<Vec<Name>, UnregisterError>);

impl UnregisterMatching {
    async fn run(mut self) -> Result<Vec<Name>, UnregisterError> {
        let registry = self.registry;
        let scope = registry.scope()?;
        if !registry.node.is_ready() {
            return Err(UnregisterError::NotReady);
        }
        let process = self.process.process(&registry.node)?.ok_or(UnregisterError::Nobody)?;
        let runtime = registry.node.runtime();
        let deadline = runtime.now() + self.timeout;
        let mut freed = Vec::new();
        for name in registry.node.view().names_of(scope, &process) {
            let is_own = |found: &Found| found.process == process && found.child.is_none();
            let Some(found) = registry.lookup(&name).filter(is_own) else { continue };
            if !(self.matches)(&name, &found) {
                continue;
            }
            let left = deadline.since(runtime.now());
            match registry.unregister(&name, &process).timeout(left).await {
                Ok(()) => freed.push(name),
                // Somebody else was faster.
                Err(UnregisterError::NotHolder { .. }) => (),
                Err(error) => return Err(error),
            }
        }
        Ok(freed)
    }
}

impl fmt::Debug for UnregisterMatching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnregisterMatching").field("process", &self.process).finish_non_exhaustive()
    }
}
