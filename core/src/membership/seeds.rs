//! Seeds: where members may be found that know the cluster, whether configured or found since.

use alloc::collections::{BTreeMap, BTreeSet};

use super::{Membership, Output, Phase, Seed};
use crate::limits::MEMBERS_MAX;
use crate::{Address, Time};

impl Membership {
    /// Takes in all the places where members may be found now, and looks there: dials those where
    /// no peer of ours is known to listen, and hangs up on those that are none any more.
    ///
    /// What was known of an address that stays is kept. A node finds itself as well; that address
    /// is left out. Costs O(n log m) for n addresses and m members.
    pub(crate) fn handle_seeds(&mut self, now: Time, addresses: &[Address]) {
        self.advance(now);
        if matches!(self.phase, Phase::Over) {
            return;
        }
        let mut seeds = BTreeMap::new();
        for address in addresses {
            if *address != self.settings.address && seeds.len() < MEMBERS_MAX {
                let known = self.seeds.get(address).copied();
                seeds.insert(address.clone(), known.unwrap_or(Seed::Tried));
            }
        }
        let before = core::mem::replace(&mut self.seeds, seeds);
        for address in before.into_keys() {
            // It is still dialled if a member is known to listen there.
            self.hang_up(address);
        }
        self.dial_seeds();
        self.try_to_join();
        self.check();
    }

    /// Dials every seed where no peer of ours is known to listen.
    pub(super) fn dial_seeds(&mut self) {
        let nodes = self.nodes.values().filter(|known| known.session.is_some());
        let reached: BTreeSet<&Address> =
            nodes.filter_map(|known| known.address.as_ref()).collect();
        let missed = self.seeds.keys().filter(|seed| !reached.contains(seed));
        let dial = |address: &Address| Output::Dial { address: address.clone() };
        self.outputs.extend(missed.map(dial));
    }
}
