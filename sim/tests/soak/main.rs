//! Random lives of whole clusters, a few in every test run and as many as one likes on demand.
//!
//! `ORDU_SOAK_SEEDS=5000 ORDU_SOAK_BASE=1000 cargo test --release -p ordu-sim --test soak` soaks
//! more.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test prints its sums and may panic"
)]

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use ordu_sim::soak::{Summary, replay_command, run, seeds};

/// How many seeds a plain test run soaks.
const SEEDS: u64 = 60;
/// How many clusters live at once.
const THREADS: usize = 2;

/// Whatever befalls a cluster, once it is left alone it comes to rest with all that it accepted.
#[test]
fn every_cluster_that_is_left_alone_comes_to_rest() {
    let seeds = seeds(SEEDS);
    let next = AtomicU64::new(seeds.start);
    let total = Mutex::new(Summary::default());
    let failed = Mutex::new(Vec::new());
    let soak = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seeds.end <= seed {
                return;
            }
            match catch_unwind(|| run(seed)) {
                Ok(summary) => total.lock().unwrap().add(&summary),
                Err(_) => failed.lock().unwrap().push(seed),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(soak);
        }
    });

    println!("{:?}", total.into_inner().unwrap());
    let mut failed = failed.into_inner().unwrap();
    failed.sort_unstable();
    let commands: Vec<String> = failed.iter().map(|&seed| replay_command(seed)).collect();
    assert!(failed.is_empty(), "seeds {failed:?} failed; again:\n{}", commands.join("\n"));
}
