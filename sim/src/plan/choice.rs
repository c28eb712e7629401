//! Which profiles the seeds of a soak have.

use std::str::FromStr;

use crate::plan::directed::Aim;
use crate::plan::profile::{Profile, UnknownProfile};

/// Which profiles the seeds of a soak have.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Choice {
    /// Each seed draws its own: six in ten are full, a quarter directed.
    #[default]
    Any,
    /// Every seed is directed, one aim after the other.
    Directed,
    /// All have the same.
    One(Profile),
}

impl Choice {
    /// Returns the profile of `seed`; `None` if the seed draws it.
    pub fn profile(self, seed: u64) -> Option<Profile> {
        match self {
            Self::Any => None,
            Self::Directed => {
                let aims = u64::try_from(Aim::ALL.len()).expect("there are few");
                Some(Profile::Directed(Aim::ALL[(seed % aims) as usize]))
            }
            Self::One(profile) => Some(profile),
        }
    }
}

impl FromStr for Choice {
    type Err = UnknownProfile;

    /// Reads `any`, `directed`, or the name of a profile.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "any" => Ok(Self::Any),
            "directed" => Ok(Self::Directed),
            profile => profile.parse().map(Self::One),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directed_seeds_take_turns() {
        let choice: Choice = "directed".parse().unwrap();
        let count = u64::try_from(Aim::ALL.len()).unwrap();
        let aims: Vec<_> = (0..count).map(|seed| choice.profile(seed).unwrap()).collect();
        assert_eq!(aims, Aim::ALL.map(Profile::Directed));
        assert_eq!(choice.profile(count), choice.profile(0));
        assert_eq!("full".parse(), Ok(Choice::One(Profile::Full)));
        assert_eq!("any".parse::<Choice>().unwrap().profile(3), None);
        assert!("ful".parse::<Choice>().is_err());
    }
}
