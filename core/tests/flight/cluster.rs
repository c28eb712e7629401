//! Three recorded nodes that live through whatever makes a node hold something.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ordu_core::flight::{Dump, Reason, Recorder, Settings};
use ordu_core::message::Message;
use ordu_core::{
    Address, Blob, ChildSpec, Command, Config, Input, Name, Node, NodeId, Output, ProcessEvent,
    Replicas, Reply, Rule, Scope, Target, Time, Wall,
};

const DELAY: Duration = Duration::from_millis(1);

/// What processes say: in a call, in a reply, and in what they leave behind.
pub(crate) const SECRETS: [&str; 3] = ["a secret question", "a secret answer", "a secret state"];

/// Who is cut off when the network is cut.
const LONER: &str = "c";

/// What a node was told, and what it asked for then.
type Diary = Vec<(Time, Input, Vec<Output>)>;

pub(crate) struct Cluster {
    now: Time,
    members: BTreeMap<NodeId, Member>,
    inputs: VecDeque<(Time, NodeId, Input)>,
    replies: BTreeMap<u64, Reply>,
    tickets: u64,
    links: BTreeSet<(NodeId, NodeId)>,
    dials: BTreeSet<(NodeId, NodeId)>,
    is_cut: bool,
    /// Whether what losers leave behind is lost on its way to the winners.
    loses_states: bool,
}

struct Member {
    node: Node,
    recorder: Recorder,
    diary: Diary,
}

pub(crate) fn id(node: &str) -> NodeId {
    NodeId::new(node).unwrap()
}

fn scope() -> Scope {
    Scope::named("default")
}

fn name(name: &str) -> Name {
    Name::new(name).unwrap()
}

pub(crate) fn spec(called: &str) -> ChildSpec {
    ChildSpec {
        name: Some((scope(), name(called))),
        ..ChildSpec::new("cart", "arguments of a child")
    }
}

impl Cluster {
    /// Returns three nodes that have joined.
    fn new(rule: &Rule, settings: Settings) -> Self {
        let mut members = BTreeMap::new();
        for (seed, name) in ["a", "b", LONER].iter().enumerate() {
            let mut config = Config::new(id(name), Address::new(*name).unwrap());
            config.kinds = vec!["cart".into()];
            config.rule = rule.clone();
            config.seeds = [Address::new("a").unwrap()].into();
            let recorder = Recorder::new(config.clone(), seed as u64, Time::ZERO, settings);
            let node = Node::new(config, seed as u64, Time::ZERO);
            members.insert(id(name), Member { node, recorder, diary: Vec::new() });
        }
        let mut cluster = Self {
            now: Time::ZERO,
            members,
            inputs: VecDeque::new(),
            replies: BTreeMap::new(),
            tickets: 0,
            links: BTreeSet::new(),
            dials: BTreeSet::new(),
            is_cut: false,
            loses_states: false,
        };
        for name in ["a", "b", LONER] {
            cluster.feed(&id(name), Input::Wall(Wall::from_millis(1_000_000)));
        }
        cluster.run_for(Duration::from_secs(5));
        cluster
    }

    /// Returns three nodes after a story with children, calls, names, a split and its end.
    pub(crate) fn after_a_story(settings: Settings) -> Self {
        Self::after_a_story_by(&Rule::oldest(), settings)
    }

    /// As [`after_a_story`](Self::after_a_story), with conflicts decided by `rule`.
    pub(crate) fn after_a_story_by(rule: &Rule, settings: Settings) -> Self {
        let mut cluster = Self::new(rule, settings);
        for number in 0..10 {
            let called = format!("cart/{number}");
            let start = Command::Start { scope: scope(), spec: spec(&called) };
            let reply = cluster.request("a", start);
            let Reply::Start(Ok(child)) = reply else { panic!("{called}: {reply:?}") };
            for node in ["a", "b", LONER] {
                let target = Target::Name(scope(), name(&called));
                let payload = Blob::from(SECRETS[0]);
                let call = Command::Call { target: target.clone(), payload: payload.clone() };
                let reply = Reply::Call(Ok(Blob::from(SECRETS[1])));
                assert_eq!(cluster.request(node, call), reply);
                let send = Command::Send { target, payload };
                assert_eq!(cluster.request(node, send), Reply::Send(Ok(())));
            }
            let register = Command::Register {
                scope: scope(),
                name: name(&format!("alias/{number}")),
                process: child.process,
                value: Blob::from("value beside a name"),
                replicas: Replicas::All,
            };
            assert!(matches!(cluster.request("b", register), Reply::Register(Ok(_))));
        }

        // Both sides of a split run all children, and one more of the same name each.
        cluster.cut();
        cluster.run_for(Duration::from_secs(10));
        for node in ["a", LONER] {
            let start = Command::Start { scope: scope(), spec: spec("both") };
            assert!(matches!(cluster.request(node, start), Reply::Start(Ok(_))), "{node}");
        }
        cluster.heal();
        cluster.run_for(Duration::from_secs(240));
        assert_eq!(cluster.request("a", Command::Settled), Reply::Settled(Ok(())));
        let is_left = |input: &Input| {
            let Input::Process { event: ProcessEvent::Stopped { state }, .. } = input else {
                return false;
            };
            state.is_some()
        };
        let mut told = cluster.members.values().flat_map(|member| &member.diary);
        assert!(told.any(|(_, input, _)| is_left(input)), "somebody lost");
        cluster
    }

