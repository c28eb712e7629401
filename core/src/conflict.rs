//! Of two processes that claim one thing, one goes, and leaves its state to the other.
//!
//! ```text
//!   winner                                   loser
//!     │ sees a claim that it beats             │
//!     │──── Won, each beat ───────────────────▶│ sees the winner's claim in a closed copy: freezes
//!     │◀─── Yield { state }, each beat ────────│
//!     │ absorbs the state, writes Absorbed     │
//!     │──── journal ──────────────────────────▶│ sees itself absorbed: is dropped
//! ```
//!
//! A loser does not stop because its own view says so: a winner that runs must have said so, and if
//! the winner goes away first the loser goes on. A process that yields sends no `Won` and takes no
//! state, so never do all claimants lose.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::board::{Board, Claimant, are_rivals};
use crate::effect::Effect;
use crate::entry::{AbsorbedEntry, Entry, Key, Reason};
use crate::message::{Message, Seat, Won, Yield};
use crate::supervisor::ChildKey;
use crate::{Blob, Conflict, Event, NameConflict, Outcome, Output, ProcessId, Replica, ReplicaKey};

/// The conflicts that processes of this node are part of.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Conflicts {
    /// The processes of this node that yield, by number.
    yields: BTreeMap<u64, Yielding>,
    /// The same, by what they yield.
    by_seat: BTreeSet<(Seat, u64)>,
    /// Notices whose winner has not shown in our copies yet, by loser and by the winner's node.
    notices: BTreeMap<u64, BTreeMap<Replica, Won>>,
    /// The losers that processes of this node took in.
    absorbed: BTreeMap<(ReplicaKey, u64), Intake>,
    rounds: u64,
    effects: VecDeque<Effect>,
}

/// A process of this node that yields.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Yielding {
    seat: Seat,
    winner: ProcessId,
    /// How the loser's child ends with it: only a child that loses the name it was started with to
    /// somebody else is over. One that runs twice goes on as the other process, and one whose
    /// process lost a name that it was given later is started again without it.
    ends: Option<Outcome>,
    round: u64,
    /// What it left behind, once it has stopped.
    state: Option<Option<Blob>>,
    /// Whether the winner went away before it had stopped.
    is_void: bool,
}

/// A loser that a process of this node took in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Intake {
    /// Which freeze of the loser it was; one that went on in between may freeze again.
    round: u64,
    /// The process of this node that has its state.
    pub(crate) winner: u64,
    /// The key of the loser's claim, which must go.
    pub(crate) claim: Blob,
}

/// What the machine must know of this node's own processes.
pub(crate) struct Own<'a> {
    /// This life of this node.
    pub(crate) me: &'a Replica,
    /// Who claims what.
    pub(crate) board: &'a Board,
    /// Returns whether a process runs and was not told to stop.
    pub(crate) is_running: &'a dyn Fn(u64) -> bool,
    /// Returns whether our copies hold the specification of a child.
    pub(crate) is_specified: &'a dyn Fn(&ChildKey) -> bool,
    /// Returns whether a process runs, starts or waits for its next start.
    pub(crate) is_present: &'a dyn Fn(u64) -> bool,
    /// Returns all seats that a process claims.
    pub(crate) seats: &'a dyn Fn(u64) -> alloc::vec::Vec<Seat>,
}

impl Own<'_> {
    /// Returns whether nobody beats the process on any of its seats.
    fn is_unbeaten(&self, number: u64) -> bool {
        (self.seats)(number).iter().filter(|seat| self.board.is_contested(seat)).all(|seat| {
            let claimants = self.board.claimants(seat);
            let own = claimants.iter().position(|claimant| self.is(claimant, number));
            own.is_none_or(|own| {
                !claimants[..own].iter().any(|better| are_rivals(seat, better, &claimants[own]))
            })
        })
    }

    fn is(&self, claimant: &Claimant, number: u64) -> bool {
        claimant.rank.process.number == number && claimant.rank.process.replica == *self.me
    }
}

