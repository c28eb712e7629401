//! Names that are held under leases, against true time.
//!
//! A process holds such a name from the moment on at which its node says so, until that was given
//! back, the process is told that it is over or is gone, or its machine's clock shows the end of
//! the lease: whoever runs the process tells it before it is polled then. No two such times may
//! overlap, by the clock of the world.

use std::collections::BTreeMap;
use std::time::Duration;

use ordu_core::{
    Blob, Command, FencingToken, Holder, Lease, Name, ProcessId, RegisterError, Replicas, Reply,
    Scope, StopReason, Time, UnregisterError,
};

use crate::host::Host;
use crate::leases::Breach;
use crate::requests::{Ticket, locks, name};
use crate::tokens::Tokens;
use crate::verdict::Class;
use crate::world::World;

/// A name of a registry.
type Seat = (Scope, Name);

/// Who holds which names.
#[derive(Debug, Default)]
pub(crate) struct Tenures {
    held: BTreeMap<(Host, u64, Seat), Held>,
    tokens: Tokens<Seat>,
    /// How many names were granted.
    pub(crate) granted: u64,
    /// How many of them were lost since their leases had ended.
    pub(crate) lapsed: u64,
}

/// A lease on a name.
#[derive(Clone, Copy, Debug)]
struct Held {
    token: FencingToken,
    /// When it ends, on its machine's clock.
    until: Time,
}

impl Tenures {
    /// Takes in that the process `number` of `host` holds `seat` from now on; `clock` tells what
    /// clocks show.
    ///
    /// # Errors
    ///
    /// Says if its lease has ended, another process may hold the name now, or its token is no
    /// higher than the last one, and `may_forget` does not say that voters may have forgotten that.
    pub(crate) fn begin(
        &mut self,
        (host, number, seat): (Host, u64, Seat),
        Lease { token, until }: Lease,
        now: Time,
        clock: impl Fn(Host) -> Time,
        may_forget: impl Fn(Time) -> bool,
    ) -> Result<(), Breach> {
        if until <= clock(host) {
            let reason = format!("{host} is given name {}, whose lease has ended", seat.1);
            return Err(("S41", reason));
        }
        self.tokens.give(seat.clone(), token, now, may_forget).map_err(|before| {
            ("S43", format!("name {} has token {token} after {before}", seat.1))
        })?;
        self.granted += 1;
        let at = (host, number, seat);
        self.held.insert(at.clone(), Held { token, until });
        self.check_alone(&at, &clock)
    }

    /// Takes in that the node of `host` renews its leases until `until`, `but` for some.
    pub(crate) fn renew(
        &mut self,
        host: Host,
        until: Time,
        but: &[u64],
        clock: impl Fn(Host) -> Time,
    ) -> Result<(), Breach> {
        let mut renewed = Vec::new();
        for (at, held) in &mut self.held {
            if at.0 != host || but.contains(&at.1) {
                continue;
            }
            // What has ended stays so.
            if clock(host) < held.until {
                held.until = held.until.max(until);
                renewed.push(at.clone());
            }
        }
        renewed.iter().try_for_each(|at| self.check_alone(at, &clock))
    }

    /// Checks that nobody else holds what is held here.
    fn check_alone(
        &self,
        at: &(Host, u64, Seat),
        clock: &impl Fn(Host) -> Time,
    ) -> Result<(), Breach> {
        let holds = |other: &(Host, u64, Seat), held: &Held| {
            other != at && other.2 == at.2 && clock(other.0) < held.until
        };
        match self.held.iter().find(|(other, held)| holds(other, held)) {
            None => Ok(()),
            Some((other, held)) => {
                let left = held.until.since(clock(other.0));
                let ((here, number, seat), (there, twin, _)) = (at, other);
                let reason = format!(
                    "name {} is held by process {number} of {here} and by {twin} of {there}, for \
                     {left:?} more by its clock, under {}",
                    seat.1, held.token
                );
                Err(("S41", reason))
            }
        }
    }

    /// Takes in that the process `number` of `host` gave `seat` back.
    pub(crate) fn give_back(&mut self, host: Host, number: u64, seat: Seat) {
        self.held.remove(&(host, number, seat));
    }

    /// Takes in that a process is told that a lease on a name of it has ended: it takes all for
    /// lost.
    fn tell(&mut self, host: Host, number: u64) {
        let before = self.held.len();
        self.end(host, number);
        self.lapsed += (before - self.held.len()) as u64;
    }

    /// Takes in that a process is gone.
    pub(crate) fn end(&mut self, host: Host, number: u64) {
        self.held.retain(|(other, process, _), _| (*other, *process) != (host, number));
    }

