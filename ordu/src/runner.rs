//! Runs processes, and says exactly once how each of them ended.

use std::any::Any;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use ordu_core::limits::{PAYLOAD_BYTES_MAX, STATE_BYTES_MAX};
use ordu_core::message::CallFailure;
use ordu_core::transport::BoxFuture;
use ordu_core::wire::{decode, encode};
use ordu_core::{Blob, CallId, ChildId, FencingToken, ProcessEvent, ProcessId, StartReason};
use tokio::select;
use tokio::sync::mpsc;

use crate::context::Context;
use crate::driver::Mail;
use crate::gate::Gated;
use crate::inbox::{Delivery, Inbox, Rest, Task};
use crate::node::Node;
use crate::process::{Finish, Process};

/// What a process starts with.
#[derive(Debug)]
pub(crate) struct Birth {
    pub(crate) process: ProcessId,
    pub(crate) child: Option<ChildId>,
    pub(crate) args: Blob,
    pub(crate) reason: StartReason,
    pub(crate) state: Option<Blob>,
    /// Of the lease that it runs under, if it needs one.
    pub(crate) token: Option<FencingToken>,
}

/// One run of a process, as all parts of it see it.
pub(crate) struct Life {
    pub(crate) node: Node,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) birth: Birth,
    /// Most time the start may take; `None` if no supervisor waits for it.
    pub(crate) supervised: Option<Duration>,
}

/// How what a user wrote came to its end.
#[derive(Debug)]
pub(crate) enum End {
    /// It did not start.
    NotStarted(String),
    /// There is nothing to run.
    Ignored,
    /// It said so, or one of its tasks panicked.
    Ended(Result<(), String>),
    /// Its future came to its end.
    Returned(Result<(), String>),
    /// It was told to stop, and did.
    Stopped(Option<Blob>),
}

/// Makes the future of a process; runs no code of a user before that is polled.
pub(crate) type Begin = dyn Fn(Arc<Life>) -> BoxFuture<End> + Send + Sync;

/// As [`Begin`], for a process that starts only once.
pub(crate) type BeginOnce = dyn FnOnce(Arc<Life>) -> BoxFuture<End> + Send;

impl Life {
    /// Returns what the process is to do next, and waits until there is something.
    ///
    /// Nothing is begun once the gate is closed, even within one poll of the process.
    pub(crate) async fn next(&self) -> Task {
        let task = self.inbox.next().await;
        if self.inbox.gate().is_closed(&**self.node.runtime()) {
            // Whoever runs the process sees it as well and drops it.
            return pending().await;
        }
        task
    }

    /// Says that the process runs.
    async fn report_started(&self) {
        self.inbox.mark_started();
        if self.supervised.is_some() {
            self.report(ProcessEvent::Started).await;
        }
    }

    async fn report(&self, event: ProcessEvent) {
        let number = self.birth.process.number;
        // An error means that the node is over, and nobody wants to know any more.
        let _ = self.node.mailbox().send(Mail::Process { number, event }).await;
    }

    /// Answers `call`, unless that was done already.
    pub(crate) async fn answer(&self, call: CallId, result: Result<Blob, CallFailure>) {
        // Room first: between taking the right to answer and using it nothing may be awaited, or
        // a process that is dropped there would leave its caller waiting.
        let Ok(room) = self.node.mailbox().reserve().await else { return };
        if self.inbox.take_answer(call) {
            room.send(Mail::Answer { call, result });
        }
    }

    /// Returns a reply as it goes to the caller.
    pub(crate) fn sealed(&self, reply: Vec<u8>) -> Result<Blob, CallFailure> {
        if PAYLOAD_BYTES_MAX < reply.len() {
            let (process, bytes) = (&self.birth.process, reply.len());
            tracing::warn!(%process, bytes, max = PAYLOAD_BYTES_MAX, "a reply is too long");
            return Err(CallFailure::Malformed);
        }
        Ok(Blob::from(reply))
    }
}

/// Lives the life of a process of type `P`.
pub(crate) async fn live<P: Process>(life: Arc<Life>, args: Blob) -> End {
    let Ok(args) = decode::<P::Args>(&args) else {
        return End::NotStarted("its arguments are of another type than expected".into());
    };
    let mut context = Context::new(Arc::clone(&life));
    let mut process = match P::start(args, &mut context).await {
        Ok(process) => process,
        Err(error) if error.is_ignored() => return End::Ignored,
        Err(error) => return End::NotStarted(error.to_string()),
    };
    life.report_started().await;

    loop {
        match life.next().await {
            Task::End(result) => return End::Ended(result),
            Task::Absorb(state) => process.absorb(&state).await,
            Task::Stop(reason) => {
                let state = process.stop(reason).await;
                return End::Stopped(state.map(Blob::from));
            }
            Task::Handle(delivery) => {
                handle(&mut process, &life, &mut context, delivery).await;
            }
        }
    }
}

async fn handle<P: Process>(
    process: &mut P,
    life: &Life,
    context: &mut Context<P>,
    Delivery { payload, call }: Delivery,
) {
    let message = decode::<P::Message>(&payload);
    drop(payload);
    let result = match message {
        Ok(message) => {
            let reply = process.handle(message, context).await;
            if call.is_none() {
                return;
            }
            life.sealed(encode(&reply))
        }
        Err(error) => {
            let process = &life.birth.process;
            tracing::debug!(%process, %error, "a message was not understood");
            Err(CallFailure::Malformed)
        }
    };
    if let Some(call) = call {
        life.answer(call, result).await;
    }
}

