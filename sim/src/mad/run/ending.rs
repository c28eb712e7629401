//! The end of a run with the whole shell: who is left alone, and what must come of that.

use std::collections::BTreeSet;
use std::time::Duration;

use ordu_core::Command;

use crate::mad::actor::is_steady;
use crate::mad::run::rest::Wrong;
use crate::mad::run::{Condition, LOOK, Run};
use crate::plan::Fate;
use crate::requests::scope;
use crate::verdict::Violation;
use crate::{Host, Network};

/// How long a core has to come to rest; a connection that was cut waits up to ten seconds more.
const REST: Duration = Duration::from_secs(130);
/// How long those may take that never come to rest by themselves, once they are told to end.
const ENDING: Duration = Duration::from_secs(10);
/// How long a core must stay at rest.
const STAY: Duration = Duration::from_secs(15);

impl Run<'_> {
    /// Leaves the core alone, and sees it come to rest.
    pub(super) async fn end(&mut self) -> Result<(), Violation> {
        let core = self.leave_alone();
        if core.is_empty() {
            return Ok(());
        }
        let since = self.cluster.now();
        self.come_to_rest(&core).await?;
        let took = self.cluster.now().since(since).as_millis();
        self.rest_ms = u64::try_from(took).expect("a run does not last that long");
        self.end_the_restless(&core).await?;
        self.come_to_rest(&core).await?;
        for &host in &core {
            if let Err(error) = self.cluster.node(host).settled().await {
                let reason = format!("{host} says that the cluster is not at rest: {error}");
                return Err(self.liveness("L10", reason));
            }
        }
        self.pass(STAY).await?;
        self.check_rest(&core).await.map_err(|wrong| self.broken(wrong))
    }

    /// Mends the core, and makes of the others what the plan says, for ever.
    fn leave_alone(&mut self) -> BTreeSet<Host> {
        let ending = &self.plan.ending;
        let all: Vec<Host> = self.conditions.keys().copied().collect();
        let (core, others): (Vec<Host>, Vec<Host>) =
            all.iter().partition(|host| ending.core.contains(host));
        self.cuts.clear();
        self.cluster.heal();
        self.cluster.set_weather(&Network::lan());
        for &host in &all {
            self.thaw(host);
        }
        for &host in core.iter().filter(|&&host| self.is_dead(host)).collect::<Vec<_>>() {
            self.boot(host);
        }
        match ending.others {
            Fate::Heal => {}
            Fate::Crash => {
                for &host in others.iter().filter(|&&host| !self.is_dead(host)).collect::<Vec<_>>()
                {
                    self.go_dark(host);
                }
            }
            Fate::Cut => {
                self.cluster.partition(&core, &others);
                let known = self.known_to(core.iter().copied());
                for &host in &others {
                    self.ledger.pages().give_up(host, &known);
                }
            }
            // A connection that comes and goes would be silent for longer than it is cut.
            Fate::Flap => self.skipped += 1,
        }
        match ending.others {
            Fate::Heal | Fate::Flap => self.running(),
            Fate::Crash | Fate::Cut => core.into_iter().collect(),
        }
    }

    /// Lets time pass until the core is at rest.
    async fn come_to_rest(&mut self, core: &BTreeSet<Host>) -> Result<(), Violation> {
        let end = self.cluster.now() + REST;
        while let Err(wrong) = self.check_rest(core).await {
            if end <= self.cluster.now() {
                return Err(self.broken(wrong));
            }
            self.pass(LOOK).await?;
            self.start_who_left(core);
        }
        Ok(())
    }

    /// Starts nodes of the core that were leaving still when it was left alone.
    fn start_who_left(&mut self, core: &BTreeSet<Host>) {
        for &host in core {
            if self.condition(host) == Condition::Over {
                self.boot(host);
            }
        }
    }

    /// Ends the children that never come to rest.
    async fn end_the_restless(&mut self, core: &BTreeSet<Host>) -> Result<(), Violation> {
        let first = *core.first().expect("there is a core");
        let supervisor = self.cluster.node(first).supervisor("default");
        let children = supervisor.children().into_iter();
        let restless: Vec<_> = children.filter(|child| !is_steady(&child.kind)).collect();
        if restless.is_empty() {
            return Ok(());
        }
        for child in restless {
            let command = Command::Terminate { scope: scope(), child: child.id };
            let end = supervisor.terminate_child(child.id);
            self.terminate(first, command, end);
        }
        self.pass(ENDING).await
    }

    fn broken(&self, (promise, reason): Wrong) -> Violation {
        self.liveness(promise, reason)
    }
}
