//! The handle of a running node.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ordu_core::placement::Weight;
use ordu_core::transport::Runtime;
use ordu_core::{
    Address, Blob, CausalToken, Command, Conflict, Event, ExitReason, IdError, Incarnation, Labels,
    LeaveError, MemberStatus, MemberView, NodeId, Precedence, ProcessId, Reply, Role, SettleError,
    Stamp, Time,
};
use tokio::select;
use tokio::sync::{mpsc, oneshot};

use crate::builder::NodeBuilder;
use crate::call::{Call, Cast};
use crate::catch_up::CatchUp;
use crate::conflicts::ConflictJournal;
use crate::context::Context;
use crate::declared::Declared;
use crate::driver::Mail;
use crate::events::Events;
use crate::feed::Feed;
use crate::flight::DumpFlightError;
use crate::groups::Groups;
use crate::operation::operation;
use crate::phase::{Phase, Phases};
use crate::process::{Finish, Process};
use crate::recipient::Recipient;
use crate::registry::Registry;
use crate::runner::{BeginOnce, live, live_plain};
use crate::supervisor::Supervisor;
use crate::view::View;

/// The handle of a running node; a clone is of the same node.
///
/// A node runs until it leaves ([`Node::leave`]), is halted, or another node of its name takes its
/// place. To drop its handles does not end it: its children live on, and so does it.
///
/// Once it is over every operation answers that it is not ready, and nothing hangs.
#[derive(Clone)]
pub struct Node {
    shared: Arc<Shared>,
}

/// What all handles of a node share.
pub(crate) struct Shared {
    pub(crate) id: NodeId,
    pub(crate) address: Address,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) mailbox: mpsc::Sender<Mail>,
    pub(crate) view: View,
    pub(crate) events: Feed<Event>,
    pub(crate) conflicts: ConflictJournal,
    pub(crate) phases: Arc<Phases>,
    pub(crate) messages_max: usize,
    pub(crate) registries: Declared,
    pub(crate) groups: Declared,
}

/// The node is over, and nobody is there to answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Over;

impl Node {
    /// Starts to describe a node called `node` of the cluster called `cluster`.
    pub fn builder(cluster: impl Into<String>, node: impl Into<String>) -> NodeBuilder {
        NodeBuilder::new(cluster.into(), node.into())
    }

    /// Returns the name of the node.
    pub fn id(&self) -> &NodeId {
        &self.shared.id
    }

    /// Returns where peers reach the node.
    pub fn local_addr(&self) -> Address {
        self.shared.address.clone()
    }

    /// Waits until the node has taken its place in the cluster, and knows what the others knew
    /// then: from here on its reads show every name, child and piece of metadata of theirs. Before
    /// that every operation answers that the node is not ready.
    ///
    /// Members that go down meanwhile are waited for no more, nor is anything that does not come
    /// for the failure timeout. A node whose seeds stay silent for the failure timeout begins a
    /// cluster of its own, and goes on looking for them.
    ///
    /// # Errors
    ///
    /// When that takes longer than `timeout`, or the node is over.
    pub async fn ready(&self, timeout: Duration) -> Result<(), ReadyError> {
        let runtime = &self.shared.runtime;
        let deadline = runtime.now() + timeout;
        let joined = self.shared.phases.wait_for(|phase| *phase != Phase::Joining);
        select! {
            biased;
            joined = joined => match joined {
                Phase::Ready(_) => Ok(()),
                Phase::Over(_) | Phase::Joining => Err(ReadyError::Over),
            },
            () = runtime.sleep_until(deadline) => Err(ReadyError::TimedOut { timeout }),
        }
    }

    /// Waits until the node is over, and returns why; `None` if it was halted.
    pub async fn over(&self) -> Option<ExitReason> {
        match self.shared.phases.wait_for(|phase| matches!(phase, Phase::Over(_))).await {
            Phase::Over(reason) => reason,
            Phase::Joining | Phase::Ready(_) => unreachable!("it was waited for"),
        }
    }

