//! Journals, their copies and their products obey the laws.

use std::collections::BTreeMap;

use ordu_core::crdt::{Applied, Budget, Delta, Journal, JournalCopy, Journals};
use ordu_core::laws::{self, Follower, Turn};
use ordu_core::{Blob, Incarnation, NodeId, Replica, strategies, wire};
use proptest::collection::vec;
use proptest::prelude::*;

fn replica() -> Replica {
    let node = NodeId::new("a").expect("a short name is one");
    Replica::new(node, Incarnation { counter: 1, nonce: 1 })
}

fn blob(text: &str) -> Blob {
    Blob::from(text)
}

fn put(key: &str, value: &str) -> Turn {
    Turn::Put(blob(key), blob(value))
}

const ONE: Budget = Budget { entries: 1, bytes: 0 };

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// B105. The join of states has what each of them had.
    #[test]
    fn joins_are_lawful([a, b, c] in strategies::states()) {
        laws::commutative(&a, &b);
        laws::associative(&a, &b, &c);
        laws::idempotent(&a);
        laws::inflationary(&a, &b);
    }

    #[test]
    fn a_write_and_its_delta_say_the_same(
        [before, ..] in strategies::states(),
        journal in strategies::journals(),
        key in strategies::keys(),
        value in proptest::option::of(strategies::values()),
    ) {
        let replica = replica();
        let mut before = before;
        before.insert(&replica, &journal);
        let mut written = journal.clone();
        match value {
            Some(value) => drop(written.put(key, value)),
            None => drop(written.delete(&key, 7)),
        }
        let mut after = before.clone();
        after.insert(&replica, &written);
        if let Some(delta) = written.delta(&replica, journal.head(), Budget::default()) {
            laws::delta_equals_mutation(&before, &after, &delta);
        }
    }

    /// B110, B111, B129. Any limit on deltas, any loss, order and repetition leads to the state of
    /// no limit.
    #[test]
    fn copies_follow_their_owner_however_deltas_arrive(
        turns in vec(strategies::turns(), 0..120),
    ) {
        laws::copies_follow(&replica(), &turns);
    }

    /// A copy is sent from another copy as well as from the owner.
    #[test]
    fn copies_follow_one_another(
        turns in vec(strategies::turns(), 0..80),
        budget in strategies::budgets(),
    ) {
        let mut first = Follower::new(replica());
        let mut second = JournalCopy::new();
        let mut history = BTreeMap::new();
        for (number, turn) in turns.iter().enumerate() {
            first.turn(turn);
            history.insert(first.owner().head(), laws::shown(first.owner()));
            // Now the owner sends to the second copy, now the first copy does.
            let holder = if number % 3 == 0 { first.owner() } else { first.copy().journal() };
            let need = second.need(holder.floor());
            if let Some(delta) = holder.delta(&replica(), need, budget) {
                let _ = second.apply(delta).unwrap();
            }
            let shown = laws::shown(second.journal());
            prop_assert!(history.get(&second.head()).is_none_or(|then| *then == shown));
        }
        second.drop_staged();
        while let Some(delta) =
            first.owner().delta(&replica(), second.need(first.owner().floor()), budget)
        {
            let _ = second.apply(delta).unwrap();
        }
        prop_assert_eq!(laws::shown(second.journal()), laws::shown(first.owner()));
        prop_assert_eq!(second.journal().fingerprint(), first.owner().fingerprint());
    }

    /// B104, B106 to B109, B120. What is put is read, what is deleted is not, and what is put again
    /// counts.
    #[test]
    fn a_journal_is_a_plain_map(writes in vec(strategies::writes(), 0..100)) {
        let mut journal = Journal::new();
        let mut map = BTreeMap::new();
        for turn in &writes {
            match turn {
                Turn::Put(key, value) => {
                    let before = map.insert(key.clone(), value.clone());
                    prop_assert_eq!(journal.put(key.clone(), value.clone()).before, before);
                }
                Turn::Delete(key) => {
                    let change = journal.delete(key, 7);
                    prop_assert_eq!(change.and_then(|change| change.before), map.remove(key));
                }
                Turn::Collect(up_to) => journal.collect_tombstones(u64::from(*up_to) % 50),
                Turn::Send(..)
                | Turn::Answer(_)
                | Turn::Deliver(_)
                | Turn::DropStaged
                | Turn::Refetch => unreachable!("only writes"),
            }
            journal.check_deeply();
            let seen: BTreeMap<_, _> =
                journal.iter().map(|(key, _, value)| (key.clone(), value.clone())).collect();
            prop_assert_eq!(&seen, &map);
            prop_assert_eq!(journal.live_count(), map.len());
        }
    }

    #[test]
    fn snapshots_come_back_whole(
        journal in strategies::journals(),
        [state, ..] in strategies::states(),
    ) {
        let again: Journal = wire::decode(&wire::encode(&journal)).unwrap();
        again.check_deeply();
        prop_assert_eq!(again, journal);
        let again: Journals = wire::decode(&wire::encode(&state)).unwrap();
        prop_assert_eq!(again, state);
    }

    /// Whatever is refused changes nothing, and whatever is taken leaves a copy that works.
    #[test]
    fn wild_deltas_do_no_harm(deltas in vec(strategies::wild_deltas(), 0..20)) {
        let mut copy = JournalCopy::new();
        for delta in deltas {
            let before = copy.clone();
            let lawful = delta.check();
            let applied = copy.apply(delta);
            copy.journal().check_deeply();
            prop_assert_eq!(applied.as_ref().err(), lawful.as_ref().err());
            if !matches!(applied, Ok(Applied::Closed { .. })) {
                prop_assert_eq!(before.head(), copy.head());
                prop_assert_eq!(before.journal().fingerprint(), copy.journal().fingerprint());
            }
        }
    }
}

