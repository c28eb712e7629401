//! What journals cost, at 100,000 keys of 16 bytes with values of 16 bytes.
//!
//! `cargo bench -p ordu-core --bench journal`

use std::collections::BTreeMap;

use divan::{AllocProfiler, Bencher, black_box};
use ordu_core::crdt::{Applied, Budget, Change, Delta, Journal, JournalCopy, Journals};
use ordu_core::laws::Lattice as _;
use ordu_core::{Blob, Incarnation, NodeId, Replica};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

const KEYS: u64 = 100_000;
const WRITES: u64 = 1_000;
const SAMPLES: u32 = 30;

fn main() {
    divan::main();
}

fn replica(name: &str) -> Replica {
    let node = NodeId::new(name).expect("a short name is one");
    Replica::new(node, Incarnation { counter: 1, nonce: 1 })
}

/// Returns a key of 16 bytes; neighbours in number are none in order.
fn key(number: u64) -> Blob {
    Blob::from(format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).as_str())
}

fn put(journal: &mut Journal, number: u64) -> Change {
    journal.put(key(number), Blob::from([7; 16].as_slice()))
}

fn journal(keys: impl IntoIterator<Item = u64>) -> Journal {
    let mut journal = Journal::new();
    for number in keys {
        put(&mut journal, number);
    }
    journal
}

/// Returns a copy at the state of `journal`, with room for more as if it had grown to it.
fn copy(journal: &Journal) -> JournalCopy {
    let mut copy = JournalCopy::new();
    copy.join(journal);
    let mut ahead = journal.clone();
    put(&mut ahead, 0);
    let delta = ahead.delta(&replica("a"), copy.head(), Budget::default());
    let _ = copy.apply(delta.expect("there is news"));
    copy
}

/// Measures how `delta` is applied to one copy after the other, all equal.
///
/// They are made beforehand, so that making one does not leave the next in the processor's caches.
fn bench_apply(bencher: Bencher<'_, '_>, before: &Journal, delta: &Delta) {
    let mut copies: Vec<JournalCopy> = (0..SAMPLES).map(|_| copy(before)).collect();
    bencher
        .with_inputs(|| (copies.pop().expect("one for each sample"), delta.clone()))
        .bench_local_values(|(mut copy, delta)| {
            assert!(matches!(black_box(copy.apply(delta)), Ok(Applied::Closed { .. })));
            copy
        });
}

/// One node writes 100,000 names.
#[divan::bench(sample_count = 20)]
fn write_100k_keys(bencher: Bencher<'_, '_>) {
    let keys: Vec<Blob> = (0..KEYS).map(key).collect();
    bencher.bench_local(|| {
        let mut journal = Journal::new();
        for key in &keys {
            black_box(journal.put(key.clone(), key.clone()));
        }
        journal
    });
}

/// The memory of a journal besides its keys and values, which exist before.
#[divan::bench(sample_count = 5)]
fn memory_of_100k_entries(bencher: Bencher<'_, '_>) {
    let journal = journal(0..KEYS);
    bencher.bench_local(|| black_box(journal.clone()));
}

/// A delta of new keys.
#[divan::bench(sample_count = SAMPLES, sample_size = 1)]
fn apply_1k_new_keys_onto_100k(bencher: Bencher<'_, '_>) {
    let mut journal = journal(0..KEYS);
    let before = journal.clone();
    put(&mut journal, 0);
    (KEYS..KEYS + WRITES).for_each(|number| drop(put(&mut journal, number)));
    let delta = journal.delta(&replica("a"), KEYS + 1, Budget::default()).expect("there is news");
    bench_apply(bencher, &before, &delta);
}

