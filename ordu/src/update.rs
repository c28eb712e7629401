//! Values beside names: read, changed and written back by their holders.

use std::fmt;
use std::time::Duration;

use ordu_core::{Blob, Command, Name, NameError, Reply, UpdateError, Updated};

use crate::node::Over;
use crate::operation::operation;
use crate::recipient::Recipient;
use crate::registry::Registry;

/// A change of the value beside a name; await it for the new value and the old one.
#[must_use = "nothing happens before it is awaited"]
pub struct Update {
    pub(crate) registry: Registry,
    pub(crate) name: Result<Name, NameError>,
    pub(crate) process: Recipient,
    pub(crate) change: Box<Change>,
    pub(crate) timeout: Duration,
}

/// Makes a new value of the old one.
type Change = dyn FnMut(&Blob) -> Blob + Send;

operation!(Update => Result<(Blob, Blob), UpdateError>);

impl Update {
    async fn run(mut self) -> Result<(Blob, Blob), UpdateError> {
        let (scope, name) = (self.registry.scope()?, self.name?);
        let node = self.registry.node();
        if !node.is_ready() {
            return Err(UpdateError::NotReady);
        }
        let process = self.process.process(node)?.ok_or(UpdateError::Nobody)?;
        let deadline = node.runtime().now() + self.timeout;

        let holder = node.view().holder(scope, name.as_bytes());
        let Some(holder) = holder.filter(|holder| holder.process == process) else {
            return Err(UpdateError::NotHolder { name, process });
        };
        let mut old = holder.value;
        loop {
            let new = (self.change)(&old);
            let timeout = deadline.since(node.runtime().now());
            if timeout.is_zero() {
                return Err(UpdateError::TimedOut);
            }
            let (name, process) = (name.clone(), process.clone());
            let (expected, value) = (old.clone(), new.clone());
            let command = Command::Update { scope, name, process, expected, value };
            match node.ask(command, timeout).await {
                Ok(Reply::Update(Ok(Updated::Done))) => return Ok((new, old)),
                Ok(Reply::Update(Ok(Updated::Changed { value }))) => old = value,
                Ok(Reply::Update(Err(error))) => return Err(error),
                Ok(other) => unreachable!("an update is answered as such, not with {other:?}"),
                Err(Over) => return Err(UpdateError::NotReady),
            }
        }
    }
}

impl fmt::Debug for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Update")
            .field("name", &self.name)
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}
