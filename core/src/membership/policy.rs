//! What operators say of who is a member: a list of those who may be, and lives that shall go.
//!
//! Both are decided in shared state that every member reads, and each acts on its own: who finds
//! itself unwanted leaves, as if it had been asked to; who finds another one unwanted waits for
//! that, unless the other is down or was to go at once. A node that is not on the list is told so
//! when it asks to join.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Membership, Output, Phase, State, Verdict};
use crate::message::{Excluded, Message};
use crate::{ExitReason, Incarnation, NodeId, Replica, ReplicaKey, Time};

/// What operators decided.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Policy {
    /// Who may be a member; anybody, if there is no list.
    listed: Option<BTreeSet<NodeId>>,
    /// The last life of a node that shall go, with all before it.
    evicted: BTreeMap<NodeId, Eviction>,
}

/// Lives that shall go.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Eviction {
    /// The last of them.
    pub(crate) incarnation: Incarnation,
    /// Whether they are over whatever they do.
    pub(crate) at_once: bool,
}

/// Why a life shall be no member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Unwanted {
    Evicted,
    NotListed,
}

impl Unwanted {
    /// Returns what the node is over for once it has gone.
    fn reason(self) -> ExitReason {
        match self {
            Self::Evicted => ExitReason::Evicted,
            Self::NotListed => ExitReason::NotListed,
        }
    }
}

impl Policy {
    /// Returns whether a node of this name may be a member.
    fn lists(&self, node: &NodeId) -> bool {
        self.listed.as_ref().is_none_or(|listed| listed.contains(node))
    }

    /// Returns why `node` shall be no member with a life of `incarnation`, if it shall not.
    fn verdict(&self, node: &NodeId, incarnation: Incarnation) -> Option<Unwanted> {
        let evicted = self.evicted.get(node);
        if evicted.is_some_and(|evicted| incarnation <= evicted.incarnation) {
            return Some(Unwanted::Evicted);
        }
        (!self.lists(node)).then_some(Unwanted::NotListed)
    }

    /// Returns whether the life of `node` was to go at once.
    pub(super) fn is_cast_out(&self, node: &NodeId, incarnation: Incarnation) -> bool {
        let evicted = self.evicted.get(node).filter(|evicted| evicted.at_once);
        evicted.is_some_and(|evicted| incarnation <= evicted.incarnation)
    }
}

impl Membership {
    /// Returns who may be a member; anybody if `None`.
    pub(crate) fn listed(&self) -> Option<&BTreeSet<NodeId>> {
        self.policy.listed.as_ref()
    }

    /// Takes in who may be a member: `listed` alone, or anybody.
    pub(crate) fn handle_list(&mut self, now: Time, listed: Option<BTreeSet<NodeId>>) {
        self.advance(now);
        self.policy.listed = listed;
        self.enforce();
    }

    /// Takes in which lives of `node` shall go; `None` if none shall that anybody remembers.
    pub(crate) fn handle_evicted(&mut self, now: Time, node: &NodeId, evicted: Option<Eviction>) {
        self.advance(now);
        match evicted {
            Some(evicted) => self.policy.evicted.insert(node.clone(), evicted),
            None => self.policy.evicted.remove(node),
        };
        self.enforce();
    }

    /// Takes in that `from` takes us for no member: it does not let us join, or our life is over.
    ///
    /// A joiner asks everybody else as well: the list of one member may be an old one.
    pub(crate) fn handle_excluded(&mut self, now: Time, from: &NodeId, excluded: &Excluded) {
        self.advance(now);
        let (life, reason) = match *excluded {
            Excluded::NotListed => return self.be_turned_away(from),
            Excluded::Evicted(life) => (life, ExitReason::Evicted),
            Excluded::Delisted(life) => (life, ExitReason::NotListed),
        };
        if matches!(self.phase, Phase::Joined) && self.incarnation() <= life {
            self.be_excluded(reason);
        }
    }

    /// Returns whether some life of `node` is remembered that is not above `incarnation`.
    pub(crate) fn remembers(&self, node: &NodeId, incarnation: Incarnation) -> bool {
        let mut lives = self.lives.values().map(|life| &life.replica);
        lives.any(|life| life.node() == node && life.incarnation() <= incarnation)
    }

    /// Tells a node that asks to join whether it may not; returns whether it may.
    pub(super) fn may_join(&mut self, node: &NodeId) -> bool {
        if self.policy.lists(node) {
            return true;
        }
        let message = Message::Excluded(Excluded::NotListed);
        self.outputs.push_back(Output::Send { to: node.clone(), message });
        false
    }

    /// Refuses what `peer` says in a life that operators wanted to go; it is told so.
    ///
    /// If they do not want it any more, it has to take a new one: this one has been mourned.
    pub(super) fn refuse_excluded(&mut self, peer: &NodeId, incarnation: Incarnation) -> Verdict {
        match self.policy.verdict(peer, incarnation) {
            Some(Unwanted::Evicted) => {
                self.rebuff(peer, Message::Excluded(Excluded::Evicted(incarnation)));
            }
            Some(Unwanted::NotListed) => {
                self.rebuff(peer, Message::Excluded(Excluded::Delisted(incarnation)));
            }
            None => self.deny(peer, incarnation.counter),
        }
        self.refuse_stale()
    }

    /// Lets go whoever shall be no member, ourselves included.
    pub(super) fn enforce(&mut self) {
        let lives = self.nodes.values().filter_map(|known| known.current);
        let unwanted: Vec<(ReplicaKey, Unwanted)> = lives
            .filter_map(|key| {
                let replica = &self.lives[&key].replica;
                Some((key, self.policy.verdict(replica.node(), replica.incarnation())?))
            })
            .collect();
        for (key, unwanted) in unwanted {
            let life = &self.lives[&key];
            let (node, incarnation) = (life.replica.node(), life.replica.incarnation());
            let at_once = self.policy.is_cast_out(node, incarnation);
            if self.own != Some(key) {
                let is_gone = match life.state {
                    State::Down | State::Returning { .. } => true,
                    State::Alive | State::Suspect | State::Retired => false,
                };
                if at_once || is_gone {
                    self.retire(key, false);
                }
            } else if at_once {
                self.be_excluded(unwanted.reason());
            } else if !self.leaving && matches!(self.phase, Phase::Joined) {
                self.outputs.push_back(Output::Unwanted(unwanted.reason()));
            }
        }
    }

    pub(super) fn be_excluded(&mut self, reason: ExitReason) {
        if !matches!(self.phase, Phase::Idle | Phase::Over) {
            self.phase = Phase::Over;
            self.outputs.push_back(Output::Excluded(reason));
        }
    }

    /// Returns whether `replica` was to go at once, so that nothing it says counts.
    pub(crate) fn is_cast_out(&self, replica: &Replica) -> bool {
        self.policy.is_cast_out(replica.node(), replica.incarnation())
    }
}
