//! Leases, as far as a node is a voter, or holds some.

use crate::crdt::{Change, Version};
use crate::entry::{ClaimEntry, Entry, Key, LeasedEntry};
use crate::lease::{LeaseKey, News, Voter, ballot, ballot_of_name};
use crate::membership::Presence;
use crate::message::{LeaseReply, LeaseRequest, Message};
use crate::node::Node;
use crate::{Blob, Event, NodeId, Output, Replica, Voters};

/// What a claim says of itself to voters and holders.
struct Claimed {
    number: u64,
    ballot: u64,
    /// Whether it was granted once.
    has_run: bool,
}

impl Claimed {
    /// Returns what `value` says, which stands in a journal under `key`, if it can be read here.
    fn read(key: &LeaseKey, value: &Blob) -> Option<Self> {
        Some(match key {
            LeaseKey::Child(..) => {
                let entry = ClaimEntry::decode(value)?;
                let (number, ballot) = (entry.standing.number, ballot(&entry));
                Self { number, ballot, has_run: entry.running }
            }
            LeaseKey::Name(..) => {
                let entry = LeasedEntry::decode(value)?;
                let (number, ballot) = (entry.standing.number, ballot_of_name(&entry));
                Self { number, ballot, has_run: entry.granted }
            }
        })
    }
}

/// Tells `voter` that the journal of `life` claims `key` at `version`, and what it says there.
fn tell(
    voter: &mut Voter,
    life: &Replica,
    key: LeaseKey,
    version: Version,
    claimed: Option<&Claimed>,
) {
    let has_run = claimed.is_some_and(|claimed| claimed.has_run);
    voter.handle_claimed(life, key, version, claimed.map(|claimed| claimed.ballot), has_run);
}

impl Node {
    /// Returns how many voters are up, as this node sees it, and how many there are.
    pub(super) fn voters_up(&self) -> (usize, usize) {
        let Some(voters) = &self.config.voters else { return (0, 0) };
        let up: alloc::collections::BTreeSet<&NodeId> =
            self.visible.iter().map(Replica::node).collect();
        (voters.nodes.iter().filter(|node| up.contains(node)).count(), voters.nodes.len())
    }

    /// Returns whether more than half of the voters are up, as this node sees it.
    pub(super) fn has_majority(&self) -> bool {
        let (up, _) = self.voters_up();
        self.config.voters.as_ref().is_some_and(|voters| voters.majority() <= up)
    }

    /// Returns whether there are sessions with so many voters that they could grant something; one
    /// that is up may be out of reach from here.
    pub(super) fn reaches_majority(&self) -> bool {
        let majority = self.config.voters.as_ref().map(Voters::majority);
        majority.is_some_and(|majority| majority <= self.voters_reached().0)
    }

    /// Returns with how many voters there are sessions, and how many voters there are.
    pub(super) fn voters_reached(&self) -> (usize, usize) {
        let Some(voters) = &self.config.voters else { return (0, 0) };
        let is_reached = |node: &&NodeId| **node == self.config.id || self.membership.is_open(node);
        (voters.nodes.iter().filter(is_reached).count(), voters.nodes.len())
    }

    /// Tells all whether this node reaches a majority of the voters, at a beat: who does not is
    /// passed over where a lease is needed. That it does not is said once it has lasted, so that a
    /// link that comes and goes sends nobody's children about.
    pub(super) fn say_whether_leases_are_granted(&mut self) {
        let reaches = self.reaches_majority();
        if reaches {
            self.reached_at = self.now;
        }
        let has_lasted = self.reached_at + self.config.failure_timeout <= self.now;
        let can_lease = reaches || self.can_lease && !has_lasted;
        if self.can_lease != can_lease && self.presence == Presence::Here {
            self.can_lease = can_lease;
            self.write_member(self.presence);
            self.members_changed = true;
        }
    }

