//! The gate that everything a process does is polled through.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use ordu_core::Time;
use ordu_core::transport::{BoxFuture, Runtime};
use tokio::select;
use tokio::sync::Notify;

use crate::watchdog::{Polls, UnderWay};

/// Until when a process may run; shared by all that is polled on its behalf.
///
/// It closes at the earlier of two moments: when the process must have stopped, which is moved and
/// taken back, and when its lease ends, which a renewal moves on only as long as it has not come.
/// Neither undoes the other. It also closes when a lease on a name ends, if the process was told to
/// stop for another reason before.
#[derive(Debug)]
pub(crate) struct Gate {
    closes_at_us: AtomicU64,
    lease_ends_at_us: AtomicU64,
    /// When the first lease ends on a name that the process holds; it is told then, and the gate
    /// stays open unless `closes_with_names`.
    names_end_at_us: AtomicU64,
    /// Whether the process stops anyway: to be told that it lost a name would change nothing.
    closes_with_names: AtomicBool,
    changed: Notify,
    /// The polls of what is behind it, if somebody watches them.
    polls: Option<Polls>,
    /// Wakes the process itself, as there is something for it.
    told: Notify,
}

/// How it is with the lease of a process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lease {
    /// It has not ended.
    Lasts {
        /// When it ends, unless it is renewed.
        until: Time,
    },
    /// It has ended.
    Over {
        /// Whether a poll is under way that began before.
        is_polled: bool,
    },
}

impl Gate {
    /// Stands for a gate that stays open, and for a process that needs no lease.
    const NEVER: u64 = u64::MAX;

    /// Stands for a lease that was seen to have ended: nothing moves it on.
    const ENDED: u64 = 0;

    /// Creates a gate that closes at `closes_at` or at `lease_ends_at`, whichever comes first, and
    /// stays open if both are `None`; it is for a process that needs no lease if the latter is.
    pub(crate) fn new(closes_at: Option<Time>, lease_ends_at: Option<Time>) -> Self {
        let stored = |at: Option<Time>| AtomicU64::new(at.map_or(Self::NEVER, Time::as_micros));
        let (closes_at_us, lease_ends_at_us) = (stored(closes_at), stored(lease_ends_at));
        let (changed, told) = (Notify::new(), Notify::new());
        let (names_end_at_us, closes_with_names) = (stored(None), AtomicBool::new(false));
        Self {
            closes_at_us,
            lease_ends_at_us,
            names_end_at_us,
            closes_with_names,
            changed,
            polls: None,
            told,
        }
    }

    /// Returns the gate with the polls of what is behind it counted from here on.
    pub(crate) fn counted(self) -> Self {
        Self { polls: Some(Polls::default()), ..self }
    }

    /// Returns what wakes the process itself.
    pub(crate) const fn told(&self) -> &Notify {
        &self.told
    }

    /// Notes that the process holds a name until `ends_at`, besides those that it holds.
    pub(crate) fn hold_name(&self, ends_at: Time) {
        self.names_end_at_us.fetch_min(ends_at.as_micros(), Ordering::AcqRel);
        if self.closes_with_names.load(Ordering::Acquire) {
            self.changed.notify_waiters();
        }
    }

    /// Notes that the process holds no name under a lease any more; that one has ended stays so.
    pub(crate) fn hold_no_name(&self) {
        self.move_names(|us| (us != Self::ENDED).then_some(Self::NEVER));
    }

    /// Lets the names that the process holds go on until `ends_at`, unless a lease has ended;
    /// returns whether none has.
    pub(crate) fn renew_names(&self, ends_at: Time, runtime: &dyn Runtime) -> bool {
        self.move_names(|us| match us {
            Self::NEVER => Some(Self::NEVER),
            us if us <= runtime.now().as_micros() => None,
            us => Some(us.max(ends_at.as_micros())),
        })
    }

