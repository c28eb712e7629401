//! The names of a registry and how they change, without a gap.

use std::collections::VecDeque;
use std::fmt;

use ordu_core::{Loss, Name, ProcessId, Scope};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::index::Part;
use crate::node::Node;
use crate::view::{Found, NameChange};

/// All names of a registry, and then every change.
///
/// Whoever applies the events in order to an empty map, each as it comes, always ends with what the
/// node's view holds. The first few changes after a snapshot may be in the snapshot already.
pub struct Subscription {
    node: Node,
    scope: Scope,
    /// `None` if the node was over when this was made.
    listener: Option<broadcast::Receiver<NameChange>>,
    /// Changes up to here are in the last snapshot.
    version: u64,
    ready: VecDeque<NameEvent>,
}

/// What a [`Subscription`] says.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum NameEvent {
    /// All names that are held: at first, and again whenever the listener was too slow.
    Snapshot {
        /// The names and their holders, in order; there are no others.
        names: Vec<(Name, Found)>,
        /// How many changes were missed, those of other registries included.
        missed: u64,
    },
    /// A free name has a holder.
    Registered {
        /// The name.
        name: Name,
        /// Who holds it.
        found: Found,
    },
    /// A name went from one process to another: a restart, a failover, or the end of a conflict.
    Moved {
        /// The name.
        name: Name,
        /// Who held it before.
        from: ProcessId,
        /// Who holds it now.
        found: Found,
        /// How the one before lost it.
        loss: Loss,
    },
    /// A name has another value, or another child, beside it.
    Updated {
        /// The name.
        name: Name,
        /// Who holds it, still.
        found: Found,
    },
    /// A name is free, or hidden while its node is down.
    Freed {
        /// The name.
        name: Name,
        /// Who held it.
        process: ProcessId,
        /// How it lost it.
        loss: Loss,
    },
}

impl Subscription {
    pub(crate) fn new(node: Node, scope: Scope) -> Self {
        let (listener, version) = node.view().listen().unzip();
        let version = version.unwrap_or_default();
        let mut subscription = Self { node, scope, listener, version, ready: VecDeque::new() };
        if subscription.listener.is_some() {
            subscription.take_snapshot(0);
        }
        subscription
    }

