//! One seed is one history: runs a step-driven world, and real nodes under madsim, and prints the
//! hash of each. Run it twice with one `--seed`, and once with another.
//!
//! ```sh
//! cargo run -p ordu-sim --features madsim --example replay -- --seed 7
//! ```

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use ordu::{ChildSpec, Context, Process, StartError, StopReason};
use ordu_sim::mad::{Cluster, Log, Medium, simulate};
use ordu_sim::{N1, N2, N3, Network, World, named};

const CHILDREN: usize = 6;
const REST: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let seed = match seed(std::env::args().skip(1)) {
        Ok(seed) => seed,
        Err(wrong) => {
            eprintln!("{wrong}; usage: replay [--seed NUMBER]");
            return ExitCode::from(2);
        }
    };
    match print(seed, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the seed that `arguments` name, 1 if they name none.
fn seed(mut arguments: impl Iterator<Item = String>) -> Result<u64, String> {
    let Some(flag) = arguments.next() else { return Ok(1) };
    if flag != "--seed" {
        return Err(format!("{flag:?} is not known"));
    }
    let number = arguments.next().ok_or("--seed needs a number")?;
    if let Some(more) = arguments.next() {
        return Err(format!("{more:?} is too much"));
    }
    number.parse().map_err(|_| format!("{number:?} is no seed"))
}

fn print(seed: u64, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "seed {seed}")?;
    writeln!(out, "step-driven    trace_hash {:016x}", step_driven(seed))?;
    for (label, medium) in [("madsim, tcp   ", Medium::Tcp), ("madsim, memory", Medium::Mem)] {
        let hash = simulate(seed, move |log| under_madsim(log, medium));
        writeln!(out, "{label} trace_hash {hash:016x}")?;
    }
    Ok(())
}

/// A partition, a frozen machine, a death and a restart, on a network that loses frames.
fn step_driven(seed: u64) -> u64 {
    let mut world = World::builder(seed, 3).network(Network::lossy()).joined();
    for number in 0..CHILDREN {
        let started = world.start_child(N1, named("counter", &format!("counter/{number}")));
        started.expect("the name is free");
    }
    world.partition(&[N1, N2], &[N3]);
    world.run_for(Duration::from_secs(10));
    world.heal();
    world.run_for(Duration::from_secs(10));
    world.pause(N2);
    world.run_for(Duration::from_secs(5));
    world.thaw(N2);
    world.kill(N3);
    world.run_for(Duration::from_secs(10));
    world.restart(N3);
    world.settle(REST);
    world.trace_hash()
}

/// The same, with real nodes.
async fn under_madsim(log: Log, medium: Medium) {
    let mut cluster = Cluster::boot(&log, medium, 3, |_, builder| builder.kind::<Counter>());
    cluster.rest(REST).await;
    for number in 0..CHILDREN {
        let spec = ChildSpec::new::<Counter>(&0).named(format!("counter/{number}"));
        let started = cluster.node(N1).supervisor("default").start_child(spec).await;
        started.expect("the name is free");
    }
    cluster.partition(&[N1, N2], &[N3]);
    cluster.pass(Duration::from_secs(10)).await;
    count(&cluster).await;
    cluster.heal();
    cluster.rest(REST).await;
    cluster.pause(N2);
    cluster.pass(Duration::from_secs(5)).await;
    cluster.thaw(N2);
    cluster.kill(N3);
    cluster.pass(Duration::from_secs(10)).await;
    cluster.restart(N3);
    cluster.rest(REST).await;
    count(&cluster).await;
}

/// Adds one to each counter, from each node, and logs what they answer.
async fn count(cluster: &Cluster) {
    for host in cluster.up() {
        let names = cluster.node(host).registry("default");
        for number in 0..CHILDREN {
            let total = names.call::<Counter>(format!("counter/{number}"), &1).await;
            cluster.note(format_args!("{host} counter/{number}: {total:?}"));
        }
    }
}

struct Counter(u64);

impl Process for Counter {
    const KIND: &'static str = "counter";
    type Args = u64;
    type Message = u64;
    type Reply = u64;

    async fn start(first: u64, context: &mut Context<Self>) -> Result<Self, StartError> {
        let Some(state) = context.state() else { return Ok(Self(first)) };
        Ok(Self(u64::from_le_bytes(state.try_into()?)))
    }

    async fn handle(&mut self, more: u64, _: &mut Context<Self>) -> u64 {
        self.0 += more;
        self.0
    }

    async fn stop(self, _: StopReason) -> Option<Vec<u8>> {
        Some(self.0.to_le_bytes().to_vec())
    }

    async fn absorb(&mut self, state: &[u8]) {
        let state = state.try_into().expect("it was written so");
        self.0 += u64::from_le_bytes(state);
    }
}
