//! Who grants leases, changed while the nodes run.

use std::time::Duration;

use ordu_core::{ChangeVotersError, Command, Electorate, NodeId, Reply, VoterChange};

use crate::node::{Node, Over};
use crate::operation::operation;

/// Operations on who grants leases.
impl Node {
    /// Makes the member `node` one of the voters; 30 s unless told otherwise. To ask for it again
    /// is no error.
    ///
    /// The voters decide that by themselves: more than half of those before and of those after have
    /// to store it ([`NodeBuilder::voter_store`](crate::NodeBuilder::voter_store)). No lease ends
    /// over it. What the electorate before granted must be over, so a second change within a
    /// promise of the first, 5 s by default, waits for that.
    ///
    /// To replace a voter that is lost, add another one, and remove the lost one then. Should the
    /// one that was to be added be lost before it is decided, start one of its name: what some have
    /// accepted is decided before anything else.
    ///
    /// Leave [`voters`](crate::NodeBuilder::voters) of all nodes as they were: nodes tell each
    /// other by whom these were followed. Or name those that followed together with their epoch, by
    /// [`leases_granted_by`](crate::NodeBuilder::leases_granted_by).
    pub fn add_voter(&self, node: &NodeId) -> ChangeVoters {
        self.change_voters(VoterChange::Add(node.clone()))
    }

    /// Makes `node` a voter no more, whether it is up or not; as [`add_voter`](Self::add_voter).
    pub fn remove_voter(&self, node: &NodeId) -> ChangeVoters {
        self.change_voters(VoterChange::Remove(node.clone()))
    }

    fn change_voters(&self, change: VoterChange) -> ChangeVoters {
        ChangeVoters { node: self.clone(), change, timeout: Duration::from_secs(30) }
    }
}

/// A change of the voters; await it for those from then on.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct ChangeVoters {
    node: Node,
    change: VoterChange,
    timeout: Duration,
}

operation!(ChangeVoters => Result<Electorate, ChangeVotersError>);

impl ChangeVoters {
    async fn run(self) -> Result<Electorate, ChangeVotersError> {
        let Self { node, change, timeout } = self;
        match node.ask(Command::ChangeVoters { change }, timeout).await {
            Ok(Reply::ChangeVoters(changed)) => changed,
            Ok(other) => unreachable!("a change is answered as such, not with {other:?}"),
            Err(Over) => Err(ChangeVotersError::NotReady),
        }
    }
}
