//! Three nodes whose network, clocks, users and processes do what the bytes say.

mod member;
mod users;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use ordu_core::limits::FRAME_BYTES_MAX;
use ordu_core::wire::{decode_frame, encode_frame};
use ordu_core::{Address, Event, Input, NodeId, Output, Time, Wall, hash64};

use self::member::{Member, Process};
use crate::fuzz::bytes::Bytes;

/// What became of the nodes of one run; equal for equal bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NodeRun {
    /// A hash of all that the nodes know and of what is still on its way.
    pub hash: u64,
    /// How often a node took its place in the cluster.
    pub joined: u64,
    /// How many processes were started.
    pub started: u64,
    /// How many requests were answered.
    pub answered: u64,
}

/// Runs three nodes whose network, clock, users and processes do what `bytes` say.
///
/// Frames are delivered in any order, dropped, repeated, garbled and invented; sessions break;
/// nodes die and are born again, and are told where others may be; wall clocks jump. What the shell
/// promises the core is kept: time never runs backwards, and every process ends once.
///
/// # Panics
///
/// Panics if a node does, if it asks to be woken in the past or never stops asking to have
/// something done, sends what no frame can hold, answers a request twice, or with the answer to
/// another question, or not by its deadline; and if the same bytes lead somewhere else the second
/// time.
pub fn node(bytes: &[u8]) -> NodeRun {
    let run = run(bytes);
    if hash64(bytes).is_multiple_of(REPLAYED_OF) {
        assert_eq!(self::run(bytes), run, "the same bytes give the same nodes");
    }
    run
}

fn run(bytes: &[u8]) -> NodeRun {
    let mut cluster = Cluster::new();
    cluster.settle();

    let mut bytes = Bytes(bytes);
    for _ in 0..STEPS_MAX {
        let Some(step) = bytes.next() else { break };
        cluster.step(step, &mut bytes);
    }
    cluster.check_deadlines();
    NodeRun { hash: cluster.hash(), ..cluster.run }
}

/// Most steps of one run.
const STEPS_MAX: usize = 400;
/// Most outputs that one input may cause here, where no node ever knows more than a few hundred
/// names; past it something loops.
const OUTPUTS_MAX: usize = 20_000;
/// One run in so many is run again.
const REPLAYED_OF: u64 = 8;
/// Most frames in flight; beyond them the oldest are lost.
const FLIGHTS_MAX: usize = 1_000;
/// How long every request may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How many nodes there are.
const NODES: usize = 3;

/// A frame between two nodes.
#[derive(Clone)]
struct Flight {
    from: usize,
    to: usize,
    frame: Vec<u8>,
}

struct Cluster {
    now: Time,
    members: Vec<Member>,
    flights: Vec<Flight>,
    /// What happens next, so that no node is fed while it is being drained.
    inputs: VecDeque<(usize, Input)>,
    /// Who tries to have a session with whom.
    dials: BTreeSet<(usize, usize)>,
    tickets: u64,
    lives: u64,
    run: NodeRun,
}

impl Cluster {
    /// Creates nodes that have not heard of each other but for the first one's address.
    fn new() -> Self {
        let now = Time::from_millis(1_000);
        let members = (0..NODES).map(|index| Member::new(index, index as u64, now)).collect();
        let lives = NODES as u64;
        let (flights, inputs, dials) = (Vec::new(), VecDeque::new(), BTreeSet::new());
        let run = NodeRun { hash: 0, joined: 0, started: 0, answered: 0 };
        Self { now, members, flights, inputs, dials, tickets: 0, lives, run }
    }

    /// Lets an honest network work until the nodes have found each other.
    fn settle(&mut self) {
        for index in 0..NODES {
            self.feed_wall(index);
        }
        for _ in 0..20 {
            self.advance(Duration::from_millis(100));
            self.deliver_all();
        }
    }

