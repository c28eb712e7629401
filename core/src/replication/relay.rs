//! Who passes on what to whom, where there are too many for each to tell all others.
//!
//! ```text
//!  first way, by places      0 ──┬─▶ 4 ──┬─▶ 6 ──▶ 7        0 is the writer; who writes hands it
//!  from the writer on            │       └─▶ 5              to a logarithmic number of others,
//!                                ├─▶ 2 ──▶ 3                and so does whoever passes it on
//!                                └─▶ 1
//! ```
//!
//! Everybody reckons by themselves who is where, from the members that are up, in the order of
//! their names: nothing of it is said to anybody. Members that disagree for a moment leave somebody
//! out, and so does whoever is dead and not known to be: who was left out by both ways learns from
//! the writer's next beat what it lacks, and asks for it. That takes a beat interval and 200 ms at
//! most, as it does where a push is lost; a single relay that stops delays nobody.
//!
//! What one write of 100 bytes costs:
//!
//! | members | the writer sends | any other at most | in all | hops |
//! |---|---|---|---|---|
//! | 17 | 8 deltas, 960 bytes, and not 16, 1,920 bytes | 3 | 30, and not 16 | 3 |
//! | 32 | 9 deltas, 1,080 bytes, and not 31, 3,720 bytes | 4 | 61, and not 31 | 4 |
//! | 64 | 11 deltas, 1,320 bytes, and not 63, 7,560 bytes | 5 | 125, and not 63 | 5 |
//!
//! Acknowledgements go to the writer itself, from each one, once for all that closed by a flush:
//! on beats they would cost nothing, but whoever waits for a write to be replicated, or to leave,
//! would wait for a beat.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::replication::send::Stream;
use crate::replication::{Peer, Replication};
use crate::{NodeId, Replica, Time};

/// Ways by which everybody is reached.
const WAYS: usize = 2;

/// The ways by which what one member writes reaches all others.
///
/// The writer has place 0 and the others have the places from 1 on. A way is a binomial tree: `p`
/// passes on to `p + 1`, `p + 2`, `p + 4`, … as far as these lie below `p` plus its lowest bit, so
/// that nobody is further than log₂ n hops away, or passes on to more than log₂ n others. The
/// second way is the first with everybody but the writer moved up by one place: who passes on in
/// one, does not in the other, but for the last.
///
/// Source: the tree is that of the collective operations of message passing, as in Johnsson and Ho,
/// "Optimum Broadcasting and Personalized Communication in Hypercubes", IEEE Transactions on
/// Computers 38(9), 1989; two of them with apart inner nodes as in Castro et al., "SplitStream",
/// SOSP 2003.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ways<'a> {
    /// In order.
    live: &'a [NodeId],
    writer: &'a NodeId,
    /// Where the writer is among the live, or would be.
    at: Result<usize, usize>,
}

impl<'a> Ways<'a> {
    /// Returns the ways from `writer` to all that are `live`, which must be in order.
    pub(super) fn new(live: &'a [NodeId], writer: &'a NodeId) -> Self {
        debug_assert!(live.is_sorted(), "everybody reckons with one order");
        Self { live, writer, at: live.binary_search(writer) }
    }

    /// Returns whom `node` passes it on to. Where one of them cannot be reached, whomever that one
    /// would pass it on to takes its place.
    ///
    /// Takes O(log² n) time for n members that can all be reached.
    pub(super) fn next(
        self,
        node: &NodeId,
        can_reach: impl Fn(&NodeId) -> bool,
    ) -> BTreeSet<NodeId> {
        let Some(place) = self.place(node) else { return BTreeSet::new() };
        let mut next = BTreeSet::new();
        for way in 0..WAYS {
            let mut to_reach: Vec<usize> = self.below(way, place).collect();
            while let Some(place) = to_reach.pop() {
                let other = self.node(place);
                if can_reach(other) {
                    next.insert(other.clone());
                } else {
                    to_reach.extend(self.below(way, place));
                }
            }
        }
        next
    }

    /// Returns whether it may come from `from` to `to`, by any way, with none or some of those in
    /// between passed over. Takes O(log n) time.
    pub(super) fn lead(self, from: &NodeId, to: &NodeId) -> bool {
        let (Some(from), Some(to)) = (self.place(from), self.place(to)) else { return false };
        (0..WAYS).any(|way| {
            let (from, to) = (self.rank(way, from), self.rank(way, to));
            from < to && core::iter::successors(Some(to), |&rank| above(rank)).any(|r| r == from)
        })
    }