/// Lives the life of a plain process.
pub(crate) async fn live_plain<Fut>(life: Arc<Life>, run: impl FnOnce(Context) -> Fut) -> End
where
    Fut: Future<Output: Finish>,
{
    life.report_started().await;
    let running = run(Context::new(Arc::clone(&life)));
    select! {
        biased;
        result = life.inbox.ended() => End::Ended(result),
        output = running => End::Returned(output.finish()),
    }
}

/// Runs `life` to its end and reports it; `alive` is held until then.
pub(crate) async fn run(life: Arc<Life>, body: BoxFuture<End>, alive: mpsc::Sender<()>) {
    let caught: BoxFuture<_> = Box::pin(AssertUnwindSafe(body).catch_unwind());
    let outcome = Gated::new(life.inbox.gate(), life.node.runtime(), caught).await;
    let rest = life.inbox.close();
    let process = &life.birth.process;
    if 0 < rest.unabsorbed {
        tracing::warn!(%process, states = rest.unabsorbed, "states handed over were not absorbed");
    }

    // Whoever waits is told before the node learns that the process is gone.
    let failures = [(&rest.open, CallFailure::Ended), (&rest.unread, CallFailure::NoProcess)];
    for (calls, failure) in failures {
        for &call in calls {
            let _ = life.node.mailbox().send(Mail::Answer { call, result: Err(failure) }).await;
        }
    }
    let event = match outcome {
        Ok(Ok(end)) => judge(&life, rest, end),
        Ok(Err(panic)) => judge_panic(&life, rest, &panic_text(&*panic)),
        Err(_closed) => judge_closed(&life, rest),
    };
    life.report(event).await;
    drop(alive);
}

/// Returns what the end of a process is to its node.
fn judge(life: &Life, rest: Rest, end: End) -> ProcessEvent {
    match end {
        End::NotStarted(reason) => {
            assert!(!rest.started, "what runs has started");
            not_started(life, reason)
        }
        End::Ignored => {
            assert!(!rest.started, "what runs has started");
            match life.supervised {
                Some(_) => ProcessEvent::Ignored,
                None => ProcessEvent::Exited { failure: None },
            }
        }
        End::Stopped(state) => {
            assert!(rest.told_to_stop, "nobody stops without being told to");
            ProcessEvent::Stopped { state: bounded(life, state) }
        }
        // A plain process that knows that it is to stop does so by returning.
        End::Returned(_) if rest.knew_to_stop => {
            ProcessEvent::Stopped { state: bounded(life, rest.state) }
        }
        End::Ended(result) | End::Returned(result) => {
            ProcessEvent::Exited { failure: result.err() }
        }
    }
}

/// Returns what a panic is to the node.
fn judge_panic(life: &Life, rest: Rest, text: &str) -> ProcessEvent {
    let process = &life.birth.process;
    if !rest.started {
        return not_started(life, format!("it panicked: {text}"));
    }
    if rest.knew_to_stop {
        tracing::warn!(%process, text, "a process panicked while it stopped");
        return ProcessEvent::Stopped { state: bounded(life, rest.state) };
    }
    ProcessEvent::Exited { failure: Some(format!("it panicked: {text}")) }
}

/// Returns what a closed gate is to the node.
fn judge_closed(life: &Life, rest: Rest) -> ProcessEvent {
    let process = &life.birth.process;
    if rest.has_lapsed {
        // Whatever it put aside may be older than what its successor has written.
        tracing::warn!(%process, "the lease of a process ended");
        return ProcessEvent::Exited { failure: Some("its lease ended".into()) };
    }
    match (rest.started, rest.told_to_stop) {
        (true, true) => {
            tracing::warn!(%process, "a process did not stop within its grace");
            ProcessEvent::Stopped { state: bounded(life, rest.state) }
        }
        // It never ran, so what it was to start from is what it leaves behind.
        (false, true) => ProcessEvent::Stopped { state: life.birth.state.clone() },
        (false, false) => {
            let timeout = life.supervised.unwrap_or_default();
            not_started(life, format!("it did not start within {timeout:?}"))
        }
        (true, false) => ProcessEvent::Exited { failure: Some("its node stopped it".into()) },
    }
}

/// Returns the event of a start that failed; a process without a supervisor just ends.
fn not_started(life: &Life, reason: String) -> ProcessEvent {
    match life.supervised {
        Some(_) => ProcessEvent::StartFailed { reason },
        None => ProcessEvent::Exited { failure: Some(reason) },
    }
}

/// Returns `state` unless it is over the limit.
fn bounded(life: &Life, state: Option<Blob>) -> Option<Blob> {
    let state = state?;
    if STATE_BYTES_MAX < state.len() {
        let (process, bytes) = (&life.birth.process, state.len());
        tracing::error!(%process, bytes, max = STATE_BYTES_MAX, "a state left behind is too long");
        return None;
    }
    Some(state)
}

/// Returns what a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "something that is no text".to_owned()
    }
}
