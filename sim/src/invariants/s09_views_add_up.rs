//! S9. What a node told its readers, added up, is what it would tell them now.

use std::collections::BTreeMap;
use std::fmt::Debug;

use crate::World;
use crate::host::Host;
use crate::invariants::{Finding, Invariant, Promise};
use crate::verdict::Class;

/// Compares what readers see with what their node knows.
pub(crate) struct ViewsAddUp;

impl Invariant for ViewsAddUp {
    fn promise(&self) -> Promise {
        Promise {
            id: "S9",
            says: "the changes that readers were told add up to what their node knows",
            made_in: "ordu_core::ViewChange",
            class: Class::Safety,
        }
    }

    fn audit(&mut self, world: &World) -> Finding {
        for (host, _, node) in world.nodes() {
            let view = world.view(host);
            let names = node.names().map(|(scope, name, holder)| ((scope, name.clone()), holder));
            equal(host, "name", &view.names, names)?;
            let children = node.children().map(|(scope, child, view)| ((scope, child), view));
            equal(host, "child", &view.children, children)?;
            equal(host, "membership", &view.groups, node.groups())?;
            equal(host, "metadata", &view.metadata, node.metadata())?;
            let members = node.members().map(|(id, member)| (id.clone(), member));
            equal(host, "member", &view.members, members)?;
        }
        Ok(())
    }
}

/// Compares what is seen with what is known; both in the order of their keys.
fn equal<K: Ord + Debug, V: PartialEq + Debug>(
    host: Host,
    what: &str,
    seen: &BTreeMap<K, V>,
    known: impl Iterator<Item = (K, V)>,
) -> Finding {
    let mut seen = seen.iter();
    for (key, value) in known {
        match seen.next() {
            Some((other, shown)) if *other == key && *shown == value => (),
            other => {
                return Err(format!("{host} knows {what} {key:?} as {value:?}, shows {other:?}"));
            }
        }
    }
    match seen.next() {
        None => Ok(()),
        Some(other) => Err(format!("{host} shows {what} {other:?} and does not know it")),
    }
}
