//! The watchdog of children whose work no gate can end: it aborts the program when a lease ends
//! while a process that runs under it is still being polled.
//!
//! A gate is looked at between polls. Who blocks within one would work on under a lease that has
//! ended; nothing but the end of the whole program stops it.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::thread;
use std::time::Duration;

use ordu_core::transport::Runtime;
use ordu_core::{ProcessId, Scope, Time};

use crate::gate::{Gate, Lease};

/// What a node does when the lease of a child ends while its process still runs.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum OnLapse {
    /// It drops the process, which is not polled again. A poll that is under way goes on to its
    /// end, however long that takes.
    #[default]
    Stop,
    /// It does the same, and if a poll is under way it aborts the whole program, at once.
    ///
    /// For children whose polls may block, in calls that wait for a disk or another machine. All
    /// that runs in the program dies with them, and no destructor runs. A poll that would have been
    /// over in a moment counts, too. What a process has handed to other threads is not seen.
    Abort,
}

/// How many polls of what is behind a gate are under way.
///
/// One number says both that and whether another one may begin, so that none begins between the
/// end of a lease and the look at who still works.
#[derive(Debug, Default)]
pub(crate) struct Polls(AtomicU64);

/// A poll that is under way; it has ended when this is dropped.
pub(crate) struct UnderWay<'a>(&'a Polls);

impl Polls {
    /// Stands beside the number of polls: none may begin any more.
    const CLOSED: u64 = 1 << 63;

