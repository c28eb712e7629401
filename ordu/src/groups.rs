//! Process groups: names that any number of processes share.

use std::sync::Arc;
use std::time::Duration;

use ordu_core::wire::encode;
use ordu_core::{
    Blob, Command, JoinGroupError, LeaveGroupError, Name, NameError, ProcessId, PublishError,
    Published, Reply, Scope, UnknownRegistry,
};

use crate::call::TIMEOUT;
use crate::node::{Node, Over};
use crate::operation::operation;
use crate::process::Process;
use crate::recipient::Recipient;

/// A set of process groups, as one node sees it; a clone is of the same.
///
/// A group is a name that any number of processes share, on any nodes: a registry with duplicate
/// keys. It exists as long as it has members, and there is nothing to conflict about: when a split
/// heals, a group is the union of what both sides had. A membership ends with its process, and is
/// hidden while the node of the process is down. A child that is started again is another process,
/// and joins anew where it wants to, best in its start function.
///
/// Reads are of the node's own view and wait for no other node; a node reads what it wrote itself.
///
/// # Example
///
/// ```no_run
/// # use ordu::{Context, Node, Process, ProcessId, StartError};
/// # struct Guest;
/// # impl Process for Guest {
/// #     const KIND: &'static str = "guest";
/// #     type Args = ();
/// #     type Message = String;
/// #     type Reply = ();
/// #     async fn start((): (), _: &mut Context<Self>) -> Result<Self, StartError> { Ok(Self) }
/// #     async fn handle(&mut self, _: String, _: &mut Context<Self>) {}
/// # }
/// # async fn example(node: Node, guest: ProcessId) -> Result<(), Box<dyn std::error::Error>> {
/// let rooms = node.groups("default");
/// rooms.join("lobby", &guest).metadata("speaks Mongolian").await?;
/// let sent = rooms.publish::<Guest>("lobby", &"welcome".to_owned()).await?;
/// println!("{} members on {} nodes", sent.members, sent.nodes);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Groups {
    node: Node,
    name: Arc<str>,
}

/// A member of a group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GroupMember {
    /// The process.
    pub process: ProcessId,
    /// What it keeps beside its membership.
    pub metadata: Blob,
}

impl Groups {
    pub(crate) fn new(node: Node, name: &str) -> Self {
        Self { node, name: Arc::from(name) }
    }

    /// Makes `process`, which may run on any node, a member of `group`, or replaces the metadata of
    /// one that is; 5 s unless told otherwise.
    pub fn join(
        &self,
        group: impl TryInto<Name, Error: Into<NameError>>,
        process: impl Into<Recipient>,
    ) -> JoinGroup {
        let (group, process) = (Name::new(group), process.into());
        let metadata = Blob::default();
        JoinGroup { groups: self.clone(), group, process, metadata, timeout: TIMEOUT }
    }

    /// Ends the membership of `process` in `group`; 5 s unless told otherwise.
    pub fn leave(
        &self,
        group: impl TryInto<Name, Error: Into<NameError>>,
        process: impl Into<Recipient>,
    ) -> LeaveGroup {
        let (group, process) = (Name::new(group), process.into());
        LeaveGroup { groups: self.clone(), group, process, timeout: TIMEOUT }
    }

    /// Returns the members of `group` at one moment, on whichever nodes, in the order of their ids;
    /// none if there is no such group. Takes time for the members.
    ///
    /// # Errors
    ///
    /// When this node was not told of the set of groups.
    pub fn members(&self, group: impl AsRef<[u8]>) -> Result<Vec<GroupMember>, UnknownRegistry> {
        let scope = self.scope()?;
        let Ok(group) = Name::new(group.as_ref()) else { return Ok(Vec::new()) };
        let members = self.node.view().groups().members(&(scope, group)).into_iter();
        Ok(members.map(|(process, metadata)| GroupMember { process, metadata }).collect())
    }

    /// Returns how many members `group` has; 0 also if this node was not told of the set. Takes
    /// O(1) time.
    pub fn count(&self, group: impl AsRef<[u8]>) -> usize {
        let (Ok(scope), Ok(group)) = (self.scope(), Name::new(group.as_ref())) else { return 0 };
        self.node.view().groups().count(&(scope, group))
    }

