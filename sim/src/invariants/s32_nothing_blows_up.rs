//! S32. What a node does is bounded by what happens to it, and no child runs on more machines than
//! there are; without a fault it runs on one.

use std::collections::BTreeMap;

use ordu_core::message::Message;
use ordu_core::{Input, Output};

use crate::World;
use crate::host::Host;
use crate::invariants::{Finding, Invariant, Promise, Scene};
use crate::verdict::Class;

/// How many times as much as an idle node a node may send.
const IDLE_FACTOR: u64 = 20;
/// What an idle node sends to each other one between two looks: beats, digests, acks, greetings.
const IDLE_SENDS: u64 = 50;
/// What a request, or a turn in the life of a process, may make a node send to each other one.
const SENDS_PER_TURN: u64 = 40;
/// What a fault may make a node send to each other one.
const SENDS_PER_FAULT: u64 = 2_000;
/// How many pieces of a delta count as one message: plans make deltas as small as one entry.
const PIECES: u64 = 10;

/// Counts what nodes send.
#[derive(Default)]
pub(crate) struct NothingBlowsUp {
    /// In parts of a message, of which [`PIECES`] make one.
    sends: BTreeMap<Host, u64>,
    /// Requests, and turns in the lives of processes.
    turns: u64,
    faults: u64,
}

/// Returns how much a node may send between two looks.
fn most_sends(peers: u64, turns: u64, faults: u64) -> u64 {
    peers * (IDLE_FACTOR * IDLE_SENDS + turns * SENDS_PER_TURN + faults * SENDS_PER_FAULT)
}

impl Invariant for NothingBlowsUp {
    fn promise(&self) -> Promise {
        Promise {
            id: "S32",
            says: "what a node sends is bounded by what happens, and so are the runs of a child",
            made_in: "ordu_core::Output::Send",
            class: Class::Bounds,
        }
    }

    fn handle_input(&mut self, _: &Scene<'_>, input: &Input) -> Finding {
        self.turns += u64::from(matches!(input, Input::Request { .. } | Input::Process { .. }));
        Ok(())
    }

    fn handle_output(&mut self, scene: &Scene<'_>, output: &Output) -> Finding {
        if let Output::Send { envelope, .. } = output {
            let is_piece = matches!(&envelope.message, Message::Delta(d) if d.to < d.until);
            *self.sends.entry(scene.host).or_default() += if is_piece { 1 } else { PIECES };
        }
        Ok(())
    }

    fn audit(&mut self, world: &World) -> Finding {
        let peers = u64::try_from(world.hosts.len().max(2) - 1).expect("hosts are few");
        let faults = world.faults() - self.faults;
        let most = most_sends(peers, self.turns, faults);
        let loud = self.sends.iter().find(|(_, sends)| most * PIECES < **sends);
        if let Some((host, sends)) = loud {
            let (sends, turns) = (sends / PIECES, self.turns);
            return Err(format!("{host} sends {sends} times in {turns} turns and {faults} faults"));
        }
        *self = Self { faults: world.faults(), ..Self::default() };
        if world.is_faultless() {
            let mut running = BTreeMap::new();
            for run in world.processes.running() {
                let Some(child) = run.child else { continue };
                if let Some(twin) = running.insert(child, run.host) {
                    let host = run.host;
                    return Err(format!("child {child} runs on {twin} and {host} without a fault"));
                }
            }
        }
        Ok(())
    }
}
