//! A run in which something was not as expected.

use std::fmt;

use crate::kit::simulation::Speech;
use crate::plan::{Action, Ask, Plan, Step};
use crate::seeds::replay_command;
use crate::verdict::Violation;

/// A run in which something was not as expected, and the smallest one found that fails alike.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// The seed that found it.
    pub seed: u64,
    /// What was not as expected, and when.
    pub violation: Violation,
    /// How many faults and messages there were.
    pub steps_before: usize,
    /// The smallest plan found on which the same is not as expected.
    pub plan: Plan,
    /// What was seen in the run of that plan.
    pub smallest: Violation,
    /// The steps of that plan, as they read.
    steps: Vec<String>,
    /// What befell machines and processes last in that run.
    tail: Vec<String>,
    replay: String,
}

impl Counterexample {
    /// Returns what `found` one in `plan`, which `small` is made of.
    pub(super) fn new(
        found: (u64, Violation),
        plan: &Plan,
        small: (Violation, &Plan, Vec<String>),
        speech: &Speech,
    ) -> Self {
        let (seed, violation) = found;
        let (smallest, smaller, tail) = small;
        let steps = smaller.steps.iter().map(|step| said(step, speech)).collect();
        Self {
            seed,
            violation,
            steps_before: plan.steps.len(),
            plan: smaller.clone(),
            smallest,
            steps,
            tail,
            replay: replay_command(seed),
        }
    }
}

/// Returns a step in words.
fn said(step: &Step, speech: &Speech) -> String {
    let at = step.at_ms as f64 / 1e3;
    match &step.action {
        Action::Ask { host, ask: Ask::Message { name, payload } } => {
            let text = speech.get(name).map_or_else(String::new, |say| say(payload));
            format!("{at:>9.3} s  {host} calls {name:?} with {text}")
        }
        Action::Ask { host, ask } => format!("{at:>9.3} s  {host}: {ask:?}"),
        Action::Fault(fault) => format!("{at:>9.3} s  {fault:?}"),
    }
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, violation, plan, smallest, .. } = self;
        let seconds = |violation: &Violation| violation.at_us as f64 / 1e6;
        let Violation { class, promise, reason, .. } = violation;
        writeln!(f, "not as expected on seed {seed}: {promise}")?;
        writeln!(f, "at {:.3} s: {reason} ({class})", seconds(violation))?;
        writeln!(f, "again: {}", self.replay)?;
        let (left, before, hosts) = (plan.steps.len(), self.steps_before, plan.setup.hosts);
        writeln!(f, "smaller: {left} of {before} faults and messages, {hosts} machines:")?;
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        let end = plan.ends_ms as f64 / 1e3;
        writeln!(f, "{end:>9.3} s  everything is mended")?;
        writeln!(f, "then at {:.3} s: {}", seconds(smallest), smallest.reason)?;
        writeln!(f, "what befell machines and processes last:")?;
        self.tail.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
