//! Beats: what is heard of whom, by which path, and which life it makes the present one.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::time::Duration;

use super::links::Hearing;
use super::{JUMP_MAX, Life, MemberEntry, Membership, Output, Phase, Presence, State, Verdict};
use crate::crdt::Version;
use crate::limits::{MEMBERS_MAX, REPLICAS_MAX};
use crate::message::{Beat, Link, Message, Pulse, Welcome};
use crate::{Event, Incarnation, NodeId, Replica, ReplicaKey, Stamp, Time};

impl Life {
    /// Returns a life that was last heard of at `heard`.
    pub(super) fn new(replica: Replica, heard: Time) -> Self {
        Self {
            replica,
            counter: 0,
            heard,
            judged: heard,
            closed: 0,
            state: State::Alive,
            entry: None,
            has_spoken: false,
            hearing: None,
            cut_off_by: BTreeSet::new(),
            doomed: None,
            fell: None,
            is_refused: false,
            returned: None,
        }
    }

    /// Returns whether it is `replica`, and nothing is new if that is closed up to `head`.
    fn is_closed(&self, replica: &Replica, head: Version) -> bool {
        let waits = matches!(self.state, State::Returning { .. });
        self.replica == *replica && head <= self.closed && !waits
    }
}

impl Membership {
    /// Takes in that an envelope with this life and this beat arrived on the session with `peer`,
    /// and returns how far its message is to be believed.
    ///
    /// The first envelope of a new life admits it and retires the one before.
    pub(crate) fn handle_heard(
        &mut self,
        now: Time,
        peer: &NodeId,
        incarnation: Incarnation,
        beat: u64,
    ) -> Verdict {
        self.advance(now);
        if *peer == self.settings.id {
            if self.own.is_some() && self.incarnation() < incarnation {
                self.be_superseded(incarnation);
            }
            return self.refuse_stale();
        }
        let Some(known) = self.nodes.get_mut(peer) else { return Verdict::Unchecked };
        let Some(session) = &mut known.session else { return Verdict::Unchecked };
        session.heard = now;
        known.heard = Some(now);
        if !session.agreed {
            return Verdict::Unchecked;
        }
        if incarnation.counter == 0 {
            return Verdict::Stranger;
        }
        let (highest, current) = (known.highest, known.current);
        if self.policy.is_cast_out(peer, incarnation) {
            return self.refuse_excluded(peer, incarnation);
        }
        if let Some(counter) = self.forgotten(peer, incarnation) {
            self.deny(peer, counter);
            return self.refuse_stale();
        }
        let key = match (incarnation.cmp(&highest), current) {
            (Ordering::Less, _) | (Ordering::Equal, None) => return self.refuse_stale(),
            (Ordering::Equal, Some(current)) => current,
            (Ordering::Greater, _) => {
                let replica = Replica::new(peer.clone(), incarnation);
                match self.admit(&replica, Duration::ZERO) {
                    Ok(key) => key,
                    Err(reason) => {
                        self.complain(peer, reason);
                        return Verdict::Stale;
                    }
                }
            }
        };
        self.raise(key, beat, Duration::ZERO);
        let life = &self.lives[&key];
        if life.state == State::Retired {
            // Who has left by itself waits for no more than that we know, and have what it has.
            let has_left = life.entry.as_ref().is_some_and(|e| e.presence == Presence::Left);
            return if has_left {
                Verdict::Left(life.replica.clone())
            } else {
                self.refuse_excluded(peer, incarnation)
            };
        }
        Verdict::Member(life.replica.clone())
    }

