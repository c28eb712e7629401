//! L18. Of nodes that hear each other all have a quorum, or none, and where none has nothing runs.

use ordu_core::{Domain, Node, Quorum};

use crate::World;
use crate::host::Host;
use crate::invariants::rest::{Core, promise};
use crate::invariants::{Finding, Promise};
use crate::requests::{locks, scope};

/// What comes to hold.
pub(super) const PROMISE: Promise = promise(
    "L18",
    "nodes that stop in the minority all have a quorum or none has, as its rule says, and where \
     none has no child runs and no name is held that takes one",
    "ordu_core::OnMinority",
);

/// Checks it; that all children run where there is a quorum is L6.
pub(super) fn check(world: &World, core: &Core) -> Finding {
    for domain in [Domain::Supervisor(scope()), Domain::Registry(locks())] {
        let nodes = core.hosts.iter().filter_map(|&host| Some((host, world.node(host)?)));
        let mut first = None;
        for (host, node) in nodes {
            let view = node.quorum_of(domain);
            let Some(quorum) = view.mode.quorum() else { return Ok(()) };
            let judged = (view.may_run, view.up, view.of);
            let (other, alike) = *first.get_or_insert((host, judged));
            if judged != alike {
                return Err(format!(
                    "by {quorum:?} {host} judges {judged:?}, and {other} {alike:?}"
                ));
            }
            if expected(world, core, quorum).is_some_and(|is_met| is_met != view.may_run) {
                return Err(format!("{host} judges {judged:?} by {quorum:?}, which is wrong"));
            }
            if !view.may_run
                && let Some(what) = run_in(world, host, node, domain)
            {
                return Err(format!("{host} has {what}, and no quorum by {quorum:?}"));
            }
        }
    }
    Ok(())
}

/// Returns whether `core` has a quorum by who is up; nothing, where a rule goes by who is
/// remembered.
fn expected(world: &World, core: &Core, quorum: Quorum) -> Option<bool> {
    let first = core.first()?;
    if let Quorum::Static { size } = quorum {
        return Some(size <= core.hosts.len());
    }
    if quorum == Quorum::Voters {
        let voters = world.hosts[&first].config.voters.as_ref()?;
        let up = core.hosts.iter().filter(|host| voters.nodes.contains(&host.id()));
        return Some(voters.majority() <= up.count());
    }
    None
}

/// Returns what there is on `host` of `domain`, if there is anything.
fn run_in(world: &World, host: Host, node: &Node, domain: Domain) -> Option<String> {
    match domain {
        Domain::Supervisor(_) => {
            let mut runs = world.processes.running().filter(|run| run.host == host);
            let child = runs.find_map(|run| run.child)?;
            Some(format!("child {child}"))
        }
        Domain::Registry(registry) => {
            let names = &world.view(host).names;
            let own = names.iter().find(|((scope, _), holder)| {
                *scope == registry && Some(&holder.process.replica) == node.replica()
            });
            own.map(|((_, name), _)| format!("name {name}"))
        }
    }
}
