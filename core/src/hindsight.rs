//! What a node had written and heard of some while ago, by the clock that no step of a wall clock
//! moves.

use alloc::collections::VecDeque;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::crdt::Version;
use crate::{Stamp, Time};

/// How far its notes are apart at least: what is told is late by as much at most.
const NOTED_EVERY: Duration = Duration::from_secs(20);

/// How far a node had come.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The head of its own journal.
    pub(crate) head: Version,
    /// The latest stamp of an end of a child that it knew of.
    pub(crate) end: Stamp,
}

/// Notes of how far a node had come when.
///
/// Invariant: from one note to the next neither time nor heads go back, and the first is the only
/// one that may be older than `span`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Hindsight {
    span: Duration,
    notes: VecDeque<(Time, Mark)>,
}

impl Hindsight {
    /// Creates the past of a node that has none yet, which is to be known `span` ago.
    pub(crate) fn new(span: Duration) -> Self {
        Self { span, notes: VecDeque::new() }
    }

    /// Takes in how far the node has come by `now`.
    pub(crate) fn handle_beat(&mut self, now: Time, mark: Mark) {
        if self.notes.back().is_none_or(|(at, _)| *at + NOTED_EVERY <= now) {
            self.notes.push_back((now, mark));
        }
        while self.notes.get(1).is_some_and(|(at, _)| *at + self.span <= now) {
            self.notes.pop_front();
        }
    }

    /// Returns how far the node had come the span before `now`, or a little earlier; nowhere, if it
    /// was not there yet.
    pub(crate) fn mark(&self, now: Time) -> Mark {
        let first = self.notes.front().filter(|(at, _)| *at + self.span <= now);
        first.map_or_else(Mark::default, |(_, mark)| *mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Wall;

    const SPAN: Duration = Duration::from_secs(600);

    fn mark(head: Version) -> Mark {
        Mark { head, end: Stamp::first_of(Wall::from_millis(head)) }
    }

    #[test]
    fn it_tells_what_was_so_a_span_ago_and_a_note_earlier_at_most() {
        let mut hindsight = Hindsight::new(SPAN);
        for second in 0..10_000 {
            let now = Time::from_millis(1_000 * second);
            hindsight.handle_beat(now, mark(second));
            let head = hindsight.mark(now).head;
            let latest = second.saturating_sub(600);
            assert!(head <= latest && latest.saturating_sub(20) <= head, "{head} at {second} s");
        }
        assert!(hindsight.notes.len() <= 32, "it keeps {} notes", hindsight.notes.len());
    }

    #[test]
    fn a_pause_makes_it_know_less_and_never_more() {
        let mut hindsight = Hindsight::new(SPAN);
        hindsight.handle_beat(Time::from_millis(0), mark(1));
        hindsight.handle_beat(Time::from_millis(60_000), mark(2));
        let late = Time::from_millis(3_600_000);
        hindsight.handle_beat(late, mark(3));
        assert_eq!(hindsight.mark(late), mark(2));

        hindsight.handle_beat(late + SPAN, mark(4));
        assert_eq!(hindsight.mark(late + SPAN), mark(3));
    }
}
