//! Judgement: who has been silent for too long, and when not to trust oneself with it.

use alloc::vec::Vec;
use core::time::Duration;

use super::{Life, Membership, Output, Phase, State};
use crate::{Event, Replica, ReplicaKey};

/// Least time for which a member is silent before it is down, however many links are refused.
const REFUSED_PATIENCE_MIN: Duration = Duration::from_millis(50);

/// Most that late timers of our own count.
const STRAIN_MAX: u32 = 8;

/// How much strain makes our timeouts longer by themselves: at most to three times.
const STRAIN_STEP: u32 = 4;

impl Membership {
    /// Returns how long the slowness of this node makes `duration`.
    ///
    /// Every beat sent half an interval late adds a quarter, one sent a whole interval late two,
    /// and every one in time takes a quarter back; between nothing and twice the duration is added.
    pub(super) fn stretched(&self, duration: Duration) -> Duration {
        duration.saturating_mul(STRAIN_STEP + self.strain) / STRAIN_STEP
    }

    /// Returns after which silence a life is suspect.
    pub(super) fn suspect_after(&self) -> Duration {
        self.stretched(self.settings.failure_timeout / 2)
    }

    /// Returns after which silence a life is down.
    pub(super) fn down_after(&self) -> Duration {
        self.stretched(self.settings.failure_timeout)
    }

    /// Suspects and takes down whoever has been silent for too long, and finds out when to judge
    /// again.
    pub(super) fn judge(&mut self) {
        let now = self.now;
        let (suspect_after, down_after) = (self.suspect_after(), self.down_after());
        let refused_patience = self.refused_patience();
        let mut next = now + self.settings.failure_timeout;
        let (mut suspects, mut fallen) = (Vec::new(), Vec::new());
        for (key, life) in &self.lives {
            match life.state {
                _ if self.own == Some(*key) => continue,
                State::Down | State::Retired => continue,
                State::Alive | State::Suspect | State::Returning { .. } => (),
            }
            let silent_at = life.judged + down_after;
            let down_at = life.doomed.map_or(silent_at, |at| silent_at.min(at + refused_patience));
            let suspected_at = life.judged + suspect_after;
            if down_at <= now && self.grace_until <= now {
                fallen.push(*key);
                continue;
            }
            next = next.min(down_at.max(self.grace_until));
            if life.state == State::Alive {
                if suspected_at <= now {
                    suspects.push(*key);
                } else {
                    next = next.min(suspected_at);
                }
            }
        }
        self.next_judgement = next;
        suspects.into_iter().for_each(|key| self.suspect(key));
        let any = !fallen.is_empty();
        fallen.into_iter().for_each(|key| self.take_down(key));
        if any {
            self.weigh_silence();
            self.weigh_doom();
            self.enforce();
        }
        assert!(now < self.next_judgement, "the next judgement lies ahead");
    }

    /// Notes which lives nobody can reach any more, from here on down after a short silence.
    ///
    /// Such a life refuses our own attempt to dial it, and by their last beats no member that is up
    /// has a session with it, but for those that are out of our reach in the same way: the dead do
    /// not vouch for each other.
    pub(super) fn weigh_doom(&mut self) {
        if self.unreachable.is_empty() {
            return;
        }
        let witness = |(key, life): &(&ReplicaKey, &Life)| {
            life.state.is_up() && self.own != Some(**key) && !self.unreachable.contains(key)
        };
        let witnesses: Vec<ReplicaKey> =
            self.lives.iter().filter(witness).map(|(key, _)| *key).collect();
        let soon = self.now + self.refused_patience();
        for key in &self.unreachable {
            let life = self.lives.get_mut(key).expect("what is out of reach is known");
            let doomed = life.cut_off_by.len() >= witnesses.len()
                && witnesses.iter().all(|witness| life.cut_off_by.contains(witness));
            if !doomed {
                life.doomed = None;
            } else if life.doomed.is_none() {
                life.doomed = Some(self.now);
                self.next_judgement = self.next_judgement.min(soon);
            }
        }
    }

