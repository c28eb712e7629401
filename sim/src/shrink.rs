//! Failures made smaller: fewer steps, fewer machines, fewer kinds of trouble.
//!
//! A candidate counts if the same promise is broken, at whatever time. Taking a step out changes
//! what chance does to the others, so each candidate is tried under a few seeds. Source: Zeller and
//! Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", TSE 2002, for the steps.

use std::time::{Duration, Instant};

use crate::failure::{Failure, hex};
use crate::host::Host;
use crate::network::Network;
use crate::plan::{Ending, Fate, Plan, Profile, Tuning};
use crate::run::{Report, run};
use crate::verdict::{Class, Violation};

/// How many seeds a candidate is tried under.
const SEEDS: u64 = 3;
/// How long after a breach the plan of a run goes on, in milliseconds: what came later did not
/// bring it about.
const AFTER_MS: u64 = 1_000;

/// How much work may go into making a failure smaller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Effort {
    /// Most runs.
    pub runs: usize,
    /// Most time, by the clock on the wall.
    pub within: Duration,
}

impl Default for Effort {
    /// Returns 3,000 runs and two minutes.
    fn default() -> Self {
        Self { runs: 3_000, within: Duration::from_secs(120) }
    }
}

/// Returns the smallest failure found that breaks the same promise as `failure`.
pub fn shrink(failure: &Failure, effort: Effort) -> Failure {
    shrink_with(failure, effort, &run)
}

/// Returns the smallest failure found where plans are run by `run`.
pub(crate) fn shrink_with(
    failure: &Failure,
    effort: Effort,
    run: &dyn Fn(&Plan) -> Report,
) -> Failure {
    let mut shrinking = Shrinking {
        run,
        best: failure.clone(),
        runs_left: effort.runs,
        until: Instant::now() + effort.within,
    };
    shrinking.cut_the_end();
    loop {
        let before = shrinking.best.plan.clone();
        shrinking.drop_steps();
        shrinking.drop_tampers();
        shrinking.drop_hosts();
        shrinking.calm_down();
        shrinking.close_up();
        if shrinking.best.plan == before || shrinking.is_over() {
            return shrinking.best;
        }
    }
}

struct Shrinking<'r> {
    run: &'r dyn Fn(&Plan) -> Report,
    best: Failure,
    runs_left: usize,
    until: Instant,
}

impl Shrinking<'_> {
    fn is_over(&self) -> bool {
        self.runs_left == 0 || self.until <= Instant::now()
    }

    /// Takes `candidate` if it fails in the same way; returns whether it does.
    fn try_plan(&mut self, candidate: &Plan) -> bool {
        if candidate.check().is_err() {
            return false;
        }
        for more in 0..SEEDS {
            if self.is_over() {
                return false;
            }
            self.runs_left -= 1;
            let plan = Plan { seed: candidate.seed.wrapping_add(more), ..candidate.clone() };
            let report = (self.run)(&plan);
            let same = |violation: &&Violation| self.best.violation.is_like(violation);
            let Some(violation) = report.verdict.violation().filter(same) else { continue };
            self.best.violation = violation.clone();
            self.best.trace_hash = hex(report.trace_hash);
            self.best.tail = report.tail.lines().map(str::to_owned).collect();
            self.best.plan = plan;
            return true;
        }
        false
    }

    /// Drops what comes after the breach.
    fn cut_the_end(&mut self) {
        let is_of_the_end = match self.best.violation.class {
            Class::Liveness => true,
            Class::Panic | Class::Safety | Class::NonDeterminism | Class::Bounds => false,
        };
        let at_ms = self.best.violation.at_us / 1_000 + AFTER_MS;
        let plan = &self.best.plan;
        if is_of_the_end || plan.ends_ms <= at_ms {
            return;
        }
        let mut candidate = plan.clone();
        candidate.steps.retain(|step| step.at_ms <= at_ms);
        candidate.ends_ms = at_ms;
        self.try_plan(&candidate);
    }

    /// Drops runs of steps, long ones first, as long as any can be dropped.
    fn drop_steps(&mut self) {
        let mut length = self.best.plan.steps.len().div_ceil(2);
        while length > 0 && !self.is_over() {
            let mut from = 0;
            while from < self.best.plan.steps.len() {
                let mut candidate = self.best.plan.clone();
                let to = (from + length).min(candidate.steps.len());
                candidate.steps.drain(from..to);
                if !self.try_plan(&candidate) {
                    from = to;
                }
            }
            length /= 2;
        }
    }

    fn drop_tampers(&mut self) {
        for place in (0..self.best.plan.tampers.len()).rev() {
            let mut candidate = self.best.plan.clone();
            candidate.tampers.remove(place);
            self.try_plan(&candidate);
        }
    }

    fn drop_hosts(&mut self) {
        for number in (1..=self.best.plan.setup.hosts).rev() {
            if self.best.plan.setup.hosts > 1 {
                let candidate = self.best.plan.without(Host::new(number));
                self.try_plan(&candidate);
            }
        }
    }

    /// Makes the network, the clocks, the tuning and the ending as plain as they can be.
    fn calm_down(&mut self) {
        let changes: [fn(&mut Plan); 5] = [
            |plan| plan.setup.network = Network::lan(),
            |plan| plan.setup.gains_ppm.clear(),
            |plan| plan.setup.tuning = Tuning::usual(),
            |plan| {
                let core = (1..=plan.setup.hosts).map(Host::new).collect();
                plan.ending = Ending { core, others: Fate::Heal };
            },
            |plan| {
                if plan.profile == Profile::EdgeTiming {
                    plan.profile = Profile::Full;
                }
            },
        ];
        for change in changes {
            let mut candidate = self.best.plan.clone();
            change(&mut candidate);
            if candidate != self.best.plan {
                self.try_plan(&candidate);
            }
        }
    }

    /// Takes out the time in which nothing is done.
    fn close_up(&mut self) {
        for most_ms in [15_000, 5_000, 1_000] {
            let mut candidate = self.best.plan.clone();
            let mut taken_ms = 0;
            let mut last_ms = 0;
            for step in &mut candidate.steps {
                let gap_ms = step.at_ms - last_ms;
                last_ms = step.at_ms;
                taken_ms += gap_ms.saturating_sub(most_ms);
                step.at_ms -= taken_ms;
            }
            let gap_ms = candidate.ends_ms.saturating_sub(last_ms);
            candidate.ends_ms -= taken_ms + gap_ms.saturating_sub(most_ms);
            if candidate != self.best.plan && !self.try_plan(&candidate) {
                return;
            }
        }
    }
}
