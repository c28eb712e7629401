//! Leases: what lets a child run in one place alone, and one process alone hold a name, whatever
//! the network does.
//!
//! ```text
//!   holder                                        voter
//!     │ writes its claim into its journal           │
//!     │──── journal ───────────────────────────────▶│ has it, up to a version
//!     │ notes its clock                             │
//!     │──── LeaseRequest { attempt } ──────────────▶│ promises all keys that are claimed there,
//!     │◀─── LeaseReply { have, refused } ───────────│ but for those promised to others
//!     │ a majority: runs, for so long from then     │
//! ```
//!
//! Leases ride on journals: what a node asks for stands in its journal anyway, so one request a
//! period renews all that it holds, however much that is. A claim whose tombstone arrives is
//! released. Nothing is stored: a voter that starts anew grants nothing for as long as it may have
//! promised something before.
//!
//! Why no two leases on one key overlap: both were granted by majorities, which have a voter in
//! common. That voter promised the one first, after it was asked for, and so no earlier than the
//! moment from which its holder counts. It promised the other only once its promise was over, which
//! outlasts the lease whatever either clock shows; or once the claim was withdrawn, which is after
//! the process was gone. A voter that has forgotten waits for as long.
//!
//! Source: leases of Gray and Cheriton, SOSP 1989, granted by a majority as in Trencseni et al.,
//! "PaxosLease", arXiv:1209.4187; asked for by journal rather than by key.

mod holder;
mod voter;
mod voters;

pub(crate) use crate::lease::holder::{LeaseHolder, News};
pub(crate) use crate::lease::voter::Voter;
pub use crate::lease::voters::{Voters, VotersError};

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::entry::{ClaimEntry, Key, LeasedEntry};
use crate::hash::hash128;
use crate::supervisor::ChildKey;
use crate::{ChildId, Name, Scope};

/// Tells the holder of a lease from those before it: a store that keeps the highest it has seen,
/// and refuses lower ones, is not written to by a process whose lease has ended.
///
/// Of two processes of a child the later has the higher one, as long as no voter that granted the
/// earlier one has been started anew since, or replaced; or wall clocks differ by less than a
/// lease. So it is with holders of a name, if nobody asked for it for ten minutes in between, after
/// which voters forget it: then wall clocks alone tell.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct FencingToken(u64);

impl FencingToken {
    /// Returns the token of this number.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// Returns the token as a number, in the same order.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What one lease at a time is granted on.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub(crate) enum LeaseKey {
    /// To run a child.
    Child(Scope, ChildId),
    /// To hold a name of a registry.
    Name(Scope, Name),
}

impl LeaseKey {
    /// Returns what is claimed by an entry of a journal under `key`, if anything is.
    pub(crate) fn of(key: Key) -> Option<Self> {
        match key {
            Key::Claim(scope, child) => Some(Self::Child(scope, child)),
            Key::Leased(scope, name) => Some(Self::Name(scope, name)),
            Key::Member
            | Key::Name(..)
            | Key::Spec(..)
            | Key::Ended(..)
            | Key::Assigned(..)
            | Key::Absorbed(..)
            | Key::Group(..)
            | Key::Cell(..) => None,
        }
    }

    /// Returns by what answers of voters tell of it; voters and holders themselves go by the key.
    ///
    /// Should two keys be told of alike, a refusal of the one is one of both.
    pub(crate) fn on_the_wire(&self) -> ChildKey {
        match self {
            Self::Child(scope, child) => (*scope, *child),
            Self::Name(scope, name) => (*scope, id_of_name(name)),
        }
    }
}

/// Returns what stands for a name where a child's id is expected.
pub(crate) fn id_of_name(name: &Name) -> ChildId {
    ChildId::from_bytes(hash128(name.as_bytes()).to_be_bytes())
}

/// Returns the ballot of a claim on a name that is held under a lease.
pub(crate) fn ballot_of_name(claim: &LeasedEntry) -> u64 {
    claim.standing.moves
}

/// Returns the ballot of a claim on a child that runs under a lease: of two claims the later one
/// has the higher.
///
/// It is where moves are counted in the other modes, and decides as they do.
pub(crate) fn ballot(claim: &ClaimEntry) -> u64 {
    claim.standing.moves
}
