//! What must come to hold once a core is left alone, and stay so: the promises of the step-driven
//! runs, by what readers of real nodes see and by what the processes themselves have written.

use std::collections::{BTreeMap, BTreeSet};

use ordu::{ChildId, ChildInfo, Found, Name, NameEvent, ProcessId};

use crate::Host;
use crate::mad::actor::is_steady;
use crate::mad::ledger::{Pages, is_alive};
use crate::mad::run::Run;

/// A promise that does not hold, and what was seen instead.
pub(super) type Wrong = (&'static str, String);

/// What the readers of a node see.
struct Seen {
    names: BTreeMap<Name, Found>,
    children: Vec<ChildInfo>,
}

impl Run<'_> {
    /// Checks that `core` is at rest; later checks rely on the earlier.
    pub(super) async fn check_rest(&self, core: &BTreeSet<Host>) -> Result<(), Wrong> {
        self.check_members(core)?;
        let first = *core.first().expect("a core that is checked has machines");
        let seen = self.look(first).await;
        for &other in core {
            self.check_views(first, &seen, other).await?;
        }
        let homeless = self.homeless(first, &seen).await;
        let mut pages = self.ledger.pages();
        for (name, found) in &seen.names {
            pages.see(name, found);
        }
        check_names(&pages, core, &seen)?;
        check_seen_children(&pages, core, &seen, &homeless)?;
        check_children(&pages, core, &homeless)?;
        check_given(&pages, core, &seen)?;
        match pages.unanswered(core) {
            None => Ok(()),
            Some(reason) => Err(("L11", reason)),
        }
    }

    /// L9. Every node of the core sees the core alive, and nobody else.
    fn check_members(&self, core: &BTreeSet<Host>) -> Result<(), Wrong> {
        for &host in core {
            if self.cluster.started(host).is_none() {
                return Err(("L9", format!("{host} has not started yet")));
            }
            let members = self.cluster.members(host);
            for &other in self.conditions.keys() {
                let status = members.get(&other.to_string());
                if is_alive(status) != core.contains(&other) {
                    return Err(("L9", format!("{host} sees {other} as {status:?}")));
                }
            }
        }
        Ok(())
    }

    async fn look(&self, host: Host) -> Seen {
        let node = self.cluster.node(host);
        let names =
            match node.registry("default").subscribe().expect("every node has it").next().await {
                Some(NameEvent::Snapshot { names, .. }) => names.into_iter().collect(),
                // Over, or it would have begun with a snapshot; the members say so, too.
                _ => BTreeMap::new(),
            };
        Seen { names, children: node.supervisor("default").children() }
    }

    /// Returns the children that no node can run, as `host` explains it: too few have room, or none
    /// is what the child needs. The step-driven runs judge that by themselves.
    async fn homeless(&self, host: Host, seen: &Seen) -> BTreeSet<ChildId> {
        let supervisor = self.cluster.node(host).supervisor("default");
        let mut homeless = BTreeSet::new();
        for child in seen.children.iter().filter(|child| child.process.is_none()) {
            let explained = supervisor.explain(child.id).await;
            if explained.is_ok_and(|explained| explained.owner.is_none()) {
                homeless.insert(child.id);
            }
        }
        homeless
    }

    /// L5. All see the same, by whichever way they read.
    async fn check_views(&self, first: Host, seen: &Seen, other: Host) -> Result<(), Wrong> {
        let theirs = self.look(other).await;
        if let Some((name, found)) = differing(&seen.names, &theirs.names) {
            return Err(("L5", format!("{name} is otherwise to {first} and {other}: {found}")));
        }
        if seen.children != theirs.children {
            let (ours, theirs) = (&seen.children, &theirs.children);
            let odd = ours.iter().find(|child| !theirs.contains(child));
            let odd = odd.or_else(|| theirs.iter().find(|child| !ours.contains(child)));
            return Err(("L5", format!("{first} and {other} do not both see {odd:?}")));
        }
        let node = self.cluster.node(other);
        let registry = node.registry("default");
        let looked_up = |(name, found)| registry.lookup(name).as_ref() == Some(found);
        let counted = (registry.count(), node.supervisor("default").count());
        if counted != (seen.names.len(), seen.children.len()) || !theirs.names.iter().all(looked_up)
        {
            return Err(("S9", format!("the view of {other} does not add up: {counted:?}")));
        }
        let pages = self.ledger.pages();
        let shown = pages.shown.get(&other).cloned().unwrap_or_default();
        match differing(&theirs.names, &shown) {
            None => Ok(()),
            Some((name, found)) => {
                let reason = format!("{name}: {other} and who listens to it differ: {found}");
                Err(("L5", reason))
            }
        }
    }
}

