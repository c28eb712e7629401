//! What the world really looks like, what the nodes believe, and whether the two agree.

use std::collections::BTreeMap;
use std::time::Duration;

use ordu_core::{ChildId, ChildView, Holder, MemberStatus, MemberView, NodeId, ProcessId};

use crate::World;
use crate::host::Host;
use crate::processes::Run;
use crate::requests::{name, scope};
use crate::view::View;

/// How often a world that is to settle is looked at.
const LOOK: Duration = Duration::from_millis(50);

impl World {
    /// Returns who holds the name `text`, as `host`'s readers see it.
    pub fn lookup(&self, host: Host, text: &str) -> Option<&Holder> {
        self.view(host).names.get(&(scope(), name(text)))
    }

    /// Returns the children, as `host`'s readers see them.
    pub fn children(&self, host: Host) -> BTreeMap<ChildId, &ChildView> {
        let children = self.view(host).children.iter();
        children.map(|((_, child), view)| (*child, view)).collect()
    }

    /// Returns the members, as `host`'s readers see them.
    pub fn members(&self, host: Host) -> &BTreeMap<NodeId, MemberView> {
        &self.view(host).members
    }

    /// Returns how `of` is, as `host`'s readers see it; `None` if it is no member.
    pub fn status(&self, host: Host, of: Host) -> Option<MemberStatus> {
        self.members(host).get(&of.id()).map(|member| member.status)
    }

    /// Returns everything that `host`'s readers see.
    pub fn view(&self, host: Host) -> &View {
        &self.running(host).view
    }

    /// Returns every run of every process so far, in the order in which they began.
    pub fn runs(&self) -> &[Run] {
        self.processes.runs()
    }

    /// Returns every run of `child` so far.
    pub fn runs_of(&self, child: ChildId) -> Vec<&Run> {
        self.runs().iter().filter(|run| run.child == Some(child)).collect()
    }

    /// Returns the machines that really run `child` now, once for each process.
    pub fn running_child(&self, child: ChildId) -> Vec<Host> {
        let runs = self.processes.running();
        runs.filter(|run| run.child == Some(child)).map(|run| run.host).collect()
    }

    /// Returns the machines that really run a child that was started with the name `text`, once for
    /// each process.
    pub fn running_name(&self, text: &str) -> Vec<Host> {
        let name = name(text);
        let named =
            |run: &&Run| run.child.is_some_and(|child| self.promises.name_of(child) == Some(&name));
        self.processes.running().filter(named).map(|run| run.host).collect()
    }

    /// Returns whether `process` really runs now.
    pub fn runs_process(&self, process: &ProcessId) -> bool {
        let host = Host::of(process.replica.node());
        let is = |run: &Run| Some(run.host) == host && run.number == process.number;
        self.processes.running().any(is)
    }

    /// Returns how many processes `host` runs now.
    pub fn load(&self, host: Host) -> usize {
        self.processes.running().filter(|run| run.host == host).count()
    }

    /// Returns the sum that the counter `process` has.
    pub fn total(&self, process: &ProcessId) -> Option<u64> {
        self.processes.total(Host::of(process.replica.node())?, process.number)
    }

    /// Returns whether every node that is up sees every other as alive, and knows what it can run.
    pub fn all_know_each_other(&self) -> bool {
        let up = self.up();
        let knows = |&host: &Host, other: &Host| {
            let member = self.members(host).get(&other.id());
            member.is_some_and(|member| member.kinds == self.state(*other).config.kinds)
        };
        let know = |host: &Host| up.iter().all(|other| other == host || knows(host, other));
        self.check_members().is_ok() && up.iter().all(know)
    }

    /// Lets time pass until [`World::check_settled`] finds nothing wrong.
    ///
    /// # Panics
    ///
    /// Panics if it still does after `within`.
    #[track_caller]
    pub fn settle(&mut self, within: Duration) {
        let end = self.now() + within;
        loop {
            match self.check_settled() {
                Ok(()) => return,
                Err(wrong) if end <= self.now() => self.fail(wrong),
                Err(_) => self.run_for(LOOK),
            }
        }
    }

    /// Checks that the cluster is as it must be once it is at rest.
    ///
    /// # Panics
    ///
    /// Panics if it is not.
    #[track_caller]
    pub fn assert_settled(&self) {
        if let Err(wrong) = self.check_settled() {
            self.fail(wrong);
        }
    }

    /// Checks that the cluster is as it must be once it is at rest: all nodes that are up know each
    /// other and believe the same; what they believe to run, runs, and nothing else; no child and
    /// no name has two processes; and every child whose start was accepted runs.
    ///
    /// # Errors
    ///
    /// Says what is wrong.
    pub fn check_settled(&self) -> Result<(), String> {
        self.check_members()?;
        self.check_agreement()?;
        self.check_twins()?;
        self.check_names()?;
        self.check_children()?;
        self.check_promises()
    }

