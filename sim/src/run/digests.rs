//! Nodes that push nothing: what others lack they must find out by digests, and ask for.

use std::collections::BTreeSet;

use ordu_core::message::Message;
use ordu_core::{Input, Node, NodeId, Output, Replica, Time, TimerKind};

use crate::machine::{Machine, MachineMaker};

/// Returns the maker of such nodes.
pub(super) fn makers() -> MachineMaker {
    Box::new(|config, seed, now| {
        Box::new(DigestsOnly { node: Node::new(config, seed, now), wanted: BTreeSet::new() })
    })
}

/// A node whose deltas reach only who asked for them.
struct DigestsOnly {
    node: Node,
    /// Who asked for which journal and has not been sent all of it.
    wanted: BTreeSet<(NodeId, Replica)>,
}

impl DigestsOnly {
    fn is_pushed(&mut self, output: &Output) -> bool {
        let Output::Send { to, envelope } = output else { return false };
        let Message::Delta(delta) = &envelope.message else { return false };
        let asked = (to.clone(), delta.replica.clone());
        if !self.wanted.contains(&asked) {
            return true;
        }
        if delta.until <= delta.to {
            self.wanted.remove(&asked);
        }
        false
    }
}

impl Machine for DigestsOnly {
    fn handle(&mut self, now: Time, input: Input) {
        if let Input::Message { from, envelope } = &input
            && let Message::Need(need) = &envelope.message
        {
            self.wanted.insert((from.clone(), need.replica.clone()));
        }
        self.node.handle(now, input);
    }

    fn poll_output(&mut self) -> Option<Output> {
        loop {
            let output = self.node.poll_output()?;
            if !self.is_pushed(&output) {
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

    fn node(&self) -> Option<&Node> {
        Some(&self.node)
    }
}
