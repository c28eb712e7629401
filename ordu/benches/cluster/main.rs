//! A cluster of real processes against the clock.
//!
//! ```sh
//! cargo bench -p ordu --bench cluster
//! cargo bench -p ordu --bench cluster -- --json
//! ```
//!
//! The figures of others stand beside ours as they were measured on a machine of two cores; on
//! another machine, or on a busy one, only ratios to the first row compare.

#![allow(clippy::print_stdout, reason = "printing is what a bench is for")]
#![allow(clippy::disallowed_methods, reason = "real processes take real time")]

mod counting;
mod node;
mod process;
mod rows;
mod words;

use crate::rows::Row;

/// What makes this program a node process instead of the bench.
const NODE_FLAG: &str = "--node-of-a-bench";

fn main() {
    let mut words = std::env::args().skip(1);
    // Cargo says `--bench` by itself.
    let (mut is_node, mut json) = (false, false);
    for word in words.by_ref() {
        match word.as_str() {
            NODE_FLAG => is_node = true,
            "--json" => json = true,
            _ => {}
        }
    }
    if is_node {
        return node::main();
    }
    let mut rows = Vec::new();
    rows::measure(|row| {
        if json {
            rows.push(row);
        } else {
            print_row(&row);
        }
    });
    if json {
        println!("{}", serde_json::to_string(&rows).expect("numbers and plain text are JSON"));
    }
}

fn print_row(row: &Row) {
    let Row { work, value, unit, target, peers } = row;
    println!("{work}\n  {value:.1} {unit}   (aim: {target})");
    if !peers.is_empty() {
        println!("  others: {peers}");
    }
}
