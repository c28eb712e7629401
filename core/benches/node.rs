//! What a node costs with 100,000 children or names: the time that one event takes in the core.
//!
//! `cargo bench -p ordu-core --bench node`. Prints a row for each kind of event, with the time that
//! the slowest node spent on it. The cluster has twenty members and a network without delay.
//!
//! Twenty nodes share the caches of one machine here, which none of them would elsewhere. So the
//! death of a member is measured once more: one of the survivors lives it again by itself.

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use ordu_core::{
    Address, Blob, ChildSpec, ChildView, Command, Config, Input, Name, Node, NodeId, Output,
    ProcessEvent, ProcessId, Replicas, Reply, Scope, Time, Wall,
};

const MEMBERS: usize = 20;
const CHILDREN: u64 = 100_000;
const NAMES: u64 = 100_000;

/// The node that lives again by itself.
const LONER: usize = 7;

/// A cluster in one loop, which measures what its nodes do.
struct Cluster {
    now: Time,
    nodes: BTreeMap<NodeId, Node>,
    inputs: VecDeque<(NodeId, Input)>,
    replies: Vec<Reply>,
    spent: BTreeMap<NodeId, Duration>,
    slowest: BTreeMap<NodeId, Duration>,
    /// What the node [`LONER`] was told in its life.
    told: Vec<(Time, Input)>,
}

fn id(number: usize) -> NodeId {
    NodeId::new(format!("n{number}")).expect("a short id is one")
}

fn node(number: usize, now: Time) -> Node {
    let address = |number: usize| Address::new(format!("n{number}")).expect("a short address");
    let mut config = Config::new(id(number), address(number));
    config.kinds = vec!["cart".into()];
    config.seeds = (0..number).map(address).collect();
    config.starts_at_once = usize::MAX;
    Node::new(config, number as u64, now)
}

impl Cluster {
    fn new() -> Self {
        let nodes = (0..MEMBERS).map(|number| (id(number), node(number, Time::ZERO)));
        let mut cluster = Self {
            now: Time::ZERO,
            nodes: nodes.collect(),
            inputs: VecDeque::new(),
            replies: Vec::new(),
            spent: BTreeMap::new(),
            slowest: BTreeMap::new(),
            told: Vec::new(),
        };
        for number in 0..MEMBERS {
            cluster.inputs.push_back((id(number), Input::Wall(Wall::from_millis(1_000_000))));
        }
        cluster.run_for(Duration::from_secs(5));
        cluster
    }

    /// Feeds what waits, and what follows from it, until nothing is left at this instant.
    fn drain(&mut self) {
        while let Some((node, input)) = self.inputs.pop_front() {
            let Some(machine) = self.nodes.get_mut(&node) else { continue };
            if node == id(LONER) {
                self.told.push((self.now, input.clone()));
            }
            let took = timed(machine, self.now, input);
            *self.spent.entry(node.clone()).or_default() += took;
            let slowest = self.slowest.entry(node.clone()).or_default();
            *slowest = took.max(*slowest);

            let mut outputs = Vec::new();
            while let Some(output) = machine.poll_output() {
                outputs.push(output);
            }
            for output in outputs {
                self.carry_out(&node, output);
            }
        }
    }

