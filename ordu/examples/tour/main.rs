//! The tour: five processes keep named children alive, whatever happens to them.
//!
//! It starts five node processes that talk TCP on loopback, supervises a child for each of 5,000
//! names, and then plays five acts: one process is killed, comes back under its name, another is
//! frozen and returns, the network is cut in two and heals, and a node leaves. After each act
//! every node calls every child by its name, and every process counts what really runs in it.
//!
//! ```sh
//! cargo run --release -p ordu --example tour
//! cargo run --release -p ordu --example tour -- --json my-names.txt
//! ```
//!
//! To read: [`node`] is how a program uses Ordu, [`acts`] is what happens to it.

#![allow(clippy::print_stdout, reason = "printing is what a tour is for")]
#![allow(clippy::disallowed_methods, reason = "only the shell has to run under simulation")]

mod acts;
mod arguments;
mod cluster;
mod names;
mod node;
mod process;
mod progress;
mod report;
mod words;

use std::process::ExitCode;

use crate::arguments::{Arguments, HELP};
use crate::cluster::Cluster;
use crate::progress::Progress;
use crate::report::{Act, Report};

/// How many node processes there are.
const NODES: usize = 5;
/// What makes this program a node process instead of the tour.
const NODE_FLAG: &str = "--node-of-a-tour";
/// Exit status of a tour that found a loss or a double, or could not go on.
const SPOILED: u8 = 1;
/// Exit status of a tour that did not start.
const REFUSED: u8 = 2;

/// Whatever ends the tour early.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|word| word == NODE_FLAG) {
        return node::main();
    }
    let arguments = match Arguments::read(std::env::args_os().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error.to_string()),
    };
    if arguments.help {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let names = match names::read(arguments.file.as_deref()) {
        Ok(names) => names,
        Err(error) => {
            let file = arguments.file.as_deref().unwrap_or("the bundled names".as_ref());
            return refuse(&format!("{}: {error}", file.display()));
        }
    };
    let ports = match arguments.ports() {
        Ok(ports) => ports,
        Err(error) => return refuse(&error.to_string()),
    };

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.map_err(Failure::from).and_then(|runtime| {
        runtime.block_on(async {
            tokio::select! {
                biased;
                _ = tokio::signal::ctrl_c() => Err(Failure::from("interrupted")),
                report = tour(&arguments, names, ports) => report,
            }
        })
    });
    match result {
        Ok(report) if report.is_clean() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(SPOILED),
        Err(error) => {
            eprintln!("the tour could not go on: {error}");
            ExitCode::from(SPOILED)
        }
    }
}

fn refuse(reason: &str) -> ExitCode {
    eprintln!("{reason}");
    ExitCode::from(REFUSED)
}

/// Builds the cluster, plays the acts and prints what came of them.
async fn tour(
    arguments: &Arguments,
    names: Vec<String>,
    ports: [u16; NODES],
) -> Result<Report, Failure> {
    let children = names.len();
    let progress = Progress::new();
    progress.begin(&format!("starting {NODES} processes"));
    let mut cluster = Cluster::start(names, ports).await?;

    let bar = progress.count(&format!("starting {children} children"), children);
    cluster.start_children(|started| bar.advance(started)).await?;
    drop(bar);
    progress.begin("waiting for rest");
    cluster.settle().await?;

    if !arguments.json {
        progress.print(&Act::headings());
    }
    progress.begin("playing");
    let mut curtain = |act: &Act| {
        if !arguments.json {
            progress.print(&act.line());
        }
    };
    let acts = acts::play(&mut cluster, children, &mut curtain).await?;

    let report = Report::new(children, acts);
    progress.end();
    println!("{}", if arguments.json { report.json() } else { report.summary() });
    Ok(report)
}
