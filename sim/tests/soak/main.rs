//! Random lives of whole clusters, a few in every test run; `ordu-sim soak` runs as many as one
//! likes.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test prints its sums and may panic"
)]

use ordu_sim::plan::Choice;
use ordu_sim::soak::{Orders, soak};

/// Whatever befalls a cluster, once it is left alone it comes to rest with all that it accepted.
#[test]
fn every_cluster_that_is_left_alone_comes_to_rest() {
    let seeds = ordu_sim::seeds(36);
    let choice = Choice::Directed;
    let orders = Orders { seeds, choice, jobs: 2, within: None, failures_max: usize::MAX };
    let summary = soak(&orders, None, |_| {});
    println!("{:?}", summary.tally);
    assert!(summary.failures.is_empty(), "{:#?}", summary.failures);
}
