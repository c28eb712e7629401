//! A model network for [`Membership`] alone: sessions, delays, losses, cuts, kills, freezes.
//!
//! Of a node it has the little that membership needs: envelopes, and rows that bring the long form
//! of every replica, its member entry and the head of its journal to all peers once a second.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::format;
use std::vec::Vec;

use crate::membership::{MemberEntry, Membership, Output, Presence, Verdict};
use crate::message::{Hello, Message};
use crate::placement::{Ring, Weight};
use crate::{Address, Config, Event, Incarnation, NodeId, Random, Replica, Stamp, Time, Wall};
use core::time::Duration;

pub(super) const RULE: &str = "oldest/1";
const ROWS_EVERY: Duration = Duration::from_secs(1);

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) fn id(number: usize) -> NodeId {
    NodeId::new(format!("n{number}")).unwrap()
}

pub(super) fn address(number: usize) -> Address {
    Address::new(format!("host{number}:1")).unwrap()
}

fn number_of(address: &Address) -> usize {
    let text = address.as_str().trim_start_matches("host").trim_end_matches(":1");
    text.parse().unwrap()
}

fn number_of_node(node: &NodeId) -> usize {
    node.as_str()[1..].parse().unwrap()
}

/// What one node knows of one replica, for the journals that are not modelled.
type Row = (Replica, Duration, Option<MemberEntry>, u64);

#[derive(Clone, Debug)]
enum Arrival {
    Connected(usize),
    Disconnected(usize),
    Refused(Address),
    Envelope {
        from: usize,
        session: u64,
        incarnation: Incarnation,
        beat: u64,
        message: Message,
    },
    Rows {
        from: usize,
        session: u64,
        incarnation: Incarnation,
        beat: u64,
        rows: Vec<Row>,
    },
    /// An attempt of this node to dial reaches the other end.
    Attempt {
        address: Address,
        tries: u32,
    },
}

/// One process.
pub(super) struct Machine {
    pub(super) membership: Membership,
    pub(super) frozen: bool,
    alive: bool,
    wall_ahead_ms: i64,
    /// How late its timers fire.
    pub(super) sluggish: Duration,
    backlog: VecDeque<Arrival>,
    dialling: BTreeSet<Address>,
    heads: BTreeMap<Replica, u64>,
    entries: BTreeMap<Replica, MemberEntry>,
    next_rows: Time,
}

pub(super) struct World {
    pub(super) now: Time,
    random: Random,
    pub(super) machines: BTreeMap<usize, Machine>,
    flights: BTreeMap<(Time, u64), (usize, Arrival)>,
    flown: u64,
    /// When the last frame in each direction arrives: sessions keep their order.
    last_frames: BTreeMap<(usize, usize), Time>,
    /// Sessions that are up, by their two ends, lower first.
    sessions: BTreeMap<(usize, usize), u64>,
    sessions_made: u64,
    /// When both ends know that their last session is over; no other begins before.
    ended: BTreeMap<(usize, usize), Time>,
    /// Links on which nothing passes, in this direction.
    cut: BTreeSet<(usize, usize)>,
    pub(super) loss_percent: u64,
    /// Journals stand still; beats go on.
    pub(super) hold_rows: bool,
    /// What every machine asked for that a story may look at: when, who, what.
    pub(super) log: Vec<(Time, usize, Output)>,
}

impl World {
    /// Creates an empty world.
    pub(super) fn empty(seed: u64) -> Self {
        Self {
            now: Time::from_millis(1_000),
            random: Random::new(seed),
            machines: BTreeMap::new(),
            flights: BTreeMap::new(),
            flown: 0,
            last_frames: BTreeMap::new(),
            sessions: BTreeMap::new(),
            sessions_made: 0,
            ended: BTreeMap::new(),
            cut: BTreeSet::new(),
            loss_percent: 0,
            hold_rows: false,
            log: Vec::new(),
        }
    }

    /// Creates nodes 1 to `count`, which all know node 1, and lets them meet.
    pub(super) fn settled(seed: u64, count: usize) -> Self {
        let mut world = Self::empty(seed);
        for number in 1..=count {
            let seeds = if number == 1 { &[][..] } else { &[1] };
            world.boot(number, seeds, 0);
        }
        world.run_for(ms(5_000));
        for number in 1..=count {
            let live = world.live(number);
            assert_eq!(live, (1..=count).map(id).collect::<Vec<_>>(), "seed {seed}");
        }
        world.log.clear();
        world
    }

