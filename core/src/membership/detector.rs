//! Who is silent, for how long, and what follows from it.

use core::time::Duration;

use crate::crdt::Version;
use crate::membership::member::{Member, State};
use crate::membership::{Membership, MembershipOutput};
use crate::message::{Beat, Link, Pulse};
use crate::{Replica, Time};

/// The most by which a slow node stretches its own timeouts: as many quarters.
pub(super) const SLOWNESS_MAX: u32 = 8;

/// The shortest silence that counts once everybody's attempt to dial was refused.
const REFUSED_TIMEOUT: Duration = Duration::from_millis(50);

impl Membership {
    /// Takes in that time has come to `now`: a gap that the clock jumped is nobody else's silence.
    pub(crate) fn handle_now(&mut self, now: Time) {
        let due = self.poll_timeout().unwrap_or(now).max(self.last_handled);
        let overslept = now.since(due);
        if self.config.beat_interval < overslept {
            for (replica, member) in &mut self.members {
                if self.me.as_ref() != Some(replica) {
                    member.risen = (member.risen + overslept).min(now);
                }
            }
            self.no_verdict_before = now + self.config.beat_interval;
        }
        self.last_handled = now;
    }

    /// Takes in a frame of `from` on its own session, with its beat counter; returns whether that
    /// life is not over, so that what it says may be believed.
    pub(crate) fn handle_heard(&mut self, now: Time, from: &Replica, beat: u64) -> bool {
        if from.node() == &self.config.id {
            return false;
        }
        self.admit(now, from);
        if self.current.get(from.node()) != Some(from) {
            return false;
        }
        if let Some(session) = self.sessions.get_mut(from.node())
            && session.replica.as_ref() != Some(from)
        {
            session.replica = Some(from.clone());
            let (peer, replica) = (from.node().clone(), from.clone());
            self.outputs.push_back(MembershipOutput::Peer { peer, replica });
        }
        self.raise(now, from, beat, Duration::ZERO);
        true
    }

    /// Takes in what `from` hears of everyone.
    pub(crate) fn handle_beat(&mut self, now: Time, from: &Replica, beat: &Beat) {
        for pulse in &beat.pulses {
            self.watch_rival(pulse);
            let Some(of) = self.by_key.get(&pulse.replica).cloned() else { continue };
            if of.node() == &self.config.id {
                continue;
            }
            self.raise(now, &of, pulse.counter, Duration::from_millis(pulse.age_ms));
            let Some(member) = self.members.get_mut(&of) else { continue };
            if of != *from {
                member.links.insert(from.clone(), pulse.link);
            }
            let is_own_word = of == *from || !self.sessions.contains_key(of.node());
            if let State::Returning { head: Version::MAX } = member.state
                && is_own_word
            {
                member.state = State::Returning { head: pulse.head };
                let head = member.head;
                self.handle_closed(now, &of, head);
            }
        }
    }

    /// Ends this life if a later one of the same node is heard to beat.
    fn watch_rival(&mut self, pulse: &Pulse) {
        let Some(rival) = self.rivals.get_mut(&pulse.replica) else { return };
        let rises = rival.counter.is_some_and(|counter| counter < pulse.counter);
        rival.counter = rival.counter.max(Some(pulse.counter));
        if rises && self.me.as_ref().is_some_and(|me| *me < rival.replica) {
            let by = rival.replica.incarnation();
            self.outputs.push_back(MembershipOutput::Superseded { by });
        }
    }

    /// Returns when the next member becomes suspect or down, if nothing more is heard.
    pub(super) fn next_verdict(&self) -> Option<Time> {
        let others = self.members.iter().filter(|(replica, _)| self.is_other(replica));
        let verdict = |(replica, member): (&Replica, &Member)| match member.state {
            State::Alive => {
                let suspect = member.risen + self.timeout() / 2;
                Some(suspect.min(member.risen + self.timeout_of(replica, member)))
            }
            State::Suspect => Some(member.risen + self.timeout_of(replica, member)),
            State::Returning { .. } => Some(member.risen + self.timeout()),
            State::Down => Some(member.risen + self.config.forget_after),
        };
        let at = others.filter_map(verdict).min()?;
        Some(at.max(self.no_verdict_before).max(self.last_handled + Duration::from_micros(1)))
    }

