//! Kinds of runs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::plan::directed::Aim;

/// What kind of run a plan is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum Profile {
    /// Everything at once.
    Full,
    /// No digests: what is pushed must be enough where nothing is lost.
    PushOnly,
    /// No pushes: what digests bring about must be enough by itself.
    DigestsOnly,
    /// No fault: nobody may be suspected, and nothing may run twice.
    NoFaults,
    /// Faults that last as long as some timeout, give or take a moment.
    EdgeTiming,
    /// A schedule aimed at one promise.
    Directed(Aim),
    /// Everything at once, and children run under leases.
    Leases,
    /// Everything at once, and children stop, and names are given up, in the minority.
    Minorities,
}

impl Profile {
    /// Returns every profile, each aim a profile of its own.
    pub fn all() -> impl Iterator<Item = Self> {
        let random = [
            Self::Full,
            Self::PushOnly,
            Self::DigestsOnly,
            Self::NoFaults,
            Self::EdgeTiming,
            Self::Leases,
            Self::Minorities,
        ];
        random.into_iter().chain(Aim::ALL.map(Self::Directed))
    }

    /// Returns what runs of the profile are like.
    pub fn about(self) -> &'static str {
        match self {
            Self::Full => "every kind of fault, each seed with kinds and strengths of its own",
            Self::PushOnly => "no digests: what is pushed is enough where nothing is lost",
            Self::DigestsOnly => "no pushes: what digests bring about is enough by itself",
            Self::NoFaults => "no fault: nobody is suspected, and nothing runs twice",
            Self::EdgeTiming => "faults as long as some timeout, give or take two milliseconds",
            Self::Directed(aim) => aim.about(),
            Self::Leases => "every kind of fault, while children run under leases",
            Self::Minorities => "every kind of fault, while children stop in the minority",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::PushOnly => "push-only",
            Self::DigestsOnly => "digests-only",
            Self::NoFaults => "no-faults",
            Self::EdgeTiming => "edge-timing",
            Self::Directed(aim) => aim.name(),
            Self::Leases => "leases",
            Self::Minorities => "minorities",
        })
    }
}

/// A name that is no profile's.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is no profile; there are: {known}", known = known())]
pub struct UnknownProfile(pub String);

fn known() -> String {
    Profile::all().map(|profile| profile.to_string()).collect::<Vec<_>>().join(", ")
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::all().find(|profile| profile.to_string() == text);
        named.ok_or_else(|| UnknownProfile(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_found_by_its_name() {
        for profile in Profile::all() {
            assert_eq!(profile.to_string().parse(), Ok(profile));
            assert!(!profile.about().is_empty());
        }
        let wrong = "ful".parse::<Profile>().unwrap_err().to_string();
        assert!(wrong.starts_with("\"ful\" is no profile; there are: full, push-only"), "{wrong}");
    }
}
