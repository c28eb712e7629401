//! What is done once a beat: entries adopted, and deleted once nothing needs them.

use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use crate::adoption::Journals;
use crate::cells;
use crate::crdt::Version;
use crate::entry::{ClaimEntry, Entry, Key, NameEntry, Reason};
use crate::hindsight::Mark;
use crate::membership::Presence;
use crate::node::Node;
use crate::placement::Redistribution;
use crate::{Replica, Time};

/// How long ends of children and deletes of metadata are kept at least: as long as a request for a
/// child may be repeated, and longer than any frame is on its way.
pub(super) const DELETES_KEPT: Duration = Duration::from_secs(10 * 60);

impl Node {
    /// Does what is done once a beat.
    pub(super) fn keep_up(&mut self) {
        self.members_changed |= !self.targets.outlook().is_informed;
        self.ask_for_missing();
        self.with_conflicts(|conflicts, own| conflicts.handle_beat(own));
        // Whoever had more of them than we may have let go of them meanwhile.
        for replica in self.adoption.bare() {
            self.let_go_of_bare(&replica);
        }
        self.adopt();
        self.collect();
        self.tidy_leases();
        self.finish_changes();
        self.say_whether_leases_are_granted();
        if self.is_full && !self.supervisor.is_full() {
            self.say_whether_full();
        }
        self.escalate();
        self.check_fitness();
        self.supervisor.handle_beat();
        if let Redistribution::Active { at_once, quiet } = self.config.redistribution
            && self.arrival.is_none()
            && self.targets.outlook().is_informed
        {
            self.with_supervisor(|supervisor, around| {
                supervisor.redistribute(around, at_once, quiet);
            });
        }
    }

    /// Tells all whether this node runs as many children as it may.
    ///
    /// That there is room again is said at a beat, so that what ends and starts here all the time
    /// sends nobody's children about. Whoever leaves says no more of it: its last word on itself is
    /// what its peers must have heard.
    pub(super) fn say_whether_full(&mut self) {
        if self.presence == Presence::Here {
            self.is_full = self.supervisor.is_full();
            self.write_member(self.presence);
            self.members_changed = true;
        }
    }

    /// Adopts what nobody else holds, once a beat.
    fn adopt(&mut self) {
        let Some(me) = self.me.clone() else { return };
        self.adopt_from_silent();
        let mut adoption = mem::take(&mut self.adoption);
        let (supervisor, replication) = (&self.supervisor, &self.replication);
        let (membership, retired, cells) = (&self.membership, &self.retired, &self.cells);
        let is_living = |replica: &Replica| {
            !retired.contains(replica) && (*replica == me || membership.is_visible(replica))
        };
        let journals = Journals {
            is_held: &|key| match Key::decode(key) {
                Some(Key::Spec(scope, child)) => supervisor
                    .child(&(scope, child))
                    .is_none_or(|child| child.end.is_some() || child.spec_in.iter().any(is_living)),
                Some(Key::Ended(scope, child)) => supervisor
                    .child(&(scope, child))
                    .is_none_or(|child| child.ended_in.iter().any(is_living)),
                Some(Key::Cell(cell, dot)) => cells.is_held(&cell, dot, is_living),
                Some(
                    Key::Member
                    | Key::Name(..)
                    | Key::Leased(..)
                    | Key::Claim(..)
                    | Key::Absorbed(..)
                    | Key::Group(..)
                    | Key::Assigned(..),
                )
                | None => true,
            },
            value: &|replica, key| replication.value(replica, key).cloned(),
            heads: &|| {
                let living = replication.replicas().filter(|replica| is_living(replica));
                living.map(|replica| (replica.clone(), replication.closed_head(replica))).collect()
            },
            is_everywhere: &|journal, version| self.is_everywhere(journal, version),
            is_known_over: &|replica| self.is_known_over(replica),
        };
        adoption.handle_beat(self.now, &me, &self.targets, &journals);
        self.adoption = adoption;
    }

    /// Looks for members that have been silent for a quarter of the time after which they are
    /// forgotten.
    fn adopt_from_silent(&mut self) {
        let long = self.config.forget_after / 4;
        let silent = self.membership.not_forgotten().filter(|replica| {
            !self.membership.is_visible(replica)
                && !self.adoption.knows(replica)
                && self.membership.silence(replica, self.now).is_some_and(|silent| long <= silent)
        });
        let silent: Vec<Replica> = silent.cloned().collect();
        for replica in silent {
            let entries = self.entries_of(&replica).into_iter();
            let keys = entries.filter_map(|(key, _)| {
                Key::decode(&key).is_some_and(|decoded| decoded.is_of_cluster()).then_some(key)
            });
            self.adoption.handle_gone(self.now, &replica, false, keys);
        }
    }

