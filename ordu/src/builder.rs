//! What a node is made of, before it runs.

mod error;
mod leases;
mod minority;
mod placing;
mod said;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ordu_core::limits::CLUSTER_BYTES_MAX;
use ordu_core::transport::{Runtime, Transport};
use ordu_core::{Address, Blob, Config, Export, Name, NameError, NodeId, Role, Rule, VoterStore};
use tokio::sync::mpsc;

pub use crate::builder::error::StartNodeError;
use crate::builder::leases::Leases;
use crate::builder::said::listed;
use crate::conflicts::ConflictJournal;
use crate::context::Context;
use crate::declared::Declared;
use crate::discovery::{Discovery, Search};
use crate::driver::Driver;
use crate::feed::Feed;
use crate::flight::{Flight, FlightRecorder};
use crate::hands::Hands;
use crate::kinds::Kinds;
use crate::node::{Node, Shared};
use crate::phase::Phases;
use crate::process::{Finish, Process};
use crate::pump::pump;
use crate::store::Keeper;
use crate::tcp::{self, Listening};
use crate::view::View;

/// What a node is made of, before it runs; made by [`Node::builder`].
///
/// What the [`Config`] of the state machine says of a time holds here as well.
#[must_use = "nothing happens before it is started"]
pub struct NodeBuilder {
    cluster: String,
    node: String,
    seeds: Vec<String>,
    kinds: Kinds,
    kind_twice: Option<String>,
    role: Role,
    labels: Vec<(String, String)>,
    metadata: Vec<(String, Result<Name, NameError>, Blob)>,
    members: Option<Vec<String>>,
    tunings: Vec<Tuning>,
    messages_max: usize,
    registries: Declared,
    groups: Declared,
    leases: Leases,
    discoveries: Vec<Box<dyn Discovery>>,
    flight_recorder: Option<FlightRecorder>,
    pub(crate) listening: Listening,
    transport: Option<Arc<dyn Transport>>,
    runtime: Option<Arc<dyn Runtime>>,
}

/// A change of the defaults.
type Tuning = Box<dyn FnOnce(&mut Config) + Send>;

impl NodeBuilder {
    /// Messages that wait for a process before more are refused, unless told otherwise.
    const MESSAGES_MAX: usize = 1_024;

    pub(crate) fn new(cluster: String, node: String) -> Self {
        Self {
            cluster,
            node,
            seeds: Vec::new(),
            kinds: Kinds::default(),
            kind_twice: None,
            role: Role::default(),
            labels: Vec::new(),
            metadata: Vec::new(),
            members: None,
            tunings: Vec::new(),
            messages_max: Self::MESSAGES_MAX,
            registries: Declared::default(),
            groups: Declared::default(),
            leases: Leases::default(),
            discoveries: Vec::new(),
            flight_recorder: None,
            listening: Listening::default(),
            transport: None,
            runtime: None,
        }
    }

    /// Lets the node run processes of type `P`.
    pub fn kind<P: Process>(mut self) -> Self {
        if !self.kinds.add::<P>() {
            self.kind_twice = Some(P::KIND.to_owned());
        }
        self
    }

    /// Lets the node run `process`, a plain `async fn(Context)`, as children of kind `kind`.
    pub fn kind_fn<F, Fut>(mut self, kind: &str, process: F) -> Self
    where
        F: Fn(Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Finish> + Send + 'static,
    {
        if !self.kinds.add_plain(kind, process) {
            self.kind_twice = Some(kind.to_owned());
        }
        self
    }

    /// Declares a registry called `name`, beside `default`. Names of registries that a node did not
    /// declare it keeps for its peers, but refuses to work with: a slip of the pen is found.
    pub fn registry(mut self, name: &str) -> Self {
        self.registries.declare(name);
        self
    }

    /// Declares a set of process groups called `name`, beside `default`; see
    /// [`NodeBuilder::registry`].
    pub fn groups(mut self, name: &str) -> Self {
        self.groups.declare(name);
        self
    }

    /// Sets what the node does for its cluster; by default it is a [`Role::Worker`], which runs
    /// children.
    ///
    /// The kinds of a node that runs no children may be given all the same: it says of none that
    /// it can run it.
    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// Says something of the node that all members see, such as its zone; to give a key again
    /// changes its value. See [`Labels`](ordu_core::Labels) for how many there may be, and how
    /// long.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((key.into(), value.into()));
        self
    }

