//! What a process knows of itself and of the world.

use std::fmt;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use ordu_core::message::CallFailure;
use ordu_core::transport::{BoxFuture, Runtime};
use ordu_core::wire::{decode, encode};
use ordu_core::{Blob, CallId, ChildId, FencingToken, ProcessId, StartReason, StopReason, Time};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::gate::Gated;
use crate::inbox::{Delivery, Task};
use crate::node::Node;
use crate::runner::{Life, panic_text};

/// What a process knows of itself and of the world.
///
/// A process of type `P` gets a `Context<P>`; a plain `async fn` gets a `Context`, with which it
/// takes its messages out by itself ([`Context::next`]).
pub struct Context<P = ()> {
    life: Arc<Life>,
    kind: PhantomData<fn() -> P>,
}

impl<P> Context<P> {
    pub(crate) fn new(life: Arc<Life>) -> Self {
        Self { life, kind: PhantomData }
    }

    /// Returns the id of this run of the process.
    pub fn process_id(&self) -> &ProcessId {
        &self.life.birth.process
    }

    /// Returns the child that the process runs, unless no supervisor looks after it.
    pub fn child_id(&self) -> Option<ChildId> {
        self.life.birth.child
    }

    /// Returns why the process starts.
    pub fn start_reason(&self) -> StartReason {
        self.life.birth.reason
    }

    /// Returns what an earlier run left behind for this one.
    pub fn state(&self) -> Option<&[u8]> {
        self.life.birth.state.as_deref()
    }

    /// Returns the fencing token of the lease that the process runs under; `None` if its supervisor
    /// is not [exclusive](crate::NodeBuilder::exclusive), or none looks after it.
    ///
    /// No process is polled once its lease has ended, but what it did before may arrive after that:
    /// a write that waits in a socket meanwhile, or what code does that has not come back to an
    /// `await` in time, or a destructor. So send the token along with every write. A store that
    /// keeps the highest token it has seen of a child, and refuses a write with a lower one, takes
    /// nothing from a process whose successor has written. The token is the same for the whole
    /// run; that of a later run is higher.
    pub fn token(&self) -> Option<FencingToken> {
        self.life.birth.token
    }

    /// Returns the node that the process runs on, with its registries and supervisors.
    pub fn node(&self) -> &Node {
        &self.life.node
    }

    /// Returns the clock that the process lives by, to take along into tasks.
    pub fn clock(&self) -> Clock {
        Clock { runtime: Arc::clone(self.life.node.runtime()) }
    }

    /// Returns the time.
    pub fn now(&self) -> Time {
        self.life.node.runtime().now()
    }

    /// Waits for `duration`.
    pub fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        let runtime = self.life.node.runtime();
        runtime.sleep_until(runtime.now() + duration)
    }

    /// Runs `task` beside the process. It ends with the process, at the latest; if it panics, the
    /// process fails.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let life = Arc::clone(&self.life);
        let task: BoxFuture<_> = Box::pin(AssertUnwindSafe(task).catch_unwind());
        let gated = Gated::new(life.inbox.gate(), life.node.runtime(), task);
        self.life.node.runtime().spawn(Box::pin(async move {
            if let Ok(Err(panic)) = gated.await {
                let reason = format!("a task of it panicked: {}", panic_text(&*panic));
                life.inbox.end(Err(reason));
            }
        }));
    }

    /// Ends the process as it should, once the message at hand is handled; what it left unread is
    /// answered with an error. A plain process is not polled again.
    pub fn stop(&self) {
        self.life.inbox.end(Ok(()));
    }

    /// Ends the process as a failure, once the message at hand is handled. A plain process is not
    /// polled again.
    pub fn fail(&self, reason: impl Into<String>) {
        self.life.inbox.end(Err(reason.into()));
    }
}

impl Context {
    /// Returns what the process was started with.
    ///
    /// # Errors
    ///
    /// Refuses arguments of another type.
    pub fn args<A: DeserializeOwned>(&self) -> Result<A, WrongType> {
        decode(&self.life.birth.args).map_err(|_| WrongType)
    }

    /// Waits for the next thing to do. Dropping the future loses nothing.
    ///
    /// After [`Incoming::Stop`] messages still come, for as long as the process goes on.
    pub async fn next(&mut self) -> Incoming {
        match self.life.next().await {
            Task::Absorb(state) => Incoming::Absorb(state),
            Task::Stop(reason) => Incoming::Stop(reason),
            Task::Handle(delivery) => {
                Incoming::Message(Letter { delivery, life: Arc::clone(&self.life), open: true })
            }
            // Whoever runs the process sees it as well and drops it.
            Task::End(_) => std::future::pending().await,
        }
    }

    /// Waits until the process is told to stop; for those who take no messages. Why it stops comes
    /// from [`Context::next`].
    pub async fn stopped(&self) {
        self.life.inbox.told_to_stop().await;
    }

    /// Puts `state` aside: the next run gets it if this one is told to stop. Repeated, the last
    /// one counts.
    pub fn hand_over(&self, state: impl Into<Blob>) {
        self.life.inbox.put_aside(state.into());
    }
}

impl<P> fmt::Debug for Context<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("process", self.process_id()).finish_non_exhaustive()
    }
}

/// The clock that a process lives by: real, or virtual under simulation.
#[derive(Clone)]
pub struct Clock {
    runtime: Arc<dyn Runtime>,
}

impl Clock {
    /// Returns the time.
    pub fn now(&self) -> Time {
        self.runtime.now()
    }

    /// Waits for `duration`.
    pub fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        self.runtime.sleep_until(self.runtime.now() + duration)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

/// What a plain process is to do next.
#[derive(Debug)]
pub enum Incoming {
    /// Handle a message.
    Message(Letter),
    /// Take in what the loser of a conflict left behind.
    Absorb(Blob),
    /// Put things in order and return; once the grace is over the process is dropped.
    Stop(StopReason),
}

/// A message to a plain process. Dropped without a reply, it is answered as not understood.
pub struct Letter {
    delivery: Delivery,
    life: Arc<Life>,
    open: bool,
}

impl Letter {
    /// Returns the message.
    ///
    /// # Errors
    ///
    /// Refuses a message of another type.
    pub fn message<M: DeserializeOwned>(&self) -> Result<M, WrongType> {
        decode(&self.delivery.payload).map_err(|_| WrongType)
    }

    /// Returns the message as it was sent.
    pub fn payload(&self) -> &Blob {
        &self.delivery.payload
    }

    /// Returns whether the sender waits for a reply.
    pub fn wants_reply(&self) -> bool {
        self.delivery.call.is_some()
    }

    /// Answers the sender, if it waits for a reply.
    ///
    /// # Panics
    ///
    /// Panics if `reply` cannot be encoded, as a map with a failing key.
    pub async fn reply<R: Serialize>(mut self, reply: &R) {
        if let Some(call) = self.delivery.call {
            let result = self.life.sealed(encode(reply));
            self.life.answer(call, result).await;
        }
        self.open = false;
    }
}

impl Drop for Letter {
    fn drop(&mut self) {
        let Some(call) = self.delivery.call.filter(|_| self.open) else { return };
        answer_later(&self.life, call);
    }
}

/// Answers `call` as not understood, from where nothing can be awaited.
fn answer_later(life: &Arc<Life>, call: CallId) {
    let answering = Arc::clone(life);
    life.node.runtime().spawn(Box::pin(async move {
        answering.answer(call, Err(CallFailure::Malformed)).await;
    }));
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.delivery, f)
    }
}

/// The bytes are of another type than expected.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the bytes are of another type than expected")]
pub struct WrongType;
