//! L13. Nobody is suspected, or taken for dead, while nothing is wrong; whoever dies is seen to.

use ordu_core::{Event, MemberStatus, Output, Replica};

use crate::World;
use crate::host::Host;
use crate::invariants::{Finding, Invariant, Promise, Scene};
use crate::verdict::Class;

/// Watches what nodes say of each other.
#[derive(Default)]
pub(crate) struct NobodyIsTakenForDead {
    /// The first who was suspected, and by whom.
    suspected: Option<(Host, Replica)>,
}

impl Invariant for NobodyIsTakenForDead {
    fn promise(&self) -> Promise {
        Promise {
            id: "L13",
            says: "without a fault nobody is suspected; whoever dies alone is soon seen to be dead",
            made_in: "ordu_core::Config::failure_timeout",
            class: Class::Liveness,
        }
    }

    fn handle_output(&mut self, scene: &Scene<'_>, output: &Output) -> Finding {
        if let Output::Event(Event::MemberSuspect { replica } | Event::MemberDown { replica, .. }) =
            output
            && self.suspected.is_none()
        {
            self.suspected = Some((scene.host, replica.clone()));
        }
        Ok(())
    }

    fn audit(&mut self, world: &World) -> Finding {
        // Whoever left by itself is missed by those that it could not tell.
        if let Some((host, replica)) = &self.suspected
            && world.is_faultless()
            && world.deaths.is_empty()
        {
            return Err(format!("{host} suspects {replica:?}, and nothing is wrong"));
        }
        // One death, and nothing else was ever done to the world; nor has the dead risen again.
        let [(dead, at)] = world.deaths.as_slice() else { return Ok(()) };
        if 1 < world.faults() || !world.is_lan() || world.up().contains(dead) {
            return Ok(());
        }
        for (host, state) in world.hosts.iter().filter(|(_, state)| state.is_up()) {
            let patience = state.config.failure_timeout * 3 / 2;
            let status = world.status(*host, *dead);
            let is_there = status.is_some_and(|status| status != MemberStatus::Down);
            if host != dead && is_there && patience < world.now().since(*at) {
                return Err(format!("{host} sees {dead} as {status:?}, which died at {at}"));
            }
        }
        Ok(())
    }
}