fn differing<'a>(
    ours: &'a BTreeMap<Name, Found>,
    theirs: &'a BTreeMap<Name, Found>,
) -> Option<(&'a Name, String)> {
    let name = ours.keys().chain(theirs.keys()).find(|&name| ours.get(name) != theirs.get(name))?;
    Some((name, format!("{:?} and {:?}", ours.get(name), theirs.get(name))))
}

/// L4. Every name that is seen is held by a process that runs, of the child that it says.
fn check_names(pages: &Pages, core: &BTreeSet<Host>, seen: &Seen) -> Result<(), Wrong> {
    for (name, Found { process, child, .. }) in &seen.names {
        check_process(pages, core, process).map_err(|why| ("L4", format!("name {name}: {why}")))?;
        let runs = pages.run_of(process).and_then(|run| run.child);
        if child.is_some() && runs != *child {
            return Err(("L4", format!("name {name} is of {child:?}; {process} runs {runs:?}")));
        }
    }
    Ok(())
}

/// L8. The children that are seen are the children that run.
fn check_seen_children(
    pages: &Pages,
    core: &BTreeSet<Host>,
    seen: &Seen,
    homeless: &BTreeSet<ChildId>,
) -> Result<(), Wrong> {
    for ChildInfo { id, kind, process, .. } in &seen.children {
        match process {
            Some(process) => check_process(pages, core, process)
                .map_err(|why| ("L8", format!("child {id}: {why}")))?,
            None if is_steady(kind) && !homeless.contains(id) => {
                return Err(("L8", format!("child {id} of kind {kind} does not run")));
            }
            None => {}
        }
    }
    let in_core = pages.running().filter(|run| core.contains(&run.host));
    for run in in_core {
        let of_run = |child: &ChildInfo| Some(child.id) == run.child;
        if run.child.is_some() && !seen.children.iter().any(of_run) {
            return Err(("L8", format!("{:?} runs on {}, unseen", run.child, run.host)));
        }
    }
    Ok(())
}

/// L6. Every child that was accepted runs, once, and under a name runs one child.
fn check_children(
    pages: &Pages,
    core: &BTreeSet<Host>,
    homeless: &BTreeSet<ChildId>,
) -> Result<(), Wrong> {
    let (mut children, mut names) = (BTreeMap::new(), BTreeMap::new());
    for run in pages.running().filter(|run| core.contains(&run.host)) {
        let Some(child) = run.child else { continue };
        if let Some(twin) = children.insert(child, run.host) {
            return Err(("L6", format!("child {child} runs on {twin} and on {}", run.host)));
        }
        let name = pages.oracle.children.name_of(child);
        if let Some(twin) = name.and_then(|name| names.insert(name, run.host)) {
            return Err(("L6", format!("{name:?} runs on {twin} and on {}", run.host)));
        }
    }
    for (child, kind) in pages.oracle.children.due() {
        let must_run = is_steady(kind) && !homeless.contains(&child);
        if must_run && !children.contains_key(&child) {
            return Err(("L6", format!("child {child} of kind {kind} was accepted and is lost")));
        }
    }
    Ok(())
}

/// L3. Every name that was given to a process that runs is seen by all.
fn check_given(pages: &Pages, core: &BTreeSet<Host>, seen: &Seen) -> Result<(), Wrong> {
    for (_, name, process) in pages.oracle.names.due() {
        let is_there = Host::of(process.replica.node()).is_some_and(|host| core.contains(&host));
        if is_there && seen.names.get(name).map(|found| &found.process) != Some(process) {
            return Err(("L3", format!("{process} was given the name {name}, and lacks it")));
        }
    }
    Ok(())
}

fn check_process(pages: &Pages, core: &BTreeSet<Host>, process: &ProcessId) -> Result<(), String> {
    let host = Host::of(process.replica.node()).filter(|host| core.contains(host));
    match host {
        None => Err(format!("{process} is on a node that is not up")),
        Some(_) if !pages.runs_process(process) => Err(format!("{process} does not run")),
        Some(_) => Ok(()),
    }
}
