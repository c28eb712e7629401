//! What users of this node wait for, and until when.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::Bound;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::crdt::Version;
use crate::message::Refusal;
use crate::supervisor::ChildKey;
use crate::{
    CallError, CatchUpError, CausalToken, ChangeVotersError, ChildSpec, EvictError, JoinGroupError,
    LeaveError, LeaveGroupError, Name, ProcessId, QuorumError, RegisterError, Replica, Replicas,
    Reply, RestartChildError, Scope, SetMembersError, SettleError, StartChildError, TerminateError,
    Time, UnregisterError, UpdateError, Updated, WriteMetaError,
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
        /// What to find instead if another child turns out to have its name; nothing is, if `None`.
        ensured: Option<Box<ChildSpec>>,
    },
    /// A child that somebody else started to run.
    Found {
        /// The child.
        key: ChildKey,
        /// What to find or start instead if that one ends.
        spec: Box<ChildSpec>,
    },
    /// Another process to run a child.
    Restarted {
        /// The child.
        key: ChildKey,
        /// Who ran it before, if anybody did.
        at: Option<Replica>,
        /// Where the journal of that node stood when it was told; `None` until it says so.
        after: Option<Version>,
    },
    /// A child to have ended, with no process left, and its end to be on two members.
    Terminate {
        /// The child.
        key: ChildKey,
        /// Where we wrote its end: a journal, and a version there; `None` if somebody else did.
        entry: Option<(Replica, Version)>,
    },
    /// The lease on a name to be granted.
    Granted {
        /// The registry and the name.
        seat: (Scope, Name),
        /// How many members are to hold the entry then.
        replicas: Replicas,
    },
    /// An entry to be on enough members.
    Replicated {
        /// What was written.
        written: Written,
        /// Whose journal it stands in.
        journal: Replica,
        /// At which version.
        version: Version,
        /// How many members that is.
        replicas: Replicas,
    },
    /// Another node to make a change to its journal.
    Forwarded {
        /// The change.
        asked: Asked,
    },
    /// Our copy of another node's journal to show a change that was made there.
    Shown {
        /// Whose journal it stands in.
        journal: Replica,
        /// At which version.
        version: Version,
        /// The change.
        asked: Asked,
    },
    /// This node to have seen what a token speaks of.
    CatchUp {
        /// All that it speaks of.
        token: CausalToken,
        /// What is missing: a journal, and a version there.
        behind: (Replica, Version),
    },
    /// A reply of a process.
    Call,
    /// This node to have left.
    Leave,
    /// A member to be gone.
    Evict {
        /// Its life.
        replica: Replica,
    },
    /// More than half of the members to be up.
    Quorum,
    /// Other voters to be decided on.
    VotersChanged,
    /// The cluster to be at rest.
    Settled,
}

/// What a user wrote that has to be on enough members.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) enum Written {
    /// A name of a process.
    Name,
    /// Metadata of a registry.
    Meta,
    /// Who may be a member.
    Members,
}

impl Written {
    /// Returns the answer once it is.
    pub(crate) fn done(self, token: CausalToken) -> Reply {
        match self {
            Self::Name => Reply::Register(Ok(token)),
            Self::Meta => Reply::WriteMeta(Ok(token)),
            Self::Members => Reply::SetMembers(Ok(token)),
        }
    }

    /// Returns the answer if `wanted` members did not hold it in time.
    pub(crate) fn timed_out(self, wanted: usize) -> Reply {
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        match self {
            Self::Name => Reply::Register(Err(RegisterError::TimedOut { wanted })),
            Self::Meta => Reply::WriteMeta(Err(WriteMetaError::TimedOut { wanted })),
            Self::Members => Reply::SetMembers(Err(SetMembersError::TimedOut { wanted })),
        }
    }
}

/// A change that was asked of another node, with what its answer speaks of.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) enum Asked {
    /// To register a name, and to be answered once so many members hold the entry.
    Register { process: ProcessId, name: Name, replicas: Replicas },
    /// To unregister a name.
    Unregister { process: ProcessId, name: Name },
    /// To replace the value beside a name.
    Update { process: ProcessId, name: Name },
    /// To make a process a member of a group.
    JoinGroup { process: ProcessId },
    /// To end a membership.
    LeaveGroup { process: ProcessId, group: Name },
}

impl Asked {
    /// Returns what to wait for next: the change stands in `journal` at `version`.
    pub(crate) fn spread(self, journal: Replica, version: Version) -> Wait {
        match self {
            Self::Register { replicas, .. } => {
                Wait::Replicated { written: Written::Name, journal, version, replicas }
            }
            Self::Unregister { .. }
            | Self::Update { .. }
            | Self::JoinGroup { .. }
            | Self::LeaveGroup { .. } => Wait::Shown { journal, version, asked: self },
        }
    }

    /// Returns the answer once the change shows here.
    pub(crate) fn done(&self, token: CausalToken) -> Reply {
        match self {
            Self::Register { .. } => Reply::Register(Ok(token)),
            Self::Unregister { .. } => Reply::Unregister(Ok(())),
            Self::Update { .. } => Reply::Update(Ok(Updated::Done)),
            Self::JoinGroup { .. } => Reply::JoinGroup(Ok(())),
            Self::LeaveGroup { .. } => Reply::LeaveGroup(Ok(())),
        }
    }

