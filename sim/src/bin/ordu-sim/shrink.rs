//! `ordu-sim shrink`: a failure made smaller.

use std::path::Path;

use ordu_sim::Failure;
use ordu_sim::shrink::{Effort, shrink as smaller};
use serde_json::json;

use crate::args::Args;
use crate::output::{Outcome, print, print_json};

/// Makes the failure at `path` smaller, in place.
pub(crate) fn shrink(args: &Args, path: &Path) -> Outcome {
    let failure = Failure::read(path)?;
    let usual = Effort::default();
    let effort = Effort { within: args.within.unwrap_or(usual.within), ..usual };
    let small = smaller(&failure, effort);
    let directory = path.parent().unwrap_or(Path::new("."));
    let kept = small.write(directory)?;
    let (before, after) = (failure.plan.steps.len(), small.plan.steps.len());
    if args.json {
        print_json(&json!({ "file": kept, "steps_before": before, "steps": after }))?;
        return Ok(std::process::ExitCode::SUCCESS);
    }
    print(&format!("{before} steps became {after}: {}", kept.display()))
}
