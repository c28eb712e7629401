//! The voter's part in changes of the voters: what it has promised and accepted, and stored.

use alloc::collections::{BTreeSet, VecDeque};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::electorate::{
    Accepted, Ballot, Electorate, Proposal, Vote, VoteAnswer, VoterRecord, VoterStore,
};
use crate::{NodeId, Time};

/// Most answers that wait until they are stored; beyond that the latest are let go of, and asked
/// for again.
const WAITING_MAX: usize = 64;

/// How long whoever proposed something may take to bring it about.
const PATIENCE: Duration = Duration::from_secs(10);

/// Something to store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Persist {
    /// Tells it from the others.
    pub(crate) number: u64,
    /// What to store in place of what is stored.
    pub(crate) record: VoterRecord,
}

/// What a node goes by, and what it has said to proposals.
///
/// What it promises and accepts leaves it once that is stored.
///
/// Invariant: `promised` is no lower than the ballot of `accepted`; both are of this electorate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Acceptor {
    electorate: Electorate,
    promised: Option<Ballot>,
    accepted: Option<Accepted>,
    /// When it was accepted, or since when it was not looked at whether that came to anything.
    accepted_at: Time,
    has_store: bool,
    /// How long a voter keeps what it promises to holders of leases.
    promise: Duration,
    /// From when on all that was granted by the electorate before is over.
    settled_at: Time,
    /// The number of the last thing to be stored.
    stored: u64,
    /// What is said once the thing of that number is stored.
    waiting: VecDeque<(u64, NodeId, Vote)>,
}

impl Acceptor {
    /// Creates the acceptor of a node that has just started and goes by `electorate`, unless a
    /// later one is stored; `promise` is how long voters keep their promises.
    pub(crate) fn new(
        electorate: Electorate,
        store: &VoterStore,
        promise: Duration,
        now: Time,
    ) -> Self {
        let stored = store.record().filter(|record| electorate.epoch <= record.electorate.epoch);
        let (electorate, promised, accepted) = match stored.cloned() {
            Some(VoterRecord { electorate, promised, accepted }) => {
                (electorate, promised, accepted)
            }
            None => (electorate, None, None),
        };
        Self {
            electorate,
            promised,
            accepted,
            accepted_at: now,
            has_store: store.is_there(),
            promise,
            settled_at: now + promise,
            stored: 0,
            waiting: VecDeque::new(),
        }
    }

    /// Returns the voters that this node goes by.
    pub(crate) fn electorate(&self) -> &Electorate {
        &self.electorate
    }

    /// Takes in the voters that were decided on, which follow those that this node goes by; returns
    /// what to store of that.
    pub(crate) fn handle_electorate(
        &mut self,
        now: Time,
        electorate: Electorate,
    ) -> Option<Persist> {
        assert!(self.electorate.epoch <= electorate.epoch, "voters that have been are not again");
        if self.electorate.epoch < electorate.epoch {
            (self.promised, self.accepted) = (None, None);
            self.settled_at = now + self.promise;
            self.waiting.clear();
        }
        self.electorate = electorate;
        self.has_store.then(|| self.persist())
    }

    /// Answers `proposal`, of the electorate that this node goes by: with what to say at once, or
    /// with what to store first; with neither if that is being stored already.
    pub(crate) fn handle_proposal(
        &mut self,
        now: Time,
        from: &NodeId,
        proposal: Proposal,
    ) -> Result<Option<Persist>, Vote> {
        let Proposal { epoch, ballot, nodes } = proposal;
        let vote = |answer| Vote { epoch, ballot, answer };
        if !self.has_store {
            return Err(vote(VoteAnswer::NoStore));
        }
        if now < self.settled_at {
            let left = self.settled_at.since(now).as_micros().div_ceil(1_000);
            let remaining_ms = u64::try_from(left).unwrap_or(u64::MAX);
            return Err(vote(VoteAnswer::Early { remaining_ms }));
        }
        if let Some(promised) = self.promised.filter(|promised| ballot < *promised) {
            // It may not be stored yet; whoever hears of it only tries a higher one.
            return Err(vote(VoteAnswer::Outbid { ballot: promised }));
        }
        self.promised = Some(ballot);
        let answer = match nodes {
            None => VoteAnswer::Promised { accepted: self.accepted.clone() },
            Some(nodes) => {
                self.accepted = Some(Accepted { ballot, nodes });
                self.accepted_at = now;
                VoteAnswer::Accepted
            }
        };
        let said = vote(answer);
        // However often it is asked meanwhile: a disk that is slower than that is not kept busy.
        if self.waiting.iter().any(|(_, to, waits)| (to, waits) == (from, &said)) {
            return Ok(None);
        }
        let persist = self.persist();
        if self.waiting.len() == WAITING_MAX {
            self.waiting.pop_back();
        }
        self.waiting.push_back((persist.number, from.clone(), said));
        Ok(Some(persist))
    }

    /// Returns what was accepted here a while ago and neither decided since nor anything else; then
    /// not again for as long.
    pub(crate) fn unfinished(&mut self, now: Time) -> Option<BTreeSet<NodeId>> {
        let accepted = self.accepted.as_ref()?;
        if now < self.accepted_at + PATIENCE {
            return None;
        }
        self.accepted_at = now;
        Some(accepted.nodes.clone())
    }

    /// Takes in that the thing of that number `is_stored`, or could not be: returns what to say to
    /// whom about it.
    pub(crate) fn handle_stored(&mut self, number: u64, is_stored: bool) -> Option<(NodeId, Vote)> {
        let at = self.waiting.iter().position(|(waits, ..)| *waits == number)?;
        let (_, to, mut vote) = self.waiting.remove(at)?;
        if !is_stored {
            vote.answer = VoteAnswer::NotStored;
        }
        Some((to, vote))
    }

    fn persist(&mut self) -> Persist {
        self.stored += 1;
        let (electorate, promised) = (self.electorate.clone(), self.promised);
        let record = VoterRecord { electorate, promised, accepted: self.accepted.clone() };
        Persist { number: self.stored, record }
    }
}
