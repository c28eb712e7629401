//! S40. No node runs more children than it may.

use std::collections::BTreeSet;

use ordu_core::{Input, Output, ProcessEvent};

use crate::host::Host;
use crate::invariants::{Finding, Invariant, Promise, Scene};
use crate::verdict::Class;

/// Counts the processes of children on each node.
#[derive(Default)]
pub(crate) struct NobodyIsOverfilled {
    /// The processes of children, by the machine, the life of its node and their numbers.
    running: BTreeSet<(Host, u64, u64)>,
}

impl Invariant for NobodyIsOverfilled {
    fn promise(&self) -> Promise {
        Promise {
            id: "S40",
            says: "no node runs more children than it may",
            made_in: "ordu_core::Config::max_children",
            class: Class::Bounds,
        }
    }

    fn handle_input(&mut self, scene: &Scene<'_>, input: &Input) -> Finding {
        let Input::Process { number, event } = input else { return Ok(()) };
        match event {
            ProcessEvent::Started => {}
            ProcessEvent::StartFailed { .. }
            | ProcessEvent::Ignored
            | ProcessEvent::Exited { .. }
            | ProcessEvent::Stopped { .. } => {
                self.running.remove(&(scene.host, scene.life, *number));
            }
        }
        Ok(())
    }

    fn handle_output(&mut self, scene: &Scene<'_>, output: &Output) -> Finding {
        let Output::Start(start) = output else { return Ok(()) };
        let (host, life) = (scene.host, scene.life);
        self.running.insert((host, life, start.number));
        let here = self.running.range((host, life, 0)..=(host, life, u64::MAX)).count();
        match scene.config.max_children {
            Some(most) if most < here => {
                Err(format!("{host} runs {here} children, and may run {most}"))
            }
            Some(_) | None => Ok(()),
        }
    }
}