    fn carry_out(&mut self, node: &NodeId, output: Output) {
        match output {
            Output::Send { to, envelope } => {
                self.inputs.push_back((to, Input::Message { from: node.clone(), envelope }));
            }
            Output::Dial { address } => {
                let peer = NodeId::new(address.as_str()).expect("addresses are ids here");
                if self.nodes.contains_key(&peer) {
                    let connected = |peer: &NodeId| Input::Connected { peer: peer.clone() };
                    self.inputs.push_back((node.clone(), connected(&peer)));
                    self.inputs.push_back((peer, connected(node)));
                } else {
                    self.inputs.push_back((node.clone(), Input::Refused { address }));
                }
            }
            Output::Start(start) => {
                let (number, event) = (start.number, ProcessEvent::Started);
                self.inputs.push_back((node.clone(), Input::Process { number, event }));
            }
            Output::Reply { reply, .. } => self.replies.push(reply),
            Output::Stop { .. }
            | Output::Deliver { .. }
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

    /// Returns how many children run on `node`, as the first node sees it.
    fn on(&self, node: &NodeId) -> usize {
        let is_here =
            |view: ChildView| view.process.is_some_and(|process| process.replica.node() == node);
        self.nodes[&id(0)].children().filter(|(_, _, view)| is_here(view.clone())).count()
    }

    /// Runs `act` and prints what it cost, in all and for each of `count`.
    fn measure(&mut self, what: &str, count: u64, act: impl FnOnce(&mut Self)) {
        self.spent.clear();
        self.slowest.clear();
        act(self);
        let longest = self.spent.values().max().copied().unwrap_or_default();
        let slowest = self.slowest.values().max().copied().unwrap_or_default();
        print(what, count, longest, slowest);
    }
}

/// Returns how long `machine` takes for `input`, with all that it sends then.
fn timed(machine: &mut Node, now: Time, input: Input) -> Duration {
    let begun = Instant::now();
    machine.handle(now, input);
    machine.handle(now, Input::Flush);
    begun.elapsed()
}

fn print(what: &str, count: u64, longest: Duration, slowest: Duration) {
    let each = longest.as_nanos() as f64 / count as f64 / 1e3;
    println!(
        "{what:<44} {:>9.1} ms a node  {each:>8.2} µs each  slowest input {:>8.2} ms",
        longest.as_secs_f64() * 1e3,
        slowest.as_secs_f64() * 1e3,
    );
}

/// Lets the node [`LONER`] live again what it was `told`, and prints what that cost from input
/// `first` on.
fn live_again(what: &str, told: Vec<(Time, Input)>, first: usize) {
    let mut node = node(LONER, Time::ZERO);
    let (mut all, mut slowest) = (Duration::ZERO, Duration::ZERO);
    for (number, (at, input)) in told.into_iter().enumerate() {
        let took = timed(&mut node, at, input);
        while node.poll_output().is_some() {}
        if first <= number {
            (all, slowest) = (all + took, slowest.max(took));
        }
    }
    print(what, 1, all, slowest);
    std::mem::forget(node);
}

fn main() {
    let scope = Scope::named("default");
    let mut cluster = Cluster::new();
    let request = |ticket: u64, command: Command| Input::Request {
        ticket,
        timeout: Duration::from_secs(60),
        command,
    };

    cluster.measure("start 100,000 children from one node", CHILDREN, |cluster| {
        for ticket in 0..CHILDREN {
            let spec = ChildSpec {
                name: Some((scope, Name::new(format!("cart/{ticket}").as_str()).expect("short"))),
                ..ChildSpec::new("cart", Blob::default())
            };
            cluster.inputs.push_back((id(0), request(ticket, Command::Start { scope, spec })));
            cluster.drain();
        }
        cluster.run_for(Duration::from_secs(5));
    });
    let started = cluster.replies.iter().filter(|reply| matches!(reply, Reply::Start(Ok(_))));
    assert_eq!(started.count() as u64, CHILDREN, "all children run");

    cluster.measure("register 100,000 names on one node", NAMES, |cluster| {
        cluster.inputs.push_back((
            id(0),
            request(CHILDREN, Command::Spawn { precedence: ordu_core::Precedence::default() }),
        ));
        cluster.drain();
        let Some(Reply::Spawn(process)) = cluster.replies.pop() else { panic!("it is numbered") };
        let process: ProcessId = process;
        for number in 0..NAMES {
            let command = Command::Register {
                scope,
                name: Name::new(format!("name/{number}").as_str()).expect("short"),
                process: process.clone(),
                value: Blob::default(),
                replicas: Replicas::One,
            };
            cluster.inputs.push_back((id(0), request(CHILDREN + 1 + number, command)));
            cluster.drain();
        }
    });
    cluster.measure("ten idle seconds", 1, |cluster| cluster.run_for(Duration::from_secs(10)));

    cluster.measure("a member joins", 1, |cluster| {
        cluster.nodes.insert(id(MEMBERS), node(MEMBERS, cluster.now));
        cluster.inputs.push_back((id(MEMBERS), Input::Wall(Wall::from_millis(1_000_000))));
        cluster.run_for(Duration::from_secs(5));
        // What it costs to take everything in is the newcomer's own.
        cluster.spent.remove(&id(MEMBERS));
        cluster.slowest.remove(&id(MEMBERS));
    });
    let dead = id(MEMBERS - 1);
    let on_it = cluster.on(&dead);
    assert!(CHILDREN / MEMBERS as u64 / 2 < on_it as u64, "{on_it} children are on it");
    // To give its memory back would be counted as the first survivor's.
    std::mem::forget(cluster.nodes.remove(&dead));
    let lost = |peer: usize| (id(peer), Input::Disconnected { peer: dead.clone() });
    cluster.inputs.extend((0..MEMBERS - 1).chain([MEMBERS]).map(lost));
    let told_before = cluster.told.len();
    cluster.measure("a member goes down with a twentieth of all", 1, |cluster| {
        cluster.run_for(Duration::from_secs(8));
    });
    live_again("the same, one survivor by itself", cluster.told.clone(), told_before);
    let on_all: usize = (0..=MEMBERS).map(|number| cluster.on(&id(number))).sum();
    assert_eq!((cluster.on(&dead), on_all as u64), (0, CHILDREN), "all run elsewhere");
    cluster.measure("ten idle seconds", 1, |cluster| cluster.run_for(Duration::from_secs(10)));
    std::mem::forget(cluster);
}