    /// Closes the gate when a lease on a name of the process ends, if it does not close before: the
    /// process was told to stop, and is not told once more.
    pub(crate) fn close_with_names(&self) {
        self.closes_with_names.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Returns when the gate closes as a name is lost, in microseconds.
    fn closes_with_names_at(&self) -> u64 {
        if self.closes_with_names.load(Ordering::Acquire) {
            self.names_end_at_us.load(Ordering::Acquire)
        } else {
            Self::NEVER
        }
    }

    /// Tells the process if a lease on a name of it has ended: before each poll of it, so that even
    /// one that stood still meanwhile knows before it does anything else.
    fn look_at_names(&self, runtime: &dyn Runtime) {
        if self.names_end_at_us.load(Ordering::Acquire) == Self::NEVER {
            return;
        }
        let ended = |us| match us {
            Self::NEVER | Self::ENDED => None,
            us => (us <= runtime.now().as_micros()).then_some(Self::ENDED),
        };
        if self.move_names(ended) {
            self.told.notify_waiters();
        }
    }

    /// Returns whether a lease on a name of the process was seen to have ended.
    pub(crate) fn has_name_lapsed(&self) -> bool {
        self.names_end_at_us.load(Ordering::Acquire) == Self::ENDED
    }

    fn move_names(&self, to: impl FnMut(u64) -> Option<u64>) -> bool {
        let (set, fetch) = (Ordering::AcqRel, Ordering::Acquire);
        self.names_end_at_us.fetch_update(set, fetch, to).is_ok()
    }

    /// Moves the closing to `closes_at`, or takes it back if that is `None`; a lease ends when it
    /// does.
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

    /// Lets the lease go on until `ends_at`, unless it has ended or does later; without a lease it
    /// changes nothing. Returns whether the lease goes on.
    pub(crate) fn renew(&self, ends_at: Time, runtime: &dyn Runtime) -> bool {
        // The clock is read anew whenever another one was faster. Nobody is woken: whoever waits
        // for the end looks again when it would have come.
        let renewed = |us| match us {
            Self::NEVER => None,
            us if us <= runtime.now().as_micros() => None,
            us => Some(us.max(ends_at.as_micros())),
        };
        let (set, fetch) = (Ordering::AcqRel, Ordering::Acquire);
        self.lease_ends_at_us.fetch_update(set, fetch, renewed).is_ok()
    }

    /// Ends the lease, for good.
    pub(crate) fn end_lease(&self) {
        self.lease_ends_at_us.store(Self::ENDED, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Returns whether the process ran under a lease that was seen to have ended.
    pub(crate) fn has_lapsed(&self) -> bool {
        self.lease_ends_at_us.load(Ordering::Acquire) == Self::ENDED
    }

    /// Returns whether the gate is closed; reads the clock only if it is to close at all.
    ///
    /// A lease that is found to have ended has for everybody, whichever renewals are under way.
    pub(crate) fn is_closed(&self, runtime: &dyn Runtime) -> bool {
        let closes_at = self.closes_at_us.load(Ordering::Acquire).min(self.closes_with_names_at());
        if closes_at != Self::NEVER && closes_at <= runtime.now().as_micros() {
            return true;
        }
        self.has_ended(runtime)
    }

    /// Returns whether there was a lease that has ended; from then on it has for everybody.
    fn has_ended(&self, runtime: &dyn Runtime) -> bool {
        let ended = |us| match us {
            Self::NEVER => None,
            us => (us <= runtime.now().as_micros()).then_some(Self::ENDED),
        };
        let (set, fetch) = (Ordering::AcqRel, Ordering::Acquire);
        self.lease_ends_at_us.fetch_update(set, fetch, ended).is_ok()
    }

    /// Returns how it is with the lease of a process whose polls are counted. Once it has ended no
    /// poll begins any more, whenever the clock was read for it.
    pub(crate) fn lease(&self, runtime: &dyn Runtime) -> Lease {
        if self.has_ended(runtime) {
            return Lease::Over { is_polled: self.polls.as_ref().is_some_and(Polls::close) };
        }
        Lease::Lasts { until: Time::from_micros(self.lease_ends_at_us.load(Ordering::Acquire)) }
    }

    /// Returns whether a poll is under way that is counted.
    pub(crate) fn is_polled(&self) -> bool {
        self.polls.as_ref().is_some_and(Polls::any)
    }

    /// Begins a poll that goes on until what is returned is dropped; `None` if none may begin.
    pub(crate) fn begin_poll(&self) -> Option<Option<UnderWay<'_>>> {
        match &self.polls {
            Some(polls) => polls.begin().map(Some),
            None => Some(None),
        }
    }

    /// Returns when the gate closes, unless that is moved.
    fn closes_at(&self) -> Option<Time> {
        let closes_at = self.closes_at_us.load(Ordering::Acquire).min(self.closes_with_names_at());
        match closes_at.min(self.lease_ends_at_us.load(Ordering::Acquire)) {
            Self::NEVER => None,
            us => Some(Time::from_micros(us)),
        }
    }

    async fn closed(self: Arc<Self>, runtime: Arc<dyn Runtime>) {
        loop {
            let changed = self.changed.notified();
            if self.is_closed(&*runtime) {
                return;
            }
            match self.closes_at() {
                None => changed.await,
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
        // In this order: what is counted as a poll is one.
        let is_closed = this.gate.is_closed(&*this.runtime);
        let begun = if is_closed { None } else { this.gate.begin_poll() };
        let polled = begun.map(|_under_way| {
            this.gate.look_at_names(&*this.runtime);
            let future = this.future.as_mut().expect("a future that ended is not polled again");
            future.as_mut().poll(context)
        });
        let Some(polled) = polled else {
            this.discard();
            return Poll::Ready(Err(Closed));
        };
        if let Poll::Ready(output) = polled {
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
    use std::task::Waker;
    use std::time::Duration;

    use super::*;
    use crate::testing::{SetClock, TestRuntime};

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
        let gate = Arc::new(Gate::new(None, None));
        let gated = Gated::new(&gate, &runtime, Box::pin(async { 7 }));

        assert_eq!(gated.await, Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_future_that_waits_for_ever_is_dropped_when_the_gate_closes() {
        let runtime = TestRuntime::shared();
        let gate = Arc::new(Gate::new(None, None));
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
        let gate = Arc::new(Gate::new(Some(runtime.now() + Duration::from_secs(5)), None));
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
        let gate = Arc::new(Gate::new(Some(start + Duration::from_secs(60)), None));
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
    async fn a_lease_is_renewed_before_its_end_and_not_after() {
        let runtime = TestRuntime::shared();
        let start = runtime.now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let gate = Arc::new(Gate::new(None, Some(at(5))));
        let waiting = tokio::spawn(Gated::new(&gate, &runtime, Box::pin(pending::<()>())));

        // It goes on for as long as the last renewal says, and an older one takes nothing back.
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(gate.renew(at(9), &*runtime));
        assert!(gate.renew(at(8), &*runtime));
        assert_eq!(waiting.await.unwrap(), Err(Closed));
        let took = runtime.now().since(start);
        assert!((9_000..9_100).contains(&took.as_millis()), "after {took:?}");

        // Now it has ended, whatever comes late.
        assert!(gate.has_lapsed());
        assert!(!gate.renew(at(60), &*runtime));
        let late = Gated::new(&gate, &runtime, Box::pin(async { "late" }));
        assert_eq!(late.await, Err(Closed));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_ended_unseen_is_not_renewed() {
        let runtime = TestRuntime::shared();
        let gate = Gate::new(None, Some(runtime.now() + Duration::from_secs(5)));
        tokio::time::advance(Duration::from_secs(5)).await;
        let ends_at = runtime.now() + Duration::from_secs(5);
        assert!(!gate.renew(ends_at, &*runtime), "its last moment is none of it");
        assert!(gate.is_closed(&*runtime) && gate.has_lapsed());
    }

    /// A renewal that has read the clock in time is overtaken by whoever sees that it is too late.
    #[test]
    fn a_lease_that_was_seen_to_end_is_not_renewed_by_a_clock_that_was_read_before() {
        let (clock, time) = SetClock::shared(7);
        let gate = Gate::new(None, Some(Time::from_micros(5)));
        assert!(gate.is_closed(&*clock));

        time.store(3, Ordering::SeqCst);
        assert!(!gate.renew(Time::from_micros(100), &*clock));
        assert!(gate.is_closed(&*clock));
    }

    #[tokio::test(start_paused = true)]
    async fn a_future_that_is_woken_after_the_end_of_its_lease_is_not_polled() {
        let runtime = TestRuntime::shared();
        let gate = Arc::new(Gate::new(None, Some(runtime.now() + Duration::from_secs(5))));
        let polls = Arc::new(AtomicU64::new(0));
        let dropped = Arc::new(AtomicBool::new(false));
        let wake = Arc::new(Notify::new());
        let (seen, woken) = (Arc::clone(&polls), Arc::clone(&wake));
        let guard = SetOnDrop(Arc::clone(&dropped));
        let body: BoxFuture<()> = Box::pin(async move {
            let _guard = guard;
            loop {
                seen.fetch_add(1, Ordering::SeqCst);
                woken.notified().await;
            }
        });
        let mut gated = Box::pin(Gated::new(&gate, &runtime, body));
        let first = gated.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(first.is_pending());

        // As after a thaw: it was woken long ago, and a renewal is waiting, too.
        wake.notify_one();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(!gate.renew(runtime.now() + Duration::from_secs(5), &*runtime));
        assert_eq!(gated.await, Err(Closed));
        assert_eq!(polls.load(Ordering::SeqCst), 1);
        assert!(dropped.load(Ordering::SeqCst));
    }

    #[tokio::test(start_paused = true)]
    async fn no_renewal_undoes_a_stop_and_no_start_the_end_of_a_lease() {
        let runtime = TestRuntime::shared();
        let start = runtime.now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let gate = Arc::new(Gate::new(None, Some(at(5))));
        gate.close_at(at(2));
        assert!(gate.renew(at(60), &*runtime));
        let stopped = Gated::new(&gate, &runtime, Box::pin(pending::<()>()));
        assert_eq!(stopped.await, Err(Closed));
        assert!(runtime.now().since(start) < Duration::from_secs(3));
        assert!(!gate.has_lapsed());

        // What is taken back is the stop alone.
        gate.set(None);
        assert!(!gate.is_closed(&*runtime));
        gate.end_lease();
        gate.set(None);
        assert!(gate.is_closed(&*runtime) && !gate.renew(at(90), &*runtime));
    }

    #[tokio::test(start_paused = true)]
    async fn who_needs_no_lease_is_not_touched_by_a_renewal() {
        let runtime = TestRuntime::shared();
        let gate = Gate::new(None, None);
        assert!(!gate.renew(runtime.now() + Duration::from_secs(1), &*runtime));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(!gate.is_closed(&*runtime) && !gate.has_lapsed());
        assert_eq!(gate.closes_at(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_destructor_that_panics_harms_nobody() {
        let runtime = TestRuntime::shared();
        let gate = Arc::new(Gate::new(Some(runtime.now() + Duration::from_secs(1)), None));
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
