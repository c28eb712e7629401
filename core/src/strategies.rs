//! Strategies for property tests over journals, claims and conflict rules: few keys, few replicas
//! and few ranks, so that writes collide often.

use alloc::format;
use alloc::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::crdt::{Budget, Delta, DeltaEntry, Journal, Journals, Written};
use crate::laws::Turn;
use crate::{
    Blob, ChildId, Incarnation, NodeId, Origin, Precedence, ProcessId, Rank, Replica, Stamp, Wall,
};

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

/// Returns bytes for a conflict rule to go by: few and small, or of all sorts.
pub fn precedences() -> impl Strategy<Value = Precedence> {
    let few = vec(0..3_u8, 0..3);
    let all = vec(any::<u8>(), 0..=64);
    let bytes = prop_oneof![3 => few, 1 => all];
    bytes.prop_map(|bytes| Precedence::new(bytes).expect("no more than 64 bytes"))
}

/// Returns standings of processes, many of one origin, lineage or precedence.
pub fn ranks() -> impl Strategy<Value = Rank> {
    let stamp = || (0..3_u64).prop_map(|ms| Stamp::first_of(Wall::from_millis(ms)));
    let origin = (stamp(), 0..2_u8)
        .prop_map(|(stamp, id)| Origin { stamp, id: ChildId::from_bytes([id; 16]) });
    let process =
        (replicas(), 1..3_u64).prop_map(|(replica, number)| ProcessId { replica, number });
    (origin, precedences(), 0..3_u32, 0..3_u64, stamp(), process).prop_map(
        |(origin, precedence, lineage, moves, stamp, process)| Rank {
            origin,
            lineage,
            moves,
            stamp,
            process,
            precedence,
        },
    )
}

/// Returns the standings of up to eight different processes that claim one thing.
pub fn claims() -> impl Strategy<Value = Vec<Rank>> {
    vec(ranks(), 1..8).prop_map(|mut claims| {
        claims.sort_by(|a, b| a.process.cmp(&b.process));
        claims.dedup_by(|a, b| a.process == b.process);
        claims
    })
}

/// Returns schedules by which `claims` arrive: in any order, each once at least, some again.
pub fn schedules(claims: Vec<Rank>) -> impl Strategy<Value = Vec<Rank>> {
    let again = vec(any::<prop::sample::Index>(), 0..4);
    (Just(claims), again).prop_flat_map(|(claims, again)| {
        let repeated: Vec<Rank> = again.iter().map(|place| place.get(&claims).clone()).collect();
        Just([claims, repeated].concat()).prop_shuffle()
    })
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
    let deleted = any::<u8>().prop_map(Written::Deleted);
    let written = prop_oneof![3 => values().prop_map(Written::Value), 1 => deleted];
    let entry = (step, keys(), written);
    let entry = entry.prop_map(|(step, key, written)| DeltaEntry { step, key, written });
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
            Turn::Delete(key) => drop(journal.delete(key, key[key.len() - 1])),
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