    /// Keeps `value` under `key` beside the names of a registry, unless something is kept there
    /// once the node is [ready](Node::ready): of several nodes that are given metadata for one key,
    /// the first to start puts it there, and later ones change nothing.
    ///
    /// Whatever is [put](crate::Registry::put_meta) counts before it, also behind a split of the
    /// cluster. What was deleted is not there: the next node that starts with it adds it again. A
    /// registry that is full keeps no more.
    pub fn metadata(
        mut self,
        registry: &str,
        key: impl TryInto<Name, Error: Into<NameError>>,
        value: impl Into<Blob>,
    ) -> Self {
        self.metadata.push((registry.to_owned(), Name::new(key), value.into()));
        self
    }

    /// Adds what a cluster held that was before this one ([`Node::export`]), once the node is
    /// [ready](Node::ready) and where nothing is known of it then.
    ///
    /// Give it to one node of a cluster that starts anew or to all: each child is there once. Not
    /// to a node that joins a cluster which went on meanwhile: it would start again what has ended
    /// there, ten minutes ago and more.
    pub fn import(self, export: Export) -> Self {
        self.tuned(move |config| config.import = export)
    }

    /// Lets `nodes` be members and nobody else, this one among them, where the cluster has no list
    /// yet once the node is [ready](Node::ready). Give all nodes the same.
    ///
    /// It is as if the first of them had called [`Node::set_members`] then: whoever is there and
    /// not on it leaves, and who comes later is refused. What is set or lifted later counts before
    /// it, and so does the list of an [`import`](Self::import). One that was lifted is remembered
    /// for ten minutes at least; who starts with a list after that sets it again.
    pub fn members<S: Into<String>>(mut self, nodes: impl IntoIterator<Item = S>) -> Self {
        self.members = Some(nodes.into_iter().map(Into::into).collect());
        self
    }

    /// Adds places where members may be found that know the cluster. Without any the node starts a
    /// cluster of its own.
    pub fn seeds<S: Into<String>>(mut self, seeds: impl IntoIterator<Item = S>) -> Self {
        self.seeds.extend(seeds.into_iter().map(Into::into));
        self
    }

    /// Looks members up, again and again, beside the seeds that it was given; see [`SeedFile`] and,
    /// with the feature `dns`, `DnsSeeds`.
    ///
    /// The node starts without waiting for it. It begins no cluster of its own before it has looked
    /// for one for the failure timeout; if it finds another later, the two become one.
    ///
    /// [`SeedFile`]: crate::SeedFile
    pub fn discover(mut self, discovery: impl Discovery) -> Self {
        self.discoveries.push(Box::new(discovery));
        self
    }

    /// Sets how long a member may be silent before it is taken for dead; 3 s by default.
    pub fn failure_timeout(self, timeout: Duration) -> Self {
        self.tuned(move |config| config.failure_timeout = timeout)
    }

    /// Sets how often the node says that it is there; 500 ms by default.
    pub fn beat_interval(self, interval: Duration) -> Self {
        self.tuned(move |config| config.beat_interval = interval)
    }

    /// Sets how often the node compares what it knows with a random peer; 1 s by default.
    pub fn digest_interval(self, interval: Duration) -> Self {
        self.tuned(move |config| config.digest_interval = interval)
    }

    /// Sets how long a silent member is remembered; 24 h by default.
    pub fn forget_after(self, silence: Duration) -> Self {
        self.tuned(move |config| config.forget_after = silence)
    }

    /// Sets how far a peer's wall clock may lie from ours; 500 ms by default.
    pub fn clock_bound(self, bound: Duration) -> Self {
        self.tuned(move |config| config.clock_bound = bound)
    }

    /// Sets how long a start function may take; 10 s by default.
    pub fn start_timeout(self, timeout: Duration) -> Self {
        self.tuned(move |config| config.start_timeout = timeout)
    }

    /// Sets how long the loser of a conflict may take to stop; 1 s by default.
    pub fn conflict_grace(self, grace: Duration) -> Self {
        self.tuned(move |config| config.conflict_grace = grace)
    }

