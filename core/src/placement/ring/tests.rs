use std::collections::{BTreeMap, BTreeSet};
use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::NodeId;

fn node(number: u16) -> NodeId {
    NodeId::new(format!("node-{number}")).unwrap()
}

fn ring_of(numbers: impl IntoIterator<Item = u16>) -> Ring {
    numbers.into_iter().map(|number| (node(number), Weight::default())).collect()
}

fn key(number: u64) -> [u8; 8] {
    number.to_le_bytes()
}

/// A few members of any weight, light ones so that places are sparse and wrap often.
fn members() -> impl Strategy<Value = BTreeMap<u16, u16>> {
    prop::collection::btree_map(0..40u16, 1..20u16, 1..8)
}

fn ring_with(members: &BTreeMap<u16, u16>) -> Ring {
    members.iter().map(|(&n, &weight)| (node(n), Weight::new(weight).unwrap())).collect()
}

#[test]
fn places_are_the_same_on_every_machine_for_ever() {
    let ring = ring_of(0..5);
    let owners: Vec<&str> = (0..12).map(|n| ring.owner(&key(n)).unwrap().as_str()).collect();
    assert_eq!(owners, GOLDEN_OWNERS);

    let named = [&b""[..], b"cart/7", b"a longer key, over the sixteen bytes of the short path"];
    for (key, golden) in named.into_iter().zip(GOLDEN_CANDIDATES) {
        let candidates: Vec<&str> = ring.candidates(key).map(NodeId::as_str).collect();
        assert_eq!(candidates, golden);
    }
}

/// SPEC's B33.
#[test]
fn an_empty_ring_owns_nothing() {
    let mut ring = Ring::default();
    assert_eq!(ring.owner(b"cart/7"), None);
    assert_eq!(ring.candidates(b"cart/7").next(), None);

    // Nor does one that everybody left.
    assert!(ring.insert(node(1), Weight::default()));
    assert_eq!(ring.owner(b"cart/7"), Some(&node(1)));
    assert!(ring.remove(&node(1)));
    assert_eq!(ring.owner(b"cart/7"), None);
    assert_eq!(ring.candidates(b"cart/7").next(), None);
}

#[test]
fn nobody_is_on_the_ring_twice() {
    let mut ring = ring_of([1, 2]);
    assert!(!ring.insert(node(1), Weight::new(7).unwrap()));
    assert_eq!(ring.members().next(), Some((&node(1), Weight::default())), "the weight stays");
    assert!(!ring.remove(&node(3)));
    assert_eq!(ring.len(), 2);
}

/// The busiest member has at most 3 % more than it would have if every key drew its member by lot
/// (1.006, 1.019 and 1.10 times its share).
#[test]
fn members_share_the_keys_as_evenly_as_lots_would() {
    for (members, most) in [(3, 1.036), (16, 1.049), (128, 1.133)] {
        let ring = ring_of(0..members);
        let keys = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
        let mut counts = BTreeMap::<&NodeId, u32>::new();
        for number in 0..keys {
            *counts.entry(ring.owner(&key(number)).unwrap()).or_default() += 1;
        }
        let busiest = f64::from(*counts.values().max().unwrap());
        let share = keys as f64 / f64::from(members);
        assert!(busiest / share <= most, "{} of {members} members", busiest / share);
    }
}

/// However nodes are called, short names that differ in one letter above all: each has its share,
/// and no two have a point in common.
#[test]
fn members_of_any_names_share_the_keys() {
    let numbers = || (0..10).map(|number: u16| number.to_string());
    let schemes: [Vec<String>; 6] = [
        numbers().collect(),
        numbers().map(|number| format!("n{number}")).collect(),
        numbers().map(|number| format!("n1{number}")).collect(),
        numbers().map(|number| format!("db{number}")).collect(),
        numbers().map(|number| format!("shop-{number}.example.org:4000")).collect(),
        ('a'..='j').map(String::from).collect(),
    ];
    for names in schemes {
        let members = names.iter().map(|name| NodeId::new(name.as_str()).unwrap());
        let ring: Ring = members.map(|member| (member, Weight::default())).collect();
        let places: BTreeSet<u64> = ring.points.iter().map(|point| point & !RANK_MASK).collect();
        assert_eq!(places.len(), ring.points.len(), "points meet: {names:?}");
        let mut counts = BTreeMap::<&NodeId, u32>::new();
        for number in 0..20_000 {
            *counts.entry(ring.owner(&key(number)).unwrap()).or_default() += 1;
        }
        assert_eq!(counts.len(), names.len(), "somebody has nothing: {counts:?}");
        assert!(counts.values().all(|count| (1_700..2_300).contains(count)), "{counts:?}");
    }
}

/// SPEC's B131: what has keys of its own lies apart, however alike it is otherwise.
#[test]
fn fifty_keys_do_not_meet_on_one_of_three_members() {
    let ring = ring_of(0..3);
    let owners: BTreeSet<&NodeId> = (0..50).filter_map(|n| ring.owner(&key(n))).collect();
    assert_eq!(owners.len(), 3);
}

