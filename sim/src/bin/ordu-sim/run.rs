//! `ordu-sim run`: one seed.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use ordu_sim::plan::Plan;
use ordu_sim::shrink::{Effort, shrink};
use ordu_sim::{Failure, Report, hex, run_traced};
use serde_json::json;

use crate::args::Args;
use crate::commit::commit;
use crate::output::{Outcome, Trouble, print, print_json, status, word};

/// Runs one seed, keeps what is needed to look into a failure, and prints the verdict.
pub(crate) fn run(args: &Args) -> Outcome {
    let seed = args.seed.unwrap_or(0);
    let plan = Plan::draw(seed, args.choice.profile(seed));
    let report = match &args.trace {
        Some(path) => trace(&plan, path)?,
        None => ordu_sim::run(&plan),
    };
    let kept = match Failure::of(&plan, &report, &commit()) {
        Some(failure) => Some(keep(&failure, args)?),
        None => None,
    };
    if args.json {
        print_json(&json!({
            "seed": seed,
            "profile": plan.profile.to_string(),
            "verdict": word(&report.verdict),
            "violation": report.verdict.violation(),
            "trace_hash": hex(report.trace_hash),
            "file": kept,
        }))?;
    } else {
        let (word, hash) = (word(&report.verdict), hex(report.trace_hash));
        print(&format!("{plan}\n{word}, trace {hash}"))?;
        if let (Some(violation), Some(kept)) = (report.verdict.violation(), kept) {
            print(&format!("{violation}\n{}\nagain: {}", report.tail, again(&kept)))?;
        }
    }
    Ok(status(&report.verdict))
}

/// Writes a failure, made smaller if that is wanted, and the whole trace of it; returns where it
/// is.
pub(crate) fn keep(failure: &Failure, args: &Args) -> Result<PathBuf, Trouble> {
    let failure = match args.shrinks {
        true => shrink(failure, Effort::default()),
        false => failure.clone(),
    };
    let path = failure.write(&args.failures)?;
    trace(&failure.plan, &path.with_extension("trace"))?;
    Ok(path)
}

/// Runs `plan` and writes all that happens to the file at `path`.
pub(crate) fn trace(plan: &Plan, path: &Path) -> Result<Report, Trouble> {
    let wrong = Trouble::about(path);
    let mut file = BufWriter::new(File::create(path).map_err(&wrong)?);
    let mut failed = None;
    let report = run_traced(plan, |line| {
        if failed.is_none() {
            failed = writeln!(file, "{line}").err();
        }
    });
    failed.map_or(Ok(()), Err).and_then(|()| file.flush()).map_err(wrong)?;
    Ok(report)
}

/// Returns the command that runs a kept failure again.
pub(crate) fn again(path: &Path) -> String {
    format!("cargo run --release -p ordu-sim -- replay {}", path.display())
}
