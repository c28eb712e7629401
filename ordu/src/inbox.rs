//! What a node puts before one of its processes: messages, states to absorb, the word to stop.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use ordu_core::{Blob, CallId, StopReason, Time};

use crate::gate::Gate;

/// A message for a process, and who waits for its reply.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Delivery {
    pub(crate) payload: Blob,
    pub(crate) call: Option<CallId>,
}

/// What a process is to do next.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Task {
    /// End by itself, as it should or with what went wrong.
    End(Result<(), String>),
    /// Take in the state of the loser of a conflict.
    Absorb(Blob),
    /// Stop, because it is told to.
    Stop(StopReason),
    /// Handle a message.
    Handle(Delivery),
}

/// Why a message was not put into an inbox.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DeliverError {
    /// As many messages wait as may.
    Full,
    /// The process is over.
    Over,
}

/// How a process was when it ended, with all that it left undone.
#[derive(Debug)]
pub(crate) struct Rest {
    /// Whether it had started.
    pub(crate) started: bool,
    /// Whether it had been told to stop.
    pub(crate) told_to_stop: bool,
    /// Whether it knew that.
    pub(crate) knew_to_stop: bool,
    /// Whether the lease has ended that it ran under.
    pub(crate) has_lapsed: bool,
    /// What it put aside to be handed on.
    pub(crate) state: Option<Blob>,
    /// Calls that it took out and did not answer.
    pub(crate) open: Vec<CallId>,
    /// Calls that it never looked at.
    pub(crate) unread: Vec<CallId>,
    /// How many states it never absorbed.
    pub(crate) unabsorbed: usize,
}

/// The inbox of a process; its node fills it and never waits, the process empties it.
///
/// Invariant: once over, it is empty and stays so. Every call that goes in is answered once: by the
/// process, or by whoever gets it from [`Inbox::close`].
#[derive(Debug)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    gate: Arc<Gate>,
    messages_max: usize,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    end: Option<Result<(), String>>,
    absorbs: VecDeque<Blob>,
    stop: Option<StopReason>,
    stop_by: Option<Time>,
    knew_to_stop: bool,
    messages: VecDeque<Delivery>,
    open: Vec<CallId>,
    aside: Option<Blob>,
    streak: u32,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Phase {
    #[default]
    Starting,
    Running,
    Over,
}

impl Inbox {
    /// Tasks that a process may take in a row before it lets others run.
    const STREAK_MAX: u32 = 64;

    /// Capacity that an empty queue may keep.
    const SPARE_MAX: usize = 64;

    /// Creates the inbox of a process that everything is polled of through `gate`: it must have
    /// started when that closes.
    pub(crate) fn new(gate: Arc<Gate>, messages_max: usize) -> Self {
        assert!(0 < messages_max, "a process that takes no message cannot be talked to");
        Self { state: Mutex::default(), gate, messages_max }
    }

    /// Returns the gate that everything the process does is polled through.
    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Puts a message in.
    pub(crate) fn deliver(&self, delivery: Delivery) -> Result<(), DeliverError> {
        let mut state = self.lock();
        if state.phase == Phase::Over {
            return Err(DeliverError::Over);
        }
        if self.messages_max <= state.messages.len() {
            return Err(DeliverError::Full);
        }
        state.messages.push_back(delivery);
        drop(state);
        self.gate.told().notify_waiters();
        Ok(())
    }

    /// Puts the state of a loser in; returns whether the process was there to take it.
    pub(crate) fn absorb(&self, loser: Blob) -> bool {
        let mut state = self.lock();
        if state.phase == Phase::Over {
            return false;
        }
        state.absorbs.push_back(loser);
        drop(state);
        self.gate.told().notify_waiters();
        true
    }