    /// Takes in what `from` heard of everyone, itself first.
    pub(crate) fn handle_beat(&mut self, now: Time, from: &Replica, beat: &Beat) {
        self.advance(now);
        let Some(witness) = self.current_key(from) else {
            self.refused = self.refused.saturating_add(1);
            return;
        };
        for pulse in beat.pulses.iter().take(REPLICAS_MAX) {
            let age = Duration::from_millis(pulse.age_ms);
            if self.own == Some(pulse.replica) {
                // Somebody raised our counter: our next beat is above it.
                if pulse.counter.saturating_sub(self.beat) <= JUMP_MAX {
                    self.beat = self.beat.max(pulse.counter);
                }
            } else {
                self.hear_rival(pulse.replica, pulse.counter, age);
                self.raise(pulse.replica, pulse.counter, age);
            }
            let Some(life) = self.lives.get_mut(&pulse.replica) else { continue };
            match pulse.link {
                Link::Closed | Link::Refused if witness != pulse.replica => {
                    life.cut_off_by.insert(witness);
                }
                Link::Open | Link::Closed | Link::Refused => {
                    life.cut_off_by.remove(&witness);
                }
            }
            // The first pulse from after the silence says how much of the journal there is.
            if life.state == (State::Returning { head: None }) && life.counter <= pulse.counter {
                life.state = State::Returning { head: Some(pulse.head) };
                self.settle_return(pulse.replica);
            }
        }
        if let Some(life) = self.lives.get_mut(&witness).filter(|life| life.state.is_up()) {
            life.hearing = Some(Hearing::of(beat, now));
        }
        self.weigh_doom();
        self.check();
    }

    /// Takes in that `replica` is known elsewhere, and that nothing was heard of it for `silence`,
    /// summed over relays; returns whether its journal is worth keeping.
    ///
    /// A stranger that has been silent for half of `forget_after` is not: it may be one whom others
    /// have forgotten already, and they would learn of it again from us.
    pub(crate) fn handle_remembered(
        &mut self,
        now: Time,
        replica: &Replica,
        silence: Duration,
    ) -> bool {
        self.advance(now);
        if *replica.node() == self.settings.id {
            return self.remember_ourselves(replica, silence);
        }
        let known = self.nodes.get(replica.node());
        let highest = known.map_or(Incarnation::NONE, |known| known.highest);
        let fresh = silence < self.settings.forget_after / 2;
        let kept = match replica.incarnation().cmp(&highest) {
            Ordering::Less => self.remember_retired(replica, silence),
            Ordering::Equal => known.is_some_and(|known| known.current.is_some()),
            Ordering::Greater if self.is_cast_out(replica) => {
                self.remember_retired(replica, silence)
            }
            Ordering::Greater if fresh => self.admit(replica, silence).is_ok(),
            Ordering::Greater => false,
        };
        self.check();
        kept
    }

    /// Returns the highest life of `node` that was ever admitted, be it over or forgotten.
    pub(crate) fn highest(&self, node: &NodeId) -> Option<Replica> {
        let highest = self.nodes.get(node)?.highest;
        (highest != Incarnation::NONE).then(|| Replica::new(node.clone(), highest))
    }

    /// Takes in what a member says of itself in its journal; ours included.
    pub(crate) fn handle_member(&mut self, now: Time, replica: &Replica, entry: MemberEntry) {
        self.advance(now);
        let Some(key) = self.current_key(replica) else { return };
        let life = self.lives.get_mut(&key).expect("the key was just found");
        if life.state == State::Retired || life.entry.as_ref() == Some(&entry) {
            return;
        }
        let (address, presence) = (entry.address.clone(), entry.presence);
        life.entry = Some(entry);
        life.has_spoken = true;
        match presence {
            Presence::Arriving | Presence::Here | Presence::Leaving => {
                self.learn_address(replica.node(), &address);
                self.outputs.push_back(Output::Changed { node: replica.node().clone() });
            }
            // Of ourselves we say it last of all, and our node exits by itself.
            Presence::Left if self.own == Some(key) => (),
            Presence::Left => {
                self.retire(key, false);
                let known = self.nodes.get_mut(replica.node()).expect("lives have nodes");
                if let Some(address) = known.address.take() {
                    self.hang_up(address);
                }
            }
        }
        self.check();
    }

    /// Takes in that a member says of itself what cannot be read here, as one of a later version
    /// may. What it said before still counts, and nobody waits for it to say more.
    pub(crate) fn handle_unread_member(&mut self, now: Time, replica: &Replica) {
        self.advance(now);
        if let Some(key) = self.current_key(replica) {
            self.lives.get_mut(&key).expect("the key was just found").has_spoken = true;
        }
    }

    /// Takes in that our copy of `replica`'s journal is closed up to `head`; for our own, that we
    /// have written up to there.
    pub(crate) fn handle_closed(&mut self, now: Time, replica: &Replica, head: Version) {
        self.advance(now);
        if self.own.is_some_and(|own| self.lives[&own].is_closed(replica, head)) {
            return;
        }
        let Some(key) = self.current_key(replica) else { return };
        let life = self.lives.get_mut(&key).expect("the key was just found");
        life.closed = life.closed.max(head);
        self.settle_return(key);
    }

