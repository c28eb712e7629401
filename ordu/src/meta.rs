//! Metadata of registries: what is kept beside the names, for all to read and write.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use ordu_core::{
    Blob, CausalToken, Command, Name, NameError, Replicas, Reply, Scope, UnknownRegistry,
    WriteMetaError,
};

use crate::call::TIMEOUT;
use crate::node::Over;
use crate::operation::operation;
use crate::registry::Registry;

/// Metadata: things that are kept beside the names of a registry, each under a key, and that belong
/// to the cluster rather than to a process. Any node writes them, and all read the same.
///
/// A write replaces what its node knew of, and outlives the node. Of two writes that did not know
/// of each other, on both sides of a split, say, the later one counts, and either counts before a
/// delete that did not know of it: who deletes, deletes what it saw.
///
/// A registry keeps up to 1,024 of them, of up to 64 KiB each; a delete takes its place for some
/// ten minutes. For what is bigger, or changes often, name a process.
///
/// # Example
///
/// ```no_run
/// # use ordu::{Node, Replicas};
/// # async fn example(node: Node) -> Result<(), Box<dyn std::error::Error>> {
/// let carts = node.registry("carts");
/// carts.put_meta("schema", "3").replicated(Replicas::Two).await?;
/// assert_eq!(carts.meta("schema").as_deref(), Some(b"3".as_slice()));
/// carts.delete_meta("schema").await?;
/// assert_eq!(carts.metadata()?.len(), 0);
/// # Ok(())
/// # }
/// ```
impl Registry {
    /// Keeps `value` under `key` beside the names, for all nodes to read; 5 s unless told
    /// otherwise.
    ///
    /// At the answer it shows on this node. Others see it a network delay later; if it has to
    /// outlive the death of this node right now, say [`replicated`](WriteMeta::replicated).
    pub fn put_meta(
        &self,
        key: impl TryInto<Name, Error: Into<NameError>>,
        value: impl Into<Blob>,
    ) -> WriteMeta {
        WriteMeta::new(self.clone(), Name::new(key), Some(value.into()))
    }

    /// Deletes what this node knows to be kept under `key`, be it anything or nothing; 5 s unless
    /// told otherwise.
    pub fn delete_meta(&self, key: impl TryInto<Name, Error: Into<NameError>>) -> WriteMeta {
        WriteMeta::new(self.clone(), Name::new(key), None)
    }

    /// Returns what is kept under `key` beside the names; nothing also if this node was not told of
    /// the registry.
    pub fn meta(&self, key: impl AsRef<[u8]>) -> Option<Blob> {
        let (scope, key) = (self.scope().ok()?, Name::new(key.as_ref()).ok()?);
        self.node().view().metadata().get(scope, &key)
    }

    /// Returns all that is kept beside the names, as it is at one moment.
    ///
    /// # Errors
    ///
    /// When this node was not told of the registry.
    pub fn metadata(&self) -> Result<BTreeMap<Name, Blob>, UnknownRegistry> {
        Ok(self.node().view().metadata().all(self.scope()?))
    }
}

/// A change of metadata; await it for what to demand of another node that is to see it.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct WriteMeta {
    registry: Registry,
    key: Result<Name, NameError>,
    value: Option<Blob>,
    replicas: Replicas,
    timeout: Duration,
}

operation!(WriteMeta => Result<CausalToken, WriteMetaError>);

impl WriteMeta {
    fn new(registry: Registry, key: Result<Name, NameError>, value: Option<Blob>) -> Self {
        let (replicas, timeout) = (Replicas::default(), TIMEOUT);
        Self { registry, key, value, replicas, timeout }
    }

    /// Sets how many members must hold the write before the answer; one unless told otherwise.
    pub fn replicated(mut self, replicas: Replicas) -> Self {
        self.replicas = replicas;
        self
    }

    async fn run(self) -> Result<CausalToken, WriteMetaError> {
        let Self { registry, key, value, replicas, timeout } = self;
        let (scope, key) = (registry.scope()?, key?);
        let command = Command::WriteMeta { scope, key, value, replicas };
        match registry.node().ask(command, timeout).await {
            Ok(Reply::WriteMeta(written)) => written,
            Ok(other) => unreachable!("a write is answered as such, not with {other:?}"),
            Err(Over) => Err(WriteMetaError::NotReady),
        }
    }
}

/// What readers see of metadata. One writer, any number of readers; they wait for each other only
/// as long as it takes to copy the metadata of one registry.
#[derive(Default)]
pub(crate) struct MetaView {
    registries: RwLock<BTreeMap<Scope, BTreeMap<Name, Blob>>>,
}

impl MetaView {
    /// Takes in that `value` is kept under `key`, or nothing any more.
    pub(crate) fn apply(&self, scope: Scope, key: Name, value: Option<Blob>) {
        let mut registries = self.write();
        let metadata = registries.entry(scope).or_default();
        match value {
            Some(value) => drop(metadata.insert(key, value)),
            None => drop(metadata.remove(&key)),
        }
        if metadata.is_empty() {
            registries.remove(&scope);
        }
    }

    fn get(&self, scope: Scope, key: &Name) -> Option<Blob> {
        self.read().get(&scope).and_then(|metadata| metadata.get(key).cloned())
    }

    fn all(&self, scope: Scope) -> BTreeMap<Name, Blob> {
        self.read().get(&scope).cloned().unwrap_or_default()
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.write().clear();
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Scope, BTreeMap<Name, Blob>>> {
        self.registries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<Scope, BTreeMap<Name, Blob>>> {
        self.registries.write().unwrap_or_else(PoisonError::into_inner)
    }
}
