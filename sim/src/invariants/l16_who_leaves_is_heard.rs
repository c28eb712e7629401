//! L16. Who leaves is not kept waiting by those who know that it left, and can say so.

use std::collections::BTreeMap;

use ordu_core::{Input, LeaveError, NodeId, Output, Reply};

use crate::host::Host;
use crate::invariants::shown::Shown;
use crate::invariants::{Finding, Invariant, Promise, Scene};
use crate::verdict::Class;

/// How many messages from a peer are more than may be lost, or on their way since before it knew.
const WORDS_MAX: u32 = 6;

/// Counts what the present life of each node hears of those who do not count it any more.
#[derive(Default)]
pub(crate) struct WhoLeavesIsHeard {
    shown: Shown,
    words: BTreeMap<Host, (u64, BTreeMap<NodeId, u32>)>,
}

impl Invariant for WhoLeavesIsHeard {
    fn promise(&self) -> Promise {
        Promise {
            id: "L16",
            says: "whoever knows that a node left says so: no leave waits for it to its deadline",
            made_in: "ordu_core::Command::Leave",
            class: Class::Liveness,
        }
    }

    fn handle_input(&mut self, scene: &Scene<'_>, input: &Input) -> Finding {
        let Input::Message { from, .. } = input else { return Ok(()) };
        let (life, words) = self.words.entry(scene.host).or_default();
        if *life != scene.life {
            (*life, *words) = (scene.life, BTreeMap::new());
        }
        let me = &scene.config.id;
        let own = scene.view.members.get(me).map(|own| own.incarnation);
        if self.shown.life(from, me) == own {
            words.remove(from);
        } else {
            *words.entry(from.clone()).or_default() += 1;
        }
        Ok(())
    }

    fn handle_output(&mut self, scene: &Scene<'_>, output: &Output) -> Finding {
        self.shown.handle_output(scene, output);
        let Output::Reply { reply: Reply::Leave(Err(error)), .. } = output else { return Ok(()) };
        let LeaveError::TimedOut { remaining: 0, unaware } = error else { return Ok(()) };
        let Some((life, words)) = self.words.get(&scene.host) else { return Ok(()) };
        let said = |node: &&NodeId| *life == scene.life && words.get(node) > Some(&WORDS_MAX);
        match unaware.iter().find(said) {
            None => Ok(()),
            Some(node) => {
                let words = words[node];
                let me = scene.host;
                Err(format!("{me} waited for {node}, which knew that it left, for {words} words"))
            }
        }
    }
}
