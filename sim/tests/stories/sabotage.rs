//! Real nodes with a part taken out: the same worlds in which they settle must not settle then.

use ordu_core::message::Message;
use ordu_core::{Input, Node, Output, Time, TimerKind};
use ordu_sim::{Machine, MachineMaker, N1, N2, N3, World};

use crate::{LONG, SETTLE};

/// A node that swallows what it should have said.
struct Saboteur {
    node: Node,
    swallows: fn(&Message) -> bool,
}

impl Machine for Saboteur {
    fn handle(&mut self, now: Time, input: Input) {
        self.node.handle(now, input);
    }

    fn poll_output(&mut self) -> Option<Output> {
        loop {
            let output = self.node.poll_output()?;
            let swallowed = matches!(
                &output,
                Output::Send { envelope, .. } if (self.swallows)(&envelope.message)
            );
            if !swallowed {
                return Some(output);
            }
        }
    }

    fn poll_timeout(&self) -> Option<(Time, TimerKind)> {
        self.node.poll_timeout()
    }

    fn state_hash(&self) -> u64 {
        self.node.state_hash()
    }
}

fn saboteurs(swallows: fn(&Message) -> bool) -> MachineMaker {
    Box::new(move |config, seed, now| {
        Box::new(Saboteur { node: Node::new(config, seed, now), swallows })
    })
}

/// A name is taken on both sides of a split, and the split is healed.
fn conflict(swallows: fn(&Message) -> bool) {
    let mut world = World::builder(1, 3).machines(saboteurs(swallows)).joined();
    world.partition(&[N1, N2], &[N3]);
    world.run_for(LONG);
    for host in [N1, N3] {
        let process = world.spawn(host);
        world.register(host, "cart", &process).expect("the name is free on this side");
    }
    world.heal();
    world.run_for(LONG);
    world.settle(SETTLE);
    let left = world.runs().iter().filter(|run| run.ended.is_none()).count();
    assert_eq!(left, 1, "one of the two processes is left");
}

/// Names are registered into a short silence.
fn lost_pushes(swallows: fn(&Message) -> bool) {
    let mut world = World::builder(1, 3).machines(saboteurs(swallows)).joined();
    let process = world.spawn(N1);
    world.settle(SETTLE);
    world.partition(&[N1], &[N2, N3]);
    world.register(N1, "cart", &process).expect("the name is free");
    world.run_for(std::time::Duration::from_millis(100));
    world.heal();
    world.run_for(LONG);
    world.settle(SETTLE);
}

#[test]
fn with_nothing_taken_out_it_settles() {
    conflict(|_| false);
    lost_pushes(|_| false);
}

#[test]
#[should_panic(expected = "L3: ")]
fn without_notices_to_losers_both_go_on() {
    conflict(|message| matches!(message, Message::Won(_)));
}

#[test]
#[should_panic(expected = "name ")]
fn without_deltas_the_nodes_disagree() {
    lost_pushes(|message| matches!(message, Message::Delta(delta) if delta.to > 1));
}

#[test]
#[should_panic(expected = "the nodes have not found each other")]
fn without_beats_nobody_is_there() {
    lost_pushes(|message| matches!(message, Message::Beat(_)));
}

#[test]
#[should_panic(expected = "name ")]
fn without_digests_and_requests_a_lost_push_stays_lost() {
    lost_pushes(|message| matches!(message, Message::Digest(_) | Message::Need(_)));
}
