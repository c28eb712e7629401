//! The strategies that come with Ordu.

use alloc::collections::BTreeMap;
use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::placement::{Choice, Host, PlacementStrategy};

/// The first from the child's placement key on, by the ring; `ring/1`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uniform;

impl PlacementStrategy for Uniform {
    fn name(&self) -> &'static str {
        "ring/1"
    }

    fn choose<'a>(&self, choice: &Choice<'a>) -> Option<&'a Host<'a>> {
        choice.able().next()
    }

    fn keeps(&self, choice: &Choice<'_>, host: &Host<'_>) -> bool {
        self.choose(choice).is_none_or(|first| first.node == host.node)
    }
}

/// Any; whoever was chosen runs the child; `random/1`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Random;

impl PlacementStrategy for Random {
    fn name(&self) -> &'static str {
        "random/1"
    }

    fn choose<'a>(&self, choice: &Choice<'a>) -> Option<&'a Host<'a>> {
        choice.chosen_before().or_else(|| {
            let count = choice.able().count() as u64;
            let place = choice.chance.checked_rem(count)?;
            choice.able().nth(usize::try_from(place).ok()?)
        })
    }
}

/// The first from the child's placement key on, by the ring, that has not much more than its share;
/// `bounded/1`.
///
/// A share goes by weight, among those that can run the child. Members that choose at one moment do
/// not see each other's choices: by as many may the bound be passed.
///
/// Source: Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2016.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct Bounded {
    /// Most children on a member, in percent of its share; less than 100 counts as 100.
    pub percent: u16,
}

impl Bounded {
    /// Returns how many children `host` may have at `percent` of its share of all there are with
    /// this one.
    fn bound(choice: &Choice<'_>, host: &Host<'_>, percent: u64) -> u64 {
        let points = |host: &Host<'_>| u64::from(host.weight.points());
        let children: u64 = choice.able().map(|host| host.children as u64).sum::<u64>() + 1;
        let weights: u64 = choice.able().map(points).sum::<u64>().max(1);
        (children * points(host) * percent.max(100)).div_ceil(weights * 100)
    }
}

impl PlacementStrategy for Bounded {
    fn name(&self) -> &'static str {
        "bounded/1"
    }

    fn choose<'a>(&self, choice: &Choice<'a>) -> Option<&'a Host<'a>> {
        let percent = u64::from(self.percent);
        let has_room =
            |host: &&Host<'_>| (host.children as u64) < Self::bound(choice, host, percent);
        choice.chosen_before().filter(has_room).or_else(|| choice.able().find(has_room))
    }

    /// It may, unless twice as much is over the share there as may be, so that children do not go
    /// to and fro over one that comes or ends.
    fn keeps(&self, choice: &Choice<'_>, host: &Host<'_>) -> bool {
        let percent = u64::from(self.percent.max(100));
        (host.children as u64) < Self::bound(choice, host, percent + (percent - 100))
    }
}

/// Where the fewest others with the same placement key are; of those the first by the ring;
/// `spread/1`.
///
/// A child that was given no key is placed as by the ring. Members that choose at one moment do not
/// see each other's choices, and nothing that runs is moved apart later.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The label whose values are told apart first, as a zone is; members that do not say it are
    /// taken together. Only members are told apart if `None`.
    pub label: Option<String>,
}

impl Spread {
    /// Returns how many with the same key are where `host` is, and on `host` itself.
    fn crowd(&self, choice: &Choice<'_>, host: &Host<'_>) -> (usize, usize) {
        let Some(label) = &self.label else { return (0, host.kin) };
        let mut by_value = BTreeMap::new();
        for other in choice.hosts {
            *by_value.entry(other.labels.value(label)).or_insert(0) += other.kin;
        }
        (by_value[&host.labels.value(label)], host.kin)
    }
}

impl PlacementStrategy for Spread {
    fn name(&self) -> &'static str {
        "spread/1"
    }

    fn choose<'a>(&self, choice: &Choice<'a>) -> Option<&'a Host<'a>> {
        let least = choice.able().min_by_key(|host| self.crowd(choice, host))?;
        let is_as_good = |host: &&Host<'_>| self.crowd(choice, host) <= self.crowd(choice, least);
        choice.chosen_before().filter(is_as_good).or(Some(least))
    }
}
