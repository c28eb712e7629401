//! The shell and the transports on madsim's runtime, network and clock.
//!
//! [`simulate`] runs a simulation on a seed and returns a hash of what it logged, and [`replay`]
//! does so twice and compares. In it a
//! [`Cluster`] runs real nodes on either [`Medium`], kills, freezes and parts them, and logs what
//! their users see; a [`Lab`] does so with machines that run anything else, and [`MadRuntime`] is
//! what a node takes for its runtime and its network.
//!
//! Madsim does not simulate half-open connections, black holes, resets or back-pressure: a link
//! that is cut only delays what is on a connection (for up to ten seconds after the heal) and
//! refuses new ones at once, a killed machine is noticed at once even across a cut, a writer is
//! never held back, and nothing is ever half closed. Nor does it simulate machines that differ: one
//! clock serves all of them, without skew or drift, and latency and loss are the same on all links;
//! the step-driven [`World`](crate::World), the in-memory transport and real sockets cover those.

mod actor;
mod cluster;
mod lab;
mod ledger;
mod run;
mod runtime;
mod simulation;
mod soak;

pub use crate::mad::cluster::{Cluster, Medium};
pub use crate::mad::lab::Lab;
pub use crate::mad::run::{Report, run, run_twice};
pub use crate::mad::runtime::MadRuntime;
pub use crate::mad::simulation::{Log, replay, simulate};
pub use crate::mad::soak::{Failure, Summary, soak};