    /// Sends nothing to be kept any more: this node hands its children over and will leave.
    pub(crate) fn leave(&mut self, now: Time) {
        self.advance(now);
        if !self.leaving {
            self.leaving = true;
            self.outputs.push_back(Output::Changed { node: self.settings.id.clone() });
        }
    }

    /// Tells every peer that we are there, and what we heard of whom.
    pub(super) fn send_beat(&mut self) {
        self.next_beat = self.now + self.settings.beat_interval;
        if !matches!(self.phase, Phase::Joined) {
            return;
        }
        self.beat = self.beat.saturating_add(1);
        self.beat_sent = self.now;
        let beat = self.pulses();
        let peers: Vec<NodeId> = self.peers().cloned().collect();
        for to in peers {
            let message = Message::Beat(beat.clone());
            self.outputs.push_back(Output::Send { to, message });
        }
    }

    /// Returns one pulse for each life that may still beat, our own first.
    ///
    /// Of a life that beats again we say nothing before it is shown here: only then do we know as
    /// much of its journal as it had when it came back, and whoever hears of it through us takes
    /// our head for what to wait for.
    pub(super) fn pulses(&self) -> Beat {
        let in_ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let pulse = |key: ReplicaKey, life: &Life| {
            let own = self.own == Some(key);
            Pulse {
                replica: key,
                counter: if own { self.beat } else { life.counter },
                age_ms: if own { 0 } else { in_ms(self.now.since(life.heard)) },
                head: life.closed,
                link: self.link(key),
                silent_ms: if own { 0 } else { in_ms(self.silent(life)) },
            }
        };
        let ours = self.own.map(|own| pulse(own, &self.lives[&own]));
        let lasts = |(key, life): &(&ReplicaKey, &Life)| {
            let says = match life.state {
                State::Alive | State::Suspect | State::Down => true,
                State::Returning { .. } | State::Retired => false,
            };
            self.own != Some(**key) && says
        };
        let others = self.lives.iter().filter(lasts).map(|(key, life)| pulse(*key, life));
        Beat { pulses: ours.into_iter().chain(others).collect() }
    }

    /// Raises the counter of a life that may still beat, if `counter` is above it: it was heard
    /// `age` ago.
    fn raise(&mut self, key: ReplicaKey, counter: u64, age: Duration) {
        let (suspect_after, down_after) = (self.suspect_after(), self.down_after());
        let now = self.now;
        let Some(life) = self.lives.get_mut(&key) else { return };
        if life.state == State::Retired || counter <= life.counter {
            return;
        }
        if counter - life.counter > JUMP_MAX {
            self.refused = self.refused.saturating_add(1);
            return;
        }
        life.counter = counter;
        life.heard = life.heard.max(now.saturating_sub(age));
        life.judged = life.judged.max(life.heard);
        life.doomed = life.doomed.map(|since| since.max(life.heard));

        let silent = now.since(life.judged);
        let (replica, judged) = (life.replica.clone(), life.judged);
        match life.state {
            State::Suspect if silent < suspect_after => {
                life.state = State::Alive;
                self.next_judgement = self.next_judgement.min(judged + suspect_after);
                self.outputs.push_back(Output::Changed { node: replica.node().clone() });
                self.outputs.push_back(Output::Event(Event::MemberUp { replica }));
            }
            State::Down if silent < down_after => {
                life.state = State::Returning { head: None };
                (life.fell, life.is_refused) = (None, false);
                life.returned = Some(now);
                self.outputs.push_back(Output::Changed { node: replica.node().clone() });
                self.next_judgement = self.next_judgement.min(judged + down_after);
            }
            State::Alive
            | State::Suspect
            | State::Down
            | State::Returning { .. }
            | State::Retired => (),
        }
        assert!(self.lives[&key].heard <= now, "nothing is heard before it happens");
    }

    /// Shows a life that beats again once our copy of its journal has caught up.
    fn settle_return(&mut self, key: ReplicaKey) {
        let suspect_after = self.suspect_after();
        let life = self.lives.get_mut(&key).expect("the caller has found it");
        let State::Returning { head: Some(head) } = life.state else { return };
        if life.closed < head {
            return;
        }
        life.state = State::Alive;
        self.next_judgement = self.next_judgement.min(life.judged + suspect_after);
        let replica = life.replica.clone();
        self.show(replica);
    }

