//! A journal, the deltas cut of it, and copies that get them in any order, or others.

use ordu_core::crdt::{Applied, Budget, Change, Delta, DeltaEntry, Journal, JournalCopy, Written};
use ordu_core::laws::{Follower, Turn};
use ordu_core::wire::encode;
use ordu_core::{Blob, Incarnation, NodeId, Replica};

use crate::fuzz::bytes::Bytes;

/// What became of one journal and its copies; equal for equal bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DeltaRun {
    /// The fingerprint of what the owner holds in the end.
    pub fingerprint: u64,
    /// How many deltas were handed to copies as an honest sender cut them.
    pub delivered: u32,
    /// How many deltas were refused.
    pub refused: u32,
    /// How many deltas that no journal gave were taken all the same: nobody could tell.
    pub believed: u32,
}

/// Writes a journal, and hands its deltas on, as `bytes` say.
///
/// They are cut at any version and budget, lost, repeated, reordered and cut shorter. The copy that
/// gets them shows nothing but states that the owner had, each later than the last, so that what
/// was deleted stays so; and a new copy that gets all of them in any order is the owner's journal.
///
/// Some are changed into what no journal gives. What [`Delta::check`] refuses, a copy refuses for
/// that reason, and is as it was. What it lets pass nobody can tell from the truth: a second copy
/// believes it, goes forward only, and is mended once it doubts what it shows.
///
/// # Panics
///
/// Panics if any of that does not hold.
pub fn delta(bytes: &[u8]) -> DeltaRun {
    let mut story = Story::new();
    let mut bytes = Bytes(bytes);
    for _ in 0..STEPS_MAX {
        let Some(step) = bytes.next() else { break };
        story.step(step, &mut bytes);
    }
    story.end(&mut bytes)
}

/// Most steps of one run.
const STEPS_MAX: usize = 32;
/// Most parts that a journal is cut into for a copy that gets them in any order.
const PARTS_MAX: usize = 8;

struct Story {
    replica: Replica,
    /// The owner, and the copy that hears the truth, whole or in part.
    follower: Follower,
    /// The copy that hears everything.
    tainted: JournalCopy,
    run: DeltaRun,
}

impl Story {
    fn new() -> Self {
        let node = NodeId::new("a").expect("a letter is a name");
        let replica = Replica::new(node, Incarnation { counter: 1, nonce: 7 });
        let follower = Follower::new(replica.clone());
        Self { replica, follower, tainted: JournalCopy::new(), run: DeltaRun::default() }
    }

    fn step(&mut self, step: u8, bytes: &mut Bytes<'_>) {
        match step % 16 {
            0..=3 => self.follower.turn(&Turn::Put(key(bytes.byte()), value(bytes))),
            4 => self.follower.turn(&Turn::Delete(key(bytes.byte()))),
            5 => self.follower.turn(&Turn::Collect(bytes.byte())),
            6 => self.follower.turn(&Turn::Send(bytes.byte(), budget(bytes))),
            7 | 8 => self.follower.turn(&Turn::Answer(budget(bytes))),
            9 | 10 => {
                self.run.delivered += u32::from(!self.follower.sent().is_empty());
                self.follower.turn(&Turn::Deliver(usize::from(bytes.byte())));
            }
            11 => self.deliver_a_part(bytes),
            12 => self.follower.turn(&Turn::DropStaged),
            13 => self.follower.turn(&Turn::Refetch),
            _ => self.deliver_a_lie(bytes),
        }
    }

    /// Returns one of the deltas that were ever sent, the latest for 0.
    fn some_delta(&self, bytes: &mut Bytes<'_>) -> Option<Delta> {
        let sent = self.follower.sent();
        let back = usize::from(bytes.byte());
        sent.iter().rev().nth(back % sent.len().max(1)).cloned()
    }

    /// Cuts a delta after some of its entries, as a tighter budget would have.
    fn deliver_a_part(&mut self, bytes: &mut Bytes<'_>) {
        let Some(mut delta) = self.some_delta(bytes) else { return };
        if delta.entries.len() > 1 {
            delta.entries.truncate(1 + bytes.below(delta.entries.len() - 1));
            delta.to = delta.from + delta.entries.iter().map(|entry| entry.step).sum::<u64>();
        }
        self.run.delivered += 1;
        self.follower.deliver(delta);
    }

    /// Changes a delta, or invents one, and hands it to the copy that hears everything.
    fn deliver_a_lie(&mut self, bytes: &mut Bytes<'_>) {
        let mut delta = self.some_delta(bytes).unwrap_or_else(|| self.invented(bytes));
        for _ in 0..=bytes.byte() % 3 {
            change(&mut delta, bytes);
        }
        let verdict = delta.check();
        let mut honest = self.follower.copy().clone();
        if let Err(error) = verdict {
            self.run.refused += 1;
            assert_eq!(honest.apply(delta.clone()), Err(error), "what is refused says why");
            assert_eq!(encode(&honest), encode(self.follower.copy()), "and changes nothing");
        }
        let (head, shown) = (self.tainted.head(), self.tainted.journal().clone());
        let is_doubted = self.tainted.refetching().is_some();
        match self.tainted.apply(delta) {
            Err(error) => assert_eq!(verdict, Err(error), "only what is no delta is refused"),
            Ok(Applied::Known) => self.run.believed += 1,
            Ok(Applied::Staged { .. } | Applied::Missing { .. }) => {
                self.run.believed += 1;
                assert_eq!(*self.tainted.journal(), shown, "only closing shows anything");
            }
            Ok(Applied::Closed { changes }) => {
                self.run.believed += 1;
                check_changes(&shown, &changes, self.tainted.journal());
            }
        }
        assert!(head <= self.tainted.head() || is_doubted, "a copy only goes forward");
        self.tainted.journal().check_deeply();
    }

