//! Whether this node sees enough members to run the children of a supervisor, or to have the names
//! of a registry held here.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::lease::LeaseKey;
use crate::minority::{OnMinority, Seen, Tally};
use crate::node::Node;
use crate::quorum::{Judged, QuorumView};
use crate::{
    ChildId, Domain, Event, Mode, NodeId, Output, RegisterError, Reply, Scope, StartChildError,
    StopReason,
};

impl Node {
    /// Judges anew for every supervisor and registry, as members came or went: where a quorum is
    /// lost children stop and names are given up, and where it is back children start.
    pub(super) fn judge_quorums(&mut self) {
        let seen = self.seen_members();
        let domains: Vec<(Domain, Mode)> = self.quorums.domains().collect();
        let tallies = domains.iter().map(|(_, mode)| self.tally(*mode, &seen));
        let tallies: Vec<Tally> = tallies.collect();
        for ((domain, mode), tally) in domains.into_iter().zip(tallies) {
            let before = self.quorums.handle_tally(self.now, domain, tally);
            if before == tally || mode.is_exclusive() {
                continue;
            }
            let Tally { is_met, up, of, .. } = tally;
            match domain {
                Domain::Supervisor(scope) => self.supervisor.handle_quorum(scope, tally),
                Domain::Registry(_) if is_met => (),
                Domain::Registry(scope) => self.give_up_names(scope),
            }
            if before.is_met != is_met {
                self.outputs.push_back(Output::Event(Event::Quorum { domain, is_met, up, of }));
            }
        }
    }

    /// Takes the names of the registry `scope` from all processes here: each is told to stop.
    fn give_up_names(&mut self, scope: Scope) {
        for number in self.registry.give_up(scope) {
            if self.registry.handle_name_lost(number) {
                let (reason, grace) = (StopReason::NoQuorum, self.config.conflict_grace);
                self.outputs.push_back(Output::Stop { number, reason, grace });
                self.give_up_asks_of(number);
            }
        }
    }

    /// Returns that no name of the registry `scope` can be given away here now, if none can.
    pub(super) fn without_quorum_for_names(&self, scope: Scope) -> Option<RegisterError> {
        let Judged { tally, .. } = self.quorums.judged(Domain::Registry(scope))?;
        let (up, of) = (tally.up, tally.of);
        (!tally.is_met).then_some(RegisterError::NoQuorum { up, of })
    }

    fn tally(&self, mode: Mode, seen: &[Seen<'_>]) -> Tally {
        let voters = self.config.voters.as_ref();
        match mode {
            Mode::Exclusive => Tally::of_voters(seen, voters),
            Mode::Eventual { on_minority: OnMinority::Stop(quorum) } => quorum.tally(seen, voters),
            Mode::Eventual { on_minority: OnMinority::Run } => {
                let (up, of) = self.quorum();
                Tally { is_met: true, is_sure: true, up, of }
            }
        }
    }

    /// Returns the members as quorums go by them, in the order of their names: those on the list of
    /// members if there is one, else those that are not forgotten.
    fn seen_members(&self) -> Vec<Seen<'_>> {
        let Some(listed) = self.membership.listed() else {
            return self.membership.seen().collect();
        };
        let mut seen: Vec<Seen<'_>> = self.membership.seen().collect();
        for member in &mut seen {
            member.counts &= listed.contains(member.node);
        }
        let known: BTreeSet<&NodeId> = seen.iter().map(|member| member.node).collect();
        let unseen = listed.iter().filter(|node| !known.contains(node)).map(|node| Seen {
            node,
            is_heard: false,
            is_suspect: false,
            is_ready: false,
            is_leaving: false,
            counts: true,
            joined: None,
        });
        let unseen: Vec<Seen<'_>> = unseen.collect();
        seen.extend(unseen);
        seen.sort_unstable_by_key(|member| member.node);
        seen
    }

    /// Returns that no child of `scope` can be started now, if none can; `child` is one that is
    /// kept all the same.
    pub(super) fn without_quorum(
        &self,
        scope: Scope,
        child: Option<ChildId>,
    ) -> Option<StartChildError> {
        let Judged { tally, .. } = self.quorums.judged(Domain::Supervisor(scope))?;
        let (up, of) = (tally.up, tally.of);
        (!tally.is_met).then_some(StartChildError::NoQuorum { up, of, child })
    }

    pub(super) fn tell_quorum(&mut self, ticket: u64, domain: Domain) {
        let view = self.quorum_of(domain);
        self.reply(ticket, Reply::Quorum(view));
    }

    /// Returns whether children may run here, or names be held, as
    /// [`Command::Quorum`](crate::Command::Quorum) tells.
    pub fn quorum_of(&self, domain: Domain) -> QuorumView {
        let judged = self.quorums.judged(domain).copied().unwrap_or_else(|| {
            let (mode, began) = (Mode::default(), self.quorums.began());
            Judged { mode, tally: self.tally(mode, &[]), since: began, changed: began }
        });
        let Judged { mode, tally, since, changed } = judged;
        let (mut held, mut asked, mut first_end) = (0, 0, None);
        let holder = self.holder.as_ref().filter(|_| mode.is_exclusive());
        for key in self.lease_keys(domain) {
            let Some(holder) = holder else { break };
            match holder.until(&key) {
                Some(until) => {
                    held += 1;
                    first_end = Some(first_end.map_or(until, |end: crate::Time| end.min(until)));
                }
                None => asked += 1,
            }
        }
        QuorumView {
            mode,
            may_run: tally.is_met,
            up: tally.up,
            of: tally.of,
            lasts: self.now.since(since),
            unchanged: self.now.since(changed),
            electorate: self.electorate().cloned(),
            abstains: self.voter.as_ref().map(|voter| voter.abstains_for(self.now)),
            leases_held: held,
            leases_asked: asked,
            lease_ends: first_end.map(|end| end.since(self.now)),
        }
    }

    /// Returns what runs here of a supervisor, or is held here of a registry, as leases go by it.
    fn lease_keys(&self, domain: Domain) -> Vec<LeaseKey> {
        match domain {
            Domain::Supervisor(scope) => {
                let children = self.supervisor.instances().filter(|(_, key)| key.0 == scope);
                children.map(|(_, key)| LeaseKey::Child(key.0, key.1)).collect()
            }
            Domain::Registry(scope) => {
                let names = self.registry.names().filter(|(registry, _, _)| *registry == scope);
                names.map(|(scope, name, _)| LeaseKey::Name(scope, name)).collect()
            }
        }
    }
}
