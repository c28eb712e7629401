//! The promises: nine ways in which Ordu's predecessor breaks its word, tried on Ordu.
//!
//! The predecessor is Horde 0.10 for Elixir; what is told of it was seen, or reckoned so. Each
//! scenario starts a cluster of its own, three or four nodes in this process that talk TCP on
//! loopback, does to it what the predecessor did not stand, and prints what is promised, what the
//! predecessor made of it, and what was measured here. What really ran is taken from a book that
//! the children themselves keep, not from what the cluster says of them.
//!
//! ```sh
//! cargo run --release -p ordu --example promises
//! cargo run --release -p ordu --example promises -- --json
//! ```
//!
//! To read: each of the scenarios, such as [`crash_loop`], is how an operator meets Ordu;
//! [`worker`] is what runs, and [`book`] who counts.

#![allow(clippy::print_stdout, reason = "printing is what an example is for")]
#![allow(clippy::disallowed_methods, reason = "only the shell has to run under simulation")]

mod book;
mod cluster;
mod crash_loop;
mod dying_target;
mod eviction;
mod full;
mod handle;
mod newcomer;
mod report;
mod spread;
mod stop;
mod temporary;
mod worker;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures_util::future::LocalBoxFuture;

use crate::cluster::Cluster;
use crate::report::{Finding, Outcome, Promise, Report};

/// How long one scenario may take before its promise counts as broken, on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(240);
/// Exit status if a promise was broken, or could not be tried.
const BROKEN: u8 = 1;
/// Exit status if the command line was not understood, and nothing was tried.
const REFUSED: u8 = 2;

/// What `--help` prints.
const HELP: &str = "\
Tries nine promises that Ordu's predecessor breaks, and tells for each what happened here.

usage: promises [--json]

  --json  print one JSON object instead of lines

exit status: 0 if all promises were kept, 1 if one was not, 2 if the command line was refused
";

/// Whatever keeps a scenario from going on.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A scenario: it starts nodes in a cluster that is empty, and writes down what it finds.
type Play = for<'a> fn(&'a mut Cluster, &'a mut Finding) -> LocalBoxFuture<'a, Result<(), Failure>>;

/// All promises, each with the scenario that tries it.
const PROMISES: [(Promise, Play); 9] = [
    (crash_loop::PROMISE, |cluster, found| Box::pin(crash_loop::play(cluster, found))),
    (dying_target::PROMISE, |cluster, found| Box::pin(dying_target::play(cluster, found))),
    (spread::PROMISE, |cluster, found| Box::pin(spread::play(cluster, found))),
    (full::PROMISE, |cluster, found| Box::pin(full::play(cluster, found))),
    (temporary::PROMISE, |cluster, found| Box::pin(temporary::play(cluster, found))),
    (stop::PROMISE, |cluster, found| Box::pin(stop::play(cluster, found))),
    (newcomer::PROMISE, |cluster, found| Box::pin(newcomer::play(cluster, found))),
    (eviction::PROMISE, |cluster, found| Box::pin(eviction::play(cluster, found))),
    (handle::PROMISE, |cluster, found| Box::pin(handle::play(cluster, found))),
];

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let words: Vec<_> = words.iter().map(|word| word.to_str().unwrap_or_default()).collect();
    let json = match words.as_slice() {
        [] => false,
        ["--json"] => true,
        ["--help" | "-h"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("only --json is understood; see --help");
            return ExitCode::from(REFUSED);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("nothing could be tried: {error}");
            return ExitCode::from(BROKEN);
        }
    };
    let report = runtime.block_on(try_all(json));
    println!("{}", if json { report.json() } else { report.summary() });
    if report.all_kept() { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) }
}

/// Tries one promise after the other, and prints each outcome unless it is `json` that is wanted.
async fn try_all(json: bool) -> Report {
    let mut report = Report::default();
    for (promise, play) in PROMISES {
        let outcome = try_one(promise, play).await;
        if !json {
            println!("{}\n", outcome.text(report.promises.len() + 1));
        }
        report.add(outcome);
    }
    report
}

/// Tries a promise on a cluster of its own, which is over afterwards, whatever happens to it.
async fn try_one(promise: Promise, play: Play) -> Outcome {
    let began = Instant::now();
    book::open();
    let (mut cluster, mut found) = (Cluster::new(), Finding::default());
    let played = tokio::time::timeout(PATIENCE, play(&mut cluster, &mut found)).await;
    match played {
        Ok(Ok(())) => (),
        Ok(Err(error)) => found.give_up(&error.to_string()),
        Err(_) => found.give_up(&format!("it took longer than {PATIENCE:?}")),
    }
    let took = began.elapsed();
    cluster.end().await;
    Outcome::new(promise, found, took)
}
