//! Names: who holds which, on whatever node.

use std::time::Duration;

use ordu_core::limits::NAME_BYTES_MAX;
use ordu_core::{
    Blob, Command, Name, ProcessId, RegisterError, Replicas, Reply, Scope, Target, UnregisterError,
};

use crate::call::{Call, Cast, TIMEOUT};
use crate::node::{Node, Over};
use crate::operation::operation;
use crate::process::Process;
use crate::subscription::Subscription;
use crate::view::Found;

/// A registry of names, as one node sees it; a clone is of the same.
///
/// Names are 1 to 512 bytes. Reads are of the node's own view and never wait for anything; a node
/// reads what it wrote itself.
#[derive(Clone, Debug)]
pub struct Registry {
    node: Node,
    scope: Scope,
}

impl Registry {
    pub(crate) fn new(node: Node, name: &str) -> Self {
        Self { node, scope: Scope::named(name) }
    }

    /// Returns who holds `name`, on whichever node.
    pub fn lookup(&self, name: impl AsRef<[u8]>) -> Option<Found> {
        self.node.view().holder(self.scope, name.as_ref()).map(Found::from)
    }

    /// Returns the names that `process` holds, in order.
    pub fn names_of(&self, process: &ProcessId) -> Vec<Name> {
        self.node.view().names_of(self.scope, process)
    }

    /// Returns how many names are held. Takes O(1) time.
    pub fn count(&self) -> usize {
        self.node.view().name_count(self.scope)
    }

    /// Returns all names that are held now, and then every change, without a gap.
    pub fn subscribe(&self) -> Subscription {
        Subscription::new(self.node.clone(), self.scope)
    }

    /// Gives `process`, which may run on any node, the name `name`; 5 s unless told otherwise.
    pub fn register(&self, name: impl Into<Blob>, process: ProcessId) -> Register {
        Register {
            registry: self.clone(),
            name: name.into(),
            process,
            value: Blob::default(),
            replicas: Replicas::default(),
            timeout: TIMEOUT,
        }
    }

    /// Takes the name `name` from `process`, which must hold it; 5 s unless told otherwise.
    pub fn unregister(&self, name: impl Into<Blob>, process: ProcessId) -> Unregister {
        Unregister { registry: self.clone(), name: name.into(), process, timeout: TIMEOUT }
    }

    /// Calls the process that holds `name` and waits for its reply; 5 s unless told otherwise.
    ///
    /// # Panics
    ///
    /// Panics if `message` cannot be encoded.
    pub fn call<P: Process>(&self, name: impl Into<Blob>, message: &P::Message) -> Call<P> {
        Call::new(self.node.clone(), self.target(name.into()), message)
    }

    /// Sends `message` to the process that holds `name`, and waits for no reply.
    ///
    /// # Panics
    ///
    /// Panics if `message` cannot be encoded.
    pub fn send<P: Process>(&self, name: impl Into<Blob>, message: &P::Message) -> Cast {
        Cast::new(self.node.clone(), self.target(name.into()), message)
    }

    fn target(&self, name: Blob) -> Option<Target> {
        Name::new(name).ok().map(|name| Target::Name(self.scope, name))
    }
}

/// A registration; await it.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct Register {
    registry: Registry,
    name: Blob,
    process: ProcessId,
    value: Blob,
    replicas: Replicas,
    timeout: Duration,
}

operation!(Register => Result<(), RegisterError>);

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

    async fn run(self) -> Result<(), RegisterError> {
        let Self { registry: Registry { node, scope }, process, value, replicas, timeout, .. } =
            self;
        let (bytes, max) = (self.name.len(), NAME_BYTES_MAX);
        let name = Name::new(self.name).map_err(|_| RegisterError::BadName { bytes, max })?;
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
    name: Blob,
    process: ProcessId,
    timeout: Duration,
}

operation!(Unregister => Result<(), UnregisterError>);

impl Unregister {
    async fn run(self) -> Result<(), UnregisterError> {
        let Self { registry: Registry { node, scope }, process, timeout, .. } = self;
        let (bytes, max) = (self.name.len(), NAME_BYTES_MAX);
        let name = Name::new(self.name).map_err(|_| UnregisterError::BadName { bytes, max })?;
        match node.ask(Command::Unregister { scope, name, process }, timeout).await {
            Ok(Reply::Unregister(unregistered)) => unregistered,
            Ok(other) => unreachable!("an unregistration is answered as such, not with {other:?}"),
            Err(Over) => Err(UnregisterError::NotReady),
        }
    }
}
