//! L12. A cluster at rest sends no entry again, and little else.

use std::collections::BTreeMap;
use std::time::Duration;

use ordu_core::message::Message;
use ordu_core::{NodeId, Output, Time, wire};

use crate::host::Host;
use crate::invariants::{Broken, Finding, Promise};
use crate::verdict::Class;

/// Most bytes a second that a node at rest sends to another one.
const BYTES_PER_SECOND_MAX: u64 = 500;

pub(crate) const PROMISE: Promise = Promise {
    id: "L12",
    says: "a cluster at rest sends no entry again, and at most 500 bytes a second over a link",
    made_in: "ordu_core::Config",
    class: Class::Liveness,
};

/// Counts what is sent while a cluster is at rest.
pub(crate) struct Quiet {
    since: Time,
    bytes: BTreeMap<(Host, NodeId), u64>,
    /// Who sent entries, and how many.
    entries: BTreeMap<Host, usize>,
}

impl Quiet {
    /// Begins to count.
    pub(crate) fn new(since: Time) -> Self {
        Self { since, bytes: BTreeMap::new(), entries: BTreeMap::new() }
    }

    /// Takes in what `host` asks for.
    pub(crate) fn handle_output(&mut self, host: Host, output: &Output) {
        let Output::Send { to, envelope } = output else { return };
        let bytes = wire::encode_frame(envelope).len() as u64;
        *self.bytes.entry((host, to.clone())).or_default() += bytes;
        if let Message::Delta(delta) = &envelope.message {
            *self.entries.entry(host).or_default() += delta.entries.len();
        }
    }

    /// Says whether it was quiet.
    pub(crate) fn check(&self, now: Time) -> Result<(), Broken> {
        self.look(now.since(self.since)).map_err(|reason| Broken { promise: PROMISE, reason })
    }

    fn look(&self, time: Duration) -> Finding {
        if let Some((host, entries)) = self.entries.first_key_value() {
            return Err(format!("{host} sends {entries} entries at rest"));
        }
        let most = BYTES_PER_SECOND_MAX * time.as_secs().max(1);
        match self.bytes.iter().find(|(_, bytes)| most < **bytes) {
            None => Ok(()),
            Some(((host, to), bytes)) => {
                Err(format!("{host} sends {to} {bytes} bytes in {time:?}, at rest"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{N1, N2};

    #[test]
    fn entries_and_noise_at_rest_are_found() {
        let mut quiet = Quiet::new(Time::ZERO);
        quiet.bytes.insert((N1, N2.id()), 5_000);
        assert_eq!(quiet.look(Duration::from_secs(10)), Ok(()));
        assert!(quiet.look(Duration::from_secs(9)).unwrap_err().contains("5000 bytes"));
        quiet.entries.insert(N2, 1);
        assert!(quiet.look(Duration::from_secs(10)).unwrap_err().contains("entries"));
    }
}
