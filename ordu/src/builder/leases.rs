//! What a node is told of leases: who grants them, and which children and names need one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ordu_core::transport::Runtime;
use ordu_core::{Mode, Name, NodeId, Scope, VoterStore, Voters};

use crate::builder::{NodeBuilder, StartNodeError};
use crate::store::{self, RecordStore};
use crate::watchdog::{OnLapse, Watchdog};

/// What a node was told of leases.
#[derive(Default)]
pub(super) struct Leases {
    store: Option<Arc<dyn RecordStore>>,
    voters: Option<Named>,
    modes: BTreeMap<String, Mode>,
    on_lapse: BTreeMap<String, OnLapse>,
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
    /// [registries](Self::exclusive_registry) need: 3 or 5 of those that are to be members, best in
    /// places that fail for different reasons. Give all nodes of the cluster the same; they refuse
    /// each other otherwise, and say so in an [`Event`](crate::Event).
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

    /// Sets what the node does when the lease of a child of the [exclusive](Self::exclusive)
    /// supervisor called `supervisor` ends while its process still runs; it drops the process by
    /// default, once the poll that is under way has ended. Each node may be told otherwise.
    ///
    /// A process that does its work in short polls needs nothing else. Where polls may block for
    /// longer than a lease lasts, such as in calls to a disk, they would work on while another node
    /// runs the child: [`OnLapse::Abort`] ends the program then, which takes a thread that watches
    /// the clock. It is of no use under simulation.
    ///
    /// # Example
    ///
    /// ```
    /// use ordu::{Node, OnLapse};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let node = Node::builder("shop", "a").voters(["a", "b", "c"]).exclusive("payments");
    /// let node = node.on_lapse("payments", OnLapse::Abort).start().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_lapse(mut self, supervisor: &str, on_lapse: OnLapse) -> Self {
        self.leases.on_lapse.insert(supervisor.to_owned(), on_lapse);
        self
    }

    /// Sets what becomes of the children of the supervisor called `supervisor` when the network
    /// splits; [`Mode::Eventual`] unless told otherwise. The same on all nodes.
    pub fn mode(mut self, supervisor: &str, mode: Mode) -> Self {
        self.leases.modes.insert(supervisor.to_owned(), mode);
        self
    }

    /// Keeps what this node decides as a voter in `store`, so that it has a say in changes of the
    /// voters ([`Node::add_voter`](crate::Node::add_voter)): give one to every node that is a voter
    /// or may become one. A node that finds later voters there goes by those.
    ///
    /// Without a store a voter grants leases all the same.
    pub fn voter_store(mut self, store: impl RecordStore) -> Self {
        self.leases.store = Some(Arc::new(store));
        self
    }

    /// Lets names of the registry called `registry` be held under leases alone: each by one process
    /// at most, whatever the network does, and by none where no more than half of the
    /// [`voters`](Self::voters) are reached. Declares the registry, too.
    ///
    /// [`register`](crate::Registry::register) is answered once the lease is granted, and nobody
    /// finds the name before. A process whose lease ends is told so
    /// ([`StopReason::NameLapsed`](crate::StopReason::NameLapsed)) before it does anything else,
    /// and is to stop, as one that loses a name in a conflict is. It is not dropped: unless it
    /// heeds what it is told, it works on for its [grace](Self::conflict_grace), while another
    /// process may hold the name. In a `select!`, put
    /// [`context.stopped()`](crate::Context::stopped) first, with `biased`, so that it is looked at
    /// before the work. A process that was told to stop before, for another reason, is dropped as
    /// the lease ends. [`on_lapse`](Self::on_lapse) is for children alone; it does not cover names.
    ///
    /// Anybody may [unregister](crate::Registry::unregister) a name, whoever holds it. That
    /// releases it at once: the next one may be granted it while its former holder, which is not
    /// told to stop, works on.
    ///
    /// Names are asked for on the node of the process, for processes
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
    /// declares it: each side gives them away unless told otherwise. The same on all nodes.
    ///
    /// By [`Mode::stopping`] a node that sees too few members gives up the names of its processes,
    /// which are told ([`StopReason::NoQuorum`](crate::StopReason::NoQuorum)) and have their grace,
    /// and gives none away until it sees more. As with children that is no exclusivity. Such names
    /// are asked for on the node of the process, for processes that no supervisor looks after.
    ///
    /// # Example
    ///
    /// ```
    /// use ordu::{Mode, Node, Quorum, RegisterError};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let node = Node::builder("shop", "a");
    /// let node = node.registry_mode("tills", Mode::stopping(Quorum::Static { size: 2 }));
    /// let node = node.start().await?;
    /// let till = node.spawn(|context| async move { context.stopped().await }).await?;
    /// match node.registry("tills").register("till/7", &till).await {
    ///     Ok(_) => println!("till 7 is open"),
    ///     Err(RegisterError::NoQuorum { up, of }) => println!("{up} of {of} are up"),
    ///     Err(other) => return Err(other.into()),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn registry_mode(mut self, registry: &str, mode: Mode) -> Self {
        self.leases.registry_modes.insert(registry.to_owned(), mode);
        self.registry(registry)
    }
}

impl Leases {
    /// Returns where this node stores what it decides, and what is stored there.
    pub(super) async fn stored(
        &self,
    ) -> Result<(Option<Arc<dyn RecordStore>>, VoterStore), StartNodeError> {
        let Some(store) = &self.store else { return Ok((None, VoterStore::Absent)) };
        let stored = store::load(&**store).await;
        let stored = stored.map_err(|source| StartNodeError::VoterStore { source })?;
        Ok((Some(Arc::clone(store)), stored))
    }

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
        let is_exclusive = |supervisor: &String| {
            self.modes.get(supervisor).is_some_and(|mode| mode.is_exclusive())
        };
        match self.on_lapse.keys().find(|&supervisor| !is_exclusive(supervisor)) {
            Some(supervisor) => {
                Err(StartNodeError::NotExclusive { supervisor: supervisor.clone() })
            }
            None => Ok(modes),
        }
    }

    /// Starts the watchdog, if there is anything to abort for.
    pub(super) fn watchdog(
        &self,
        runtime: &Arc<dyn Runtime>,
    ) -> Result<Option<Watchdog>, StartNodeError> {
        let aborts = self.on_lapse.iter().filter(|(_, on_lapse)| **on_lapse == OnLapse::Abort);
        let scopes: BTreeSet<Scope> =
            aborts.map(|(supervisor, _)| Scope::named(supervisor)).collect();
        if scopes.is_empty() {
            return Ok(None);
        }
        let watchdog = Watchdog::start(scopes, Arc::clone(runtime));
        watchdog.map(Some).map_err(|source| StartNodeError::Watchdog { source })
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