impl Conflicts {
    /// Returns the next effect, in order.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Shows `visit` what losers left behind and the winners have not taken in yet.
    pub(crate) fn visit_payloads(&mut self, visit: impl FnMut(&mut Blob)) {
        let states = self.yields.values_mut().filter_map(|yielding| yielding.state.as_mut());
        states.flatten().for_each(visit);
    }

    /// Returns whether the process `number` of this node yields to a winner.
    pub(crate) fn yields(&self, number: u64) -> bool {
        self.yields.contains_key(&number)
    }

    /// Returns how many conflicts are under way here.
    pub(crate) fn pending(&self) -> usize {
        self.yields.len()
    }

    /// Returns how many losers there are notices for whose winners have not shown.
    pub(crate) fn notices(&self) -> usize {
        self.notices.values().map(BTreeMap::len).sum()
    }

    /// Returns how many losers were taken in whose claims have not gone.
    pub(crate) fn intakes(&self) -> usize {
        self.absorbed.len()
    }

    /// Returns how many effects wait to be carried out.
    pub(crate) fn queued(&self) -> usize {
        self.effects.len()
    }

    /// Checks that the processes that yield are found by what they yield.
    ///
    /// # Errors
    ///
    /// Says that they are not.
    pub(crate) fn audit(&self) -> Result<(), alloc::string::String> {
        let by_seat = self.yields.iter().map(|(number, yielding)| (&yielding.seat, *number));
        let by_seat: BTreeSet<_> = by_seat.collect();
        let is_found = by_seat.into_iter().eq(self.by_seat.iter().map(|(seat, n)| (seat, *n)));
        is_found.then_some(()).ok_or_else(|| "yields are not found by their seats".into())
    }

    /// Repeats what has not been answered: notices to losers, and state to winners.
    pub(crate) fn handle_beat(&mut self, own: &Own<'_>) {
        // A winner that is there still repeats its notice; others are never heard of again.
        self.notices.clear();
        for seat in own.board.contested() {
            self.notify(own, seat);
        }
        let numbers: alloc::vec::Vec<u64> = self.yields.keys().copied().collect();
        for number in numbers {
            self.offer(number);
        }
    }

    /// Takes in that the claims on `seat` changed.
    pub(crate) fn handle_seat(&mut self, own: &Own<'_>, seat: &Seat) {
        if own.board.is_contested(seat) {
            self.notify(own, seat);
            self.reconsider_notices(own, seat);
        }
        if self.by_seat.is_empty() {
            return;
        }
        let here = (seat.clone(), 0)..=(seat.clone(), u64::MAX);
        let yielding = self.by_seat.range(here).map(|(_, number)| *number);
        let orphaned = yielding.filter(|number| {
            let winner = &self.yields[number].winner;
            own.board.claim(seat, winner).is_none()
        });
        let orphaned: alloc::vec::Vec<u64> = orphaned.collect();
        for number in orphaned {
            self.resume(number);
        }
    }

