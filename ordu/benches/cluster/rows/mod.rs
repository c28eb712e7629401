//! What is measured: a file for what is of names, one for children, one for the machine itself.

mod children;
mod limits;
mod names;

use serde::Serialize;

use crate::process::Cluster;
use crate::words::Request;

/// One figure, beside what others reach and what is aimed at.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// What was done.
    pub work: &'static str,
    /// The figure.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// What it is to be.
    pub target: &'static str,
    /// What others measured on a machine of two cores; only ratios within one run compare.
    pub peers: &'static str,
}

/// Where rows go as soon as they are there.
type Tell<'a> = &'a mut dyn FnMut(Row);

/// Names and children of a row, unless it says otherwise.
const COUNT: usize = 10_000;

/// Measures everything, and hands each row on as soon as it is there.
pub(crate) fn measure(mut tell: impl FnMut(Row)) {
    limits::round_trip(&mut tell);
    names::on_one_node(&mut tell);
    names::looked_up(&mut tell);
    names::by_the_million(&mut tell);
    names::on_three_nodes(&mut tell);
    names::of_a_newcomer(&mut tell);
    names::on_both_sides(&mut tell);
    names::behind_a_split(&mut tell);
    children::on_one_node(&mut tell);
    children::on_three_nodes(&mut tell);
}

fn ask(cluster: &mut Cluster, node: usize, request: &Request) -> u64 {
    cluster.nodes[node].ask(request).bytes()
}

/// Returns what all nodes have sent so far.
fn traffic(cluster: &mut Cluster) -> u64 {
    cluster.nodes.iter_mut().map(|node| node.ask(&Request::Traffic).bytes()).sum()
}

/// Returns how long each of `count` took, in microseconds, of `nanos` together.
fn micros_each(nanos: f64, count: usize) -> f64 {
    nanos / count as f64 / 1e3
}
