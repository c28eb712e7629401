//! Which member runs a child that is not placed by the ring: its strategy is asked, and what it
//! chooses stands in the journal of whoever asked until the child is claimed.
//!
//! ```text
//!   unclaimed ──(the ring's owner asks)──▶ assigned ──(the chosen asks)──▶ claimed
//!                                            │  ▲
//!                                            └──┘ passed on, so many times at most
//! ```
//!
//! A choice counts until whoever made it sees the child claimed, and deletes it. Which choice
//! counts follows from the visible journals alone, and from nothing that a newcomer does not know:
//! where two nodes went by different choices, each could wait for the other. One whose member
//! cannot run the child any more is passed over, and the owner on the ring asks anew.

use alloc::vec::Vec;

use crate::effect::Effect;
use crate::entry::{AssignedEntry, Entry, Key};
use crate::placement::{Choice, Exclusion, Host, UserStrategies};
use crate::supervisor::children::{Assigned, Child, ChildKey};
use crate::supervisor::loads::Loads;
use crate::supervisor::{Around, Supervisor};
use crate::targets::Targets;
use crate::{NodeId, Replica, hash64};

/// How a node goes by strategies, as it was told at its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placing<'a> {
    /// The strategies of users that it has code for.
    pub(crate) strategies: &'a UserStrategies,
    /// How often a child may be passed on.
    pub(crate) max_hops: u16,
}

/// Where a child is to start.
pub(super) enum Verdict {
    /// Here.
    Here,
    /// Where this says.
    There(AssignedEntry),
    /// Nowhere yet.
    Nowhere,
}

impl Supervisor {
    /// Takes in that the journal of `replica` says whom it chose for `key`, or does not any more.
    pub(crate) fn handle_assigned(
        &mut self,
        around: &mut Around<'_>,
        replica: &Replica,
        is_visible: bool,
        key: ChildKey,
        entry: Option<AssignedEntry>,
    ) {
        self.children.change(key, |child| {
            child.assigned.retain(|assigned| assigned.replica != *replica);
            if let Some(entry) = entry {
                let replica = replica.clone();
                child.assigned.push(Assigned { replica, entry, visible: is_visible });
            }
        });
        self.reconcile(around, key);
    }

    /// Returns where the strategy of `key`, which is to start, has it start.
    pub(super) fn consult(&mut self, around: &mut Around<'_>, key: ChildKey) -> Verdict {
        let child = self.children.child(&key).expect("unclaimed children are known");
        let spec = &child.spec.as_ref().expect("unclaimed children have a specification").spec;
        let me = around.me.node();
        let (chosen, hops) =
            child.choice().map_or((None, 0), |choice| (Some(&choice.to), choice.hops));
        let is_chosen = chosen == Some(me);
        let strategy = spec.placement.strategy(around.placing.strategies);
        let Some(strategy) = strategy.filter(|_| hops < around.placing.max_hops) else {
            return Verdict::Here;
        };
        let hosts = hosts(key, child, around.targets, self.children.loads(), (None, None));
        let chance = self.random.draw();
        let choice = Choice { child: key.1, spec, hosts: &hosts, me, is_chosen, hops, chance };
        match strategy.choose(&choice).filter(|host| host.is_able).map(|host| host.node) {
            None => Verdict::Nowhere,
            Some(node) if node == me => Verdict::Here,
            Some(node) => Verdict::There(AssignedEntry {
                stamp: around.clock.stamp(),
                hops: hops + 1,
                to: node.clone(),
            }),
        }
    }

    /// Writes down whom `key` goes to.
    pub(super) fn assign(&mut self, key: ChildKey, entry: &AssignedEntry) {
        let key = Key::Assigned(key.0, key.1).encode();
        self.effects.push_back(Effect::Put { key, value: entry.encode() });
    }

    /// Returns the members as the strategy of `key` sees them, in the order of the ring.
    pub(crate) fn hosts<'a>(&'a self, key: ChildKey, targets: &'a Targets) -> Vec<Host<'a>> {
        let (child, loads) = (self.children.child(&key), self.children.loads());
        child.map_or_else(Vec::new, |child| hosts(key, child, targets, loads, (None, None)))
    }

    /// Returns whether the strategy of `key` was asked here and chose nobody.
    pub(crate) fn has_declined(&self, key: &ChildKey) -> bool {
        self.declined.contains(key)
    }

    /// Has the strategies asked again that chose nobody, once a beat.
    pub(crate) fn handle_beat(&mut self) {
        self.due.append(&mut self.declined);
    }
}

impl Child {
    /// Returns whether the journal of `me` holds a choice that counts no more: the child is claimed
    /// or over, or somebody chose later.
    pub(super) fn has_stale_choice(&self, me: &Replica) -> bool {
        let own = self.assigned.iter().find(|assigned| assigned.replica == *me);
        own.is_some_and(|own| {
            let is_open = self.spec.is_some() && self.end.is_none() && !self.is_claimed();
            !is_open || self.choice() != Some(&own.entry)
        })
    }
}

/// Returns the members as the strategy of `child` sees them, `without` one that counts as unable.
/// The one that it runs `on` has room for it.
pub(super) fn hosts<'a>(
    key: ChildKey,
    child: &'a Child,
    targets: &'a Targets,
    loads: &Loads,
    (on, without): (Option<&NodeId>, Option<&NodeId>),
) -> Vec<Host<'a>> {
    let Some(entry) = &child.spec else { return Vec::new() };
    let kin = child.kin(key.0);
    let whereabouts = child.whereabouts(key.0);
    let place = child.placement_key(key.1);
    let judged = targets.judged(&place, &entry.spec, |node| child.is_given_up_by(node));
    let hosts = judged.map(|(node, exclusion)| {
        let (labels, weight) = targets.described(node);
        let itself = usize::from(whereabouts.as_ref().is_some_and(|place| place.node == *node));
        let kin = kin.as_ref().map_or(0, |kin| loads.kin(kin, node).saturating_sub(itself));
        Host {
            node,
            labels,
            weight,
            children: loads.children(node).saturating_sub(itself),
            kin,
            is_able: without != Some(node)
                && (exclusion.is_none() || on == Some(node) && exclusion == Some(Exclusion::Full)),
        }
    });
    hosts.collect()
}

/// Returns the number that stands for chance where nothing is started by it.
pub(super) fn chance_of(key: ChildKey) -> u64 {
    hash64(&key.1.to_bytes())
}
