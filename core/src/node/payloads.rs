//! Where a node holds what processes said.

use crate::node::Node;
use crate::{Blob, Time};

impl Node {
    /// Returns the time of the last input.
    pub(crate) fn now(&self) -> Time {
        self.now
    }

    /// Makes the state independent of how far the outputs were taken: it forgets those that wait.
    /// They follow from the inputs, and nothing follows from them.
    pub(crate) fn drop_outputs(&mut self) {
        self.outputs.clear();
    }

    /// Shows `visit` every payload that the node holds between two inputs.
    ///
    /// To be called once the outputs are gone. Calls hold no payloads: those are handed on at once.
    pub(crate) fn visit_payloads(&mut self, mut visit: impl FnMut(&mut Blob)) {
        assert!(self.outputs.is_empty(), "outputs hold payloads, too");
        assert!(self.next_effect().is_none(), "every input ends with its effects carried out");
        self.conflicts.visit_payloads(&mut visit);
        self.supervisor.visit_payloads(&mut visit);
    }
}
