//! The laws of replicated states, one function each.
//!
//! Each panics with the sides that differ when its law is broken, so that a property test is one
//! call. They hold for our own states, and are here for those of others.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt::Debug;

use crate::crdt::{Applied, Budget, Delta, Journal, JournalCopy, Version};
use crate::{Blob, Replica};

/// A state that only grows: joining takes the least upper bound.
pub trait Lattice: Clone + Debug + Eq {
    /// Raises `self` to the least upper bound of `self` and `other`.
    fn join(&mut self, other: &Self);

    /// Returns the least upper bound of `self` and `other`.
    #[must_use]
    fn joined(&self, other: &Self) -> Self {
        let mut this = self.clone();
        this.join(other);
        this
    }

    /// Returns whether `other` knows nothing that `self` does not.
    fn covers(&self, other: &Self) -> bool {
        self.joined(other) == *self
    }
}

/// A lattice whose changes travel as something smaller than a state.
pub trait DeltaLattice: Lattice {
    /// What travels.
    type Delta: Debug;

    /// Raises `self` by what `delta` says.
    fn join_delta(&mut self, delta: &Self::Delta);
}

/// a ⊔ b = b ⊔ a
pub fn commutative<L: Lattice>(a: &L, b: &L) {
    assert_eq!(a.joined(b), b.joined(a), "join does not commute");
}

/// (a ⊔ b) ⊔ c = a ⊔ (b ⊔ c)
pub fn associative<L: Lattice>(a: &L, b: &L, c: &L) {
    assert_eq!(a.joined(b).joined(c), a.joined(&b.joined(c)), "join does not associate");
}

/// a ⊔ a = a
pub fn idempotent<L: Lattice>(a: &L) {
    assert_eq!(a.joined(a), *a, "join is not idempotent");
}

/// a ⊔ b covers both a and b
pub fn inflationary<L: Lattice>(a: &L, b: &L) {
    let ab = a.joined(b);
    assert!(ab.covers(a), "join lost something of its left side");
    assert!(ab.covers(b), "join lost something of its right side");
}

/// state ⊔ delta = state after the mutation that made the delta, once or twice
pub fn delta_equals_mutation<L: DeltaLattice>(before: &L, after: &L, delta: &L::Delta) {
    let mut state = before.clone();
    state.join_delta(delta);
    assert_eq!(state, *after, "the delta says something else than the mutation");
    state.join_delta(delta);
    assert_eq!(state, *after, "the delta says something else the second time");
}

/// A turn of a story in which a journal is written, and parts of it travel to a copy.
#[derive(Clone, Debug)]
pub enum Turn {
    /// The owner gives a key a value.
    Put(Blob, Blob),
    /// The owner deletes a key, if it has it.
    Delete(Blob),
    /// The owner forgets tombstones, up to a share of its head in 255ths: further than the copy
    /// has come, perhaps.
    Collect(u8),
    /// A part is sent from a version, a share of the head in 255ths; it may never arrive.
    Send(u8, Budget),
    /// A part is sent of what the copy asks for.
    Answer(Budget),
    /// One of the parts that were ever sent arrives, perhaps again; 0 is the latest.
    Deliver(usize),
    /// The copy drops what it does not show.
    DropStaged,
    /// The copy doubts what it shows.
    Refetch,
}

/// Chunks may be of any size, and be lost, reordered and repeated: what the copy shows is always
/// a state that the owner had, the changes it tells of lead from each such state to the next, and
/// after a repair it equals the owner's journal.
pub fn copies_follow<'a>(replica: &Replica, turns: impl IntoIterator<Item = &'a Turn>) -> Follower {
    let mut follower = Follower::new(replica.clone());
    for turn in turns {
        follower.turn(turn);
    }
    follower.repair(Budget::default());
    follower
}

/// What readers of a journal see: each key's version and value.
pub type Shown = BTreeMap<Blob, (Version, Blob)>;

/// Returns what readers of `journal` see.
pub fn shown(journal: &Journal) -> Shown {
    journal.iter().map(|(key, version, value)| (key.clone(), (version, value.clone()))).collect()
}

