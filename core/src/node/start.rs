//! How children are started, or found by their names.

use alloc::boxed::Box;
use core::time::Duration;

use crate::crdt::Version;
use crate::entry::Key;
use crate::limits::{REQUEST_KEY_BYTES_MAX, SPEC_BYTES_MAX, VALUE_BYTES_MAX};
use crate::membership::Presence;
use crate::message::Seat;
use crate::node::Node;
use crate::requests::Wait;
use crate::supervisor::ChildKey;
use crate::{ChildId, ChildSpec, Replica, Reply, RequestId, Scope, StartChildError, wire};

impl Node {
    pub(super) fn start(&mut self, ticket: u64, timeout: Duration, scope: Scope, spec: ChildSpec) {
        if let Some(error) = too_large(&spec).or_else(|| self.refused(scope, &spec)) {
            return self.reply(ticket, Reply::Start(Err(error)));
        }
        let (key, entry) = self.take_on(scope, spec);
        self.wait(ticket, timeout, Wait::Start { key, entry, ensured: None });
        self.check_child_requests(key);
    }

    /// Starts the child of `spec` that the user's `key` is for, or waits for it.
    pub(super) fn start_once(
        &mut self,
        ticket: u64,
        timeout: Duration,
        scope: Scope,
        key: &[u8],
        spec: ChildSpec,
    ) {
        let id = (scope, ChildId::of_key(scope, key));
        match self.take_on_once(id, key.len(), spec) {
            Ok(entry) => {
                self.wait(ticket, timeout, Wait::Start { key: id, entry, ensured: None });
                self.check_child_requests(id);
            }
            Err(error) => self.reply(ticket, Reply::Start(Err(error))),
        }
    }

    /// Accepts a child, unless it was accepted before; returns where its specification stands.
    fn take_on_once(
        &mut self,
        key: ChildKey,
        bytes: usize,
        spec: ChildSpec,
    ) -> Result<Option<(Replica, Version)>, StartChildError> {
        let max = REQUEST_KEY_BYTES_MAX;
        if !(1..=max).contains(&bytes) {
            return Err(StartChildError::BadRequestKey { bytes, max });
        }
        if let Some(error) = too_large(&spec) {
            return Err(error);
        }
        let child = self.supervisor.child(&key);
        if let Some(entry) = child.and_then(|child| child.spec.as_ref()) {
            if entry.spec != spec {
                return Err(StartChildError::RequestReused { child: key.1 });
            }
            let entry = Key::Spec(key.0, key.1).encode();
            let holders = child.into_iter().flat_map(|child| &child.spec_in);
            let place = holders.filter_map(|journal| {
                let version = self.replication.journal(journal)?.version(&entry)?;
                Some((journal.clone(), version))
            });
            // In a journal of the living, if there is one: it goes on spreading.
            return Ok(place.min_by_key(|(journal, _)| !self.visible.contains(journal)));
        }
        if child.is_some_and(|child| child.end.is_some()) {
            return Ok(None);
        }
        if let Some(error) = self.refused(key.0, &spec) {
            return Err(error);
        }
        Ok(self.take_on_as(key, spec))
    }

    pub(super) fn ensure(&mut self, ticket: u64, timeout: Duration, scope: Scope, spec: ChildSpec) {
        let found = too_large(&spec).map_or_else(|| self.find_or_take_on(scope, spec), Err);
        match found {
            Ok((key, wait)) => {
                self.wait(ticket, timeout, wait);
                self.check_child_requests(key);
            }
            Err(error) => self.reply(ticket, Reply::Start(Err(error))),
        }
    }

