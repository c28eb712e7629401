//! Many seeds with the whole shell, side by side.

use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::mad::{Medium, Report, run, run_twice};
use crate::plan::Plan;
use crate::run::Tally;
use crate::seeds::replay_command;
use crate::verdict::{Verdict, Violation};

/// How many of the last lines of a failure are shown.
const LINES: usize = 60;

impl Medium {
    /// Returns the medium on which a soak runs `seed`: even ones in memory, odd ones on TCP.
    pub fn of_seed(seed: u64) -> Self {
        if seed.is_multiple_of(2) { Self::Mem } else { Self::Tcp }
    }
}

/// A seed that failed; shown, it says how to run it again.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The plan, drawn from its seed.
    pub plan: Plan,
    /// How its nodes reached each other.
    pub medium: Medium,
    /// The promise that was broken.
    pub violation: Violation,
    /// The command that runs it again.
    pub command: String,
    /// The last happenings.
    pub tail: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, medium, violation, command, tail } = self;
        writeln!(f, "{plan}, on {medium:?}: {violation}")?;
        for line in &tail[tail.len().saturating_sub(LINES)..] {
            writeln!(f, "  {line}")?;
        }
        write!(f, "again: {command}")
    }
}

/// What came of a soak.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How much of everything there was.
    pub tally: Tally,
    /// How many steps of the plans could not be carried out here.
    pub skipped: u64,
    /// The seeds that failed, in their order.
    pub failures: Vec<Failure>,
}

/// Runs the plans that `seeds` draw for the shell, `jobs` at once, each on the medium of its seed;
/// the seeds of `twice` are run twice, and both runs compared.
pub fn soak(seeds: Range<u64>, twice: Range<u64>, jobs: usize) -> Summary {
    let next = Mutex::new(seeds);
    let summary = Mutex::new(Summary::default());
    let work = || {
        let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
        while let Some(seed) = take() {
            let (plan, medium) = (Plan::draw_for_shell(seed), Medium::of_seed(seed));
            let report = match twice.contains(&seed) {
                true => run_twice(&plan, medium),
                false => run(&plan, medium),
            };
            summary.lock().unwrap_or_else(PoisonError::into_inner).add(plan, report);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(work);
        }
    });
    let mut summary = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
    summary.failures.sort_by_key(|failure| failure.plan.seed);
    // Here and not in a job: the name of the test is the name of its thread.
    for failure in &mut summary.failures {
        failure.command = replay_command(failure.plan.seed);
    }
    summary
}

impl Summary {
    fn add(&mut self, plan: Plan, report: Report) {
        self.tally.add(&report.tally);
        self.skipped += report.skipped;
        if let Verdict::Failed(violation) = report.verdict {
            let Report { medium, tail, .. } = report;
            let command = String::new();
            self.failures.push(Failure { plan, medium, violation, command, tail });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Class;

    #[test]
    fn a_failure_says_which_seed_which_promise_what_came_before_and_how_to_run_it_again() {
        let (promise, reason) = ("L6".to_owned(), "child 7 is lost".to_owned());
        let violation = Violation { class: Class::Liveness, promise, reason, at_us: 1_500_000 };
        let failure = Failure {
            plan: Plan::draw_for_shell(17),
            medium: Medium::of_seed(17),
            violation,
            command: replay_command(17),
            tail: vec!["n1 is killed".to_owned()],
        };
        let text = failure.to_string();
        for part in [
            "seed 17, profile",
            "on Tcp: liveness L6 at 1.500 s: child 7 is lost\n",
            "\n  n1 is killed\n",
            "again: ORDU_SEED=17 cargo test -p ordu-sim ",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
    }
}
