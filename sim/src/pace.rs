//! How fast a machine works.

use std::time::Duration;

use ordu_core::Time;
use serde::{Deserialize, Serialize};

use crate::World;
use crate::event::{Due, Event};
use crate::host::Host;
use crate::world::HostState;

/// What one input costs a usual machine: to read it, to act on it, to write what follows.
const INPUT_COST: Duration = Duration::from_micros(100);

/// How much may wait at a slow machine before frames are dropped, as full buffers do.
const WAITING_MAX: usize = 4_096;

/// How fast a machine works.
///
/// One that is not at its full pace takes its time for every frame, every timer, every turn of a
/// process: what follows from one leaves so much later, and what comes meanwhile waits in line.
/// Beyond 4,096 that wait, frames are dropped. What its own users ask is taken in at once, and
/// keeps it busy for as long.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    per_input: Duration,
}

impl Pace {
    /// Returns the pace of every new machine: all is done at once.
    pub const fn full() -> Self {
        Self { per_input: Duration::ZERO }
    }

    /// Returns the pace of a machine that takes `times` the usual 100 µs for each input.
    pub const fn slowed(times: u32) -> Self {
        Self::per_input(INPUT_COST.saturating_mul(times))
    }

    /// Returns the pace of a machine that takes `duration` for each input.
    pub const fn per_input(duration: Duration) -> Self {
        Self { per_input: duration }
    }

    /// Returns whether all is done at once.
    pub const fn is_full(self) -> bool {
        self.per_input.is_zero()
    }
}

impl HostState {
    /// Returns when it is done with what it does next, if there is anything to do.
    pub(crate) fn done_at(&self) -> Option<Time> {
        if !self.is_up() {
            return None;
        }
        let wake = self.node.as_ref()?.wake;
        if self.pace.is_full() {
            return wake;
        }
        let arrival = self.waiting.front().map(|&(arrival, _)| arrival);
        let next = wake.into_iter().chain(arrival).min()?;
        Some(next.max(self.free_at) + self.pace.per_input)
    }

    /// Returns whether its node has not got to what it should have done by `now`.
    pub(crate) fn is_behind(&self, now: Time) -> bool {
        let wake = self.node.as_ref().and_then(|running| running.wake);
        self.paused || (!self.pace.is_full() && wake.is_some_and(|wake| wake <= now))
    }

    /// Lets something wait that befell it at `now`, unless it is a frame and too much waits.
    pub(crate) fn keep_waiting(&mut self, now: Time, due: Due) {
        let is_frame = match &due.event {
            Event::Frame { .. } | Event::Hoarded { .. } => true,
            Event::Attempt { .. }
            | Event::Refused { .. }
            | Event::Meet { .. }
            | Event::Opened { .. }
            | Event::Closed { .. }
            | Event::Process { .. }
            | Event::Stored { .. }
            | Event::Answer { .. }
            | Event::Resume => false,
        };
        if self.paused || !is_frame || self.waiting.len() < WAITING_MAX {
            self.waiting.push_back((now, due));
        }
    }

    /// Returns what it is to do at `now`, which has waited for longer than its timer.
    pub(crate) fn take_waiting(&mut self, now: Time) -> Option<Due> {
        if self.pace.is_full() {
            return None;
        }
        assert!(self.free_at <= now, "one thing is done at a time");
        self.free_at = now;
        let wake = self.node.as_ref().and_then(|running| running.wake);
        let &(arrival, _) = self.waiting.front()?;
        if wake.is_some_and(|wake| wake < arrival) {
            return None;
        }
        self.waiting.pop_front().map(|(_, due)| due)
    }

    /// Keeps it busy with something that it did at once, at `now`.
    pub(crate) fn occupy(&mut self, now: Time) {
        self.free_at = self.free_at.max(now) + self.pace.per_input;
    }
}

impl World {
    /// Changes how fast `host` works, from now on. At full pace it does at once what waits.
    pub fn set_pace(&mut self, host: Host, pace: Pace) {
        self.note(host, format!("takes {:?} for each input", pace.per_input));
        let now = self.now;
        let state = self.state_mut(host);
        state.pace = pace;
        state.free_at = now;
        if pace.is_full() && !state.paused {
            self.release(host);
        }
    }

    /// Lets everything that waits at `host` befall it now.
    pub(crate) fn release(&mut self, host: Host) {
        let waiting = std::mem::take(&mut self.state_mut(host).waiting);
        for (_, due) in waiting {
            self.queue.plan(self.now, due);
        }
    }
}