/// A journal, everything that it ever was, a copy, and what is under way between them.
#[derive(Clone, Debug)]
pub struct Follower {
    replica: Replica,
    owner: Journal,
    history: BTreeMap<Version, Shown>,
    copy: JournalCopy,
    seen: BTreeMap<Blob, Blob>,
    sent: Vec<Delta>,
}

impl Follower {
    /// Creates an empty journal of `replica`, and an empty copy.
    pub fn new(replica: Replica) -> Self {
        let history = BTreeMap::from([(0, Shown::new())]);
        let (owner, copy, seen) = (Journal::new(), JournalCopy::new(), BTreeMap::new());
        Self { replica, owner, history, copy, seen, sent: Vec::new() }
    }

    /// Returns the owner's journal.
    pub const fn owner(&self) -> &Journal {
        &self.owner
    }

    /// Returns the copy.
    pub const fn copy(&self) -> &JournalCopy {
        &self.copy
    }

    /// Returns the parts that were ever sent, in order.
    pub fn sent(&self) -> &[Delta] {
        &self.sent
    }

    /// Lets one thing happen, and checks that the copy shows a state that the owner had.
    pub fn turn(&mut self, turn: &Turn) {
        let share = |share: u8| u64::from(share) * self.owner.head() / 255;
        match turn {
            Turn::Put(key, value) => drop(self.owner.put(key.clone(), value.clone())),
            Turn::Delete(key) => drop(self.owner.delete(key)),
            Turn::Collect(up_to) => self.owner.collect_tombstones(share(*up_to)),
            Turn::Send(from, budget) => self.send(share(*from), *budget),
            Turn::Answer(budget) => self.send(self.copy.need(self.owner.floor()), *budget),
            Turn::Deliver(back) => {
                let sent = self.sent.iter().rev().nth(back % self.sent.len().max(1));
                if let Some(delta) = sent.cloned() {
                    self.deliver(delta);
                }
            }
            Turn::DropStaged => self.copy.drop_staged(),
            Turn::Refetch => self.copy.refetch(self.copy.head()),
        }
        self.history.insert(self.owner.head(), shown(&self.owner));
        self.owner.check_deeply();
    }

    /// Asks the owner for what is missing, with nothing lost, until the copy has it all.
    pub fn repair(&mut self, budget: Budget) {
        let steps_max = 2 * self.owner.head() + 2;
        for _ in 0..steps_max {
            let need = self.copy.need(self.owner.floor());
            let Some(delta) = self.owner.delta(&self.replica, need, budget) else { break };
            self.deliver(delta);
        }
        self.copy.collect_tombstones(self.owner.floor());
        assert_eq!(self.copy.journal(), &self.owner, "a repaired copy is its owner's journal");
        assert_eq!(self.copy.staged_until(), None, "nothing is left over");
    }

    fn send(&mut self, from: Version, budget: Budget) {
        self.sent.extend(self.owner.delta(&self.replica, from, budget));
    }

    /// Lets `delta` arrive, a part that the owner sent or could have sent, and checks that the copy
    /// shows a state that the owner had.
    pub fn deliver(&mut self, delta: Delta) {
        let (head, fingerprint) = (self.copy.head(), self.copy.journal().fingerprint());
        match self.copy.apply(delta).expect("a journal gives lawful deltas") {
            Applied::Known | Applied::Staged { .. } | Applied::Missing { .. } => {
                let now = (self.copy.head(), self.copy.journal().fingerprint());
                assert_eq!(now, (head, fingerprint), "only closing shows anything");
            }
            Applied::Closed { changes } => {
                for change in changes {
                    let before = match change.after {
                        Some(after) => self.seen.insert(change.key, after),
                        None => self.seen.remove(&change.key),
                    };
                    assert_eq!(before, change.before, "a change starts from what was seen");
                }
            }
        }
        let copy = self.copy.journal();
        copy.check_deeply();
        assert!(head <= copy.head(), "a copy only goes forward");
        let then = self.history.get(&copy.head()).expect("the owner had that head");
        assert_eq!(shown(copy), *then, "the copy shows what the owner had at its head");
        assert!(
            self.seen.iter().eq(then.iter().map(|(key, (_, value))| (key, value))),
            "changes tell all"
        );
    }
}
