//! When users are answered.

use alloc::string::String;
use core::time::Duration;

use crate::crdt::Version;
use crate::entry::Key;
use crate::node::Node;
use crate::requests::{Pending, Wait, Written};
use crate::supervisor::{Child, ChildKey};
use crate::{
    CatchUpError, CausalToken, ExitReason, Outcome, Output, QuorumError, Replica, Replicas, Reply,
    SettleError, StartChildError, StartedChild,
};

impl Node {
    pub(super) fn wait(&mut self, ticket: u64, timeout: Duration, wait: Wait) {
        let deadline = self.now + timeout.max(Duration::from_micros(1));
        self.requests.insert(ticket, Pending { deadline, timeout, wait });
    }

    /// Answers a request, once, and after readers were told what it speaks of.
    pub(super) fn reply(&mut self, ticket: u64, reply: Reply) {
        self.requests.remove(ticket);
        self.replies.push_back(Output::Reply { ticket, reply });
    }

    /// Answers a request whose deadline has passed.
    pub(super) fn expire(&mut self, ticket: u64, pending: &Pending) {
        let reply = match &pending.wait {
            Wait::Settled => {
                let error = self.settling.cancel(ticket).unwrap_or(SettleError::NotReady);
                Reply::Settled(Err(error))
            }
            Wait::Granted { seat, .. } => Reply::Register(Err(self.give_up_name(seat))),
            Wait::Replicated { written, replicas, .. } => written.timed_out(self.wanted(*replicas)),
            Wait::CatchUp { behind: (journal, demanded), .. } => {
                let (journal, demanded) = (journal.clone(), *demanded);
                let here = self.replication.closed_head(&journal);
                Reply::CatchUp(Err(CatchUpError::TimedOut { journal, here, demanded }))
            }
            Wait::Leave => self.leave_reply(),
            Wait::Quorum => {
                let (up, of) = self.quorum();
                Reply::AwaitQuorum(Err(QuorumError::TimedOut { up, of }))
            }
            Wait::VotersChanged => Reply::ChangeVoters(Err(self.not_changed(ticket))),
            Wait::Start { key, .. } | Wait::Found { key, .. } => {
                Reply::Start(Err(self.not_started(*key)))
            }
            Wait::Restarted { .. }
            | Wait::Terminate { .. }
            | Wait::Forwarded { .. }
            | Wait::Shown { .. }
            | Wait::Evict { .. }
            | Wait::Call => pending.wait.timed_out(pending.timeout),
        };
        let leaves = pending.wait == Wait::Leave;
        if pending.wait == Wait::Call {
            self.messaging.cancel(ticket);
        }
        self.replies.push_back(Output::Reply { ticket, reply });
        if leaves {
            self.exit(ExitReason::Left);
        }
    }

    /// Answers the requests that wait for `key`, as far as they can be; those whose child is none
    /// any more look for another later.
    pub(super) fn check_child_requests(&mut self, key: ChildKey) {
        self.end_if_it_does_not_start(key);
        for ticket in self.requests.of_child(key) {
            let Some(pending) = self.requests.request(ticket) else { continue };
            let reply = match &pending.wait {
                Wait::Start { entry, ensured, .. } => {
                    let reply = self.start_reply(key, entry.as_ref());
                    match (reply, ensured) {
                        (Some(Err(error)), Some(_)) if has_lost_its_name(&error) => {
                            self.unfound.insert(ticket);
                            None
                        }
                        (reply, _) => reply.map(Reply::Start),
                    }
                }
                Wait::Found { spec, .. } => {
                    let found = self.found_reply(key);
                    if found.is_none() && self.child_named(key.0, spec) != Some(key.1) {
                        self.unfound.insert(ticket);
                    }
                    found.map(Reply::Start)
                }
                Wait::Restarted { at, after, .. } => {
                    self.restart_reply(key, at.as_ref(), *after).map(Reply::Restart)
                }
                Wait::Terminate { entry, .. } => {
                    let is_over = self.is_over_for_good(key, entry.as_ref());
                    is_over.then_some(Reply::Terminate(Ok(())))
                }
                Wait::Granted { .. }
                | Wait::Replicated { .. }
                | Wait::Forwarded { .. }
                | Wait::Shown { .. }
                | Wait::CatchUp { .. }
                | Wait::Evict { .. }
                | Wait::Call
                | Wait::Leave
                | Wait::Quorum
                | Wait::VotersChanged
                | Wait::Settled => None,
            };
            if let Some(reply) = reply {
                self.reply(ticket, reply);
            }
        }
    }

