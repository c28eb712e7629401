//! What users write: processes.

use std::error::Error;
use std::fmt;

use ordu_core::StopReason;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::Context;

/// A process: an async task with a mailbox, which handles one message after the other.
///
/// Whatever it does is its own business: an error, a panic or an endless wait in one process never
/// touches another, nor the node. It must not block its thread, though; a task that never yields
/// cannot be stopped by anyone. Sleeps, times and tasks come from its [`Context`], so that it runs
/// under simulation as it is.
///
/// A plain `async fn(Context)` is a process as well, see
/// [`NodeBuilder::kind_fn`](crate::NodeBuilder::kind_fn).
pub trait Process: Sized + Send + 'static {
    /// The name that nodes know the code by; the same on all of them. Code whose arguments or
    /// messages changed takes another one, as `cart/2`: nodes say which they have, and a child runs
    /// on those alone that have its own, also while a cluster is upgraded node by node.
    const KIND: &'static str;

    /// What a start gets; kept with the child for its whole life.
    type Args: Serialize + DeserializeOwned + Send;
    /// What others say to it.
    type Message: Serialize + DeserializeOwned + Send;
    /// What it answers.
    type Reply: Serialize + DeserializeOwned + Send;

    /// Starts the process, fresh or again; [`Context::start_reason`] and [`Context::state`] say
    /// what came before.
    ///
    /// It has [`start_timeout`](crate::NodeBuilder::start_timeout) to finish, and is dropped as
    /// soon as the child is to stop.
    ///
    /// # Errors
    ///
    /// Where this node cannot run the child now. The very first start of a child ends it with the
    /// error; later ones are repeated after a back-off.
    fn start(
        args: Self::Args,
        context: &mut Context<Self>,
    ) -> impl Future<Output = Result<Self, StartError>> + Send;

    /// Handles one message; the result is the reply, if the sender waits for one.
    fn handle(
        &mut self,
        message: Self::Message,
        context: &mut Context<Self>,
    ) -> impl Future<Output = Self::Reply> + Send;

    /// Puts things in order and returns what the winner of a conflict is to know, or this process
    /// if it goes on after all.
    ///
    /// When the node leaves or the child is terminated, nobody takes it in: a child that goes on
    /// elsewhere begins from its arguments.
    ///
    /// It begins once the message at hand is handled; all of it must fit into the child's grace.
    fn stop(self, reason: StopReason) -> impl Future<Output = Option<Vec<u8>>> + Send {
        async move {
            drop((self, reason));
            None
        }
    }

    /// Takes in what the loser of a conflict left behind; ignores it unless written otherwise.
    fn absorb(&mut self, state: &[u8]) -> impl Future<Output = ()> + Send {
        let _ = state;
        async {}
    }
}

/// Why a process did not start, in words; any error turns into one.
pub struct StartError {
    reason: String,
    is_ignored: bool,
}

impl StartError {
    /// Returns an error that says `reason`.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_ignored: false }
    }

    /// Returns what a start function answers if there is nothing to run, and nothing is wrong with
    /// that: the child ends, whatever its restart type, and whoever started it is told so
    /// ([`StartChildError::Ignored`](crate::StartChildError::Ignored)).
    pub fn ignore() -> Self {
        Self { reason: "there is nothing to run".into(), is_ignored: true }
    }

    pub(crate) fn is_ignored(&self) -> bool {
        self.is_ignored
    }
}

impl<E: Error> From<E> for StartError {
    fn from(error: E) -> Self {
        Self::new(with_causes(&error))
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl fmt::Debug for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.reason, f)
    }
}

/// Returns `error` and its causes in one line.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// How a plain `async fn(Context)` ended: nothing, or a `Result` whose error can be printed.
pub trait Finish: Send + 'static {
    /// Returns `Ok` if the process ended as it should, else what went wrong.
    ///
    /// # Errors
    ///
    /// Says what went wrong.
    fn finish(self) -> Result<(), String>;
}

impl Finish for () {
    fn finish(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: fmt::Display + Send + 'static> Finish for Result<(), E> {
    fn finish(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("no door")]
    struct NoDoor(#[source] std::num::ParseIntError);

    #[test]
    fn an_error_becomes_text_with_all_its_causes() {
        let cause = "x".parse::<u8>().unwrap_err();
        let error = StartError::from(NoDoor(cause));
        assert_eq!(error.to_string(), "no door: invalid digit found in string");
    }
}
