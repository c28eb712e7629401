//! `ordu-sim replay`: a failure again.

use std::fs;
use std::path::Path;

use ordu_sim::{Failure, hex};
use serde_json::json;

use crate::args::Args;
use crate::output::{Outcome, Trouble, print, print_json, status, word};
use crate::run::trace;

/// Runs the failure at `path` twice, and says whether it still fails.
pub(crate) fn replay(args: &Args, path: &Path) -> Outcome {
    let failure = Failure::read(path)?;
    let report = failure.replay();
    if let Some(file) = &args.trace {
        trace(&failure.plan, file)?;
    }
    if let Some(directory) = &args.keep {
        let wrong = Trouble::about(directory);
        fs::create_dir_all(directory).map_err(&wrong)?;
        let name = path.file_name().unwrap_or(path.as_os_str());
        fs::copy(path, directory.join(name)).map_err(wrong)?;
    }
    let hash = hex(report.trace_hash);
    let is_same = hash == failure.trace_hash;
    if args.json {
        print_json(&json!({
            "file": path,
            "seed": failure.plan.seed,
            "verdict": word(&report.verdict),
            "violation": report.verdict.violation(),
            "trace_hash": hash,
            "same_as_before": is_same,
        }))?;
    } else {
        let word = word(&report.verdict);
        let before = if is_same { "as before" } else { "another than before" };
        print(&format!("{}\n{word}, twice, trace {hash}, {before}", failure.plan))?;
        if let Some(violation) = report.verdict.violation() {
            print(&violation.to_string())?;
        }
    }
    Ok(status(&report.verdict))
}
