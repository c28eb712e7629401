//! Whatever the network does, nobody sees what never was, and in the end all see the same.

use alloc::vec;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::strategies;

const NODES: usize = 4;

/// What may happen next.
#[derive(Clone, Debug)]
enum Step {
    Put(usize, Blob, Blob),
    Delete(usize, Blob),
    Flush(usize),
    Beat(usize),
    Pass(u16),
    Deliver(prop::sample::Index),
    DeliverAll,
    Lose(prop::sample::Index),
    Repeat(prop::sample::Index),
    Connect(usize, usize),
    Disconnect(usize, usize),
    DropStaged(usize, usize),
    Snapshot(usize),
}

fn steps() -> impl Strategy<Value = Step> {
    let any_flight = any::<prop::sample::Index>;
    let node = || 0..NODES;
    prop_oneof![
        8 => (node(), strategies::keys(), strategies::values())
            .prop_map(|(node, key, value)| Step::Put(node, key, value)),
        4 => (node(), strategies::keys()).prop_map(|(node, key)| Step::Delete(node, key)),
        6 => node().prop_map(Step::Flush),
        2 => node().prop_map(Step::Beat),
        4 => (1..1_500u16).prop_map(Step::Pass),
        16 => any_flight().prop_map(Step::Deliver),
        2 => Just(Step::DeliverAll),
        4 => any_flight().prop_map(Step::Lose),
        3 => any_flight().prop_map(Step::Repeat),
        3 => (node(), node()).prop_map(|(a, b)| Step::Connect(a, b)),
        2 => (node(), node()).prop_map(|(a, b)| Step::Disconnect(a, b)),
        1 => (node(), node()).prop_map(|(node, of)| Step::DropStaged(node, of)),
        1 => node().prop_map(Step::Snapshot),
    ]
}

impl World {
    fn step(&mut self, step: Step) {
        let flights = self.flights.len();
        match step {
            Step::Put(node, key, value) => self.put(node, &key, &value),
            Step::Delete(node, key) => self.delete(node, &key),
            Step::Flush(node) => self.flush(node),
            Step::Beat(node) => self.beat(node),
            Step::Pass(ms) => self.pass(Duration::from_millis(u64::from(ms))),
            Step::Deliver(which) if flights > 0 => self.deliver(which.index(flights)),
            Step::Lose(which) if flights > 0 => drop(self.flights.remove(which.index(flights))),
            Step::Repeat(which) if flights > 0 => {
                let again = self.flights[which.index(flights)].clone();
                self.flights.push(again);
            }
            Step::Deliver(_) | Step::Lose(_) | Step::Repeat(_) => (),
            Step::DeliverAll => {
                for _ in 0..flights {
                    self.deliver(0);
                }
            }
            Step::Connect(a, b) => self.connect(a, b),
            Step::Disconnect(a, b) => self.disconnect(a, b),
            Step::DropStaged(node, of) => self.nodes[node].drop_staged(&replica(of)),
            Step::Snapshot(node) => {
                let bytes = wire::encode(&self.nodes[node]);
                self.nodes[node] = wire::decode(&bytes).unwrap();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn all_converge_after_anything(
        seed in any::<u64>(),
        budget in strategies::budgets(),
        push_to_all_max in 1..=NODES,
        meet_first in any::<bool>(),
        steps in vec(steps(), 0..200),
    ) {
        let mut world = World::relaying(seed, NODES, budget, push_to_all_max);
        if meet_first {
            world.connect_all();
        }
        for step in steps {
            world.step(step);
            world.check();
        }

        // The network heals, and all are soon at rest.
        world.connect_all();
        world.run_for(Duration::from_secs(4));
        world.assert_converged();

        // At rest nothing is sent again.
        let deltas_sent = world.deltas_sent;
        world.run_for(Duration::from_secs(5));
        prop_assert_eq!(world.deltas_sent, deltas_sent);
    }

    /// The same inputs give the same outputs.
    #[test]
    fn runs_repeat(seed in any::<u64>(), steps in vec(steps(), 0..60)) {
        let run = || {
            let budget = Budget { entries: 2, bytes: 50 };
            let mut world = World::relaying(seed, NODES, budget, NODES - 1);
            steps.iter().cloned().for_each(|step| world.step(step));
            (world.flights, world.seen)
        };
        prop_assert_eq!(run(), run());
    }
}
