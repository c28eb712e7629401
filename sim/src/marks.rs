//! What runs must reach now and then, if they are to mean anything.
//!
//! A run in which no conflict ever happened says nothing about conflicts. Each mark is a state that
//! some promise is about; a soak that misses one says so, and fails where it was told to reach all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use ordu_core::message::Message;
use ordu_core::{Event, ExitReason, Output, ProcessId, StartReason, StopReason, Time};
use serde::{Deserialize, Serialize};

use crate::host::Host;
use crate::world::World;

/// How close two things must be in time to have to do with each other.
const CLOSE: Duration = Duration::from_secs(2);

macro_rules! marks {
    ($($(#[doc = $doc:literal])+ $mark:ident => $name:literal,)+) => {
        /// A state that is worth reaching.
        #[derive(
            Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize,
        )]
        pub enum Mark {
            $($(#[doc = $doc])+ $mark,)+
        }

        impl Mark {
            /// Every mark.
            pub const ALL: &[Self] = &[$(Self::$mark),+];

            /// Returns the name of the mark.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$mark => $name,)+
                }
            }

            /// Returns what was reached.
            pub fn about(self) -> &'static str {
                match self {
                    $(Self::$mark => concat!($($doc),+).trim_ascii(),)+
                }
            }
        }
    };
}

