//! What runs: a process that says who it is, and misbehaves where it is told to.

use std::panic::resume_unwind;
use std::time::Duration;

use ordu::{ChildSpec, Context, Node, Process, ProcessId, StartError, StopReason};
use serde::{Deserialize, Serialize};

use crate::book::Presence;

/// The metadata that, once it is there, keeps [`Task::Crash`] from crashing.
pub(crate) const MENDED: &str = "worker/mended";

/// How a worker behaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) enum Task {
    /// As it should.
    Work,
    /// As it should, once a start that takes so long is done.
    StartSlowly(Duration),
    /// It panics 50 ms after each start, until its cause is [`MENDED`].
    Crash,
    /// It does not heed being told to stop.
    Stay,
}

/// What a worker is asked.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// To say which process it is.
    Who,
    /// To panic.
    Panic,
}

/// A child of every scenario.
pub(crate) struct Worker {
    task: Task,
    _presence: Presence,
}

impl Worker {
    /// Returns the specification of a worker without a name.
    pub(crate) fn spec(task: Task) -> ChildSpec {
        ChildSpec::new::<Self>(&task)
    }
}

impl Process for Worker {
    const KIND: &'static str = "promises/worker";
    type Args = Task;
    type Message = Ask;
    type Reply = ProcessId;

    async fn start(task: Task, context: &mut Context<Self>) -> Result<Self, StartError> {
        let child = context.child_id().ok_or_else(|| StartError::new("only children are told"))?;
        let presence = Presence::new(child, context.process_id().clone());
        match task {
            Task::Work | Task::Stay => (),
            Task::StartSlowly(duration) => context.sleep(duration).await,
            Task::Crash if is_mended(context.node()) => (),
            Task::Crash => {
                let moment = context.sleep(Duration::from_millis(50));
                context.spawn(async {
                    moment.await;
                    panic_quietly();
                });
            }
        }
        Ok(Self { task, _presence: presence })
    }

    async fn handle(&mut self, ask: Ask, context: &mut Context<Self>) -> ProcessId {
        match ask {
            Ask::Who => context.process_id().clone(),
            Ask::Panic => panic_quietly(),
        }
    }

    async fn stop(self, _: StopReason) -> Option<Vec<u8>> {
        if self.task == Task::Stay {
            std::future::pending().await
        }
        None
    }
}

fn is_mended(node: &Node) -> bool {
    node.registry("default").meta(MENDED).is_some()
}

/// Panics on purpose, without the message that would stand between the results.
fn panic_quietly() -> ! {
    resume_unwind(Box::new("on purpose"))
}
