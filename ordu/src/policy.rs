//! Who may be a member: evictions, and the list of members.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use ordu_core::{
    CausalToken, Command, EvictError, NodeId, QuorumError, Replicas, Reply, SetMembersError,
};

use crate::call::TIMEOUT;
use crate::node::{Node, Over};
use crate::operation::operation;

/// Operations on who is a member.
///
/// A node becomes one by finding others ([`NodeBuilder::seeds`](crate::NodeBuilder::seeds)) and
/// stays one until it leaves. Beyond that any member may let another one go, and say who may be one
/// at all. Both are kept in the shared state: they reach members that are cut off now once they are
/// back, and outlive the node that said so.
impl Node {
    /// Lets `node` go, in its present life: it hands its children over and leaves, as if it had
    /// been asked to; 30 s unless told otherwise.
    ///
    /// One that is down is forgotten as if it had left. Whoever is evicted is over for
    /// [`ExitReason::Evicted`](crate::ExitReason::Evicted); started again it may join, unless a
    /// list says otherwise ([`Node::set_members`]). A node may evict itself.
    ///
    /// Returns once this node takes it for gone. Dropping the future does not stop what it began.
    pub fn evict(&self, node: &NodeId) -> Evict {
        let timeout = Duration::from_secs(30);
        Evict { node: self.clone(), evicted: node.clone(), at_once: false, timeout }
    }

    /// Lets `nodes` be members and nobody else; 5 s unless told otherwise.
    ///
    /// Members that are not among them leave, as if evicted, and are over for
    /// [`ExitReason::NotListed`](crate::ExitReason::NotListed); so is a node that tries to join.
    /// Nodes that are on the list and not there are no error: they may come. Of two lists that did
    /// not know of each other the later one counts.
    ///
    /// At the answer the list counts here; others learn of it a network delay later.
    pub fn set_members(&self, nodes: impl IntoIterator<Item = NodeId>) -> SetMembers {
        let members = Some(nodes.into_iter().collect());
        SetMembers { node: self.clone(), members, replicas: Replicas::One, timeout: TIMEOUT }
    }

    /// Lets anybody be a member again who knows the cluster; 5 s unless told otherwise.
    pub fn open_membership(&self) -> SetMembers {
        SetMembers { node: self.clone(), members: None, replicas: Replicas::One, timeout: TIMEOUT }
    }

    /// Waits until more than half of the members are up and ready, as this node sees it: of those
    /// on the [list](Self::member_list), clients of whom never count as up, or, if there is none,
    /// of all workers and keepers that are not forgotten; 10 s unless told otherwise.
    ///
    /// That there was one says nothing of a moment later, and a node without a list that has met
    /// nobody yet is more than half of all.
    pub fn wait_for_quorum(&self) -> WaitForQuorum {
        WaitForQuorum { node: self.clone(), timeout: TIMEOUT }
    }

    /// Returns who may be a member, as far as this node knows; `None` if anybody may.
    pub fn member_list(&self) -> Option<BTreeSet<NodeId>> {
        self.view().member_list().get()
    }
}

/// An eviction; await it.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct Evict {
    node: Node,
    evicted: NodeId,
    at_once: bool,
    timeout: Duration,
}

operation!(Evict => Result<(), EvictError>);

impl Evict {
    /// Lets it go without waiting for it: nothing that it says counts any more, and its children
    /// start elsewhere, even while it still runs them.
    ///
    /// It ends as soon as it hears of that; until then what it runs may run twice.
    pub fn at_once(mut self) -> Self {
        self.at_once = true;
        self
    }

    async fn run(self) -> Result<(), EvictError> {
        let Self { node, evicted, at_once, timeout } = self;
        match node.ask(Command::Evict { node: evicted, at_once }, timeout).await {
            Ok(Reply::Evict(gone)) => gone,
            Ok(other) => unreachable!("an eviction is answered as such, not with {other:?}"),
            Err(Over) => Err(EvictError::NotReady),
        }
    }
}

/// A change of who may be a member; await it for what to demand of another node that is to know it.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct SetMembers {
    node: Node,
    members: Option<BTreeSet<NodeId>>,
    replicas: Replicas,
    timeout: Duration,
}

operation!(SetMembers => Result<CausalToken, SetMembersError>);

impl SetMembers {
    /// Sets how many members must hold the list before the answer; one unless told otherwise.
    pub fn replicated(mut self, replicas: Replicas) -> Self {
        self.replicas = replicas;
        self
    }

    async fn run(self) -> Result<CausalToken, SetMembersError> {
        let Self { node, members, replicas, timeout } = self;
        match node.ask(Command::SetMembers { members, replicas }, timeout).await {
            Ok(Reply::SetMembers(set)) => set,
            Ok(other) => unreachable!("a list is answered as such, not with {other:?}"),
            Err(Over) => Err(SetMembersError::NotReady),
        }
    }
}

/// What readers see of the list of members.
#[derive(Debug, Default)]
pub(crate) struct ListView {
    listed: RwLock<Option<BTreeSet<NodeId>>>,
}

impl ListView {
    pub(crate) fn set(&self, listed: Option<BTreeSet<NodeId>>) {
        *self.listed.write().unwrap_or_else(PoisonError::into_inner) = listed;
    }

    fn get(&self) -> Option<BTreeSet<NodeId>> {
        self.listed.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The wait for a quorum; await it.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct WaitForQuorum {
    node: Node,
    timeout: Duration,
}

operation!(WaitForQuorum => Result<(), QuorumError>);

impl WaitForQuorum {
    async fn run(self) -> Result<(), QuorumError> {
        let Self { node, timeout } = self;
        match node.ask(Command::AwaitQuorum, timeout).await {
            Ok(Reply::AwaitQuorum(result)) => result,
            Ok(other) => unreachable!("the wait is answered as such, not with {other:?}"),
            Err(Over) => Err(QuorumError::NotReady),
        }
    }
}