    fn step(&mut self, step: u8, bytes: &mut Bytes<'_>) {
        match step % 16 {
            0 => self.pass(bytes.byte()),
            1 => self.with_flight(bytes, |_, flight, cluster| cluster.deliver(&flight)),
            2 => self.with_flight(bytes, |_, _, _| ()),
            3 => self.with_flight(bytes, |_, flight, cluster| {
                cluster.deliver(&flight);
                cluster.deliver(&flight);
            }),
            4 => self.with_flight(bytes, |bytes, mut flight, cluster| {
                let place = bytes.below(flight.frame.len());
                flight.frame[place] ^= bytes.byte();
                cluster.deliver(&flight);
            }),
            5 => {
                let (from, to) = (bytes.below(NODES), bytes.below(NODES));
                let length = usize::from(bytes.byte());
                let frame = bytes.take(length).to_vec();
                self.deliver(&Flight { from, to, frame });
            }
            6 => self.disconnect(bytes.below(NODES), bytes.below(NODES)),
            7 => self.connect(bytes.below(NODES), bytes.below(NODES)),
            8 | 9 => self.request(bytes),
            10 => self.process_event(bytes),
            11 => self.answer(bytes),
            12 => {
                let index = bytes.below(NODES);
                self.members[index].wall_off_ms = u64::from(bytes.byte()).pow(3);
                self.feed_wall(index);
            }
            13 => self.feed(bytes.below(NODES), Input::Flush),
            14 if step < 128 => self.deliver_all(),
            14 => self.discover(bytes.below(NODES), bytes.byte()),
            _ => self.restart(bytes.below(NODES)),
        }
        self.run_all();
    }

