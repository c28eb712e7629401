//! How a node ends: it leaves, or a later life of it takes over.

use alloc::vec::Vec;
use core::time::Duration;

use crate::entry::Key;
use crate::membership::Presence;
use crate::node::Node;
use crate::requests::Wait;
use crate::{ExitReason, LeaveError, NodeId, Output, Replica, Reply};

impl Node {
    pub(super) fn leave(&mut self, ticket: u64, timeout: Duration) {
        self.wait(ticket, timeout, Wait::Leave);
        if self.me.is_none() {
            return self.exit(ExitReason::Left);
        }
        self.begin_to_leave();
    }

    pub(super) fn begin_to_leave(&mut self) {
        if matches!(self.presence, Presence::Arriving | Presence::Here) {
            self.arrival = None;
            self.membership.leave(self.now);
            self.write_member(Presence::Leaving);
            self.members_changed = true;
            self.supervisor.handle_leave();
        }
    }

    /// Goes on with leaving: says so for good once no child is left, and exits once all know, and
    /// some member that stays has whatever this node has of those that are gone.
    pub(super) fn check_leave(&mut self) {
        if self.presence == Presence::Leaving && self.supervisor.instance_count() == 0 {
            self.write_member(Presence::Left);
        }
        let is_heard = || self.unaware().next().is_none() && self.unshared().next().is_none();
        if self.presence == Presence::Left && is_heard() {
            self.exit(self.exit_as.clone());
        }
    }

    /// Iterates over the others with a session that have not said that they know how we are.
    ///
    /// Whoever knows that we left takes in nothing that we write later, and says so of nothing.
    pub(super) fn unaware(&self) -> impl Iterator<Item = &Replica> {
        let me = self.me.as_ref().expect("only a node that has joined has others to leave");
        let said = self.replication.journal(me).and_then(|own| own.version(&Key::Member.encode()));
        let said = said.expect("a node that has joined has said how it is");
        self.listeners().filter(move |other| self.replication.acked(me, other) < said)
    }

    /// Iterates over the nodes that are gone whose journals matter yet, and of which no member that
    /// stays is known to hold as much as we do; over none if nobody stays.
    ///
    /// What only they and we heard would be lost with us: children that were accepted among it.
    /// Once they have been silent for long, what others may want of them has been adopted, and
    /// nobody who has not heard of them takes them in any more.
    fn unshared(&self) -> impl Iterator<Item = &Replica> {
        let staying: Vec<&Replica> = self.membership.staying().collect();
        let is_fresh = |replica: &Replica| {
            let silence = self.membership.silence(replica, self.now);
            silence.is_some_and(|silence| silence < self.config.forget_after / 2)
        };
        let matters = move |replica: &Replica| {
            if self.retired.contains(replica) || self.adoption.knows(replica) {
                return self.adoption.is_open(replica);
            }
            let is_up = self.me.as_ref() == Some(replica) || self.membership.is_visible(replica);
            !is_up && is_fresh(replica)
        };
        self.replication.replicas().filter(move |replica| {
            let head = self.replication.closed_head(replica);
            let has_it = |other: &&Replica| head <= self.replication.acked(replica, other);
            !staying.is_empty() && matters(replica) && !staying.iter().any(has_it)
        })
    }

    /// Returns whether all members that are up know that `replica` is over: a later life of its
    /// node tells that by itself, and of one that left nobody who has beaten speaks any more.
    pub(super) fn is_known_over(&self, replica: &Replica) -> bool {
        let highest = self.membership.highest(replica.node());
        if highest.is_some_and(|highest| replica.incarnation() < highest.incarnation()) {
            return true;
        }
        let mut others = self.visible.iter().filter(|&member| self.me.as_ref() != Some(member));
        others.all(|member| !self.membership.may_speak_of(member, replica))
    }

    /// Returns what whoever asked this node to leave is told if it ends now.
    pub(super) fn leave_reply(&self) -> Reply {
        let remaining = self.supervisor.instance_count();
        let has_joined = self.me.is_some();
        let unaware = has_joined.then(|| self.unaware()).into_iter().flatten();
        let unaware: Vec<NodeId> = unaware.map(|other| other.node().clone()).collect();
        let unshared = has_joined.then(|| self.unshared()).into_iter().flatten();
        let unshared: Vec<NodeId> = unshared.map(|gone| gone.node().clone()).collect();
        let has_left = !has_joined || self.presence == Presence::Left;
        let is_whole = has_left && remaining == 0 && unaware.is_empty() && unshared.is_empty();
        let error = LeaveError::TimedOut { remaining, unaware, unshared };
        Reply::Leave(if is_whole { Ok(()) } else { Err(error) })
    }

    /// Answers everybody, and ends.
    pub(super) fn exit(&mut self, reason: ExitReason) {
        for ticket in self.requests.tickets() {
            let Some(pending) = self.requests.remove(ticket) else { continue };
            let reply = match (&pending.wait, &reason) {
                (Wait::Leave, ExitReason::Superseded { .. }) => Reply::Leave(Ok(())),
                (
                    Wait::Leave,
                    ExitReason::Left
                    | ExitReason::Evicted
                    | ExitReason::NotListed
                    | ExitReason::Unfit { .. },
                ) => self.leave_reply(),
                (Wait::Evict { replica }, _) if self.me.as_ref() == Some(replica) => {
                    Reply::Evict(Ok(()))
                }
                (wait, _) => wait.timed_out(pending.timeout),
            };
            self.replies.push_back(Output::Reply { ticket, reply });
        }
        self.outputs.append(&mut self.replies);
        self.outputs.push_back(Output::Exit(reason));
        self.is_over = true;
    }
}
