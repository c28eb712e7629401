//! Leases of processes, held against true time.
//!
//! A process that runs under a lease is polled through a gate: not once its machine's clock shows
//! the end of its lease. So it may run from its start until it is gone, or until that moment, and
//! of two processes of one child no such times may overlap, by the clock of the world.

use std::collections::BTreeMap;
use std::time::Duration;

use ordu_core::crdt::Version;
use ordu_core::{ChildId, FencingToken, Lease, Node, Replica, Scope, Start, Time};

use crate::host::Host;
use crate::tokens::Tokens;
use crate::verdict::Class;
use crate::world::World;

/// A promise about leases that is broken: which, and how.
pub(crate) type Breach = (&'static str, String);

/// The leases of all processes that live.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    held: BTreeMap<(Host, u64), Held>,
    tokens: Tokens<(Scope, ChildId)>,
    /// How far each node's journal went when it was last looked at for what it releases, and whose
    /// that was.
    looked_at: BTreeMap<Host, (Replica, Version)>,
    /// How many processes were started under leases.
    pub(crate) started: u64,
    /// How many of them were dropped since their lease had ended.
    pub(crate) lapsed: u64,
}

/// A lease of a process that lives.
#[derive(Clone, Copy, Debug)]
struct Held {
    child: (Scope, ChildId),
    token: FencingToken,
    /// When it ends, on its machine's clock.
    until: Time,
    /// Whether the gate was found closed: it is over for good.
    is_over: bool,
}

impl Leases {
    /// Takes in that a process starts on `host`, whose clock shows `local`; `clock` tells what
    /// those of others show.
    ///
    /// # Errors
    ///
    /// Says if it has no valid lease, or another process of the child may run now; or if its token
    /// is no higher than the last, and `may_forget` does not say that voters may have forgotten
    /// that one, given since then.
    pub(crate) fn begin(
        &mut self,
        host: Host,
        start: &Start,
        (now, local): (Time, Time),
        clock: impl Fn(Host) -> Time,
        may_forget: impl Fn(Time) -> bool,
    ) -> Result<(), Breach> {
        let (child, number) = ((start.scope, start.child), start.number);
        let Some(Lease { token, until }) = start.lease else {
            return Err(("S18", format!("{host} starts child {} without a lease", child.1)));
        };
        if until <= local {
            let reason = format!("{host} starts child {}, whose lease has ended", child.1);
            return Err(("S18", reason));
        }
        self.check_alone(host, child, &clock)?;
        self.tokens.give(child, token, now, may_forget).map_err(|before| {
            ("S20", format!("child {} has token {token} after {before}", child.1))
        })?;
        self.started += 1;
        self.held.insert((host, number), Held { child, token, until, is_over: false });
        Ok(())
    }

    /// Takes in that the node of `host` renews its leases until `until`, `but` for some.
    ///
    /// # Errors
    ///
    /// Says if one goes on that has ended, or another process of its child may run now.
    pub(crate) fn renew(
        &mut self,
        host: Host,
        until: Time,
        but: &[u64],
        clock: impl Fn(Host) -> Time,
    ) -> Result<(), Breach> {
        let local = clock(host);
        let mut renewed = Vec::new();
        for (&(_, number), held) in self.held.range_mut((host, 0)..=(host, u64::MAX)) {
            if but.contains(&number) {
                continue;
            }
            if held.is_over || held.until <= local {
                let (child, token) = (held.child.1, held.token);
                let reason = format!("{host} renews the lease {token} of {child}, which has ended");
                return Err(("S21", reason));
            }
            held.until = held.until.max(until);
            renewed.push(held.child);
        }
        renewed.into_iter().try_for_each(|child| self.check_alone(host, child, &clock))
    }

    /// Checks that no process of `child` may run anywhere but on `host`.
    fn check_alone(
        &self,
        host: Host,
        child: (Scope, ChildId),
        clock: &impl Fn(Host) -> Time,
    ) -> Result<(), Breach> {
        let runs = |(other, held): (Host, &Held)| {
            held.child == child && !held.is_over && clock(other) < held.until && other != host
        };
        let mut others = self.held.iter().map(|(&(other, _), held)| (other, held));
        match others.find(|&(other, held)| runs((other, held))) {
            None => Ok(()),
            Some((other, held)) => {
                let left = held.until.since(clock(other));
                let reason = format!(
                    "child {} runs on {host} and on {other}, for {left:?} more by its clock, under \
                     {}",
                    child.1, held.token
                );
                Err(("S19", reason))
            }
        }
    }

    /// Takes in what `node` of `host` has written into its journal since it was last looked at.
    ///
    /// # Errors
    ///
    /// Says if it has released a child whose process is not gone.
    pub(crate) fn release(&mut self, host: Host, node: &Node) -> Result<(), Breach> {
        let journal = |me: &Replica| Some((me.clone(), node.journal(me)?.head()));
        let Some((me, head)) = node.replica().and_then(journal) else { return Ok(()) };
        let before = self.looked_at.insert(host, (me.clone(), head));
        // What earlier lives of it have started is not in this journal.
        let from = before.filter(|(life, _)| *life == me).map_or(0, |(_, head)| head);
        if from == head || self.on(host).next().is_none() {
            return Ok(());
        }
        for key in node.withdrawn_after(from) {
            if let Some((number, (_, child), _)) = self.on(host).find(|&(_, held, _)| held == key) {
                let reason = format!("{host} releases {child}, and process {number} is not gone");
                return Err(("S23", reason));
            }
        }
        Ok(())
    }