    /// Hands all children over and leaves the cluster for good; 30 s unless told otherwise.
    ///
    /// Each child is started elsewhere as soon as it has stopped here, from its arguments: what it
    /// held in memory does not travel. The node stays until all know that it leaves, and a member
    /// that does not leave has all that it heard of nodes that are gone.
    ///
    /// Returns once all that belongs to the node is closed. To leave a node that is over is no
    /// error. Dropping the future does not stop what it began.
    pub fn leave(&self) -> Leave {
        Leave { node: self.clone(), timeout: Duration::from_secs(30) }
    }

    /// Ends the node at once, as a crash of its program would: nothing is handed over, and its
    /// peers take its children over. For tests, and for last resorts.
    pub async fn halt(&self) {
        // An error means that it is over already.
        let _ = self.shared.mailbox.send(Mail::Halt).await;
        self.over().await;
    }

    /// Waits until the whole cluster is at rest: every member that is not down says, twice in a
    /// row, that it believes what the others believe and that nothing is under way; 30 s unless
    /// told otherwise.
    pub fn settled(&self) -> Settled {
        Settled { node: self.clone(), timeout: Duration::from_secs(30) }
    }

    /// Waits until this node has seen what `token` speaks of, so that its reads show it, or what
    /// has become of it since; 5 s unless told otherwise.
    ///
    /// Tokens come from [`Register`](crate::Register) and [`Child::token`](crate::Child::token),
    /// and can be sent to wherever they are demanded.
    pub fn caught_up(&self, token: &CausalToken) -> CatchUp {
        CatchUp::new(self.clone(), token.clone())
    }

    /// Returns all members that this node knows and how they are, in the order of their names.
    /// Reads the node's own view, without waiting.
    pub fn members(&self) -> Vec<Member> {
        let member = |(node, view)| {
            let MemberView { incarnation, address, status, role, kinds, labels, .. } = view;
            let MemberView { is_full, weight, joined, .. } = view;
            Member {
                node,
                incarnation,
                address,
                status,
                role,
                kinds,
                labels,
                is_full,
                weight,
                joined,
            }
        };
        self.shared.view.members().into_iter().map(member).collect()
    }

    /// Returns the supervisor called `name`; it exists by being used, on every node.
    pub fn supervisor(&self, name: &str) -> Supervisor {
        Supervisor::new(self.clone(), name)
    }

    /// Returns the registry called `name`.
    ///
    /// It must have been declared ([`NodeBuilder::registry`]); of one that was not, all operations
    /// say so. `default` always is.
    pub fn registry(&self, name: &str) -> Registry {
        Registry::new(self.clone(), name)
    }

    /// Returns the set of process groups called `name`.
    ///
    /// It must have been declared ([`NodeBuilder::groups`]); of one that was not, all operations
    /// say so. `default` always is.
    pub fn groups(&self, name: &str) -> Groups {
        Groups::new(self.clone(), name)
    }

    /// Returns the process behind `to` as this node sees it now, without waiting; `None` if there
    /// is nobody, or no such registry.
    pub fn whereis(&self, to: impl Into<Recipient>) -> Option<ProcessId> {
        to.into().process(self).ok().flatten()
    }

    /// Runs `process` on this node, with no supervisor to look after it: when it ends it is gone,
    /// and so are its names. 5 s unless told otherwise.
    pub fn spawn<F, Fut>(&self, process: F) -> Spawn
    where
        F: FnOnce(Context) -> Fut + Send + 'static,
        Fut: Future<Output: Finish> + Send + 'static,
    {
        self.spawn_boxed(Box::new(|life| Box::pin(live_plain(life, process))))
    }

    /// As [`Node::spawn`], for a process of type `P`.
    ///
    /// # Panics
    ///
    /// Panics if `args` cannot be encoded.
    pub fn spawn_process<P: Process>(&self, args: &P::Args) -> Spawn {
        let args = Blob::from(ordu_core::wire::encode(args));
        self.spawn_boxed(Box::new(|life| Box::pin(live::<P>(life, args))))
    }