    /// Takes a frame out of the air and does something with it.
    fn with_flight(&mut self, bytes: &mut Bytes<'_>, act: fn(&mut Bytes<'_>, Flight, &mut Self)) {
        if self.flights.is_empty() {
            return;
        }
        let flight = self.flights.remove(bytes.below(self.flights.len()));
        act(bytes, flight, self);
    }

    /// Hands a frame over as a shell does: what cannot be read ends the session.
    fn deliver(&mut self, flight: &Flight) {
        let Flight { from, to, frame } = flight;
        if !self.members[*to].sessions.contains(from) {
            return;
        }
        let from_id = self.members[*from].id.clone();
        match decode_frame(frame) {
            Ok(Some(envelope)) => self.feed(*to, Input::Message { from: from_id, envelope }),
            Ok(None) => {}
            Err(_) => self.disconnect(*from, *to),
        }
    }

    /// Delivers what is in the air, and what that sends up, for a few rounds.
    fn deliver_all(&mut self) {
        for _ in 0..4 {
            for flight in std::mem::take(&mut self.flights) {
                self.deliver(&flight);
            }
            for index in 0..NODES {
                self.feed(index, Input::Flush);
            }
        }
    }

    fn connect(&mut self, left: usize, right: usize) {
        let alive = !self.members[left].over && !self.members[right].over;
        if left == right || !alive || !self.members[left].sessions.insert(right) {
            return;
        }
        self.members[right].sessions.insert(left);
        for (index, peer) in [(left, right), (right, left)] {
            let peer = self.members[peer].id.clone();
            self.inputs.push_back((index, Input::Connected { peer }));
        }
    }

    /// Lets a node find whom the bits of `found` stand for, and somebody who does not exist.
    fn discover(&mut self, index: usize, found: u8) {
        let others = (0..=NODES).filter(|other| found >> other & 1 == 1);
        self.feed(index, Input::Seeds(others.map(address).collect()));
    }

    fn disconnect(&mut self, left: usize, right: usize) {
        if !self.members[left].sessions.remove(&right) {
            return;
        }
        self.members[right].sessions.remove(&left);
        self.flights.retain(|f| ![(left, right), (right, left)].contains(&(f.from, f.to)));
        for (index, peer) in [(left, right), (right, left)] {
            let peer = self.members[peer].id.clone();
            self.inputs.push_back((index, Input::Disconnected { peer }));
        }
    }

    /// Kills a node, and starts it anew under its name with nothing remembered.
    fn restart(&mut self, index: usize) {
        for peer in 0..NODES {
            self.disconnect(index, peer);
        }
        self.run_all();
        self.dials.retain(|&(from, _)| from != index);
        self.members[index] = Member::new(index, self.lives, self.now);
        self.lives += 1;
        self.feed_wall(index);
    }

    /// Lets time pass: a moment, until a node wants to be woken, or longer than anyone is
    /// remembered.
    fn pass(&mut self, time: u8) {
        match time {
            0..=239 => self.advance(Duration::from_millis(10 * u64::from(time))),
            240..=243 => self.advance(Duration::from_micros(1)),
            244..=250 => {
                let alive = self.members.iter().filter(|member| !member.over);
                let timeouts = alive.filter_map(|member| member.node.poll_timeout());
                if let Some(at) = timeouts.map(|(at, _)| at).min() {
                    self.advance(at.since(self.now));
                }
            }
            251..=253 => self.advance(Duration::from_secs(60)),
            254..=255 => self.advance(Duration::from_secs(25 * 60 * 60)),
        }
    }

    fn advance(&mut self, duration: Duration) {
        self.now = self.now + duration;
        for (from, to) in self.dials.clone() {
            self.connect(from, to);
        }
        for index in 0..NODES {
            self.feed_wall(index);
            self.feed(index, Input::Tick);
            self.feed(index, Input::Flush);
        }
    }

    fn feed_wall(&mut self, index: usize) {
        let ms = 1_700_000_000_000 + self.now.as_micros() / 1_000 + self.members[index].wall_off_ms;
        self.feed(index, Input::Wall(Wall::from_millis(ms)));
    }

    /// Feeds one input, and whatever that makes happen at once.
    fn feed(&mut self, index: usize, input: Input) {
        self.inputs.push_back((index, input));
        self.run_all();
    }

    fn run_all(&mut self) {
        while let Some((index, input)) = self.inputs.pop_front() {
            self.handle(index, input);
        }
    }

    /// Feeds a node, does what it asks for, and checks that it comes to rest.
    fn handle(&mut self, index: usize, input: Input) {
        if self.members[index].over {
            return;
        }
        self.members[index].node.handle(self.now, input);
        self.drain(index);
        let member = &self.members[index];
        let next = member.node.poll_timeout();
        let is_later = next.is_none_or(|(at, _)| self.now < at);
        assert!(is_later, "{} is to be woken at {next:?}, and it is {}", member.id, self.now);
    }

    fn drain(&mut self, index: usize) {
        for _ in 0..OUTPUTS_MAX {
            let Some(output) = self.members[index].node.poll_output() else { return };
            self.execute(index, output);
        }
        panic!("{} asks for more and more", self.members[index].id);
    }

    /// Does what a shell would do at once; what takes time is left to later steps.
    fn execute(&mut self, index: usize, output: Output) {
        let member = &mut self.members[index];
        match output {
            Output::Send { to, envelope } => {
                let frame = encode_frame(&envelope);
                assert!(frame.len() <= FRAME_BYTES_MAX, "{} bytes fit no frame", frame.len());
                let to = (0..NODES).find(|&peer| id(peer) == to);
                if let Some(to) = to.filter(|to| member.sessions.contains(to)) {
                    self.flights.push(Flight { from: index, to, frame });
                    let lost = self.flights.len().saturating_sub(FLIGHTS_MAX);
                    self.flights.drain(..lost);
                }
            }
            Output::Dial { address: at } => {
                self.dials.extend((0..NODES).find(|&p| address(p) == at).map(|p| (index, p)));
            }
            Output::HangUp { address: at } => {
                self.dials.retain(|&(from, to)| (from, address(to)) != (index, at.clone()));
            }
            Output::Disconnect { peer } => {
                if let Some(peer) = (0..NODES).find(|&index| id(index) == peer) {
                    self.disconnect(index, peer);
                }
            }
            Output::Start(start) => {
                let twin = member.processes.insert(start.number, Process::Starting);
                assert!(twin.is_none(), "process {} is started twice", start.number);
                self.run.started += 1;
            }
            Output::Stop { number, .. } => {
                if let Some(process) = member.processes.get_mut(&number) {
                    *process = Process::Stopping;
                }
            }
            Output::Renew { .. } | Output::Hold { .. } | Output::Persist { .. } => (),
            Output::Deliver { call, .. } => member.calls.extend(call),
            Output::Reply { ticket, reply } => {
                let open = member.requests.remove(&ticket);
                let Some(request) = open else { panic!("ticket {ticket} is answered twice") };
                assert!(request.is_answered_by(&reply), "{reply:?} is no answer to {request:?}");
                member.remember(reply);
                self.run.answered += 1;
            }
            Output::Exit(_) => {
                member.over = true;
                for peer in 0..NODES {
                    self.disconnect(index, peer);
                }
            }
            Output::Event(Event::Joined { .. }) => self.run.joined += 1,
            Output::Absorb { .. } | Output::View(_) | Output::Event(_) => {}
        }
    }

    /// Checks that every request is answered once its deadline has passed.
    fn check_deadlines(&mut self) {
        self.advance(TIMEOUT + Duration::from_millis(1));
        for member in self.members.iter().filter(|member| !member.over) {
            let late = member.requests.iter().find(|(_, request)| request.deadline < self.now);
            assert_eq!(late, None, "{} leaves a request unanswered at {}", member.id, self.now);
        }
    }

    fn hash(&self) -> u64 {
        let mut bytes = Vec::new();
        for member in &self.members {
            bytes.extend(member.node.state_hash().to_le_bytes());
        }
        for flight in &self.flights {
            bytes.extend(&flight.frame);
        }
        hash64(&bytes)
    }
}

fn id(index: usize) -> NodeId {
    NodeId::new(format!("n{index}")).expect("it is short and plain")
}

fn address(index: usize) -> Address {
    Address::new(format!("n{index}:1")).expect("it is short and plain")
}
