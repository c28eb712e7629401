//! What a look at the ring costs, and what a change of its members.

use divan::{Bencher, black_box};
use ordu_core::NodeId;
use ordu_core::placement::{Ring, Weight};

/// The sizes of clusters that are measured.
const MEMBERS: [u32; 3] = [3, 16, 128];

/// Keys that take turns, so that no look finds what the one before it left in the cache.
const KEYS: usize = 1 << 16;

fn main() {
    divan::main();
}

fn node(number: u32) -> NodeId {
    NodeId::new(format!("node-{number}")).expect("a short name is an id")
}

fn ring_of(members: u32) -> Ring {
    (0..members).map(|number| (node(number), Weight::default())).collect()
}

/// Keys as supervisors make them: the 16 bytes of a child's id.
fn keys() -> Vec<[u8; 16]> {
    let number = |n: usize| (n as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    (0..KEYS).map(|n| number(n + 1).to_le_bytes()).collect()
}

#[divan::bench(args = MEMBERS)]
fn owner(bencher: Bencher, members: u32) {
    let (ring, keys) = (ring_of(members), keys());
    let mut turn = 0;
    bencher.bench_local(|| {
        turn = (turn + 1) % KEYS;
        ring.owner(black_box(&keys[turn])).map(NodeId::as_str).map(str::len)
    });
}

#[divan::bench(args = MEMBERS)]
fn three_candidates(bencher: Bencher, members: u32) {
    let (ring, keys) = (ring_of(members), keys());
    let mut turn = 0;
    bencher.bench_local(|| {
        turn = (turn + 1) % KEYS;
        ring.candidates(black_box(&keys[turn])).take(3).count()
    });
}

/// What each key would cost if all members were asked: the most even placement there is.
#[divan::bench(args = MEMBERS)]
fn rendezvous_for_comparison(bencher: Bencher, members: u32) {
    let seeds: Vec<u64> =
        (0..members).map(|number| ordu_core::hash64(node(number).as_str().as_bytes())).collect();
    let keys = keys();
    let mut turn = 0;
    bencher.bench_local(|| {
        turn = (turn + 1) % KEYS;
        let key = ordu_core::hash64(black_box(&keys[turn]));
        seeds
            .iter()
            .max_by_key(|&&seed| ordu_core::hash64_seeded(&key.to_le_bytes(), seed))
            .copied()
    });
}

#[divan::bench]
fn insert_the_128th(bencher: Bencher) {
    let ring = ring_of(127);
    bencher.with_inputs(|| ring.clone()).bench_local_values(|mut ring| {
        ring.insert(node(127), Weight::default());
        ring
    });
}

#[divan::bench]
fn remove_the_128th(bencher: Bencher) {
    let ring = ring_of(128);
    bencher.with_inputs(|| ring.clone()).bench_local_values(|mut ring| {
        ring.remove(&node(64));
        ring
    });
}
