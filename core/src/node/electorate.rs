//! Who the voters are, as this node goes by, and its part in changing them.

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::time::Duration;

use crate::electorate::{
    Acceptor, Ballot, EPOCHS_MAX, Electorate, Persist, Proposal, Verdict, Vote, VoterChange,
};
use crate::lease::{Voter, Voters};
use crate::message::Message;
use crate::node::Node;
use crate::requests::Wait;
use crate::{ChangeVotersError, Event, NodeId, Output, Replica, Reply, Time};

impl Node {
    /// Returns the voters that it goes by; `None` if it was told of none.
    pub fn electorate(&self) -> Option<&Electorate> {
        self.acceptor.as_ref().map(Acceptor::electorate)
    }

    /// Changes the voters for a user.
    pub(super) fn change_voters(&mut self, ticket: u64, timeout: Duration, change: VoterChange) {
        let refused = |error| Reply::ChangeVoters(Err(error));
        if self.acceptor.is_none() {
            return self.reply(ticket, refused(ChangeVotersError::NoVoters));
        }
        if let VoterChange::Add(node) = &change
            && *node != self.config.id
            && !self.visible.iter().any(|replica| replica.node() == node)
        {
            let node = node.clone();
            return self.reply(ticket, refused(ChangeVotersError::Unknown { node }));
        }
        self.wait(ticket, timeout, Wait::VotersChanged);
        self.proposer.ask(self.now, ticket, change);
    }

    /// Returns why the voters were not changed by the deadline of a request.
    pub(super) fn not_changed(&mut self, ticket: u64) -> ChangeVotersError {
        let Some(acceptor) = &self.acceptor else { return ChangeVotersError::NoVoters };
        self.proposer.cancel(self.now, ticket, acceptor.electorate())
    }

    /// Begins, repeats or goes on with what this node proposes, if it is time.
    pub(super) fn handle_proposer_timeout(&mut self) {
        if let (Some(acceptor), Some(me)) = (&self.acceptor, &self.me) {
            self.proposer.handle_timeout(self.now, me.key(), acceptor.electorate());
        }
        self.carry_out_verdicts();
    }

    /// Brings what was accepted here to a decision if its proposer does not, once a beat.
    pub(super) fn finish_changes(&mut self) {
        let unfinished = self.acceptor.as_mut().and_then(|own| own.unfinished(self.now));
        if let Some(nodes) = unfinished {
            self.proposer.finish(self.now, nodes);
        }
    }

    /// Returns when there is anything to propose again, once there is a life that could.
    pub(super) fn next_proposal(&self) -> Option<Time> {
        self.me.as_ref().and_then(|_| self.proposer.poll_timeout())
    }

    fn carry_out_verdicts(&mut self) {
        while let Some(verdict) = self.proposer.poll_verdict() {
            match verdict {
                Verdict::Send(to, proposal) => {
                    if to == self.config.id || self.membership.is_open(&to) {
                        self.send(&to, Message::Proposal(proposal));
                    }
                }
                Verdict::Decided(electorate) => {
                    self.go_by(electorate.clone());
                    let peers: Vec<NodeId> = self.membership.peers().cloned().collect();
                    for peer in peers {
                        self.send(&peer, Message::Electorate(electorate.clone()));
                    }
                }
                Verdict::Answer(ticket, result) => {
                    if self.requests.request(ticket).is_some() {
                        self.reply(ticket, Reply::ChangeVoters(result));
                    }
                }
            }
        }
    }

    /// Takes in that `from` asks for our word on other voters.
    pub(super) fn handle_proposal(&mut self, from: &Replica, proposal: Proposal) {
        let Some(acceptor) = &mut self.acceptor else { return };
        let electorate = acceptor.electorate();
        if proposal.epoch != electorate.epoch {
            return self.tell_electorate(from.node());
        }
        let Ballot { round, proposer } = proposal.ballot;
        if proposer != from.key() || EPOCHS_MAX <= round {
            return self.refuse(from, "it proposes other voters by a ballot that is not its own");
        }
        if proposal.nodes.as_ref().is_some_and(|nodes| !electorate.may_become(nodes)) {
            return self.refuse(from, "it proposes other voters than one more or one less");
        }
        match acceptor.handle_proposal(self.now, from.node(), proposal) {
            Ok(persist) => persist.into_iter().for_each(|persist| self.persist(persist)),
            Err(vote) => self.send(&from.node().clone(), Message::Vote(vote)),
        }
    }

