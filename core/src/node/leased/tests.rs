use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;

use super::*;
use crate::message::Won;
use crate::{
    Address, Command, Config, Incarnation, Input, Mode, NodeId, Precedence, ProcessEvent, Stamp,
    UnregisterError, Voters,
};

/// Longer than a voter that has just started grants nothing.
const ABSTENTION: Duration = Duration::from_secs(6);

/// Longer than a lease.
const LEASE: Duration = Duration::from_secs(10);

/// A node alone, which is the only voter, and all that it has answered.
struct Alone {
    node: Node,
    now: Time,
    tickets: u64,
    replies: BTreeMap<u64, Reply>,
    stops: Vec<(u64, StopReason)>,
}

fn locks() -> Scope {
    Scope::named("locks")
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

impl Alone {
    fn new() -> Self {
        let id = NodeId::new("a").unwrap();
        let mut config = Config::new(id.clone(), Address::new("127.0.0.1:4000").unwrap());
        config.voters = Some(Voters::new([id]));
        config.registry_modes = [(locks(), Mode::Exclusive)].into();
        let node = Node::new(config, 7, Time::ZERO);
        let (replies, stops) = (BTreeMap::new(), Vec::new());
        let mut alone = Self { node, now: Time::ZERO, tickets: 0, replies, stops };
        alone.feed(Input::Flush);
        alone
    }

    fn feed(&mut self, input: Input) {
        self.node.handle(self.now, input);
        while let Some(output) = self.node.poll_output() {
            if let Output::Reply { ticket, reply } = output {
                self.replies.insert(ticket, reply);
            } else if let Output::Stop { number, reason, .. } = output {
                self.stops.push((number, reason));
            }
        }
    }

    /// Lets so much time pass, with all timers.
    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some((at, _)) = self.node.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = at;
            self.feed(Input::Tick);
            self.feed(Input::Flush);
        }
        self.now = end;
    }

    fn request(&mut self, command: Command) -> u64 {
        self.tickets += 1;
        let (ticket, timeout) = (self.tickets, Duration::from_secs(60));
        self.feed(Input::Request { ticket, timeout, command });
        ticket
    }

    fn spawn(&mut self) -> ProcessId {
        let ticket = self.request(Command::Spawn { precedence: Precedence::default() });
        let Some(Reply::Spawn(process)) = self.replies.remove(&ticket) else { panic!("it runs") };
        process
    }

    fn register(&mut self, text: &str, process: &ProcessId) -> u64 {
        let (scope, name, process) = (locks(), name(text), process.clone());
        let (value, replicas) = (Blob::default(), Replicas::One);
        self.request(Command::Register { scope, name, process, value, replicas })
    }

    fn is_granted(&self, ticket: u64) -> bool {
        matches!(self.replies.get(&ticket), Some(Reply::Register(Ok(_))))
    }
}

/// On a thread that has no more stack than most have.
#[test]
fn names_that_are_granted_all_at_once_are_granted() {
    let mut alone = Alone::new();
    let process = alone.spawn();
    let tickets: BTreeSet<u64> =
        (0..5_000).map(|number| alone.register(&format!("n{number}"), &process)).collect();
    assert!(!tickets.iter().any(|ticket| alone.is_granted(*ticket)), "it abstains");
    alone.run_for(ABSTENTION);
    assert!(tickets.iter().all(|ticket| alone.is_granted(*ticket)));
}

/// The node has not heard of the end of the lease when it is asked, as after a thaw.
#[test]
fn a_name_is_not_given_back_in_the_very_input_that_its_lease_ends_in() {
    let mut alone = Alone::new();
    alone.run_for(ABSTENTION);
    let process = alone.spawn();
    let ticket = alone.register("ledger", &process);
    alone.feed(Input::Flush);
    assert!(alone.is_granted(ticket));

    alone.now = alone.now + LEASE;
    let (scope, name) = (locks(), name("ledger"));
    let command = Command::Unregister { scope, name: name.clone(), process: process.clone() };
    let ticket = alone.request(command);
    let number = process.number;
    let not_holder = UnregisterError::NotHolder { name, process };
    assert_eq!(alone.replies.get(&ticket), Some(&Reply::Unregister(Err(not_holder))));
    assert_eq!(alone.stops, [(number, StopReason::NameLapsed)]);
}

/// Its name in another registry is lost to a process of a node that is cut off afterwards: it has
/// stopped, and waits to be taken in for long.
#[test]
fn who_stops_over_a_conflict_is_granted_no_name_and_keeps_none() {
    let mut alone = Alone::new();
    alone.run_for(ABSTENTION);
    let process = alone.spawn();
    let (scope, cart) = (Scope::named("default"), name("cart"));
    alone.request(Command::Register {
        scope,
        name: cart.clone(),
        process: process.clone(),
        value: Blob::default(),
        replicas: Replicas::One,
    });
    let ticket = alone.register("ledger", &process);
    alone.feed(Input::Flush);
    assert!(alone.is_granted(ticket));
    let asked = alone.register("other", &process);

    // A process of another node claims the same, and wins.
    let seat = Seat::Name(scope, cart);
    let incarnation = Incarnation { counter: 1, nonce: 1 };
    let other = Replica::new(NodeId::new("b").unwrap(), incarnation);
    let node = &mut alone.node;
    let loser = node.board.best(&seat).unwrap().clone();
    let mut winner = loser.clone();
    winner.rank.process = ProcessId { replica: other.clone(), number: 1 };
    winner.rank.stamp = Stamp::default();
    let _ = node.board.replace(&seat, None, Some(winner.clone()));
    assert!(node.board.beats(&seat, &winner, &loser));
    let won = Won { seat, winner: 1, loser: process.number };
    node.with_conflicts(|conflicts, own| conflicts.handle_won(own, &other, won));
    alone.feed(Input::Flush);
    assert!(matches!(alone.stops[..], [(_, StopReason::Conflict(_))]), "{:?}", alone.stops);
    let gone = RegisterError::NoProcess { process: process.clone() };
    assert_eq!(alone.replies.get(&asked), Some(&Reply::Register(Err(gone))));
    let held = |alone: &Alone| alone.node.board.seen(&Seat::Name(locks(), name("ledger")));
    assert!(held(&alone).is_some(), "it works on for its grace");

    let (number, event) = (process.number, ProcessEvent::Stopped { state: None });
    alone.feed(Input::Process { number, event });
    assert!(alone.node.conflicts.yields(number), "nobody has taken it in");
    assert!(held(&alone).is_none());
}
