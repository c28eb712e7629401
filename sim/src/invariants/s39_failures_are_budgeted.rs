//! S39. A child that fails more often on a node than its budget lets it is given up there.

use std::collections::BTreeMap;

use ordu_core::message::{Message, Operation};
use ordu_core::{ChildId, Command, Input, Output, ProcessEvent, StartReason, Time};

use crate::host::Host;
use crate::invariants::{Finding, Invariant, Promise, Scene};
use crate::verdict::Class;

/// A life of a machine's node.
type Life = (Host, u64);

/// Counts the failures of each child on each node, and the starts that follow them.
#[derive(Default)]
pub(crate) struct FailuresAreBudgeted {
    /// The children of the processes that nobody has told to stop.
    children: BTreeMap<(Life, u64), ChildId>,
    /// When the runs of a child failed since it came to a node.
    failures: BTreeMap<(Life, ChildId), Vec<Time>>,
}

impl Invariant for FailuresAreBudgeted {
    fn promise(&self) -> Promise {
        Promise {
            id: "S39",
            says: "a child that fails on a node more often than its budget lets it is given up",
            made_in: "ordu_core::Budget",
            class: Class::Safety,
        }
    }

    fn handle_input(&mut self, scene: &Scene<'_>, input: &Input) -> Finding {
        let life = (scene.host, scene.life);
        if let Some(child) = to_be_restarted(input) {
            self.failures.remove(&(life, child));
        }
        let Input::Process { number, event } = input else { return Ok(()) };
        match event {
            ProcessEvent::Exited { .. } | ProcessEvent::StartFailed { .. } => {
                if let Some(child) = self.children.remove(&(life, *number)) {
                    self.failures.entry((life, child)).or_default().push(scene.now);
                }
            }
            ProcessEvent::Ignored | ProcessEvent::Stopped { .. } => {
                self.children.remove(&(life, *number));
            }
            ProcessEvent::Started => {}
        }
        Ok(())
    }

    fn handle_output(&mut self, scene: &Scene<'_>, output: &Output) -> Finding {
        let life = (scene.host, scene.life);
        if let Output::Stop { number, .. } = output {
            self.children.remove(&(life, *number));
        }
        let Output::Start(start) = output else { return Ok(()) };
        self.children.insert((life, start.number), start.child);
        let failures = self.failures.entry((life, start.child)).or_default();
        if start.reason != StartReason::Restarted {
            failures.clear();
        }
        let spec = scene.node.spec(start.scope, start.child);
        let Some(budget) = spec.and_then(|spec| spec.budget) else { return Ok(()) };
        // Clocks of nodes run a little faster or slower than the world's.
        let within = budget.within * 9 / 10;
        failures.retain(|at| scene.now.since(*at) < within);
        if failures.len() <= usize::from(budget.failures) {
            return Ok(());
        }
        let (count, child) = (failures.len(), start.child);
        Err(format!("{} starts child {child}, which failed {count} times", scene.host))
    }
}

/// Returns the child that somebody asks to be started again, with a budget that is whole.
fn to_be_restarted(input: &Input) -> Option<ChildId> {
    if let Input::Request { command: Command::Restart { child, .. }, .. } = input {
        return Some(*child);
    }
    if let Input::Message { envelope, .. } = input
        && let Message::Forward(forward) = &envelope.message
        && let Operation::RestartChild { child, .. } = forward.operation
    {
        return Some(child);
    }
    None
}
