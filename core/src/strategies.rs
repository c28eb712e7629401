//! Strategies for property tests over journals: few keys and few replicas, so that writes collide
//! often.

use alloc::format;
use alloc::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::crdt::{Budget, Delta, DeltaEntry, Journal, Journals};
use crate::laws::Turn;
use crate::{Blob, Incarnation, NodeId, Replica};

/// Returns one of five keys.
pub fn keys() -> impl Strategy<Value = Blob> {
    (0..5u8).prop_map(|key| Blob::from(format!("key-{key}").as_str()))
}

/// Returns values of up to eight bytes.
pub fn values() -> impl Strategy<Value = Blob> {
    vec(any::<u8>(), 0..8).prop_map(Blob::from)
}

/// Returns one of six replicas: two lives of each of three nodes.
pub fn replicas() -> impl Strategy<Value = Replica> {
    (0..3u8, 1..3u64).prop_map(|(node, counter)| replica(node, counter))
}

/// Returns limits on deltas, mostly tight ones.
pub fn budgets() -> impl Strategy<Value = Budget> {
    let tight = (1..6usize, 1..100usize).prop_map(|(entries, bytes)| Budget { entries, bytes });
    prop_oneof![4 => tight, 1 => Just(Budget::default())]
}

/// Returns writes of an owner, without anything being sent.
pub fn writes() -> impl Strategy<Value = Turn> {
    prop_oneof![
        5 => (keys(), values()).prop_map(|(key, value)| Turn::Put(key, value)),
        3 => keys().prop_map(Turn::Delete),
        1 => any::<u8>().prop_map(Turn::Collect),
    ]
}

/// Returns turns of a story: writes, and what befalls the deltas between an owner and a copy.
pub fn turns() -> impl Strategy<Value = Turn> {
    prop_oneof![
        10 => writes(),
        4 => (any::<u8>(), budgets()).prop_map(|(from, budget)| Turn::Send(from, budget)),
        6 => budgets().prop_map(Turn::Answer),
        8 => (0..2usize).prop_map(Turn::Deliver),
        4 => (0..1_000usize).prop_map(Turn::Deliver),
        1 => Just(Turn::DropStaged),
        1 => Just(Turn::Refetch),
    ]
}

/// Returns journals of up to 40 writes.
pub fn journals() -> impl Strategy<Value = Journal> {
    vec(writes(), 0..40).prop_map(|writes| write(Journal::new(), &writes))
}

/// Returns states in which every replica's journal is what it was at one time or another.
///
/// All states of one test must come from one call, since a replica writes each version once; see
/// [`states`] for several.
pub fn histories() -> impl Strategy<Value = Vec<(Replica, Vec<Journal>)>> {
    let history = (replicas(), vec(writes(), 0..20)).prop_map(|(replica, writes)| {
        let mut history = Vec::from([Journal::new()]);
        for turn in &writes {
            let last = history.last().expect("there is always one").clone();
            history.push(write(last, core::slice::from_ref(turn)));
        }
        (replica, history)
    });
    vec(history, 1..5).prop_map(|mut histories| {
        histories.sort_by(|a, b| a.0.cmp(&b.0));
        histories.dedup_by(|a, b| a.0 == b.0);
        histories
    })
}

/// Returns three states of one cluster, each as far behind on each journal as it happens.
pub fn states() -> impl Strategy<Value = [Journals; 3]> {
    histories().prop_flat_map(|histories| {
        let picks = vec(any::<[prop::sample::Index; 3]>(), histories.len());
        picks.prop_map(move |picks| {
            let mut states = [Journals::new(), Journals::new(), Journals::new()];
            for ((replica, history), picks) in histories.iter().zip(picks) {
                for (state, pick) in states.iter_mut().zip(picks) {
                    state.insert(replica, pick.get(history));
                }
            }
            states
        })
    })
}

/// Returns deltas of all sorts, most of them such as no journal gives.
pub fn wild_deltas() -> impl Strategy<Value = Delta> {
    let number = || prop_oneof![4 => 0..20u64, 1 => Just(u64::MAX), 1 => any::<u64>()];
    let step = prop_oneof![8 => 1..4u64, 1 => Just(0), 1 => Just(u64::MAX)];
    let entry = (step, keys(), proptest::option::of(values()));
    let entry = entry.prop_map(|(step, key, value)| DeltaEntry { step, key, value });
    (replicas(), [number(), number(), number(), number()], number(), vec(entry, 0..8)).prop_map(
        |(replica, [from, to, until, floor], silence_ms, entries)| Delta {
            replica,
            from,
            to,
            until,
            floor,
            silence_ms,
            entries,
        },
    )
}

fn replica(node: u8, counter: u64) -> Replica {
    let node = NodeId::new(format!("n{node}")).expect("a short name is one");
    Replica::new(node, Incarnation { counter, nonce: 1 })
}

/// Returns `journal` after `writes`; turns that write nothing do nothing.
fn write(mut journal: Journal, writes: &[Turn]) -> Journal {
    for turn in writes {
        match turn {
            Turn::Put(key, value) => drop(journal.put(key.clone(), value.clone())),
            Turn::Delete(key) => drop(journal.delete(key)),
            Turn::Collect(share) => {
                journal.collect_tombstones(u64::from(*share) * journal.head() / 255);
            }
            Turn::Send(..)
            | Turn::Answer(_)
            | Turn::Deliver(_)
            | Turn::DropStaged
            | Turn::Refetch => (),
        }
    }
    journal
}
