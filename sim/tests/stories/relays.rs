//! How writes are passed on where there are too many members for each to tell all others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ordu_core::message::Message;
use ordu_core::{Config, Input, Node, NodeId, Output, Time, TimerKind};
use ordu_sim::{Host, Machine, N1, N2, Network, World, seeds};

use crate::SETTLE;

const N9: Host = Host::new(9);

/// How long whoever was passed over may take to learn of a write: until the writer's next beat, or
/// that of another if it has no session with the writer, and as long as a copy is left to whoever
/// may be bringing more of it.
const REPAIR: Duration = Duration::from_millis(500 + 200 + 50);

/// How many deltas each node sent.
type Ledger = Arc<Mutex<BTreeMap<NodeId, u64>>>;

/// A node whose sendings are counted.
struct Counted {
    node: Node,
    id: NodeId,
    ledger: Ledger,
}

impl Machine for Counted {
    fn handle(&mut self, now: Time, input: Input) {
        self.node.handle(now, input);
    }

    fn poll_output(&mut self) -> Option<Output> {
        let output = self.node.poll_output()?;
        if let Output::Send { envelope, .. } = &output
            && let Message::Delta(_) = &envelope.message
        {
            let mut ledger = self.ledger.lock().expect("nobody panics with it");
            *ledger.entry(self.id.clone()).or_default() += 1;
        }
        Some(output)
    }

    fn poll_timeout(&self) -> Option<(Time, TimerKind)> {
        self.node.poll_timeout()
    }

    fn state_hash(&self) -> u64 {
        self.node.state_hash()
    }

    fn node(&self) -> Option<&Node> {
        Some(&self.node)
    }
}

/// Returns a world of `hosts` nodes that push to all up to `max` of them, and what they send.
fn counted(seed: u64, hosts: u16, max: usize, network: Network) -> (World, Ledger) {
    let ledger = Ledger::default();
    let shared = Arc::clone(&ledger);
    let world = World::builder(seed, hosts)
        .network(network)
        .configure(move |_, config: &mut Config| config.push_to_all_max = max)
        .machines(Box::new(move |config, seed, now| {
            let (id, ledger) = (config.id.clone(), Arc::clone(&shared));
            Box::new(Counted { node: Node::new(config, seed, now), id, ledger })
        }))
        .joined();
    (world, ledger)
}

/// Returns whether all but `except` see that `text` is taken.
fn seen_by_all(world: &World, text: &str, except: &[Host]) -> bool {
    let mut hosts = world.up().into_iter().filter(|host| !except.contains(host));
    hosts.all(|host| world.lookup(host, text).is_some())
}

/// What one write costs.
#[derive(Debug, Default)]
struct Cost {
    /// How many deltas the writer sent.
    writer: u64,
    /// The most that any other sent.
    busiest: u64,
    /// How many were sent in all.
    deltas: u64,
    /// When all saw it.
    all_saw: Duration,
}

/// Lets `writer` write once, and returns what that costs until all but `mute` see it.
fn write(world: &mut World, ledger: &Ledger, writer: Host, text: &str, mute: &[Host]) -> Cost {
    let process = world.spawn(writer);
    world.run_for(Duration::from_millis(300));
    ledger.lock().expect("nobody panics with it").clear();
    let began = world.now();
    world.register(writer, text, &process).expect("the name is free");
    let is_seen = world.run_until(Duration::from_secs(10), |world| seen_by_all(world, text, mute));
    assert!(is_seen, "{text} is seen");
    let all_saw = world.now().since(began);
    world.run_for(Duration::from_millis(50));
    let ledger = ledger.lock().expect("nobody panics with it");
    let others = ledger.iter().filter(|(id, _)| **id != writer.id()).map(|(_, sent)| *sent);
    let busiest = others.max().unwrap_or_default();
    let deltas = ledger.values().sum();
    Cost { writer: ledger[&writer.id()], busiest, deltas, all_saw }
}

/// Returns a world of nine nodes of which four are already too many for each to tell all.
fn nine(seed: u64, network: Network) -> (World, Ledger) {
    let (mut world, ledger) = counted(seed, 9, 3, network);
    world.settle(SETTLE);
    world.run_for(Duration::from_secs(1));
    (world, ledger)
}

/// Beyond the limit nobody sends a write to more than 2 log2 n others, where the writer sent it to
/// all; and all see it after log2 n network delays.
#[test]
fn a_write_costs_nobody_more_than_a_few_messages() {
    for seed in seeds(2) {
        for (hosts, hops) in [(17, 5), (32, 5)] {
            let (mut world, ledger) = counted(seed, hosts, 16, Network::lan());
            world.run_for(Duration::from_secs(2));
            for host in [N1, N9] {
                let cost = write(&mut world, &ledger, host, &format!("{host}"), &[]);
                let (writer, busiest) = (cost.writer, cost.busiest);
                assert!(writer <= 2 * hops, "{host} of {hosts} sends {writer}; seed {seed}");
                assert!(busiest <= 2 * hops, "{busiest} are passed on, of {hosts}; seed {seed}");
                assert!(cost.deltas < 2 * u64::from(hosts), "{}; seed {seed}", cost.deltas);
                let most = Duration::from_millis(hops);
                assert!(cost.all_saw <= most, "{:?}, of {hosts}; seed {seed}", cost.all_saw);
            }
        }
    }
}

