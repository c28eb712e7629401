//! What the world really looks like, what the nodes believe, and whether the two agree.

use std::collections::BTreeMap;
use std::time::Duration;

use ordu_core::placement::Redistribution;
use ordu_core::{
    ChildId, ChildView, Config, Holder, MemberStatus, MemberView, Node, NodeId, ProcessId,
};

use crate::World;
use crate::host::Host;
use crate::invariants::Broken;
use crate::invariants::rest::{self, Core};
use crate::network::Network;
use crate::oracle::Readings;
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
        let mut runs: Vec<_> = self.processes.running_child(child).collect();
        runs.sort_by_key(|run| (run.host, run.number));
        runs.into_iter().map(|run| run.host).collect()
    }

    /// Returns the machines that really run a child that was started with the name `text`, once for
    /// each process.
    pub fn running_name(&self, text: &str) -> Vec<Host> {
        let name = name(text);
        let named = |run: &&Run| {
            run.child.is_some_and(|child| self.oracle.children.name_of(child) == Some(&name))
        };
        self.processes.running().filter(named).map(|run| run.host).collect()
    }

    /// Returns some process that really runs `child` now, and was not told to stop.
    pub(crate) fn process_of(&self, child: ChildId) -> Option<ProcessId> {
        let runs = self.processes.running_child(child).filter(|run| run.stop.is_none());
        let run = runs.min_by_key(|run| (run.host, run.number))?;
        let replica = self.running(run.host).machine.node()?.replica()?.clone();
        Some(ProcessId { replica, number: run.number })
    }

    /// Returns whether frames get from `from` to `to`.
    pub(crate) fn reaches(&self, from: Host, to: Host) -> bool {
        !self.links.is_cut(from, to)
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
            let config = &self.state(*other).config;
            let kinds: &[String] = if config.role.runs_children() { &config.kinds } else { &[] };
            member.is_some_and(|member| {
                member.kinds == kinds
                    && member.role == config.role
                    && member.labels == config.labels
            })
        };
        let know = |host: &Host| up.iter().all(|other| other == host || knows(host, other));
        rest::check_members(self, &Core::of(up.clone())) && up.iter().all(know)
    }

    /// Lets time pass until [`World::check_settled`] finds nothing wrong.
    ///
    /// # Panics
    ///
    /// Panics if it still does after `within`.
    #[track_caller]
    pub fn settle(&mut self, within: Duration) {
        let end = self.now() + within;
        while let Err(broken) = rest::check(self, &Core::of(self.up())) {
            if end <= self.now() {
                self.hold(Err(broken));
            }
            self.run_for(LOOK);
        }
    }

    /// Checks that the cluster is as it must be once it is at rest.
    ///
    /// # Panics
    ///
    /// Panics if it is not.
    #[track_caller]
    pub fn assert_settled(&self) {
        self.hold(rest::check(self, &Core::of(self.up())));
    }

    /// Checks that the cluster is as it must be once it is at rest: all nodes that are up know each
    /// other and believe the same; what they believe to run, runs, and nothing else; no child and
    /// no name has two processes; and every child whose start was accepted runs.
    ///
    /// # Errors
    ///
    /// Says what is wrong.
    pub fn check_settled(&self) -> Result<(), String> {
        let settled = rest::check(self, &Core::of(self.up()));
        settled.map_err(|Broken { promise, reason }| format!("{}: {reason}", promise.id))
    }

    /// Begins to count what nodes send: the cluster is at rest, and nobody asks anything of it.
    pub fn begin_quiet(&mut self) {
        self.watch.begin_quiet(self.now);
    }

    /// Ends the count, and checks that no entry was sent again and little else.
    ///
    /// # Panics
    ///
    /// Panics, with `L12`, if more was sent.
    #[track_caller]
    pub fn end_quiet(&mut self) {
        let finding = self.watch.end_quiet(self.now);
        self.hold(finding);
    }

    /// Returns the node of `host`, to be looked at; `None` if it is not up or no node of ours.
    pub fn node(&self, host: Host) -> Option<&Node> {
        self.nodes().find(|(other, ..)| *other == host).map(|(.., node)| node)
    }

    /// Returns what became of the names that were given, as clients saw it.
    pub fn readings(&self) -> Readings {
        self.oracle.names.readings(&self.up())
    }

    /// Returns how often something was done to the cluster: faults, the ends of faults, and starts
    /// of nodes that were not there.
    pub fn faults(&self) -> u64 {
        self.trace.deeds()
    }

    /// Returns whether nothing was ever done to the cluster, and all links are those of a LAN.
    pub fn is_faultless(&self) -> bool {
        self.faults() == 0 && self.is_lan()
    }

    /// Returns whether every link loses, repeats and delays nothing.
    pub(crate) fn is_lan(&self) -> bool {
        let hosts = || self.hosts.keys().copied();
        let lan = Network::lan();
        hosts().all(|a| hosts().all(|b| *self.links.network(a, b) == lan))
    }

    /// Returns whether children move to where they belong when members come.
    pub(crate) fn moves_actively(&self) -> bool {
        let is_active = |config: &Config| config.redistribution != Redistribution::Passive;
        self.hosts.values().all(|state| is_active(&state.config))
    }

    /// Returns whether processes of `kind` start when told and then run until they are stopped.
    pub(crate) fn is_steady(&self, kind: &str) -> bool {
        self.behaviours.get(kind).is_none_or(|behaviour| behaviour.is_steady())
    }
}