    /// Starts a process of node `number`, whose wall clock is ahead of true time.
    pub(super) fn boot(&mut self, number: usize, seeds: &[usize], wall_ahead_ms: i64) {
        let mut config = Config::new(id(number), address(number));
        config.seeds = seeds.iter().copied().map(address).collect();
        config.check().unwrap();
        let random = Random::new(self.random.draw());
        let mut membership = Membership::new(&config, RULE, random, self.now);
        membership.handle_wall(self.now, self.wall(wall_ahead_ms));
        membership.start(self.now);
        let machine = Machine {
            membership,
            frozen: false,
            alive: true,
            wall_ahead_ms,
            sluggish: Duration::ZERO,
            backlog: VecDeque::new(),
            dialling: BTreeSet::new(),
            heads: BTreeMap::new(),
            entries: BTreeMap::new(),
            next_rows: self.now + ROWS_EVERY,
        };
        // What was under way to an earlier process of the name ends with it.
        self.flights.retain(|_, (to, _)| *to != number);
        self.machines.insert(number, machine);
        self.drain(number);
    }

    fn wall(&self, ahead_ms: i64) -> Wall {
        let true_ms = 1_790_000_000_000 + self.now.as_micros() / 1_000;
        Wall::from_millis(true_ms.saturating_add_signed(ahead_ms))
    }

    /// Ends the process of `number`: its host goes on and refuses who dials.
    pub(super) fn kill(&mut self, number: usize) {
        self.machines.get_mut(&number).unwrap().alive = false;
        let ends: Vec<(usize, usize)> = self.sessions.keys().copied().collect();
        for (a, b) in ends {
            if a == number || b == number {
                self.end_session(a, b);
            }
        }
    }

    /// Cuts the host of `number` off: silence, and no refusal.
    pub(super) fn unplug(&mut self, number: usize) {
        for other in self.machines.keys().copied().collect::<Vec<_>>() {
            self.cut_link(number, other);
        }
    }

    /// Nothing passes between two nodes any more, in either direction.
    pub(super) fn cut_link(&mut self, a: usize, b: usize) {
        self.cut.extend([(a, b), (b, a)]);
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
    }

    /// Ends the session of two nodes, as a reset connection does.
    pub(super) fn end_session(&mut self, a: usize, b: usize) {
        let (a, b) = (a.min(b), a.max(b));
        if self.sessions.remove(&(a, b)).is_some() {
            let delay = self.delay();
            self.ended.insert((a, b), self.now + delay);
            self.fly(a, delay, Arrival::Disconnected(b));
            self.fly(b, delay, Arrival::Disconnected(a));
        }
    }

    pub(super) fn freeze(&mut self, number: usize) {
        self.machines.get_mut(&number).unwrap().frozen = true;
    }

    /// Lets a frozen process go on: all that arrived meanwhile is fed first, then its timers.
    pub(super) fn thaw(&mut self, number: usize) {
        let machine = self.machines.get_mut(&number).unwrap();
        machine.frozen = false;
        let backlog: Vec<Arrival> = machine.backlog.drain(..).collect();
        for arrival in backlog {
            self.arrive(number, arrival);
        }
    }

    /// Raises the head of the node's own journal.
    pub(super) fn write(&mut self, number: usize, writes: u64) {
        let now = self.now;
        let machine = self.machines.get_mut(&number).unwrap();
        let own = machine.membership.own().unwrap().clone();
        let head = machine.heads.entry(own.clone()).or_default();
        *head += writes;
        machine.membership.handle_closed(now, &own, *head);
    }

    /// Writes what the node says of itself, as a worker.
    pub(super) fn say(&mut self, number: usize, presence: Presence) {
        self.say_as(number, presence, crate::Role::Worker);
    }