    /// Returns whether the gate of a process is closed on `host`, whose clock shows `local`; once
    /// it is found so, it stays so.
    pub(crate) fn is_shut(&mut self, host: Host, number: u64, local: Time) -> bool {
        let Some(held) = self.held.get_mut(&(host, number)) else { return false };
        held.is_over |= held.until <= local;
        held.is_over
    }

    /// Takes in that a process is gone.
    pub(crate) fn end(&mut self, host: Host, number: u64) {
        if self.held.remove(&(host, number)).is_some_and(|held| held.is_over) {
            self.lapsed += 1;
        }
    }

    /// Takes in that `child` has ended: who starts it again starts another one by the same key.
    pub(crate) fn forget(&mut self, child: (Scope, ChildId)) {
        self.tokens.forget(&child);
    }

    /// Takes in that all processes of `host` are gone.
    pub(crate) fn end_all(&mut self, host: Host) {
        self.held.retain(|&(other, _), _| other != host);
    }

    /// Iterates over the processes of `host` that live under a lease: their numbers, their children
    /// and when their leases end.
    pub(crate) fn on(&self, host: Host) -> impl Iterator<Item = (u64, (Scope, ChildId), Time)> {
        let held = self.held.range((host, 0)..=(host, u64::MAX));
        held.map(|(&(_, number), held)| (number, held.child, held.until))
    }
}

impl World {
    /// Takes in that `host` starts a process, if it does so under a lease or ought to.
    pub(crate) fn begin_lease(&mut self, host: Host, start: &Start) {
        let state = self.state(host);
        let mode = state.config.modes.get(&start.scope).copied().unwrap_or_default();
        if !mode.is_exclusive() {
            if start.lease.is_some() {
                self.violate(
                    Class::Safety,
                    "S18",
                    format!("{host} starts under a lease for nothing"),
                );
            }
            return;
        }
        let (now, local) = (self.now, state.clock.local(self.now));
        let may_forget = self.may_forget(host);
        let hosts = &self.hosts;
        let clock = |host: Host| hosts[&host].clock.local(now);
        let begun = self.processes.leases.begin(host, start, (now, local), clock, may_forget);
        self.hold_lease(begun);
    }

    /// Returns whether voters may have forgotten what was given at some time, as `host` is
    /// configured: whoever starts anew may have forgotten, and whoever is down may come back so;
    /// whoever becomes a voter does not know what was promised before.
    pub(crate) fn may_forget(&self, host: Host) -> impl Fn(Time) -> bool + use<> {
        let voters = self.state(host).config.voters.as_ref();
        let is_voter = |host: &Host| {
            let is_first = voters.is_some_and(|voters| voters.nodes.contains(&host.id()));
            is_first || self.electorates.has_been(&host.id())
        };
        let deaths = self.deaths.iter().filter(|(host, _)| is_voter(host)).map(|&(_, at)| at);
        let last_loss = deaths.chain(self.electorates.changed_at()).max();
        // It was granted before it was given: a lease at most, by a clock that is a tenth slow.
        let lease = voters.map_or(Duration::ZERO, |voters| voters.lease);
        move |given| last_loss.is_some_and(|at| given <= at + lease + lease / 10)
    }

    /// Takes in that `host` renews what runs there under leases.
    pub(crate) fn renew_leases(&mut self, host: Host, until: Time, but: &[u64]) {
        let (now, hosts) = (self.now, &self.hosts);
        let clock = |host: Host| hosts[&host].clock.local(now);
        let renewed = self.processes.leases.renew(host, until, but, clock);
        self.hold_lease(renewed);
    }

    /// Returns whether a process is polled no more, since its lease has ended.
    pub(crate) fn is_shut(&mut self, host: Host, number: u64) -> bool {
        let local = self.state(host).clock.local(self.now);
        self.processes.leases.is_shut(host, number, local)
    }

    /// Checks, once `host` has handled something, that it has told every process whose lease has
    /// ended to stop, and has released nothing that is not gone.
    pub(crate) fn check_leases(&mut self, host: Host) {
        let running = self.hosts.get(&host).and_then(|state| state.node.as_ref());
        if let Some(node) = running.and_then(|running| running.machine.node()) {
            let released = self.processes.leases.release(host, node);
            self.hold_lease(released);
        }
        let local = self.state(host).clock.local(self.now);
        let late =
            self.processes.leases.on(host).find(|&(number, _, until)| {
                until <= local && self.processes.is_kept_on(host, number)
            });
        if let Some((number, (_, child), until)) = late {
            let reason = format!(
                "{host} has not stopped process {number} of {child}, whose lease ended {:?} ago",
                local.since(until)
            );
            self.violate(Class::Safety, "S22", reason);
        }
    }

    /// Returns how many processes were started under leases, and how many were dropped since their
    /// lease had ended.
    pub fn leases(&self) -> (u64, u64) {
        (self.processes.leases.started, self.processes.leases.lapsed)
    }

    pub(crate) fn hold_lease(&self, finding: Result<(), Breach>) {
        if let Err((promise, reason)) = finding {
            self.violate(Class::Safety, promise, reason);
        }
    }
}
