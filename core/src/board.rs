//! Who claims what, as far as the visible journals say.
//!
//! A deterministic view: nodes with equal visible journals have equal boards, in whatever order the
//! entries came.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::message::Seat;
use crate::mode::Modes;
use crate::rank::Rank;
use crate::rule::Rule;
use crate::table::Table;
use crate::{Blob, ChildId, FencingToken, Holder, ProcessId, Scope};

/// A process that claims a seat.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Claimant {
    /// Its standing; names the process.
    pub(crate) rank: Rank,
    /// The child that it runs, if the claim is that child's.
    pub(crate) child: Option<(Scope, ChildId)>,
    /// Whether it runs, rather than starts or waits for its next start.
    pub(crate) running: bool,
    /// Whether it is known to have run, be it that it waits now for its next start.
    pub(crate) has_run: bool,
    /// Bytes stored beside the name.
    pub(crate) value: Blob,
    /// Under which lease it holds the name, or asks for it; `None` if it needs none.
    pub(crate) token: Option<FencingToken>,
}

impl Claimant {
    fn holder(&self) -> Holder {
        let child = self.child.map(|(_, child)| child);
        let (process, value) = (self.rank.process.clone(), self.value.clone());
        Holder { process, child, value, token: self.token }
    }
}

/// A change of who is seen on a seat.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Shift {
    /// Who is seen there now.
    pub(crate) holder: Option<Holder>,
    /// How the process is that was seen there before, if that was another.
    pub(crate) loser: Option<Loser>,
}

/// How a process is that is seen on a seat no more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Loser {
    /// It runs and claims the seat still, behind a better one.
    Claims,
    /// It does not run, or does not claim the seat any more.
    IsGone,
}

/// All seats with somebody on them.
///
/// Invariant: no seat is empty, the claimants of a seat are sorted best first, and `contested` is
/// the set of seats whose claimants cannot all stay.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Board {
    rule: Rule,
    modes: Modes,
    seats: Table<Seat, Claimants>,
    contested: BTreeSet<Seat>,
}

impl Board {
    /// Creates a board without anybody, whose claimants are sorted by `rule`.
    pub(crate) fn new(rule: Rule, modes: Modes) -> Self {
        Self { rule, modes, seats: Table::default(), contested: BTreeSet::new() }
    }

    /// Returns the rule that claimants are sorted by.
    pub(crate) fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Puts the code of its rule in its place.
    pub(crate) fn supply_rule(&mut self, rule: &Rule) {
        self.rule = rule.clone();
    }

    /// Puts `after` on `seat` in the place of the process `before`; `None` is nobody.
    ///
    /// Returns the change that readers see, if there is one. Takes O(1) time, for as many
    /// claimants as a seat has.
    pub(crate) fn replace(
        &mut self,
        seat: &Seat,
        before: Option<&ProcessId>,
        after: Option<Claimant>,
    ) -> Option<Shift> {
        let (modes, contested) = (&self.modes, &mut self.contested);
        // Of leases on a name the last one counts, whatever the rule says of their holders.
        let by_ballot = Rule::default();
        let is_name = matches!(seat, Seat::Name(..));
        let rule = if is_name && is_leased(modes, seat) { &by_ballot } else { &self.rule };
        self.seats.change(seat, |claimants| {
            let was = seen_among(claimants.as_slice()).map(Claimant::holder);
            claimants.replace(rule, before, after);
            let claimants = claimants.as_slice();
            if is_contested(modes, seat, claimants) {
                contested.insert(seat.clone());
            } else {
                contested.remove(seat);
            }
            (shift(was, claimants), !claimants.is_empty())
        })
    }

