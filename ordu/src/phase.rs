//! How far a node has come, for all who wait for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ordu_core::{ExitReason, Replica};
use tokio::sync::Notify;

/// How far a node has come.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Phase {
    /// It has no place in the cluster yet, or does not know what the others know.
    Joining,
    /// It is a member, and ready.
    Ready(Replica),
    /// It is over; why, unless it was halted.
    Over(Option<ExitReason>),
}

/// The phase of a node, as its handles see it.
///
/// Wakes those who wait in the order in which they came: a watch channel of tokio throws dice of
/// its own over that, so that a simulation would not be the same from run to run.
#[derive(Debug)]
pub(crate) struct Phases {
    phase: Mutex<Phase>,
    changed: Notify,
}

/// The driver's end of a node's phase. Dropped, the node is over.
#[derive(Debug)]
pub(crate) struct Announcer(Arc<Phases>);

impl Phases {
    /// Returns the phase of a node that is joining, and what changes it.
    pub(crate) fn new() -> (Announcer, Arc<Self>) {
        let (phase, changed) = (Mutex::new(Phase::Joining), Notify::new());
        let phases = Arc::new(Self { phase, changed });
        (Announcer(Arc::clone(&phases)), phases)
    }

    /// Returns the present phase.
    pub(crate) fn now(&self) -> Phase {
        self.lock().clone()
    }

    /// Waits for a phase that `is_it`, and returns it.
    pub(crate) async fn wait_for(&self, is_it: impl Fn(&Phase) -> bool) -> Phase {
        loop {
            // Made before the look: it hears of every change from here on.
            let changed = self.changed.notified();
            let phase = self.now();
            if is_it(&phase) {
                return phase;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Announcer {
    /// Announces `phase`, if it is another one.
    pub(crate) fn announce(&self, phase: Phase) {
        {
            let mut present = self.0.lock();
            if *present == phase {
                return;
            }
            let is_over = matches!(*present, Phase::Over(_));
            assert!(!is_over, "a node that is over stays so");
            *present = phase;
        }
        self.0.changed.notify_waiters();
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        if !matches!(self.0.now(), Phase::Over(_)) {
            self.announce(Phase::Over(None));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::FuturesUnordered;
    use futures_util::{FutureExt, StreamExt};
    use ordu_core::{Incarnation, NodeId};

    use super::*;

    fn ready() -> Phase {
        let incarnation = Incarnation { counter: 1, nonce: 2 };
        Phase::Ready(Replica::new(NodeId::new("a").unwrap(), incarnation))
    }

    #[test]
    fn who_waits_hears_of_the_phase_that_it_waits_for_and_of_no_other() {
        let (announcer, phases) = Phases::new();
        let mut joined = std::pin::pin!(phases.wait_for(|phase| *phase != Phase::Joining));
        let mut over = std::pin::pin!(phases.wait_for(|phase| matches!(phase, Phase::Over(_))));
        assert_eq!(joined.as_mut().now_or_never(), None);
        assert_eq!(over.as_mut().now_or_never(), None);

        announcer.announce(ready());
        announcer.announce(ready());
        assert_eq!(joined.now_or_never(), Some(ready()));
        assert_eq!(over.as_mut().now_or_never(), None);

        // A driver that is dropped in the midst of its work says nothing more, and need not.
        drop(announcer);
        assert_eq!(over.now_or_never(), Some(Phase::Over(None)));
        assert_eq!(phases.now(), Phase::Over(None));
    }

    /// With tokio's watch channel this order is another one at each run.
    #[tokio::test]
    async fn those_who_wait_are_woken_in_the_order_in_which_they_came() {
        let (announcer, phases) = Phases::new();
        let waiting = (0..20).map(async |number| {
            phases.wait_for(|phase| *phase != Phase::Joining).await;
            number
        });
        // It polls those who were woken, in the order of their waking.
        let mut all = waiting.collect::<FuturesUnordered<_>>();
        assert_eq!(all.next().now_or_never(), None);
        announcer.announce(ready());
        let woken = all.collect::<Vec<_>>().await;
        assert_eq!(woken, (0..20).collect::<Vec<_>>());
    }
}
