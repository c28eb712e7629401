//! Who asks for the lease on a child that nobody is seen to claim, and when it gives up.
//!
//! ```text
//!   unclaimed ──(in its turn)──▶ asking ──(granted)──▶ starting
//!       ▲                          │                      │
//!       └──── not granted, ────────┘                      │ its lease ends
//!             after a back-off                            ▼
//!       ▲                                               stopping, at once
//!       └─────────────────────────────────────────────────┘
//! ```
//!
//! The ring says who asks first, and leases alone who runs: whoever belongs there may not reach a
//! majority where another one does. So the second candidate asks a moment later, and the third
//! after that, unless a claim is seen; of two that ask at once the worse placed withdraws; and who
//! is not granted anything withdraws and waits for a while, each time twice as long, so that votes
//! that are split come together.

use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::effect::Effect;
use crate::entry::Reason;
use crate::lease::{Voters, ballot};
use crate::supervisor::children::{Child, ChildKey};
use crate::supervisor::instance::{Phase, Then};
use crate::supervisor::{Around, Supervisor};
use crate::targets::Targets;
use crate::{Event, NodeId, Output, StopReason, Time};

/// How much later than the one before a candidate asks.
const STEP: Duration = Duration::from_millis(100);

/// The children that are to run under a lease, and that nobody is seen to claim.
///
/// Invariant: `timers` holds each time in `children`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Contention {
    /// How often leases are renewed: how soon at least who was not granted one asks again.
    period: Duration,
    /// The longest back-off.
    back_off_max: Duration,
    children: BTreeMap<ChildKey, Contended>,
    timers: BTreeSet<(Time, ChildKey)>,
    /// The children that this node asks for, and perhaps some that it has asked for.
    asked: BTreeSet<ChildKey>,
    /// How many claims wait for their leases.
    asking: usize,
    /// The children that are placed once fewer do.
    held_back: BTreeSet<ChildKey>,
    /// The ballot of the last claim here on each child that has not ended: no other has the same.
    ballots: BTreeMap<ChildKey, u64>,
}

/// A child that nobody is seen to claim, or that was not granted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Contended {
    /// Since when nobody is seen to claim it.
    since: Option<Time>,
    /// How often in a row its lease was not granted here.
    refusals: u32,
    /// The highest ballot that voters are known to have promised it for.
    ballot: u64,
    /// Not before.
    not_before: Time,
    /// When to look again.
    timer: Option<Time>,
}

/// Whether it is this node's turn to ask for a child.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Turn {
    /// It is, and the child belongs here.
    Owns,
    /// It is, as those have not claimed it to whom it belongs rather.
    StandsIn,
    /// It is not, or not yet.
    Waits,
}

impl Contention {
    pub(super) fn new(voters: Option<&Voters>) -> Self {
        let period = voters.map_or(Duration::ZERO, Voters::period);
        let back_off_max = voters.map_or(Duration::ZERO, Voters::promise);
        Self { period, back_off_max, ..Self::default() }
    }

    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Returns how many claims wait for their leases.
    pub(super) fn asking(&self) -> usize {
        self.asking
    }

    /// Keeps a child for when fewer claims wait for their leases: those that need none start
    /// meanwhile.
    pub(super) fn hold_back(&mut self, key: ChildKey) {
        self.held_back.insert(key);
    }

    /// Lets go of every claim: this life of the node is over.
    pub(super) fn abandon(&mut self) {
        self.asking = 0;
        self.asked.clear();
        self.held_back.clear();
    }

    /// Takes out the children that are to be looked at again.
    pub(super) fn due(&mut self, now: Time) -> BTreeSet<ChildKey> {
        let mut due = BTreeSet::new();
        while let Some(&(at, key)) = self.timers.first()
            && at <= now
        {
            self.timers.pop_first();
            if let Some(contended) = self.children.get_mut(&key) {
                contended.timer = None;
            }
            due.insert(key);
        }
        due
    }

    /// Forgets a child that has ended.
    pub(super) fn end(&mut self, key: &ChildKey) {
        self.ballots.remove(key);
        self.asked.remove(key);
        self.forget(key);
    }

    /// Takes in that nobody contends for a child any more.
    fn forget(&mut self, key: &ChildKey) {
        if let Some(contended) = self.children.remove(key)
            && let Some(at) = contended.timer
        {
            self.timers.remove(&(at, *key));
        }
    }

    /// Takes in that `key` is claimed; `is_granted` if some process of it runs.
    fn settle(&mut self, key: ChildKey, is_granted: bool) {
        if is_granted {
            return self.forget(&key);
        }
        if let Some(contended) = self.children.get_mut(&key) {
            contended.since = None;
            if let Some(at) = contended.timer.take() {
                self.timers.remove(&(at, key));
            }
        }
    }

