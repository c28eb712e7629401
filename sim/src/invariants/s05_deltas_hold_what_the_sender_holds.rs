//! S5. A delta holds exactly what its sender's journal holds in the interval that it covers.

use ordu_core::Output;
use ordu_core::crdt::{Delta, Journal};
use ordu_core::message::Message;

use crate::invariants::{Finding, Invariant, Promise, Scene};
use crate::verdict::Class;

/// Compares each delta with the journal that it is of, as it is sent.
pub(crate) struct DeltasHoldWhatTheSenderHolds;

/// Returns the first version at which `delta` is not what `journal` holds there.
fn difference(delta: &Delta, journal: &Journal) -> Option<u64> {
    let mut held = journal.entries_after(delta.from).take_while(|(at, ..)| *at <= delta.to);
    let mut version = delta.from;
    for entry in &delta.entries {
        version += entry.step;
        if held.next() != Some((version, &entry.key, entry.written.value())) {
            return Some(version);
        }
    }
    held.next().map(|(missing, ..)| missing)
}

impl Invariant for DeltasHoldWhatTheSenderHolds {
    fn promise(&self) -> Promise {
        Promise {
            id: "S5",
            says: "a delta holds exactly what its sender's journal holds of its interval",
            made_in: "ordu_core::crdt::Delta",
            class: Class::Safety,
        }
    }

    fn handle_output(&mut self, scene: &Scene<'_>, output: &Output) -> Finding {
        let Output::Send { envelope, .. } = output else { return Ok(()) };
        let Message::Delta(delta) = &envelope.message else { return Ok(()) };
        let Some(journal) = scene.node.journal(&delta.replica) else { return Ok(()) };
        // The journal may have moved on, or dropped tombstones, since the delta was cut from it.
        if journal.head() != delta.until || journal.floor() != delta.floor {
            return Ok(());
        }
        let Some(version) = difference(delta, journal) else { return Ok(()) };
        Err(format!(
            "{} sends {:?} from {} to {}, which is not what it holds at {version}",
            scene.host, delta.replica, delta.from, delta.to
        ))
    }
}
