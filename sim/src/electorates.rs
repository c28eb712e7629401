//! The voters as they are changed while nodes run, and the disks of those who decide that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ordu_core::{Config, Electorate, Input, NodeId, Time, VoterRecord, VoterStore};

use crate::event::Event;
use crate::host::Host;
use crate::verdict::Class;
use crate::world::World;

/// How long a disk takes to store something, unless it is said otherwise.
const STORING: Duration = Duration::from_millis(10);

/// All electorates that nodes went by, and the disks that keep them.
#[derive(Debug)]
pub(crate) struct Electorates {
    known: BTreeMap<u64, BTreeSet<NodeId>>,
    /// When a node first went by the last one.
    changed_at: Option<Time>,
    /// How long disks take to store something; they store one thing after the other.
    storing: Duration,
    /// When each disk is done with what it was given.
    idle_at: BTreeMap<Host, Time>,
}

impl Default for Electorates {
    fn default() -> Self {
        let (known, idle_at) = (BTreeMap::new(), BTreeMap::new());
        Self { known, changed_at: None, storing: STORING, idle_at }
    }
}

impl Electorates {
    /// Returns when the voters were changed last.
    pub(crate) fn changed_at(&self) -> Option<Time> {
        self.changed_at
    }

    /// Returns whether `node` was a voter at any time since the first change.
    pub(crate) fn has_been(&self, node: &NodeId) -> bool {
        self.known.values().any(|nodes| nodes.contains(node))
    }
}

impl World {
    /// Returns what the disk of `host` holds of what its node decided as a voter.
    pub fn voter_store(&self, host: Host) -> &VoterStore {
        &self.state(host).config.voter_store
    }

    /// Lets disks take `storing` from now on to store what a node decides as a voter; 10 ms by
    /// default.
    pub fn set_disks(&mut self, storing: Duration) {
        self.electorates.storing = storing;
    }

    /// Changes how the node of `host` is configured when it is started next.
    pub fn reconfigure(&mut self, host: Host, change: impl FnOnce(&mut Config)) {
        change(&mut self.state_mut(host).config);
    }

    /// Begins to store `record` on the disk of `host`; that is lost if its node dies meanwhile.
    pub(crate) fn store(&mut self, host: Host, number: u64, record: VoterRecord) {
        let (now, storing) = (self.now, self.electorates.storing);
        let idle_at = self.electorates.idle_at.entry(host).or_default();
        *idle_at = now.max(*idle_at) + storing;
        let at = *idle_at;
        self.plan_at(at, host, Event::Stored { number, record: Box::new(record) });
    }

    /// Puts `record` on the disk of `host`, and tells its node.
    pub(crate) fn stored(&mut self, host: Host, number: u64, record: VoterRecord) {
        self.state_mut(host).config.voter_store = VoterStore::Holds(record);
        self.feed(host, Input::Persisted { number, is_stored: true });
    }

    /// Checks that of each epoch there is one electorate.
    pub(crate) fn check_electorate(&mut self, host: Host, electorate: &Electorate) {
        let Electorate { epoch, nodes, .. } = electorate;
        let known = self.electorates.known.get(epoch);
        if let Some(known) = known.filter(|known| *known != nodes) {
            let reason = format!("{host} goes by {electorate}, and others by {known:?}");
            self.violate(Class::Safety, "S44", reason);
        }
        if known.is_none() {
            self.electorates.changed_at = Some(self.now);
            self.electorates.known.insert(*epoch, nodes.clone());
        }
    }
}
