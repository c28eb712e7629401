//! What is known of one replica, and of one session.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::crdt::Version;
use crate::message::Link;
use crate::{Address, Replica, Time};

/// A replica that has been heard of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Member {
    /// The highest beat counter known, by any path.
    pub(super) counter: u64,
    /// When the counter last rose, corrected by the age that relays told.
    pub(super) risen: Time,
    /// How it is.
    pub(super) state: State,
    /// Whether it said that it hands its children over.
    pub(super) is_leaving: bool,
    /// Where it listens, once it said so.
    pub(super) address: Option<Address>,
    /// The kinds of processes that it can run.
    pub(super) kinds: Vec<String>,
    /// How far our copy of its journal is.
    pub(super) head: Version,
    /// How the others' sessions with it are.
    pub(super) links: BTreeMap<Replica, Link>,
}

impl Member {
    /// Creates a member that has not beaten yet.
    pub(super) fn new(now: Time) -> Self {
        Self {
            counter: 0,
            risen: now,
            state: State::Returning { head: Version::MAX },
            is_leaving: false,
            address: None,
            kinds: Vec::new(),
            head: 0,
            links: BTreeMap::new(),
        }
    }
}

/// How a replica is, in this node's judgement.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(super) enum State {
    /// It beats, but our copy of its journal is not where it was when it began to.
    Returning {
        /// Where that was; `MAX` until a beat said so.
        head: Version,
    },
    /// It beats.
    Alive,
    /// It has been silent for half of the failure timeout.
    Suspect,
    /// It has been silent for the whole failure timeout.
    Down,
}

/// A session with a peer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Session {
    /// Whether clocks and rules have been compared.
    pub(super) is_greeted: bool,
    /// The life at the other end, once a frame said so.
    pub(super) replica: Option<Replica>,
    /// The last round trip measured.
    pub(super) round_trip: Option<Duration>,
}