    /// Begins a poll, unless none may.
    pub(crate) fn begin(&self) -> Option<UnderWay<'_>> {
        let more = |polls| (polls & Self::CLOSED == 0).then_some(polls + 1);
        let begun = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        begun.is_ok().then_some(UnderWay(self))
    }

    /// Lets no poll begin any more; returns whether one is under way that has begun before.
    pub(crate) fn close(&self) -> bool {
        self.0.fetch_or(Self::CLOSED, Ordering::AcqRel) & !Self::CLOSED != 0
    }

    /// Returns whether a poll is under way.
    pub(crate) fn any(&self) -> bool {
        self.0.load(Ordering::Acquire) & !Self::CLOSED != 0
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Watches over the processes of supervisors that were told to abort, in a thread of its own: the
/// threads that processes are polled on may all be blocked.
///
/// When it is dropped the thread ends, as soon as no process that it watches is being polled, and
/// when their leases have ended at the latest.
pub(crate) struct Watchdog {
    scopes: BTreeSet<Scope>,
    watch: Arc<Watch>,
}

/// What the thread and its owner share.
#[derive(Default)]
struct Watch {
    watched: Mutex<Watched>,
    changed: Condvar,
}

#[derive(Default)]
struct Watched {
    /// The gates that may still be polled through, and who is behind them.
    gates: Vec<(Weak<Gate>, ProcessId)>,
    is_over: bool,
}

impl Watchdog {
    /// Longest sleep of the thread while there is somebody to watch: after the machine has slept,
    /// the clock of a thread's sleep is behind that of the leases.
    const NAP: Duration = Duration::from_millis(100);

    /// Starts the thread; it watches the processes of the supervisors `scopes`.
    pub(crate) fn start(scopes: BTreeSet<Scope>, runtime: Arc<dyn Runtime>) -> io::Result<Self> {
        let watch = Arc::<Watch>::default();
        let shared = Arc::clone(&watch);
        let thread = thread::Builder::new().name("ordu-watchdog".into());
        thread.spawn(move || {
            if let Some(process) = shared.run(&*runtime) {
                abort(&process);
            }
        })?;
        Ok(Self { scopes, watch })
    }

    /// Returns whether it watches the processes of a supervisor.
    pub(crate) fn watches(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Begins to watch `process`, which is about to start behind `gate`.
    pub(crate) fn watch(&self, gate: Gate, process: &ProcessId) -> Arc<Gate> {
        let gate = Arc::new(gate.counted());
        self.watch.lock().gates.push((Arc::downgrade(&gate), process.clone()));
        self.watch.changed.notify_one();
        gate
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.watch.lock().is_over = true;
        self.watch.changed.notify_one();
    }
}

impl fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchdog").field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

impl Watch {
    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the lease of a process ends that is being polled, and returns which; `None` once
    /// there is nobody to watch any more.
    fn run(&self, runtime: &dyn Runtime) -> Option<ProcessId> {
        let mut watched = self.lock();
        loop {
            let next = match watched.look(runtime) {
                Ok(next) => next,
                Err(process) => return Some(process),
            };
            if watched.is_over && !watched.is_polled() {
                return None;
            }
            watched = match next {
                None => self.changed.wait(watched).unwrap_or_else(PoisonError::into_inner),
                Some(at) => {
                    let nap = at.since(runtime.now()).min(Watchdog::NAP);
                    let woken = self.changed.wait_timeout(watched, nap);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl Watched {
    /// Forgets who is gone, and returns when the next lease ends; or whose has ended and is being
    /// polled.
    fn look(&mut self, runtime: &dyn Runtime) -> Result<Option<Time>, ProcessId> {
        let (mut next, mut late) = (None::<Time>, None);
        self.gates.retain(|(gate, process)| {
            // Whoever polls has the gate: without it nobody does.
            let Some(gate) = gate.upgrade() else { return false };
            match gate.lease(runtime) {
                Lease::Lasts { until } => {
                    next = Some(next.map_or(until, |next| next.min(until)));
                    true
                }
                Lease::Over { is_polled } => {
                    if is_polled {
                        late = Some(process.clone());
                    }
                    false
                }
            }
        });
        late.map_or(Ok(next), Err)
    }

    fn is_polled(&self) -> bool {
        self.gates.iter().any(|(gate, _)| gate.upgrade().is_some_and(|gate| gate.is_polled()))
    }
}

/// How long the program is kept for its last words.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Says why, and aborts the program.
fn abort(process: &ProcessId) -> ! {
    let text = format!(
        "ordu: the lease of process {process} has ended while it was being polled, and another \
         node may run its child from now on: this program is aborted, as `on_lapse` says"
    );
    let (says, said) = mpsc::channel::<()>();
    // Whoever blocks may hold what it takes to write that: it is waited for, but not for long.
    let speaker = thread::Builder::new().spawn(move || {
        // Where nobody reads it, nothing is to be done about that.
        let _ = writeln!(io::stderr(), "{text}");
        tracing::error!("{text}");
        drop(says);
    });
    if speaker.is_ok() {
        let _ = said.recv_timeout(LAST_WORDS);
    }
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use ordu_core::transport::BoxFuture;
    use ordu_core::{Incarnation, NodeId, Replica};

    use super::*;
    use crate::gate::{Closed, Gated};
    use crate::testing::SetClock;

    const NOON: u64 = 12_000_000;

    fn process() -> ProcessId {
        let replica = Replica::new(NodeId::new("a").unwrap(), Incarnation { counter: 1, nonce: 1 });
        ProcessId { replica, number: 7 }
    }

    /// Returns a gate whose lease ends at noon, among those that are watched.
    fn watched(watch: &Watch) -> Arc<Gate> {
        let gate = Arc::new(Gate::new(None, Some(Time::from_micros(NOON))).counted());
        watch.lock().gates.push((Arc::downgrade(&gate), process()));
        gate
    }

    fn poll<T>(gate: &Arc<Gate>, clock: &Arc<dyn Runtime>, future: BoxFuture<T>) -> Polled<T> {
        let gated = pin!(Gated::new(gate, clock, future));
        gated.poll(&mut Context::from_waker(Waker::noop()))
    }

    type Polled<T> = Poll<Result<T, Closed>>;

    #[test]
    fn who_is_polled_when_its_lease_ends_is_found() {
        let (clock, time) = SetClock::shared(NOON - 1);
        let watch = Arc::<Watch>::default();
        let gate = watched(&watch);
        let (seen, now) = (Arc::clone(&watch), Arc::clone(&clock));
        let body = async move {
            assert_eq!(seen.lock().look(&*now), Ok(Some(Time::from_micros(NOON))));
            time.store(NOON, Ordering::SeqCst);
            seen.run(&*now)
        };
        assert_eq!(poll(&gate, &clock, Box::pin(body)), Poll::Ready(Ok(Some(process()))));
    }

    #[test]
    fn who_is_not_polled_when_its_lease_ends_is_let_go_and_never_polled_again() {
        let (clock, time) = SetClock::shared(NOON - 1);
        let watch = Watch::default();
        let gate = watched(&watch);
        assert_eq!(poll(&gate, &clock, Box::pin(async { 3 })), Poll::Ready(Ok(3)));
        time.store(NOON, Ordering::SeqCst);
        assert_eq!(watch.lock().look(&*clock), Ok(None));
        assert!(watch.lock().gates.is_empty());

        // Whoever has read the clock in time comes too late all the same.
        time.store(NOON - 1, Ordering::SeqCst);
        assert!(gate.begin_poll().is_none());
        assert_eq!(poll(&gate, &clock, Box::pin(async { 3 })), Poll::Ready(Err(Closed)));
    }

    #[test]
    fn a_lease_that_was_renewed_is_watched_to_its_new_end() {
        let (clock, time) = SetClock::shared(NOON - 1);
        let watch = Watch::default();
        let gate = watched(&watch);
        let later = Time::from_micros(NOON + 9);
        let poll = gate.begin_poll().unwrap();
        assert!(gate.renew(later, &*clock));
        time.store(NOON + 8, Ordering::SeqCst);
        assert_eq!(watch.lock().look(&*clock), Ok(Some(later)));
        time.store(NOON + 9, Ordering::SeqCst);
        assert_eq!(watch.lock().look(&*clock), Err(process()));
        drop(poll);
    }

    #[test]
    fn a_watch_that_is_over_ends_once_nobody_is_polled() {
        let (clock, _time) = SetClock::shared(NOON - 1);
        let watch = Watch::default();
        let gate = watched(&watch);
        watch.lock().is_over = true;
        let poll = gate.begin_poll();
        thread::scope(|scope| {
            let running = scope.spawn(|| watch.run(&*clock));
            drop(poll);
            assert_eq!(running.join().unwrap(), None);
        });
    }

    #[test]
    fn who_is_gone_is_not_watched() {
        let (clock, time) = SetClock::shared(NOON - 1);
        let watch = Watch::default();
        drop(watched(&watch));
        time.store(NOON, Ordering::SeqCst);
        assert_eq!(watch.lock().look(&*clock), Ok(None));
        assert!(watch.lock().gates.is_empty());
    }
}