marks! {
    /// A process was stopped because another one has its name.
    NameConflict => "name-conflict",
    /// A process was stopped because another one runs its child.
    ChildConflict => "child-conflict",
    /// One process won against two others.
    ThreeWayConflict => "three-way-conflict",
    /// A machine died within two seconds of a conflict that one of its processes took part in.
    ConflictAndDeath => "conflict-and-death",
    /// A winner took in the state of a loser.
    Merged => "merged",
    /// A loser went on, since its winner was gone.
    Resumed => "resumed",
    /// A child was taken over from a silent node.
    FailedOver => "failed-over",
    /// A child was started again after it had failed.
    Restarted => "restarted",
    /// A child ran twice at once.
    Twins => "twins",
    /// A member was suspected and heard of again in time.
    Refuted => "refuted",
    /// A member that was taken for dead was not.
    BackFromTheDead => "back-from-the-dead",
    /// A life of a member was over for good.
    Retired => "retired",
    /// A node left as it was asked to.
    Left => "left",
    /// A node refused what a peer said.
    Refused => "refused",
    /// A node refused a peer for its clock.
    ClockRefused => "clock-refused",
    /// A node took all others for dead.
    Alone => "alone",
    /// A delta was cut short by its budget.
    DeltaCut => "delta-cut",
    /// A whole journal was sent, in place of what the receiver held.
    JournalReplaced => "journal-replaced",
    /// A node asked for what it lacked.
    Asked => "asked",
    /// A beaten process handed its state over.
    Yielded => "yielded",
    /// A name was taken through another node than the process's own.
    Forwarded => "forwarded",
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How many runs reached which mark.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Marks(BTreeMap<Mark, u64>);

impl Marks {
    /// Adds the marks of other runs.
    pub fn add(&mut self, other: &Self) {
        for (&mark, &count) in &other.0 {
            *self.0.entry(mark).or_default() += count;
        }
    }

    /// Returns how many runs reached `mark`.
    pub fn count(&self, mark: Mark) -> u64 {
        self.0.get(&mark).copied().unwrap_or(0)
    }

    /// Iterates over the marks that no run reached.
    pub fn missed(&self) -> impl Iterator<Item = Mark> {
        Mark::ALL.iter().copied().filter(|&mark| self.count(mark) == 0)
    }

    /// Returns what a run reached that left `world` behind.
    pub(crate) fn of(world: &World) -> Self {
        let mut reached = world.sightings.0.clone();
        reached.extend(of_runs(world));
        reached.extend(of_conflicts(world));
        reached.extend(of_members(world));
        Self(reached.into_iter().map(|mark| (mark, 1)).collect())
    }
}

/// What was reached and shows in what nodes ask for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sightings(BTreeSet<Mark>);

impl Sightings {
    /// Takes in what a node asks for.
    pub(crate) fn handle_output(&mut self, output: &Output) {
        let mark = match output {
            Output::Send { envelope, .. } => of_message(&envelope.message),
            Output::Exit(ExitReason::Left) => Some(Mark::Left),
            Output::Event(Event::Merged { .. }) => Some(Mark::Merged),
            Output::Event(Event::Refused { .. }) => Some(Mark::Refused),
            Output::Event(Event::ClockRefused { .. }) => Some(Mark::ClockRefused),
            Output::Event(_)
            | Output::Exit(
                ExitReason::Superseded { .. }
                | ExitReason::Evicted
                | ExitReason::NotListed
                | ExitReason::Unfit { .. },
            )
            | Output::Dial { .. }
            | Output::HangUp { .. }
            | Output::Renew { .. }
            | Output::Persist { .. }
            | Output::Hold { .. }
            | Output::Disconnect { .. }
            | Output::Start(_)
            | Output::Stop { .. }
            | Output::Absorb { .. }
            | Output::Deliver { .. }
            | Output::Reply { .. }
            | Output::View(_) => None,
        };
        if let Some(mark) = mark {
            self.0.insert(mark);
        }
    }
}

fn of_message(message: &Message) -> Option<Mark> {
    match message {
        Message::Delta(delta) if delta.to < delta.until => Some(Mark::DeltaCut),
        Message::Delta(delta) if delta.from == 0 && delta.floor > 0 => Some(Mark::JournalReplaced),
        Message::Need(_) => Some(Mark::Asked),
        Message::Yield(_) => Some(Mark::Yielded),
        Message::Forward(_) => Some(Mark::Forwarded),
        Message::Delta(_)
        | Message::Hello(_)
        | Message::Join
        | Message::Welcome(_)
        | Message::Beat(_)
        | Message::Digest(_)
        | Message::Ack(_)
        | Message::Won(_)
        | Message::Forwarded(_)
        | Message::Call(_)
        | Message::Reply(_)
        | Message::Cast(_)
        | Message::Probe(_)
        | Message::Condition(_)
        | Message::Publish(_)
        | Message::Excluded(_)
        | Message::LeaseRequest(_)
        | Message::LeaseReply(_)
        | Message::Electorate(_)
        | Message::Proposal(_)
        | Message::Vote(_) => None,
    }
}

fn of_runs(world: &World) -> BTreeSet<Mark> {
    let mut reached = BTreeSet::new();
    let mut last_of = BTreeMap::new();
    for run in world.runs() {
        match run.reason {
            Some(StartReason::FailedOver) => reached.insert(Mark::FailedOver),
            Some(StartReason::Restarted) => reached.insert(Mark::Restarted),
            Some(StartReason::Resumed) => reached.insert(Mark::Resumed),
            Some(StartReason::Fresh | StartReason::Moved) | None => false,
        };
        let Some(child) = run.child else { continue };
        if last_of.insert(child, run).is_some_and(|before| before.overlaps(run)) {
            reached.insert(Mark::Twins);
        }
    }
    reached
}

fn of_conflicts(world: &World) -> BTreeSet<Mark> {
    let mut reached = BTreeSet::new();
    let mut losers: BTreeMap<&ProcessId, u32> = BTreeMap::new();
    for run in world.runs() {
        let Some(StopReason::Conflict(conflict)) = &run.stop else { continue };
        reached.insert(match conflict.name {
            Some(_) => Mark::NameConflict,
            None => Mark::ChildConflict,
        });
        let lost = losers.entry(&conflict.winner).or_default();
        *lost += 1;
        if *lost == 2 {
            reached.insert(Mark::ThreeWayConflict);
        }
    }
    let near = |at: Time, of: Time| of.saturating_sub(CLOSE) <= at && at <= of + CLOSE;
    for (at, _, event) in world.events() {
        let Event::Conflict(conflict) = event else { continue };
        let hosts =
            [&conflict.winner, &conflict.loser].map(|rank| Host::of(rank.process.replica.node()));
        let died = |(host, death): &(Host, Time)| hosts.contains(&Some(*host)) && near(*death, *at);
        if world.deaths.iter().any(died) {
            reached.insert(Mark::ConflictAndDeath);
        }
    }
    reached
}

fn of_members(world: &World) -> BTreeSet<Mark> {
    let mut reached = BTreeSet::new();
    let mut last: BTreeMap<_, &Event> = BTreeMap::new();
    let mut downs: BTreeMap<Host, BTreeSet<Host>> = BTreeMap::new();
    let others = world.hosts.len() - 1;
    for (_, observer, event) in world.events() {
        match event {
            Event::MemberUp { replica } => {
                match last.get(&(*observer, replica)) {
                    Some(Event::MemberSuspect { .. }) => reached.insert(Mark::Refuted),
                    Some(Event::MemberDown { .. }) => reached.insert(Mark::BackFromTheDead),
                    Some(_) | None => false,
                };
                if let Some(host) = Host::of(replica.node()) {
                    downs.entry(*observer).or_default().remove(&host);
                }
                last.insert((*observer, replica), event);
            }
            Event::MemberSuspect { replica } => drop(last.insert((*observer, replica), event)),
            Event::MemberDown { replica, .. } => {
                let down = downs.entry(*observer).or_default();
                down.extend(Host::of(replica.node()));
                if down.len() == others {
                    reached.insert(Mark::Alone);
                }
                last.insert((*observer, replica), event);
            }
            Event::MemberRetired { .. } => drop(reached.insert(Mark::Retired)),
            Event::Joined { .. } => drop(downs.remove(observer)),
            Event::Conflict(_)
            | Event::Ready { .. }
            | Event::Merged { .. }
            | Event::ChildFailed { .. }
            | Event::ClockRefused { .. }
            | Event::RuleRefused { .. }
            | Event::RingRefused { .. }
            | Event::Refused { .. }
            | _ => {}
        }
    }
    reached
}
