//! The frames that wait to be sent to one peer.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use ordu_core::Blob;
use ordu_core::transport::Lane;
use tokio::sync::Notify;

use crate::config::Limits;
use crate::records::Frames;

/// Bytes that a waiting frame takes beside its own, so that empty ones are bounded, too.
pub(crate) const FRAME_COST_BYTES: usize = 64;

/// Two bounded queues of one session.
///
/// Invariant: the bytes counted for a lane are those of the frames that wait in it, and never more
/// than its limit, unless one frame waits alone.
pub(crate) struct Outbox {
    lanes: Mutex<Lanes>,
    wake: Notify,
}

struct Lanes {
    control: Queue,
    bulk: Queue,
    state: State,
}

struct Queue {
    frames: VecDeque<Blob>,
    bytes: usize,
    bytes_max: usize,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum State {
    Open,
    /// What waits is sent, and nothing joins it.
    Finishing,
    Closed,
}

/// Why a frame does not wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PushError {
    /// The lane is full.
    Full,
    /// The session is over, or about to be.
    Closed,
}

impl Outbox {
    /// Returns empty queues.
    pub(crate) fn new(limits: &Limits) -> Self {
        let queue = |bytes_max| Queue { frames: VecDeque::new(), bytes: 0, bytes_max };
        let (control, bulk) = (queue(limits.control_bytes), queue(limits.bulk_bytes));
        let lanes = Mutex::new(Lanes { control, bulk, state: State::Open });
        Self { lanes, wake: Notify::new() }
    }

    /// Lets `frame` wait in `lane`.
    pub(crate) fn push(&self, lane: Lane, frame: Blob) -> Result<(), PushError> {
        {
            let mut lanes = self.lock();
            if lanes.state != State::Open {
                return Err(PushError::Closed);
            }
            lanes.queue(lane).push(frame)?;
        }
        self.wake.notify_one();
        Ok(())
    }

    /// Lets nothing more in; what waits is still to be sent.
    pub(crate) fn finish(&self) {
        let mut lanes = self.lock();
        if lanes.state == State::Open {
            lanes.state = State::Finishing;
        }
        drop(lanes);
        self.wake.notify_one();
    }

    /// Lets nothing more in and drops what waits.
    pub(crate) fn close(&self) {
        let mut lanes = self.lock();
        lanes.state = State::Closed;
        for lane in [Lane::Control, Lane::Bulk] {
            let queue = lanes.queue(lane);
            queue.frames = VecDeque::new();
            queue.bytes = 0;
        }
    }

    /// Returns whether nothing more will come than what waits now.
    pub(crate) fn is_finishing(&self) -> bool {
        self.lock().state != State::Open
    }

    /// Resolves once something was pushed or finished since the last call did.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().expect("nothing panics while it holds the queues")
    }
}

impl Frames for Outbox {
    fn pop(&self, lane: Lane) -> Option<Blob> {
        self.lock().queue(lane).pop()
    }
}

impl Lanes {
    fn queue(&mut self, lane: Lane) -> &mut Queue {
        match lane {
            Lane::Control => &mut self.control,
            Lane::Bulk => &mut self.bulk,
        }
    }
}

impl Queue {
    fn push(&mut self, frame: Blob) -> Result<(), PushError> {
        let cost = frame.len() + FRAME_COST_BYTES;
        if self.bytes + cost > self.bytes_max && !self.frames.is_empty() {
            return Err(PushError::Full);
        }
        self.bytes += cost;
        self.frames.push_back(frame);
        Ok(())
    }

    fn pop(&mut self) -> Option<Blob> {
        let frame = self.frames.pop_front()?;
        let cost = frame.len() + FRAME_COST_BYTES;
        assert!(cost <= self.bytes, "what waits was counted");
        self.bytes -= cost;
        if self.frames.is_empty() {
            assert!(self.bytes == 0, "an empty queue counts nothing");
            self.frames.shrink_to(64);
        }
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use ordu_core::limits::FRAME_BYTES_MAX;

    use super::*;

    fn outbox() -> Outbox {
        let limits = Limits { control_bytes: FRAME_BYTES_MAX, ..Limits::default() };
        Outbox::new(&limits)
    }

    #[test]
    fn a_full_lane_refuses_and_the_other_does_not() {
        let outbox = outbox();
        let frame = Blob::from(vec![0; FRAME_BYTES_MAX]);
        let fit = (8 << 20) / (FRAME_BYTES_MAX + FRAME_COST_BYTES);
        for _ in 0..fit {
            assert_eq!(outbox.push(Lane::Bulk, frame.clone()), Ok(()));
        }
        assert_eq!(outbox.push(Lane::Bulk, frame.clone()), Err(PushError::Full));
        assert_eq!(outbox.push(Lane::Control, frame.clone()), Ok(()), "one frame always fits");
        assert_eq!(outbox.push(Lane::Control, Blob::from("beat")), Err(PushError::Full));

        assert_eq!(outbox.pop(Lane::Bulk), Some(frame.clone()));
        assert_eq!(outbox.push(Lane::Bulk, frame), Ok(()));
    }

    #[test]
    fn empty_frames_are_bounded_as_well() {
        let outbox = outbox();
        let taken = (0..).take_while(|_| outbox.push(Lane::Control, Blob::default()).is_ok());
        assert_eq!(taken.count(), FRAME_BYTES_MAX / FRAME_COST_BYTES);
    }

    #[test]
    fn what_waits_is_kept_by_finish_and_dropped_by_close() {
        let outbox = outbox();
        outbox.push(Lane::Control, Blob::from("a")).unwrap();
        outbox.push(Lane::Control, Blob::from("b")).unwrap();
        outbox.finish();
        assert_eq!(outbox.push(Lane::Control, Blob::from("c")), Err(PushError::Closed));
        assert_eq!(outbox.pop(Lane::Control), Some(Blob::from("a")));
        outbox.close();
        assert_eq!(outbox.pop(Lane::Control), None);
        assert!(outbox.is_finishing());
    }
}