    fn persist(&mut self, persist: Persist) {
        let Persist { number, record } = persist;
        self.outputs.push_back(Output::Persist { number, record });
    }

    /// Takes in that something is stored, or could not be.
    pub(super) fn handle_persisted(&mut self, number: u64, is_stored: bool) {
        let acceptor = self.acceptor.as_mut();
        let said = acceptor.and_then(|acceptor| acceptor.handle_stored(number, is_stored));
        if let (Some((to, vote)), Some(_)) = (said, &self.me) {
            self.send(&to, Message::Vote(vote));
        }
    }

    /// Takes in a voter's word on what this node proposes.
    pub(super) fn handle_vote(&mut self, from: &Replica, vote: Vote) {
        self.proposer.handle_vote(self.now, from.node(), vote);
        self.carry_out_verdicts();
    }

    /// Takes in by which voters `from` goes: by those that follow ours we go, too, and those that
    /// ours follow are told so.
    pub(super) fn handle_electorate(&mut self, from: &NodeId, theirs: Electorate) {
        let Some(ours) = self.acceptor.as_ref().map(|own| own.electorate().clone()) else { return };
        if !theirs.is_sound() || !theirs.is_kin(&ours) {
            // The greeting said otherwise; the next one ends the session.
            return;
        }
        match theirs.epoch.cmp(&ours.epoch) {
            Ordering::Greater => self.go_by(theirs),
            // The same, of which they know more.
            Ordering::Equal if ours.lineage.len() < theirs.lineage.len() => self.go_by(theirs),
            Ordering::Equal => (),
            Ordering::Less => self.tell_electorate(from),
        }
    }

    /// Tells `to` by which voters this node goes.
    pub(super) fn tell_electorate(&mut self, to: &NodeId) {
        if let Some(acceptor) = &self.acceptor {
            let message = Message::Electorate(acceptor.electorate().clone());
            self.send(to, message);
        }
    }

    /// Goes by `electorate` from now on, which was decided and follows the one before.
    fn go_by(&mut self, electorate: Electorate) {
        let (Some(acceptor), Some(voters)) = (&mut self.acceptor, &mut self.config.voters) else {
            return;
        };
        let is_new = acceptor.electorate().epoch < electorate.epoch;
        let persist = acceptor.handle_electorate(self.now, electorate.clone());
        (voters.epoch, voters.nodes) = (electorate.epoch, electorate.nodes.clone());
        let voters = voters.clone();
        if let Some(persist) = persist {
            self.persist(persist);
        }
        self.membership.handle_electorate(&electorate);
        if !is_new {
            return;
        }
        self.be_voter_or_not(&voters);
        if let Some(holder) = &mut self.holder {
            holder.handle_voters(self.now, voters);
        }
        self.proposer.handle_electorate(self.now, &electorate);
        self.members_changed = true;
        self.outputs.push_back(Output::Event(Event::VotersChanged { electorate }));
        self.carry_out_verdicts();
    }

    /// Grants leases as one of `voters`, or does so no more. One that was a voter before keeps what
    /// it has promised; what one has promised that becomes one again is over, as a promise has to
    /// pass between two changes.
    fn be_voter_or_not(&mut self, voters: &Voters) {
        if !voters.nodes.contains(&self.config.id) {
            self.voter = None;
            return;
        }
        if let Some(voter) = &mut self.voter {
            return voter.handle_epoch(voters.epoch);
        }
        let mut voter = Voter::new(voters, self.began);
        self.tell_claims(&mut voter);
        self.voter = Some(voter);
    }
}