    /// Tells the user if a majority came or went.
    pub(super) fn tell_majority(&mut self) {
        let is_up = self.targets.outlook().has_majority;
        if self.config.voters.is_some() && is_up != self.said_majority {
            self.said_majority = is_up;
            let (up, of) = self.voters_up();
            self.outputs.push_back(Output::Event(Event::Majority { is_up, up, of }));
        }
    }

    fn is_leased(&self, key: &LeaseKey) -> bool {
        match key {
            LeaseKey::Child(scope, _) => self.modes.is_exclusive(*scope),
            LeaseKey::Name(scope, _) => self.modes.leases_names(*scope),
        }
    }

    /// Tells `voter`, which has just become one, of all that is claimed in the journals held here.
    pub(super) fn tell_claims(&self, voter: &mut Voter) {
        let lives = self.replication.replicas().filter(|life| !self.retired.contains(*life));
        for life in lives {
            let journal = self.replication.journal(life);
            for (bytes, version, value) in journal.into_iter().flat_map(|journal| journal.iter()) {
                let key = Key::decode(bytes).and_then(LeaseKey::of);
                if let Some(key) = key.filter(|key| self.is_leased(key)) {
                    let claimed = Claimed::read(&key, value);
                    tell(voter, life, key, version, claimed.as_ref());
                }
            }
        }
    }

    /// Takes in a change of a claim on what is had under a lease.
    pub(super) fn handle_lease_claim(&mut self, replica: &Replica, key: LeaseKey, change: &Change) {
        if !self.is_leased(&key) {
            return;
        }
        let is_ours = self.me.as_ref() == Some(replica);
        let Some(value) = &change.after else {
            if let Some(voter) = &mut self.voter {
                voter.handle_released(self.now, replica, &key);
            }
            if let Some(holder) = self.holder.as_mut().filter(|_| is_ours) {
                holder.handle_withdrawn(&key);
            }
            return;
        };
        let version = self.replication.journal(replica).and_then(|held| held.version(&change.key));
        let Some(version) = version else { return };
        let claimed = Claimed::read(&key, value);
        if let Some(voter) = &mut self.voter {
            tell(voter, replica, key.clone(), version, claimed.as_ref());
        }
        if let (Some(holder), Some(claimed)) = (self.holder.as_mut().filter(|_| is_ours), claimed) {
            holder.handle_claimed(self.now, key, claimed.number, version, claimed.ballot);
        }
    }

    /// Takes in that `from` asks for all that it claims.
    pub(super) fn handle_lease_request(&mut self, from: &Replica, request: LeaseRequest) {
        let epoch = self.config.voters.as_ref().map(|voters| voters.epoch);
        if epoch != Some(request.epoch) {
            // One of the two has not heard of the last change of the voters.
            return self.tell_electorate(from.node());
        }
        let have = self.replication.closed_head(from);
        let Some(voter) = &mut self.voter else {
            return self.refuse(from, "it asks for leases as if this were a voter");
        };
        for reply in voter.handle_request(self.now, from, request.attempt, have) {
            self.send(&from.node().clone(), Message::LeaseReply(reply));
        }
    }

    /// Takes in what a voter grants.
    pub(super) fn handle_lease_reply(&mut self, from: &Replica, reply: LeaseReply) {
        let is_ours = self.me.as_ref().is_some_and(|me| me.key() == reply.session);
        if let Some(holder) = self.holder.as_mut().filter(|_| is_ours) {
            holder.handle_reply(self.now, from.node(), &reply);
        }
    }

    /// Ends the processes whose leases have ended, before anything else is taken in, with all that
    /// follows; but places nothing, as nobody has looked yet who is still there.
    pub(super) fn lapse(&mut self) {
        let Some(holder) = &mut self.holder else { return };
        holder.lapse(self.now);
        let mut has_news = false;
        while let Some(news) = self.next_news() {
            has_news = true;
            self.carry_out_news(news);
        }
        while has_news && self.carry_out_next() {}
    }