    /// Waits for the next event; `None` once the node is over. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<NameEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            match self.listener.as_mut()?.recv().await {
                Ok(change) => self.ready.extend(self.event_of(change)),
                Err(RecvError::Lagged(missed)) => {
                    // Noted before the maps are read; what the listener still has in store and is
                    // older than this is in them.
                    self.version = self.node.view().version();
                    self.take_snapshot(missed);
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn take_snapshot(&mut self, missed: u64) {
        let held = self.node.view().names(self.scope, &Part::default(), usize::MAX).into_iter();
        let names = held.map(|(name, holder)| (name, Found::from(holder))).collect();
        self.ready.push_back(NameEvent::Snapshot { names, missed });
    }

    fn event_of(&self, change: NameChange) -> Option<NameEvent> {
        let NameChange { version, scope, name, before, after, loss } = change;
        if scope != self.scope || version <= self.version {
            return None;
        }
        let loss = loss.unwrap_or(Loss::Ended);
        match (before, after) {
            (None, None) => None,
            (None, Some(holder)) => Some(NameEvent::Registered { name, found: holder.into() }),
            (Some(holder), None) => Some(NameEvent::Freed { name, process: holder.process, loss }),
            (Some(before), Some(holder)) if before == holder => None,
            (Some(before), Some(holder)) if before.process == holder.process => {
                Some(NameEvent::Updated { name, found: holder.into() })
            }
            (Some(before), Some(holder)) => {
                Some(NameEvent::Moved { name, from: before.process, found: holder.into(), loss })
            }
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("node", self.node.id()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use ordu_core::{Blob, Holder, Incarnation, NodeId, Replica, ViewChange};

    use super::*;
    use crate::testing::undriven;

    fn holder(number: u64, value: &str) -> Holder {
        let replica = Replica::new(NodeId::new("a").unwrap(), Incarnation { counter: 1, nonce: 2 });
        let process = ProcessId { replica, number };
        Holder { process, child: None, value: Blob::from(value), token: None }
    }

    fn set(node: &Node, scope: &str, name: &str, holder: Option<Holder>) {
        let (scope, name) = (Scope::named(scope), Name::new(name).unwrap());
        let loss = Some(Loss::NodeLost);
        node.view().apply(ViewChange::Name { scope, name, holder, loss });
    }

    /// B121, B123. What changes is told, in order; what does not is not.
    #[tokio::test]
    async fn a_snapshot_comes_first_and_then_every_change_of_this_registry() {
        let undriven = undriven(1);
        let node = &undriven.node;
        set(node, "shop", "old", Some(holder(1, "")));
        set(node, "bank", "other", Some(holder(1, "")));
        let mut names = node.registry("shop").subscribe().unwrap();

        set(node, "bank", "other", None);
        set(node, "shop", "new", Some(holder(2, "")));
        set(node, "shop", "new", Some(holder(2, "")));
        set(node, "shop", "new", Some(holder(2, "v")));
        set(node, "shop", "new", Some(holder(3, "v")));
        set(node, "shop", "old", None);
        node.view().close();

        let (old, new) = (Name::new("old").unwrap(), Name::new("new").unwrap());
        let found = |number, value| Found::from(holder(number, value));
        let expected = [
            NameEvent::Snapshot { names: vec![(old.clone(), found(1, ""))], missed: 0 },
            NameEvent::Registered { name: new.clone(), found: found(2, "") },
            NameEvent::Updated { name: new.clone(), found: found(2, "v") },
            NameEvent::Moved {
                name: new,
                from: holder(2, "").process,
                found: found(3, "v"),
                loss: Loss::NodeLost,
            },
            NameEvent::Freed { name: old, process: holder(1, "").process, loss: Loss::NodeLost },
        ];
        for event in expected {
            assert_eq!(names.next().await, Some(event));
        }
        assert_eq!(names.next().await, None);
        assert_eq!(node.registry("shop").subscribe().unwrap().next().await, None);
    }

    /// Whoever is too slow is told, and ends with the truth all the same.
    #[tokio::test(start_paused = true)]
    async fn a_slow_listener_is_told_what_it_missed_and_catches_up() {
        let undriven = undriven(1);
        let node = &undriven.node;
        let mut names = node.registry("shop").subscribe().unwrap();
        for number in 0..5_000 {
            let holder = (number % 3 != 0).then(|| holder(number, "v"));
            set(node, "shop", &format!("n/{}", number % 700), holder);
        }
        let truth: BTreeMap<_, _> = node
            .view()
            .names(Scope::named("shop"), &Part::default(), usize::MAX)
            .into_iter()
            .collect();

        let (mut model, mut snapshots, mut told, mut changes) = (BTreeMap::new(), 0, 0, 0);
        let soon = Duration::from_secs(1);
        while let Ok(Some(event)) = tokio::time::timeout(soon, names.next()).await {
            match event {
                NameEvent::Snapshot { names, missed } => {
                    model = names.into_iter().collect();
                    snapshots += 1;
                    told += missed;
                }
                NameEvent::Registered { name, found }
                | NameEvent::Moved { name, found, .. }
                | NameEvent::Updated { name, found } => {
                    model.insert(name, found);
                    changes += 1;
                }
                NameEvent::Freed { name, .. } => {
                    model.remove(&name);
                    changes += 1;
                }
            }
        }
        // What is still in store for the listener is in the second snapshot already.
        assert_eq!((snapshots, told, changes), (2, 5_000 - 1_024, 0));
        let truth: BTreeMap<_, _> =
            truth.into_iter().map(|(name, holder)| (name, Found::from(holder))).collect();
        assert_eq!(model, truth);
    }
}
