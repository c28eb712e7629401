//! S13. The stamps of a node only grow, and stay near its own wall clock.

use std::collections::BTreeMap;

use ordu_core::{Input, Stamp, Wall};

use crate::host::Host;
use crate::invariants::{Finding, Invariant, Promise, Scene};
use crate::verdict::Class;

/// Watches the hybrid clock of every node.
#[derive(Default)]
pub(crate) struct StampsStayNearTheWall {
    clocks: BTreeMap<Host, Seen>,
}

/// What was seen in one life of a node.
#[derive(Default)]
struct Seen {
    life: u64,
    /// The greatest reading of the wall clock.
    wall: Wall,
    last: Stamp,
}

impl Seen {
    fn look(&mut self, stamp: Stamp, bound_ms: u64) -> Finding {
        if stamp < self.last {
            return Err(format!("its stamps go back from {} to {stamp}", self.last));
        }
        self.last = stamp;
        // A millisecond has room for 65,536 stamps; only what comes after them is in the next.
        let most = self.wall.as_millis() + bound_ms + 1;
        if most < stamp.wall().as_millis() {
            return Err(format!("its stamp {stamp} is past {most}, as far as it may be pushed"));
        }
        Ok(())
    }
}

impl Invariant for StampsStayNearTheWall {
    fn promise(&self) -> Promise {
        Promise {
            id: "S13",
            says: "stamps only grow, and never run further ahead of the wall clock than the bound",
            made_in: "ordu_core::HybridClock",
            class: Class::Safety,
        }
    }

    fn handle_input(&mut self, scene: &Scene<'_>, input: &Input) -> Finding {
        let Input::Wall(wall) = input else { return Ok(()) };
        let seen = self.clocks.entry(scene.host).or_default();
        if seen.life != scene.life {
            *seen = Seen { life: scene.life, ..Seen::default() };
        }
        seen.wall = seen.wall.max(*wall);
        Ok(())
    }

    fn handle_step(&mut self, scene: &Scene<'_>, _: &Input) -> Finding {
        let Some(seen) = self.clocks.get_mut(&scene.host) else { return Ok(()) };
        let bound_ms = u64::try_from(scene.config.clock_bound.as_millis()).unwrap_or(u64::MAX);
        let look = seen.look(scene.node.last_stamp(), bound_ms);
        look.map_err(|wrong| format!("{}: {wrong}", scene.host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_that_goes_back_or_runs_ahead_is_found() {
        let at = |ms| Stamp::first_of(Wall::from_millis(ms));
        let mut seen = Seen { wall: Wall::from_millis(1_000), ..Seen::default() };
        assert_eq!(seen.look(at(1_500), 500), Ok(()));
        assert!(seen.look(at(1_499), 500).unwrap_err().contains("go back"));
        assert!(seen.look(at(1_502), 500).unwrap_err().contains("is past"));
    }
}
