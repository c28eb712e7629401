//! The events of one transport that wait to be heard.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use ordu_core::Blob;
use ordu_core::transport::TransportEvent;
use tokio::sync::Notify;

use crate::session::{Session, Side};

/// Events that wait; past it, what only tells of failed attempts is dropped. Sessions bound their
/// own.
const EVENTS_MAX: usize = 1_024;

/// An event on its way to `next`.
pub(crate) enum Delivery {
    Connected(Arc<Session>, Side),
    Disconnected(Arc<Session>, Side),
    Frame(Arc<Session>, Side, Blob),
    Other(TransportEvent),
}

/// Filled by the hub, emptied by one transport.
pub(crate) struct Mailbox {
    events: Mutex<Events>,
    wake: Notify,
}

struct Events {
    waiting: VecDeque<Delivery>,
    closed: bool,
}

impl Mailbox {
    pub(crate) fn new() -> Self {
        let events = Mutex::new(Events { waiting: VecDeque::new(), closed: false });
        Self { events, wake: Notify::new() }
    }

    /// Lets `delivery` wait.
    pub(crate) fn push(&self, delivery: Delivery) {
        let mut events = self.lock();
        let full = events.waiting.len() >= EVENTS_MAX;
        let dropped = events.closed || (full && matches!(delivery, Delivery::Other(_)));
        if !dropped {
            events.waiting.push_back(delivery);
        }
        drop(events);
        self.wake.notify_one();
    }

    /// Lets nothing more in.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    /// Lets nothing more in, and forgets what waits.
    pub(crate) fn kill(&self) {
        self.lock().waiting.clear();
        self.close();
    }

    /// Returns the next event; `None` once it is closed and empty.
    pub(crate) async fn next(&self) -> Option<Delivery> {
        loop {
            {
                let mut events = self.lock();
                if let Some(delivery) = events.waiting.pop_front() {
                    return Some(delivery);
                }
                if events.closed {
                    return None;
                }
            }
            self.wake.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Events> {
        self.events.lock().expect("nothing panics while it holds the events")
    }
}
