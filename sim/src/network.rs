//! The model network: how long frames take, which are lost, and which links are cut.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ordu_core::{Random, Time};

use crate::Host;

/// How a link treats the frames of one direction.
///
/// Within an open session a link may lose, repeat and overtake as it is told here; a real transport
/// is kinder.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Network {
    /// The least time a frame takes.
    pub delay: Duration,
    /// Most time that chance adds to it, evenly spread.
    pub jitter: Duration,
    /// How many frames in a thousand take long.
    pub slow_per_mille: u64,
    /// Most time that chance adds to a slow frame.
    pub slow: Duration,
    /// How many frames in a thousand are lost.
    pub loss_per_mille: u64,
    /// How many frames in a thousand arrive twice.
    pub repeat_per_mille: u64,
    /// Whether frames of one lane arrive in the order in which they were sent.
    pub in_order: bool,
}

impl Network {
    /// Returns a link within one building: 0.2 to 1 ms, in order, nothing lost.
    pub const fn lan() -> Self {
        Self {
            delay: Duration::from_micros(200),
            jitter: Duration::from_micros(800),
            slow_per_mille: 0,
            slow: Duration::ZERO,
            loss_per_mille: 0,
            repeat_per_mille: 0,
            in_order: true,
        }
    }

    /// Returns a bad link: one frame in ten lost, one in fifty twice, some late and overtaken.
    pub const fn lossy() -> Self {
        Self {
            delay: Duration::from_millis(5),
            jitter: Duration::from_millis(20),
            slow_per_mille: 10,
            slow: Duration::from_millis(300),
            loss_per_mille: 100,
            repeat_per_mille: 20,
            in_order: false,
        }
    }

    /// Returns a link that does everything wrong at once: three frames in ten lost, one in five
    /// twice, one in twenty up to two seconds late.
    pub const fn wild() -> Self {
        Self {
            delay: Duration::from_millis(1),
            jitter: Duration::from_millis(100),
            slow_per_mille: 50,
            slow: Duration::from_secs(2),
            loss_per_mille: 300,
            repeat_per_mille: 200,
            in_order: false,
        }
    }

    /// Returns how long one trip takes, drawn from `random`.
    pub(crate) fn trip(&self, random: &mut Random) -> Duration {
        let mut trip = self.delay + up_to(self.jitter, random);
        if happens(self.slow_per_mille, random) {
            trip += up_to(self.slow, random);
        }
        trip
    }

    /// Returns the trips that the copies of one frame make: none if it is lost.
    pub(crate) fn trips(&self, random: &mut Random) -> Vec<Duration> {
        if happens(self.loss_per_mille, random) {
            return Vec::new();
        }
        let mut trips = vec![self.trip(random)];
        if happens(self.repeat_per_mille, random) {
            trips.push(self.trip(random));
        }
        trips
    }
}

/// All links of a world.
#[derive(Clone, Debug)]
pub(crate) struct Links {
    usual: Network,
    special: BTreeMap<(Host, Host), Network>,
    cut: BTreeSet<(Host, Host)>,
}

impl Links {
    pub(crate) fn new(usual: Network) -> Self {
        Self { usual, special: BTreeMap::new(), cut: BTreeSet::new() }
    }

    /// Makes all links alike.
    pub(crate) fn set_all(&mut self, network: Network) {
        self.special.clear();
        self.usual = network;
    }

    /// Changes the link between `a` and `b`, both ways.
    pub(crate) fn set_between(&mut self, a: Host, b: Host, network: &Network) {
        self.special.insert((a, b), network.clone());
        self.special.insert((b, a), network.clone());
    }

    /// Cuts the way from `from` to `to`.
    pub(crate) fn cut(&mut self, from: Host, to: Host) {
        self.cut.insert((from, to));
    }

    /// Mends the link between `a` and `b`, both ways.
    pub(crate) fn mend(&mut self, a: Host, b: Host) {
        self.cut.remove(&(a, b));
        self.cut.remove(&(b, a));
    }

    /// Mends all links.
    pub(crate) fn mend_all(&mut self) {
        self.cut.clear();
    }

    /// Returns whether frames get from `from` to `to`.
    pub(crate) fn is_cut(&self, from: Host, to: Host) -> bool {
        self.cut.contains(&(from, to))
    }

    /// Returns whether a session between `a` and `b` can be set up, which takes both ways.
    pub(crate) fn is_whole(&self, a: Host, b: Host) -> bool {
        !self.is_cut(a, b) && !self.is_cut(b, a)
    }

    /// Returns how the link from `from` to `to` treats frames.
    pub(crate) fn network(&self, from: Host, to: Host) -> &Network {
        self.special.get(&(from, to)).unwrap_or(&self.usual)
    }
}

/// Returns the arrival of a frame on an ordered link whose last one arrives at `last`.
pub(crate) fn after(last: Time, arrival: Time) -> Time {
    arrival.max(last + Duration::from_micros(1))
}

/// Returns whether something happens that happens `per_mille` times in a thousand.
pub(crate) fn happens(per_mille: u64, random: &mut Random) -> bool {
    per_mille > 0 && random.below(1_000) < per_mille
}

/// Returns a duration of at most `most`, evenly spread.
pub(crate) fn up_to(most: Duration, random: &mut Random) -> Duration {
    let us = u64::try_from(most.as_micros()).expect("the model does not wait for ever");
    Duration::from_micros(random.below(us + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{N1, N2, N3};

    #[test]
    fn a_link_loses_and_repeats_about_as_often_as_it_is_told() {
        let mut random = Random::new(1);
        let (mut lost, mut twice) = (0, 0);
        for _ in 0..10_000 {
            match Network::wild().trips(&mut random).len() {
                0 => lost += 1,
                1 => {}
                _ => twice += 1,
            }
        }
        assert!((2_800..3_200).contains(&lost), "{lost}");
        assert!((1_200..1_600).contains(&twice), "{twice}");
    }

    #[test]
    fn a_lan_loses_nothing_and_takes_a_millisecond_at_most() {
        let mut random = Random::new(2);
        for _ in 0..1_000 {
            let trips = Network::lan().trips(&mut random);
            assert_eq!(trips.len(), 1);
            assert!(trips[0] <= Duration::from_millis(1));
        }
    }

    #[test]
    fn a_one_way_cut_spares_the_other_way_and_all_other_links() {
        let mut links = Links::new(Network::lan());
        links.cut(N1, N2);
        assert!(links.is_cut(N1, N2));
        assert!(!links.is_cut(N2, N1));
        assert!(!links.is_whole(N2, N1));
        assert!(links.is_whole(N1, N3));

        links.mend(N2, N1);
        assert!(links.is_whole(N1, N2));
    }
}