    /// Tells the process to stop, and closes its gate at `closes_at`.
    ///
    /// A process that has not started yet is dropped at once: it has nothing to put in order. The
    /// first reason stands; a later order can only shorten the grace. One whose lease has ended is
    /// over, and is not told of it. One that is told to stop and then loses a name is over, too,
    /// however long its grace.
    pub(crate) fn stop(&self, reason: StopReason, closes_at: Time) {
        let mut state = self.lock();
        if state.phase == Phase::Over {
            return;
        }
        let is_over = reason == StopReason::Lapsed;
        self.take_in_lapse(&mut state);
        if state.stop_by.is_none() && reason != StopReason::NameLapsed {
            self.gate.close_with_names();
        }
        match state.stop_by {
            None => {
                state.stop_by = Some(closes_at);
                state.stop = Some(reason);
            }
            Some(stop_by) => state.stop_by = Some(stop_by.min(closes_at)),
        }
        if is_over {
            state.stop = None;
            self.gate.end_lease();
        }
        match state.phase {
            Phase::Starting => self.gate.close(),
            Phase::Running | Phase::Over => self.gate.close_at(closes_at),
        }
        drop(state);
        self.gate.told().notify_waiters();
    }

    /// Notes that the process has started; from now on it may run until it is told to stop. If it
    /// was told just before, it has the grace of a process that runs.
    pub(crate) fn mark_started(&self) {
        let mut state = self.lock();
        assert!(state.phase == Phase::Starting, "a process starts once, and before it ends");
        state.phase = Phase::Running;
        self.gate.set(state.stop_by);
    }

    /// Makes the process end by itself at the next opportunity; the first reason stands.
    pub(crate) fn end(&self, result: Result<(), String>) {
        self.lock().end.get_or_insert(result);
        self.gate.told().notify_waiters();
    }

    /// Puts `state` aside, to be handed on when the process is stopped.
    pub(crate) fn put_aside(&self, state: Blob) {
        self.lock().aside = Some(state);
    }

    /// Returns what the process is to do next, and waits until there is something.
    ///
    /// To end comes first, then states to absorb (so that what the process leaves behind includes
    /// them), then to stop, then messages in their order.
    pub(crate) async fn next(&self) -> Task {
        loop {
            // Before the look, so that what arrives between the look and the wait is not missed.
            let changed = self.gate.told().notified();
            match self.take() {
                Took::Task(task) => return task,
                Took::TooMany => yield_once().await,
                Took::Nothing => changed.await,
            }
        }
    }

    /// Waits until the process is to end by itself.
    pub(crate) async fn ended(&self) -> Result<(), String> {
        loop {
            let changed = self.gate.told().notified();
            if let Some(result) = self.lock().end.clone() {
                return result;
            }
            changed.await;
        }
    }

    /// Waits until the process is told to stop; the reason stays in the inbox.
    pub(crate) async fn told_to_stop(&self) {
        loop {
            let changed = self.gate.told().notified();
            if self.know_to_stop() {
                return;
            }
            changed.await;
        }
    }

    fn know_to_stop(&self) -> bool {
        let mut state = self.lock();
        self.take_in_lapse(&mut state);
        state.knew_to_stop |= state.stop_by.is_some();
        state.knew_to_stop
    }

    /// Takes the right to answer `call`; there is one for each call.
    pub(crate) fn take_answer(&self, call: CallId) -> bool {
        let mut state = self.lock();
        let Some(place) = state.open.iter().position(|&open| open == call) else {
            return false;
        };
        state.open.swap_remove(place);
        true
    }

    /// Ends the process for good and returns what is left; nothing goes in any more.
    pub(crate) fn close(&self) -> Rest {
        self.gate.close();
        let mut state = self.lock();
        assert!(state.phase != Phase::Over, "a process ends once");
        let rest = Rest {
            started: state.phase == Phase::Running,
            told_to_stop: state.stop_by.is_some(),
            knew_to_stop: state.knew_to_stop,
            has_lapsed: self.gate.has_lapsed(),
            state: state.aside.take(),
            open: std::mem::take(&mut state.open),
            unread: state.messages.drain(..).filter_map(|delivery| delivery.call).collect(),
            unabsorbed: state.absorbs.len(),
        };
        *state = State { phase: Phase::Over, ..State::default() };
        rest
    }