    /// Returns the answer when the other node did not make the change.
    pub(crate) fn refused(self, refusal: Refusal) -> Reply {
        match self {
            Self::Register { process, name, .. } => Reply::Register(Err(match refusal {
                Refusal::NameTaken { holder } => RegisterError::NameTaken { name, holder },
                Refusal::NoProcess | Refusal::NotHolder | Refusal::Changed { .. } => {
                    RegisterError::NoProcess { process }
                }
            })),
            Self::Unregister { process, name } => {
                Reply::Unregister(Err(UnregisterError::NotHolder { name, process }))
            }
            Self::Update { process, name } => Reply::Update(match refusal {
                Refusal::Changed { value } => Ok(Updated::Changed { value }),
                Refusal::NoProcess | Refusal::NameTaken { .. } | Refusal::NotHolder => {
                    Err(UpdateError::NotHolder { name, process })
                }
            }),
            Self::JoinGroup { process } => {
                Reply::JoinGroup(Err(JoinGroupError::NoProcess { process }))
            }
            Self::LeaveGroup { process, group } => {
                Reply::LeaveGroup(Err(LeaveGroupError::NotMember { group, process }))
            }
        }
    }

    /// Returns the answer at the deadline.
    fn timed_out(&self) -> Reply {
        match self {
            Self::Register { replicas, .. } => Written::Name.timed_out(at_least(*replicas)),
            Self::Unregister { .. } => Reply::Unregister(Err(UnregisterError::TimedOut)),
            Self::Update { .. } => Reply::Update(Err(UpdateError::TimedOut)),
            Self::JoinGroup { .. } => Reply::JoinGroup(Err(JoinGroupError::TimedOut)),
            Self::LeaveGroup { .. } => Reply::LeaveGroup(Err(LeaveGroupError::TimedOut)),
        }
    }
}

/// Returns how many members `replicas` are at least, when nobody can say any more.
fn at_least(replicas: Replicas) -> usize {
    match replicas {
        Replicas::One => 1,
        Replicas::Two | Replicas::Majority | Replicas::All => Replicas::TWO,
    }
}

impl Wait {
    /// Returns the child whose changes matter to it.
    fn child(&self) -> Option<ChildKey> {
        match self {
            Self::Start { key, .. }
            | Self::Found { key, .. }
            | Self::Restarted { key, .. }
            | Self::Terminate { key, .. } => Some(*key),
            Self::Granted { .. }
            | Self::Replicated { .. }
            | Self::Forwarded { .. }
            | Self::Shown { .. }
            | Self::CatchUp { .. }
            | Self::Evict { .. }
            | Self::Call
            | Self::Leave
            | Self::Quorum
            | Self::VotersChanged
            | Self::Settled => None,
        }
    }

    /// Returns the entry whose spreading matters to it: a journal, and a version there.
    fn entry(&self) -> Option<(&Replica, Version)> {
        match self {
            Self::Start { entry, .. } | Self::Terminate { entry, .. } => {
                entry.as_ref().map(|(journal, version)| (journal, *version))
            }
            Self::Replicated { journal, version, .. } | Self::Shown { journal, version, .. } => {
                Some((journal, *version))
            }
            Self::CatchUp { behind: (journal, version), .. } => Some((journal, *version)),
            Self::Found { .. }
            | Self::Granted { .. }
            | Self::Restarted { .. }
            | Self::Forwarded { .. }
            | Self::Evict { .. }
            | Self::Call
            | Self::Leave
            | Self::Quorum
            | Self::VotersChanged
            | Self::Settled => None,
        }
    }

    /// Returns the answer at the deadline.
    pub(crate) fn timed_out(&self, timeout: Duration) -> Reply {
        match self {
            Self::Start { key, .. } | Self::Found { key, .. } => {
                Reply::Start(Err(StartChildError::TimedOut { child: key.1 }))
            }
            Self::Restarted { key, .. } => {
                Reply::Restart(Err(RestartChildError::TimedOut { child: key.1 }))
            }
            Self::Terminate { key, .. } => {
                Reply::Terminate(Err(TerminateError::TimedOut { child: key.1 }))
            }
            Self::Granted { seat: (_, name), .. } => {
                let name = name.clone();
                Reply::Register(Err(RegisterError::NotGranted { name }))
            }
            Self::Replicated { written, replicas, .. } => written.timed_out(at_least(*replicas)),
            Self::Forwarded { asked } | Self::Shown { asked, .. } => asked.timed_out(),
            Self::CatchUp { .. } => Reply::CatchUp(Err(CatchUpError::NotReady)),
            Self::Evict { replica } => {
                let node = replica.node().clone();
                Reply::Evict(Err(EvictError::TimedOut { node }))
            }
            Self::Call => Reply::Call(Err(CallError::TimedOut { timeout })),
            Self::Leave => {
                let (unaware, unshared) = (Vec::new(), Vec::new());
                Reply::Leave(Err(LeaveError::TimedOut { remaining: 0, unaware, unshared }))
            }
            // With a deadline the node says how many were up; it has none once it is over.
            Self::Quorum => Reply::AwaitQuorum(Err(QuorumError::NotReady)),
            Self::VotersChanged => Reply::ChangeVoters(Err(ChangeVotersError::NotReady)),
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
