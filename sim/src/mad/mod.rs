//! The shell and the transports on madsim's runtime, network and clock.
//!
//! [`simulate`] runs a simulation on a seed and returns a hash of what it logged, and [`replay`]
//! does so twice and compares. In it a
//! [`Cluster`] runs real nodes on either [`Medium`], kills, freezes and parts them, and logs what
//! their users see; a [`Lab`] does so with machines that run anything else, and [`MadRuntime`] is
//! what a node takes for its runtime and its network. A process that keeps a [`Presence`] is seen
//! to run, whatever the nodes believe.
//!
//! # The same plans, another tier
//!
//! [`run`] carries out a [`Plan`](crate::plan::Plan) with real nodes, and [`soak`] many of those
//! that [`Plan::draw_for_shell`](crate::plan::Plan::draw_for_shell) draws. What must come of it is
//! what must come of a step-driven run, under the same ids; what really ran is known from the
//! processes themselves, which write down their starts and ends, and never from asking a node:
//!
//! | promise | here |
//! |---|---|
//! | L3 L4 L6 L8 | by what users were answered and what the processes wrote |
//! | L5 S9 | look-ups, counts, a snapshot, and the changes since a node's birth, on every node |
//! | L9 | by each node's members |
//! | L10 | each node says that the cluster is at rest ([`Node::settled`](ordu::Node::settled)) |
//! | L11 | each request is answered by its deadline, unless its machine froze or died |
//! | S17 | no process starts twice, and no node runs two processes of one child |
//! | S29 | nothing in a node, a transport or a process panics |
//! | S31 | a plan that is run twice has one history |
//!
//! What looks into the state machine (journals, heads, frames, tables) is watched step by step
//! alone.
//!
//! Of the faults a plan can name, kills, starts, freezes, cuts of any shape, departures and failing
//! children are carried out on both media. A machine that goes dark is one that freezes for good.
//! Weather is a delay and a loss that are the same on all links: loss delays what is on a TCP
//! connection and lets some attempts to connect fail, and on [`Medium::Mem`] takes frames away.
//! Sessions are broken on [`Medium::Mem`] alone. Half-open sessions, clocks that differ, slow
//! machines and links that flap at the end are skipped, and the report counts them.
//!
//! # What is not simulated
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
mod presence;
mod run;
mod runtime;
mod simulation;
mod soak;

pub use crate::mad::cluster::{Cluster, Medium};
pub use crate::mad::lab::Lab;
pub use crate::mad::presence::Presence;
pub use crate::mad::run::{Report, run, run_twice};
pub use crate::mad::runtime::MadRuntime;
pub use crate::mad::simulation::{Log, replay, simulate};
pub use crate::mad::soak::{Failure, Summary, soak};