    fn spawn_boxed(&self, begin: Box<BeginOnce>) -> Spawn {
        let (precedence, timeout) = (Blob::default(), Duration::from_secs(5));
        Spawn { node: self.clone(), begin, precedence, timeout }
    }

    /// Calls whoever is behind `to`, wherever it runs, and waits for the reply; 5 s unless told
    /// otherwise.
    ///
    /// # Panics
    ///
    /// Panics if `message` cannot be encoded.
    pub fn call<P: Process>(&self, to: impl Into<Recipient>, message: &P::Message) -> Call<P> {
        Call::new(self.clone(), Ok(to.into()), message)
    }

    /// Sends `message` to whoever is behind `to`, wherever it runs, and waits for no reply.
    ///
    /// # Panics
    ///
    /// Panics if `message` cannot be encoded.
    pub fn send<P: Process>(&self, to: impl Into<Recipient>, message: &P::Message) -> Cast {
        Cast::new(self.clone(), Ok(to.into()), message)
    }

    /// Writes what the node was told last into a file, to be replayed, and returns its path; the
    /// node must have been given a [`FlightRecorder`](crate::FlightRecorder).
    ///
    /// # Errors
    ///
    /// When there is no recorder, nothing in it, or no way to write; the node goes on as before.
    pub async fn dump_flight(&self) -> Result<PathBuf, DumpFlightError> {
        let (answer, answered) = oneshot::channel();
        let sent = self.shared.mailbox.send(Mail::DumpFlight { answer }).await;
        sent.map_err(|_| DumpFlightError::Over)?;
        answered.await.unwrap_or(Err(DumpFlightError::Over))
    }

    /// Returns what happens from now on: who comes and goes, what fails, who wins.
    pub fn events(&self) -> Events {
        Events::new(self.shared.events.listen())
    }

    /// Returns the last conflicts that processes of this node won or lost, the oldest first: what
    /// was claimed, both ranks with their stamps, and the rule that decided. 256 are kept.
    pub fn conflicts(&self) -> Vec<Conflict> {
        self.conflict_journal().all()
    }

    pub(crate) fn from_shared(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    pub(crate) fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.shared.runtime
    }

    pub(crate) fn mailbox(&self) -> &mpsc::Sender<Mail> {
        &self.shared.mailbox
    }

    pub(crate) fn view(&self) -> &View {
        &self.shared.view
    }

    pub(crate) fn registries(&self) -> &Declared {
        &self.shared.registries
    }

    pub(crate) fn declared_groups(&self) -> &Declared {
        &self.shared.groups
    }

    pub(crate) fn conflict_journal(&self) -> &ConflictJournal {
        &self.shared.conflicts
    }

    pub(crate) fn events_feed(&self) -> &Feed<Event> {
        &self.shared.events
    }

    pub(crate) fn messages_max(&self) -> usize {
        self.shared.messages_max
    }

    /// Asks the state machine for something and waits for its answer, which comes at the deadline
    /// at the latest.
    pub(crate) async fn ask(&self, command: Command, timeout: Duration) -> Result<Reply, Over> {
        let (answer, answered) = oneshot::channel();
        let deadline = self.deadline(timeout);
        let request = Mail::Request { command, deadline, answer };
        self.shared.mailbox.send(request).await.map_err(|_| Over)?;
        answered.await.map_err(|_| Over)
    }

    fn deadline(&self, timeout: Duration) -> Time {
        self.shared.runtime.now() + timeout
    }