    /// Takes in the notice of a winner that runs on `from`.
    pub(crate) fn handle_won(&mut self, own: &Own<'_>, from: &Replica, won: Won) {
        if self.yields.contains_key(&won.loser) || !(own.is_present)(won.loser) {
            return;
        }
        let loser = ProcessId { replica: own.me.clone(), number: won.loser };
        let winner = ProcessId { replica: from.clone(), number: won.winner };
        let claims = (own.board.claim(&won.seat, &winner), own.board.claim(&won.seat, &loser));
        let is_whole = |winner: &&Claimant| {
            winner.child.as_ref().is_none_or(|child| (own.is_specified)(child))
        };
        let (Some(winner), Some(loser)) = (claims.0.filter(is_whole), claims.1) else {
            // What it claims is not in our closed copies yet; looked at again when that changes.
            let number = won.loser;
            self.notices.entry(number).or_default().insert(from.clone(), won);
            return;
        };
        if !own.board.beats(&won.seat, winner, loser) || !are_rivals(&won.seat, winner, loser) {
            return;
        }
        let ends = match (&won.seat, &loser.child) {
            (Seat::Name(..), Some(_)) => Some(match winner.child {
                Some((_, winner)) => Outcome::MergedInto { winner },
                None => Outcome::NameLost,
            }),
            (Seat::Child(..), _) | (Seat::Name(..), None) => None,
        };
        let event = Event::Conflict(conflict_on(own.board, &won.seat, winner, loser));
        let winner = winner.rank.process.clone();
        self.notices.remove(&won.loser);
        self.rounds += 1;
        let conflict = match &won.seat {
            Seat::Child(scope, _) => {
                NameConflict { scope: *scope, name: None, winner: winner.clone() }
            }
            Seat::Name(scope, name) => {
                NameConflict { scope: *scope, name: Some(name.clone()), winner: winner.clone() }
            }
        };
        let round = self.rounds;
        self.by_seat.insert((won.seat.clone(), won.loser));
        let yielding =
            Yielding { seat: won.seat, winner, ends, round, state: None, is_void: false };
        self.yields.insert(won.loser, yielding);
        self.effects.push_back(Effect::Freeze { number: won.loser, conflict });
        self.effects.push_back(Effect::Emit(Output::Event(event)));
    }

    /// Takes in that the process `number` has stopped in favour of a winner.
    pub(crate) fn handle_frozen(&mut self, number: u64, state: Option<Blob>) {
        let Some(yielding) = self.yields.get_mut(&number) else { return };
        yielding.state = Some(state);
        if yielding.is_void {
            self.resume(number);
        } else {
            self.offer(number);
        }
    }

    /// Takes in the state of a loser that was frozen on `from`.
    pub(crate) fn handle_yield(&mut self, own: &Own<'_>, from: &Replica, offer: Yield) {
        let number = offer.winner;
        let loser = ProcessId { replica: from.clone(), number: offer.loser };
        let key = (from.key(), offer.loser);
        let is_fit = (own.is_running)(number)
            && !self.yields.contains_key(&number)
            && self.absorbed.get(&key).is_none_or(|intake| intake.round < offer.round)
            && own.is_unbeaten(number);
        let winner = ProcessId { replica: own.me.clone(), number };
        let (Some(claim), true) = (own.board.claim(&offer.seat, &loser), is_fit) else { return };
        let Some(winner) = own.board.claim(&offer.seat, &winner) else { return };
        let event = Event::Conflict(conflict_on(own.board, &offer.seat, winner, claim));
        self.effects.push_back(Effect::Emit(Output::Event(event)));
        let claim_key = match (&claim.child, &offer.seat) {
            (Some((scope, child)), _) | (None, Seat::Child(scope, child)) => {
                Key::Claim(*scope, *child)
            }
            (None, Seat::Name(scope, name)) => Key::Name(*scope, name.clone()),
        };
        let claim = claim_key.encode();
        self.absorbed.insert(key, Intake { round: offer.round, winner: number, claim });
        if let Some(state) = offer.state {
            self.effects.push_back(Effect::Emit(Output::Absorb { number, state }));
        }
        let entry = AbsorbedEntry { winner: number, round: offer.round };
        let key = Key::Absorbed(key.0, key.1).encode();
        self.effects.push_back(Effect::Put { key, value: entry.encode() });
        self.effects.push_back(Effect::Absorbed { number });
    }

    /// Takes in that a process of `replica` took the process `number` of this node in.
    pub(crate) fn handle_absorbed(&mut self, replica: &Replica, number: u64, entry: AbsorbedEntry) {
        let Some(yielding) = self.yields.get(&number) else { return };
        let is_ours = yielding.winner.replica == *replica
            && yielding.winner.number == entry.winner
            && yielding.round == entry.round
            && yielding.state.is_some();
        if !is_ours {
            return;
        }
        let yielding = self.remove(number).expect("it was just seen");
        // The board may be a step ahead of the entry: by now the winner's claim may have changed.
        let outcome = yielding.ends;
        self.effects.push_back(Effect::Release { number, outcome });
        let event = Event::Merged { winner: yielding.winner, loser: number };
        self.effects.push_back(Effect::Emit(Output::Event(event)));
    }

