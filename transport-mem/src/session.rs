//! One session in memory: the frames that wait in it, each way.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use ordu_core::limits::FRAME_BYTES_MAX;
use ordu_core::transport::{Address, Lane};
use ordu_core::{Blob, NodeId, Time};
use tokio::sync::Notify;

/// Bytes of control frames that wait one way.
const CONTROL_BYTES_MAX: usize = FRAME_BYTES_MAX;
/// Bytes of bulk frames that wait one way.
const BULK_BYTES_MAX: usize = 8 << 20;
/// Bytes of frames that arrived and were not taken.
const INBOUND_BYTES_MAX: usize = 4 << 20;
/// Bytes that a waiting frame takes beside its own, so that empty ones are bounded, too.
const FRAME_COST_BYTES: usize = 64;

/// One of the two ends of a session: 0 dialled, 1 was dialled.
pub(crate) type Side = usize;

/// A session, as both its ends see it.
pub(crate) struct Session {
    pub(crate) id: u64,
    pub(crate) ends: [Place; 2],
    /// What goes away from each side.
    pub(crate) ways: [Way; 2],
}

/// Who is at one end of a session, and where.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) node: NodeId,
    pub(crate) address: Address,
}

/// The frames on their way from one side to the other.
pub(crate) struct Way {
    frames: Mutex<Frames>,
    wake: Notify,
    over: AtomicBool,
}

struct Frames {
    control: Queue,
    bulk: Queue,
    /// Bytes delivered at the other end and not taken.
    inbound: usize,
    /// Nothing more is let in; what waits is delivered, and then the session ends.
    finishing: bool,
}

struct Queue {
    frames: VecDeque<(Time, Blob)>,
    bytes: usize,
    bytes_max: usize,
}

/// Why a frame does not wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PushError {
    Full,
    Closed,
}

/// What a way needs next.
pub(crate) enum Due {
    /// Delivering this frame.
    Frame(Blob),
    /// Waiting until then, or until it is woken.
    At(Time),
    /// Waiting until it is woken.
    Nothing,
    /// Ending: all is delivered and nothing will follow.
    Finished,
}

impl Session {
    pub(crate) fn new(id: u64, ends: [Place; 2]) -> Self {
        Self { id, ends, ways: [Way::new(), Way::new()] }
    }

    /// Returns who is at the other end of `side`.
    pub(crate) fn peer(&self, side: Side) -> &NodeId {
        &self.ends[1 - side].node
    }
}

impl Way {
    fn new() -> Self {
        let queue = |bytes_max| Queue { frames: VecDeque::new(), bytes: 0, bytes_max };
        let (control, bulk) = (queue(CONTROL_BYTES_MAX), queue(BULK_BYTES_MAX));
        let frames = Mutex::new(Frames { control, bulk, inbound: 0, finishing: false });
        Self { frames, wake: Notify::new(), over: AtomicBool::new(false) }
    }

    /// Lets `frame` wait in `lane` until `due`.
    pub(crate) fn push(&self, lane: Lane, frame: Blob, due: Time) -> Result<(), PushError> {
        let mut frames = self.lock();
        if frames.finishing || self.is_over() {
            return Err(PushError::Closed);
        }
        frames.queue(lane).push(frame, due)?;
        drop(frames);
        self.wake.notify_one();
        Ok(())
    }

    /// Returns what is to be done at `now`; control goes first.
    pub(crate) fn due(&self, now: Time) -> Due {
        let mut frames = self.lock();
        if frames.inbound >= INBOUND_BYTES_MAX {
            return Due::Nothing;
        }
        for lane in [Lane::Control, Lane::Bulk] {
            if let Some(frame) = frames.queue(lane).pop(now) {
                frames.inbound += frame.len() + FRAME_COST_BYTES;
                return Due::Frame(frame);
            }
        }
        let heads = [&frames.control, &frames.bulk].map(Queue::head);
        match heads.into_iter().flatten().min() {
            Some(due) => Due::At(due),
            None if frames.finishing => Due::Finished,
            None => Due::Nothing,
        }
    }

    /// Gives back the room of a frame of `bytes` that was taken or lost.
    pub(crate) fn taken(&self, bytes: usize) {
        let mut frames = self.lock();
        let cost = bytes + FRAME_COST_BYTES;
        assert!(cost <= frames.inbound, "what is taken was delivered");
        frames.inbound -= cost;
        drop(frames);
        self.wake.notify_one();
    }

    /// Lets nothing more in; what waits is still delivered.
    pub(crate) fn finish(&self) {
        self.lock().finishing = true;
        self.wake.notify_one();
    }

    /// Drops what waits, for good.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Resolves once there may be something to do.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Frames> {
        self.frames.lock().expect("nothing panics while it holds the frames")
    }
}

impl Frames {
    fn queue(&mut self, lane: Lane) -> &mut Queue {
        match lane {
            Lane::Control => &mut self.control,
            Lane::Bulk => &mut self.bulk,
        }
    }
}

impl Queue {
    fn push(&mut self, frame: Blob, due: Time) -> Result<(), PushError> {
        let cost = frame.len() + FRAME_COST_BYTES;
        if self.bytes + cost > self.bytes_max && !self.frames.is_empty() {
            return Err(PushError::Full);
        }
        // A link that got faster lets nothing overtake what is on its way.
        let due = self.frames.back().map_or(due, |&(last, _)| last.max(due));
        self.bytes += cost;
        self.frames.push_back((due, frame));
        Ok(())
    }

    fn pop(&mut self, now: Time) -> Option<Blob> {
        self.head().filter(|&due| due <= now)?;
        let (_, frame) = self.frames.pop_front()?;
        let cost = frame.len() + FRAME_COST_BYTES;
        assert!(cost <= self.bytes, "what waits was counted");
        self.bytes -= cost;
        Some(frame)
    }

    fn head(&self) -> Option<Time> {
        self.frames.front().map(|&(due, _)| due)
    }
}

/// What is wrong with a link, in one direction.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Link {
    pub(crate) cut: bool,
    pub(crate) delay: Duration,
    pub(crate) loss_permille: u16,
}