    /// Returns whether `winner` goes on where `loser` stops, both claimants of `seat`.
    ///
    /// Asks a rule of ours, rather than trust the seat's order; a user's rule may run in circles,
    /// which that order does not.
    pub(crate) fn beats(&self, seat: &Seat, winner: &Claimant, loser: &Claimant) -> bool {
        if self.rule.is_built_in() {
            return self.rule.beats(&winner.rank, &loser.rank);
        }
        let (winner, loser) = (&winner.rank.process, &loser.rank.process);
        let mut claimants = self.claimants(seat).iter().map(|claimant| &claimant.rank.process);
        winner != loser
            && claimants.find(|&other| other == winner || other == loser) == Some(winner)
    }

    /// Returns who claims `seat`, the best first.
    pub(crate) fn claimants(&self, seat: &Seat) -> &[Claimant] {
        self.seats.get(seat).map_or(&[], Claimants::as_slice)
    }

    /// Returns the claimant of `seat` that no other beats.
    pub(crate) fn best(&self, seat: &Seat) -> Option<&Claimant> {
        self.claimants(seat).first()
    }

    /// Returns the claim of `process` on `seat`.
    pub(crate) fn claim(&self, seat: &Seat, process: &ProcessId) -> Option<&Claimant> {
        self.claimants(seat).iter().find(|claimant| claimant.rank.process == *process)
    }

    /// Returns the best claimant of `seat` that runs: whom readers see there.
    pub(crate) fn seen(&self, seat: &Seat) -> Option<Holder> {
        seen_among(self.claimants(seat)).map(Claimant::holder)
    }

    /// Iterates over the seats whose claimants cannot all stay, in a fixed order.
    pub(crate) fn contested(&self) -> impl Iterator<Item = &Seat> {
        self.contested.iter()
    }

    /// Returns whether the claimants of `seat` cannot all stay.
    pub(crate) fn is_contested(&self, seat: &Seat) -> bool {
        self.contested.contains(seat)
    }

    /// Iterates over all seats, in a fixed order.
    pub(crate) fn seats(&self) -> impl Iterator<Item = &Seat> {
        self.seats.keys()
    }

    /// Returns a seat on which `other` has other claimants, or takes them for rivals otherwise.
    pub(crate) fn difference<'a>(&'a self, other: &'a Self) -> Option<&'a Seat> {
        let seats = self.seats().chain(other.seats()).chain(other.contested());
        let differs = |seat: &&Seat| {
            self.claimants(seat) != other.claimants(seat)
                || self.is_contested(seat) != other.is_contested(seat)
        };
        seats.into_iter().find(differs)
    }

    /// Returns how many seats have claimants that cannot all stay.
    pub(crate) fn contested_count(&self) -> usize {
        self.contested.len()
    }
}

/// Who claims a seat, the best first.
///
/// Mostly that is one process for good, which has no allocation of its own: it is put there and
/// taken away with its seat.
#[derive(Clone, Debug, Default)]
enum Claimants {
    #[default]
    Nobody,
    One(Claimant),
    Many(Vec<Claimant>),
}

impl Claimants {
    fn as_slice(&self) -> &[Claimant] {
        match self {
            Self::Nobody => &[],
            Self::One(claimant) => core::slice::from_ref(claimant),
            Self::Many(claimants) => claimants,
        }
    }

    /// Puts `after` in the place of the process `before`.
    fn replace(&mut self, rule: &Rule, before: Option<&ProcessId>, after: Option<Claimant>) {
        let is_alone = |other: &Claimant| {
            let process = &other.rank.process;
            before == Some(process) || after.as_ref().is_some_and(|a| a.rank.process == *process)
        };
        if self.as_slice().iter().all(is_alone) {
            *self = after.map_or(Self::Nobody, Self::One);
            return;
        }
        let mut claimants = Vec::from(core::mem::take(self));
        if let Some(process) = before {
            claimants.retain(|claimant| claimant.rank.process != *process);
        }
        if let Some(claimant) = after {
            claimants.retain(|other| other.rank.process != claimant.rank.process);
            let beats = |other: &Claimant| rule.beats(&other.rank, &claimant.rank);
            let place = claimants.partition_point(beats);
            claimants.insert(place, claimant);
        }
        if !rule.is_built_in() {
            arrange(rule, &mut claimants);
        }
        *self = Self::from(claimants);
    }
}

