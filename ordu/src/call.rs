//! Messages to processes, wherever they run.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use ordu_core::wire::{decode, encode};
use ordu_core::{Blob, CallError, Command, Reply};
use serde::Serialize;

use crate::node::{Node, Over};
use crate::operation::operation;
use crate::process::Process;
use crate::recipient::Recipient;

/// How long an operation waits unless told otherwise.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

/// A call to a process of type `P`; await it for the reply.
#[must_use = "nothing happens before it is awaited"]
pub struct Call<P> {
    node: Node,
    to: Result<Recipient, CallError>,
    payload: Blob,
    timeout: Duration,
    kind: PhantomData<fn() -> P>,
}

operation!(Call<P: Process> => Result<P::Reply, CallError>);

impl<P: Process> Call<P> {
    pub(crate) fn new(node: Node, to: Result<Recipient, CallError>, message: &P::Message) -> Self {
        let payload = Blob::from(encode(message));
        Self { node, to, payload, timeout: TIMEOUT, kind: PhantomData }
    }

    async fn run(self) -> Result<P::Reply, CallError> {
        let target = self.to?.target(&self.node)?;
        let (payload, timeout) = (self.payload, self.timeout);
        let reply = match self.node.ask(Command::Call { target, payload }, timeout).await {
            Ok(Reply::Call(reply)) => reply.map_err(|error| asked_for(timeout, error))?,
            Ok(other) => unreachable!("a call is answered as such, not with {other:?}"),
            Err(Over) => return Err(CallError::NotReady),
        };
        decode(&reply).map_err(|_| CallError::Malformed)
    }
}

impl<P> fmt::Debug for Call<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("to", &self.to).finish_non_exhaustive()
    }
}

/// A message to a process, with nobody waiting for a reply; await it to know that it is under way.
#[derive(Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct Cast {
    node: Node,
    to: Result<Recipient, CallError>,
    payload: Blob,
    timeout: Duration,
}

operation!(Cast => Result<(), CallError>);

impl Cast {
    pub(crate) fn new<M: Serialize>(
        node: Node,
        to: Result<Recipient, CallError>,
        message: &M,
    ) -> Self {
        Self { node, to, payload: Blob::from(encode(message)), timeout: TIMEOUT }
    }

    async fn run(self) -> Result<(), CallError> {
        let target = self.to?.target(&self.node)?;
        let (payload, timeout) = (self.payload, self.timeout);
        match self.node.ask(Command::Send { target, payload }, timeout).await {
            Ok(Reply::Send(sent)) => sent.map_err(|error| asked_for(timeout, error)),
            Ok(other) => unreachable!("a send is answered as such, not with {other:?}"),
            Err(Over) => Err(CallError::NotReady),
        }
    }
}

/// Returns `error` with the timeout that was asked for: the state machine knows only what was left
/// of it when the request arrived there.
fn asked_for(timeout: Duration, mut error: CallError) -> CallError {
    if let CallError::TimedOut { timeout: left } = &mut error {
        *left = timeout;
    }
    error
}