/// What was overwritten before it was sent is absent, so a part of a journal is no state of it.
#[test]
fn a_key_that_its_owner_had_all_along_is_never_seen_missing() {
    let mut story = Follower::new(replica());
    for turn in [put("x", "1"), put("y", "1"), Turn::Answer(Budget::default()), Turn::Deliver(0)] {
        story.turn(&turn);
    }
    assert_eq!(story.copy().head(), 2);

    // x moves to the end, so a fresh copy that gets the first half would have y alone.
    story.turn(&put("x", "2"));
    let mut fresh = JournalCopy::new();
    let half = story.owner().delta(&replica(), 0, ONE).unwrap();
    assert_eq!((half.to, half.until), (2, 3));
    assert_eq!(fresh.apply(half), Ok(Applied::Staged { need: 2 }));
    assert_eq!((fresh.head(), fresh.journal().len()), (0, 0));

    let rest = story.owner().delta(&replica(), 2, ONE).unwrap();
    assert!(matches!(fresh.apply(rest), Ok(Applied::Closed { changes }) if changes.len() == 2));
    assert_eq!(fresh.journal(), story.owner());
}

/// A copy from before the floor would keep what was deleted: it is replaced as a whole.
#[test]
fn what_was_deleted_below_the_floor_does_not_come_back() {
    let mut story = Follower::new(replica());
    for turn in [put("x", "1"), put("y", "1"), Turn::Answer(Budget::default()), Turn::Deliver(0)] {
        story.turn(&turn);
    }
    story.turn(&Turn::Delete(blob("x")));
    story.turn(&Turn::Collect(255));
    story.turn(&put("z", "1"));

    // The rest alone says nothing of x: it is not taken.
    let mut copy = story.copy().clone();
    let rest = story.owner().delta(&replica(), 2, ONE).unwrap();
    assert_eq!(copy.apply(rest), Ok(Applied::Missing { need: 0 }));

    // The whole takes the place of what there was, at once, with its floor.
    let whole = |from| story.owner().delta(&replica(), from, ONE).unwrap();
    assert_eq!(copy.apply(whole(0)), Ok(Applied::Staged { need: 2 }));
    assert_eq!(copy.journal().get(b"x"), Some(&blob("1")), "nothing flickers");
    let Ok(Applied::Closed { changes }) = copy.apply(whole(2)) else { panic!("it closes") };
    assert_eq!(copy.journal(), story.owner());
    assert_eq!(copy.journal().floor(), 3);
    assert_eq!(changes.len(), 2, "x vanished and z appeared; y is as it was");
}

/// A part whose sender dropped a tombstone between two parts does not join what came before.
#[test]
fn a_tombstone_dropped_between_two_parts_is_not_missed() {
    let mut owner = Journal::new();
    owner.put(blob("a"), blob("1"));
    owner.put(blob("b"), blob("1"));
    let mut copy = JournalCopy::new();
    let _ = copy.apply(owner.delta(&replica(), 0, Budget::default()).unwrap()).unwrap();

    // The first part ends before a is deleted; the second starts after it, without a trace of it.
    owner.put(blob("c"), blob("1"));
    owner.delete(b"a", 7);
    owner.put(blob("d"), blob("1"));
    let part = owner.delta(&replica(), 2, ONE).unwrap();
    assert_eq!(copy.apply(part), Ok(Applied::Staged { need: 3 }));
    owner.collect_tombstones(4);
    let rest = owner.delta(&replica(), 3, Budget::default()).unwrap();
    assert_eq!(copy.apply(rest), Ok(Applied::Missing { need: 0 }));

    let whole = owner.delta(&replica(), 0, Budget::default()).unwrap();
    assert!(matches!(copy.apply(whole), Ok(Applied::Closed { .. })));
    assert_eq!(copy.journal(), &owner);
}