    /// Takes in that all processes of `host` are gone.
    pub(crate) fn end_all(&mut self, host: Host) {
        self.held.retain(|(other, ..), _| *other != host);
    }

    /// Iterates over what processes of `host` hold: their numbers, the names and when leases end.
    fn on(&self, host: Host) -> impl Iterator<Item = (u64, &Name, Time)> {
        let held = self.held.iter().filter(move |((other, ..), _)| *other == host);
        held.map(|((_, number, seat), held)| (*number, &seat.1, held.until))
    }
}

impl World {
    /// Takes in that a process of `host` holds a name from now on, or gave it back.
    pub(crate) fn take_hold(&mut self, host: Host, number: u64, seat: Seat, lease: Option<Lease>) {
        let Some(lease) = lease else {
            return self.processes.tenures.give_back(host, number, seat);
        };
        let (now, config) = (self.now, &self.state(host).config);
        if !config.registry_modes.get(&seat.0).is_some_and(|mode| mode.is_exclusive()) {
            let reason = format!("{host} has a lease for nothing on name {}", seat.1);
            self.violate(Class::Safety, "S41", reason);
        }
        let may_forget = self.may_forget(host);
        let hosts = &self.hosts;
        let clock = |host: Host| hosts[&host].clock.local(now);
        let at = (host, number, seat);
        let begun = self.processes.tenures.begin(at, lease, now, clock, may_forget);
        self.hold_lease(begun);
    }

    /// Takes in that a process of `host` is told to stop.
    pub(crate) fn end_tenures(&mut self, host: Host, number: u64, reason: &StopReason) {
        if *reason == StopReason::NameLapsed {
            self.processes.tenures.tell(host, number);
        }
    }

    /// Takes in that `host` renews what is held there under leases.
    pub(crate) fn renew_tenures(&mut self, host: Host, until: Time, but: &[u64]) {
        let (now, hosts) = (self.now, &self.hosts);
        let clock = |host: Host| hosts[&host].clock.local(now);
        let renewed = self.processes.tenures.renew(host, until, but, clock);
        self.hold_lease(renewed);
    }

    /// Checks, once `host` has handled something, that it has told every process that a lease on a
    /// name of it has ended.
    pub(crate) fn check_tenures(&self, host: Host) {
        let local = self.state(host).clock.local(self.now);
        let mut held = self.processes.tenures.on(host);
        let late = held
            .find(|&(number, _, until)| until <= local && self.processes.is_kept_on(host, number));
        if let Some((number, name, until)) = late {
            let reason = format!(
                "{host} has not told process {number} that it lost name {name}, whose lease ended \
                 {:?} ago",
                local.since(until)
            );
            self.violate(Class::Safety, "S42", reason);
        }
    }

    /// Asks through `host` to have `process` hold the name `text` under a lease, within `timeout`.
    pub fn request_lock(
        &mut self,
        host: Host,
        text: &str,
        process: &ProcessId,
        timeout: Duration,
    ) -> Ticket {
        let (name, process, value) = (name(text), process.clone(), Blob::default());
        let replicas = Replicas::One;
        let command = Command::Register { scope: locks(), name, process, value, replicas };
        self.request_within(host, command, timeout)
    }

    /// Has `process` hold the name `text` under a lease, within `timeout`, and returns the answer.
    pub fn lock(
        &mut self,
        host: Host,
        text: &str,
        process: &ProcessId,
        timeout: Duration,
    ) -> Result<(), RegisterError> {
        let ticket = self.request_lock(host, text, process, timeout);
        let Reply::Register(result) = self.answer(ticket) else {
            self.fail("an answer out of kind is refused as it comes")
        };
        result.map(drop)
    }

    /// Has `process` give the name `text` back through `host`, and returns the answer.
    pub fn unlock(
        &mut self,
        host: Host,
        text: &str,
        process: &ProcessId,
    ) -> Result<(), UnregisterError> {
        let (name, process) = (name(text), process.clone());
        let ticket = self.request(host, Command::Unregister { scope: locks(), name, process });
        let Reply::Unregister(result) = self.answer(ticket) else {
            self.fail("an answer out of kind is refused as it comes")
        };
        result
    }

    /// Returns who holds the name `text` under a lease, as `host`'s readers see it.
    pub fn lock_holder(&self, host: Host, text: &str) -> Option<&Holder> {
        self.view(host).names.get(&(locks(), name(text)))
    }

    /// Returns how many names were granted under leases, and how many of them were lost since their
    /// lease had ended.
    pub fn tenures(&self) -> (u64, u64) {
        (self.processes.tenures.granted, self.processes.tenures.lapsed)
    }
}
