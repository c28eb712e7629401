//! What an inner machine asks of the node that it is part of.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::entry::{Reason, Standing};
use crate::message::Message;
use crate::{Blob, NodeId, Outcome, Output, Replica, Reply};

/// An effect of an inner machine, carried out by [`Node`](crate::Node) in order.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) enum Effect {
    /// Write an entry into our own journal.
    Put {
        /// Its encoded key.
        key: Blob,
        /// Its bytes.
        value: Blob,
    },
    /// Delete an entry of our own journal.
    Delete {
        /// Its encoded key.
        key: Blob,
        /// Why.
        reason: Reason,
    },
    /// Say something to a peer.
    Send {
        /// The peer.
        to: NodeId,
        /// What to say.
        message: Message,
    },
    /// Hand something to the outside world as it is.
    Emit(Output),
    /// Answer a request, unless its deadline has passed.
    Answer {
        /// The request's ticket.
        ticket: u64,
        /// The answer.
        reply: Reply,
    },
    /// A child's process starts, and may join groups.
    Starting {
        /// Its number.
        number: u64,
        /// Its standing.
        standing: Standing,
    },
    /// A child's process runs, and may be given names.
    Running {
        /// Its number.
        number: u64,
        /// Its standing.
        standing: Standing,
    },
    /// A process is gone, with all that it held.
    Gone {
        /// Its number.
        number: u64,
    },
    /// A process has been stopped in favour of a winner.
    Frozen {
        /// Its number.
        number: u64,
        /// What it left behind.
        state: Option<Blob>,
    },
    /// The loser of a conflict has been taken in by the winner and is to be dropped.
    Release {
        /// The loser's number.
        number: u64,
        /// How its child ends with it, if it does.
        outcome: Option<Outcome>,
    },
    /// The loser of a conflict goes on: the winner has gone away.
    Resume {
        /// The loser's number.
        number: u64,
        /// What it left behind when it was frozen.
        state: Option<Blob>,
    },
    /// The winner of a conflict has taken a loser in: its epoch must rise above all others.
    Absorbed {
        /// The winner's number.
        number: u64,
    },
    /// A replica is over, and nothing depends on its journal any more.
    Forget {
        /// The replica.
        replica: Replica,
    },
    /// A child has failed here more often than its budget lets it: it goes elsewhere.
    GiveUp {
        /// The number of its last process.
        number: u64,
        /// How it failed last.
        reason: String,
    },
    /// A process has to stop in favour of a winner.
    Freeze {
        /// Its number.
        number: u64,
        /// What it is told.
        conflict: crate::NameConflict,
    },
}
