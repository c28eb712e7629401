//! The gate that everything a process does is polled through.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use ordu_core::Time;
use ordu_core::transport::{BoxFuture, Runtime};
use tokio::select;
use tokio::sync::Notify;

/// Until when a process may run; shared by all that is polled on its behalf.
#[derive(Debug)]
pub(crate) struct Gate {
    closes_at_us: AtomicU64,
    changed: Notify,
}

impl Gate {
    /// Stands for a gate that stays open.
    const NEVER: u64 = u64::MAX;

    /// Creates a gate that closes at `closes_at`, or stays open if that is `None`.
    pub(crate) fn new(closes_at: Option<Time>) -> Self {
        let closes_at_us = AtomicU64::new(closes_at.map_or(Self::NEVER, Time::as_micros));
        Self { closes_at_us, changed: Notify::new() }
    }

    /// Moves the closing to `closes_at`, or takes it back if that is `None`.
    pub(crate) fn set(&self, closes_at: Option<Time>) {
        self.closes_at_us.store(closes_at.map_or(Self::NEVER, Time::as_micros), Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Closes the gate at `closes_at` unless it closes earlier.
    pub(crate) fn close_at(&self, closes_at: Time) {
        self.closes_at_us.fetch_min(closes_at.as_micros(), Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// Closes the gate.
    pub(crate) fn close(&self) {
        self.close_at(Time::ZERO);
    }

    fn closes_at(&self) -> Option<Time> {
        match self.closes_at_us.load(Ordering::Acquire) {
            Self::NEVER => None,
            us => Some(Time::from_micros(us)),
        }
    }

    /// Returns whether the gate is closed; reads the clock only if it is to close at all.
    fn is_closed(&self, runtime: &dyn Runtime) -> bool {
        self.closes_at().is_some_and(|at| at <= runtime.now())
    }

    async fn closed(self: Arc<Self>, runtime: Arc<dyn Runtime>) {
        loop {
            let changed = self.changed.notified();
            match self.closes_at() {
                None => changed.await,
                Some(at) if at <= runtime.now() => return,
                Some(at) => select! {
                    biased;
                    () = changed => (),
                    () = runtime.sleep_until(at) => (),
                },
            }
        }
    }
}

/// A future that is polled only while a gate is open, and dropped once it is closed.
///
/// The clock is read *before* each poll: after a pause of the whole program, a future whose time
/// passed meanwhile is not polled even once.
pub(crate) struct Gated<T> {
    gate: Arc<Gate>,
    runtime: Arc<dyn Runtime>,
    future: Option<BoxFuture<T>>,
    closed: BoxFuture<()>,
}

/// The gate closed before the future ended; the future was dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Closed;

impl<T> Gated<T> {
    /// Puts `future` behind `gate`.
    pub(crate) fn new(gate: &Arc<Gate>, runtime: &Arc<dyn Runtime>, future: BoxFuture<T>) -> Self {
        let closed = Box::pin(Arc::clone(gate).closed(Arc::clone(runtime)));
        let (gate, runtime) = (Arc::clone(gate), Arc::clone(runtime));
        Self { gate, runtime, future: Some(future), closed }
    }

    /// Drops the future; what its destructors throw ends here.
    fn discard(&mut self) {
        if let Some(future) = self.future.take()
            && catch_unwind(AssertUnwindSafe(|| drop(future))).is_err()
        {
            tracing::warn!("a process panicked while it was dropped");
        }
    }
}

impl<T> Future for Gated<T> {
    type Output = Result<T, Closed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.gate.is_closed(&*this.runtime) {
            this.discard();
            return Poll::Ready(Err(Closed));
        }
        let future = this.future.as_mut().expect("a future that ended is not polled again");
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            this.discard();
            return Poll::Ready(Ok(output));
        }
        if this.closed.as_mut().poll(context).is_ready() {
            this.discard();
            return Poll::Ready(Err(Closed));
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    use super::*;
    use crate::testing::TestRuntime;

    struct SetOnDrop(Arc<AtomicBool>);

    impl Drop for SetOnDrop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    struct PanicOnDrop;

    impl Drop for PanicOnDrop {
        fn drop(&mut self) {
            panic!("dropped badly");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_gate_changes_nothing() {
        let runtime = TestRuntime::shared();
        let gate = Arc::new(Gate::new(None));
        let gated = Gated::new(&gate, &runtime, Box::pin(async { 7 }));

        assert_eq!(gated.await, Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_future_that_waits_for_ever_is_dropped_when_the_gate_closes() {
        let runtime = TestRuntime::shared();
        let gate = Arc::new(Gate::new(None));
        let dropped = Arc::new(AtomicBool::new(false));
        let guard = SetOnDrop(Arc::clone(&dropped));
        let gated = Gated::new(
            &gate,
            &runtime,
            Box::pin(async move {
                let _guard = guard;
                pending::<()>().await;
            }),
        );
        let waiting = tokio::spawn(gated);
        tokio::task::yield_now().await;

        // It is closed while the future waits, and the future is gone a second later.
        let start = runtime.now();
        gate.close_at(start + Duration::from_secs(1));
        assert_eq!(waiting.await.unwrap(), Err(Closed));
        assert!(dropped.load(Ordering::SeqCst));
        assert!(Duration::from_secs(1) <= runtime.now().since(start));
        assert!(runtime.now().since(start) < Duration::from_millis(1_100));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_thaw_a_future_whose_time_passed_is_not_polled_even_once() {
        let runtime = TestRuntime::shared();
        let gate = Arc::new(Gate::new(Some(runtime.now() + Duration::from_secs(5))));
        let polled = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&polled);
        let gated = Gated::new(
            &gate,
            &runtime,
            Box::pin(async move { seen.store(true, Ordering::SeqCst) }),
        );

        // The program is frozen for longer than the gate is open; the future is ready all along.
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(gated.await, Err(Closed));
        assert!(!polled.load(Ordering::SeqCst));
    }

    #[tokio::test(start_paused = true)]
    async fn a_closing_can_be_moved_nearer_and_taken_back() {
        let runtime = TestRuntime::shared();
        let start = runtime.now();
        let gate = Arc::new(Gate::new(Some(start + Duration::from_secs(60))));
        let nearer = tokio::spawn(Gated::new(&gate, &runtime, Box::pin(pending::<()>())));
        tokio::task::yield_now().await;
        gate.close_at(start + Duration::from_secs(90));
        gate.close_at(start + Duration::from_secs(2));
        assert_eq!(nearer.await.unwrap(), Err(Closed));
        assert!(runtime.now().since(start) < Duration::from_secs(3));

        gate.set(None);
        let late = async {
            tokio::time::sleep(Duration::from_secs(120)).await;
            "done"
        };
        assert_eq!(Gated::new(&gate, &runtime, Box::pin(late)).await, Ok("done"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_destructor_that_panics_harms_nobody() {
        let runtime = TestRuntime::shared();
        let gate = Arc::new(Gate::new(Some(runtime.now() + Duration::from_secs(1))));
        let bad = PanicOnDrop;
        let gated = Gated::new(
            &gate,
            &runtime,
            Box::pin(async move {
                let _bad = bad;
                pending::<()>().await;
            }),
        );

        assert_eq!(gated.await, Err(Closed));
    }
}
