//! A consistent-hash ring that is probed at several places for every key.
//!
//! With one look-up per key, a ring is only as even as its gaps, and those differ widely: with 128
//! points for each of 128 members the busiest has a quarter more than its share. Here every key
//! looks at [`PROBES`] places and takes the point that lies nearest after any of them, so that a
//! point after a wide gap gains little over one after a narrow gap. 256 points are then as even as
//! 8,000 would be with one look.

use alloc::vec;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::hash::{hash64, hash128};
use crate::{NodeId, limits::MEMBERS_MAX};

/// How many points a member has on the ring; its share of the keys is proportional.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Weight(u16);

impl Weight {
    /// Most points that one member may have.
    pub const MAX: u16 = 4_096;

    /// 256 points, which make the ring as even as its keys let it be.
    pub const USUAL: Self = Self(256);

    /// Returns `points` as a weight, or `None` outside `1..=4096`.
    pub const fn new(points: u16) -> Option<Self> {
        if points == 0 || points > Self::MAX { None } else { Some(Self(points)) }
    }

    /// Returns the number of points.
    pub const fn points(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Weight {
    type Error = &'static str;

    fn try_from(points: u16) -> Result<Self, Self::Error> {
        Self::new(points).ok_or("a weight is between 1 and 4,096 points")
    }
}

impl From<Weight> for u16 {
    fn from(weight: Weight) -> Self {
        weight.points()
    }
}

impl Default for Weight {
    /// Returns [`Weight::USUAL`].
    fn default() -> Self {
        Self::USUAL
    }
}

/// At how many places each key looks; part of the placement that all nodes must agree on.
const PROBES: usize = 16;

/// The low bits of a point: the rank of its owner. The other 48 are its place.
const RANK_BITS: u32 = 16;

/// The bits of a point that hold its owner's rank.
const RANK_MASK: u64 = (1 << RANK_BITS) - 1;

const _: () = assert!(MEMBERS_MAX <= 1 << RANK_BITS, "every member has a rank");

/// A consistent-hash ring over the members of a cluster.
///
/// Which member a key belongs to depends on the members and their weights alone, not on the order
/// in which they came. A member that leaves gives up its own keys and no others change hands; a
/// member that joins takes its share and nothing moves between the others.
///
/// Invariant: `members` is sorted by id, without duplicates. `points` is sorted, and holds for
/// every member as many points as it has weight; each is the place in the upper 48 bits and the
/// member's rank in `members` in the lower 16, so that two points in one place stand in the order
/// of their members' ids. `starts[b]` is the number of points whose upper bits are below `b`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(NodeId, Weight)>", into = "Vec<(NodeId, Weight)>")]
pub struct Ring {
    members: Vec<(NodeId, Weight)>,
    points: Vec<u64>,
    starts: Vec<u32>,
    shift: u32,
}

impl Ring {
    /// The version of the placement that all nodes must agree on: hash, points and probes.
    pub const VERSION: u16 = 1;

    /// Adds `node` with `weight` points, or returns `false` if it is on the ring already.
    ///
    /// Takes O(p + w log w) time for p points on the ring and w new ones: under half a
    /// millisecond with 128 members.
    ///
    /// # Panics
    ///
    /// Panics when the ring is full: membership admits no more than [`MEMBERS_MAX`] members.
    pub fn insert(&mut self, node: NodeId, weight: Weight) -> bool {
        let Err(rank) = self.rank(&node) else { return false };
        assert!(self.members.len() < MEMBERS_MAX, "the ring has room for every member");
        let before = self.points.len();

        // All later members move up by one rank.
        for point in &mut self.points {
            *point += u64::from(*point & RANK_MASK >= rank as u64);
        }
        let mut fresh = places(&node, weight);
        fresh.iter_mut().for_each(|point| *point |= rank as u64);
        fresh.sort_unstable();
        self.merge(&fresh);
        self.members.insert(rank, (node, weight));
        self.index();

        assert_eq!(self.points.len(), before + usize::from(weight.points()), "all points went in");
        self.check();
        true
    }

    /// Takes `node` off the ring, or returns `false` if it is not on it.
    ///
    /// Takes O(p) time for p points on the ring.
    pub fn remove(&mut self, node: &NodeId) -> bool {
        let Ok(rank) = self.rank(node) else { return false };
        let before = self.points.len();

        let (_, weight) = self.members.remove(rank);
        self.points.retain(|point| point & RANK_MASK != rank as u64);
        for point in &mut self.points {
            *point -= u64::from(*point & RANK_MASK > rank as u64);
        }
        self.index();

        assert_eq!(self.points.len() + usize::from(weight.points()), before, "all its points went");
        self.check();
        true
    }

    /// Returns the member that `key` belongs to, or `None` on an empty ring.
    ///
    /// Of all points, the owner has the one nearest after any of the key's places, wrapping at the
    /// top; of two equally near the one of the smaller id. Takes O(1) time. Allocates nothing.
    ///
    /// Source: Appleton and O'Reilly, "Multi-Probe Consistent Hashing", 2015; with several points
    /// for each member, in integers only, and found through an index of the upper bits.
    pub fn owner(&self, key: &[u8]) -> Option<&NodeId> {
        if self.points.is_empty() {
            return None;
        }
        let (first, step) = start_and_step(key);
        let mut nearest = u64::MAX;
        let mut place = first;
        for _ in 0..PROBES {
            nearest = nearest.min(self.distance(self.next_at(place), place));
            place = place.wrapping_add(step);
        }

        debug_assert_eq!(nearest, self.nearest_by_search(key), "the index agrees with a search");
        let (owner, _) = &self.members[(nearest & RANK_MASK) as usize];
        Some(owner)
    }

    /// Iterates over all members, each once, in the order in which `key` would belong to them if
    /// those before did not exist. The first is [`Ring::owner`].
    ///
    /// Takes O(1) time for the first; for all n members O(n log n) on average.
    pub fn candidates(&self, key: &[u8]) -> Candidates<'_> {
        let (first, step) = start_and_step(key);
        let mut probes = [(0, 0); PROBES];
        let mut place = first;
        for probe in &mut probes {
            let next = if self.points.is_empty() { 0 } else { self.next_at(place) };
            *probe = (place, next);
            place = place.wrapping_add(step);
        }
        let seen = vec![false; self.members.len()];
        Candidates { ring: self, probes, seen, left: self.members.len() }
    }

    /// Iterates over the members, in the order of their ids.
    pub fn members(&self) -> impl Iterator<Item = (&NodeId, Weight)> {
        self.members.iter().map(|(node, weight)| (node, *weight))
    }

    /// Returns whether `node` is on the ring.
    pub fn contains(&self, node: &NodeId) -> bool {
        self.rank(node).is_ok()
    }

    /// Returns the number of members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns whether nobody is on the ring.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Returns the place of `node` among the members, or where it would be.
    fn rank(&self, node: &NodeId) -> Result<usize, usize> {
        self.members.binary_search_by(|(member, _)| member.cmp(node))
    }

    /// Returns which point is the first at or after `place`, wrapping at the top.
    fn next_at(&self, place: u64) -> usize {
        let place = place & !RANK_MASK;
        let mut next = self.starts[(place >> self.shift) as usize] as usize;
        // A bucket holds half a point on average: two steps without a branch, then seldom more.
        next += usize::from(self.points.get(next).is_some_and(|&point| point < place));
        next += usize::from(self.points.get(next).is_some_and(|&point| point < place));
        while self.points.get(next).is_some_and(|&point| point < place) {
            next += 1;
        }
        if next == self.points.len() { 0 } else { next }
    }

    /// Returns how far point `next` lies after `place`, in the upper bits, and whose it is.
    fn distance(&self, next: usize, place: u64) -> u64 {
        self.points[next].wrapping_sub(place & !RANK_MASK)
    }

    /// What [`Ring::owner`] finds through the index, found by binary search.
    fn nearest_by_search(&self, key: &[u8]) -> u64 {
        let nearest = |place: u64| {
            let place = place & !RANK_MASK;
            let next = self.points.partition_point(|&point| point < place);
            let point = self.points.get(next).or(self.points.first());
            point.expect("the ring is not empty").wrapping_sub(place)
        };
        places_of(key).map(nearest).min().expect("a key has places")
    }

    /// Merges `fresh`, sorted, into the points, from the top down and in place.
    fn merge(&mut self, fresh: &[u64]) {
        let mut old = self.points.len();
        let mut new = fresh.len();
        self.points.resize(old + new, 0);
        while new > 0 {
            let takes_old = old > 0 && fresh[new - 1] < self.points[old - 1];
            if takes_old {
                old -= 1;
                self.points[old + new] = self.points[old];
            } else {
                new -= 1;
                self.points[old + new] = fresh[new];
            }
        }
    }

    /// Builds the index anew: about two buckets for each point.
    fn index(&mut self) {
        let bits = (2 * self.points.len()).next_power_of_two().ilog2().max(1);
        let buckets = 1 << bits;
        self.shift = u64::BITS - bits;
        self.starts.clear();
        self.starts.reserve(buckets);
        for (number, point) in (0u32..).zip(&self.points) {
            let bucket = (point >> self.shift) as usize;
            while self.starts.len() <= bucket {
                self.starts.push(number);
            }
        }
        let all = u32::try_from(self.points.len()).expect("members times weight is below 2³²");
        self.starts.resize(buckets, all);
    }

    fn check(&self) {
        assert_eq!(self.members.is_empty(), self.points.is_empty(), "no members, no points");
        debug_assert!(self.points.is_sorted_by(|a, b| a <= b), "the points are sorted");
        debug_assert!(self.members.is_sorted_by(|a, b| a.0 < b.0), "sorted, without duplicates");
    }
}

/// Equal members make equal rings.
impl PartialEq for Ring {
    fn eq(&self, other: &Self) -> bool {
        self.members == other.members
    }
}

impl Eq for Ring {}

impl From<Vec<(NodeId, Weight)>> for Ring {
    fn from(members: Vec<(NodeId, Weight)>) -> Self {
        members.into_iter().collect()
    }
}

impl From<Ring> for Vec<(NodeId, Weight)> {
    fn from(ring: Ring) -> Self {
        ring.members
    }
}

impl FromIterator<(NodeId, Weight)> for Ring {
    /// Makes the ring of these members; of one named twice, the first weight counts.
    fn from_iter<I: IntoIterator<Item = (NodeId, Weight)>>(members: I) -> Self {
        let mut ring = Self::default();
        for (node, weight) in members {
            ring.insert(node, weight);
        }
        ring
    }
}

/// The members in the order in which a key would belong to them; from [`Ring::candidates`].
#[derive(Clone, Debug)]
pub struct Candidates<'a> {
    ring: &'a Ring,
    /// Where the key looks, and the next point to consider there.
    probes: [(u64, usize); PROBES],
    seen: Vec<bool>,
    left: usize,
}

