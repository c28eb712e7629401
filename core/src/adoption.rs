//! Entries of the cluster outlive the node that wrote them: another member copies them.
//!
//! The first live member on the ring copies each, unchanged; where no copy appears, the next one
//! does after a while. A journal is forgotten only once nothing depends on it and everybody who is
//! not forgotten has the copies.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::crdt::Version;
use crate::effect::Effect;
use crate::targets::Targets;
use crate::{Blob, Replica, Time};

/// How long the next member on the ring waits for the copy of the one before it.
const TURN: Duration = Duration::from_secs(2);

/// The replicas that are over, or silent for long, with what still depends on them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Adoption {
    estates: BTreeMap<Replica, Estate>,
    effects: VecDeque<Effect>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Estate {
    since: Time,
    /// Whether the replica is over for good, rather than silent.
    is_over: bool,
    /// Whether it never had an entry that anybody could adopt, as far as its journal is held here.
    is_bare: bool,
    /// Keys of entries that no living journal holds.
    orphans: BTreeSet<Blob>,
    /// Where the living journals stood when the last orphan was seen adopted.
    adopted_at: Option<Vec<(Replica, Version)>>,
}

/// What the machine must know of the journals.
pub(crate) struct Journals<'a> {
    /// Returns whether an entry of this key matters no more, or a living journal holds it.
    pub(crate) is_held: &'a dyn Fn(&Blob) -> bool,
    /// Returns the entry of a replica under a key.
    pub(crate) value: &'a dyn Fn(&Replica, &Blob) -> Option<Blob>,
    /// Returns where the living journals stand here.
    pub(crate) heads: &'a dyn Fn() -> Vec<(Replica, Version)>,
    /// Returns whether every member that is not forgotten has a journal up to a version.
    pub(crate) is_everywhere: &'a dyn Fn(&Replica, Version) -> bool,
    /// Returns whether all members that are up know that a replica is over.
    pub(crate) is_known_over: &'a dyn Fn(&Replica) -> bool,
}

impl Estate {
    fn is_of_no_use(&self) -> bool {
        self.is_over && self.is_bare
    }
}

impl Adoption {
    /// Returns the next effect, in order.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Returns how many entries wait to be adopted.
    pub(crate) fn pending(&self) -> usize {
        self.estates.values().map(|estate| estate.orphans.len()).sum()
    }

    /// Returns how many effects wait to be carried out.
    pub(crate) fn queued(&self) -> usize {
        self.effects.len()
    }

    /// Takes in that `replica` is over, or has been silent for long; `keys` are its entries of the
    /// cluster. Costs the entries of that one journal.
    pub(crate) fn handle_gone(
        &mut self,
        now: Time,
        replica: &Replica,
        is_over: bool,
        keys: impl Iterator<Item = Blob>,
    ) {
        let estate = self.estates.entry(replica.clone()).or_insert_with(|| Estate {
            since: now,
            is_over,
            is_bare: true,
            orphans: BTreeSet::new(),
            adopted_at: None,
        });
        estate.is_over |= is_over;
        estate.orphans.extend(keys);
        estate.is_bare &= estate.orphans.is_empty();
        estate.adopted_at = None;
    }

    /// Returns the replicas that are over and never had an entry of the cluster.
    pub(crate) fn bare(&self) -> Vec<Replica> {
        let bare = self.estates.iter().filter(|(_, estate)| estate.is_of_no_use());
        bare.map(|(replica, _)| replica.clone()).collect()
    }

    /// Lets go of `replica`, which is over and whose journal is held as far as anybody is known to
    /// hold it, if it never had an entry of the cluster; else does nothing.
    ///
    /// Nothing depends on such a journal, so nobody has to hear of anything first: a node that
    /// starts again and again would else leave all its lives behind for as long as the others have
    /// something to tell each other.
    pub(crate) fn let_go_of_bare(&mut self, replica: &Replica) {
        if self.estates.get(replica).is_some_and(Estate::is_of_no_use) {
            self.estates.remove(replica);
            self.effects.push_back(Effect::Forget { replica: replica.clone() });
        }
    }

    /// Takes in that `replica`, which was silent, beats again.
    pub(crate) fn handle_back(&mut self, replica: &Replica) {
        if self.estates.get(replica).is_some_and(|estate| !estate.is_over) {
            self.estates.remove(replica);
        }
    }

    /// Returns whether `replica` is being adopted already.
    pub(crate) fn knows(&self, replica: &Replica) -> bool {
        self.estates.contains_key(replica)
    }

    /// Returns whether some entry of `replica`, which is over, is in no living journal yet.
    pub(crate) fn is_open(&self, replica: &Replica) -> bool {
        self.estates.get(replica).is_some_and(|estate| !estate.orphans.is_empty())
    }

    /// Adopts what is ours to adopt, and lets go of what nothing depends on. Called once a beat.
    pub(crate) fn handle_beat(
        &mut self,
        now: Time,
        me: &Replica,
        targets: &Targets,
        journals: &Journals<'_>,
    ) {
        let mut forgotten = Vec::new();
        let mut heads = None;
        for (replica, estate) in &mut self.estates {
            estate.orphans.retain(|key| !(journals.is_held)(key));
            let turn = now.since(estate.since).as_millis() / TURN.as_millis();
            let turn = usize::try_from(turn).unwrap_or(usize::MAX);
            for key in &estate.orphans {
                let is_ours =
                    (0..=turn.min(8)).any(|turn| targets.candidate(key, turn) == Some(me.node()));
                if is_ours && let Some(value) = (journals.value)(replica, key) {
                    self.effects.push_back(Effect::Put { key: key.clone(), value });
                }
            }
            if !estate.orphans.is_empty() || !estate.is_over {
                continue;
            }
            // A journal that has gone since will never be acknowledged: what it held of the estate
            // is of its own estate now.
            let living: &Vec<_> = heads.get_or_insert_with(|| (journals.heads)());
            let lives = |(journal, _): &(Replica, Version)| {
                living.iter().any(|(living, _)| living == journal)
            };
            if estate.adopted_at.as_ref().is_some_and(|at| !at.iter().all(lives)) {
                estate.adopted_at = None;
            }
            let adopted_at = estate.adopted_at.get_or_insert_with(|| living.clone());
            let is_safe =
                |(journal, head): &(Replica, Version)| (journals.is_everywhere)(journal, *head);
            // What a node that left says last of itself is for all to hear: those too that it could
            // not reach any more, and that have it from us.
            if adopted_at.iter().all(is_safe) && (journals.is_known_over)(replica) {
                forgotten.push(replica.clone());
            }
        }
        for replica in forgotten {
            self.estates.remove(&replica);
            self.effects.push_back(Effect::Forget { replica });
        }
    }
}
