//! Something that happens once, and that many tasks may wait for.

use tokio::sync::Semaphore;

/// A flag that is raised once and stays up.
///
/// A semaphore without permits, closed when the flag goes up: it wakes those who wait in the order
/// in which they came, so that a simulation stays the same from run to run.
#[derive(Debug)]
pub(crate) struct Signal(Semaphore);

impl Signal {
    /// Returns a flag that is down.
    pub(crate) fn new() -> Self {
        Self(Semaphore::new(0))
    }

    /// Raises the flag; a second time changes nothing.
    pub(crate) fn raise(&self) {
        self.0.close();
    }

    /// Returns whether the flag is up.
    pub(crate) fn is_raised(&self) -> bool {
        self.0.is_closed()
    }

    /// Resolves once the flag is up.
    pub(crate) async fn raised(&self) {
        let permit = self.0.acquire().await;
        assert!(permit.is_err(), "a semaphore without permits gives none");
    }
}
