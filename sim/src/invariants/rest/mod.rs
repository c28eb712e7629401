//! What must come to hold once a cluster is left alone, and stay so.

mod l01_journals_are_equal;
mod l02_the_forgotten_are_gone;
mod l03_no_name_is_lost;
mod l04_no_ghosts;
mod l05_all_see_the_same;
mod l06_every_child_runs_once;
mod l07_leases_are_granted_by_a_majority;
mod l08_what_is_seen_runs;
mod l09_members_are_those_that_live;
mod l10_nothing_is_under_way;
mod l18_all_judge_alike;

use std::collections::BTreeSet;

use ordu_core::{ChildId, Domain, NodeId, ProcessId};

use crate::World;
use crate::host::Host;
use crate::invariants::{Broken, Finding, Promise};
use crate::processes::Run;
use crate::requests::scope;
use crate::verdict::Class;

/// The machines that are left alone together, and must come to rest.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Core {
    /// The machines; their nodes are up.
    pub(crate) hosts: BTreeSet<Host>,
    /// Those of them of which a link comes and goes: others may suspect them now and then.
    pub(crate) flapping: BTreeSet<Host>,
    /// Whether they learn of writes by digests alone: copies are behind for as long as anybody
    /// writes.
    pub(crate) is_late: bool,
}

impl Core {
    /// Returns the core that `hosts` are.
    pub(crate) fn of(hosts: impl IntoIterator<Item = Host>) -> Self {
        Self { hosts: hosts.into_iter().collect(), ..Self::default() }
    }

    /// Iterates over the processes that run on machines of the core.
    pub(crate) fn runs<'w>(&self, world: &'w World) -> impl Iterator<Item = &'w Run> {
        world.processes.running().filter(|run| self.hosts.contains(&run.host))
    }

    /// Returns whether some machine could run `child`: it may run here, its node has the code, is
    /// what the child needs, has room, and has not given it up, as the child's budget says.
    pub(crate) fn can_run(&self, world: &World, child: ChildId) -> bool {
        let Some(node) = self.first().and_then(|host| world.node(host)) else { return true };
        let Some(spec) = node.spec(scope(), child) else { return true };
        let gave_up: Vec<&NodeId> = node.given_up_by(scope(), child).collect();
        let nodes = spec.budget.map_or(usize::MAX, |budget| usize::from(budget.nodes.max(1)));
        let can = |host: &Host| {
            let config = &world.hosts[host].config;
            config.role.runs_children()
                && config.kinds.contains(&spec.kind)
                && spec.needs.iter().all(|need| need.is_met_by(&config.id, &config.labels))
                && config.max_children.is_none_or(|most| world.load(*host) < most)
                && !gave_up.contains(&&config.id)
        };
        self.may_run(world) && gave_up.len() < nodes && self.hosts.iter().any(can)
    }

    /// Returns whether children may run here: they run in any case, or a majority of the voters is
    /// there to grant leases, or the nodes judge that they see enough members.
    pub(crate) fn may_run(&self, world: &World) -> bool {
        let Some(config) = self.first().map(|host| &world.hosts[&host].config) else { return true };
        let mode = config.modes.get(&scope()).copied().unwrap_or_default();
        if mode.quorum().is_some() {
            let children = Domain::Supervisor(scope());
            let judge = |host| Some(world.node(host)?.quorum_of(children).may_run);
            return self.first().and_then(judge).unwrap_or(true);
        }
        if !mode.is_exclusive() {
            return true;
        }
        // By rest all of them go by the latest voters that any of them has heard of.
        let known = self.hosts.iter().filter_map(|&host| world.node(host)?.electorate());
        let Some(voters) = known.max_by_key(|voters| voters.epoch) else { return true };
        let up = self.hosts.iter().filter(|host| voters.nodes.contains(&host.id()));
        voters.majority() <= up.count()
    }

    /// Returns the first machine, in whose view the others' are expected.
    pub(crate) fn first(&self) -> Option<Host> {
        self.hosts.first().copied()
    }
}

/// A check that a core is at rest.
type Check = fn(&World, &Core) -> Finding;

/// Every check, in the order in which they are made: later ones rely on the earlier.
const CHECKS: [(Promise, Check); 11] = [
    (l09_members_are_those_that_live::PROMISE, l09_members_are_those_that_live::check),
    (l01_journals_are_equal::PROMISE, l01_journals_are_equal::check),
    (l05_all_see_the_same::PROMISE, l05_all_see_the_same::check),
    (l04_no_ghosts::PROMISE, l04_no_ghosts::check),
    (l18_all_judge_alike::PROMISE, l18_all_judge_alike::check),
    (l08_what_is_seen_runs::PROMISE, l08_what_is_seen_runs::check),
    (l06_every_child_runs_once::PROMISE, l06_every_child_runs_once::check),
    (l07_leases_are_granted_by_a_majority::PROMISE, l07_leases_are_granted_by_a_majority::check),
    (l03_no_name_is_lost::PROMISE, l03_no_name_is_lost::check),
    (l02_the_forgotten_are_gone::PROMISE, l02_the_forgotten_are_gone::check),
    (l10_nothing_is_under_way::PROMISE, l10_nothing_is_under_way::check),
];

/// Returns what comes to hold at rest.
pub(crate) fn promises() -> impl Iterator<Item = Promise> {
    CHECKS.into_iter().map(|(promise, _)| promise)
}

/// Returns a promise of what comes to pass.
const fn promise(id: &'static str, says: &'static str, made_in: &'static str) -> Promise {
    Promise { id, says, made_in, class: Class::Liveness }
}

/// Checks that `core` is at rest.
///
/// # Errors
///
/// Returns the first promise that does not hold yet.
pub(crate) fn check(world: &World, core: &Core) -> Result<(), Broken> {
    for (promise, check) in CHECKS {
        check(world, core).map_err(|reason| Broken { promise, reason })?;
    }
    Ok(())
}

/// Checks that only `members` of the world are up.
pub(crate) fn check_members(world: &World, core: &Core) -> bool {
    l09_members_are_those_that_live::check(world, core).is_ok()
}

/// Checks that `process` really runs on a machine of the core, in the life that its id says.
fn check_process(world: &World, core: &Core, process: &ProcessId) -> Finding {
    let node = process.replica.node();
    let host = Host::of(node).filter(|host| core.hosts.contains(host));
    let Some(host) = host else { return Err(format!("{process} is on a node that is not up")) };
    if !world.runs_process(process) {
        return Err(format!("{process} does not run"));
    }
    let incarnation = world.members(host).get(node).map(|member| member.incarnation);
    if incarnation.is_some_and(|incarnation| incarnation != process.replica.incarnation()) {
        return Err(format!("{process} is of a life that is over"));
    }
    Ok(())
}
