//! What a child is, as users write it.

use std::time::Duration;

use ordu_core::limits::PRECEDENCE_BYTES_MAX;
use ordu_core::placement::{Need, Placement};
use ordu_core::wire::encode;
use ordu_core::{
    Blob, Budget, ChildId, Name, NameError, NodeId, Precedence, Restart, StartChildError,
};
use serde::Serialize;

use crate::node::Node;
use crate::process::Process;

/// What to start: a kind of process, its arguments, and how it is looked after.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChildSpec {
    pub(crate) spec: ordu_core::ChildSpec,
    /// The registry and the name as they were given; looked at when the child is started.
    pub(crate) name: Option<(String, Result<Name, NameError>)>,
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
        let spec = ordu_core::ChildSpec::new(kind, encode(args));
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

    /// Sets how one of the members is picked that can run the child: by the ring
    /// ([`Placement::Ring`]) unless told otherwise.
    ///
    /// # Example
    ///
    /// Three copies of a cache in three zones, as far as there are so many:
    ///
    /// ```
    /// use ordu::placement::Placement;
    /// use ordu::ChildSpec;
    ///
    /// let copies = (0..3).map(|_| {
    ///     let spec = ChildSpec::of_kind("cache", &()).placement_key("cache/eu");
    ///     spec.placement(Placement::spread_over("zone"))
    /// });
    /// # drop(copies);
    /// ```
    pub fn placement(mut self, placement: Placement) -> Self {
        self.spec.placement = placement;
        self
    }

    /// Lets the child run only where an operator says so by this label; see
    /// [`NodeBuilder::label`](crate::NodeBuilder::label). Needs add up.
    pub fn needs_label(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.needs(Need::Label { key: key.into(), value: value.into() })
    }

    /// Lets the child run on `node` alone: while that is not there, nowhere.
    pub fn needs_node(self, node: NodeId) -> Self {
        self.needs(Need::Node(node))
    }

    /// Lets the child run only where `need` is met. Needs add up: all must be met.
    pub fn needs(mut self, need: Need) -> Self {
        self.spec.needs.push(need);
        self
    }

    /// Leaves the child where it runs, though it belongs elsewhere since members came; see
    /// [`NodeBuilder::redistribution`](crate::NodeBuilder::redistribution).
    pub fn stays(mut self) -> Self {
        self.spec.stays = true;
        self
    }

    /// Sets how often the child may fail before a node gives it up, and how many nodes may before
    /// none tries it; 5 times in 30 s and 3 nodes by default. `None` lets it fail for ever.
    pub fn budget(mut self, budget: impl Into<Option<Budget>>) -> Self {
        self.spec.budget = budget.into();
        self
    }

    /// Lets the child belong to `parent`, a child of the same supervisor: it ends when that one
    /// ends for good, and outlives its restarts and moves. So children supervise others: a process
    /// starts those that it needs with [its own id](crate::Context::child_id), by name or by key so
    /// that the next process of it finds them ([`Supervisor::ensure`](crate::Supervisor::ensure)).
    pub fn parent(mut self, parent: ChildId) -> Self {
        self.spec.parent = Some(parent);
        self
    }

    /// Makes the child's quarantine a failure of its parent: that one is stopped
    /// ([`StopReason::Escalated`](crate::StopReason::Escalated)) and started again within its own
    /// budget, and this child with it. Otherwise nobody else is concerned.
    pub fn escalates(mut self) -> Self {
        self.spec.escalates = true;
        self
    }

    /// Returns what the state machine is asked for.
    pub(crate) fn resolved(self, node: &Node) -> Result<ordu_core::ChildSpec, StartChildError> {
        let Self { mut spec, name, precedence } = self;
        if let Some((registry, name)) = name {
            spec.name = Some((node.registries().scope(&registry)?, name?));
        }
        let (bytes, max) = (precedence.len(), PRECEDENCE_BYTES_MAX);
        spec.precedence = Precedence::new(precedence)
            .map_err(|_| StartChildError::BadPrecedence { bytes, max })?;
        Ok(spec)
    }
}
