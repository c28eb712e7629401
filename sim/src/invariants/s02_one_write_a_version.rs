//! S2. A version of a journal is one write, whoever tells of it and whenever.

use std::collections::BTreeMap;

use ordu_core::crdt::Written;
use ordu_core::message::Message;
use ordu_core::{Output, ReplicaKey, hash64_seeded};

use crate::invariants::{Finding, Invariant, Promise, Scene};
use crate::verdict::Class;

/// Remembers a hash of every write that was ever sent.
#[derive(Default)]
pub(crate) struct OneWriteAVersion {
    writes: BTreeMap<ReplicaKey, BTreeMap<u64, u64>>,
}

impl Invariant for OneWriteAVersion {
    fn promise(&self) -> Promise {
        Promise {
            id: "S2",
            says: "a version of a journal is one write, whoever tells of it and whenever",
            made_in: "ordu_core::crdt::Journal",
            class: Class::Safety,
        }
    }

    fn handle_output(&mut self, scene: &Scene<'_>, output: &Output) -> Finding {
        let Output::Send { envelope, .. } = output else { return Ok(()) };
        let Message::Delta(delta) = &envelope.message else { return Ok(()) };
        let writes = self.writes.entry(delta.replica.key()).or_default();
        let mut version = delta.from;
        for entry in &delta.entries {
            version += entry.step;
            let value = match &entry.written {
                Written::Deleted(why) => u64::from(*why),
                Written::Value(value) => hash64_seeded(value, 2),
            };
            let hash = hash64_seeded(&entry.key, value);
            if *writes.entry(version).or_insert(hash) != hash {
                let (host, replica) = (scene.host, &delta.replica);
                return Err(format!(
                    "{host} tells another write {version} of {replica:?} than was told before"
                ));
            }
        }
        Ok(())
    }
}