/// A delta of keys that are there already, all over the journal.
#[divan::bench(sample_count = SAMPLES, sample_size = 1)]
fn apply_1k_old_keys_onto_100k(bencher: Bencher<'_, '_>) {
    let mut journal = journal(0..KEYS);
    let before = journal.clone();
    put(&mut journal, 0);
    (0..WRITES).for_each(|number| drop(put(&mut journal, number * (KEYS / WRITES))));
    let delta = journal.delta(&replica("a"), KEYS + 1, Budget::default()).expect("there is news");
    bench_apply(bencher, &before, &delta);
}

/// The floor to compare with: two plain maps and nothing that a copy must know.
#[divan::bench(sample_count = 50)]
fn floor_insert_1k_new_keys_into_100k(bencher: Bencher<'_, '_>) {
    let value = Blob::from([7; 16].as_slice());
    let map: hashbrown::HashMap<Blob, (u64, Blob), foldhash::fast::FixedState> =
        (0..KEYS).map(|number| (key(number), (number, value.clone()))).collect();
    let order: BTreeMap<u64, Blob> = (0..KEYS).map(|number| (number, key(number))).collect();
    let news: Vec<_> = (KEYS..KEYS + WRITES).map(|number| (key(number), value.clone())).collect();
    bencher.with_inputs(|| (map.clone(), order.clone(), news.clone())).bench_local_values(
        |(mut map, mut order, news)| {
            for (number, (key, value)) in (KEYS..).zip(news) {
                map.insert(key.clone(), (number, value));
                order.insert(number, key);
            }
            (map, order)
        },
    );
}

/// Two nodes that each wrote 100,000 keys tell each other all of them, by deltas.
#[divan::bench(sample_count = 20)]
fn receive_100k_keys_in_deltas(bencher: Bencher<'_, '_>) {
    let journal = journal(0..KEYS);
    let mut deltas = Vec::new();
    let mut from = 0;
    while let Some(delta) = journal.delta(&replica("a"), from, Budget::default()) {
        from = delta.to;
        deltas.push(delta);
    }
    bencher.with_inputs(|| deltas.clone()).bench_local_values(|deltas| {
        let mut copy = JournalCopy::new();
        for delta in deltas {
            let _ = black_box(copy.apply(delta));
        }
        assert_eq!(copy.head(), KEYS);
        copy
    });
}

/// Two states of 50,000 keys in each of two journals join; each has one journal that the other
/// lacks.
#[divan::bench(sample_count = 20)]
fn join_two_states_of_100k_keys_half_shared(bencher: Bencher<'_, '_>) {
    let [shared, left, right] = [0, 1, 2].map(|number| {
        let first = number * KEYS;
        journal(first..first + KEYS / 2)
    });
    let state = |own: &Journal, name: &str| {
        let mut state = Journals::new();
        state.insert(&replica("shared"), &shared);
        state.insert(&replica(name), own);
        state
    };
    let (left, right) = (state(&left, "left"), state(&right, "right"));
    bencher.with_inputs(|| left.clone()).bench_local_values(|mut left| {
        left.join(black_box(&right));
        left
    });
}

/// Two equal states of 100,000 keys join.
#[divan::bench(sample_count = 20)]
fn join_two_equal_states_of_100k_keys(bencher: Bencher<'_, '_>) {
    let mut state = Journals::new();
    state.insert(&replica("a"), &journal(0..KEYS));
    let other = state.clone();
    bencher.with_inputs(|| state.clone()).bench_local_values(|mut state| {
        state.join(black_box(&other));
        state
    });
}

/// The last 1,000 writes of a journal, for a peer that has all before.
#[divan::bench(sample_count = 50)]
fn delta_of_1k_of_100k_keys(bencher: Bencher<'_, '_>) {
    let mut journal = journal(0..KEYS);
    (0..WRITES).for_each(|number| drop(put(&mut journal, number * (KEYS / WRITES))));
    let replica = replica("a");
    bencher.bench_local(|| {
        let delta = journal.delta(&replica, black_box(KEYS), Budget::default());
        assert_eq!(delta.as_ref().map(|delta| delta.entries.len()), Some(1_000));
        delta
    });
}
