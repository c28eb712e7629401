//! One node of a cluster in which a ledger is written to by one process at a time, whatever the
//! network and the nodes do. Start it three times, in three terminals:
//!
//! ```text
//! $ cargo run --example exclusive -- a 5000
//! listening 127.0.0.1:41873
//! $ cargo run --example exclusive -- b 5000 127.0.0.1:41873
//! $ cargo run --example exclusive -- c 5000 127.0.0.1:41873
//! ```
//!
//! Whichever runs the ledger prints a line for each time that it is polled: the token that a store
//! would be given with every write, and the time in microseconds. Kill that one, or freeze it with
//! `kill -STOP` and thaw it with `kill -CONT`: another takes over once the lease has ended, with a
//! higher token, and the one that was frozen prints nothing more.
//!
//! A node ends when its input does.

#![allow(clippy::disallowed_methods, reason = "only the shell has to run under simulation")]

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ordu::{ChildSpec, Context, Node, NodeId, StartChildError, Voters};
use tokio::io::AsyncReadExt as _;

/// The nodes that grant leases; all must be called as one of them here.
const VOTERS: [&str; 3] = ["a", "b", "c"];
/// The supervisor whose children run under leases.
const SUPERVISOR: &str = "payments";
/// How often the ledger is written to.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the start may wait for the other nodes to come up.
const PATIENCE: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let (Some(name), Some(lease)) = (words.next(), words.next()) else {
        eprintln!("usage: exclusive NAME LEASE_MS [SEED]...");
        return ExitCode::from(2);
    };
    match run(&name, &lease, words.collect()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("node {name} failed: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(name: &str, lease: &str, seeds: Vec<String>) -> Result<(), Box<dyn Error>> {
    let lease = Duration::from_millis(lease.parse()?);
    let voters = VOTERS.into_iter().map(NodeId::new).collect::<Result<Vec<NodeId>, _>>()?;
    let is_first = seeds.is_empty();
    let node = Node::builder("exclusive", name)
        .leases_granted_by(Voters { lease, ..Voters::new(voters) })
        .exclusive(SUPERVISOR)
        .kind_fn("ledger", write_ledger)
        .failure_timeout(lease)
        .beat_interval(lease / 6)
        .seeds(seeds)
        .start()
        .await?;
    writeln!(io::stdout(), "listening {}", node.local_addr())?;

    let start = async {
        node.ready(PATIENCE).await?;
        if is_first {
            let supervisor = node.supervisor(SUPERVISOR);
            let ledger = || ChildSpec::of_kind("ledger", &()).named("ledger");
            // Before most of the voters are up nothing is taken on.
            while let Err(error) = supervisor.start_child(ledger()).timeout(PATIENCE).await {
                let StartChildError::NoQuorum { child: None, .. } = error else {
                    return Err(error.into());
                };
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok::<(), Box<dyn Error>>(())
    };
    let mut nothing = [0];
    let mut input = tokio::io::stdin();
    tokio::select! {
        biased;
        started = start => started?,
        _ = input.read(&mut nothing) => return Ok(()),
    }
    while 0 < input.read(&mut nothing).await? {}
    Ok(())
}

/// Writes to the ledger, again and again, for as long as the lease lasts.
async fn write_ledger(context: Context) -> io::Result<()> {
    let token = context.token().expect("its supervisor is exclusive");
    loop {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        writeln!(io::stdout(), "{token} {}", now.as_micros())?;
        context.sleep(PAUSE).await;
    }
}