    /// Returns the groups that `process` is a member of, in order.
    ///
    /// # Errors
    ///
    /// When this node was not told of the set of groups.
    pub fn groups_of(&self, process: &ProcessId) -> Result<Vec<Name>, UnknownRegistry> {
        Ok(self.node.view().groups().groups_of(self.scope()?, process))
    }

    /// Returns the groups that have members, in order. Takes time for the groups of all sets.
    ///
    /// # Errors
    ///
    /// When this node was not told of the set of groups.
    pub fn names(&self) -> Result<Vec<Name>, UnknownRegistry> {
        Ok(self.node.view().groups().groups(self.scope()?))
    }

    /// Sends `message` to all members of `group`, wherever they run, and waits for no reply; 5 s
    /// unless told otherwise.
    ///
    /// Each node gets it once and hands it to its own members, so it costs the nodes and not the
    /// members. Messages of one node to one member keep their order, those of
    /// [`send`](crate::Node::send) among them. The answer says how far it was sent, and not that it
    /// arrived: see [`Published`].
    ///
    /// # Panics
    ///
    /// Panics if `message` cannot be encoded.
    pub fn publish<P: Process>(
        &self,
        group: impl TryInto<Name, Error: Into<NameError>>,
        message: &P::Message,
    ) -> Publish {
        let (group, payload) = (Name::new(group), Blob::from(encode(message)));
        Publish { groups: self.clone(), group, payload, timeout: TIMEOUT }
    }

    fn scope(&self) -> Result<Scope, UnknownRegistry> {
        self.node.declared_groups().scope(&self.name)
    }
}

/// The beginning of a membership; await it.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct JoinGroup {
    groups: Groups,
    group: Result<Name, NameError>,
    process: Recipient,
    metadata: Blob,
    timeout: Duration,
}

operation!(JoinGroup => Result<(), JoinGroupError>);

impl JoinGroup {
    /// Keeps `metadata` beside the membership, for all to read.
    pub fn metadata(mut self, metadata: impl Into<Blob>) -> Self {
        self.metadata = metadata.into();
        self
    }

    async fn run(self) -> Result<(), JoinGroupError> {
        let (scope, group, node) = (self.groups.scope()?, self.group?, self.groups.node);
        let process = self.process.process(&node)?.ok_or(JoinGroupError::Nobody)?;
        let command = Command::JoinGroup { scope, group, process, metadata: self.metadata };
        match node.ask(command, self.timeout).await {
            Ok(Reply::JoinGroup(joined)) => joined,
            Ok(other) => unreachable!("a join is answered as such, not with {other:?}"),
            Err(Over) => Err(JoinGroupError::NotReady),
        }
    }
}

/// The end of a membership; await it.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct LeaveGroup {
    groups: Groups,
    group: Result<Name, NameError>,
    process: Recipient,
    timeout: Duration,
}

operation!(LeaveGroup => Result<(), LeaveGroupError>);

impl LeaveGroup {
    async fn run(self) -> Result<(), LeaveGroupError> {
        let (scope, group, node) = (self.groups.scope()?, self.group?, self.groups.node);
        let process = self.process.process(&node)?.ok_or(LeaveGroupError::Nobody)?;
        match node.ask(Command::LeaveGroup { scope, group, process }, self.timeout).await {
            Ok(Reply::LeaveGroup(left)) => left,
            Ok(other) => unreachable!("a leave is answered as such, not with {other:?}"),
            Err(Over) => Err(LeaveGroupError::NotReady),
        }
    }
}

/// A message to a group; await it to know how far it was sent.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct Publish {
    groups: Groups,
    group: Result<Name, NameError>,
    payload: Blob,
    timeout: Duration,
}

operation!(Publish => Result<Published, PublishError>);

impl Publish {
    async fn run(self) -> Result<Published, PublishError> {
        let (scope, group, node) = (self.groups.scope()?, self.group?, self.groups.node);
        let command = Command::Publish { scope, group, payload: self.payload };
        match node.ask(command, self.timeout).await {
            Ok(Reply::Publish(published)) => published,
            Ok(other) => unreachable!("a publication is answered as such, not with {other:?}"),
            Err(Over) => Err(PublishError::NotReady),
        }
    }
}
