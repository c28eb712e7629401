//! What a fuzzer drives: plain functions from bytes to a panic, or to none.
//!
//! The targets in `fuzz/` call them, and so does an ordinary test, over the committed corpus and
//! over random bytes; what one of them finds, the other repeats.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ordu_core::limits::FRAME_BYTES_MAX;
use ordu_core::wire::{Greeting, decode, decode_frame, encode, encode_frame};
use ordu_core::{
    Address, Blob, CallId, ChildId, ChildSpec, Command, Config, Event, Input, Name, Node, NodeId,
    Output, ProcessEvent, ProcessId, Replicas, Reply, Restart, Scope, Target, Time, Wall,
};

/// Reads `bytes` as a frame and as a greeting, as a transport does with what a peer sends.
///
/// # Panics
///
/// Panics if what is read does not come back the same once it is written and read again.
pub fn message(bytes: &[u8]) {
    if let Ok(Some(envelope)) = decode_frame(bytes) {
        let frame = encode_frame(&envelope);
        assert!(frame.len() <= bytes.len(), "our own encoding is the shortest");
        assert_eq!(decode_frame(&frame), Ok(Some(envelope)), "what is written can be read");
    }
    if let Ok(greeting) = decode::<Greeting>(bytes) {
        assert_eq!(decode(&encode(&greeting)), Ok(greeting.clone()), "what is written can be read");
        assert!(greeting.agree(&greeting).is_err(), "nobody has a session with itself");
    }
}

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
/// nodes die and are born again; wall clocks jump. What the shell promises the core is kept: time
/// never runs backwards, and every process ends once.
///
/// # Panics
///
/// Panics if a node does, if it never stops asking to be woken or to have something done, sends
/// what no frame can hold, or leaves a request unanswered at its deadline.
pub fn node(bytes: &[u8]) -> NodeRun {
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
/// Most times that a node may ask to be woken at once, at one point in time.
const WAKES_MAX: usize = 100;
/// Most frames in flight; beyond them the oldest are lost.
const FLIGHTS_MAX: usize = 1_000;
/// How long every request may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How many nodes there are.
const NODES: usize = 3;

/// Bytes that are read from the front; past the end everything is zero.
struct Bytes<'b>(&'b [u8]);

impl<'b> Bytes<'b> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn byte(&mut self) -> u8 {
        self.next().unwrap_or_default()
    }

    /// Returns a number below `end`, which is not zero.
    fn below(&mut self, end: usize) -> usize {
        usize::from(u16::from_le_bytes([self.byte(), self.byte()])) % end
    }

    fn take(&mut self, length: usize) -> &'b [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// A frame between two nodes.
#[derive(Clone)]
struct Flight {
    from: usize,
    to: usize,
    frame: Vec<u8>,
}

/// A process as its node was told of it.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Process {
    Starting,
    Running,
    Stopping,
}

/// A node and what its shell would know.
struct Member {
    id: NodeId,
    node: Node,
    /// How far its wall clock is off, in milliseconds.
    wall_off_ms: u64,
    sessions: BTreeSet<usize>,
    processes: BTreeMap<u64, Process>,
    known: Vec<ProcessId>,
    children: Vec<ChildId>,
    calls: Vec<CallId>,
    /// The deadline of every request that was not answered yet.
    requests: BTreeMap<u64, Time>,
    over: bool,
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
            0 => self.advance(Duration::from_millis(10 * u64::from(bytes.byte()))),
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
            14 => self.deliver_all(),
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

    fn request(&mut self, bytes: &mut Bytes<'_>) {
        let index = bytes.below(NODES);
        let command = self.command(index, bytes);
        self.tickets += 1;
        let (ticket, timeout) = (self.tickets, TIMEOUT);
        if !self.members[index].over {
            self.members[index].requests.insert(ticket, self.now + timeout);
            self.feed(index, Input::Request { ticket, timeout, command });
        }
    }

