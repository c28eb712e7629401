//! Which connection is the session, where two nodes have several. No I/O.
//!
//! Both ends must keep the same connection, whoever dials, whatever crosses on the way, and a peer
//! that lost a session (it restarted, its cable was pulled) must get in while we still hold the
//! dead one. Every connection is decided by its acceptor, once, on what its dialer *states*:
//! which sessions with us it holds or awaits, under a number that its transport counts up. So the
//! acceptor knows whether the statement is newer than what it knows of the dialer:
//!
//! 1. The statement names the session that we hold: it is alive at both ends, refuse.
//! 2. The same life of the peer, with an older number than the one that made our session: the
//!    statement was overtaken by our session, refuse.
//! 3. Otherwise the peer does not have what we hold: our session is dead, the new one replaces it.
//! 4. If we hold none and await a verdict on our own dial to the same life: the connection dialled
//!    by the smaller node survives. The smaller one refuses; the larger one admits, unless the
//!    statement names our dial, which is then admitted already.
//!
//! A refused dialer that has no session tries again later, with a newer number; since a verdict is
//! awaited for seconds at most, that ends.

use std::collections::BTreeMap;

use ordu_core::NodeId;

use crate::handshake::{Peer, SessionId, Statement, Verdict};

/// Most sessions that a statement names; more dials to one peer at once are none of ours.
const HOLDS_MAX: usize = 16;

/// The sessions of one node, at most one with each peer; `S` is what one is to its owner.
///
/// Invariant: a peer is in the table exactly while we hold a session with it or await a verdict.
pub(crate) struct Table<S> {
    us: NodeId,
    number: u64,
    peers: BTreeMap<NodeId, Rivals<S>>,
}

struct Rivals<S> {
    held: Option<Held<S>>,
    /// The life of the peer that each dial reached.
    awaited: BTreeMap<SessionId, u64>,
}

struct Held<S> {
    id: SessionId,
    life: u64,
    /// The number of the peer's statement or verdict that made the session.
    number: u64,
    session: S,
}

/// What became of a connection.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Outcome<S> {
    /// It is the session now; the one before is to be ended.
    Admitted {
        /// The session that it replaces.
        replaced: Option<S>,
    },
    /// It is not; whether there is a session with the peer nevertheless.
    Refused {
        /// Whether there is.
        connected: bool,
    },
}

impl<S: Clone> Table<S> {
    /// Returns the table of node `us`, which has no session.
    pub(crate) fn new(us: NodeId) -> Self {
        Self { us, number: 0, peers: BTreeMap::new() }
    }

    /// Returns what to state on a connection that we dialled and that reached `peer`. A verdict is
    /// awaited until [`Table::settle`] or [`Table::abandon`].
    pub(crate) fn state(&mut self, peer: &Peer) -> Statement {
        self.number += 1;
        let rivals = self.rivals(&peer.node);
        let held = rivals.held.as_ref().map(|held| held.id);
        let holds: Vec<SessionId> =
            held.into_iter().chain(rivals.awaited.keys().copied()).take(HOLDS_MAX).collect();
        let before = rivals.awaited.insert(peer.session, peer.life);
        assert!(before.is_none(), "no two connections are called alike");
        Statement { number: self.number, holds }
    }

    /// Decides on a connection that `peer` dialled; `session` is what it is to be if admitted.
    pub(crate) fn decide(
        &mut self,
        peer: &Peer,
        statement: &Statement,
        session: S,
    ) -> (Verdict, Outcome<S>) {
        self.number += 1;
        let number = self.number;
        let ours_preferred = self.us < peer.node;
        let rivals = self.rivals(&peer.node);
        let outcome = if rivals.refuses(peer, statement, ours_preferred) {
            Outcome::Refused { connected: rivals.held.is_some() }
        } else {
            rivals.hold(peer, statement.number, session)
        };
        self.prune(&peer.node);
        let admitted = matches!(outcome, Outcome::Admitted { .. });
        (Verdict { admitted, number }, outcome)
    }

    /// Takes in the verdict on a connection that we dialled.
    pub(crate) fn settle(&mut self, peer: &Peer, verdict: Verdict, session: S) -> Outcome<S> {
        let rivals = self.rivals(&peer.node);
        let awaited = rivals.awaited.remove(&peer.session);
        assert!(awaited == Some(peer.life), "a verdict is on what was stated");
        let overtaken = rivals
            .held
            .as_ref()
            .is_some_and(|held| held.life == peer.life && verdict.number < held.number);
        let outcome = if verdict.admitted && !overtaken {
            rivals.hold(peer, verdict.number, session)
        } else {
            Outcome::Refused { connected: rivals.held.is_some() }
        };
        self.prune(&peer.node);
        outcome
    }

    /// Gives up a connection that we dialled; nothing changes if no verdict on it is awaited.
    pub(crate) fn abandon(&mut self, peer: &Peer) {
        if let Some(rivals) = self.peers.get_mut(&peer.node) {
            rivals.awaited.remove(&peer.session);
        }
        self.prune(&peer.node);
    }

    /// Removes the session called `id` with `node`, if it is the one that is held.
    pub(crate) fn end(&mut self, node: &NodeId, id: SessionId) {
        if let Some(rivals) = self.peers.get_mut(node)
            && rivals.held.as_ref().is_some_and(|held| held.id == id)
        {
            rivals.held = None;
        }
        self.prune(node);
    }

    /// Iterates over the sessions, in the order of the peers' names.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = &S> {
        self.peers.values().filter_map(|rivals| Some(&rivals.held.as_ref()?.session))
    }

    /// Returns the session held with `node`.
    #[cfg(test)]
    fn held(&self, node: &NodeId) -> Option<SessionId> {
        Some(self.peers.get(node)?.held.as_ref()?.id)
    }

    fn rivals(&mut self, node: &NodeId) -> &mut Rivals<S> {
        assert!(*node != self.us, "nobody has a session with itself");
        let none = || Rivals { held: None, awaited: BTreeMap::new() };
        self.peers.entry(node.clone()).or_insert_with(none)
    }

    fn prune(&mut self, node: &NodeId) {
        let empty = |rivals: &Rivals<S>| rivals.held.is_none() && rivals.awaited.is_empty();
        if self.peers.get(node).is_some_and(empty) {
            self.peers.remove(node);
        }
    }
}

impl<S> Rivals<S> {
    fn refuses(&self, peer: &Peer, statement: &Statement, ours_preferred: bool) -> bool {
        if let Some(held) = &self.held {
            if statement.holds.contains(&held.id) {
                return true;
            }
            if held.life == peer.life && statement.number < held.number {
                return true;
            }
        }
        let mut awaited = self.awaited.iter().filter(|&(_, &life)| life == peer.life);
        awaited.any(|(id, _)| ours_preferred || statement.holds.contains(id))
    }

    fn hold(&mut self, peer: &Peer, number: u64, session: S) -> Outcome<S> {
        let held = Held { id: peer.session, life: peer.life, number, session };
        let replaced = self.held.replace(held).map(|before| before.session);
        Outcome::Admitted { replaced }
    }
}

#[cfg(test)]
mod tests;
