//! How a node ends: it leaves, or a later life of it takes over.

use core::time::Duration;

use crate::membership::Presence;
use crate::node::Node;
use crate::requests::Wait;
use crate::{ExitReason, Output, Reply};

impl Node {
    pub(super) fn leave(&mut self, ticket: u64, timeout: Duration) {
        self.wait(ticket, timeout, Wait::Leave);
        if self.me.is_none() {
            return self.exit(ExitReason::Left);
        }
        if self.presence == Presence::Here {
            self.membership.leave(self.now);
            self.write_member(Presence::Leaving);
            self.members_changed = true;
            self.supervisor.handle_leave();
        }
    }

    /// Goes on with leaving: says so for good once no child is left, and exits once all know.
    pub(super) fn check_leave(&mut self) {
        if self.presence == Presence::Leaving && self.supervisor.instance_count() == 0 {
            self.write_member(Presence::Left);
        }
        if self.presence == Presence::Left {
            let me = self.me.clone().expect("only a node that has joined leaves");
            let head = self.replication.head();
            let mut others = self.listeners();
            let is_known = others.all(|other| head <= self.replication.acked(&me, other));
            drop(others);
            if is_known {
                self.exit(ExitReason::Left);
            }
        }
    }

    /// Answers everybody, and ends.
    pub(super) fn exit(&mut self, reason: ExitReason) {
        for ticket in self.requests.tickets() {
            let Some(pending) = self.requests.remove(ticket) else { continue };
            let reply = if pending.wait == Wait::Leave {
                Reply::Leave(Ok(()))
            } else {
                pending.wait.timed_out(pending.timeout)
            };
            self.replies.push_back(Output::Reply { ticket, reply });
        }
        self.outputs.append(&mut self.replies);
        self.outputs.push_back(Output::Exit(reason));
        self.is_over = true;
    }
}