    fn check_members(&self) -> Result<(), String> {
        let up = self.up();
        for &host in &up {
            for &other in self.hosts.keys() {
                let status = self.status(host, other);
                let alive = status == Some(MemberStatus::Alive);
                let expected = up.contains(&other);
                // A node need not list itself.
                let itself = host == other && status.is_none();
                if alive != expected && !itself {
                    return Err(format!("{host} sees {other} as {status:?}"));
                }
            }
        }
        Ok(())
    }

    fn check_agreement(&self) -> Result<(), String> {
        let up = self.up();
        let Some((&first, others)) = up.split_first() else { return Ok(()) };
        let view = self.view(first);
        for &other in others {
            let theirs = self.view(other);
            differing(&view.names, &theirs.names, "name", first, other)?;
            differing(&view.children, &theirs.children, "child", first, other)?;
        }
        Ok(())
    }

    fn check_twins(&self) -> Result<(), String> {
        let mut children = BTreeMap::new();
        let mut names = BTreeMap::new();
        for run in self.processes.running() {
            let Some(child) = run.child else { continue };
            if let Some(twin) = children.insert(child, run.host) {
                return Err(format!("child {child} runs on {twin} and on {}", run.host));
            }
            let name = self.promises.name_of(child);
            if let Some(twin) = name.and_then(|name| names.insert(name, run.host)) {
                return Err(format!("{name:?} runs on {twin} and on {}", run.host));
            }
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), String> {
        let Some(&first) = self.up().first() else { return Ok(()) };
        for ((_, name), holder) in &self.view(first).names {
            let process = &holder.process;
            self.check_process(process).map_err(|wrong| format!("name {name}: {wrong}"))?;
            let number = process.number;
            let host = Host::of(process.replica.node());
            let run = self.processes.running().find(|r| Some(r.host) == host && r.number == number);
            let runs = run.and_then(|run| run.child);
            if holder.child.is_some() && runs != holder.child {
                return Err(format!(
                    "name {name} is of {:?}, and {process} runs {runs:?}",
                    holder.child
                ));
            }
        }
        Ok(())
    }

    fn check_children(&self) -> Result<(), String> {
        let Some(&first) = self.up().first() else { return Ok(()) };
        let children = self.children(first);
        for (child, view) in &children {
            match &view.process {
                Some(process) => {
                    self.check_process(process)
                        .map_err(|wrong| format!("child {child:?}: {wrong}"))?;
                    let hosts = self.running_child(*child);
                    if hosts != Host::of(process.replica.node()).as_slice() {
                        return Err(format!("child {child:?} runs on {hosts:?}, not as {process}"));
                    }
                }
                None if self.is_steady(&view.kind) => {
                    return Err(format!("child {child:?} of kind {} does not run", view.kind));
                }
                None => {}
            }
        }
        let unseen = |run: &&Run| run.child.is_some_and(|child| !children.contains_key(&child));
        match self.processes.running().find(unseen) {
            Some(run) => Err(format!("{:?} runs on {}, unseen", run.child, run.host)),
            None => Ok(()),
        }
    }

    fn check_promises(&self) -> Result<(), String> {
        for (child, kind) in self.promises.due() {
            if self.is_steady(kind) && self.running_child(child).is_empty() {
                return Err(format!("child {child:?} of kind {kind} was accepted and is lost"));
            }
        }
        Ok(())
    }

    /// Checks that `process` really runs, in the life that its id says.
    fn check_process(&self, process: &ProcessId) -> Result<(), String> {
        let node = process.replica.node();
        let host = Host::of(node).filter(|&host| self.state(host).is_up());
        let Some(host) = host else { return Err(format!("{process} is on a node that is not up")) };
        if !self.runs_process(process) {
            return Err(format!("{process} does not run"));
        }
        let incarnation = self.members(host).get(node).map(|member| member.incarnation);
        if incarnation.is_some_and(|incarnation| incarnation != process.replica.incarnation()) {
            return Err(format!("{process} is of a life that is over"));
        }
        Ok(())
    }

    fn is_steady(&self, kind: &str) -> bool {
        self.behaviours.get(kind).is_none_or(|behaviour| behaviour.is_steady())
    }
}

fn differing<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
    ours: &BTreeMap<K, V>,
    theirs: &BTreeMap<K, V>,
    what: &str,
    us: Host,
    them: Host,
) -> Result<(), String> {
    let mut keys = ours.keys().chain(theirs.keys());
    match keys.find(|&key| ours.get(key) != theirs.get(key)) {
        None => Ok(()),
        Some(key) => {
            let (ours, theirs) = (ours.get(key), theirs.get(key));
            Err(format!("{what} {key:?} is {ours:?} to {us} and {theirs:?} to {them}"))
        }
    }
}
