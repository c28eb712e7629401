//! What the flight recorder costs: the same life of a node, lived with and without one.
//!
//! `cargo bench -p ordu-core --bench flight`. Five members, a network without delay. What the
//! first member is told is kept, and fed to fresh nodes again and again, in turns without a
//! recorder, with one that hashes payloads, and with one that keeps them. Prints the time of one
//! input, the quickest of all runs, and by how much a recorder adds to it. All else that a node
//! costs, frames, encryption, wakeups, processes, is not in it: of a whole node the share is far
//! smaller.

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use std::collections::{BTreeMap, VecDeque};
use std::hint::black_box;
use std::time::{Duration, Instant};

use ordu_core::flight::{Payloads, Reason, Recorder, Settings};
use ordu_core::{
    Address, Blob, ChildSpec, Command, Config, Input, Name, Node, NodeId, Output, ProcessEvent,
    Replicas, Reply, Scope, Target, Time, Wall, wire,
};

const MEMBERS: usize = 5;
const ROUNDS: usize = 9;

fn id(number: usize) -> NodeId {
    NodeId::new(format!("n{number}")).expect("a short id is one")
}

fn config(number: usize) -> Config {
    let address = |number: usize| Address::new(format!("n{number}")).expect("a short address");
    let mut config = Config::new(id(number), address(number));
    config.kinds = vec!["cart".into()];
    config.seeds = (0..number).map(address).collect();
    config
}

/// A cluster in one loop, which keeps what its first member is told.
struct Cluster {
    now: Time,
    nodes: BTreeMap<NodeId, Node>,
    inputs: VecDeque<(NodeId, Input)>,
    replies: Vec<Reply>,
    tickets: u64,
    diary: Vec<(Time, Input)>,
}

impl Cluster {
    fn new() -> Self {
        let nodes = (0..MEMBERS).map(|n| (id(n), Node::new(config(n), n as u64, Time::ZERO)));
        let mut cluster = Self {
            now: Time::ZERO,
            nodes: nodes.collect(),
            inputs: VecDeque::new(),
            replies: Vec::new(),
            tickets: 0,
            diary: Vec::new(),
        };
        for number in 0..MEMBERS {
            cluster.inputs.push_back((id(number), Input::Wall(Wall::from_millis(1_000_000))));
        }
        cluster.run_for(Duration::from_secs(5));
        cluster
    }

    fn drain(&mut self) {
        while let Some((node, input)) = self.inputs.pop_front() {
            for input in [input, Input::Flush] {
                if node == id(0) {
                    self.diary.push((self.now, input.clone()));
                }
                let machine = self.nodes.get_mut(&node).expect("nobody goes");
                machine.handle(self.now, input);
            }
            let machine = self.nodes.get_mut(&node).expect("nobody goes");
            let outputs: Vec<Output> = std::iter::from_fn(|| machine.poll_output()).collect();
            for output in outputs {
                self.carry_out(&node, output);
            }
        }
    }

    fn carry_out(&mut self, node: &NodeId, output: Output) {
        let to_itself = |input| (node.clone(), input);
        match output {
            Output::Send { to, envelope } => {
                self.inputs.push_back((to, Input::Message { from: node.clone(), envelope }));
            }
            Output::Dial { address } => {
                let peer = NodeId::new(address.as_str()).expect("addresses are ids here");
                self.inputs.push_back(to_itself(Input::Connected { peer: peer.clone() }));
                self.inputs.push_back((peer, Input::Connected { peer: node.clone() }));
            }
            Output::Start(start) => {
                let (number, event) = (start.number, ProcessEvent::Started);
                self.inputs.push_back(to_itself(Input::Process { number, event }));
            }
            Output::Deliver { call: Some(call), payload, .. } => {
                self.inputs.push_back(to_itself(Input::Answer { call, result: Ok(payload) }));
            }
            Output::Reply { reply, .. } => self.replies.push(reply),
            Output::Deliver { call: None, .. }
            | Output::Stop { .. }
            | Output::Absorb { .. }
            | Output::Renew { .. }
            | Output::Persist { .. }
            | Output::Hold { .. }
            | Output::HangUp { .. }
            | Output::Disconnect { .. }
            | Output::View(_)
            | Output::Event(_)
            | Output::Exit(_) => (),
        }
    }

    fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.drain();
            let timers = self
                .nodes
                .iter()
                .filter_map(|(id, node)| node.poll_timeout().map(|(at, _)| (at, id.clone())));
            let Some((at, node)) = timers.min().filter(|(at, _)| *at <= end) else { break };
            self.now = at;
            self.inputs.push_back((node, Input::Tick));
        }
        self.now = end;
    }

    fn request(&mut self, node: usize, command: Command) {
        self.tickets += 1;
        let timeout = Duration::from_secs(60);
        let request = Input::Request { ticket: self.tickets, timeout, command };
        self.inputs.push_back((id(node), request));
        self.drain();
    }

    fn start_children(&mut self, count: u64) {
        for number in 0..count {
            let spec =
                ChildSpec { name: Some((scope(), name(number))), ..ChildSpec::new("cart", "40") };
            self.request(number as usize % MEMBERS, Command::Start { scope: scope(), spec });
        }
        self.run_for(Duration::from_secs(5));
    }

    /// Lets ten seconds pass with calls from everywhere to everywhere, and a few new names.
    fn talk(&mut self, calls: u64, payload: usize, children: u64) {
        const TICK: Duration = Duration::from_millis(10);
        let payload = Blob::from(vec![7; payload]);
        for number in 0..calls {
            let target = Target::Name(scope(), name(number % children));
            let call = Command::Call { target, payload: payload.clone() };
            self.request(number as usize % MEMBERS, call);
            if number % 20 == 0 {
                self.request(0, Command::Spawn { precedence: ordu_core::Precedence::default() });
                let Some(Reply::Spawn(process)) = self.replies.pop() else {
                    panic!("it is numbered")
                };
                let register = Command::Register {
                    scope: scope(),
                    name: Name::new(format!("alias/{number}").as_str()).expect("short"),
                    process,
                    value: Blob::from("value"),
                    replicas: Replicas::One,
                };
                self.request(0, register);
            }
            if number % (calls / 1_000).max(1) == 0 {
                self.run_for(TICK);
            }
        }
    }
}

fn scope() -> Scope {
    Scope::named("default")
}

fn name(number: u64) -> Name {
    Name::new(format!("cart/{number}").as_str()).expect("short")
}

/// Lives `diary` again. Returns how long that took, from the input at `from` on.
fn live(diary: &[(Time, Input)], from: usize, settings: Option<Settings>) -> Duration {
    let mut node = Node::new(config(0), 0, Time::ZERO);
    let mut recorder = settings.map(|settings| Recorder::new(config(0), 0, Time::ZERO, settings));
    let inputs: Vec<(Time, Input)> = diary.to_vec();
    let mut begun = Instant::now();
    for (number, (at, input)) in inputs.into_iter().enumerate() {
        if number == from {
            begun = Instant::now();
        }
        if let Some(recorder) = &mut recorder {
            recorder.record(at, &input, &node);
        }
        node.handle(at, input);
        while let Some(output) = node.poll_output() {
            drop(black_box(output));
        }
    }
    let took = begun.elapsed();
    black_box((node, recorder));
    took
}

fn compare(what: &str, cluster: &Cluster, from: usize) {
    let (diary, inputs) = (&cluster.diary, cluster.diary.len() - from);
    let with = |payloads| Some(Settings { payloads, ..Settings::default() });
    let rows = [None, with(Payloads::Hashed), with(Payloads::Kept)];
    let mut best = [Duration::MAX; 3];
    for _ in 0..ROUNDS {
        for (best, settings) in best.iter_mut().zip(rows) {
            *best = live(diary, from, settings).min(*best);
        }
    }
    let each = |took: Duration| took.as_nanos() as f64 / inputs as f64;
    let more = |took: Duration| (took.as_secs_f64() / best[0].as_secs_f64() - 1.0) * 100.0;
    println!(
        "{what:<52} {inputs:>8} inputs {:>7.0} ns each  hashed {:>+6.2} %  kept {:>+6.2} %",
        each(best[0]),
        more(best[1]),
        more(best[2]),
    );
}

/// Prints what a state and a dump cost.
fn state(what: &str, cluster: &Cluster) {
    let node = &cluster.nodes[&id(0)];
    let settings = Settings { bytes_max: 64 << 20, payloads: Payloads::Hashed };
    let mut recorder = Recorder::new(config(0), 0, Time::ZERO, settings);
    for (at, input) in &cluster.diary {
        recorder.record(*at, input, node);
    }
    let begun = Instant::now();
    let bytes = black_box(wire::encode(node)).len();
    let encoded = begun.elapsed();
    let begun = Instant::now();
    let dump = recorder.dump(Reason::Demand, Some(node)).expect("it fits");
    let dumped = begun.elapsed();
    println!(
        "{what:<52} {bytes:>8} bytes  {:>7.2} ms; a dump of {} bytes {:>7.2} ms",
        encoded.as_secs_f64() * 1e3,
        dump.encode().len(),
        dumped.as_secs_f64() * 1e3,
    );
}

fn main() {
    for children in [100, 1_000, 10_000] {
        let mut cluster = Cluster::new();
        cluster.start_children(children);
        compare(&format!("start {children} children"), &cluster, 0);

        let from = cluster.diary.len();
        cluster.talk(20_000, 200, children);
        compare(&format!("{children} children, calls of 200 bytes"), &cluster, from);
        state(&format!("the state of a node of {children} children"), &cluster);
    }
    let mut cluster = Cluster::new();
    cluster.start_children(1_000);
    let from = cluster.diary.len();
    cluster.talk(20_000, 16 << 10, 1_000);
    compare("1000 children, calls of 16 KiB", &cluster, from);
    let from = cluster.diary.len();
    cluster.run_for(Duration::from_secs(600));
    compare("1000 children, ten idle minutes", &cluster, from);
}