    /// Looks again for the children of requests whose child has lost its name to another, or ended.
    ///
    /// To be called only when nothing is left to be taken in, as it may start them.
    pub(super) fn find_again(&mut self) {
        while let Some(ticket) = self.unfound.pop_first() {
            let Some(pending) = self.requests.request(ticket) else { continue };
            if self.presence != Presence::Here {
                self.reply(ticket, Reply::Start(Err(StartChildError::NotReady)));
                continue;
            }
            let (Wait::Found { key, spec } | Wait::Start { key, ensured: Some(spec), .. }) =
                &pending.wait
            else {
                continue;
            };
            match self.find_or_take_on(key.0, spec.as_ref().clone()) {
                Ok((key, wait)) => {
                    self.requests.wait_for(ticket, wait);
                    self.check_child_requests(key);
                }
                Err(error) => self.reply(ticket, Reply::Start(Err(error))),
            }
        }
    }

    /// Returns the child of the supervisor `scope` that has the name of `spec`, if one does.
    pub(super) fn child_named(&self, scope: Scope, spec: &ChildSpec) -> Option<ChildId> {
        let reserved = spec.name.as_ref()?;
        let (registry, name) = reserved;
        match self.board.best(&Seat::Name(*registry, name.clone())) {
            Some(holder) => holder.child.filter(|child| child.0 == scope).map(|child| child.1),
            None => {
                let mut reservers = self.supervisor.reservers(reserved);
                reservers.find(|child| child.0 == scope).map(|child| child.1)
            }
        }
    }

    fn find_or_take_on(
        &mut self,
        scope: Scope,
        spec: ChildSpec,
    ) -> Result<(ChildKey, Wait), StartChildError> {
        if spec.name.is_none() {
            return Err(StartChildError::Unnamed);
        }
        if let Some(child) = self.child_named(scope, &spec) {
            let (key, spec) = ((scope, child), Box::new(spec));
            return Ok((key, Wait::Found { key, spec }));
        }
        if let Some(error) = self.refused(scope, &spec) {
            return Err(error);
        }
        let ensured = Some(Box::new(spec.clone()));
        let (key, entry) = self.take_on(scope, spec);
        Ok((key, Wait::Start { key, entry, ensured }))
    }

    /// Accepts a child, and returns where its specification stands.
    fn take_on(&mut self, scope: Scope, spec: ChildSpec) -> (ChildKey, Option<(Replica, Version)>) {
        let journal = self.me.clone().expect("only a node that has joined takes children on");
        self.starts += 1;
        let (counter, stamp) = (self.starts, self.clock.stamp());
        let request = RequestId { origin: journal, counter, stamp };
        let key = (scope, ChildId::of(&request));
        (key, self.take_on_as(key, spec))
    }

    fn take_on_as(&mut self, key: ChildKey, spec: ChildSpec) -> Option<(Replica, Version)> {
        self.with_supervisor(|supervisor, around| supervisor.accept(around, key, spec));
        self.carry_out_effects();
        Some((self.me.clone()?, self.replication.head()))
    }

    /// Returns why a child of `spec` is not accepted: this node has no quorum, somebody has its
    /// name, or the child that it is to belong to is over or unknown.
    fn refused(&self, scope: Scope, spec: &ChildSpec) -> Option<StartChildError> {
        if let Some(error) = self.without_quorum(scope, None) {
            return Some(error);
        }
        if let Some(parent) = spec.parent {
            let known = self.supervisor.child(&(scope, parent));
            if known.is_none_or(|known| known.spec.is_none() || known.end.is_some()) {
                return Some(StartChildError::NoParent { parent });
            }
        }
        let (registry, name) = spec.name.as_ref()?;
        if self.modes.bars_children(*registry) {
            return Some(StartChildError::BarredName { registry: *registry });
        }
        let holder = self.occupant(*registry, name)?;
        Some(StartChildError::NameTaken { name: name.clone(), holder })
    }
}

/// Returns what of `spec` is over its limit, if anything is.
fn too_large(spec: &ChildSpec) -> Option<StartChildError> {
    let (bytes, max) = (wire::encode(spec).len(), SPEC_BYTES_MAX);
    if max < bytes {
        return Some(StartChildError::TooLarge { bytes, max });
    }
    let (bytes, max) = (spec.value.len(), VALUE_BYTES_MAX);
    (max < bytes).then_some(StartChildError::ValueTooLarge { bytes, max })
}
