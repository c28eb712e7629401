//! What happens on a node, for whoever listens.

use std::fmt;

use ordu_core::Event;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// What happens on a node, from the moment that this was made.
pub struct Events {
    /// `None` if the node was over then.
    listener: Option<broadcast::Receiver<Event>>,
}

impl Events {
    pub(crate) fn new(listener: Option<broadcast::Receiver<Event>>) -> Self {
        Self { listener }
    }

    /// Waits for the next event; `None` once the node is over. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// Says how many events were missed, where the caller was too slow to hear them: 1,024 are
    /// kept. The next call goes on with the oldest that is left.
    pub async fn next(&mut self) -> Option<Result<Event, Missed>> {
        match self.listener.as_mut()?.recv().await {
            Ok(event) => Some(Ok(event)),
            Err(RecvError::Lagged(count)) => Some(Err(Missed { count })),
            Err(RecvError::Closed) => None,
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

/// The listener was too slow and missed events.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{count} events were missed")]
pub struct Missed {
    /// How many.
    pub count: u64,
}