    fn count(self) -> usize {
        self.live.len() + usize::from(self.at.is_err())
    }

    fn root(self) -> usize {
        self.at.unwrap_or_else(|at| at)
    }

    /// Returns how many others `node` comes after the writer, if it is one of us.
    fn place(self, node: &NodeId) -> Option<usize> {
        if node == self.writer {
            return Some(0);
        }
        let at = self.live.binary_search(node).ok()?;
        let is_moved = self.at.is_err_and(|writer| writer <= at);
        let place = (at + usize::from(is_moved) + self.count() - self.root()) % self.count();
        assert!(place != 0, "the writer alone has the first place");
        Some(place)
    }

    fn node(self, place: usize) -> &'a NodeId {
        let at = (self.root() + place) % self.count();
        if place == 0 {
            return self.writer;
        }
        let is_moved = self.at.is_err_and(|writer| writer < at);
        &self.live[at - usize::from(is_moved)]
    }

    /// Returns where the member at `place` stands in the tree of `way`.
    fn rank(self, way: usize, place: usize) -> usize {
        if place == 0 { 0 } else { (place - 1 + way) % (self.count() - 1) + 1 }
    }

    /// Returns the places that come right after `place` on `way`, those with most others behind
    /// them last.
    fn below(self, way: usize, place: usize) -> impl Iterator<Item = usize> {
        let (rank, count) = (self.rank(way, place), self.count());
        let end = if rank == 0 { count } else { lowest_bit(rank).min(count - rank) };
        let steps = (0..usize::BITS).map(|bit| 1 << bit).take_while(move |step| *step < end);
        let others = (count - 1).max(1);
        steps.map(move |step| (rank + step - 1 + others - way) % others + 1)
    }
}

/// Returns the rank from which `rank` is reached, unless it is the first.
const fn above(rank: usize) -> Option<usize> {
    if rank == 0 { None } else { Some(rank - lowest_bit(rank)) }
}

const fn lowest_bit(rank: usize) -> usize {
    rank & rank.wrapping_neg()
}

impl Replication {
    /// Says who is up, ourselves included, in order: between them writes are passed on where there
    /// are too many for each to tell all others.
    pub fn set_live(&mut self, live: Vec<NodeId>) {
        assert!(live.is_sorted(), "everybody reckons with one order");
        self.live = live;
    }

    /// Returns whether there are too many for each to tell all others.
    pub(super) fn is_relaying(&self) -> bool {
        self.settings.push_to_all_max < self.live.len()
    }

    /// Returns whom we send what `writer` wrote, now that we have it: the next on its ways and,
    /// if it is ours, whoever is on none.
    pub(super) fn next_of(&self, writer: &Replica) -> BTreeSet<NodeId> {
        let me = self.me.as_ref().expect("only a life has peers that it tells").node();
        let has_session = |node: &NodeId| self.peers.contains_key(node);
        let mut next = Ways::new(&self.live, writer.node()).next(me, has_session);
        if writer.node() == me {
            let is_outside = |peer: &&NodeId| self.live.binary_search(peer).is_err();
            next.extend(self.peers.keys().filter(is_outside).cloned());
        }
        next
    }

    /// Returns whether `from` is there to bring us what `owner` wrote.
    pub(super) fn is_relay(&self, from: &Replica, owner: &Replica) -> bool {
        let Some(me) = &self.me else { return false };
        self.is_relaying() && Ways::new(&self.live, owner.node()).lead(from.node(), me.node())
    }

    /// Takes in that the copy of `replica`'s journal closed, or that some peer has room for more of
    /// it: the next flush passes it on.
    pub(super) fn pass_on(&mut self, replica: &Replica) {
        if self.is_relaying() && self.me.is_some() {
            self.unrelayed.insert(replica.clone());
        }
    }

