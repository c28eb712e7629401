//! What a node is told of leases: who grants them, and which children and names need one.

use std::collections::BTreeMap;

use ordu_core::{Mode, Name, NodeId, Scope, Voters};

use crate::builder::{NodeBuilder, StartNodeError};

/// What a node was told of leases.
#[derive(Debug, Default)]
pub(super) struct Leases {
    voters: Option<Named>,
    modes: BTreeMap<String, Mode>,
    registry_modes: BTreeMap<String, Mode>,
}

/// The voters, as they were given.
#[derive(Debug)]
enum Named {
    Nodes(Vec<String>),
    Voters(Voters),
}

impl NodeBuilder {
    /// Names the nodes that grant leases, which [exclusive](Self::exclusive) supervisors and
    /// [registries](Self::exclusive_registry) need: 3 or 5 of those that are to be members, best in places that fail for different reasons. Give
    /// all nodes of the cluster the same; they refuse each other otherwise, and say so in an
    /// [`Event`](crate::Event).
    ///
    /// Leases are 5 s long, and clocks may run wrong by 1 %; see
    /// [`leases_granted_by`](Self::leases_granted_by) for others.
    ///
    /// # Example
    ///
    /// ```
    /// use ordu::{ChildSpec, Node};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let node = Node::builder("shop", "a").voters(["a", "b", "c"]).exclusive("payments");
    /// let node = node.start().await?;
    /// let ledger = ChildSpec::of_kind("ledger", &());
    /// node.supervisor("payments").ensure("ledger", ledger).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn voters<S: Into<String>>(mut self, nodes: impl IntoIterator<Item = S>) -> Self {
        let nodes = nodes.into_iter().map(Into::into).collect();
        self.leases.voters = Some(Named::Nodes(nodes));
        self
    }

    /// Sets who grants leases, as [`voters`](Self::voters) does, together with how long leases
    /// are, and how wrong clocks may run.
    pub fn leases_granted_by(mut self, voters: Voters) -> Self {
        self.leases.voters = Some(Named::Voters(voters));
        self
    }

    /// Lets the children of the supervisor called `supervisor` run under leases alone: each in one
    /// place at most, whatever the network does, and nowhere where no more than half of the
    /// [`voters`](Self::voters) are reached. What that rests on [`Voters`] says; what is left to a
    /// child's own store, [`Context::token`](crate::Context::token).
    ///
    /// Give all nodes of the cluster the same; they refuse each other otherwise.
    pub fn exclusive(self, supervisor: &str) -> Self {
        self.mode(supervisor, Mode::Exclusive)
    }

    /// Sets what becomes of the children of the supervisor called `supervisor` when the network
    /// splits; [`Mode::Eventual`] unless told otherwise. The same on all nodes.
    pub fn mode(mut self, supervisor: &str, mode: Mode) -> Self {
        self.leases.modes.insert(supervisor.to_owned(), mode);
        self
    }

    /// Lets names of the registry called `registry` be held under leases alone: each by one process
    /// at most, whatever the network does, and by none where no more than half of the
    /// [`voters`](Self::voters) are reached. Declares the registry, too.
    ///
    /// [`register`](crate::Registry::register) is answered once the lease is granted, and nobody
    /// finds the name before. A process whose lease ends is told so
    /// ([`StopReason::NameLapsed`](crate::StopReason::NameLapsed)), and is to stop, as one that
    /// loses a name in a conflict is. Names are asked for on the node of the process, for processes
    /// that no supervisor looks after; children have no names there. Whoever
    /// [looks a name up](crate::Found::token) gets the number that a store may tell its holder from
    /// earlier ones by.
    ///
    /// A registry is told apart from the supervisor of the same name. Give all nodes of the cluster
    /// the same; they refuse each other otherwise.
    ///
    /// # Example
    ///
    /// ```
    /// use ordu::{Node, RegisterError};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let node = Node::builder("shop", "a").voters(["a", "b", "c"]).exclusive_registry("locks");
    /// let node = node.start().await?;
    /// let holder = node.spawn(|context| async move { context.stopped().await }).await?;
    /// match node.registry("locks").register("ledger", &holder).await {
    ///     Ok(_) => println!("nobody else writes to the ledger"),
    ///     Err(RegisterError::NameTaken { holder, .. }) => println!("{holder} does"),
    ///     Err(RegisterError::NoQuorum { up, of }) => println!("{up} of {of} voters are reached"),
    ///     Err(other) => return Err(other.into()),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn exclusive_registry(self, registry: &str) -> Self {
        self.registry_mode(registry, Mode::Exclusive)
    }

    /// Sets what becomes of names of the registry called `registry` when the network splits, and
    /// declares it: each side gives them away unless told otherwise. The same on all nodes. To stop
    /// in the minority is for supervisors alone, and is refused.
    pub fn registry_mode(mut self, registry: &str, mode: Mode) -> Self {
        self.leases.registry_modes.insert(registry.to_owned(), mode);
        self.registry(registry)
    }
}

impl Leases {
    /// Returns the voters, as the state machine is told.
    pub(super) fn voters(&self) -> Result<Option<Voters>, StartNodeError> {
        match &self.voters {
            None => Ok(None),
            Some(Named::Voters(voters)) => Ok(Some(voters.clone())),
            Some(Named::Nodes(names)) => {
                let bad = |voter: &String| {
                    let voter = voter.clone();
                    |source| StartNodeError::Voter { voter, source }
                };
                let nodes = names.iter().map(|name| NodeId::new(name.as_str()).map_err(bad(name)));
                Ok(Some(Voters::new(nodes.collect::<Result<Vec<NodeId>, _>>()?)))
            }
        }
    }

    /// Returns the modes, as the state machine is told.
    pub(super) fn modes(&self) -> Result<BTreeMap<Scope, Mode>, StartNodeError> {
        let mut modes = BTreeMap::new();
        for (supervisor, &mode) in &self.modes {
            let bad = |source| StartNodeError::SupervisorName { name: supervisor.clone(), source };
            Name::new(supervisor.as_str()).map_err(bad)?;
            if mode.is_exclusive() && self.voters.is_none() {
                return Err(StartNodeError::NoVoters { supervisor: supervisor.clone() });
            }
            modes.insert(Scope::named(supervisor), mode);
        }
        Ok(modes)
    }

    /// Returns the modes of registries, as the state machine is told.
    pub(super) fn registry_modes(&self) -> Result<BTreeMap<Scope, Mode>, StartNodeError> {
        let mut modes = BTreeMap::new();
        for (registry, &mode) in &self.registry_modes {
            if mode.is_exclusive() && self.voters.is_none() {
                return Err(StartNodeError::NoRegistryVoters { registry: registry.clone() });
            }
            modes.insert(Scope::named(registry), mode);
        }
        Ok(modes)
    }
}
