//! Stories of small clusters, each told for several seeds.
//!
//! A story names the behaviours that it covers by their numbers (`B18`), or the scenario (`P8`).
//! `ORDU_SEED=17 cargo test -p ordu-sim --test stories <name>` tells one again, for one seed.

mod arrivals;
mod broken;
mod discovery;
mod drift;
mod electorates;
mod ends;
mod ensures;
mod exports;
mod failovers;
mod faults;
mod groups;
mod hearing;
mod joins;
mod leases;
mod leaves;
mod lies;
mod links;
mod losses;
mod machines;
mod many;
mod metadata;
mod minorities;
mod moves;
mod names;
mod nested;
mod oldest;
mod placements;
mod policy;
mod quarantines;
mod relays;
mod repeats;
mod replays;
mod restarts;
mod roles;
mod sabotage;
mod simulator;
mod soaked;
mod splits;
mod starts;
mod strategies;
mod tenures;
mod tokens;
mod toy;
mod values;
mod versions;

use std::time::Duration;

use ordu_core::{Blob, ChildId, ChildSpec, Command, Reply};
use ordu_sim::{Host, World, scope, spec};

/// How long a cluster on a good network may take to come to rest after the last fault.
const SETTLE: Duration = Duration::from_secs(10);

/// Longer than any node is waited for before it is taken for dead, also where most go silent at
/// once.
const LONG: Duration = Duration::from_secs(12);

/// Shorter than any node is waited for before it is taken for dead.
const SHORT: Duration = Duration::from_millis(1_200);

/// Starts `count` children of `kind`, through every node in turn.
fn start_children(world: &mut World, kind: &str, count: usize) -> Vec<ChildId> {
    let hosts = world.up();
    let start = |number: usize| {
        let spec = ChildSpec { args: Blob::from(number.to_string().as_str()), ..spec(kind) };
        let started = world.start_child(hosts[number % hosts.len()], spec);
        started.expect("the child starts").child
    };
    (0..count).map(start).collect()
}

/// Asks for all of `specs` at once, each through the machine beside it, and returns the children.
fn start_at_once(
    world: &mut World,
    specs: impl IntoIterator<Item = (Host, ChildSpec)>,
) -> Vec<ChildId> {
    let start =
        |(host, spec)| world.request_within(host, Command::Start { scope: scope(), spec }, LONG);
    let tickets: Vec<_> = specs.into_iter().map(start).collect();
    let started = tickets.into_iter().map(|ticket| {
        let reply = world.answer(ticket);
        let Reply::Start(Ok(started)) = reply else {
            panic!("a start ends with {reply:?}; seed {}", world.seed())
        };
        started.child
    });
    started.collect()
}

/// Returns the machine that runs `child`, which runs once.
#[track_caller]
fn home(world: &World, child: ChildId) -> Host {
    let hosts = world.running_child(child);
    assert_eq!(hosts.len(), 1, "{child} runs on {hosts:?}");
    hosts[0]
}

/// Returns all machines that are up, but for `host`.
fn others(world: &World, host: Host) -> Vec<Host> {
    world.up().into_iter().filter(|&other| other != host).collect()
}