    fn take(&self) -> Took {
        let mut state = self.lock();
        if state.streak == Self::STREAK_MAX {
            state.streak = 0;
            return Took::TooMany;
        }
        self.take_in_lapse(&mut state);
        let task = if let Some(result) = state.end.clone() {
            Task::End(result)
        } else if let Some(loser) = state.absorbs.pop_front() {
            Task::Absorb(loser)
        } else if let Some(reason) = state.stop.take() {
            state.knew_to_stop = true;
            Task::Stop(reason)
        } else if let Some(delivery) = state.messages.pop_front() {
            state.open.extend(delivery.call);
            Task::Handle(delivery)
        } else {
            state.streak = 0;
            if Self::SPARE_MAX < state.messages.capacity() {
                state.messages = VecDeque::new();
            }
            return Took::Nothing;
        };
        state.streak += 1;
        Took::Task(task)
    }

    /// Tells the process to stop if a lease on a name of it has ended; its node says how long that
    /// may take.
    fn take_in_lapse(&self, state: &mut State) {
        if self.gate.has_name_lapsed() && state.stop_by.is_none() {
            state.stop_by = Some(Time::from_micros(u64::MAX));
            state.stop = Some(StopReason::NameLapsed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of a user runs under the lock, so nothing is ever left half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Took {
    Task(Task),
    TooMany,
    Nothing,
}

async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use super::*;
    use ordu_core::transport::BoxFuture;

    use crate::gate::{Closed, Gated};
    use crate::testing::TestRuntime;

    fn call(number: u64) -> Delivery {
        Delivery { payload: Blob::from("m"), call: Some(CallId(number)) }
    }

    fn running() -> Inbox {
        let inbox = Inbox::new(Arc::new(Gate::new(None, None)), 3);
        inbox.mark_started();
        inbox
    }

    #[tokio::test]
    async fn a_full_inbox_refuses_and_recovers() {
        let inbox = running();
        for number in 0..3 {
            assert_eq!(inbox.deliver(call(number)), Ok(()));
        }
        assert_eq!(inbox.deliver(call(3)), Err(DeliverError::Full));

        assert_eq!(inbox.next().await, Task::Handle(call(0)));
        assert_eq!(inbox.deliver(call(4)), Ok(()));
        assert_eq!(inbox.deliver(call(5)), Err(DeliverError::Full));
    }

    #[tokio::test]
    async fn the_word_to_stop_overtakes_messages_but_no_state_to_absorb() {
        let inbox = running();
        inbox.deliver(call(1)).unwrap();
        inbox.stop(StopReason::Terminated, Time::from_millis(u64::from(u32::MAX)));
        inbox.stop(StopReason::NodeDown, Time::from_millis(u64::from(u32::MAX)));
        assert!(inbox.absorb(Blob::from("theirs")));

        assert_eq!(inbox.next().await, Task::Absorb(Blob::from("theirs")));
        assert_eq!(inbox.next().await, Task::Stop(StopReason::Terminated));

        // What it did not read is given back, and nothing goes in any more.
        let rest = inbox.close();
        assert!(rest.started && rest.told_to_stop && rest.knew_to_stop);
        assert_eq!(rest.unread, [CallId(1)]);
        assert_eq!(rest.open, []);
        assert_eq!(inbox.deliver(call(2)), Err(DeliverError::Over));
        assert!(!inbox.absorb(Blob::from("too late")));
    }

    /// It came up in the very moment in which it was told to stop: it has something to put in
    /// order.
    #[tokio::test(start_paused = true)]
    async fn a_process_told_to_stop_while_it_came_up_has_its_grace() {
        let runtime = TestRuntime::shared();
        let inbox = Inbox::new(Arc::new(Gate::new(None, None)), 3);
        let begin = runtime.now();
        inbox.stop(StopReason::Terminated, begin + Duration::from_secs(5));
        inbox.mark_started();
        assert_eq!(inbox.next().await, Task::Stop(StopReason::Terminated));

        let gated = Gated::new(inbox.gate(), &runtime, Box::pin(pending::<()>()));
        let closed = tokio::time::timeout(Duration::from_secs(60), gated).await;
        assert_eq!(closed, Ok(Err(Closed)));
        let took = runtime.now().since(begin);
        assert!((5_000..5_100).contains(&took.as_millis()), "after {took:?}");
    }

    /// As after a thaw: its node has had no time to tell it.
    #[tokio::test(start_paused = true)]
    async fn a_process_learns_that_it_lost_a_name_before_it_does_anything_else() {
        let runtime = TestRuntime::shared();
        let inbox = Arc::new(running());
        let next = || {
            let polled = Arc::clone(&inbox);
            let next: BoxFuture<Task> = Box::pin(async move { polled.next().await });
            Gated::new(inbox.gate(), &runtime, next)
        };
        inbox.gate().hold_name(runtime.now() + Duration::from_secs(5));
        tokio::time::advance(Duration::from_secs(4)).await;
        inbox.gate().renew_names(runtime.now() + Duration::from_secs(5), &*runtime);
        tokio::time::advance(Duration::from_secs(4)).await;
        inbox.deliver(call(1)).unwrap();
        assert_eq!(next().await, Ok(Task::Handle(call(1))), "it is renewed in time");

        inbox.deliver(call(2)).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        inbox.gate().renew_names(runtime.now() + Duration::from_secs(5), &*runtime);
        assert_eq!(next().await, Ok(Task::Stop(StopReason::NameLapsed)));

        // Its node says so as well, and how long it may take; it is told once.
        inbox.stop(StopReason::NameLapsed, runtime.now() + Duration::from_secs(1));
        assert_eq!(next().await, Ok(Task::Handle(call(2))));
        assert_eq!(next().await, Err(Closed), "its grace is over");
    }

    /// Its grace is for what it has to put in order while it holds the name.
    #[tokio::test(start_paused = true)]
    async fn a_process_that_stops_is_dropped_as_it_loses_a_name() {
        let runtime = TestRuntime::shared();
        let inbox = running();
        let (begin, lease) = (runtime.now(), Duration::from_secs(5));
        inbox.gate().hold_name(begin + lease);
        inbox.stop(StopReason::Terminated, begin + Duration::from_secs(60));
        assert_eq!(inbox.next().await, Task::Stop(StopReason::Terminated));
        let gated = Gated::new(inbox.gate(), &runtime, Box::pin(pending::<()>()));
        let dropped = tokio::spawn(gated);
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert!(inbox.gate().renew_names(runtime.now() + lease, &*runtime));

        assert_eq!(dropped.await.unwrap(), Err(Closed));
        let took = runtime.now().since(begin);
        assert!((9_000..9_100).contains(&took.as_millis()), "after {took:?}");
    }

    #[tokio::test]
    async fn there_is_one_answer_to_a_call() {
        let inbox = running();
        for number in 1..=2 {
            inbox.deliver(call(number)).unwrap();
            inbox.next().await;
        }
        assert!(inbox.take_answer(CallId(1)));
        assert!(!inbox.take_answer(CallId(1)));

        assert_eq!(inbox.close().open, [CallId(2)]);
        assert!(!inbox.take_answer(CallId(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_arrives_while_a_process_waits_wakes_it() {
        let inbox = Arc::new(running());
        let waiting = tokio::spawn({
            let inbox = Arc::clone(&inbox);
            async move { inbox.next().await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        inbox.deliver(call(9)).unwrap();

        assert_eq!(waiting.await.unwrap(), Task::Handle(call(9)));
    }

    #[tokio::test]
    async fn a_flooded_process_lets_others_run() {
        let inbox = Inbox::new(Arc::new(Gate::new(None, None)), 1_000);
        inbox.mark_started();
        for number in 0..200 {
            inbox.deliver(call(number)).unwrap();
        }
        let mut turns = 0;
        let mut flood = std::pin::pin!(async {
            for _ in 0..200 {
                inbox.next().await;
            }
        });
        std::future::poll_fn(|context| {
            turns += 1;
            flood.as_mut().poll(context)
        })
        .await;
        assert_eq!(turns, 4);
    }
}
