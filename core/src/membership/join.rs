//! Joining: how a node comes by a life that nobody had before.

use alloc::vec::Vec;
use core::time::Duration;

use super::{
    Answer, JUMP_MAX, Joining, Life, MemberEntry, Membership, Output, Phase, Presence, Rival,
    RivalBeats, Seed, Session, State,
};
use crate::limits::MEMBERS_MAX;
use crate::message::{Message, Welcome};
use crate::{Address, Event, ExitReason, Incarnation, NodeId, Replica, ReplicaKey, Stamp, Time};

/// How many beats of a rival are heard of at least, each above the one before, until it is taken
/// for alive. Of old ones that come late, in whatever order, few are above all before them.
const RIVAL_BEATS_MIN: u32 = 5;

impl Membership {
    /// Answers a node that asks for what a new life of it must know; `stamp` is our hybrid clock.
    pub(crate) fn handle_join(&mut self, now: Time, from: &NodeId, stamp: Stamp) {
        self.advance(now);
        if !self.may_join(from) {
            return;
        }
        let counter = self.nodes.get(from).map_or(0, |known| known.highest.counter);
        let settings = &self.settings;
        let ours = self.own.map(|_| (settings.id.clone(), settings.address.clone()));
        let members: Vec<(NodeId, Address)> =
            ours.into_iter().chain(self.addresses(from)).take(MEMBERS_MAX).collect();
        let message = Message::Welcome(Welcome { counter, stamp, members });
        self.outputs.push_back(Output::Send { to: from.clone(), message });
    }

    /// Takes in the answer of `from` to our [`Message::Join`]; ignored by who does not join.
    pub(crate) fn handle_welcome(&mut self, now: Time, from: &NodeId, welcome: &Welcome) {
        self.advance(now);
        let session = self.nodes.get_mut(from).and_then(|known| known.session.as_mut());
        let Some(session) = session.filter(|session| session.agreed) else { return };
        // Of two clients that look for a cluster neither is one.
        let has_joined = welcome.members.iter().any(|(node, _)| node == from);
        if !self.settings.role.counts() && !has_joined {
            return;
        }
        session.answer = Answer::Welcome;
        let joining = match &mut self.phase {
            Phase::Joining(joining) => joining,
            Phase::Joined => return self.handle_denied(welcome.counter),
            Phase::Idle | Phase::Over => return,
        };
        joining.first_welcome.get_or_insert(now);
        joining.stamp = joining.stamp.max(welcome.stamp);
        if welcome.counter <= JUMP_MAX {
            joining.counter = joining.counter.max(welcome.counter);
        } else {
            self.complain(from, "it knows a life of ours with an impossible counter");
        }
        for (node, address) in welcome.members.iter().take(MEMBERS_MAX) {
            self.learn_address(node, address);
        }
        self.try_to_join();
        self.check();
    }

    /// Takes in that `from` does not let us join: we are not on the list of members that it knows.
    pub(super) fn be_turned_away(&mut self, from: &NodeId) {
        let Phase::Joining(joining) = &mut self.phase else { return };
        joining.turned_away = true;
        if let Some(session) = self.nodes.get_mut(from).and_then(|known| known.session.as_mut()) {
            session.answer = Answer::TurnedAway;
        }
        self.try_to_join();
        self.check();
    }

    /// Takes in that a life of our own name is known elsewhere, for which nothing was heard for
    /// `silence`; returns whether its journal is worth keeping.
    ///
    /// A higher life than ours is a rival. If it goes on beating, it is the one to stay. If it is a
    /// memory, we take a new life above it: until then nobody believes us.
    pub(super) fn remember_ourselves(&mut self, replica: &Replica, silence: Duration) -> bool {
        let theirs = replica.incarnation();
        let ours = self.incarnation();
        if theirs.counter > ours.counter.saturating_add(JUMP_MAX) {
            self.refused = self.refused.saturating_add(1);
            return false;
        }
        match &mut self.phase {
            Phase::Idle | Phase::Over => false,
            Phase::Joining(joining) => {
                joining.counter = joining.counter.max(theirs.counter);
                self.remember_retired(replica, silence)
            }
            Phase::Joined if theirs == ours => true,
            Phase::Joined if theirs < ours => self.remember_retired(replica, silence),
            Phase::Joined => {
                if self.rival.as_ref().is_none_or(|rival| rival.replica.incarnation() < theirs) {
                    let left = self.settings.failure_timeout.saturating_sub(silence);
                    let until = self.now + left.max(Duration::from_micros(1));
                    let (replica, key, since) = (replica.clone(), replica.key(), self.now);
                    self.rival = Some(Rival { replica, key, since, until, beats: None });
                }
                false
            }
        }
    }