    /// Judges who has been silent for too long.
    pub(super) fn judge(&mut self, now: Time) {
        if now < self.no_verdict_before {
            return;
        }
        let mut fallen = 0;
        let replicas: alloc::vec::Vec<Replica> =
            self.members.keys().filter(|replica| self.is_other(replica)).cloned().collect();
        for replica in replicas {
            let member = self.members.get(&replica).expect("it was just seen");
            let silent = now.since(member.risen);
            let (state, timeout) = (member.state, self.timeout_of(&replica, member));
            let next = match state {
                State::Alive | State::Suspect if timeout <= silent => State::Down,
                State::Alive if self.timeout() / 2 <= silent => State::Suspect,
                State::Returning { .. } if self.timeout() <= silent => State::Down,
                State::Down if self.config.forget_after <= silent => {
                    self.current.remove(replica.node());
                    self.outputs.push_back(MembershipOutput::Forgotten { replica });
                    continue;
                }
                State::Alive | State::Suspect | State::Returning { .. } | State::Down => continue,
            };
            self.members.get_mut(&replica).expect("it was just seen").state = next;
            let output = match (next, state) {
                (State::Suspect, _) => MembershipOutput::Suspect { replica },
                (State::Down, State::Alive | State::Suspect) => {
                    fallen += 1;
                    MembershipOutput::Down { replica, silent }
                }
                (State::Down | State::Alive | State::Returning { .. }, _) => {
                    MembershipOutput::Changed
                }
            };
            self.outputs.push_back(output);
        }
        if fallen > 0 {
            self.doubt(now);
        }
    }

    /// When over half of the members are silent, perhaps it is we who are cut off: lets takeovers
    /// wait as long again.
    fn doubt(&mut self, now: Time) {
        let others = self.current.values().filter(|replica| self.is_other(replica));
        let (mut silent, mut all) = (0, 1);
        for replica in others {
            all += 1;
            silent += usize::from(self.is_down(replica));
        }
        if silent * 2 > all {
            self.doubt = Some(now + self.config.failure_timeout);
            self.outputs.push_back(MembershipOutput::Changed);
        }
    }

    /// Raises the counter of `of`, if it rises, as heard `age` ago.
    fn raise(&mut self, now: Time, of: &Replica, counter: u64, age: Duration) {
        let Some(member) = self.members.get_mut(of) else { return };
        if counter <= member.counter {
            return;
        }
        member.counter = counter;
        let heard = now.saturating_sub(age);
        if heard <= member.risen && member.state != State::Down {
            return;
        }
        member.risen = member.risen.max(heard);
        let is_fresh = now.since(member.risen) < self.config.failure_timeout / 2;
        match member.state {
            State::Suspect if is_fresh => {
                member.state = State::Alive;
                self.outputs.push_back(MembershipOutput::Changed);
            }
            State::Down if is_fresh => {
                member.state = State::Returning { head: Version::MAX };
                member.links.clear();
                self.outputs.push_back(MembershipOutput::Changed);
            }
            State::Alive | State::Suspect | State::Down | State::Returning { .. } => (),
        }
    }

    /// Returns the silence after which a member is down, stretched by our own slowness.
    fn timeout(&self) -> Duration {
        let timeout = self.config.failure_timeout;
        timeout + timeout / 4 * self.slowness
    }

    /// Returns the silence after which `replica` is down: short once nobody can reach it and it
    /// refuses to be dialled, for then its process is gone.
    fn timeout_of(&self, replica: &Replica, member: &Member) -> Duration {
        let refuses = member.address.as_ref().is_some_and(|at| self.refused.contains(at));
        if !refuses || self.is_connected(replica.node()) {
            return self.timeout();
        }
        let others = self.current.values().filter(|other| {
            self.is_other(other)
                && *other != replica
                && !self.is_down(other)
                && self.is_connected(other.node())
        });
        for other in others {
            match member.links.get(other) {
                Some(Link::Open) | None => return self.timeout(),
                Some(Link::Refused | Link::Closed) => (),
            }
        }
        let trips = self.sessions.values().filter_map(|session| session.round_trip).max();
        (trips.unwrap_or_default() * 2).max(REFUSED_TIMEOUT)
    }

    /// Returns what this node's beats say of `replica`.
    pub(super) fn pulse(&self, now: Time, replica: &Replica, member: &Member) -> Pulse {
        let is_me = !self.is_other(replica);
        let refused = member.address.as_ref().is_some_and(|at| self.refused.contains(at));
        let link = if is_me || self.is_connected(replica.node()) {
            Link::Open
        } else if refused {
            Link::Refused
        } else {
            Link::Closed
        };
        let age = if is_me { Duration::ZERO } else { now.since(member.risen) };
        Pulse {
            replica: replica.key(),
            counter: if is_me { self.beat } else { member.counter },
            age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
            head: member.head,
            link,
        }
    }

    fn is_other(&self, replica: &Replica) -> bool {
        self.me.as_ref() != Some(replica) && self.current.get(replica.node()) == Some(replica)
    }
}