    /// Writes what the node says of itself.
    pub(super) fn say_as(&mut self, number: usize, presence: Presence, role: crate::Role) {
        let now = self.now;
        let machine = self.machines.get_mut(&number).unwrap();
        let own = machine.membership.own().unwrap().clone();
        let kinds = Vec::from(["cart".into()]);
        let (address, labels) = (address(number), crate::Labels::new());
        let entry = MemberEntry {
            address,
            kinds,
            presence,
            role,
            labels,
            is_full: false,
            strategies: Vec::new(),
            weight: Weight::USUAL,
            can_lease: false,
            joined: Stamp::default(),
        };
        machine.entries.insert(own.clone(), entry.clone());
        machine.membership.handle_member(now, &own, entry);
        self.write(number, 1);
        self.drain(number);
    }

    pub(super) fn of(&self, number: usize) -> &Membership {
        &self.machines[&number].membership
    }

    pub(super) fn live(&self, number: usize) -> Vec<NodeId> {
        self.of(number).live().map(|replica| replica.node().clone()).collect()
    }

    pub(super) fn replica(&self, number: usize) -> Replica {
        self.of(number).own().unwrap().clone()
    }

    /// Returns when each node took `replica` down, in order.
    pub(super) fn downs(&self, replica: &Replica) -> Vec<(Time, usize)> {
        let is_down =
            |output: &Output| matches!(output, Output::Down { replica: r, .. } if r == replica);
        let downs = self.log.iter().filter(|(_, _, output)| is_down(output));
        downs.map(|(at, who, _)| (*at, *who)).collect()
    }

    /// Returns everything that was said to be down, by whom.
    pub(super) fn all_downs(&self) -> Vec<(Time, usize, Replica)> {
        let down = |(at, who, output): &(Time, usize, Output)| {
            let Output::Down { replica, .. } = output else { return None };
            Some((*at, *who, replica.clone()))
        };
        self.log.iter().filter_map(down).collect()
    }

    pub(super) fn count(&self, wanted: impl Fn(usize, &Output) -> bool) -> usize {
        self.log.iter().filter(|(_, who, output)| wanted(*who, output)).count()
    }

