//! How the invariants come to see what happens in a world.

use std::mem;

use crate::host::Host;
use crate::invariants::{Broken, Scene, Watch};
use crate::world::World;

impl World {
    /// Lets the invariants look at what happens to a node.
    pub(crate) fn watch(
        &mut self,
        host: Host,
        look: impl FnOnce(&mut Watch, &Scene<'_>) -> Result<(), Broken>,
    ) {
        let mut watch = mem::replace(&mut self.watch, Watch::nothing());
        let state = self.state(host);
        let running = state.node.as_ref();
        let finding = running.and_then(|running| Some((running, running.machine.node()?))).map_or(
            Ok(()),
            |(running, node)| {
                let scene = Scene {
                    host,
                    life: state.life,
                    now: self.now,
                    config: &state.config,
                    node,
                    view: &running.view,
                };
                look(&mut watch, &scene)
            },
        );
        self.watch = watch;
        self.hold(finding);
    }

    /// Lets the invariants look at the whole world.
    pub(crate) fn audit(&mut self) {
        let mut watch = mem::replace(&mut self.watch, Watch::nothing());
        let finding = watch.audit(self);
        self.watch = watch;
        self.hold(finding);
    }
}
