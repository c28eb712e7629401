//! What becomes of a supervisor's children, or of a registry's names, when the network splits.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::electorate::Electorate;
use crate::lease::Voters;
use crate::minority::{OnMinority, Quorum};
use crate::{Config, Scope, hash64, wire};

/// What becomes of a supervisor's children when the network splits, or of a registry's names; the
/// same on all nodes.
///
/// To see most of the members is no evidence that nobody else does: over one broken link, or with
/// loss in one direction, two nodes see the others and not each other. So of these
/// [`Exclusive`](Self::Exclusive) alone promises that no child runs twice.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Mode {
    /// Each side goes on with all children, or but one as far as that can be told; the former by
    /// default. A child that runs on both sides is one again once they meet, by the conflict
    /// [`Rule`](crate::Rule).
    Eventual {
        /// What a node does that sees too few members: about the children that run there, or the
        /// names that processes there hold.
        on_minority: OnMinority,
    },
    /// A process of a child runs under a lease alone, which more than half of the [`Voters`] grant;
    /// no two leases on one child overlap, as long as clocks run as steadily as
    /// [`Voters::rate_error_ppm`] says. Where no such majority can be reached, nothing runs, once
    /// the leases have ended that it had. A name of a registry is held under such a lease likewise.
    Exclusive,
}

impl Mode {
    /// Returns the mode in which a node without a `quorum` stops children, or gives names up.
    pub const fn stopping(quorum: Quorum) -> Self {
        Self::Eventual { on_minority: OnMinority::Stop(quorum) }
    }

    /// Returns by which rule a node stops children or gives names up, if it does.
    pub const fn quorum(self) -> Option<Quorum> {
        match self {
            Self::Eventual { on_minority: OnMinority::Stop(quorum) } => Some(quorum),
            Self::Eventual { on_minority: OnMinority::Run } | Self::Exclusive => None,
        }
    }

    /// Returns whether its children run under leases.
    pub const fn is_exclusive(self) -> bool {
        matches!(self, Self::Exclusive)
    }
}

impl Default for Mode {
    fn default() -> Self {
        Self::Eventual { on_minority: OnMinority::Run }
    }
}

/// The modes of all supervisors and registries that are told one.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Modes {
    supervisors: BTreeMap<Scope, Mode>,
    registries: BTreeMap<Scope, Mode>,
}

impl Modes {
    /// Returns the modes that a node is told.
    pub(crate) fn of(config: &Config) -> Self {
        Self { supervisors: config.modes.clone(), registries: config.registry_modes.clone() }
    }

    /// Iterates over what does not run, or is not held, in any case, and its mode.
    pub(crate) fn judged(&self) -> impl Iterator<Item = (Domain, Mode)> {
        let supervisors = self.supervisors.iter().map(|(s, mode)| (Domain::Supervisor(*s), *mode));
        let registries = self.registries.iter().map(|(r, mode)| (Domain::Registry(*r), *mode));
        supervisors.chain(registries).filter(|(_, mode)| *mode != Mode::default())
    }

    /// Iterates over the supervisors whose children a node stops while it has no quorum.
    pub(crate) fn stopping(&self) -> impl Iterator<Item = Scope> {
        let stops = self.supervisors.iter().filter(|(_, mode)| mode.quorum().is_some());
        stops.map(|(scope, _)| *scope)
    }

    /// Returns whether the children of `scope` run under leases.
    pub(crate) fn is_exclusive(&self, scope: Scope) -> bool {
        self.supervisors.get(&scope).is_some_and(|mode| mode.is_exclusive())
    }

    /// Returns whether the names of the registry `scope` are held under leases.
    pub(crate) fn leases_names(&self, scope: Scope) -> bool {
        self.registries.get(&scope).is_some_and(|mode| mode.is_exclusive())
    }

    /// Returns whether the names of the registry `scope` are for processes alone that no supervisor
    /// looks after: those that a process may lose while it runs.
    pub(crate) fn bars_children(&self, scope: Scope) -> bool {
        self.registries.get(&scope).is_some_and(|mode| *mode != Mode::default())
    }
}

/// What a [`Mode`] is said of. A registry is told apart from the supervisor of the same name.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum Domain {
    /// The children of a supervisor.
    Supervisor(Scope),
    /// The names of a registry.
    Registry(Scope),
}

/// What all nodes of a cluster must have alike, so that leases mean the same to all: as it stands
/// in a greeting.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// The voters that the node goes by; `None` if there are none.
    pub electorate: Option<Electorate>,
    /// A hash of how long leases are, of how steadily clocks run, and of the modes.
    pub digest: u64,
}

impl Terms {
    /// Returns the terms of these voters, as they were configured, and of these modes.
    pub(crate) fn of(voters: Option<&Voters>, modes: &BTreeMap<Scope, Mode>) -> Self {
        let told = modes.iter().filter(|(_, mode)| **mode != Mode::default());
        let told: Vec<(&Scope, &Mode)> = told.collect();
        let times = voters.map(|voters| (voters.lease, voters.rate_error_ppm));
        Self {
            electorate: voters.map(Electorate::of),
            digest: hash64(&wire::encode(&(times, told))),
        }
    }

    /// Returns the terms with these modes of registries, too.
    pub(crate) fn and_registries(self, modes: &BTreeMap<Scope, Mode>) -> Self {
        let told = modes.iter().filter(|(_, mode)| **mode != Mode::default());
        let told: Vec<(&Scope, &Mode)> = told.collect();
        if told.is_empty() {
            return self;
        }
        Self { digest: hash64(&wire::encode(&(self.digest, told))), ..self }
    }

    /// Returns whether leases mean the same by both: the voters are the same, or those of one came
    /// from those of the other.
    pub(crate) fn agree(&self, other: &Self) -> bool {
        let are_kin = match (&self.electorate, &other.electorate) {
            (None, None) => true,
            (Some(own), Some(other)) => other.is_sound() && own.is_kin(other),
            (Some(_), None) | (None, Some(_)) => false,
        };
        are_kin && self.digest == other.digest
    }
}