    /// Takes in that something is in the way of `key`: once it is gone, all have their turns anew.
    /// Otherwise whoever sees that first would be before those to whom it belongs.
    pub(super) fn wait_anew(&mut self, key: &ChildKey) {
        if let Some(contended) = self.children.get_mut(key) {
            contended.since = None;
        }
    }

    fn look_again(&mut self, key: ChildKey, at: Time) {
        let contended = self.children.entry(key).or_default();
        if let Some(before) = contended.timer.replace(at) {
            self.timers.remove(&(before, key));
        }
        self.timers.insert((at, key));
    }
}

impl Supervisor {
    /// Iterates over the processes of earlier lives of this node that have not stopped yet.
    pub(crate) fn fading(&self) -> impl Iterator<Item = u64> {
        self.fading.values().copied()
    }

    /// Counts a claim that waits for its lease from now on, or does not any more; what was held
    /// back while too many did is placed then.
    pub(super) fn count_asking(&mut self, is_asking: bool, was_asking: bool) {
        let contention = &mut self.contention;
        contention.asking = contention.asking + usize::from(is_asking) - usize::from(was_asking);
        if contention.asking < self.starts_at_once {
            self.due.append(&mut contention.held_back);
        }
    }

    /// Returns whether it is our turn to claim `key`, which nobody is seen to claim; if it is not
    /// yet, it is looked at again when it is. Without a lease, nobody stands in.
    pub(super) fn turn(&mut self, around: &Around<'_>, key: ChildKey) -> Turn {
        if !self.modes.is_exclusive(key.0) {
            let child = self.children.child(&key).expect("unclaimed children are known");
            let is_ours = child.owner(key.1, around.targets) == Some(around.me.node());
            return if is_ours { Turn::Owns } else { Turn::Waits };
        }
        // It is looked at again when that changes.
        if !around.targets.outlook().reaches_majority {
            return Turn::Waits;
        }
        let child = self.children.child(&key).expect("unclaimed children are known");
        let Some(place) = place_of(child, key, around.targets, around.me.node()) else {
            return Turn::Waits;
        };
        let now = around.now;
        let contended = self.contention.children.entry(key).or_default();
        let since = *contended.since.get_or_insert(now);
        let steps = u32::try_from(place).unwrap_or(u32::MAX);
        let at = (since + STEP.saturating_mul(steps)).max(contended.not_before);
        if now < at {
            self.contention.look_again(key, at);
            return Turn::Waits;
        }
        if place == 0 { Turn::Owns } else { Turn::StandsIn }
    }

    /// Returns the ballot of a claim on `key` made now: above all that are known.
    pub(super) fn next_ballot(&mut self, around: &mut Around<'_>, key: ChildKey) -> u64 {
        let child = self.children.child(&key);
        let claims = child.into_iter().flat_map(|child| &child.claims);
        let claims = claims.map(|claim| ballot(&claim.entry));
        let past = child.and_then(|child| child.past.as_ref()).map(|past| past.moves);
        let own = self.contention.ballots.get(&key).copied();
        let refused = self.contention.children.get(&key).map(|contended| contended.ballot);
        let known = claims.chain(past).chain(own).chain(refused).max().unwrap_or(0);
        let ballot = around.clock.stamp().as_u64().max(known.saturating_add(1));
        self.contention.ballots.insert(key, ballot);
        ballot
    }

    /// Starts the process `number`, or asks for the lease that it needs.
    pub(super) fn set_out(&mut self, around: &mut Around<'_>, number: u64) {
        let key = self.instances[&number].key;
        if self.modes.is_exclusive(key.0) {
            let ballot = self.next_ballot(around, key);
            let instance = self.instances.get_mut(&number).expect("just seen");
            instance.standing.moves = ballot;
            self.ask(number);
        } else {
            self.set_phase(number, Phase::Starting);
            self.write_claim(number);
            self.emit_start(number);
        }
    }

    /// Claims for the process `number` what it runs; it starts once that is granted.
    pub(super) fn ask(&mut self, number: u64) {
        self.set_phase(number, Phase::Asking);
        self.write_claim(number);
        self.contention.asked.insert(self.instances[&number].key);
    }

    /// Looks again at the claims that wait for leases: the members changed, and with them who comes
    /// before whom.
    pub(crate) fn contend_again(&mut self, around: &Around<'_>) {
        let asks = |key: &ChildKey| {
            let number = self.by_child.get(key);
            number.is_some_and(|number| self.instances[number].phase == Phase::Asking)
        };
        let asked: BTreeSet<ChildKey> =
            self.contention.asked.iter().filter(|key| asks(key)).copied().collect();
        self.contention.asked.clone_from(&asked);
        for key in asked {
            self.contend(around, key);
        }
    }