    /// Passes on what closed since the last flush.
    ///
    /// A peer is sent what it lacks as far as we have heard of it; nothing if we have not.
    pub(super) fn relay(&mut self, now: Time) {
        for replica in core::mem::take(&mut self.unrelayed) {
            let head = self.closed_head(&replica);
            for to in self.next_of(&replica) {
                let Some(Peer { replica: Some(life), .. }) = self.peers.get(&to) else { continue };
                let held = self.acks.get(life).and_then(|heads| heads.get(&replica)).copied();
                let peer = self.peers.get_mut(&to).expect("just seen");
                let Some(held) = held.filter(|held| *held < head) else { continue };
                peer.streams.entry(replica.clone()).or_insert_with(|| Stream::new(now, held));
                self.pump(now, &to, &replica);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::{BTreeMap, VecDeque};
    use alloc::format;

    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;

    fn node(index: usize) -> NodeId {
        NodeId::new(format!("n{index:04}")).unwrap()
    }

    fn nodes(count: usize) -> Vec<NodeId> {
        (0..count).map(node).collect()
    }

    /// Returns how many hops each is away from the writer, if those in `mute` take in what comes
    /// and pass nothing on, and nobody has a session with those in `dead`.
    fn spread(
        ways: Ways<'_>,
        mute: &BTreeSet<NodeId>,
        dead: &BTreeSet<NodeId>,
    ) -> BTreeMap<NodeId, u32> {
        let mut hops = BTreeMap::from([(ways.writer.clone(), 0)]);
        let mut to_go = VecDeque::from([ways.writer.clone()]);
        while let Some(from) = to_go.pop_front() {
            if mute.contains(&from) {
                continue;
            }
            for to in ways.next(&from, |other| !dead.contains(other)) {
                assert!(ways.lead(&from, &to), "{to} believes {from}");
                assert!(!ways.lead(&to, &from), "{from} does not believe {to}");
                if !hops.contains_key(&to) {
                    hops.insert(to.clone(), hops[&from] + 1);
                    to_go.push_back(to);
                }
            }
        }
        hops
    }

    fn hops_max(count: usize) -> u32 {
        count.next_power_of_two().ilog2()
    }

    fn members() -> impl Strategy<Value = (usize, usize)> {
        (1..200usize).prop_flat_map(|count| (Just(count), 0..count))
    }

    #[test]
    fn each_way_reaches_everybody_once_in_few_hops_and_nobody_tells_many() {
        for count in 1..300 {
            let (live, most) = (nodes(count), hops_max(count) as usize);
            let ways = Ways::new(&live, &live[count / 2]);
            let mut by_ways = BTreeSet::new();
            for way in 0..WAYS {
                let mut hops = BTreeMap::from([(0, 0)]);
                let mut to_go = VecDeque::from([0]);
                while let Some(place) = to_go.pop_front() {
                    assert!(ways.below(way, place).count() <= most, "{place} of {count} tells few");
                    for next in ways.below(way, place) {
                        assert_eq!(hops.insert(next, hops[&place] + 1), None, "{next} of {count}");
                        to_go.push_back(next);
                    }
                }
                assert_eq!(hops.len(), count, "everybody is reached");
                assert!(hops.values().all(|&hops| hops <= most), "nobody is far, of {count}");
                let inner = (1..count).filter(|&place| ways.below(way, place).next().is_some());
                by_ways.extend(inner.map(|place| (place, way)));
            }
            let twice = (1..count).filter(|&p| (0..WAYS).all(|way| by_ways.contains(&(p, way))));
            assert!(twice.count() <= 1, "who passes on in one way, of {count}, does in no other");
        }
    }

    proptest! {
        #[test]
        fn places_are_told_apart((count, writer) in members(), is_live in any::<bool>()) {
            let all = nodes(count);
            let live: Vec<NodeId> =
                all.iter().filter(|other| is_live || **other != all[writer]).cloned().collect();
            let ways = Ways::new(&live, &all[writer]);
            for (index, other) in all.iter().enumerate() {
                let place = (index + count - writer) % count;
                prop_assert_eq!(ways.place(other), Some(place), "a writer counts, live or not");
                prop_assert_eq!(ways.node(place), other);
            }
            prop_assert_eq!(ways.place(&node(count)), None);
        }

        #[test]
        fn any_one_may_pass_nothing_on_and_all_hear_of_it(
            (count, writer) in members(),
            mute in any::<prop::sample::Index>(),
        ) {
            let live = nodes(count);
            let mute = BTreeSet::from([mute.get(&live).clone()]);
            let ways = Ways::new(&live, &live[writer]);
            let hops = spread(ways, &mute, &BTreeSet::new());
            prop_assert!(hops.len() == count || mute.contains(&live[writer]));
        }

        #[test]
        fn the_dead_are_passed_over(
            (count, writer) in members(),
            dead in btree_set(0..200usize, 0..50),
        ) {
            let live = nodes(count);
            let dead = dead.into_iter().filter(|&index| index != writer).map(node).collect();
            let hops = spread(Ways::new(&live, &live[writer]), &BTreeSet::new(), &dead);
            let up = live.iter().filter(|other| !dead.contains(*other));
            prop_assert_eq!(hops.len(), up.count());
            prop_assert!(hops.values().all(|&hops| hops <= hops_max(count)));
        }
    }
}