    /// Takes in that a relay heard beat `counter` of `key` `age` ago; a rival that has beaten for a
    /// whole failure timeout since we began to watch ends us.
    ///
    /// One beat is no proof, however often it is told: the last ones of a life that is over may be
    /// under way for a while, and ages do not count the time that they themselves take to come.
    /// Nor are two or three that come so late, each by itself. Who only remembers the rival has
    /// heard no beat of it, and counts none.
    pub(super) fn hear_rival(&mut self, key: ReplicaKey, counter: u64, age: Duration) {
        let (now, timeout) = (self.now, self.settings.failure_timeout);
        let Some(rival) = self.rival.as_mut().filter(|rival| rival.key == key) else { return };
        let watched = now.since(rival.since);
        let unheard = RivalBeats { first: counter, highest: 0, heard: 0 };
        let RivalBeats { first, highest, heard } = rival.beats.unwrap_or(unheard);
        if watched <= age || counter <= highest {
            return;
        }
        rival.until = rival.until.max(now + timeout);
        let heard = heard + 1;
        rival.beats = Some(RivalBeats { first, highest: counter, heard });
        // It is the beat that has to come so late, not the news of it.
        let lasts = timeout <= watched.saturating_sub(age);
        let beats = timeout.as_micros() / self.settings.beat_interval.as_micros();
        let is_steady = RIVAL_BEATS_MIN <= heard && beats <= u128::from(counter - first) + 1;
        if lasts && is_steady {
            let by = rival.replica.incarnation();
            self.rival = None;
            self.be_superseded(by);
        }
    }

    pub(super) fn be_superseded(&mut self, by: Incarnation) {
        if matches!(self.phase, Phase::Joined) {
            assert!(self.incarnation() < by, "only a later life takes our place");
            self.phase = Phase::Over;
            self.outputs.push_back(Output::Superseded { by });
        }
    }

    /// Takes in that `from`, whose life we do not take in, does not take ours in either.
    ///
    /// If we have forgotten it, it has forgotten us: of two sides of a split that outlasted both
    /// memories neither would believe the other anything. Each goes on in a new life.
    pub(crate) fn handle_mutual(&mut self, now: Time, from: &NodeId, welcome: &Welcome) {
        self.advance(now);
        if self.forgotten.contains_key(from) && matches!(self.phase, Phase::Joined) {
            self.handle_denied(welcome.counter);
        }
    }

    /// Takes in that somebody does not take lives of ours up to `counter` in: it has forgotten
    /// ours, since it heard nothing of us for too long. We go on in a new one.
    fn handle_denied(&mut self, counter: u64) {
        let ours = self.incarnation().counter;
        if ours < counter && counter - ours <= JUMP_MAX && self.rival.is_none() {
            self.be_reborn(counter);
        }
    }

    /// Takes a life above that of a rival that is but a memory.
    pub(super) fn outlive_rival(&mut self) {
        let rival = self.rival.take().expect("the caller has seen it");
        self.be_reborn(rival.replica.incarnation().counter);
        self.remember_retired(&rival.replica, Duration::ZERO);
    }

    /// Takes a new life, above `highest`.
    fn be_reborn(&mut self, highest: u64) {
        let key = self.own.take().expect("only a life has rivals");
        let life = self.lives.get_mut(&key).expect("we know ourselves");
        let was = life.replica.clone();
        life.state = State::Retired;
        life.heard = self.now;
        life.judged = self.now;
        let entry = life.entry.clone();

        let replica = self.be_born(highest);
        if let (Some(own), Some(entry)) = (self.own, entry) {
            let life = self.lives.get_mut(&own).expect("just born");
            life.entry = Some(MemberEntry { presence: Presence::Arriving, ..entry });
            life.has_spoken = true;
        }
        assert!(was.incarnation() < replica.incarnation(), "lives only grow");
        self.outputs.push_back(Output::Reborn { was, replica });
        self.outputs.push_back(Output::Changed { node: self.settings.id.clone() });
        self.send_beat();
    }

