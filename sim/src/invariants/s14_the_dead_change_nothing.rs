//! S14. What a life says that is over for the receiver changes no journal, but for those of others
//! where it left by itself.

use std::collections::{BTreeMap, BTreeSet};

use ordu_core::{Event, Input, Node, Output, Replica};

use crate::host::Host;
use crate::invariants::{Finding, Invariant, Promise, Scene};
use crate::verdict::Class;

/// What a node holds of others: each journal's head and fingerprint.
type Held = BTreeMap<Replica, (u64, u64)>;

/// Remembers whom each node reported to be over, and looks closely at what they still say.
#[derive(Default)]
pub(crate) struct TheDeadChangeNothing {
    over: BTreeMap<(Host, u64), BTreeSet<Replica>>,
    /// What the receiver held before it heard of somebody who is over.
    before: Option<Held>,
}

impl Invariant for TheDeadChangeNothing {
    fn promise(&self) -> Promise {
        Promise {
            id: "S14",
            says: "what a life says that is over for the receiver changes no journal, but for those of \
                   others where it left by itself",
            made_in: "ordu_core::Event::MemberRetired",
            class: Class::Safety,
        }
    }

    fn handle_input(&mut self, scene: &Scene<'_>, input: &Input) -> Finding {
        self.before = None;
        let Input::Message { from, envelope } = input else { return Ok(()) };
        let Some(over) = self.over.get(&(scene.host, scene.life)) else { return Ok(()) };
        let is_it = |replica: &Replica| {
            replica.node() == from && replica.incarnation() == envelope.incarnation
        };
        if over.iter().any(is_it) {
            self.before = Some(held(scene));
        }
        Ok(())
    }

    fn handle_output(&mut self, scene: &Scene<'_>, output: &Output) -> Finding {
        if let Output::Event(Event::MemberRetired { replica }) = output {
            let over = self.over.entry((scene.host, scene.life)).or_default();
            over.insert(replica.clone());
        }
        Ok(())
    }

    fn handle_step(&mut self, scene: &Scene<'_>, input: &Input) -> Finding {
        let Some(before) = self.before.take() else { return Ok(()) };
        let after = held(scene);
        let Input::Message { from, envelope } = input else { return Ok(()) };
        let dead = Replica::new(from.clone(), envelope.incarnation);
        let later = |replica: &Replica| {
            replica.node() == from && dead.incarnation() < replica.incarnation()
        };
        let is_replaced = before.keys().any(later);
        // Of its own lives a node may learn from anybody, and of others from one that just left.
        let own = &scene.config.id;
        let must_not =
            |replica: &&Replica| replica.node() != own && (is_replaced || **replica == dead);
        let Some(replica) = changed(&before, &after).find(must_not) else { return Ok(()) };
        Err(format!("a life of {from} that is over changes {replica:?} on {}", scene.host))
    }
}

fn held(scene: &Scene<'_>) -> Held {
    let node: &Node = scene.node;
    let others = node.journals().filter(|(replica, _)| node.replica() != Some(replica));
    others.map(|(replica, j)| (replica.clone(), (j.head(), j.fingerprint()))).collect()
}

/// Iterates over the journals that are new or other than they were; one may be forgotten at any
/// time.
fn changed<'a>(before: &'a Held, after: &'a Held) -> impl Iterator<Item = &'a Replica> {
    let is_new = |(replica, held): &(&Replica, &(u64, u64))| before.get(*replica) != Some(*held);
    after.iter().filter(is_new).map(|(replica, _)| replica)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{N1, N2};
    use ordu_core::Incarnation;

    #[test]
    fn a_journal_that_is_new_or_other_is_found_and_one_that_is_gone_is_not() {
        let replica = |host: Host| Replica::new(host.id(), Incarnation { counter: 1, nonce: 1 });
        let one = Held::from([(replica(N1), (1, 1))]);
        let two = Held::from([(replica(N1), (1, 1)), (replica(N2), (1, 1))]);
        let other = Held::from([(replica(N1), (2, 1))]);
        assert_eq!(changed(&two, &one).next(), None);
        assert_eq!(changed(&one, &two).next(), Some(&replica(N2)));
        assert_eq!(changed(&one, &other).next(), Some(&replica(N1)));
    }
}
