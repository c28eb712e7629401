//! How much of everything there was in a run.

use std::time::Duration;

use ordu_core::{Event, StopReason};
use serde::{Deserialize, Serialize};

use crate::world::World;

/// How much of everything there was in one run, or in many.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// How many runs this sums over.
    pub runs: u64,
    /// How much virtual time passed, in milliseconds.
    pub virtual_ms: u64,
    /// How many processes ran.
    pub processes: u64,
    /// How many lives nodes had.
    pub lives: u64,
    /// How many times a member was taken for dead.
    pub downs: u64,
    /// How many processes were stopped because another one won.
    pub conflicts: u64,
    /// How many requests were answered.
    pub answers: u64,
    /// How many messages were counted for what may befall them.
    #[serde(default)]
    pub messages: u64,
    /// The longest that a core took to come to rest, in milliseconds.
    pub rest_ms_max: u64,
}

impl Tally {
    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.virtual_ms += other.virtual_ms;
        self.processes += other.processes;
        self.lives += other.lives;
        self.downs += other.downs;
        self.conflicts += other.conflicts;
        self.answers += other.answers;
        self.messages += other.messages;
        self.rest_ms_max = self.rest_ms_max.max(other.rest_ms_max);
    }

    /// Returns the virtual time that passed.
    pub fn virtual_time(&self) -> Duration {
        Duration::from_millis(self.virtual_ms)
    }

    pub(super) fn of(world: &World, rest_after: Option<Duration>) -> Self {
        let count = |count: usize| u64::try_from(count).expect("it fits");
        let lost = |run: &&crate::Run| matches!(run.stop, Some(StopReason::Conflict(_)));
        let down = |event: &&(_, _, Event)| matches!(event.2, Event::MemberDown { .. });
        let rest_ms = rest_after.map_or(0, |rest| rest.as_millis());
        Self {
            runs: 1,
            virtual_ms: world.now().as_micros() / 1_000,
            processes: count(world.runs().len()),
            lives: world.hosts.values().map(|state| state.life).sum(),
            downs: count(world.events().iter().filter(down).count()),
            conflicts: count(world.runs().iter().filter(lost).count()),
            answers: count(world.requests.answered()),
            messages: world.sessions.tampering.sent(),
            rest_ms_max: u64::try_from(rest_ms).expect("a run does not last that long"),
        }
    }
}