    fn command(&self, index: usize, bytes: &mut Bytes<'_>) -> Command {
        let scope = Scope::named("default");
        let name = Name::new([b'a' + bytes.byte() % 8].as_slice()).expect("one byte is a name");
        let known = |bytes: &mut Bytes<'_>| {
            let all: Vec<&ProcessId> = self.members.iter().flat_map(|m| &m.known).collect();
            (!all.is_empty()).then(|| all[bytes.below(all.len())].clone())
        };
        let payload = Blob::from([7; 3].as_slice());
        match bytes.byte() % 12 {
            0..=2 => {
                let named = bytes.byte().is_multiple_of(2);
                let restart =
                    [Restart::Permanent, Restart::Transient, Restart::Temporary][bytes.below(3)];
                let spec = ChildSpec {
                    kind: KIND.into(),
                    args: payload,
                    restart,
                    grace: Duration::from_secs(1),
                    name: named.then_some((scope, name)),
                    placement_key: None,
                };
                Command::Start { scope, spec }
            }
            3 => match self.members[index].children.as_slice() {
                [] => Command::Spawn,
                all => Command::Terminate { scope, child: all[bytes.below(all.len())] },
            },
            4 | 5 => match known(bytes) {
                Some(process) => {
                    let all = [Replicas::One, Replicas::Two, Replicas::Majority, Replicas::All];
                    let replicas = all[bytes.below(4)];
                    Command::Register { scope, name, process, value: payload, replicas }
                }
                None => Command::Spawn,
            },
            6 => match known(bytes) {
                Some(process) => Command::Unregister { scope, name, process },
                None => Command::Spawn,
            },
            7 => Command::Call { target: Target::Name(scope, name), payload },
            8 => Command::Send { target: Target::Name(scope, name), payload },
            9 => Command::Settled,
            10 if bytes.byte().is_multiple_of(8) => Command::Leave,
            _ => Command::Spawn,
        }
    }

    /// Lets a process do what it may do next.
    fn process_event(&mut self, bytes: &mut Bytes<'_>) {
        let index = bytes.below(NODES);
        let processes = &mut self.members[index].processes;
        if processes.is_empty() {
            return;
        }
        let (&number, &process) =
            processes.iter().nth(bytes.below(processes.len())).expect("it is within the length");
        let fails = bytes.byte().is_multiple_of(4);
        let event = match process {
            Process::Starting if fails => {
                ProcessEvent::StartFailed { reason: "it did not want to".into() }
            }
            Process::Starting => ProcessEvent::Started,
            Process::Running => {
                ProcessEvent::Exited { failure: fails.then(|| "it had enough".into()) }
            }
            Process::Stopping => {
                ProcessEvent::Stopped { state: fails.then(|| Blob::from("what is left")) }
            }
        };
        if event == ProcessEvent::Started {
            processes.insert(number, Process::Running);
        } else {
            processes.remove(&number);
        }
        self.feed(index, Input::Process { number, event });
    }

    fn answer(&mut self, bytes: &mut Bytes<'_>) {
        let index = bytes.below(NODES);
        if let Some(call) = self.members[index].calls.pop() {
            self.feed(index, Input::Answer { call, result: Ok(Blob::from("well")) });
        }
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
        let mut input = Some(input);
        for _ in 0..WAKES_MAX {
            if self.members[index].over {
                return;
            }
            self.members[index].node.handle(self.now, input.take().unwrap_or(Input::Tick));
            self.drain(index);
            let timeout = self.members[index].node.poll_timeout();
            if timeout.is_none_or(|(at, _)| self.now < at) {
                return;
            }
        }
        let timeout = self.members[index].node.poll_timeout();
        panic!("{} asks to be woken for ever: {timeout:?} at {}", self.members[index].id, self.now);
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
            Output::Deliver { call, .. } => member.calls.extend(call),
            Output::Reply { ticket, reply } => {
                let open = member.requests.remove(&ticket);
                assert!(open.is_some(), "ticket {ticket} is answered twice");
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
            let late = member.requests.iter().find(|&(_, &deadline)| deadline < self.now);
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
        ordu_core::hash64(&bytes)
    }
}

/// The kind of every process here.
const KIND: &str = "counter";

impl Member {
    fn new(index: usize, seed: u64, now: Time) -> Self {
        let mut config = Config::new(id(index), address(index));
        config.kinds.push(KIND.into());
        config.seeds = (0..NODES).filter(|&seed| seed != index).map(address).collect();
        Self {
            id: id(index),
            node: Node::new(config, seed, now),
            wall_off_ms: 0,
            sessions: BTreeSet::new(),
            processes: BTreeMap::new(),
            known: Vec::new(),
            children: Vec::new(),
            calls: Vec::new(),
            requests: BTreeMap::new(),
            over: false,
        }
    }

    /// Keeps the ids that answers bring, for later requests to use.
    fn remember(&mut self, reply: Reply) {
        match reply {
            Reply::Start(Ok(started)) => {
                self.children.push(started.child);
                self.known.push(started.process);
            }
            Reply::Spawn(process) => {
                self.processes.insert(process.number, Process::Running);
                self.known.push(process);
            }
            Reply::Start(Err(_))
            | Reply::Terminate(_)
            | Reply::Register(_)
            | Reply::Unregister(_)
            | Reply::Call(_)
            | Reply::Send(_)
            | Reply::Leave(_)
            | Reply::Settled(_) => {}
        }
    }
}

fn id(index: usize) -> NodeId {
    NodeId::new(format!("n{index}")).expect("it is short and plain")
}

fn address(index: usize) -> Address {
    Address::new(format!("n{index}:1")).expect("it is short and plain")
}