    pub(super) fn next_news(&mut self) -> Option<News> {
        self.holder.as_mut()?.poll_news()
    }

    pub(super) fn carry_out_news(&mut self, news: News) {
        match news {
            News::Granted { key: LeaseKey::Name(scope, name), number, until } => {
                self.handle_name_granted(&(scope, name), number, until);
            }
            News::Granted { key: LeaseKey::Child(..), number, until } => {
                self.with_supervisor(|supervisor, around| {
                    supervisor.handle_granted(around, number, until);
                });
            }
            News::Renewed { until, mut but } => {
                but.extend(self.supervisor.fading());
                self.outputs.push_back(Output::Renew { until, but });
            }
            News::Lapsed { key: LeaseKey::Name(scope, name), number } => {
                self.handle_name_lapsed(&(scope, name), number);
            }
            News::Lapsed { key: LeaseKey::Child(..), number } => {
                self.supervisor.handle_lapsed(number);
            }
            News::Ungranted { key: LeaseKey::Name(scope, name), number, ballot, is_outbid } => {
                self.handle_name_ungranted(&(scope, name), number, ballot, is_outbid);
            }
            News::Ungranted { key: LeaseKey::Child(..), number, ballot, is_outbid } => {
                self.supervisor.handle_ungranted(self.now, number, ballot, is_outbid);
            }
            News::Ask { to, message } => {
                if to == self.config.id || self.membership.is_open(&to) {
                    self.send(&to, message);
                }
            }
        }
    }

    /// Forgets what no lease needs any more, once a beat.
    pub(super) fn tidy_leases(&mut self) {
        let supervisor = &self.supervisor;
        let has_ended = |key: &LeaseKey| match key {
            LeaseKey::Child(scope, child) => {
                supervisor.child(&(*scope, *child)).map(|child| child.end.is_some())
            }
            // A name has no end: what is known of it is known until it would not count any more.
            LeaseKey::Name(..) => None,
        };
        if let Some(voter) = &mut self.voter {
            voter.tidy(self.now, has_ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Address, ChildId, Config, Incarnation, Scope, Time, Voters};

    fn life(node: &str, counter: u64) -> Replica {
        Replica::new(NodeId::new(node).unwrap(), Incarnation { counter, nonce: counter })
    }

    /// Each life counts its requests from one on, so that the answers to an earlier one look like
    /// those to the present one. Voters have promised the present one nothing by them.
    #[test]
    fn what_voters_answer_to_an_earlier_life_grants_nothing() {
        let voters = ["n1", "n2", "n3"];
        let nodes = voters.map(|node| NodeId::new(node).unwrap());
        let mut config = Config::new(nodes[0].clone(), Address::new("n1").unwrap());
        config.voters = Some(Voters::new(nodes));
        let mut node = Node::new(config, 1, Time::ZERO);
        let (earlier, present) = (life("n1", 1), life("n1", 2));
        node.me = Some(present.clone());

        let key = LeaseKey::Child(Scope::named("payments"), ChildId::from_bytes([3; 16]));
        let holder = node.holder.as_mut().unwrap();
        holder.handle_claimed(Time::ZERO, key, 1, 1, 7);
        holder.handle_flush(Time::ZERO, 1);
        while node.next_news().is_some() {}
        let mut answer = |session: &Replica| {
            for voter in voters {
                let reply = LeaseReply {
                    session: session.key(),
                    epoch: 1,
                    attempt: 1,
                    part: 0,
                    parts: 1,
                    have: 1,
                    refused: alloc::vec::Vec::new(),
                    abstains_ms: 0,
                };
                node.handle_lease_reply(&life(voter, 1), reply);
            }
            node.next_news()
        };
        assert_eq!(answer(&earlier), None);
        let granted = answer(&present);
        assert!(matches!(granted, Some(News::Granted { number: 1, .. })), "{granted:?}");
    }
}
