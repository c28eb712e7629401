//! Random lives of clusters of real nodes; what is to be true of them is what is to be true of the
//! step-driven ones.

#![allow(clippy::print_stdout, reason = "a test prints its sums")]

use ordu_sim::mad::{Medium, run, soak};
use ordu_sim::plan::Plan;
use ordu_sim::seeds;

/// How many seeds are run twice, whatever else is asked for.
const TWICE: u64 = 20;

/// Every cluster comes to rest with all that it accepted, and one seed is one history.
#[test]
fn every_cluster_of_real_nodes_that_is_left_alone_comes_to_rest() {
    let seeds = seeds(TWICE);
    let twice = seeds.start..seeds.start + TWICE;
    let summary = soak(seeds, twice, 2);
    println!("{:?}, {} steps skipped", summary.tally, summary.skipped);
    for failure in &summary.failures {
        eprintln!("{failure}\n");
    }
    let failed: Vec<u64> = summary.failures.iter().map(|failure| failure.plan.seed).collect();
    assert!(failed.is_empty(), "these seeds failed: {failed:?}");
}

#[test]
fn two_plans_have_two_histories() {
    let hash = |seed| run(&Plan::draw_for_shell(seed), Medium::Mem).trace_hash;
    assert_ne!(hash(1), hash(2));
}
