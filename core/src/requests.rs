//! What users of this node wait for, and until when.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::Bound;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::crdt::Version;
use crate::supervisor::ChildKey;
use crate::{
    CallError, LeaveError, Name, ProcessId, RegisterError, Replica, Replicas, Reply, SettleError,
    StartChildError, TerminateError, Time, UnregisterError,
};

/// A request that has not been answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Pending {
    /// When it is answered at the latest.
    pub(crate) deadline: Time,
    /// How long the user said it would wait.
    pub(crate) timeout: Duration,
    /// What it waits for.
    pub(crate) wait: Wait,
}

/// What a request waits for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) enum Wait {
    /// A child to run, and its specification to be on two members.
    Start {
        /// The child.
        key: ChildKey,
        /// Where its specification stands: a journal, and a version there; `None` once a second
        /// member has it.
        entry: Option<(Replica, Version)>,
    },
    /// A child to have ended, with no process left, and its end to be on two members.
    Terminate {
        /// The child.
        key: ChildKey,
        /// Where we wrote its end: a journal, and a version there; `None` if somebody else did.
        entry: Option<(Replica, Version)>,
    },
    /// An entry to be on enough members.
    Replicated {
        /// Whose journal it stands in.
        journal: Replica,
        /// At which version.
        version: Version,
        /// How many members that is.
        replicas: Replicas,
    },
    /// Another node to register a name.
    ForwardedRegister {
        /// The process.
        process: ProcessId,
        /// The name.
        name: Name,
        /// How many members must hold the entry then.
        replicas: Replicas,
    },
    /// Another node to unregister a name.
    ForwardedUnregister {
        /// The process.
        process: ProcessId,
        /// The name.
        name: Name,
    },
    /// Our copy of another node's journal to show a change that was made there.
    Shown {
        /// Whose journal it stands in.
        journal: Replica,
        /// At which version.
        version: Version,
    },
    /// A reply of a process.
    Call,
    /// This node to have left.
    Leave,
    /// The cluster to be at rest.
    Settled,
}

impl Wait {
    /// Returns the child whose changes matter to it.
    fn child(&self) -> Option<ChildKey> {
        match self {
            Self::Start { key, .. } | Self::Terminate { key, .. } => Some(*key),
            Self::Replicated { .. }
            | Self::ForwardedRegister { .. }
            | Self::ForwardedUnregister { .. }
            | Self::Shown { .. }
            | Self::Call
            | Self::Leave
            | Self::Settled => None,
        }
    }

    /// Returns the entry whose spreading matters to it: a journal, and a version there.
    fn entry(&self) -> Option<(&Replica, Version)> {
        match self {
            Self::Start { entry, .. } | Self::Terminate { entry, .. } => {
                entry.as_ref().map(|(journal, version)| (journal, *version))
            }
            Self::Replicated { journal, version, .. } | Self::Shown { journal, version } => {
                Some((journal, *version))
            }
            Self::ForwardedRegister { .. }
            | Self::ForwardedUnregister { .. }
            | Self::Call
            | Self::Leave
            | Self::Settled => None,
        }
    }

    /// Returns the answer at the deadline.
    pub(crate) fn timed_out(&self, timeout: Duration) -> Reply {
        match self {
            Self::Start { key, .. } => {
                Reply::Start(Err(StartChildError::TimedOut { child: key.1 }))
            }
            Self::Terminate { key, .. } => {
                Reply::Terminate(Err(TerminateError::TimedOut { child: key.1 }))
            }
            Self::Replicated { replicas, .. } | Self::ForwardedRegister { replicas, .. } => {
                let wanted = match replicas {
                    Replicas::One => 1,
                    Replicas::Two | Replicas::Majority | Replicas::All => 2,
                };
                Reply::Register(Err(RegisterError::TimedOut { wanted }))
            }
            Self::ForwardedUnregister { .. } | Self::Shown { .. } => {
                Reply::Unregister(Err(UnregisterError::TimedOut))
            }
            Self::Call => Reply::Call(Err(CallError::TimedOut { timeout })),
            Self::Leave => Reply::Leave(Err(LeaveError::TimedOut { remaining: 0 })),
            Self::Settled => {
                let reason = alloc::string::String::from("nobody has answered yet");
                Reply::Settled(Err(SettleError::TimedOut { reason }))
            }
        }
    }
}

