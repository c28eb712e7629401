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

/// Any, the likelier the more it weighs; whoever was chosen runs the child; `random/1`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Random;

impl PlacementStrategy for Random {
    fn name(&self) -> &'static str {
        "random/1"
    }

    fn choose<'a>(&self, choice: &Choice<'a>) -> Option<&'a Host<'a>> {
        choice.chosen_before().or_else(|| {
            let mut place = choice.chance.checked_rem(choice.able().map(points).sum())?;
            choice.able().find(|host| match place.checked_sub(points(host)) {
                Some(rest) => {
                    place = rest;
                    false
                }
                None => true,
            })
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

/// All children of those that can run one, with that one, and all their points.
struct Whole {
    children: u64,
    points: u64,
}

impl Whole {
    fn of(choice: &Choice<'_>) -> Self {
        let children: u64 = choice.able().map(|host| host.children as u64).sum();
        Self { children: children + 1, points: choice.able().map(points).sum::<u64>().max(1) }
    }

    /// Returns whether `host` has less than `percent` of its share.
    fn leaves_room(&self, host: &Host<'_>, percent: u64) -> bool {
        let bound = (self.children * points(host) * percent).div_ceil(self.points * 100);
        (host.children as u64) < bound
    }
}

impl PlacementStrategy for Bounded {
    fn name(&self) -> &'static str {
        "bounded/1"
    }

    fn choose<'a>(&self, choice: &Choice<'a>) -> Option<&'a Host<'a>> {
        let (whole, percent) = (Whole::of(choice), u64::from(self.percent.max(100)));
        let has_room = |host: &&Host<'_>| whole.leaves_room(host, percent);
        choice.chosen_before().filter(has_room).or_else(|| choice.able().find(has_room))
    }

    /// It may, unless twice as much is over the share there as may be, so that children do not go
    /// to and fro over one that comes or ends.
    fn keeps(&self, choice: &Choice<'_>, host: &Host<'_>) -> bool {
        let percent = u64::from(self.percent.max(100));
        Whole::of(choice).leaves_room(host, percent + (percent - 100))
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

impl PlacementStrategy for Spread {
    fn name(&self) -> &'static str {
        "spread/1"
    }

    fn choose<'a>(&self, choice: &Choice<'a>) -> Option<&'a Host<'a>> {
        let zone = |host: &Host<'a>| self.label.as_ref().and_then(|key| host.labels.value(key));
        let mut by_zone = BTreeMap::new();
        for host in choice.hosts {
            *by_zone.entry(zone(host)).or_insert(0) += host.kin;
        }
        // How many with the same key are in its zone, and on it.
        let crowd = |host: &Host<'a>| (by_zone[&zone(host)], host.kin);
        let least = choice.able().min_by_key(|&host| crowd(host))?;
        let is_as_good = |host: &&Host<'a>| crowd(host) <= crowd(least);
        choice.chosen_before().filter(is_as_good).or(Some(least))
    }
}

fn points(host: &Host<'_>) -> u64 {
    u64::from(host.weight.points())
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::placement::{Placement, UserStrategies, Weight};
    use crate::{ChildId, ChildSpec, Labels, NodeId};

    /// A member: whether it can run the child, how many children it has, how many of its kin.
    type Row = (bool, usize, usize);

    /// Returns whom `placement` chooses of members with these rows, and who they are.
    fn choose(placement: &Placement, rows: &[Row], chance: u64) -> (Option<usize>, Vec<usize>) {
        let nodes: Vec<(NodeId, Labels)> = (0..rows.len())
            .map(|number| {
                let mut labels = Labels::new();
                labels.insert("zone", format!("{}", number % 2)).unwrap();
                (NodeId::new(format!("n{number}")).unwrap(), labels)
            })
            .collect();
        let hosts: Vec<Host<'_>> = (nodes.iter().zip(rows))
            .map(|((node, labels), &(is_able, children, kin))| {
                let weight = Weight::USUAL;
                Host { node, labels, weight, children, kin, is_able }
            })
            .collect();
        let spec = ChildSpec { placement: placement.clone(), ..ChildSpec::new("cart", "") };
        let (child, me) = (ChildId::from_bytes([1; 16]), &nodes[0].0);
        let (spec, hosts) = (&spec, hosts.as_slice());
        let choice = Choice { child, spec, hosts, me, is_chosen: false, hops: 0, chance };
        let users = UserStrategies::default();
        let chosen = placement.strategy(&users).expect("it is one of ours").choose(&choice);
        let chosen = chosen.map(|host| hosts.iter().position(|other| other == host).unwrap());
        let able = (0..rows.len()).filter(|&number| rows[number].0).collect();
        (chosen, able)
    }

    fn ours() -> impl Strategy<Value = Placement> {
        prop_oneof![
            Just(Placement::Ring),
            Just(Placement::Random),
            (0..300_u16).prop_map(Placement::bounded),
            Just(Placement::spread()),
            Just(Placement::spread_over("zone")),
        ]
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        proptest::collection::vec((any::<bool>(), 0..100_usize, 0..5_usize), 1..12)
    }

    proptest! {
        /// B32, B33, B34. Whatever members there are, each of our strategies chooses one of those
        /// that can run the child, and nobody just where none can.
        #[test]
        fn somebody_able_is_chosen_and_nobody_where_none_is(
            placement in ours(),
            rows in rows(),
            chance: u64,
        ) {
            let (chosen, able) = choose(&placement, &rows, chance);
            match chosen {
                Some(chosen) => prop_assert!(able.contains(&chosen)),
                None => prop_assert!(able.is_empty()),
            }
        }

        /// Nobody is over its bound by more than the child that is placed.
        #[test]
        fn the_bound_is_kept(percent in 100..300_u16, rows in rows(), chance: u64) {
            let (chosen, able) = choose(&Placement::bounded(percent), &rows, chance);
            let total = able.iter().map(|&number| rows[number].1).sum::<usize>() + 1;
            let bound = (total * usize::from(percent)).div_ceil(able.len().max(1) * 100);
            prop_assert!(chosen.is_none_or(|chosen| rows[chosen].1 < bound));
        }

        /// Whoever is chosen has no more kin in its zone than any other that can run the child, and
        /// no more on itself than any other of that zone.
        #[test]
        fn kin_are_told_apart_by_zone_and_then_by_member(rows in rows(), chance: u64) {
            let (chosen, able) = choose(&Placement::spread_over("zone"), &rows, chance);
            let Some(chosen) = chosen else { return Ok(()) };
            let kin = |zone: usize| rows.iter().skip(zone).step_by(2).map(|row| row.2);
            let of = |zone: usize| kin(zone).sum::<usize>();
            let zone = chosen % 2;
            for other in able {
                prop_assert!(of(zone) <= of(other % 2));
                prop_assert!(other % 2 != zone || rows[chosen].2 <= rows[other].2);
            }
        }
    }
}
