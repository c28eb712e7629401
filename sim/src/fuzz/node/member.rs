//! A node, and what its shell would know.

use std::collections::{BTreeMap, BTreeSet};

use ordu_core::{
    CallError, CallId, ChildId, Command, Config, Node, NodeId, ProcessId, Reply, Time,
};

use super::{NODES, address, id};

/// The kind of every process here.
pub(super) const KIND: &str = "counter";

/// A process as its node was told of it.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Process {
    Starting,
    Running,
    Stopping,
}

/// A request that waits for its answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Request {
    pub(super) deadline: Time,
    pub(super) command: Command,
}

impl Request {
    /// Returns whether `reply` is an answer to what was asked.
    pub(super) fn is_answered_by(&self, reply: &Reply) -> bool {
        let command = &self.command;
        match reply {
            Reply::Start(_) => {
                use Command::{Ensure, Start, StartOnce};
                matches!(command, Start { .. } | StartOnce { .. } | Ensure { .. })
            }
            Reply::Restart(_) => matches!(command, Command::Restart { .. }),
            Reply::Release(_) => matches!(command, Command::Release { .. }),
            Reply::Quarantined(_) => matches!(command, Command::Quarantined { .. }),
            Reply::Quorum(_) => matches!(command, Command::Quorum { .. }),
            Reply::Links(_) => matches!(command, Command::Links),
            Reply::PlanMoves(_) => matches!(command, Command::PlanMoves { .. }),
            Reply::PauseMoves(_) => matches!(command, Command::PauseMoves { .. }),
            Reply::AwaitQuorum(_) => matches!(command, Command::AwaitQuorum),
            Reply::ChangeVoters(_) => matches!(command, Command::ChangeVoters { .. }),
            Reply::Explain(_) => matches!(command, Command::Explain { .. }),
            Reply::Terminate(_) => matches!(command, Command::Terminate { .. }),
            Reply::Spawn(_) => matches!(command, Command::Spawn { .. }),
            Reply::Register(_) => matches!(command, Command::Register { .. }),
            Reply::Unregister(_) => matches!(command, Command::Unregister { .. }),
            // A node that has no place yet has no number to give, and says so by this error.
            Reply::Call(Err(CallError::NotReady)) => {
                matches!(command, Command::Call { .. } | Command::Spawn { .. })
            }
            Reply::Call(_) => matches!(command, Command::Call { .. }),
            Reply::Send(_) => matches!(command, Command::Send { .. }),
            Reply::Update(_) => matches!(command, Command::Update { .. }),
            Reply::JoinGroup(_) => matches!(command, Command::JoinGroup { .. }),
            Reply::LeaveGroup(_) => matches!(command, Command::LeaveGroup { .. }),
            Reply::Publish(_) => matches!(command, Command::Publish { .. }),
            Reply::WriteMeta(_) => matches!(command, Command::WriteMeta { .. }),
            Reply::SetMembers(_) => matches!(command, Command::SetMembers { .. }),
            Reply::Evict(_) => matches!(command, Command::Evict { .. }),
            Reply::CatchUp(_) => matches!(command, Command::CatchUp { .. }),
            Reply::Leave(_) => matches!(command, Command::Leave),
            Reply::Settled(_) => matches!(command, Command::Settled),
        }
    }
}

/// A node and what its shell would know.
pub(super) struct Member {
    pub(super) id: NodeId,
    pub(super) node: Node,
    /// How far its wall clock is off, in milliseconds.
    pub(super) wall_off_ms: u64,
    pub(super) sessions: BTreeSet<usize>,
    pub(super) processes: BTreeMap<u64, Process>,
    pub(super) known: Vec<ProcessId>,
    pub(super) children: Vec<ChildId>,
    pub(super) calls: Vec<CallId>,
    /// Every request that was not answered yet.
    pub(super) requests: BTreeMap<u64, Request>,
    pub(super) over: bool,
}

impl Member {
    pub(super) fn new(index: usize, seed: u64, now: Time) -> Self {
        let mut config = Config::new(id(index), address(index));
        config.kinds.push(KIND.into());
        config.seeds = (0..NODES).filter(|&seed| seed != index).map(address).collect();
        Self {
            id: id(index),
            node: Node::new(config, seed, now),
            wall_off_ms: 0,
            sessions: BTreeSet::new(),
            processes: BTreeMap::new(),
            known: Vec::new(),
            children: Vec::new(),
            calls: Vec::new(),
            requests: BTreeMap::new(),
            over: false,
        }
    }

    /// Keeps the ids that answers bring, for later requests to use.
    pub(super) fn remember(&mut self, reply: Reply) {
        match reply {
            Reply::Start(Ok(started)) => {
                self.children.push(started.child);
                self.known.push(started.process);
            }
            Reply::Spawn(process) => {
                self.processes.insert(process.number, Process::Running);
                self.known.push(process);
            }
            Reply::Restart(Ok(process)) => self.known.push(process),
            Reply::Start(Err(_))
            | Reply::Restart(Err(_))
            | Reply::Release(_)
            | Reply::Quarantined(_)
            | Reply::PlanMoves(_)
            | Reply::Quorum(_)
            | Reply::Links(_)
            | Reply::PauseMoves(_)
            | Reply::AwaitQuorum(_)
            | Reply::ChangeVoters(_)
            | Reply::Explain(_)
            | Reply::Terminate(_)
            | Reply::Register(_)
            | Reply::Unregister(_)
            | Reply::Call(_)
            | Reply::Send(_)
            | Reply::Update(_)
            | Reply::JoinGroup(_)
            | Reply::LeaveGroup(_)
            | Reply::Publish(_)
            | Reply::WriteMeta(_)
            | Reply::SetMembers(_)
            | Reply::Evict(_)
            | Reply::CatchUp(_)
            | Reply::Leave(_)
            | Reply::Settled(_) => {}
        }
    }
}