impl<'a> Iterator for Candidates<'a> {
    type Item = &'a NodeId;

    fn next(&mut self) -> Option<&'a NodeId> {
        if self.left == 0 {
            return None;
        }
        // Ends: whoever is not seen yet has a point, and each probe meets all points in a round.
        loop {
            let distance =
                |&&mut (place, next): &&mut (u64, usize)| self.ring.distance(next, place);
            let (place, next) = self.probes.iter_mut().min_by_key(distance)?;
            let rank = (self.ring.distance(*next, *place) & RANK_MASK) as usize;
            *next = if *next + 1 == self.ring.points.len() { 0 } else { *next + 1 };
            if !self.seen[rank] {
                self.seen[rank] = true;
                self.left -= 1;
                return Some(&self.ring.members[rank].0);
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Candidates<'_> {}

/// Returns the points of `node`, without its rank.
///
/// The number is part of what is hashed, and no seed: of three bytes, XXH3 combines the seed with
/// the last one by `xor`, and "n10" to "n19" would all have the same points.
fn places(node: &NodeId, weight: Weight) -> Vec<u64> {
    let mut bytes = Vec::from(node.as_str().as_bytes());
    let end = bytes.len();
    let place = |number: u16| {
        bytes.truncate(end);
        bytes.extend_from_slice(&number.to_le_bytes());
        hash64(&bytes) & !RANK_MASK
    };
    (0..weight.points()).map(place).collect()
}

/// Returns the first place where `key` looks, and how far the next ones lie from each other.
fn start_and_step(key: &[u8]) -> (u64, u64) {
    let hash = hash128(key);
    // An odd step visits no place twice.
    (hash as u64, (hash >> 64) as u64 | 1)
}

/// Returns all places where `key` looks.
fn places_of(key: &[u8]) -> impl Iterator<Item = u64> {
    let (first, step) = start_and_step(key);
    (0..PROBES as u64).map(move |probe| first.wrapping_add(step.wrapping_mul(probe)))
}

#[cfg(test)]
mod tests;
