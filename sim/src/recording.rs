//! What one life of a node was told, so that it can be lived again.

use ordu_core::{Config, Input, Output, Time, hash64_seeded, wire};

use crate::World;
use crate::host::Host;
use crate::machine::MachineMaker;
use crate::verdict::Class;

/// One life of a node: how it began, every input with its time, and a hash of the outputs.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    config: Config,
    seed: u64,
    born: Time,
    inputs: Vec<(Time, Input)>,
    outputs_hash: u64,
}

impl Recording {
    pub(crate) fn new(config: Config, seed: u64, born: Time) -> Self {
        Self { config, seed, born, inputs: Vec::new(), outputs_hash: 0 }
    }

    pub(crate) fn input(&mut self, at: Time, input: &Input) {
        self.inputs.push((at, input.clone()));
    }

    pub(crate) fn output(&mut self, output: &Output) {
        self.outputs_hash = mixed(self.outputs_hash, output);
    }

    /// Lives it again. Returns the hash of the state at its end, and the hash of the outputs.
    fn replay(&self, maker: &MachineMaker) -> (u64, u64) {
        let mut machine = maker(self.config.clone(), self.seed, self.born);
        let mut outputs_hash = 0;
        for (at, input) in &self.inputs {
            machine.handle(*at, input.clone());
            while let Some(output) = machine.poll_output() {
                outputs_hash = mixed(outputs_hash, &output);
            }
        }
        (machine.state_hash(), outputs_hash)
    }
}

impl World {
    /// Checks that the present life of `host`'s node, lived again from its recorded inputs alone,
    /// asks for the same and ends in the same state.
    ///
    /// # Panics
    ///
    /// Panics if it does not.
    #[track_caller]
    pub fn assert_replays(&self, host: Host) {
        let running = self.running(host);
        let lived = (running.machine.state_hash(), running.recording.outputs_hash);
        let again = running.recording.replay(&self.maker);
        if again.1 != lived.1 {
            let reason = format!("{host} asks for something else when it is replayed");
            self.violate(Class::NonDeterminism, "S31", reason);
        }
        if again.0 != lived.0 {
            let reason = format!("{host} ends in another state when it is replayed");
            self.violate(Class::NonDeterminism, "S31", reason);
        }
    }
}

fn mixed(hash: u64, output: &Output) -> u64 {
    hash64_seeded(&wire::encode(output), hash)
}