    /// Makes two processes claim one name, and loses the loser's state on its way to the winner.
    /// Returns the loser's node.
    pub(crate) fn hold_the_state_of_a_loser(&mut self) -> &'static str {
        self.cut();
        self.run_for(Duration::from_secs(10));
        for node in ["a", LONER] {
            let start = Command::Start { scope: scope(), spec: spec("both again") };
            assert!(matches!(self.request(node, start), Reply::Start(Ok(_))), "{node}");
        }
        self.loses_states = true;
        self.heal();
        self.run_for(Duration::from_secs(10));
        let holds = |node: &&str| {
            let bytes = ordu_core::wire::encode(self.node(node));
            bytes.windows(SECRETS[2].len()).any(|window| window == SECRETS[2].as_bytes())
        };
        ["a", "b", LONER].into_iter().find(holds).expect("somebody lost")
    }

    pub(crate) fn node(&self, node: &str) -> &Node {
        &self.members[&id(node)].node
    }

    pub(crate) fn dump(&self, node: &str) -> Dump {
        let member = &self.members[&id(node)];
        member.recorder.dump(Reason::Demand, Some(&member.node)).unwrap()
    }

    pub(crate) fn diary(&self, node: &str) -> &Diary {
        &self.members[&id(node)].diary
    }

    /// Returns how many inputs a node was fed.
    pub(crate) fn fed(&self, node: &str) -> u64 {
        self.diary(node).len() as u64
    }

    fn cut(&mut self) {
        self.is_cut = true;
        let loner = id(LONER);
        let (cut, kept) = std::mem::take(&mut self.links)
            .into_iter()
            .partition(|(one, other)| *one == loner || *other == loner);
        self.links = kept;
        let cut: BTreeSet<(NodeId, NodeId)> = cut;
        self.inputs.retain(|(_, to, input)| {
            let Input::Message { from, .. } = input else { return true };
            *to != loner && *from != loner
        });
        for (one, other) in cut {
            self.feed(&one, Input::Disconnected { peer: other.clone() });
            self.feed(&other, Input::Disconnected { peer: one });
        }
    }

    fn heal(&mut self) {
        self.is_cut = false;
        for (one, other) in std::mem::take(&mut self.dials) {
            self.dial(&one, &other);
        }
    }

    fn dial(&mut self, from: &NodeId, to: &NodeId) {
        let loner = id(LONER);
        if self.is_cut && (*from == loner) != (*to == loner) {
            self.dials.insert((from.clone(), to.clone()));
            return;
        }
        let link = (from.clone().min(to.clone()), from.clone().max(to.clone()));
        if self.links.insert(link) {
            let at = self.now + DELAY;
            self.inputs.push_back((at, from.clone(), Input::Connected { peer: to.clone() }));
            self.inputs.push_back((at, to.clone(), Input::Connected { peer: from.clone() }));
        }
    }

    /// Feeds one input, then everything that follows in the same instant.
    fn feed(&mut self, node: &NodeId, input: Input) {
        let member = self.members.get_mut(node).unwrap();
        let mut all = Vec::new();
        for input in [input, Input::Flush] {
            member.recorder.record(self.now, &input, &member.node);
            member.node.handle(self.now, input.clone());
            let outputs: Vec<Output> = std::iter::from_fn(|| member.node.poll_output()).collect();
            all.extend(outputs.iter().cloned());
            member.diary.push((self.now, input, outputs));
        }
        for output in all {
            self.carry_out(node, output);
        }
    }

    fn carry_out(&mut self, node: &NodeId, output: Output) {
        let at = self.now + DELAY;
        match output {
            Output::Send { to, envelope } => {
                let link = (node.clone().min(to.clone()), node.clone().max(to.clone()));
                let is_state = matches!(envelope.message, Message::Yield(_));
                if self.links.contains(&link) && !(is_state && self.loses_states) {
                    let input = Input::Message { from: node.clone(), envelope };
                    self.inputs.push_back((at, to, input));
                }
            }
            Output::Dial { address } => self.dial(node, &id(address.as_str())),
            Output::HangUp { address } => {
                self.dials.remove(&(node.clone(), id(address.as_str())));
            }
            Output::Start(start) => {
                let (number, event) = (start.number, ProcessEvent::Started);
                self.inputs.push_back((at, node.clone(), Input::Process { number, event }));
            }
            Output::Stop { number, .. } => {
                let event = ProcessEvent::Stopped { state: Some(Blob::from(SECRETS[2])) };
                self.inputs.push_back((at, node.clone(), Input::Process { number, event }));
            }
            Output::Deliver { call: Some(call), .. } => {
                let input = Input::Answer { call, result: Ok(Blob::from(SECRETS[1])) };
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
            | Output::Disconnect { .. }
            | Output::View(_)
            | Output::Event(_)
            | Output::Exit(_) => (),
        }
    }

    pub(crate) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let timers = self.members.iter().filter_map(|(id, member)| {
                member.node.poll_timeout().map(|(at, _)| (at, id.clone()))
            });
            let (timer, node) = timers.min().unwrap();
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
