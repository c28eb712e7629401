//! Shapes of a network beyond the clean split, as the ways that they cut.

use serde::{Deserialize, Serialize};

use crate::host::Host;

/// Which machines reach which.
///
/// "The next" and "neighbours" go by the machines' numbers, the first after the last.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Topology {
    /// Nothing crosses between the two sides; machines on neither reach all.
    Split {
        /// One side.
        left: Vec<Host>,
        /// The other side.
        right: Vec<Host>,
    },
    /// No machine reaches another.
    Isolated,
    /// The others are two halves, the smaller with the lower numbers: each reaches its own and the
    /// bridge.
    Bridge {
        /// Who reaches all, and is reached by all.
        bridge: Host,
    },
    /// Each machine reaches its two neighbours.
    Ring,
    /// As the ring, but the first and the last do not reach each other.
    Line,
    /// All reach the centre and are reached by it, and nobody else.
    Star {
        /// Who is in the middle.
        centre: Host,
    },
    /// Each machine hears a majority, itself among it, and no two hear the same one: those
    /// next to it, and where the majority is even one more before it than after it.
    ///
    /// Two machines or fewer cannot be cut so, and are not cut.
    ///
    /// Source: the partition of that name in Jepsen.
    MajoritiesRing,
    /// One link is cut.
    BrokenLink {
        /// One end.
        a: Host,
        /// The other end.
        b: Host,
    },
    /// Nothing gets from one side to the other; all else does.
    OneWay {
        /// Who is not heard.
        from: Vec<Host>,
        /// Who does not hear them.
        to: Vec<Host>,
    },
}

impl Topology {
    /// Returns the ways, each from one machine to another, that are cut among the machines `n1` to
    /// `n{hosts}`: in order, each once. Machines beyond these are ignored.
    pub fn cuts(&self, hosts: u16) -> Vec<(Host, Host)> {
        let all = || (1..=hosts).map(Host::new);
        let pairs = all().flat_map(|from| all().map(move |to| (from, to)));
        pairs.filter(|&(from, to)| from != to && self.is_cut(from, to, hosts)).collect()
    }

    fn is_cut(&self, from: Host, to: Host, hosts: u16) -> bool {
        match self {
            Self::Split { left, right } => {
                let crosses = |from, to| left.contains(from) && right.contains(to);
                crosses(&from, &to) || crosses(&to, &from)
            }
            Self::Isolated => true,
            Self::Bridge { bridge } => {
                let is_low = |host: Host| {
                    let before = host.number() - u16::from(*bridge < host);
                    before <= (hosts - u16::from(bridge.number() <= hosts)) / 2
                };
                from != *bridge && to != *bridge && is_low(from) != is_low(to)
            }
            Self::Ring => ahead(from, to, hosts) > 1 && ahead(to, from, hosts) > 1,
            Self::Line => from.number().abs_diff(to.number()) > 1,
            Self::Star { centre } => from != *centre && to != *centre,
            Self::MajoritiesRing => {
                let heard_before = (hosts / 2).div_ceil(2);
                let heard_after = hosts / 2 - heard_before;
                let is_heard =
                    ahead(from, to, hosts) <= heard_before || ahead(to, from, hosts) <= heard_after;
                2 < hosts && !is_heard
            }
            Self::BrokenLink { a, b } => (from, to) == (*a, *b) || (from, to) == (*b, *a),
            Self::OneWay { from: silent, to: deaf } => silent.contains(&from) && deaf.contains(&to),
        }
    }
}