/// Whoever stops in the middle of it keeps none of the others waiting.
#[test]
fn a_relay_that_stops_keeps_nobody_waiting() {
    for seed in seeds(8) {
        let (mut world, ledger) = nine(seed, Network::lan());
        let mute = Host::new(2 + u16::try_from(seed % 8).expect("it is small"));
        world.pause(mute);
        let cost = write(&mut world, &ledger, N1, "cart", &[mute]);
        assert!(cost.all_saw <= Duration::from_millis(5), "{:?}; seed {seed}", cost.all_saw);
        world.thaw(mute);
        world.settle(SETTLE);
    }
}

/// Where half of them stop at once, the others learn of it from the writer's next beat.
#[test]
fn relays_that_stop_together_delay_a_write_by_no_more_than_a_beat() {
    for seed in seeds(8) {
        let (mut world, ledger) = nine(seed, Network::lan());
        let mute: Vec<Host> = (3..=6).map(Host::new).collect();
        for &host in &mute {
            world.pause(host);
        }
        let cost = write(&mut world, &ledger, N1, "cart", &mute);
        assert!(cost.all_saw <= REPAIR, "{:?}; seed {seed}", cost.all_saw);
        for &host in &mute {
            world.thaw(host);
        }
        world.settle(SETTLE);
    }
}

/// The dead are passed over as soon as their sessions are, and not when they are given up.
#[test]
fn the_dead_are_passed_over() {
    for seed in seeds(8) {
        let (mut world, ledger) = nine(seed, Network::lan());
        for host in [4, 5, 7].map(Host::new) {
            world.kill(host);
        }
        world.run_for(Duration::from_millis(20));
        let cost = write(&mut world, &ledger, N1, "cart", &[]);
        assert!(cost.all_saw <= Duration::from_millis(5), "{:?}; seed {seed}", cost.all_saw);
        world.settle(SETTLE);
    }
}

/// A cut between the writer and one other, or between two others, delays nobody by more than a
/// beat.
#[test]
fn a_cut_delays_a_write_by_no_more_than_a_beat() {
    for seed in seeds(8) {
        let other = Host::new(2 + u16::try_from(seed % 8).expect("it is small"));
        for host in [N1, N2, N9].into_iter().filter(|&host| host != other) {
            let (mut world, ledger) = nine(seed, Network::lan());
            world.partition_closed(&[host], &[other]);
            world.run_for(Duration::from_secs(5));
            let cost = write(&mut world, &ledger, N1, "cart", &[]);
            assert!(cost.all_saw <= REPAIR, "{:?}; seed {seed}", cost.all_saw);
            world.heal();
            world.settle(SETTLE);
        }
    }
}

/// Frames are lost, repeated and overtaken; each write is seen by all in the end all the same.
#[test]
fn what_is_lost_on_the_way_is_asked_for() {
    for seed in seeds(8) {
        let (mut world, ledger) = nine(seed, Network::lan());
        world.set_network(Network::lossy());
        for round in 0..5 {
            let host = Host::new(1 + round * 2);
            write(&mut world, &ledger, host, &format!("name-{round}"), &[]);
        }
        world.set_network(Network::lan());
        world.settle(SETTLE);
    }
}

/// A node joins while others write and write: it sees all of it, and so does everybody else.
#[test]
fn who_joins_during_a_burst_misses_nothing() {
    for seed in seeds(8) {
        let (mut world, _) = nine(seed, Network::lan());
        world.kill(N9);
        world.run_for(Duration::from_secs(1));
        let process = world.spawn(N1);
        for round in 0..40 {
            if round == 10 {
                world.start(N9);
            }
            let free = world.register(N1, &format!("name-{round}"), &process);
            assert_eq!(free, Ok(()), "seed {seed}");
            world.run_for(Duration::from_millis(10));
        }
        world.settle(SETTLE);
        for round in 0..40 {
            assert!(seen_by_all(&world, &format!("name-{round}"), &[]), "seed {seed}");
        }
    }
}

/// A node's last word goes the same ways, and it is let go once all have it, at once.
#[test]
fn who_leaves_is_heard_at_once() {
    for seed in seeds(8) {
        let (mut world, _) = nine(seed, Network::lan());
        let began = world.now();
        assert_eq!(world.leave(N1), Ok(()), "seed {seed}");
        let took = world.now().since(began);
        assert!(took <= Duration::from_millis(20), "it takes {took:?}; seed {seed}");
        world.settle(SETTLE);
    }
}
