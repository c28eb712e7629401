//! `ordu-sim soak`: many seeds.

use std::fs;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use ordu_sim::plan::Plan;
use ordu_sim::soak::{Orders, Summary, soak as soak_all};
use ordu_sim::{Failure, Mark, Verdict};
use serde_json::json;

use crate::args::Args;
use crate::commit::{base_seed, commit};
use crate::junit;
use crate::output::{Outcome, Trouble, print, print_json};
use crate::run::{again, keep};

/// How many failures are made smaller and written down.
const FAILURES_KEPT: usize = 5;
/// How often, in runs, the summary is saved and progress is printed where there is no terminal.
const SAVE_EVERY: u64 = 200;

/// Runs many seeds, keeps what is needed to look into the failures, and prints the sums.
pub(crate) fn soak(args: &Args) -> Outcome {
    let commit = commit();
    let base = args.seed.unwrap_or_else(|| base_seed(&commit));
    let orders = Orders {
        seeds: base..base.saturating_add(args.seeds),
        choice: args.choice,
        jobs: args.jobs,
        within: args.within,
        failures_max: args.failures_max,
    };
    let before = match &args.summary {
        Some(path) if path.exists() => Some(read(path)?),
        Some(_) | None => None,
    };
    eprintln!("{} seeds from {base} on, commit {commit}", args.seeds);
    let bar = progress_bar(args.seeds);
    let heard = AtomicU64::new(0);
    let summary = soak_all(&orders, before, |summary| {
        let done = summary.next_seed.saturating_sub(base);
        bar.set_position(done);
        bar.set_message(format!("{} failed", summary.failures.len()));
        if (heard.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(SAVE_EVERY) {
            if bar.is_hidden() {
                eprintln!("{}", line(summary));
            }
            if let Some(path) = &args.summary
                && let Err(trouble) = save(path, summary)
            {
                eprintln!("{trouble}");
            }
        }
    });
    bar.finish_and_clear();
    if let Some(path) = &args.summary {
        save(path, &summary)?;
    }
    if let Some(path) = &args.junit {
        junit::write(path, &summary)?;
    }
    tell(args, &summary, &commit)?;
    let missed = args.all_marks && summary.marks.missed().next().is_some();
    let failed = summary.failures.values().next().map(|violation| violation.class.into());
    // A mark that was never reached is a promise of the simulator's own that did not come to pass.
    let or_missed = if missed { ordu_sim::Class::Liveness.into() } else { ExitCode::SUCCESS };
    Ok(failed.unwrap_or(or_missed))
}

fn tell(args: &Args, summary: &Summary, commit: &str) -> Result<(), Trouble> {
    let mut files = Vec::new();
    for &seed in summary.failures.keys().take(FAILURES_KEPT) {
        let plan = Plan::draw(seed, args.choice.profile(seed));
        let report = ordu_sim::run(&plan);
        if let Some(failure) = Failure::of(&plan, &report, commit) {
            files.push(keep(&failure, args)?);
        } else {
            let Verdict::Passed = report.verdict else { unreachable!("it failed") };
            eprintln!("seed {seed} failed, and passes when it is run again");
        }
    }
    let missed: Vec<&str> = summary.marks.missed().map(Mark::name).collect();
    if args.json {
        print_json(&json!({
            "seeds": summary.tally.runs,
            "failures": summary.failures,
            "files": files,
            "seeds_per_s": summary.seeds_per_second(),
            "sim_hours": summary.simulated_hours(),
            "marks": summary.marks,
            "marks_missed": missed,
            "tally": summary.tally,
        }))?;
        return Ok(());
    }
    print(&line(summary))?;
    for mark in Mark::ALL {
        print(&format!("  {:20} reached by {} runs", mark.name(), summary.marks.count(*mark)))?;
    }
    for (seed, violation) in &summary.failures {
        print(&format!("seed {seed}: {violation}"))?;
    }
    for file in files {
        print(&format!("again: {}", again(&file)))?;
    }
    Ok(())
}

fn line(summary: &Summary) -> String {
    format!(
        "{} runs, {} failed, {:.1} a second, {:.1} simulated hours, {} processes, {} conflicts",
        summary.tally.runs,
        summary.failures.len(),
        summary.seeds_per_second(),
        summary.simulated_hours(),
        summary.tally.processes,
        summary.tally.conflicts
    )
}

fn progress_bar(seeds: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = "{bar:30} {pos}/{len} seeds, {per_sec}, {eta} left, {msg}";
    let style = ProgressStyle::with_template(style).expect("the template is one");
    ProgressBar::new(seeds).with_style(style)
}

fn read(path: &Path) -> Result<Summary, Trouble> {
    let text = fs::read_to_string(path).map_err(Trouble::about(path))?;
    serde_json::from_str(&text).map_err(|source| Trouble::Summary { path: path.to_owned(), source })
}

fn save(path: &Path, summary: &Summary) -> Result<(), Trouble> {
    let text = serde_json::to_string_pretty(summary).expect("a summary is plain data");
    fs::write(path, text + "\n").map_err(Trouble::about(path))
}