    /// Returns whether the node has its place in the cluster and knows what there is, and is not
    /// over.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.shared.phases.now(), Phase::Ready(_))
    }

    async fn spawn_now(
        &self,
        begin: Box<BeginOnce>,
        precedence: Precedence,
        timeout: Duration,
    ) -> Result<ProcessId, Over> {
        if !self.is_ready() {
            return Err(Over);
        }
        let (answer, answered) = oneshot::channel();
        let deadline = self.deadline(timeout);
        let spawn = Mail::Spawn { begin, precedence, deadline, answer };
        self.shared.mailbox.send(spawn).await.map_err(|_| Over)?;
        answered.await.map_err(|_| Over)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("id", self.id())
            .field("address", &self.shared.address)
            .finish_non_exhaustive()
    }
}

/// A member, in the judgement of this node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// Its name.
    pub node: NodeId,
    /// Its present life.
    pub incarnation: Incarnation,
    /// Where it listens, once it said so.
    pub address: Option<Address>,
    /// How it is.
    pub status: MemberStatus,
    /// What it does for the cluster.
    pub role: Role,
    /// The kinds of processes that it can run; none if its role is to run none.
    pub kinds: Vec<String>,
    /// What its operator says of it.
    pub labels: Labels,
    /// Whether it runs as many children as it may.
    pub is_full: bool,
    /// How many children it takes, beside others.
    pub weight: Weight,
    /// When its present life joined, by its hybrid clock, once it said so; the lower, the older.
    pub joined: Option<Stamp>,
}

/// A leave; await it.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct Leave {
    node: Node,
    timeout: Duration,
}

operation!(Leave => Result<(), LeaveError>);

impl Leave {
    async fn run(self) -> Result<(), LeaveError> {
        let left = match self.node.ask(Command::Leave, self.timeout).await {
            Ok(Reply::Leave(left)) => left,
            Ok(other) => unreachable!("a leave is answered as such, not with {other:?}"),
            Err(Over) => Ok(()),
        };
        self.node.over().await;
        left
    }
}

/// A wait for the cluster to come to rest; await it.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct Settled {
    node: Node,
    timeout: Duration,
}

operation!(Settled => Result<(), SettleError>);

impl Settled {
    async fn run(self) -> Result<(), SettleError> {
        match self.node.ask(Command::Settled, self.timeout).await {
            Ok(Reply::Settled(settled)) => settled,
            Ok(other) => unreachable!("a settle is answered as such, not with {other:?}"),
            Err(Over) => Err(SettleError::NotReady),
        }
    }
}

/// The start of a process without a supervisor; await it.
#[must_use = "nothing happens before it is awaited"]
pub struct Spawn {
    node: Node,
    begin: Box<BeginOnce>,
    precedence: Blob,
    timeout: Duration,
}

operation!(Spawn => Result<ProcessId, SpawnError>);

impl Spawn {
    /// Sets the bytes that the cluster's conflict rule goes by, at most 64; they are fixed for the
    /// life of the process, and the same under all its names.
    pub fn precedence(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.precedence = Blob::from(bytes.as_ref());
        self
    }

    async fn run(self) -> Result<ProcessId, SpawnError> {
        let bad = |source| SpawnError::Precedence { source };
        let precedence = Precedence::new(self.precedence).map_err(bad)?;
        let spawned = self.node.spawn_now(self.begin, precedence, self.timeout).await;
        spawned.map_err(|Over| SpawnError::NotReady)
    }
}

impl fmt::Debug for Spawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawn").field("node", &self.node).finish_non_exhaustive()
    }
}

/// Why a process without a supervisor was not started. Nothing of it is left.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// This node has not joined yet, or is over; wait until it is ready.
    #[error("the node is not ready: it is joining or over")]
    NotReady,
    /// Its precedence is too long; give 64 bytes at most.
    #[error("the precedence is not valid")]
    Precedence {
        /// What is wrong with it.
        source: IdError,
    },
}

/// Why a node is not ready.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadyError {
    /// The node waits for its seeds still, and goes on trying.
    #[error("the node did not join within {timeout:?}; its seeds may not be reachable")]
    TimedOut {
        /// How long the caller waited.
        timeout: Duration,
    },
    /// The node is over and will never be ready.
    #[error("the node is over")]
    Over,
}