#[test]
fn twice_the_weight_is_twice_the_share() {
    let mut ring = ring_of(0..3);
    ring.insert(node(3), Weight::new(512).unwrap());
    let heavy = node(3);
    let owned = (0..50_000).filter(|&n| ring.owner(&key(n)) == Some(&heavy)).count();
    assert!((19_000..21_000).contains(&owned), "{owned} of 50,000, expected two in five");
}

#[test]
fn a_key_that_meets_a_point_belongs_to_it() {
    // The point's own place and the one before it; what no key does by chance.
    let ring = ring_of(0..4);
    for &point in &ring.points {
        let place = point & !0xffff;
        let found = ring.points[ring.next_at(place)];
        assert_eq!(found & !0xffff, place);
        assert_eq!(ring.next_at(place.wrapping_sub(1 << 16)), ring.next_at(place));
        assert_ne!(ring.next_at(place.wrapping_add(1 << 16)), ring.next_at(place));
    }
    let last = *ring.points.last().unwrap();
    assert_eq!(ring.next_at(last | 0xffff), ring.points.len() - 1);
    assert_eq!(ring.next_at(u64::MAX), 0, "the top wraps to the bottom");
}

#[test]
fn a_ring_survives_a_snapshot() {
    let ring = ring_of(0..5);
    let copy: Ring = crate::wire::decode(&crate::wire::encode(&ring)).unwrap();
    assert_eq!(copy, ring);
    assert_eq!(copy.points, ring.points);
    assert_eq!(copy.owner(b"cart/7"), ring.owner(b"cart/7"));
}

/// The definition, straight from the doc: all points, all places, nearest first.
fn candidates_by_scan(ring: &Ring, key: &[u8]) -> Vec<NodeId> {
    let hash = hash128(key);
    let (first, step) = (hash as u64, (hash >> 64) as u64 | 1);
    let mut nearest: Vec<(u64, NodeId)> = Vec::new();
    for (member, weight) in ring.members() {
        let mut least = u64::MAX;
        for number in 0..weight.points() {
            let point = hash64(&[member.as_str().as_bytes(), &number.to_le_bytes()].concat()) >> 16;
            for probe in 0..16u64 {
                let place = first.wrapping_add(step.wrapping_mul(probe)) >> 16;
                least = least.min(point.wrapping_sub(place) & (u64::MAX >> 16));
            }
        }
        nearest.push((least, member.clone()));
    }
    nearest.sort();
    nearest.into_iter().map(|(_, member)| member).collect()
}

proptest! {
    /// SPEC's B32.
    #[test]
    fn the_owner_is_a_member_and_the_nearest(members in members(), key in any::<[u8; 8]>()) {
        let ring = ring_with(&members);
        let owner = ring.owner(&key).expect("somebody is on the ring");
        prop_assert!(ring.contains(owner));

        let candidates: Vec<NodeId> = ring.candidates(&key).cloned().collect();
        prop_assert_eq!(owner, &candidates[0]);
        prop_assert_eq!(candidates, candidates_by_scan(&ring, &key));
    }

    #[test]
    fn the_order_of_arrival_does_not_matter(
        members in members(),
        order in any::<prop::sample::Index>(),
        passer_by in 40..50u16,
    ) {
        let ring = ring_with(&members);
        let mut shuffled: Vec<(u16, u16)> = members.into_iter().collect();
        let turn = order.index(shuffled.len());
        shuffled.rotate_left(turn);
        shuffled.swap(0, turn);

        let mut other = Ring::default();
        other.insert(node(passer_by), Weight::new(5).unwrap());
        for (number, weight) in shuffled {
            other.insert(node(number), Weight::new(weight).unwrap());
        }
        other.remove(&node(passer_by));
        prop_assert_eq!(&other, &ring);
        prop_assert_eq!(&other.points, &ring.points);
        prop_assert_eq!(&other.starts, &ring.starts);
    }

    /// Whoever comes or goes, the others keep their order for every key.
    #[test]
    fn nothing_moves_between_those_who_stay(
        members in members(),
        comer in 40..50u16,
        weight in 1..20u16,
        keys in prop::collection::vec(any::<[u8; 8]>(), 1..50),
    ) {
        let without = ring_with(&members);
        let mut with = without.clone();
        with.insert(node(comer), Weight::new(weight).unwrap());

        let comer = node(comer);
        for key in keys {
            let before: Vec<&NodeId> = without.candidates(&key).collect();
            let after: Vec<&NodeId> = with.candidates(&key).filter(|&n| *n != comer).collect();
            prop_assert_eq!(before, after);
            let owner = with.owner(&key);
            prop_assert!(owner == Some(&comer) || owner == without.owner(&key));
        }
    }
}

const GOLDEN_OWNERS: [&str; 12] = [
    "node-3", "node-3", "node-2", "node-3", "node-4", "node-4", "node-0", "node-3", "node-2",
    "node-0", "node-0", "node-2",
];

const GOLDEN_CANDIDATES: [[&str; 5]; 3] = [
    ["node-1", "node-0", "node-4", "node-3", "node-2"],
    ["node-2", "node-3", "node-1", "node-4", "node-0"],
    ["node-3", "node-1", "node-4", "node-2", "node-0"],
];
