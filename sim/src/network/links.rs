//! All links of a world: how each treats frames, and which are cut.

use std::collections::BTreeMap;
use std::time::Duration;

use ordu_core::Time;

use crate::Host;
use crate::network::Network;

/// All links of a world.
///
/// Invariant: a way is cut as many times as its entry says, and has no entry if it is whole.
#[derive(Clone, Debug)]
pub(crate) struct Links {
    usual: Network,
    special: BTreeMap<(Host, Host), Network>,
    cuts: BTreeMap<(Host, Host), u32>,
}

impl Links {
    pub(crate) fn new(usual: Network) -> Self {
        Self { usual, special: BTreeMap::new(), cuts: BTreeMap::new() }
    }

    /// Makes all links alike.
    pub(crate) fn set_all(&mut self, network: Network) {
        self.special.clear();
        self.usual = network;
    }

    /// Changes the way from `from` to `to`.
    pub(crate) fn set(&mut self, from: Host, to: Host, network: &Network) {
        self.special.insert((from, to), network.clone());
    }

    /// Cuts the way from `from` to `to`, once more if it is cut already.
    pub(crate) fn cut(&mut self, from: Host, to: Host) {
        *self.cuts.entry((from, to)).or_default() += 1;
    }

    /// Takes one cut of the way from `from` to `to` back, if there is one.
    pub(crate) fn mend_one(&mut self, from: Host, to: Host) {
        let Some(cuts) = self.cuts.get_mut(&(from, to)) else { return };
        assert!(*cuts > 0, "a way that is not cut has no entry");
        *cuts -= 1;
        if *cuts == 0 {
            self.cuts.remove(&(from, to));
        }
    }

    /// Mends the link between `a` and `b`, both ways, however often it is cut.
    pub(crate) fn mend(&mut self, a: Host, b: Host) {
        self.cuts.remove(&(a, b));
        self.cuts.remove(&(b, a));
    }

    /// Mends all links, however often they are cut.
    pub(crate) fn mend_all(&mut self) {
        self.cuts.clear();
    }

    /// Returns whether frames get from `from` to `to`.
    pub(crate) fn is_cut(&self, from: Host, to: Host) -> bool {
        self.cuts.contains_key(&(from, to))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{N1, N2, N3};

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

    #[test]
    fn a_way_cut_twice_is_whole_once_both_cuts_are_taken_back() {
        let mut links = Links::new(Network::lan());
        links.cut(N1, N2);
        links.cut(N1, N2);
        links.mend_one(N2, N1);
        links.mend_one(N1, N2);
        assert!(links.is_cut(N1, N2), "one cut is left");
        links.mend_one(N1, N2);
        assert!(links.is_whole(N1, N2));

        // Taking back what is not cut does not save up for the next cut.
        links.mend_one(N1, N2);
        links.cut(N1, N2);
        assert!(links.is_cut(N1, N2));

        links.cut(N1, N2);
        links.mend(N1, N2);
        assert!(links.is_whole(N1, N2), "a link is mended however often it was cut");
        links.cut(N1, N3);
        links.cut(N1, N3);
        links.mend_all();
        assert!(links.is_whole(N1, N3));
    }

    #[test]
    fn each_direction_has_its_own_ways() {
        let mut links = Links::new(Network::lan());
        links.set(N1, N2, &Network::wild());
        assert_eq!(*links.network(N1, N2), Network::wild());
        assert_eq!(*links.network(N2, N1), Network::lan());
        links.set_all(Network::lossy());
        assert_eq!(*links.network(N1, N2), Network::lossy());
    }
}
