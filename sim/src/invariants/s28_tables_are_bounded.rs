//! S28. What a node has under way is bounded by what was asked of it.

use std::collections::BTreeMap;

use ordu_core::{Command, Input, Tables};

use crate::World;
use crate::host::Host;
use crate::invariants::{Finding, Invariant, Promise, Scene};
use crate::verdict::Class;

/// Most things that a child, a name or a request may have under way at once on one node.
const EACH_MAX: usize = 8;

/// Looks at the tables of nodes.
#[derive(Default)]
pub(crate) struct TablesAreBounded {
    /// How many calls were made, in all.
    calls: usize,
    /// How many requests each node was given.
    requests: BTreeMap<Host, usize>,
}

/// What the tables of a node may grow with.
struct Causes {
    /// Its requests that are not answered.
    open: usize,
    /// All calls ever made.
    calls: usize,
    /// The children that anybody sees or that run, and the names.
    things: usize,
    /// The nodes.
    hosts: usize,
}

impl Causes {
    /// Returns a table of `tables` that is larger than it may be.
    fn excess(&self, tables: &Tables) -> Option<(&'static str, usize, usize)> {
        let things = EACH_MAX * self.things * self.hosts + EACH_MAX;
        let bounds = [
            ("requests", tables.requests, self.open),
            ("calls made", tables.calls_made, self.open),
            ("calls taken", tables.calls_taken, self.calls),
            ("yields", tables.yields, things),
            ("notices", tables.notices, things),
            ("contested seats", tables.contested, things),
            ("processes not at rest", tables.unrest, things),
            ("questions whether all is at rest", tables.settling, self.open),
            ("queued effects", tables.queued, 0),
        ];
        bounds.into_iter().find(|(_, size, most)| most < size)
    }
}

impl Invariant for TablesAreBounded {
    fn promise(&self) -> Promise {
        Promise {
            id: "S28",
            says: "the tables of a node grow with what is asked of it, and with nothing else",
            made_in: "ordu_core::Tables",
            class: Class::Bounds,
        }
    }

    fn handle_input(&mut self, scene: &Scene<'_>, input: &Input) -> Finding {
        if let Input::Request { command, .. } = input {
            *self.requests.entry(scene.host).or_default() += 1;
            self.calls += usize::from(matches!(command, Command::Call { .. }));
        }
        Ok(())
    }

    fn audit(&mut self, world: &World) -> Finding {
        let running = world.processes.running().count();
        let asked: usize = self.requests.values().sum();
        for (host, _, node) in world.nodes() {
            let view = world.view(host);
            let things = view.children.len() + view.names.len() + running + asked;
            let open = world.requests.open_on(host);
            let causes = Causes { open, calls: self.calls, things, hosts: world.hosts.len() };
            if let Some((table, size, most)) = causes.excess(&node.tables()) {
                return Err(format!("{host} has {size} {table}, of {most} at most"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_nobody_made_and_an_effect_left_over_are_found() {
        let causes = Causes { open: 1, calls: 2, things: 1, hosts: 3 };
        let fine = Tables { requests: 1, calls_taken: 2, yields: 8, ..Tables::default() };
        assert_eq!(causes.excess(&fine), None);
        let more = Tables { requests: 2, ..fine };
        assert_eq!(causes.excess(&more), Some(("requests", 2, 1)));
        let left = Tables { queued: 1, ..fine };
        assert_eq!(causes.excess(&left), Some(("queued effects", 1, 0)));
        let flooded = Tables { notices: 100, ..fine };
        assert_eq!(causes.excess(&flooded), Some(("notices", 100, 32)));
    }
}