    /// Sets how long a failed child waits before its next start, at first and at most; 100 ms and
    /// 30 s by default.
    pub fn backoff(self, min: Duration, max: Duration) -> Self {
        self.tuned(move |config| (config.backoff_min, config.backoff_max) = (min, max))
    }

    /// Sets how many entries, and how many bytes of keys and values, one message of a node's
    /// journal carries at most; 8,192 and 256 KiB by default, and never more. Low lets other
    /// messages pass in between, high catches up in fewer messages.
    pub fn delta_limits(self, entries_max: usize, bytes_max: usize) -> Self {
        self.tuned(move |config| {
            (config.delta_entries_max, config.delta_bytes_max) = (entries_max, bytes_max);
        })
    }

    /// Sets up to how many members each sends what it wrote to all others by itself; 16 by default.
    /// Where more are up they pass it on, and it is everywhere after log₂ n network delays instead
    /// of one. Low spares whoever writes much, high makes writes seen sooner. All nodes of a
    /// cluster should have the same.
    pub fn push_to_all_max(self, members: usize) -> Self {
        self.tuned(move |config| config.push_to_all_max = members)
    }

    /// Sets who goes on when two processes claim one thing: [`Rule::oldest`] by default,
    /// [`Rule::newest`], or a rule of one's own. All nodes of a cluster must go by one rule: they
    /// refuse each other otherwise, and say so in an [`Event`](crate::Event).
    ///
    /// # Example
    ///
    /// The game with the most players goes on, and of equal ones the oldest:
    ///
    /// ```
    /// use std::cmp::Ordering;
    ///
    /// use ordu::{ConflictRule, Contender, Node};
    ///
    /// struct MostPlayers;
    ///
    /// impl ConflictRule for MostPlayers {
    ///     fn name(&self) -> &str {
    ///         "most-players/1"
    ///     }
    ///
    ///     fn compare(&self, a: &Contender<'_>, b: &Contender<'_>) -> Ordering {
    ///         // Seats, as the game was started with them, most significant byte first.
    ///         b.precedence.cmp(a.precedence)
    ///     }
    /// }
    ///
    /// let node = Node::builder("games", "a").conflict_rule(MostPlayers);
    /// # drop(node);
    /// ```
    ///
    /// A game is then started with `.precedence(seats.to_be_bytes())`, see
    /// [`ChildSpec::precedence`](crate::ChildSpec::precedence).
    pub fn conflict_rule(self, rule: impl Into<Rule>) -> Self {
        let rule = rule.into();
        self.tuned(move |config| config.rule = rule)
    }

    /// Sets how many messages may wait for a process before more are refused; 1,024 by default.
    pub fn messages_max(mut self, messages: usize) -> Self {
        self.messages_max = messages;
        self
    }

    /// Keeps the node's last inputs in memory, and dumps them into files when it matters; not done
    /// by default, since it takes memory and a directory to write to.
    pub fn flight_recorder(mut self, recorder: FlightRecorder) -> Self {
        self.flight_recorder = Some(recorder);
        self
    }