    /// Ends `key` if its first start failed and whoever asked for it here still waits.
    ///
    /// Nobody else may: behind a split, another process of it may have run and been answered for.
    fn end_if_it_does_not_start(&mut self, key: ChildKey) {
        let failure = self.supervisor.child(&key).and_then(|child| child.start_failure());
        let Some(reason) = failure.map(String::from) else { return };
        let is_start = |pending: &Pending| match pending.wait {
            Wait::Start { .. } => true,
            Wait::Found { .. }
            | Wait::Restarted { .. }
            | Wait::Terminate { .. }
            | Wait::Granted { .. }
            | Wait::Replicated { .. }
            | Wait::Forwarded { .. }
            | Wait::Shown { .. }
            | Wait::CatchUp { .. }
            | Wait::Evict { .. }
            | Wait::Call
            | Wait::Leave
            | Wait::Quorum
            | Wait::VotersChanged
            | Wait::Settled => false,
        };
        let tickets = self.requests.of_child(key);
        if tickets.into_iter().any(|ticket| self.requests.request(ticket).is_some_and(is_start)) {
            self.with_supervisor(|supervisor, around| {
                supervisor.end(around, key, Outcome::StartFailed { reason });
            });
        }
    }

    /// Answers the requests that wait for `journal` to spread, as far as they can be.
    pub(super) fn check_journal_requests(&mut self, journal: &Replica, version: u64) {
        for ticket in self.requests.of_journal(journal, version) {
            let Some(pending) = self.requests.request(ticket) else { continue };
            let reply = match &pending.wait {
                Wait::Start { key, entry, ensured } => {
                    let key = *key;
                    let has_spread = entry.as_ref().is_some_and(|(journal, version)| {
                        self.is_held_by(Replicas::Two, journal, *version)
                    });
                    if has_spread {
                        let ensured = ensured.clone();
                        self.requests.wait_for(ticket, Wait::Start { key, entry: None, ensured });
                    }
                    self.check_child_requests(key);
                    None
                }
                Wait::Replicated { written, journal, version, replicas } => {
                    // Whoever asked reads it here, wherever it was written.
                    let is_here = *version <= self.replication.closed_head(journal);
                    let enough = self.is_held_by(*replicas, journal, *version);
                    (is_here && enough)
                        .then(|| written.done(CausalToken::of(journal.clone(), *version)))
                }
                Wait::Shown { journal, version, asked } => {
                    let is_shown = *version <= self.replication.closed_head(journal);
                    is_shown.then(|| asked.done(CausalToken::of(journal.clone(), *version)))
                }
                Wait::CatchUp { token, .. } => {
                    let token = token.clone();
                    match self.unseen(&token) {
                        Some(behind) => {
                            self.requests.wait_for(ticket, Wait::CatchUp { token, behind });
                            None
                        }
                        None => Some(Reply::CatchUp(Ok(()))),
                    }
                }
                Wait::Terminate { key, entry } => {
                    let is_over = self.is_over_for_good(*key, entry.as_ref());
                    is_over.then_some(Reply::Terminate(Ok(())))
                }
                Wait::Found { .. }
                | Wait::Granted { .. }
                | Wait::Restarted { .. }
                | Wait::Forwarded { .. }
                | Wait::Evict { .. }
                | Wait::Call
                | Wait::Leave
                | Wait::Quorum
                | Wait::VotersChanged
                | Wait::Settled => None,
            };
            if let Some(reply) = reply {
                self.reply(ticket, reply);
            }
        }
    }