    fn show(&mut self, replica: Replica) {
        self.outputs.push_back(Output::Up { replica: replica.clone() });
        self.outputs.push_back(Output::Changed { node: replica.node().clone() });
        self.outputs.push_back(Output::Event(Event::MemberUp { replica }));
    }

    /// Makes `replica`, which is above all lives of its node, the present one.
    fn admit(&mut self, replica: &Replica, silence: Duration) -> Result<ReplicaKey, &'static str> {
        let node = replica.node();
        let known = self.nodes.get(node);
        let highest = known.map_or(Incarnation::NONE, |known| known.highest);
        assert!(highest < replica.incarnation(), "only a later life is admitted");
        if replica.incarnation().counter - highest.counter > JUMP_MAX {
            return Err("its counter of lives jumps too far");
        }
        if known.is_none() && self.nodes.len() >= MEMBERS_MAX {
            return Err("the cluster is full");
        }
        let key = replica.key();
        if self.lives.contains_key(&key) || !self.make_room() {
            return Err("there is no room for another life");
        }

        let known = self.nodes.entry(node.clone()).or_default();
        let before = known.current.replace(key);
        known.highest = replica.incarnation();
        known.since = self.now;
        self.forgotten.remove(node);
        let mut life = Life::new(replica.clone(), self.now.saturating_sub(silence));
        let down = silence >= self.settings.failure_timeout;
        if down {
            life.state = State::Down;
        }
        let suspected_at = life.judged + self.suspect_after();
        self.lives.insert(key, life);
        if let Some(before) = before {
            self.retire(before, true);
        }
        if down {
            self.hide(replica.clone(), silence);
            self.enforce();
        } else {
            self.next_judgement = self.next_judgement.min(suspected_at);
            self.show(replica.clone());
        }
        Ok(key)
    }

    /// Remembers a life that a later one of its node has replaced, unless it is soon forgotten.
    pub(super) fn remember_retired(&mut self, replica: &Replica, silence: Duration) -> bool {
        let key = replica.key();
        if let Some(life) = self.lives.get(&key) {
            return life.replica == *replica;
        }
        if silence >= self.settings.forget_after / 2 || !self.make_room() {
            return false;
        }
        let mut life = Life::new(replica.clone(), self.now.saturating_sub(silence));
        life.state = State::Retired;
        self.lives.insert(key, life);
        let known = self.nodes.entry(replica.node().clone()).or_default();
        known.highest = known.highest.max(replica.incarnation());
        self.outputs.push_back(Output::Retired { replica: replica.clone(), superseded: true });
        true
    }

    /// Ends a life for good.
    pub(super) fn retire(&mut self, key: ReplicaKey, superseded: bool) {
        self.unreachable.remove(&key);
        let life = self.lives.get_mut(&key).expect("only a known life ends");
        if life.state == State::Retired {
            return;
        }
        life.state = State::Retired;
        (life.doomed, life.hearing) = (None, None);
        (life.fell, life.is_refused) = (None, false);
        life.cut_off_by.clear();
        let replica = life.replica.clone();
        self.outputs.push_back(Output::Retired { replica: replica.clone(), superseded });
        self.outputs.push_back(Output::Changed { node: replica.node().clone() });
        self.outputs.push_back(Output::Event(Event::MemberRetired { replica }));
        self.weigh_doom();
    }

    /// Forgets the lives of which nothing was heard for too long, and names without any.
    pub(super) fn forget(&mut self) {
        let (now, forget_after) = (self.now, self.settings.forget_after);
        let is_old = |(key, life): &(&ReplicaKey, &Life)| {
            let over = !life.state.is_up() && now.since(life.heard) >= forget_after;
            over && self.own != Some(**key)
        };
        let old: Vec<ReplicaKey> = self.lives.iter().filter(is_old).map(|(key, _)| *key).collect();
        for key in old {
            self.forget_life(key);
        }

        let named: BTreeSet<&NodeId> = self.lives.values().map(|l| l.replica.node()).collect();
        let mut gone = Vec::new();
        for (node, known) in &self.nodes {
            let waits = known.address.is_some() && now.since(known.since) < forget_after;
            if known.session.is_none() && !named.contains(node) && !waits {
                gone.push(node.clone());
            }
        }
        for node in gone {
            let known = self.nodes.remove(&node).expect("just seen");
            if let Some(address) = known.address {
                self.hang_up(address);
            }
        }
    }

    fn forget_life(&mut self, key: ReplicaKey) {
        let life = self.lives.remove(&key).expect("the caller has found it");
        self.unreachable.remove(&key);
        let known = self.nodes.get_mut(life.replica.node()).expect("lives have nodes");
        if known.current == Some(key) {
            known.current = None;
            // A silent member that returns is a stranger, in a new life; one that left has left.
            if life.state != State::Retired {
                // Earlier lives may be remembered for longer: relays tell silences late.
                let earlier = self.lives.values().map(|life| &life.replica);
                let earlier = earlier.filter(|earlier| earlier.node() == life.replica.node());
                known.highest =
                    earlier.map(Replica::incarnation).max().unwrap_or(Incarnation::NONE);
                let counter = life.replica.incarnation().counter;
                self.forgotten.insert(life.replica.node().clone(), counter);
                if self.forgotten.len() > MEMBERS_MAX {
                    self.forgotten.pop_first();
                }
            }
            self.outputs.push_back(Output::Changed { node: life.replica.node().clone() });
        }
        self.outputs.push_back(Output::Forgotten { replica: life.replica });
    }

    /// Makes room for one more life: of those that are over, then of those that are down, the one
    /// that was silent for longest is forgotten.
    fn make_room(&mut self) -> bool {
        if self.lives.len() < REPLICAS_MAX {
            return true;
        }
        let own = self.own;
        let rank = |(key, life): (&ReplicaKey, &Life)| match life.state {
            State::Retired if own != Some(*key) => Some((0, life.heard, *key)),
            State::Down => Some((1, life.heard, *key)),
            State::Retired | State::Alive | State::Suspect | State::Returning { .. } => None,
        };
        let Some((_, _, key)) = self.lives.iter().filter_map(rank).min() else { return false };
        self.forget_life(key);
        true
    }

    /// Returns the key of `replica` if it is the present life of its node.
    pub(super) fn current_key(&self, replica: &Replica) -> Option<ReplicaKey> {
        let key = self.nodes.get(replica.node())?.current?;
        (self.lives[&key].replica == *replica).then_some(key)
    }

    /// Returns up to which counter lives of `node` are forgotten, if this one is among them.
    fn forgotten(&self, node: &NodeId, incarnation: Incarnation) -> Option<u64> {
        let counter = self.forgotten.get(node).copied();
        counter.filter(|&counter| incarnation.counter <= counter)
    }

    /// Tells `peer` that lives up to `counter` are not taken in any more: it has to take a new one.
    pub(super) fn deny(&mut self, peer: &NodeId, counter: u64) {
        let (counter, stamp, members) = (counter.saturating_add(1), Stamp::default(), Vec::new());
        self.rebuff(peer, Message::Welcome(Welcome { counter, stamp, members }));
    }

    /// Says to a peer that is not believed what is wrong with it, at most once a beat.
    pub(super) fn rebuff(&mut self, peer: &NodeId, message: Message) {
        let (now, interval) = (self.now, self.settings.beat_interval);
        let session = self.nodes.get_mut(peer).and_then(|known| known.session.as_mut());
        if let Some(session) = session
            && session.denied.is_none_or(|denied| interval <= now.since(denied))
        {
            session.denied = Some(now);
            self.outputs.push_back(Output::Send { to: peer.clone(), message });
        }
    }

    pub(super) fn refuse_stale(&mut self) -> Verdict {
        self.refused = self.refused.saturating_add(1);
        Verdict::Stale
    }

    /// Counts something that was refused, and tells the user of the first in each session.
    pub(super) fn complain(&mut self, peer: &NodeId, reason: &str) {
        self.refused = self.refused.saturating_add(1);
        let session = self.nodes.get_mut(peer).and_then(|known| known.session.as_mut());
        if let Some(session) = session.filter(|session| !session.complained) {
            session.complained = true;
            let (peer, reason) = (peer.clone(), String::from(reason));
            self.outputs.push_back(Output::Event(Event::Refused { peer, reason }));
        }
    }
}