    /// Returns when a joiner stops waiting; a client waits until somebody answers it.
    pub(super) fn join_deadline(&self, joining: &Joining) -> Option<Time> {
        let gives_up = self.may_be_alone() || joining.turned_away;
        let silent = gives_up.then(|| joining.since + self.settings.failure_timeout);
        let welcomed = joining.first_welcome.map(|first| first + self.settings.beat_interval);
        silent.into_iter().chain(welcomed).min()
    }

    /// Returns whether this node may begin a cluster of its own.
    fn may_be_alone(&self) -> bool {
        self.settings.role.counts()
    }

    /// Takes a life once everything has been learned that can be.
    ///
    /// That is so when all peers have answered, or one has and a beat has passed; when every seed
    /// refuses, or there is none, unless others may still be found; and when nobody has answered
    /// for the failure timeout. The last two are not for a client. Whom somebody turned away and
    /// nobody welcomes takes none: it is over.
    pub(super) fn try_to_join(&mut self) {
        let Phase::Joining(joining) = &self.phase else { return };
        let is_late = self.join_deadline(joining).is_some_and(|at| at <= self.now);
        let have_answered = || self.sessions().all(|s| s.answer != Answer::Awaited);
        let is_time = match (joining.first_welcome, joining.turned_away) {
            (Some(_), _) => have_answered(),
            (None, true) => have_answered() && self.tried_seeds() <= self.sessions().count(),
            (None, false) => self.may_be_alone() && self.is_hopeless(),
        };
        if !is_time && !is_late {
            return;
        }
        if joining.first_welcome.is_none() && joining.turned_away {
            return self.be_excluded(ExitReason::NotListed);
        }
        let (highest, stamp_floor) = (joining.counter, joining.stamp);
        self.phase = Phase::Joined;
        let replica = self.be_born(highest);
        self.outputs.push_back(Output::Joined { replica: replica.clone(), stamp_floor });
        self.outputs.push_back(Output::Event(Event::Joined { replica }));
        self.outputs.push_back(Output::Changed { node: self.settings.id.clone() });
        self.send_beat();
    }

    /// Returns whether nobody is there to answer, nor will be.
    fn is_hopeless(&self) -> bool {
        let awaits_nobody = self.tried_seeds() == 0 && !self.settings.awaits_seeds;
        awaits_nobody && self.sessions().next().is_none()
    }

    /// Returns how many seeds have not refused.
    fn tried_seeds(&self) -> usize {
        self.seeds.values().filter(|&&seed| seed == Seed::Tried).count()
    }

    fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.nodes.values().filter_map(|known| known.session.as_ref())
    }

    /// Begins a life above `highest`.
    fn be_born(&mut self, highest: u64) -> Replica {
        assert!(self.own.is_none(), "one life at a time");
        let counter = highest.saturating_add(1);
        let incarnation = Incarnation { counter, nonce: self.random.draw() | 1 };
        let replica = Replica::new(self.settings.id.clone(), incarnation);
        let key = replica.key();
        let known = self.nodes.entry(self.settings.id.clone()).or_default();
        assert!(known.highest < incarnation, "nobody had this life before");
        known.highest = incarnation;
        known.current = Some(key);
        self.lives.insert(key, Life::new(replica.clone(), self.now));
        self.own = Some(key);
        self.enforce();
        replica
    }

    /// Returns where the members other than `joiner` listen.
    fn addresses(&self, joiner: &NodeId) -> impl Iterator<Item = (NodeId, Address)> {
        let others = self.nodes.iter().filter(move |(node, _)| *node != joiner);
        others.filter_map(|(node, known)| {
            let life = self.lives.get(&known.current?)?;
            let address = known.address.clone().filter(|_| life.state != State::Retired)?;
            Some((node.clone(), address))
        })
    }
}