    /// Returns a delta that nobody sent.
    fn invented(&self, bytes: &mut Bytes<'_>) -> Delta {
        let [from, to, until, floor] = std::array::from_fn(|_| bytes.odd_number());
        let (replica, silence_ms) = (self.replica.clone(), bytes.odd_number());
        let entries = (0..bytes.byte() % 4).map(|_| entry(bytes)).collect();
        Delta { replica, from, to, until, floor, silence_ms, entries }
    }

    fn end(mut self, bytes: &mut Bytes<'_>) -> DeltaRun {
        self.follower.repair(budget(bytes));
        let owner = self.follower.owner();
        check_any_order(owner, &self.replica, bytes);

        // What was believed is doubted, and gives way to what the owner says.
        self.tainted.refetch(owner.head());
        feed_what_is_needed(&mut self.tainted, owner, &self.replica, budget(bytes));
        if owner.head() > 0 {
            assert_eq!(self.tainted.journal(), owner, "doubt mends a copy");
        }
        self.run.fingerprint = owner.fingerprint();
        self.run
    }
}

/// Hands a new copy all parts of `owner` in an order of `bytes`, again and again: each time at
/// least the part that comes next is taken, and in the end the copy is the journal.
fn check_any_order(owner: &Journal, replica: &Replica, bytes: &mut Bytes<'_>) {
    let limit = Budget { entries: 1 + owner.len() / PARTS_MAX, bytes: usize::MAX };
    let mut parts = Vec::new();
    let mut from = 0;
    while let Some(part) = owner.delta(replica, from, limit) {
        from = part.to;
        parts.push(part);
    }
    let mut copy = JournalCopy::new();
    for place in 1..parts.len() {
        parts.swap(place, bytes.below(place + 1));
    }
    for _ in 0..parts.len() {
        if copy.head() == owner.head() {
            break;
        }
        for part in &parts {
            let applied = copy.apply(part.clone());
            assert!(applied.is_ok(), "a journal gives lawful deltas: {applied:?}");
        }
    }
    copy.collect_tombstones(owner.floor());
    assert_eq!(copy.journal(), owner, "who heard everything knows everything, in any order");
}

/// Checks that `changes` say what readers see change between `before` and `after`, and all of it.
fn check_changes(before: &Journal, changes: &[Change], after: &Journal) {
    for change in changes {
        assert_eq!(
            before.get(&change.key),
            change.before.as_ref(),
            "{change:?} was something else"
        );
        assert_eq!(after.get(&change.key), change.after.as_ref(), "{change:?} is something else");
    }
    for (key, ..) in before.iter().chain(after.iter()) {
        let is_told = changes.iter().any(|change| change.key == *key);
        assert!(is_told || before.get(key) == after.get(key), "nobody says that {key} changed");
    }
}

/// Asks `owner` for what `copy` needs until there is nothing left.
fn feed_what_is_needed(copy: &mut JournalCopy, owner: &Journal, of: &Replica, budget: Budget) {
    for _ in 0..2 * owner.head() + 2 {
        let need = copy.need(owner.floor());
        let Some(delta) = owner.delta(of, need, budget) else { break };
        let applied = copy.apply(delta);
        assert!(applied.is_ok(), "a journal gives lawful deltas: {applied:?}");
    }
    copy.collect_tombstones(owner.floor());
}

/// Changes one thing in `delta`.
fn change(delta: &mut Delta, bytes: &mut Bytes<'_>) {
    let length = delta.entries.len();
    match bytes.byte() % 12 {
        0 => delta.from = bytes.odd_number(),
        1 => delta.to = bytes.odd_number(),
        2 => delta.until = bytes.odd_number(),
        3 => delta.floor = bytes.odd_number(),
        4 => delta.from = delta.from.wrapping_add(1),
        5 => delta.to = delta.to.wrapping_sub(1),
        6 => delta.until = delta.until.wrapping_add(u64::from(bytes.byte())),
        7 => (delta.from, delta.to) = (delta.to, delta.from),
        8 => drop(delta.entries.pop()),
        9 => delta.entries.push(entry(bytes)),
        10 if length > 0 => delta.entries[bytes.below(length)].step = bytes.odd_number(),
        11 if length > 0 => {
            delta.entries[bytes.below(length)].written = Written::Deleted(bytes.byte())
        }
        _ => delta.silence_ms = bytes.odd_number(),
    }
}

fn entry(bytes: &mut Bytes<'_>) -> DeltaEntry {
    let (step, key) = (bytes.odd_number(), key(bytes.byte()));
    let written = match bytes.byte() % 3 {
        0 => Written::Deleted(bytes.byte()),
        _ => Written::Value(value(bytes)),
    };
    DeltaEntry { step, key, written }
}

/// Returns one of a few keys, so that writes collide often.
fn key(byte: u8) -> Blob {
    Blob::from([b'a' + byte % 6].as_slice())
}

fn value(bytes: &mut Bytes<'_>) -> Blob {
    let length = usize::from(bytes.byte() % 4);
    Blob::from(bytes.take(length))
}

fn budget(bytes: &mut Bytes<'_>) -> Budget {
    match bytes.byte() {
        tight @ 0..=223 => {
            Budget { entries: 1 + usize::from(tight % 5), bytes: 1 + usize::from(tight) / 2 }
        }
        224..=255 => Budget::default(),
    }
}
