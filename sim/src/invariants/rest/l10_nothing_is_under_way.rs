//! L10. A node at rest has nothing under way.

use ordu_core::Tables;

use crate::World;
use crate::invariants::rest::{Core, promise};
use crate::invariants::{Finding, Promise};

/// What comes to hold.
pub(super) const PROMISE: Promise =
    promise("L10", "a node at rest has nothing under way", "ordu_core::Tables");

/// Checks it; a child that does not stay up is never at rest, and while a link comes and goes
/// requests for journals do, too.
pub(super) fn check(world: &World, core: &Core) -> Finding {
    if !core.flapping.is_empty() {
        return Ok(());
    }
    for (host, _, node) in world.nodes().filter(|(host, ..)| core.hosts.contains(host)) {
        let is_restless = world.view(host).children.values().any(|v| !world.is_steady(&v.kind));
        let open = world.requests.open_on(host);
        let mut tables = node.tables();
        if core.hosts.len() < world.hosts.len() {
            // What a loser left behind is remembered until it is seen that its claim went.
            tables.intakes = 0;
        }
        if let Some((table, size)) = left(&tables, is_restless, open) {
            let contested: Vec<_> = node.contested().collect();
            return Err(format!("{host} has {size} {table} left over; contested: {contested:?}"));
        }
    }
    Ok(())
}

/// Returns a table that should be empty; `open` requests are not answered yet.
fn left(tables: &Tables, is_restless: bool, open: usize) -> Option<(&'static str, usize)> {
    // A winner that never stays up takes no loser in.
    let unless_restless = |size: usize| if is_restless { 0 } else { size };
    let tables = Tables {
        unrest: unless_restless(tables.unrest),
        contested: unless_restless(tables.contested),
        yields: unless_restless(tables.yields),
        notices: unless_restless(tables.notices),
        intakes: unless_restless(tables.intakes),
        requests: tables.requests.saturating_sub(open),
        settling: tables.settling.saturating_sub(open),
        calls_made: tables.calls_made.saturating_sub(open),
        ..*tables
    };
    tables.rows().into_iter().find(|(_, size)| 0 < *size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_left_over_is_found() {
        assert_eq!(left(&Tables::default(), false, 0), None);
        let tables = Tables { unrest: 1, ..Tables::default() };
        assert_eq!(left(&tables, true, 0), None);
        assert_eq!(left(&tables, false, 0), Some(("processes not at rest", 1)));
        let tables = Tables { requests: 2, intakes: 3, ..Tables::default() };
        assert_eq!(left(&tables, false, 2), Some(("intakes", 3)));
        assert_eq!(left(&tables, false, 1), Some(("requests", 1)));
    }
}