    /// Takes in that the process `number` may run until `until`.
    pub(crate) fn handle_granted(&mut self, around: &Around<'_>, number: u64, until: Time) {
        let Some(instance) = self.instances.get_mut(&number) else { return };
        if instance.phase != Phase::Asking {
            return;
        }
        instance.lease_until = Some(until);
        let (key, is_first) = (instance.key, !instance.has_run_here());
        self.contention.asked.remove(&key);
        self.contention.forget(&key);
        self.set_phase(number, Phase::Starting);
        self.emit_start(number);
        let child = self.children.child(&key).expect("what is claimed is known");
        let is_ours = place_of(child, key, around.targets, around.me.node()) == Some(0);
        if self.moves_actively && is_first && !is_ours {
            self.unmoved_since = Some(around.now);
        }
    }

    /// Takes in that the lease of the process `number` has ended: it is over for good.
    pub(crate) fn handle_lapsed(&mut self, number: u64) {
        let Some(instance) = self.instances.get(&number) else { return };
        let child = instance.key.1;
        let runs = match instance.phase {
            Phase::Starting | Phase::Running | Phase::Stopping { .. } => true,
            Phase::Asking | Phase::Waiting { .. } | Phase::Frozen => false,
        };
        if runs {
            // Its claim stays until it is known to be gone.
            self.set_phase(number, Phase::Stopping { then: Then::Lapsed });
            let (reason, grace) = (StopReason::Lapsed, Duration::ZERO);
            self.effects.push_back(Effect::Emit(Output::Stop { number, reason, grace }));
            let event = Event::LeaseLapsed { child };
            self.effects.push_back(Effect::Emit(Output::Event(event)));
        } else {
            self.drop_instance_for(number, Reason::Lapsed);
        }
    }

    /// Takes in that nobody grants the claim of the process `number`: it is withdrawn, and made
    /// anew later, above `ballot`.
    pub(crate) fn handle_ungranted(
        &mut self,
        now: Time,
        number: u64,
        ballot: u64,
        is_outbid: bool,
    ) {
        let Some(instance) = self.instances.get(&number) else { return };
        let key = instance.key;
        if instance.phase == Phase::Asking {
            // The others have their turns before it is ours again.
            let least = if is_outbid { STEP } else { self.contention.period };
            self.back_off_from(now, key, ballot, least);
            self.drop_instance(number);
        }
    }

    /// Withdraws our claim on `key`, which waits for its lease, if another one is better.
    pub(super) fn contend(&mut self, around: &Around<'_>, key: ChildKey) {
        if !self.modes.is_exclusive(key.0) {
            return;
        }
        let Some(child) = self.children.child(&key) else { return };
        let runs = child.claims.iter().any(|claim| claim.visible && claim.entry.running);
        self.contention.settle(key, runs);
        let Some(&number) = self.by_child.get(&key) else { return };
        if self.instances[&number].phase != Phase::Asking {
            return;
        }
        let me = around.me.node();
        let place =
            |node: &NodeId| place_of(child, key, around.targets, node).unwrap_or(usize::MAX);
        let own = place(me);
        let rivals =
            child.claims.iter().filter(|claim| claim.visible && claim.replica.node() != me);
        let is_behind = rivals
            .into_iter()
            .any(|rival| rival.entry.running || place(rival.replica.node()) < own);
        if is_behind {
            self.back_off_from(around.now, key, 0, STEP);
            self.drop_instance(number);
        }
    }

    fn back_off_from(&mut self, now: Time, key: ChildKey, ballot: u64, least: Duration) {
        let max = self.contention.back_off_max;
        let contended = self.contention.children.entry(key).or_default();
        let doublings = contended.refusals.min(10);
        contended.refusals = contended.refusals.saturating_add(1);
        contended.ballot = contended.ballot.max(ballot);
        contended.since = None;
        let wait = least.saturating_mul(1 << doublings).min(max);
        contended.not_before = now + self.random.jittered(wait);
    }
}

/// Returns how many members come before `node` for `child`, of those that could be granted a lease;
/// `None` if it cannot run it.
fn place_of(child: &Child, key: ChildKey, targets: &Targets, node: &NodeId) -> Option<usize> {
    let owner = child.owner(key.1, targets)?;
    let spec = &child.spec.as_ref()?.spec;
    // Who is chosen by a strategy has nobody to stand in for it: another one is chosen.
    if !spec.placement.is_ring() {
        return (owner == node).then_some(0);
    }
    let place = child.placement_key(key.1);
    let judged = targets.judged(&place, spec, |node| child.is_given_up_by(node));
    let mut able = judged.filter(|(candidate, exclusion)| {
        exclusion.is_none() && (targets.can_lease(candidate) || *candidate == node)
    });
    able.position(|(candidate, _)| candidate == node)
}
