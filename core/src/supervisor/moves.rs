//! Children that run elsewhere than they belong: a plan of moves, and how it is carried out.

use alloc::vec::Vec;
use core::time::Duration;

use crate::mode::Modes;
use crate::placement::{Choice, Exclusion, Move, UserStrategies};
use crate::supervisor::children::{Child, ChildKey};
use crate::supervisor::choices::{chance_of, hosts};
use crate::supervisor::instance::{Instance, Phase, Then};
use crate::supervisor::loads::{Loads, Whereabouts};
use crate::supervisor::{Around, Supervisor};
use crate::targets::Targets;
use crate::{ChildSpec, NodeId, Scope, StopReason, Time};

impl Supervisor {
    /// Returns the moves of the children of `scope` that bring each to where it belongs, in the
    /// order of their ids; if `without` is given, as if that node had left. Changes nothing.
    ///
    /// Of children that stay, those alone are moved whose node has left. Costs all children.
    pub(crate) fn plan(
        &self,
        scope: Scope,
        targets: &Targets,
        strategies: &UserStrategies,
        without: Option<&NodeId>,
    ) -> Vec<Move> {
        let of_scope = self.standing().filter(|((of, _), _)| *of == scope);
        let mut whither = Whither { targets, strategies, modes: &self.modes, without, loads: None };
        let moves = of_scope.filter_map(|(&key, child)| {
            let from = child.runner(self.children.rule())?.node();
            let to = whither.belongs(self.children.loads(), key, child, from)?;
            Some(Move { scope, child: key.1, from: from.clone(), to })
        });
        moves.collect()
    }

    /// Returns where `key` belongs, if it runs elsewhere and may move.
    pub(crate) fn belongs(
        &self,
        key: ChildKey,
        targets: &Targets,
        strategies: &UserStrategies,
    ) -> Option<NodeId> {
        let child = self.children.child(&key)?;
        let from = child.runner(self.children.rule())?.node();
        let mut whither =
            Whither { targets, strategies, modes: &self.modes, without: None, loads: None };
        whither.belongs(self.children.loads(), key, child, from)
    }

    /// Returns whether the children of `scope` stay where they run for now.
    pub(crate) fn are_moves_paused(&self, scope: Scope) -> bool {
        self.moves_paused.contains(&scope)
    }

    /// Takes in that the children of `scope` stay where they run, or move again.
    pub(crate) fn handle_moves_paused(&mut self, now: Time, scope: Scope, is_paused: bool) {
        if is_paused {
            self.moves_paused.insert(scope);
        } else if self.moves_paused.remove(&scope) && self.moves_actively {
            self.unmoved_since = Some(now);
        }
    }

    /// Tells children that belong elsewhere to stop, so that no more than `at_once` are on their
    /// way, if nothing has changed for `quiet` where children may run.
    ///
    /// Costs the children here once more for each beat on which some of them move.
    pub(crate) fn redistribute(&mut self, around: &Around<'_>, at_once: usize, quiet: Duration) {
        let Some(since) = self.unmoved_since else { return };
        if self.is_leaving || around.now.since(since) < quiet {
            return;
        }
        let moving = self.instances.values().filter(|instance| instance.is_moving).count();
        let (me, children) = (around.me.node(), &self.children);
        let (targets, strategies) = (around.targets, around.placing.strategies);
        let mut whither =
            Whither { targets, strategies, modes: &self.modes, without: None, loads: None };
        let moves = |instance: &Instance| !self.moves_paused.contains(&instance.key.0);
        let instances = self.instances.iter().filter(|(_, instance)| moves(instance));
        let misplaced = instances.filter(|(_, instance)| {
            let belongs = children
                .child(&instance.key)
                .and_then(|child| whither.belongs(children.loads(), instance.key, child, me));
            belongs.is_some()
        });
        let mut misplaced = misplaced.peekable();
        if misplaced.peek().is_none() {
            self.unmoved_since = None;
        }
        // What starts or stops already is looked at again at the next beat.
        let may_stop = |instance: &Instance| match instance.phase {
            Phase::Running | Phase::Waiting { .. } => true,
            Phase::Asking | Phase::Starting | Phase::Stopping { .. } | Phase::Frozen => false,
        };
        let next = misplaced.filter(|(_, instance)| may_stop(instance)).map(|(&number, _)| number);
        let next: Vec<u64> = next.take(at_once.saturating_sub(moving)).collect();
        for number in next {
            let instance = self.instances.get_mut(&number).expect("it is one of those here");
            instance.is_moving = true;
            self.stop(number, StopReason::Moving, Then::Gone);
        }
    }
}

/// Where children belong that run already.
struct Whither<'a> {
    targets: &'a Targets,
    strategies: &'a UserStrategies,
    modes: &'a Modes,
    /// A node to be thought of as having left.
    without: Option<&'a NodeId>,
    /// How many children are where, once those have moved that were found to belong elsewhere; from
    /// the first on that is placed by a strategy.
    loads: Option<Loads>,
}

impl Whither<'_> {
    /// Returns where `child` belongs, which runs on `from`, if that is elsewhere and it may move.
    ///
    /// Where it runs there is room for it.
    fn belongs(
        &mut self,
        loads: &Loads,
        key: ChildKey,
        child: &Child,
        from: &NodeId,
    ) -> Option<NodeId> {
        let spec = &child.spec.as_ref()?.spec;
        if spec.stays && self.without != Some(from) {
            return None;
        }
        if spec.placement.is_ring() {
            return self.by_ring(key, child, spec, from);
        }
        let loads = self.loads.get_or_insert_with(|| loads.clone());
        let strategy = spec.placement.strategy(self.strategies)?;
        let hosts = hosts(key, child, self.targets, loads, (Some(from), self.without));
        let (me, chance) = (from, chance_of(key));
        let (is_chosen, hops) = (false, 0);
        let choice = Choice { child: key.1, spec, hosts: &hosts, me, is_chosen, hops, chance };
        let here = hosts.iter().find(|host| host.node == from);
        if self.without != Some(from) && here.is_some_and(|here| strategy.keeps(&choice, here)) {
            return None;
        }
        let to = strategy.choose(&choice).filter(|to| to.is_able && to.node != from)?.node.clone();
        if let Some(place) = child.whereabouts(key.0) {
            loads.add(Whereabouts { node: to.clone(), kin: place.kin.clone() });
            loads.remove(place);
        }
        Some(to)
    }

    fn by_ring(
        &self,
        key: ChildKey,
        child: &Child,
        spec: &ChildSpec,
        from: &NodeId,
    ) -> Option<NodeId> {
        let (place, without) = (child.placement_key(key.1), self.without);
        let needs_lease = self.modes.is_exclusive(key.0);
        let judged = self.targets.judged(&place, spec, |node| child.is_given_up_by(node));
        let mut able = judged.filter(|(node, exclusion)| match exclusion {
            None if needs_lease => without != Some(*node) && self.targets.can_lease(node),
            None => without != Some(*node),
            Some(Exclusion::Full) => *node == from && without != Some(from),
            Some(
                Exclusion::Kind | Exclusion::Strategy | Exclusion::Need(_) | Exclusion::GaveUp,
            ) => false,
        });
        able.next().map(|(node, _)| node).filter(|node| *node != from).cloned()
    }
}