impl From<Claimants> for Vec<Claimant> {
    fn from(claimants: Claimants) -> Self {
        match claimants {
            Claimants::Nobody => Self::new(),
            Claimants::One(claimant) => Self::from([claimant]),
            Claimants::Many(claimants) => claimants,
        }
    }
}

impl From<Vec<Claimant>> for Claimants {
    fn from(mut claimants: Vec<Claimant>) -> Self {
        match claimants.len() {
            0 => Self::Nobody,
            1 => claimants.pop().map_or(Self::Nobody, Self::One),
            _ => Self::Many(claimants),
        }
    }
}

impl Serialize for Claimants {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_slice().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Claimants {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}

/// Returns the change that readers see of a seat that was held as `was`, if there is one.
fn shift(was: Option<Holder>, claimants: &[Claimant]) -> Option<Shift> {
    let holder = seen_among(claimants).map(Claimant::holder);
    let is_other = |was: &Holder| holder.as_ref().is_none_or(|now| now.process != was.process);
    let claims = |was: &Holder| {
        let is_it = |claimant: &Claimant| claimant.rank.process == was.process;
        claimants.iter().any(|claimant| claimant.running && is_it(claimant))
    };
    let loser = was.as_ref().filter(|was| is_other(was));
    let loser = loser.map(|was| if claims(was) { Loser::Claims } else { Loser::IsGone });
    (was != holder).then_some(Shift { holder, loser })
}

/// Returns the first of `claimants`, the best first, that runs.
fn seen_among(claimants: &[Claimant]) -> Option<&Claimant> {
    claimants.iter().find(|claimant| claimant.running)
}

/// Sorts `claimants` by a rule that may run in circles, over which a sort of the library may
/// panic: into an order that depends on who they are alone.
fn arrange(rule: &Rule, claimants: &mut [Claimant]) {
    if claimants.len() < 2 {
        return;
    }
    claimants.sort_unstable_by(|a, b| a.rank.cmp(&b.rank));
    for end in 1..claimants.len() {
        let (before, rest) = claimants.split_at(end);
        let is_beaten = |other: &Claimant| rule.beats(&rest[0].rank, &other.rank);
        let place = before.iter().position(is_beaten).unwrap_or(end);
        claimants[place..=end].rotate_right(1);
    }
}

/// Returns whether `claimants` of `seat` cannot all stay.
///
/// Several processes of one child on the seat of its *name* are no conflict of their own: they meet
/// on the seat of the child, and one of them goes there. Where they run under leases, the voters
/// have decided.
fn is_contested(modes: &Modes, seat: &Seat, claimants: &[Claimant]) -> bool {
    match seat {
        Seat::Child(..) | Seat::Name(..) if is_leased(modes, seat) => false,
        Seat::Child(..) => claimants.len() > 1,
        Seat::Name(..) => claimants.windows(2).any(|pair| are_rivals(seat, &pair[0], &pair[1])),
    }
}

/// Returns whether voters decide who has `seat`.
fn is_leased(modes: &Modes, seat: &Seat) -> bool {
    match seat {
        Seat::Child(scope, _) => modes.is_exclusive(*scope),
        Seat::Name(scope, _) => modes.leases_names(*scope),
    }
}

/// Returns whether one of `a` and `b` has to leave `seat`.
pub(crate) fn are_rivals(seat: &Seat, a: &Claimant, b: &Claimant) -> bool {
    match seat {
        Seat::Child(..) => a.rank.process != b.rank.process,
        Seat::Name(..) => match (&a.child, &b.child) {
            (Some(a), Some(b)) => a != b,
            (None, _) | (_, None) => a.rank.process != b.rank.process,
        },
    }
}