    /// Answers the requests that wait for journals to spread, now that `from` told what it holds.
    pub(super) fn check_spread(&mut self, from: &Replica) {
        for journal in self.requests.journals() {
            let version = self.replication.acked(&journal, from);
            self.check_journal_requests(&journal, version);
        }
    }

    /// Returns whether no other member that counts is up, be there a session with it or not.
    ///
    /// What is shown says so too early: where a node begins a new life, the one before is hidden
    /// first.
    fn is_alone(&self) -> bool {
        let is_up = |replica: &&Replica| self.membership.is_visible(replica);
        let mut up = self.membership.counting().filter(is_up);
        up.all(|replica| self.me.as_ref() == Some(replica))
    }

    /// Returns the answer to a start, if it is time: its process runs, and a second live member has
    /// its specification, unless there is none.
    fn start_reply(
        &self,
        key: ChildKey,
        entry: Option<&(Replica, Version)>,
    ) -> Option<Result<StartedChild, StartChildError>> {
        let child = self.supervisor.child(&key)?;
        if let Some(end) = &child.end {
            let error = match &end.outcome {
                Outcome::StartFailed { reason } => {
                    StartChildError::Failed { reason: reason.clone() }
                }
                Outcome::Ignored => StartChildError::Ignored,
                outcome @ (Outcome::Terminated
                | Outcome::Finished
                | Outcome::Failed { .. }
                | Outcome::MergedInto { .. }
                | Outcome::NameLost
                | Outcome::WithParent { .. }) => {
                    StartChildError::Ended { outcome: outcome.clone() }
                }
            };
            return Some(Err(error));
        }
        let Some(process) = child.process(&self.config.rule) else {
            return self.quarantined(key, child).map(Err);
        };
        let is_elsewhere = Some(&process.replica) != self.me.as_ref();
        let has_spread =
            entry.is_none_or(|(journal, at)| self.is_held_by(Replicas::Two, journal, *at));
        let replicated = is_elsewhere || has_spread;
        let alone = self.is_alone();
        (replicated || alone).then(|| {
            let token = self.token_of(key, &process.replica);
            Ok(StartedChild { child: key.1, process, replicated, found: false, token })
        })
    }

    /// Returns that nobody tries `child` any more, if nobody does.
    fn quarantined(&self, key: ChildKey, child: &Child) -> Option<StartChildError> {
        child.is_in_quarantine(key.1, &self.targets).then(|| StartChildError::Quarantined {
            child: key.1,
            given_up: child.given_up.clone(),
        })
    }

    /// Returns the answer to whoever found `key`, once a process runs it, or nobody tries it.
    fn found_reply(&self, key: ChildKey) -> Option<Result<StartedChild, StartChildError>> {
        let child = self.supervisor.child(&key)?;
        let Some(process) = child.process(&self.config.rule) else {
            return self.quarantined(key, child).map(Err);
        };
        let entry = Key::Spec(key.0, key.1).encode();
        let is_on_two = |journal: &Replica| {
            let version = self.replication.journal(journal).and_then(|held| held.version(&entry));
            version.is_some_and(|version| self.is_held_by(Replicas::Two, journal, version))
        };
        let is_elsewhere = Some(&process.replica) != self.me.as_ref();
        let replicated = is_elsewhere || child.spec_in.iter().any(is_on_two);
        let token = self.token_of(key, &process.replica);
        Some(Ok(StartedChild { child: key.1, process, replicated, found: true, token }))
    }

    /// Returns whether nobody is seen to run `key` any more, and a second live member has its end,
    /// unless there is none: the death of one node brings nothing back.
    fn is_over_for_good(&self, key: ChildKey, entry: Option<&(Replica, Version)>) -> bool {
        let is_idle = self.supervisor.child(&key).is_none_or(|child| !child.is_claimed());
        let has_spread =
            entry.is_none_or(|(journal, at)| self.is_held_by(Replicas::Two, journal, *at));
        is_idle && (has_spread || self.is_alone())
    }