    /// Lets `duration` pass, delivering and waking as it goes.
    pub(super) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let timer = self.machines.iter().filter(|(_, m)| m.alive && !m.frozen);
            let timer = timer.map(|(&number, m)| {
                let at = m.membership.poll_timeout().map(|at| at + m.sluggish);
                (at.map_or(m.next_rows, |at| at.min(m.next_rows)), number)
            });
            let timer = timer.min();
            let flight = self.flights.keys().next().map(|&(at, _)| at);
            let timer_at = timer.map(|(at, _)| at);
            let Some(at) = [flight, timer_at].into_iter().flatten().min().filter(|&at| at <= end)
            else {
                self.now = end;
                return;
            };
            // What a thawed process missed lies in the past.
            self.now = self.now.max(at);
            if flight == Some(at) {
                let (_, (to, arrival)) = self.flights.pop_first().unwrap();
                self.arrive(to, arrival);
            } else {
                self.wake(timer.unwrap().1);
            }
        }
    }

    fn wake(&mut self, number: usize) {
        let (now, wall) = (self.now, self.wall(self.machines[&number].wall_ahead_ms));
        let machine = self.machines.get_mut(&number).unwrap();
        machine.membership.handle_wall(now, wall);
        machine.membership.handle_tick(now);
        if machine.next_rows <= now {
            machine.next_rows = now + ROWS_EVERY;
            self.send_rows(number);
        }
        self.drain(number);
    }

    fn send_rows(&mut self, from: usize) {
        if self.hold_rows {
            return;
        }
        let now = self.now;
        let machine = &self.machines[&from];
        let membership = &machine.membership;
        let row = |replica: &Replica| {
            let silence = membership.silence(replica, now).unwrap();
            let head = machine.heads.get(replica).copied().unwrap_or_default();
            (replica.clone(), silence, machine.entries.get(replica).cloned(), head)
        };
        let rows: Vec<Row> = membership.remembered().map(row).collect();
        let (incarnation, beat) = (membership.incarnation(), membership.beat());
        let peers: Vec<usize> = membership.peers().map(number_of_node).collect();
        for to in peers {
            let Some(session) = self.session(from, to) else { continue };
            let rows = rows.clone();
            self.send(from, to, Arrival::Rows { from, session, incarnation, beat, rows });
        }
    }

    fn session(&self, a: usize, b: usize) -> Option<u64> {
        self.sessions.get(&(a.min(b), a.max(b))).copied()
    }

    fn delay(&mut self) -> Duration {
        Duration::from_micros(100 + self.random.below(5_000))
    }

    fn send(&mut self, from: usize, to: usize, arrival: Arrival) {
        let lost = self.random.below(100) < self.loss_percent;
        if !self.cut.contains(&(from, to)) && !lost {
            let at = self.now + self.delay();
            let last = self.last_frames.entry((from, to)).or_default();
            *last = at.max(*last);
            let delay = last.since(self.now);
            self.fly(to, delay, arrival);
        }
    }

    fn fly(&mut self, to: usize, delay: Duration, arrival: Arrival) {
        self.flown += 1;
        self.flights.insert((self.now + delay, self.flown), (to, arrival));
    }

    fn arrive(&mut self, to: usize, arrival: Arrival) {
        let (now, machine) = (self.now, self.machines.get_mut(&to).unwrap());
        if !machine.alive {
            return;
        }
        if machine.frozen {
            machine.backlog.push_back(arrival);
            return;
        }
        let membership = &mut machine.membership;
        match arrival {
            Arrival::Connected(peer) => membership.handle_connected(now, &id(peer)),
            Arrival::Disconnected(peer) => membership.handle_disconnected(now, &id(peer)),
            Arrival::Refused(address) => membership.handle_refused(now, &address),
            Arrival::Attempt { address, tries } => self.attempt(to, address, tries),
            Arrival::Envelope { from, session, incarnation, beat, message } => {
                if self.session(from, to) == Some(session) {
                    self.hear(to, from, incarnation, beat, message);
                }
            }
            Arrival::Rows { from, session, incarnation, beat, rows } => {
                if self.session(from, to) == Some(session) {
                    self.hear_rows(to, from, incarnation, beat, rows);
                }
            }
        }
        let wall = self.wall_of(to);
        let machine = self.machines.get_mut(&to).unwrap();
        machine.membership.handle_wall(now, wall);
        if self.machines[&to].sluggish.is_zero() {
            self.machines.get_mut(&to).unwrap().membership.handle_tick(now);
        }
        self.drain(to);
    }

    fn wall_of(&self, number: usize) -> Wall {
        self.wall(self.machines[&number].wall_ahead_ms)
    }

    fn hear(
        &mut self,
        to: usize,
        from: usize,
        incarnation: Incarnation,
        beat: u64,
        message: Message,
    ) {
        let (now, peer, wall) = (self.now, id(from), self.wall_of(to));
        let membership = &mut self.machines.get_mut(&to).unwrap().membership;
        let verdict = membership.handle_heard(now, &peer, incarnation, beat);
        match (verdict, message) {
            (_, Message::Hello(hello)) => membership.handle_hello(now, &peer, &hello),
            (Verdict::Stranger | Verdict::Member(_), Message::Join) => {
                membership.handle_join(now, &peer, Stamp::first_of(wall));
            }
            (Verdict::Stranger | Verdict::Member(_), Message::Welcome(welcome)) => {
                membership.handle_welcome(now, &peer, &welcome);
            }
            (Verdict::Member(replica), Message::Beat(beat)) => {
                membership.handle_beat(now, &replica, &beat);
            }
            (Verdict::Unchecked | Verdict::Stale | Verdict::Left(_) | Verdict::Stranger, _) => (),
            (Verdict::Member(_), message) => panic!("membership never sends {message:?}"),
        }
    }

    fn hear_rows(
        &mut self,
        to: usize,
        from: usize,
        incarnation: Incarnation,
        beat: u64,
        rows: Vec<Row>,
    ) {
        let (now, machine) = (self.now, self.machines.get_mut(&to).unwrap());
        let Machine { membership, heads, entries, .. } = machine;
        let Verdict::Member(_) = membership.handle_heard(now, &id(from), incarnation, beat) else {
            return;
        };
        for (replica, silence, entry, head) in rows {
            if !membership.handle_remembered(now, &replica, silence) {
                continue;
            }
            if membership.own() == Some(&replica) {
                continue;
            }
            let known = heads.entry(replica.clone()).or_default();
            let newer = head > *known;
            *known = head.max(*known);
            if let Some(entry) = entry.filter(|_| newer) {
                entries.insert(replica.clone(), entry.clone());
                membership.handle_member(now, &replica, entry);
            }
            membership.handle_closed(now, &replica, *known);
        }
    }

    /// Carries out what a machine asks for.
    pub(super) fn drain(&mut self, number: usize) {
        while let Some(output) = self.machines.get_mut(&number).unwrap().membership.poll_output() {
            let membership = &self.machines[&number].membership;
            let (incarnation, beat) = (membership.incarnation(), membership.beat());
            match output.clone() {
                Output::Send { to, message } => {
                    let to = number_of_node(&to);
                    if let Some(session) = self.session(number, to) {
                        let from = number;
                        let parcel =
                            Arrival::Envelope { from, session, incarnation, beat, message };
                        self.send(number, to, parcel);
                    }
                    continue;
                }
                Output::Dial { address } => {
                    let machine = self.machines.get_mut(&number).unwrap();
                    if machine.dialling.insert(address.clone()) {
                        let delay = self.delay();
                        self.fly(number, delay, Arrival::Attempt { address, tries: 0 });
                    }
                }
                Output::HangUp { address } => {
                    self.machines.get_mut(&number).unwrap().dialling.remove(&address);
                }
                Output::Disconnect { peer } => self.end_session(number, number_of_node(&peer)),
                Output::Joined { replica, .. } | Output::Reborn { replica, .. } => {
                    let machine = self.machines.get_mut(&number).unwrap();
                    machine.heads.insert(replica, 0);
                    self.say(number, Presence::Here);
                }
                Output::Opened { .. } => self.send_rows(number),
                Output::Superseded { .. } | Output::Excluded(_) => self.kill(number),
                Output::Unwanted(_) => unreachable!("nobody here writes what operators want"),
                Output::Up { .. }
                | Output::Down { .. }
                | Output::Retired { .. }
                | Output::Forgotten { .. }
                | Output::Changed { .. }
                | Output::Electorate { .. }
                | Output::Event(_) => (),
            }
            self.log.push((self.now, number, output));
        }
    }

    fn attempt(&mut self, from: usize, address: Address, tries: u32) {
        let to = number_of(&address);
        if !self.machines[&from].dialling.contains(&address) {
            return;
        }
        let again = self.random.jittered(ms(100) * (1 << tries.min(4)));
        let retry = Arrival::Attempt { address: address.clone(), tries: tries + 1 };
        if self.cut.contains(&(from, to)) || self.cut.contains(&(to, from)) {
            self.fly(from, again, retry);
        } else if self.machines.get(&to).is_none_or(|machine| !machine.alive) {
            self.fly(from, again, retry);
            self.fly(from, ms(1), Arrival::Refused(address));
        } else if self.ended.get(&(from.min(to), from.max(to))).is_some_and(|&at| self.now <= at) {
            self.fly(from, ms(1), Arrival::Attempt { address, tries });
        } else {
            self.machines.get_mut(&from).unwrap().dialling.remove(&address);
            if self.session(from, to).is_none() {
                self.sessions_made += 1;
                self.sessions.insert((from.min(to), from.max(to)), self.sessions_made);
                self.fly(from, Duration::ZERO, Arrival::Connected(to));
                self.fly(to, Duration::ZERO, Arrival::Connected(from));
            }
        }
    }

    /// Brings a message that was hoarded: as if the session had carried it just now.
    pub(super) fn replay(
        &mut self,
        to: usize,
        from: usize,
        incarnation: Incarnation,
        beat: u64,
        message: Message,
    ) {
        self.hear(to, from, incarnation, beat, message);
        let now = self.now;
        self.machines.get_mut(&to).unwrap().membership.handle_tick(now);
        self.drain(to);
    }

    /// Has the attempt of `number` to dial `other` refused.
    pub(super) fn refuse(&mut self, number: usize, other: usize) {
        self.arrive(number, Arrival::Refused(address(other)));
    }

    pub(super) fn events(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.count(|_, output| matches!(output, Output::Event(event) if wanted(event)))
    }

    pub(super) fn hello_with_rule(&self, rule: &str) -> Message {
        let wall = self.wall(0);
        Message::Hello(Hello {
            sent: self.now,
            wall,
            rule: rule.into(),
            echo: None,
            ring: Ring::VERSION,
            terms: Config::new(id(1), address(1)).terms(),
        })
    }
}
