//! What one life of a node was told last, so that it can be lived again.

use std::collections::VecDeque;

use ordu_core::flight::{Dump, Payloads, Reason, Recorder, Settings};
use ordu_core::{Config, Input, Time};

use crate::World;
use crate::host::Host;
use crate::machine::{Machine, MachineMaker};
use crate::trace::hash_of;
use crate::verdict::Class;

/// Bytes of inputs and states that are kept of each life.
const BYTES_MAX: usize = 4 << 20;

/// Most inputs that are kept of a machine that is no node of the core.
const INPUTS_MAX: usize = 100_000;

/// The last inputs of one life of a node, and hashes of what it asked for after each.
///
/// What is no node of the core has no state that could be kept, so it is lived again from its
/// birth, with all its inputs, or not at all.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    config: Config,
    seed: u64,
    born: Time,
    recorder: Recorder,
    /// All inputs of a machine that is no node of the core; `None` once there were too many.
    inputs: Option<Vec<(Time, Input)>>,
    /// Hashes of the outputs after each input that is kept.
    outputs: VecDeque<Vec<u64>>,
    /// Whether the machine is at an input; if that never ends it panicked.
    is_busy: bool,
}

impl Recording {
    pub(crate) fn new(config: Config, seed: u64, born: Time) -> Self {
        // Outputs are compared, and stand-ins would be others.
        let settings = Settings { bytes_max: BYTES_MAX, payloads: Payloads::Kept };
        let recorder = Recorder::new(config.clone(), seed, born, settings);
        let (inputs, outputs) = (Some(Vec::new()), VecDeque::new());
        Self { config, seed, born, recorder, inputs, outputs, is_busy: false }
    }

    /// Takes in that `machine` is about to be fed `input`.
    pub(crate) fn input(&mut self, at: Time, input: &Input, machine: &dyn Machine) {
        self.is_busy = true;
        self.outputs.push_back(Vec::new());
        if let Some(node) = machine.node() {
            self.recorder.record(at, input, node);
            let gone = self.outputs.len().saturating_sub(self.recorder.kept() as usize);
            self.outputs.drain(..gone);
        } else if let Some(inputs) = &mut self.inputs {
            inputs.push((at, input.clone()));
            if INPUTS_MAX < inputs.len() {
                self.inputs = None;
                self.outputs.clear();
            }
        }
    }

    /// Takes in that the machine asked for something that has the hash `output`, after the last
    /// input.
    pub(crate) fn output(&mut self, output: u64) {
        if let Some(last) = self.outputs.back_mut() {
            last.push(output);
        }
    }

    /// Takes in that the machine is done with the last input.
    pub(crate) fn done(&mut self) {
        self.is_busy = false;
    }

    /// Returns what is wrong with living it again.
    fn replay(&self, machine: &dyn Machine, maker: &MachineMaker) -> Result<(), String> {
        if machine.node().is_none() {
            return self.replay_stranger(machine, maker);
        }
        let dump = self.dump(machine)?;
        let (mut lived, mut is_same) = (self.outputs.iter(), true);
        let replayed = dump.replay_with(|step| {
            // Who holds a node may keep some of its outputs to itself.
            let mut again = step.outputs.iter().map(hash_of);
            let lived = lived.next().into_iter().flatten();
            is_same &= lived.copied().all(|output| again.any(|again| again == output));
        });
        if !is_same {
            return Err("asks for something else when it is replayed".to_owned());
        }
        let other = |error| format!("ends in another state when it is replayed: {error}");
        replayed.map(|_| ()).map_err(other)
    }

    fn replay_stranger(&self, lived: &dyn Machine, maker: &MachineMaker) -> Result<(), String> {
        let Some(inputs) = &self.inputs else {
            return Err(format!("got over {INPUTS_MAX} inputs, and is no node of the core"));
        };
        let mut machine = maker(self.config.clone(), self.seed, self.born);
        for ((at, input), expected) in inputs.iter().zip(&self.outputs) {
            machine.handle(*at, input.clone());
            let mut outputs = Vec::new();
            while let Some(output) = machine.poll_output() {
                outputs.push(hash_of(&output));
            }
            if outputs != *expected {
                return Err("asks for something else when it is replayed".to_owned());
            }
        }
        if machine.state_hash() != lived.state_hash() {
            return Err("ends in another state when it is replayed".to_owned());
        }
        Ok(())
    }

    fn dump(&self, machine: &dyn Machine) -> Result<Dump, String> {
        let node = machine.node().ok_or("is no node of the core, and has no dump")?;
        let dump = if self.is_busy {
            self.recorder.dump(Reason::Panic, None)
        } else {
            self.recorder.dump(Reason::Demand, Some(node))
        };
        dump.map_err(|error| format!("has no dump: {error}"))
    }
}

impl World {
    /// Checks that the present life of `host`'s node, lived again from its recorded inputs alone,
    /// asks for the same and ends in the same state. A long life is lived again from the oldest
    /// state of it that is kept.
    ///
    /// # Panics
    ///
    /// Panics if it does not.
    #[track_caller]
    pub fn assert_replays(&self, host: Host) {
        let running = self.running(host);
        if let Err(wrong) = running.recording.replay(&*running.machine, &self.maker) {
            self.violate(Class::NonDeterminism, "S31", format!("{host} {wrong}"));
        }
    }

    /// Returns what the flight recorder of `host`'s node holds, payloads and all. If the node
    /// panicked, its last input is the one that it panicked over.
    ///
    /// # Panics
    ///
    /// Panics if `host` runs no node of the core.
    #[track_caller]
    pub fn dump(&self, host: Host) -> Dump {
        let running = self.running(host);
        let dump = running.recording.dump(&*running.machine);
        dump.unwrap_or_else(|wrong| self.fail(format!("{host} {wrong}")))
    }
}