    /// Learns from how late a beat is sent whether we are slow ourselves.
    pub(super) fn weigh_lateness(&mut self) {
        let late = self.now.since(self.next_beat);
        let interval = self.settings.beat_interval;
        let before = self.strain;
        self.strain = if late >= interval {
            (before + 2).min(STRAIN_MAX)
        } else if late >= interval / 2 {
            (before + 1).min(STRAIN_MAX)
        } else {
            before.saturating_sub(1)
        };
        if self.strain < before {
            // With less patience, the next judgement may be due earlier.
            self.next_judgement = self.now;
        }
        assert!(self.strain <= STRAIN_MAX, "our timeouts stay bounded");
    }

    /// Credits the time for which we were stopped to everyone, and waits for one beat interval
    /// before anybody goes down: what they sent meanwhile is still to be read.
    pub(super) fn thaw(&mut self, gap: Duration) {
        self.grace_until = self.now + self.settings.beat_interval;
        self.takeover_after = self.takeover_after.max(self.grace_until);
        for life in self.lives.values_mut() {
            life.judged = (life.judged + gap).min(self.now);
            life.doomed = life.doomed.map(|since| since + gap);
        }
        for known in self.nodes.values_mut() {
            known.heard = known.heard.map(|heard| (heard + gap).min(self.now));
            if let Some(session) = &mut known.session {
                session.heard = (session.heard + gap).min(self.now);
            }
        }
        if let Some(rival) = &mut self.rival {
            rival.until = rival.until.max(self.grace_until);
        }
        if let Phase::Joining(joining) = &mut self.phase {
            joining.since = joining.since + gap;
        }
    }

    pub(super) fn hide(&mut self, replica: Replica, silent: Duration) {
        self.outputs.push_back(Output::Down { replica: replica.clone(), silent });
        self.outputs.push_back(Output::Changed { node: replica.node().clone() });
        self.outputs.push_back(Output::Event(Event::MemberDown { replica, silent }));
    }

    fn suspect(&mut self, key: ReplicaKey) {
        let life = self.lives.get_mut(&key).expect("just judged");
        assert_eq!(life.state, State::Alive, "who is suspect already is not suspected again");
        life.state = State::Suspect;
        let replica = life.replica.clone();
        self.outputs.push_back(Output::Changed { node: replica.node().clone() });
        self.outputs.push_back(Output::Event(Event::MemberSuspect { replica }));
    }

    fn take_down(&mut self, key: ReplicaKey) {
        let now = self.now;
        self.unreachable.remove(&key);
        let life = self.lives.get_mut(&key).expect("just judged");
        let was_up = life.state.is_up();
        life.state = State::Down;
        life.hearing = None;
        life.is_refused = life.doomed.take().is_some();
        life.fell = (!life.is_refused).then_some(now);
        let (replica, silent) = (life.replica.clone(), now.since(life.heard));
        // Who had not come back yet is still hidden.
        if was_up {
            self.hide(replica, silent);
        }
    }

    /// Puts off takeovers if over half of the members went silent within one timeout: more likely
    /// than the death of them all is that we are cut off ourselves.
    fn weigh_silence(&mut self) {
        let now = self.now;
        let recently =
            |life: &Life| life.fell.is_some_and(|at| now.since(at) < self.settings.failure_timeout);
        let (mut members, mut silent) = (0, 0);
        for (key, life) in &self.lives {
            if !self.role_of(*key, life).counts() {
                continue;
            }
            match life.state {
                State::Alive | State::Returning { .. } => members += 1,
                State::Suspect => (members, silent) = (members + 1, silent + 1),
                State::Down if recently(life) => (members, silent) = (members + 1, silent + 1),
                State::Down | State::Retired => (),
            }
        }
        if 2 * silent > members {
            self.takeover_after = self.takeover_after.max(now + self.settings.failure_timeout);
        }
    }

    /// Returns how long a life is silent before it is down when nobody can reach it.
    fn refused_patience(&self) -> Duration {
        let slowest = self.nodes.values().filter_map(|known| known.round_trip).max();
        let round_trips = slowest.unwrap_or(Duration::ZERO).saturating_mul(2);
        self.stretched(round_trips.max(REFUSED_PATIENCE_MIN))
    }
}
