//! `ordu-sim enumerate`: every fault at every message.

use std::process::ExitCode;

use ordu_sim::plan::Protocol;
use ordu_sim::soak::run_all;
use ordu_sim::{Failure, run};
use serde_json::json;

use crate::args::Args;
use crate::commit::commit;
use crate::output::{Outcome, print, print_json};
use crate::run::{again, keep};

/// How many failures of each protocol are made smaller and written down.
const FAILURES_KEPT: usize = 2;

/// Runs every single fault at each message of each protocol, and with `--pairs` every pair of them.
pub(crate) fn enumerate(args: &Args) -> Outcome {
    let seed = args.seed.unwrap_or(0);
    let mut code = ExitCode::SUCCESS;
    let is_meant = |protocol: &Protocol| args.protocol.is_none_or(|one| one == *protocol);
    for protocol in Protocol::ALL.into_iter().filter(is_meant) {
        let plans = protocol.plans(seed, args.pairs);
        let summary = run_all(&plans, args.jobs);
        let mut files = Vec::new();
        for &place in summary.failures.keys().take(FAILURES_KEPT) {
            let plan = &plans[usize::try_from(place).expect("it is a place in memory")];
            if let Some(failure) = Failure::of(plan, &run(plan), &commit()) {
                files.push(keep(&failure, args)?);
            }
        }
        if let Some(violation) = summary.failures.values().next() {
            code = violation.class.into();
        }
        let (runs, failures) = (summary.tally.runs, summary.failures.len());
        if args.json {
            print_json(&json!({
                "protocol": protocol.to_string(),
                "runs": runs,
                "failures": failures,
                "runs_per_s": summary.seeds_per_second(),
                "files": files,
            }))?;
            continue;
        }
        let rate = summary.seeds_per_second();
        print(&format!("{protocol:10} {runs} runs, {failures} failed, {rate:.1} a second"))?;
        for (place, violation) in summary.failures.iter().take(FAILURES_KEPT) {
            let plan = &plans[usize::try_from(*place).expect("it is a place in memory")];
            print(&format!("  {:?}: {violation}", plan.tampers))?;
        }
        for file in files {
            print(&format!("  again: {}", again(&file)))?;
        }
    }
    Ok(code)
}
