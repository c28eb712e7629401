//! What is going to happen in a world, in the order in which it will.

use std::collections::BTreeMap;

use ordu_core::message::CallFailure;
use ordu_core::{Address, Blob, CallId, Time, VoterRecord};

use crate::Host;
use crate::processes::Turn;

/// Something that befalls one life of one node.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    /// The machine.
    pub(crate) host: Host,
    /// The life of its node, if another life never notices.
    pub(crate) life: Option<u64>,
    /// What happens.
    pub(crate) event: Event,
}

/// What befalls it.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// It tries to reach `address`.
    Attempt { address: Address },
    /// Its attempt is refused.
    Refused { address: Address },
    /// Its attempt arrives at `target`.
    Meet { address: Address, target: Host, target_life: u64 },
    /// A session is set up.
    Opened { session: u64, peer: Host },
    /// A session ends.
    Closed { session: u64, peer: Host },
    /// A frame arrives.
    Frame { session: u64, from: Host, frame: Vec<u8> },
    /// A frame arrives that was kept back; it may be of a session and of lives long over.
    Hoarded { from: Host, frame: Vec<u8> },
    /// A process of it moves on, unless that was called off since.
    Process { number: u64, round: u64, turn: Turn },
    /// A process of it has a reply ready.
    Answer { number: u64, call: CallId, result: Result<Blob, CallFailure> },
    /// What it wanted to store is on its disk.
    Stored { number: u64, record: Box<VoterRecord> },
    /// Its machine wakes from its sleep.
    Resume,
}

/// All that is due, by time; of what is due at once, first planned comes first.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    due: BTreeMap<(Time, u64), Due>,
    planned: u64,
}

impl Queue {
    /// Plans something for `at`.
    pub(crate) fn plan(&mut self, at: Time, due: Due) {
        self.planned += 1;
        self.due.insert((at, self.planned), due);
    }

    /// Drops the frames that were hoarded and have not come back yet.
    pub(crate) fn drop_hoarded(&mut self) {
        self.due.retain(|_, due| !matches!(due.event, Event::Hoarded { .. }));
    }

    /// Returns when the next thing is due.
    pub(crate) fn next_at(&self) -> Option<Time> {
        self.due.first_key_value().map(|(&(at, _), _)| at)
    }

    /// Takes out everything that is due by `now`.
    pub(crate) fn take_until(&mut self, now: Time) -> Vec<Due> {
        let mut taken = Vec::new();
        while let Some(first) = self.due.first_entry().filter(|first| first.key().0 <= now) {
            taken.push(first.remove());
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{N1, N2, N3};

    #[test]
    fn what_is_due_at_once_keeps_its_order() {
        let address = N1.address();
        let due =
            |host| Due { host, life: Some(1), event: Event::Refused { address: address.clone() } };
        let mut queue = Queue::default();
        queue.plan(Time::from_millis(2), due(N3));
        queue.plan(Time::from_millis(1), due(N2));
        queue.plan(Time::from_millis(1), due(N1));
        queue.plan(Time::from_millis(3), due(N1));

        let hosts: Vec<Host> =
            queue.take_until(Time::from_millis(2)).into_iter().map(|due| due.host).collect();
        assert_eq!(hosts, [N2, N1, N3]);
        assert_eq!(queue.next_at(), Some(Time::from_millis(3)));
    }
}
