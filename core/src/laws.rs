//! The laws of replicated states and of conflict rules, one function each.
//!
//! Each panics with the sides that differ when its law is broken, so that a property test is one
//! call. They hold for our own states and rules, and are here for those of others.
//!
//! # A lattice of one's own
//!
//! The greatest bid so far is a lattice; the average is none, and is caught:
//!
//! ```
//! use ordu_core::laws::{self, Lattice};
//! use proptest::prelude::*;
//! use proptest::test_runner::{TestError, TestRunner};
//!
//! #[derive(Clone, Debug, Eq, PartialEq)]
//! struct Highest(u32);
//!
//! impl Lattice for Highest {
//!     fn join(&mut self, other: &Self) {
//!         self.0 = self.0.max(other.0);
//!     }
//! }
//!
//! #[derive(Clone, Debug, Eq, PartialEq)]
//! struct Average(u32);
//!
//! impl Lattice for Average {
//!     fn join(&mut self, other: &Self) {
//!         self.0 = (self.0 + other.0) / 2;
//!     }
//! }
//!
//! fn is_lawful<L: Lattice>(a: &L, b: &L, c: &L) {
//!     laws::commutative(a, b);
//!     laws::associative(a, b, c);
//!     laws::idempotent(a);
//!     laws::inflationary(a, b);
//! }
//!
//! let bids = (0..9_u32, 0..9_u32, 0..9_u32);
//! let highest = TestRunner::deterministic().run(&bids, |(a, b, c)| {
//!     is_lawful(&Highest(a), &Highest(b), &Highest(c));
//!     Ok(())
//! });
//! assert_eq!(highest, Ok(()));
//!
//! let average = TestRunner::deterministic().run(&bids, |(a, b, c)| {
//!     is_lawful(&Average(a), &Average(b), &Average(c));
//!     Ok(())
//! });
//! let Err(TestError::Fail(reason, smallest)) = average else { panic!("it is no lattice") };
//! assert!(reason.message().contains("join does not associate"), "{reason}");
//! assert_eq!(smallest, (0, 0, 2), "(0 ⊔ 0) ⊔ 2 is 1, and 0 ⊔ (0 ⊔ 2) is 0");
//! ```
//!
//! # A conflict rule of one's own
//!
//! See [`lawful_rule`].

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt::Debug;

use crate::crdt::{Applied, Budget, Delta, Journal, JournalCopy, Version};
use crate::{Blob, ConflictRule, Contender, Rank, Replica, Rule};

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

/// A rule orders contenders totally, up to equals: nobody beats themselves, of two at most one goes
/// on, and whoever goes on against one who goes on against a third does so against the third.
///
/// # Example
///
/// A rule that compares bytes is lawful; one that reads them as floating-point numbers is not, for
/// nothing compares with what is no number:
///
/// ```
/// use core::cmp::Ordering;
/// use ordu_core::laws::lawful_rule;
/// use ordu_core::strategies::ranks;
/// use ordu_core::{ConflictRule, Contender};
/// use proptest::prelude::*;
/// use proptest::test_runner::{TestError, TestRunner};
///
/// struct Longest;
///
/// impl ConflictRule for Longest {
///     fn name(&self) -> &str {
///         "longest/1"
///     }
///
///     fn compare(&self, a: &Contender<'_>, b: &Contender<'_>) -> Ordering {
///         b.precedence.len().cmp(&a.precedence.len())
///     }
/// }
///
/// struct Heaviest;
///
/// impl ConflictRule for Heaviest {
///     fn name(&self) -> &str {
///         "heaviest/1"
///     }
///
///     fn compare(&self, a: &Contender<'_>, b: &Contender<'_>) -> Ordering {
///         // Two bytes and a quotient: 0 / 0 is no number.
///         let weight = |bytes: &[u8]| {
///             let byte = |place| f32::from(bytes.get(place).copied().unwrap_or(0));
///             byte(0) / byte(1)
///         };
///         let (a, b) = (weight(a.precedence), weight(b.precedence));
///         b.partial_cmp(&a).unwrap_or(Ordering::Equal)
///     }
/// }
///
/// let three = (ranks(), ranks(), ranks());
/// let longest = TestRunner::deterministic().run(&three, |(a, b, c)| {
///     lawful_rule(&Longest, [&a, &b, &c]);
///     Ok(())
/// });
/// assert_eq!(longest, Ok(()));
///
/// let heaviest = TestRunner::deterministic().run(&three, |(a, b, c)| {
///     lawful_rule(&Heaviest, [&a, &b, &c]);
///     Ok(())
/// });
/// let Err(TestError::Fail(reason, _)) = heaviest else { panic!("it is not lawful") };
/// assert!(reason.message().contains("in circles"), "{reason}");
/// ```
///
/// # Panics
///
/// Panics if the rule is not lawful of these three, and says on which of them.
pub fn lawful_rule(rule: &dyn ConflictRule, ranks: [&Rank; 3]) {
    let all = ranks.map(Rank::contender);
    for a in &all {
        let own = rule.compare(a, a);
        assert!(own.is_eq(), "a process is no equal of itself: {a:?} is {own:?}");
        for b in &all {
            let (forth, back) = (rule.compare(a, b), rule.compare(b, a));
            assert_eq!(forth, back.reverse(), "not antisymmetric: {a:?} against {b:?}");
            assert_eq!(forth, rule.compare(a, b), "asked again, it says otherwise: {a:?}, {b:?}");
            all.iter().for_each(|c| transitive(rule, [a, b, c]));
        }
    }
}

fn transitive(rule: &dyn ConflictRule, [a, b, c]: [&Contender<'_>; 3]) {
    let (ab, bc, ac) = (rule.compare(a, b), rule.compare(b, c), rule.compare(a, c));
    if ab.is_eq() && bc.is_eq() {
        assert!(ac.is_eq(), "equals of one are no equals: {a:?}, {b:?}, {c:?}");
    } else if ab.is_le() && bc.is_le() {
        assert!(ac.is_lt(), "not transitive, in circles: {a:?}, {b:?}, {c:?}");
    }
}

/// Whoever goes on among `ranks` is the same in whatever order they come, and however often: the
/// order of two is undone, all come twice, and from the last to the first.
///
/// # Panics
///
/// Panics if there are two winners, and says which.
pub fn order_free(rule: &Rule, ranks: &[Rank]) {
    let winner = |claims: &mut dyn Iterator<Item = &Rank>| {
        claims.cloned().reduce(|best, next| if rule.beats(&next, &best) { next } else { best })
    };
    let first = winner(&mut ranks.iter());
    assert_eq!(first, winner(&mut ranks.iter().rev()), "the last came first: another winner");
    let twice = &mut ranks.iter().chain(ranks);
    assert_eq!(first, winner(twice), "all came twice: another winner");
    for turn in 1..ranks.len() {
        let turned = &mut ranks[turn..].iter().chain(&ranks[..turn]);
        assert_eq!(first, winner(turned), "{turn} came late: another winner");
    }
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
            Turn::Delete(key) => drop(self.owner.delete(key, key[key.len() - 1])),
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