    /// Reaches other nodes through `transport` instead of TCP; it is closed with the node.
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Runs on `runtime`, its clock and its randomness, instead of the tokio runtime of the
    /// caller; the transport must run on it, too.
    pub fn runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.runtime = Some(runtime);
        self
    }

    fn tuned(mut self, tune: impl FnOnce(&mut Config) + Send + 'static) -> Self {
        self.tunings.push(Box::new(tune));
        self
    }

    /// Starts the node. It joins the cluster by itself, see [`Node::ready`].
    ///
    /// # Errors
    ///
    /// Says what is wrong with the description, or why the transport cannot listen. Nothing runs
    /// then.
    pub async fn start(mut self) -> Result<Node, StartNodeError> {
        let (store, stored) = self.leases.stored().await?;
        let mut config = self.config(stored)?;
        let id = config.id.clone();
        let (transport, runtime) = self.world(&id).await?;
        let watchdog = self.leases.watchdog(&runtime)?;
        let address = transport.local_address();
        config.address = address.clone();

        let random = |bytes: &mut [u8; 8]| {
            runtime.fill_random(bytes);
            u64::from_le_bytes(*bytes)
        };
        let (seed, view_seed) = (random(&mut [0; 8]), random(&mut [0; 8]));
        let born = runtime.now();
        let flight = self
            .flight_recorder
            .map(|described| Flight::new(described, &config, seed, born, Arc::clone(&runtime)));
        let seeds = config.seeds.clone();
        let conflict_grace = config.conflict_grace;
        let machine = ordu_core::Node::new(config, seed, born);
        let (mailbox, mails) = mpsc::channel(Driver::MAILBOX);
        let (announcer, phases) = Phases::new();
        let node = Node::from_shared(Shared {
            id,
            address,
            runtime: Arc::clone(&runtime),
            mailbox: mailbox.clone(),
            view: View::new(view_seed),
            events: Feed::new(),
            conflicts: ConflictJournal::default(),
            phases,
            messages_max: self.messages_max,
            registries: self.registries,
            groups: self.groups,
        });
        let keeper = store.map(|store| Keeper::new(store, mailbox.clone(), &runtime));
        let hands = Hands::new(node.clone(), Arc::clone(&transport), self.kinds);
        let hands = hands.with_store(keeper).with_grace(conflict_grace).watched_by(watchdog);
        let post = (mailbox.clone(), mails);
        let driver = Driver::new((machine, flight), hands, post, Arc::clone(&runtime), announcer);
        runtime.spawn(Box::pin(driver.run()));
        Search::all(seeds, self.discoveries, &mailbox, &runtime);
        runtime.spawn(Box::pin(pump(transport, mailbox)));
        Ok(node)
    }

    /// Returns what the state machine is told, all but the address; nothing is opened before.
    fn config(&mut self, stored: VoterStore) -> Result<Config, StartNodeError> {
        let (bytes, max) = (self.cluster.len(), CLUSTER_BYTES_MAX);
        if !(1..=max).contains(&bytes) {
            return Err(StartNodeError::ClusterName { bytes, max });
        }
        let id = NodeId::new(self.node.as_str());
        let id = id.map_err(|source| StartNodeError::NodeId { source })?;
        if let Some(kind) = &self.kind_twice {
            return Err(StartNodeError::KindTwice { kind: kind.clone() });
        }
        if self.messages_max == 0 {
            return Err(StartNodeError::NoMessages);
        }
        let unbound = Address::new("unbound").expect("it is neither empty nor long");
        for name in self.registries.names().chain(self.groups.names()) {
            let bad = |source| StartNodeError::RegistryName { name: name.to_owned(), source };
            Name::new(name).map_err(bad)?;
        }
        let mut config = Config::new(id, unbound);
        for seed in &self.seeds {
            let address = Address::new(seed.as_str());
            let bad = |source| StartNodeError::Seed { seed: seed.clone(), source };
            config.seeds.push(address.map_err(bad)?);
        }
        config.awaits_seeds = !self.discoveries.is_empty();
        if self.role == Role::Client && config.seeds.is_empty() && !config.awaits_seeds {
            return Err(StartNodeError::NothingToJoin);
        }
        config.kinds = self.kinds.names();
        config.role = self.role;
        config.labels = self.labels()?;
        config.metadata = self.first_metadata()?;
        config.members = self.members.take().map(listed).transpose()?;
        (config.voters, config.modes) = (self.leases.voters()?, self.leases.modes()?);
        config.voter_store = stored;
        config.registry_modes = self.leases.registry_modes()?;
        for tune in std::mem::take(&mut self.tunings) {
            tune(&mut config);
        }
        config.check().map_err(|source| StartNodeError::Config { source })?;
        Ok(config)
    }

    /// Returns what the node runs on.
    async fn world(
        &mut self,
        id: &NodeId,
    ) -> Result<(Arc<dyn Transport>, Arc<dyn Runtime>), StartNodeError> {
        match (self.transport.take(), self.runtime.take()) {
            (Some(transport), Some(runtime)) => Ok((transport, runtime)),
            (Some(transport), None) => Ok((transport, tcp::runtime()?)),
            (None, None) => tcp::bind(&self.cluster, id, std::mem::take(&mut self.listening)).await,
            (None, Some(_)) => Err(StartNodeError::NoTransport),
        }
    }
}

impl fmt::Debug for NodeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeBuilder")
            .field("cluster", &self.cluster)
            .field("node", &self.node)
            .field("seeds", &self.seeds)
            .field("kinds", &self.kinds.names())
            .finish_non_exhaustive()
    }
}
