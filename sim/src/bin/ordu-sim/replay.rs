//! `ordu-sim replay`: a failure again.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;

use ordu_core::flight::{DecodeDumpError, Dump, ReplayError};
use ordu_sim::{Class, Failure, hex};
use serde_json::json;

use crate::args::Args;
use crate::output::{Outcome, Trouble, print, print_json, status, word};
use crate::run::trace;

/// Runs the failure at `path` twice, and says whether it still fails; or lives the dump of a node
/// again, if that is what the file is.
pub(crate) fn replay(args: &Args, path: &Path) -> Outcome {
    let bytes = fs::read(path).map_err(Trouble::about(path))?;
    match Dump::decode(&bytes) {
        Ok(dump) => return replay_dump(args, path, &dump),
        Err(DecodeDumpError::NoDump) => {}
        Err(error) => {
            return Err(Trouble::Dump { path: path.to_owned(), reason: error.to_string() });
        }
    }
    let failure = Failure::read(path)?;
    let report = failure.replay();
    if let Some(file) = &args.trace {
        trace(&failure.plan, file)?;
    }
    keep(args, path)?;
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

/// Lives a recorded life of a node again, and says whether it ends as it did.
fn replay_dump(args: &Args, path: &Path, dump: &Dump) -> Outcome {
    let replayed = catch_unwind(AssertUnwindSafe(|| dump.replay()));
    let panicked = replayed.is_err();
    // A life that ended in a panic has no state at its end; it panics again, or it is mended.
    let class = match (dump.state_hash(), replayed) {
        (Some(_), Ok(Ok(_))) | (None, Ok(Err(ReplayError::NoPanic))) => None,
        (Some(_), Ok(Err(_))) => Some(Class::NonDeterminism),
        (_, Err(_)) | (None, Ok(_)) => Some(Class::Panic),
    };
    keep(args, path)?;
    let (node, inputs) = (dump.node(), dump.len());
    let hash = dump.state_hash().map_or("none, it panicked".to_owned(), hex);
    if args.json {
        print_json(&json!({
            "file": path,
            "node": node.to_string(),
            "inputs": inputs,
            "reason": format!("{:?}", dump.reason()),
            "state_hash": hash,
            "verdict": class.map_or("passed".to_owned(), |class| class.to_string()),
        }))?;
    } else {
        let outcome = match (class, panicked) {
            (None, _) => "passed".to_owned(),
            (Some(_), true) => "panicked".to_owned(),
            (Some(class), false) => class.to_string(),
        };
        let reason = dump.reason();
        print(&format!(
            "{inputs} inputs of {node}, dumped on {reason:?}, state {hash}: {outcome}"
        ))?;
    }
    Ok(class.map_or(ExitCode::SUCCESS, ExitCode::from))
}

/// Copies the file to where tests look, if that is wanted.
fn keep(args: &Args, path: &Path) -> Result<(), Trouble> {
    let Some(directory) = &args.keep else { return Ok(()) };
    let wrong = Trouble::about(directory);
    fs::create_dir_all(directory).map_err(&wrong)?;
    let name = path.file_name().unwrap_or(path.as_os_str());
    fs::copy(path, directory.join(name)).map_err(wrong)?;
    Ok(())
}
