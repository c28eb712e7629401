//! What a world drives: the core's node, or something in its place.

use ordu_core::{Config, Input, Node, Output, Time, TimerKind};

/// A state machine with the face of [`Node`].
///
/// A world drives nodes. A test of the simulator itself puts something else in their place: a node
/// with a known bug, to see that the checks find it, or a toy that does only what the test needs.
pub trait Machine: Send {
    /// Takes one input in, at `now`.
    fn handle(&mut self, now: Time, input: Input);

    /// Returns the next thing to do, in order, or `None` when nothing is left.
    fn poll_output(&mut self) -> Option<Output>;

    /// Returns when to call [`Machine::handle`] at the latest, and why.
    fn poll_timeout(&self) -> Option<(Time, TimerKind)>;

    /// Returns a hash of the whole state.
    fn state_hash(&self) -> u64;

    /// Returns the node that it is, or holds, if it is to be watched for what nodes promise and
    /// followed by a flight recorder. Whoever holds one hands every input on as it is, and of its
    /// outputs in their order what it likes.
    fn node(&self) -> Option<&Node> {
        None
    }
}

impl Machine for Node {
    fn handle(&mut self, now: Time, input: Input) {
        Self::handle(self, now, input);
    }

    fn poll_output(&mut self) -> Option<Output> {
        Self::poll_output(self)
    }

    fn poll_timeout(&self) -> Option<(Time, TimerKind)> {
        Self::poll_timeout(self)
    }

    fn state_hash(&self) -> u64 {
        Self::state_hash(self)
    }

    fn node(&self) -> Option<&Node> {
        Some(self)
    }
}

/// Makes the machine of one life of a node, from its configuration, its seed and its clock.
pub type MachineMaker = Box<dyn Fn(Config, u64, Time) -> Box<dyn Machine> + Send>;

/// Returns the maker of real nodes.
pub(crate) fn nodes() -> MachineMaker {
    Box::new(|config, seed, now| Box::new(Node::new(config, seed, now)))
}