/// All requests that have not been answered.
///
/// Invariant: every request has its place in `deadlines`, and in the index of what it waits for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Requests {
    pending: BTreeMap<u64, Pending>,
    deadlines: BTreeSet<(Time, u64)>,
    by_child: BTreeSet<(ChildKey, u64)>,
    by_journal: BTreeSet<(Replica, Version, u64)>,
}

impl Requests {
    /// Adds the request behind `ticket`.
    pub(crate) fn insert(&mut self, ticket: u64, pending: Pending) {
        self.deadlines.insert((pending.deadline, ticket));
        if let Some(key) = pending.wait.child() {
            self.by_child.insert((key, ticket));
        }
        if let Some((journal, version)) = pending.wait.entry() {
            self.by_journal.insert((journal.clone(), version, ticket));
        }
        let twin = self.pending.insert(ticket, pending);
        assert!(twin.is_none(), "no ticket is used twice");
    }

    /// Lets the request behind `ticket` wait for something else from now on.
    pub(crate) fn wait_for(&mut self, ticket: u64, wait: Wait) {
        if let Some(pending) = self.remove(ticket) {
            self.insert(ticket, Pending { wait, ..pending });
        }
    }

    /// Takes the request behind `ticket` out: it is answered now.
    pub(crate) fn remove(&mut self, ticket: u64) -> Option<Pending> {
        let pending = self.pending.remove(&ticket)?;
        self.deadlines.remove(&(pending.deadline, ticket));
        if let Some(key) = pending.wait.child() {
            self.by_child.remove(&(key, ticket));
        }
        if let Some((journal, version)) = pending.wait.entry() {
            self.by_journal.remove(&(journal.clone(), version, ticket));
        }
        assert_eq!(self.pending.len(), self.deadlines.len(), "every request has a deadline");
        Some(pending)
    }

    /// Returns the request behind `ticket`.
    pub(crate) fn request(&self, ticket: u64) -> Option<&Pending> {
        self.pending.get(&ticket)
    }

    /// Returns when the next request must be answered.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Takes a request out whose deadline has passed.
    pub(crate) fn pop_expired(&mut self, now: Time) -> Option<(u64, Pending)> {
        let (_, ticket) = self.deadlines.first().filter(|(at, _)| *at <= now).copied()?;
        self.remove(ticket).map(|pending| (ticket, pending))
    }

    /// Returns the requests that wait for `key`.
    pub(crate) fn of_child(&self, key: ChildKey) -> Vec<u64> {
        let tickets = self.by_child.range((key, 0)..=(key, u64::MAX));
        tickets.map(|(_, ticket)| *ticket).collect()
    }

    /// Returns the requests that wait for `journal` to have spread up to `version` at most.
    pub(crate) fn of_journal(&self, journal: &Replica, version: Version) -> Vec<u64> {
        let range = (journal.clone(), 0, 0)..=(journal.clone(), version, u64::MAX);
        self.by_journal.range(range).map(|(_, _, ticket)| *ticket).collect()
    }

    /// Returns the journals that requests wait for.
    pub(crate) fn journals(&self) -> Vec<Replica> {
        let mut journals: Vec<Replica> = Vec::new();
        let mut next = self.by_journal.first();
        while let Some((journal, ..)) = next {
            journals.push(journal.clone());
            let past = (Bound::Excluded((journal.clone(), u64::MAX, u64::MAX)), Bound::Unbounded);
            next = self.by_journal.range(past).next();
        }
        journals
    }

    /// Checks that every request is found by its deadline and by what it waits for.
    ///
    /// # Errors
    ///
    /// Says that one is not.
    pub(crate) fn audit(&self) -> Result<(), alloc::string::String> {
        let pending = || self.pending.iter();
        let deadlines = pending().map(|(ticket, pending)| (pending.deadline, *ticket));
        let by_child = pending().filter_map(|(t, pending)| Some((pending.wait.child()?, *t)));
        let by_journal = pending().filter_map(|(ticket, pending)| {
            pending.wait.entry().map(|(journal, version)| (journal.clone(), version, *ticket))
        });
        let are_found = self.deadlines == deadlines.collect::<BTreeSet<_>>()
            && self.by_child == by_child.collect::<BTreeSet<_>>()
            && self.by_journal == by_journal.collect::<BTreeSet<_>>();
        are_found.then_some(()).ok_or_else(|| "requests are not found by what they wait for".into())
    }

    /// Returns the tickets of all requests, in order.
    pub(crate) fn tickets(&self) -> Vec<u64> {
        self.pending.keys().copied().collect()
    }
}
