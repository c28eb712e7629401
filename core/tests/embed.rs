//! The smallest loop that drives a cluster: what an embedder writes, without a runtime.
//!
//! Delivery takes a millisecond and loses nothing; the faults are the simulator's business.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ordu_core::{
    Address, Blob, CallError, ChildSpec, Command, Config, Input, Name, Node, NodeId, Output,
    ProcessEvent, Replicas, Reply, Scope, StartChildError, Target, Time, Wall,
};

const DELAY: Duration = Duration::from_millis(1);

struct Cluster {
    now: Time,
    nodes: BTreeMap<NodeId, Node>,
    inputs: VecDeque<(Time, NodeId, Input)>,
    replies: BTreeMap<u64, Reply>,
    tickets: u64,
}

fn id(node: &str) -> NodeId {
    NodeId::new(node).unwrap()
}

fn spec(name: Option<&str>) -> ChildSpec {
    ChildSpec {
        name: name.map(|name| (Scope::named("default"), Name::new(name).unwrap())),
        ..ChildSpec::new("cart", "40")
    }
}

impl Cluster {
    fn new(names: &[&str]) -> Self {
        let mut nodes = BTreeMap::new();
        for (seed, name) in names.iter().enumerate() {
            let mut config = Config::new(id(name), Address::new(*name).unwrap());
            config.kinds = vec!["cart".into()];
            config.seeds = names[..seed].iter().map(|seed| Address::new(*seed).unwrap()).collect();
            nodes.insert(id(name), Node::new(config, seed as u64, Time::ZERO));
        }
        let (inputs, replies) = (VecDeque::new(), BTreeMap::new());
        let mut cluster = Self { now: Time::ZERO, nodes, inputs, replies, tickets: 0 };
        for name in names {
            cluster.feed(&id(name), Input::Wall(Wall::from_millis(1_000_000)));
        }
        cluster
    }

    /// Feeds one input, then everything that follows in the same instant.
    fn feed(&mut self, node: &NodeId, input: Input) {
        let machine = self.nodes.get_mut(node).unwrap();
        machine.handle(self.now, input);
        machine.handle(self.now, Input::Flush);
        let mut outputs = Vec::new();
        while let Some(output) = machine.poll_output() {
            outputs.push(output);
        }
        for output in outputs {
            self.carry_out(node, output);
        }
    }

    fn carry_out(&mut self, node: &NodeId, output: Output) {
        let at = self.now + DELAY;
        match output {
            Output::Send { to, envelope } => {
                let input = Input::Message { from: node.clone(), envelope };
                self.inputs.push_back((at, to, input));
            }
            Output::Dial { address } => {
                let peer = id(address.as_str());
                self.inputs.push_back((at, node.clone(), Input::Connected { peer: peer.clone() }));
                self.inputs.push_back((at, peer, Input::Connected { peer: node.clone() }));
            }
            Output::Start(start) => {
                let (number, event) = (start.number, ProcessEvent::Started);
                self.inputs.push_back((at, node.clone(), Input::Process { number, event }));
            }
            Output::Stop { number, .. } => {
                let event = ProcessEvent::Stopped { state: None };
                self.inputs.push_back((at, node.clone(), Input::Process { number, event }));
            }
            Output::Deliver { payload, call: Some(call), .. } => {
                let input = Input::Answer { call, result: Ok(payload) };
                self.inputs.push_back((at, node.clone(), input));
            }
            Output::Reply { ticket, reply } => {
                let twin = self.replies.insert(ticket, reply);
                assert_eq!(twin, None, "a request is answered once");
            }
            Output::Deliver { call: None, .. }
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
            let timer = self
                .nodes
                .iter()
                .filter_map(|(id, node)| node.poll_timeout().map(|(at, _)| (at, id.clone())));
            let (timer, node) = timer.min().unwrap();
            let input = self.inputs.front().map(|(at, ..)| *at);
            let at = input.map_or(timer, |input| input.min(timer));
            if end < at {
                self.now = end;
                return;
            }
            self.now = self.now.max(at);
            if input == Some(at) {
                let (_, node, input) = self.inputs.pop_front().unwrap();
                self.feed(&node, input);
            } else {
                self.feed(&node, Input::Tick);
            }
        }
    }

    fn request(&mut self, node: &str, command: Command) -> Reply {
        self.tickets += 1;
        let (ticket, timeout) = (self.tickets, Duration::from_secs(5));
        self.feed(&id(node), Input::Request { ticket, timeout, command });
        for _ in 0..6_000 {
            if let Some(reply) = self.replies.remove(&ticket) {
                return reply;
            }
            self.run_for(DELAY);
        }
        panic!("request {ticket} was not answered by its deadline");
    }
}

#[test]
fn three_nodes_find_each_other_and_come_to_rest() {
    let mut cluster = Cluster::new(&["a", "b", "c"]);
    cluster.run_for(Duration::from_secs(3));

    for node in ["a", "b", "c"] {
        assert_eq!(cluster.request(node, Command::Settled), Reply::Settled(Ok(())), "{node}");
    }
}

#[test]
fn a_child_started_anywhere_is_called_by_name_from_everywhere() {
    let mut cluster = Cluster::new(&["a", "b", "c"]);
    cluster.run_for(Duration::from_secs(3));
    let scope = Scope::named("default");

    for number in 0..20 {
        let name = format!("cart/{number}");
        let start = Command::Start { scope, spec: spec(Some(&name)) };
        let reply = cluster.request("a", start.clone());
        let Reply::Start(Ok(child)) = reply else { panic!("{name}: {reply:?}") };
        assert!(child.replicated);

        // The name is taken now, on every node.
        cluster.run_for(DELAY * 5);
        for node in ["a", "b", "c"] {
            let refused = cluster.request(node, start.clone());
            assert!(
                matches!(refused, Reply::Start(Err(StartChildError::NameTaken { .. }))),
                "{refused:?}"
            );
            let target = Target::Name(scope, Name::new(name.as_str()).unwrap());
            let call = Command::Call { target, payload: Blob::from("2") };
            assert_eq!(cluster.request(node, call), Reply::Call(Ok(Blob::from("2"))));
        }

        // Its alias is registered with every member, and lives and dies with it.
        let alias = Name::new(format!("alias/{number}").as_str()).unwrap();
        let register = Command::Register {
            scope,
            name: alias.clone(),
            process: child.process,
            value: Blob::default(),
            replicas: Replicas::All,
        };
        assert!(matches!(cluster.request("b", register), Reply::Register(Ok(_))));
        let terminate = Command::Terminate { scope, child: child.child };
        assert_eq!(cluster.request("c", terminate), Reply::Terminate(Ok(())));
        cluster.run_for(DELAY * 5);
        let call = Command::Call { target: Target::Name(scope, alias), payload: Blob::default() };
        assert_eq!(cluster.request("a", call), Reply::Call(Err(CallError::Nobody)));
    }
    assert_eq!(cluster.request("b", Command::Settled), Reply::Settled(Ok(())));
}