/// The same where the parts are of a replacement: the oldest of them counts.
#[test]
fn a_tombstone_dropped_between_parts_of_a_replacement_is_not_missed() {
    let mut owner = Journal::new();
    for key in ["a", "b", "c", "d", "e"] {
        owner.put(blob(key), blob("1"));
    }
    owner.delete(b"e", 7);
    owner.collect_tombstones(6);
    let mut copy = JournalCopy::new();
    let part = |owner: &Journal, from| owner.delta(&replica(), from, ONE).unwrap();
    assert_eq!(copy.apply(part(&owner, 0)), Ok(Applied::Staged { need: 1 }));

    // a, which the first part brought, is deleted; the second part is sent before that is
    // forgotten.
    owner.delete(b"a", 7);
    owner.put(blob("f"), blob("1"));
    assert_eq!(copy.apply(part(&owner, 1)), Ok(Applied::Staged { need: 2 }));
    owner.collect_tombstones(7);
    assert_eq!(copy.apply(part(&owner, 2)), Ok(Applied::Missing { need: 0 }));

    let whole = owner.delta(&replica(), 0, Budget::default()).unwrap();
    assert!(matches!(copy.apply(whole), Ok(Applied::Closed { .. })));
    assert_eq!(copy.journal(), &owner);
}

/// A key that was written twice within what closes at once changes once.
#[test]
fn states_within_a_closing_are_never_told() {
    let mut owner = Journal::new();
    let mut copy = JournalCopy::new();
    owner.put(blob("x"), blob("1"));
    owner.put(blob("y"), blob("1"));
    let first = owner.delta(&replica(), 0, ONE).unwrap();
    assert_eq!(copy.apply(first), Ok(Applied::Staged { need: 1 }));

    owner.put(blob("x"), blob("2"));
    let rest = owner.delta(&replica(), 1, Budget::default()).unwrap();
    let Ok(Applied::Closed { changes }) = copy.apply(rest) else { panic!("it closes") };
    let told: Vec<_> = changes.iter().map(|c| (c.version, &*c.key, c.after.as_deref())).collect();
    assert_eq!(told, [(2, b"y".as_slice(), Some(b"1".as_slice())), (3, b"x", Some(b"2"))]);
    assert!(changes.iter().all(|change| change.before.is_none()));
}

/// A part from an older head does not close what a later head left open.
#[test]
fn a_copy_closes_at_the_latest_head_it_was_sent_from() {
    let mut owner = Journal::new();
    owner.put(blob("x"), blob("1"));
    owner.put(blob("y"), blob("1"));
    let old = owner.delta(&replica(), 0, Budget::default()).unwrap();
    owner.put(blob("x"), blob("2"));
    owner.put(blob("z"), blob("1"));
    let new = owner.delta(&replica(), 0, ONE).unwrap();
    assert_eq!((new.from, new.to, new.until), (0, 2, 4));

    let mut copy = JournalCopy::new();
    assert_eq!(copy.apply(new), Ok(Applied::Staged { need: 2 }));
    assert_eq!(
        copy.apply(old),
        Ok(Applied::Known),
        "it ends where we have come, and lacks nothing"
    );
    assert_eq!(copy.head(), 0, "x is missing, and stays hidden");
}

/// Doubted content is shown until its replacement is whole, and pushes do not build on it.
#[test]
fn a_refetch_takes_the_place_of_doubted_content_at_once() {
    let mut owner = Journal::new();
    owner.put(blob("x"), blob("1"));
    let mut copy = JournalCopy::new();
    let _ = copy.apply(owner.delta(&replica(), 0, ONE).unwrap()).unwrap();
    copy.refetch(copy.head());

    owner.put(blob("y"), blob("1"));
    let push = owner.delta(&replica(), 1, ONE).unwrap();
    assert_eq!(copy.apply(push.clone()), Ok(Applied::Missing { need: 0 }));
    let whole: Delta = owner.delta(&replica(), 0, ONE).unwrap();
    assert_eq!(copy.apply(whole), Ok(Applied::Staged { need: 1 }));
    assert_eq!(copy.journal().len(), 1);
    let Ok(Applied::Closed { changes }) = copy.apply(push) else { panic!("it closes") };
    assert_eq!(changes.len(), 1, "x is what it was");
    assert_eq!(copy.journal(), &owner);
    assert_eq!(copy.refetching(), None);
}
