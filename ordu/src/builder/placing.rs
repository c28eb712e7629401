//! What a node is told of where children go.

use std::time::Duration;

use ordu_core::Escalation;
use ordu_core::placement::{PlacementStrategy, Redistribution, Weight};

use crate::builder::NodeBuilder;

impl NodeBuilder {
    /// Sets how many children the node runs at most; as many as there are by default. What belongs
    /// to a node that is full runs on the next one that is not, and stays there.
    pub fn max_children(self, children: usize) -> Self {
        self.tuned(move |config| config.max_children = Some(children))
    }

    /// Lets children wait until `members` are up, clients aside, before this node starts any, but
    /// no longer than `wait`; by default they do not wait. A cluster that starts as a whole then
    /// starts each child where it belongs, rather than all on the first member.
    pub fn min_members(self, members: usize, wait: Duration) -> Self {
        self.tuned(move |config| {
            (config.min_members, config.min_members_wait) = (members, wait);
        })
    }

    /// Sets what becomes of children that run here and belong elsewhere since members came: nothing
    /// by default, or they move, a few at a time ([`Redistribution::ACTIVE`]).
    pub fn redistribution(self, redistribution: Redistribution) -> Self {
        self.tuned(move |config| config.redistribution = redistribution)
    }

    /// Sets what the node does if children fail on it again and again that run elsewhere: nothing
    /// by default, or it leaves ([`Escalation::Leave`]).
    pub fn escalation(self, escalation: Escalation) -> Self {
        self.tuned(move |config| config.escalation = escalation)
    }

    /// Sets how many children the node takes, beside others: one of twice the
    /// [usual weight](Weight::USUAL) takes twice as many.
    pub fn weight(self, weight: Weight) -> Self {
        self.tuned(move |config| config.weight = weight)
    }

    /// Has code for a placement strategy of one's own. Children name it by
    /// [`Placement::User`](crate::placement::Placement::User), and run on nodes alone that have it.
    pub fn placement_strategy(self, strategy: impl PlacementStrategy + 'static) -> Self {
        self.tuned(move |config| config.strategies.insert(strategy))
    }

    /// Sets how often a child may be passed on by its placement strategy before whoever was chosen
    /// runs it; 10 by default, and at most 100.
    pub fn max_hops(self, hops: u16) -> Self {
        self.tuned(move |config| config.max_hops = hops)
    }

    /// Sets how many processes may be starting at once; 1,000 by default.
    pub fn starts_at_once(self, starts: usize) -> Self {
        self.tuned(move |config| config.starts_at_once = starts)
    }
}