/// Returns how many steps around the ring of `hosts` machines `to` comes after `from`.
fn ahead(from: Host, to: Host, hosts: u16) -> u16 {
    let (from, to) = (u32::from(from.number()), u32::from(to.number()));
    let steps = (to + u32::from(hosts) - from) % u32::from(hosts);
    u16::try_from(steps).expect("fewer steps than machines")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::{N1, N2, N3, N4, N5};

    fn some_hosts() -> impl Strategy<Value = Vec<Host>> {
        prop::collection::vec((1..12_u16).prop_map(Host::new), 0..8)
    }

    fn topologies() -> impl Strategy<Value = Topology> {
        let host = || (1..12_u16).prop_map(Host::new);
        prop_oneof![
            (some_hosts(), some_hosts()).prop_map(|(left, right)| Topology::Split { left, right }),
            Just(Topology::Isolated),
            host().prop_map(|bridge| Topology::Bridge { bridge }),
            Just(Topology::Ring),
            Just(Topology::Line),
            host().prop_map(|centre| Topology::Star { centre }),
            Just(Topology::MajoritiesRing),
            (host(), host()).prop_map(|(a, b)| Topology::BrokenLink { a, b }),
            (some_hosts(), some_hosts()).prop_map(|(from, to)| Topology::OneWay { from, to }),
        ]
    }

    /// Returns whom `host` hears, itself among them.
    fn heard_by(topology: &Topology, hosts: u16, host: Host) -> BTreeSet<Host> {
        let cuts: BTreeSet<(Host, Host)> = topology.cuts(hosts).into_iter().collect();
        (1..=hosts).map(Host::new).filter(|&from| !cuts.contains(&(from, host))).collect()
    }

    /// Returns who hears `first`, directly or through others.
    fn reached_from(topology: &Topology, hosts: u16, first: Host) -> BTreeSet<Host> {
        let mut reached = BTreeSet::from([first]);
        let mut rest = vec![first];
        while let Some(from) = rest.pop() {
            for to in (1..=hosts).map(Host::new) {
                if heard_by(topology, hosts, to).contains(&from) && reached.insert(to) {
                    rest.push(to);
                }
            }
        }
        reached
    }

    fn is_symmetric(topology: &Topology, hosts: u16) -> bool {
        let cuts: BTreeSet<(Host, Host)> = topology.cuts(hosts).into_iter().collect();
        cuts.iter().all(|&(from, to)| cuts.contains(&(to, from)))
    }

    proptest! {
        #[test]
        fn cuts_are_ways_between_two_machines_each_once(
            topology in topologies(),
            hosts in 0..12_u16,
        ) {
            let cuts = topology.cuts(hosts);
            prop_assert!(cuts.windows(2).all(|pair| pair[0] < pair[1]), "{cuts:?}");
            for (from, to) in cuts {
                prop_assert!(from != to && from.number() <= hosts && to.number() <= hosts);
            }
        }

        #[test]
        fn a_topology_survives_being_written_down(topology in topologies()) {
            let text = serde_json::to_string(&topology).unwrap();
            prop_assert_eq!(serde_json::from_str::<Topology>(&text).unwrap(), topology);
        }

        #[test]
        fn nothing_crosses_a_split_and_all_else_is_whole(
            left in some_hosts(),
            right in some_hosts(),
        ) {
            let split = Topology::Split { left: left.clone(), right: right.clone() };
            prop_assert!(is_symmetric(&split, 9));
            for from in (1..=9).map(Host::new) {
                for to in (1..=9).map(Host::new).filter(|to| *to != from) {
                    let crosses = left.contains(&from) && right.contains(&to)
                        || right.contains(&from) && left.contains(&to);
                    prop_assert_eq!(split.cuts(9).contains(&(from, to)), crosses);
                }
            }
        }
    }

    #[test]
    fn every_machine_of_a_majorities_ring_hears_a_majority_of_its_own() {
        let ring = Topology::MajoritiesRing;
        for hosts in 3..=12 {
            let heard: BTreeSet<BTreeSet<Host>> =
                (1..=hosts).map(|number| heard_by(&ring, hosts, Host::new(number))).collect();
            assert_eq!(heard.len(), usize::from(hosts), "no two hear the same, of {hosts}");
            let majority = usize::from(hosts / 2 + 1);
            assert!(heard.iter().all(|heard| heard.len() == majority), "{hosts}: {heard:?}");
            let all = reached_from(&ring, hosts, N1).len();
            assert_eq!(all, usize::from(hosts), "the word of one gets to all");
        }
        assert!(is_symmetric(&ring, 5), "of five each hears the two next to it");
        assert_eq!(heard_by(&ring, 5, N1), BTreeSet::from([N5, N1, N2]));
        assert_eq!(heard_by(&ring, 3, N1), BTreeSet::from([N3, N1]), "one way, of three");
        assert_eq!(ring.cuts(2), []);
    }

    #[test]
    fn rings_lines_and_stars_are_in_one_piece() {
        for hosts in 3..=12 {
            let all = usize::from(hosts);
            let star = Topology::Star { centre: N2 };
            for (topology, links) in
                [(Topology::Ring, all), (Topology::Line, all - 1), (star, all - 1)]
            {
                assert!(is_symmetric(&topology, hosts), "{topology:?} of {hosts}");
                assert_eq!(
                    reached_from(&topology, hosts, N1).len(),
                    all,
                    "{topology:?} of {hosts}"
                );
                let ways = all * (all - 1) - topology.cuts(hosts).len();
                assert_eq!(ways, links * 2, "{topology:?} of {hosts}");
            }
        }
    }

    #[test]
    fn a_bridge_is_linked_with_all_and_the_halves_are_apart() {
        for hosts in 3..=12 {
            for bridge in (1..=hosts).map(Host::new) {
                let topology = Topology::Bridge { bridge };
                assert!(is_symmetric(&topology, hosts));
                assert_eq!(heard_by(&topology, hosts, bridge).len(), usize::from(hosts));
                let others: Vec<Host> =
                    (1..=hosts).map(Host::new).filter(|host| *host != bridge).collect();
                let (low, high) = others.split_at(others.len() / 2);
                for (half, other) in [(low, high), (high, low)] {
                    for &host in half {
                        let heard = heard_by(&topology, hosts, host);
                        assert!(half.iter().all(|peer| heard.contains(peer)));
                        assert!(other.iter().all(|peer| !heard.contains(peer)));
                        assert!(heard.contains(&bridge));
                    }
                }
            }
        }
    }

    #[test]
    fn the_small_shapes_cut_what_they_name() {
        assert_eq!(Topology::Isolated.cuts(3).len(), 6);
        assert_eq!(Topology::BrokenLink { a: N3, b: N1 }.cuts(3), [(N1, N3), (N3, N1)]);
        assert_eq!(Topology::BrokenLink { a: N4, b: N1 }.cuts(3), []);
        let deaf = Topology::OneWay { from: vec![N1, N2], to: vec![N2, N3] };
        assert_eq!(deaf.cuts(3), [(N1, N2), (N1, N3), (N2, N3)]);
        assert_eq!(heard_by(&Topology::Ring, 4, N1), BTreeSet::from([N4, N1, N2]));
    }
}