    /// Takes in that a process of this node is gone, for whatever reason.
    pub(crate) fn handle_gone(&mut self, number: u64) {
        self.remove(number);
        self.notices.remove(&number);
    }

    /// Deletes the entries about losers that nobody needs any more, as `is_needed` says of the life
    /// and the process of each.
    pub(crate) fn collect(&mut self, is_needed: impl Fn(ReplicaKey, u64, &Intake) -> bool) {
        let effects = &mut self.effects;
        self.absorbed.retain(|&(replica, number), intake| {
            let stays = is_needed(replica, number, intake);
            if !stays {
                let key = Key::Absorbed(replica, number).encode();
                effects.push_back(Effect::Delete { key, reason: Reason::Ended });
            }
            stays
        });
    }

    /// Tells all losers of `seat` so, if the winner runs here and nobody beats it anywhere.
    fn notify(&mut self, own: &Own<'_>, seat: &Seat) {
        let claimants = own.board.claimants(seat);
        let Some(best) = claimants.first() else { return };
        let winner = best.rank.process.number;
        let is_ours = best.rank.process.replica == *own.me;
        if !is_ours
            || !best.running
            || self.yields.contains_key(&winner)
            || !(own.is_running)(winner)
            || !own.is_unbeaten(winner)
        {
            return;
        }
        for rival in claimants[1..].iter().filter(|rival| are_rivals(seat, best, rival)) {
            let ProcessId { replica, number } = &rival.rank.process;
            let won = Won { seat: seat.clone(), winner, loser: *number };
            let (to, message) = (replica.node().clone(), Message::Won(won));
            self.effects.push_back(Effect::Send { to, message });
        }
    }

    /// Looks again at the notices whose winner had not shown, now that `seat` changed.
    fn reconsider_notices(&mut self, own: &Own<'_>, seat: &Seat) {
        for claimant in own.board.claimants(seat) {
            let ProcessId { replica, number } = &claimant.rank.process;
            if replica != own.me {
                continue;
            }
            let Some(notices) = self.notices.remove(number) else { continue };
            for (from, won) in notices {
                self.handle_won(own, &from, won);
            }
        }
    }

    /// Sends the state of the frozen process `number` to the winner.
    fn offer(&mut self, number: u64) {
        let Some(yielding) = self.yields.get(&number) else { return };
        let Some(state) = &yielding.state else { return };
        let message = Message::Yield(Yield {
            seat: yielding.seat.clone(),
            winner: yielding.winner.number,
            loser: number,
            round: yielding.round,
            state: state.clone(),
        });
        let to = yielding.winner.replica.node().clone();
        self.effects.push_back(Effect::Send { to, message });
    }

    fn remove(&mut self, number: u64) -> Option<Yielding> {
        let yielding = self.yields.remove(&number)?;
        self.by_seat.remove(&(yielding.seat.clone(), number));
        assert_eq!(self.yields.len(), self.by_seat.len(), "each yields one seat");
        Some(yielding)
    }

    /// Lets the process `number` go on, as soon as it has stopped: the winner has gone away.
    fn resume(&mut self, number: u64) {
        let Some(yielding) = self.yields.get_mut(&number) else { return };
        yielding.is_void = true;
        if let Some(state) = yielding.state.take() {
            self.remove(number);
            self.effects.push_back(Effect::Resume { number, state });
        }
    }
}

/// Returns how it is told that `winner` goes on and `loser` stops.
fn conflict_on(board: &Board, seat: &Seat, winner: &Claimant, loser: &Claimant) -> Conflict {
    let (scope, name, child) = match seat {
        Seat::Name(scope, name) => (*scope, Some(name.clone()), None),
        Seat::Child(scope, child) => (*scope, None, Some(*child)),
    };
    let (winner, loser) = (winner.rank.clone(), loser.rank.clone());
    Conflict { scope, name, child, rule: board.rule().name().into(), winner, loser }
}
