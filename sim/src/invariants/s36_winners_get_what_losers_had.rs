//! S36. What the loser of a conflict had when it stopped, its winner was given.

use std::collections::{BTreeMap, BTreeSet};

use ordu_core::{Blob, Event, Input, Output, ProcessEvent, ProcessId, StopReason};

use crate::host::Host;
use crate::invariants::{Finding, Invariant, Promise, Scene};
use crate::verdict::Class;

/// Remembers what stopped processes had, and what others were given.
#[derive(Default)]
pub(crate) struct WinnersGetWhatLosersHad {
    /// By machine, life and number.
    states: BTreeMap<(Host, u64, u64), Blob>,
    /// Those that were told to stop so that another process starts anew in their place.
    discarded: BTreeSet<(Host, u64, u64)>,
    absorbed: BTreeSet<(ProcessId, Blob)>,
}

impl Invariant for WinnersGetWhatLosersHad {
    fn promise(&self) -> Promise {
        Promise {
            id: "S36",
            says: "no loser is released before its winner was given what it had",
            made_in: "ordu_core::Output::Absorb",
            class: Class::Safety,
        }
    }

    fn handle_input(&mut self, scene: &Scene<'_>, input: &Input) -> Finding {
        let Input::Process { number, event: ProcessEvent::Stopped { state } } = input else {
            return Ok(());
        };
        let key = (scene.host, scene.life, *number);
        if self.discarded.remove(&key) {
            return Ok(());
        }
        match state {
            Some(state) => self.states.insert(key, state.clone()),
            None => self.states.remove(&key),
        };
        Ok(())
    }

    fn handle_output(&mut self, scene: &Scene<'_>, output: &Output) -> Finding {
        if let Output::Absorb { number, state } = output {
            let replica = scene.node.replica().cloned();
            let process = replica.map(|replica| ProcessId { replica, number: *number });
            self.absorbed.extend(process.map(|process| (process, state.clone())));
        }
        if let Output::Stop { number, reason, .. } = output {
            // What another process takes the place of starts anew, and is to.
            let key = (scene.host, scene.life, *number);
            match reason {
                StopReason::Restarting | StopReason::Escalated | StopReason::Lapsed => {
                    self.discarded.insert(key)
                }
                StopReason::Terminated
                | StopReason::Leaving
                | StopReason::Moving
                | StopReason::Conflict(_)
                | StopReason::NoQuorum
                | StopReason::NameLapsed
                | StopReason::NodeDown => self.discarded.remove(&key),
            };
        }
        let Output::Event(Event::Merged { winner, loser }) = output else { return Ok(()) };
        let Some(state) = self.states.get(&(scene.host, scene.life, *loser)) else {
            return Ok(());
        };
        if self.absorbed.contains(&(winner.clone(), state.clone())) {
            return Ok(());
        }
        Err(format!("process {loser} of {} is released, and {winner} lacks its state", scene.host))
    }
}