    /// Deletes entries of ours that nothing needs any more, once a beat.
    fn collect(&mut self) {
        self.collect_intakes();
        // A journal that was dropped here may be held elsewhere still, with the specification of a
        // child that ended, or with what was deleted: ends and deletes must last as long.
        let is_all_shared = self.is_all_shared();
        let mark = Mark { head: self.replication.head(), end: self.supervisor.latest_end() };
        self.hindsight.handle_beat(self.now, mark);
        let old = if is_all_shared { self.hindsight.mark(self.now) } else { Mark::default() };
        self.collect_endings(old);
        self.collect_cells(old.head);
        self.collect_evictions();
        self.collect_given_up();
    }

    /// Deletes what we said of losers that processes of ours took in, once their claims are gone.
    ///
    /// A loser may go on although it was taken in: it was given up meanwhile, and the winner went
    /// before the loser heard. Once its node has what we said, nothing comes of that any more, and
    /// what it offered before, and comes late, finds no winner.
    fn collect_intakes(&mut self) {
        let Some(me) = &self.me else { return };
        let (replication, retired) = (&self.replication, &self.retired);
        let (registry, supervisor) = (&self.registry, &self.supervisor);
        self.conflicts.collect(|loser, number, intake| {
            let life = replication.replicas().find(|replica| replica.key() == loser);
            let Some(life) = life.filter(|replica| !retired.contains(*replica)) else {
                return false;
            };
            let is_gone =
                !registry.is_running(intake.winner) && !supervisor.is_present(intake.winner);
            let key = Key::Absorbed(loser, number).encode();
            let said = replication.journal(me).and_then(|own| own.version(&key));
            if is_gone && said.is_some_and(|said| said <= replication.acked(me, life)) {
                return false;
            }
            let Some(bytes) = replication.value(life, &intake.claim) else { return false };
            let claim = ClaimEntry::decode(bytes).map(|entry| entry.standing);
            let name = || NameEntry::decode(bytes).map(|entry| entry.standing);
            claim.or_else(name).is_some_and(|standing| standing.number == number)
        });
    }

    /// Returns whether nobody holds a journal that we do not: what no journal here mentions, none
    /// mentions.
    ///
    /// Who named no such journal may just be fetching it from somebody who dropped it since: all
    /// are heard once more after that.
    fn is_all_shared(&mut self) -> bool {
        let me = self.me.as_ref();
        let others = self
            .membership
            .not_forgotten()
            .filter(|&member| me != Some(member) && !self.retired.contains(member));
        let heard: Option<Vec<Time>> =
            others.map(|member| self.replication.holds_no_other(member)).collect();
        let Some(heard) = heard else {
            self.unshared_until = self.now;
            return false;
        };
        let since = self.unshared_until + self.config.failure_timeout;
        heard.into_iter().all(|at| since < at)
    }

    /// Deletes our ends of children that nothing mentions any more, written by `old`.
    fn collect_endings(&mut self, old: Mark) {
        let Some(me) = self.me.clone() else { return };
        let bare = self.supervisor.ended_by(old.end).filter(|(_, child)| {
            child.claims.is_empty() && child.spec_in.is_empty() && child.ended_in.contains(&me)
        });
        // What belongs to it, and was heard of late, is to hear that it has ended.
        let bare = bare.filter(|(key, _)| !self.supervisor.has_nested(key));
        let keys: Vec<_> = bare.map(|(key, _)| Key::Ended(key.0, key.1).encode()).collect();
        for key in keys {
            let version = self.replication.journal(&me).and_then(|journal| journal.version(&key));
            let version = version.filter(|version| *version <= old.head);
            if version.is_some_and(|version| self.is_everywhere(&me, version)) {
                self.replication.delete(&key, Reason::Ended.byte());
            }
        }
    }

    /// Deletes our writes of metadata that are of no use any more; those that still tell of others
    /// only from `old` or earlier.
    fn collect_cells(&mut self, old: Version) {
        let Some(me) = self.me.clone() else { return };
        let mut cells = mem::take(&mut self.cells);
        let remembered = || self.replication.replicas();
        let journals = cells::Journals {
            version: &|holder, key| self.replication.journal(holder)?.version(key),
            heads: &|| {
                let head = |replica: &Replica| self.replication.closed_head(replica);
                remembered().map(|replica| (replica.clone(), head(replica))).collect()
            },
            is_everywhere: &|journal, version| self.is_everywhere(journal, version),
            counts: &|journal| remembered().any(|replica| replica == journal),
        };
        cells.handle_beat(&me, old, &journals);
        self.cells = cells;
    }
}
