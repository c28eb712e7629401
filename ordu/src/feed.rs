//! News for many listeners: bounded, and whoever lags behind is told so.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

/// Where one writer says things that any number of listeners hear.
///
/// Holds no memory while nobody listens.
pub(crate) struct Feed<T> {
    state: Mutex<State<T>>,
}

enum State<T> {
    Silent,
    Open(broadcast::Sender<T>),
    Closed,
}

impl<T: Clone> Feed<T> {
    /// News that are kept for a listener who is busy with other things.
    const KEPT: usize = 1_024;

    /// Creates a feed that nobody listens to.
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State::Silent) }
    }

    /// Says what `make` makes, if anybody listens.
    pub(crate) fn send(&self, make: impl FnOnce() -> T) {
        let mut state = self.lock();
        match &*state {
            State::Silent | State::Closed => (),
            State::Open(sender) if sender.receiver_count() == 0 => *state = State::Silent,
            State::Open(sender) => drop(sender.send(make())),
        }
    }

    /// Returns a listener for all that is said from now on; `None` once the feed is closed.
    ///
    /// What was done before a [`Feed::send`] that the listener misses is visible to the caller.
    pub(crate) fn listen(&self) -> Option<broadcast::Receiver<T>> {
        let mut state = self.lock();
        match &*state {
            State::Closed => None,
            State::Open(sender) => Some(sender.subscribe()),
            State::Silent => {
                let (sender, receiver) = broadcast::channel(Self::KEPT);
                *state = State::Open(sender);
                Some(receiver)
            }
        }
    }

    /// Ends the feed; listeners hear what was said so far, and then the end.
    pub(crate) fn close(&self) {
        *self.lock() = State::Closed;
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