    /// Returns what whoever has seen it knows of `key`: what it is, and that it runs on `runner`.
    fn token_of(&self, key: ChildKey, runner: &Replica) -> CausalToken {
        let mut token = CausalToken::default();
        let (spec, claim) = (Key::Spec(key.0, key.1), Key::Claim(key.0, key.1));
        let places = [(self.me.as_ref(), spec), (Some(runner), claim)];
        for (journal, key) in places.into_iter().filter_map(|(of, key)| Some((of?, key.encode()))) {
            let version = self.replication.journal(journal).and_then(|held| held.version(&key));
            if let Some(version) = version {
                token.join(&CausalToken::of(journal.clone(), version));
            }
        }
        token
    }

    /// Answers `ticket` once this node has seen what `token` speaks of.
    pub(super) fn catch_up(&mut self, ticket: u64, timeout: Duration, token: CausalToken) {
        match self.unseen(&token) {
            Some(behind) => self.wait(ticket, timeout, Wait::CatchUp { token, behind }),
            None => self.reply(ticket, Reply::CatchUp(Ok(()))),
        }
    }

    /// Returns something that `token` speaks of and that is not here. What is over for good has
    /// been seen: nothing of it will ever show.
    fn unseen(&self, token: &CausalToken) -> Option<(Replica, Version)> {
        let is_seen = |journal: &Replica, version| {
            version <= self.replication.closed_head(journal)
                || self.retired.contains(journal)
                || self.replication.is_forgotten(journal)
        };
        let mut unseen = token.iter().filter(|&(journal, version)| !is_seen(journal, version));
        unseen.next().map(|(journal, version)| (journal.clone(), version))
    }

    /// Answers `ticket` once enough members hold what was just written here.
    pub(super) fn await_replicas(
        &mut self,
        ticket: u64,
        timeout: Duration,
        written: Written,
        replicas: Replicas,
    ) {
        self.carry_out_effects();
        let journal = self.me.clone().expect("only a node that has joined writes");
        let version = self.replication.head();
        if self.is_held_by(replicas, &journal, version) {
            let token = CausalToken::of(journal, version);
            return self.reply(ticket, written.done(token));
        }
        self.wait(ticket, timeout, Wait::Replicated { written, journal, version, replicas });
    }

    /// Returns how many members must hold an entry.
    pub(super) fn wanted(&self, replicas: Replicas) -> usize {
        let members = self.membership.counting();
        let members = members.filter(|member| !self.retired.contains(*member)).count();
        match replicas {
            Replicas::One => 1,
            Replicas::Two => Replicas::TWO,
            Replicas::Majority => members / 2 + 1,
            Replicas::All => members,
        }
    }

    /// Returns whether as many members as `replicas` says are known to hold `journal` up to
    /// `version`.
    pub(super) fn is_held_by(&self, replicas: Replicas, journal: &Replica, version: u64) -> bool {
        let holders =
            self.membership.counting().filter(|member| self.holds(member, journal, version));
        let holders = holders.count();
        match replicas {
            Replicas::One => true,
            // Whoever wrote it has it as long as it lives, and then the other one has it.
            Replicas::Two => {
                Replicas::TWO <= holders + usize::from(!self.membership.counts(journal))
            }
            Replicas::Majority | Replicas::All => self.wanted(replicas) <= holders,
        }
    }

    /// Returns whether every member that is not forgotten or over has `journal` up to `version`.
    pub(super) fn is_everywhere(&self, journal: &Replica, version: Version) -> bool {
        let has_it = |member: &Replica| {
            self.retired.contains(member) || self.holds(member, journal, version)
        };
        self.membership.not_forgotten().all(has_it)
    }

    /// Returns whether `member`, which is not over, is known to hold `journal` up to `version`.
    pub(super) fn holds(&self, member: &Replica, journal: &Replica, version: u64) -> bool {
        let own =
            || self.me.as_ref() == Some(member) && version <= self.replication.closed_head(journal);
        !self.retired.contains(member)
            && (member == journal || own() || version <= self.replication.acked(journal, member))
    }
}

/// Returns whether a child did not start, or ended, since somebody else has its name.
fn has_lost_its_name(error: &StartChildError) -> bool {
    let StartChildError::Ended { outcome } = error else { return false };
    matches!(outcome, Outcome::MergedInto { .. } | Outcome::NameLost)
}
