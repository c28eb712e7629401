//! A whole Ordu cluster on one seed.
//!
//! A [`World`] is a number of machines, each with a node of `ordu-core`, its own clocks, and model
//! processes; and between them a network that delays, loses, repeats and cuts. It is one value, in
//! one thread, on virtual time: an hour of a cluster takes a second or so, and the same seed gives
//! the same hour, to the last bit.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use ordu_sim::{N1, N2, N3, World, named, seeds};
//!
//! for seed in seeds(20) {
//!     let mut world = World::new(seed, 3);
//!     let cart = world.start_child(N1, named("counter", "cart")).expect("the name is free");
//!
//!     // Wherever the cart runs, the machine dies.
//!     let first = world.running_child(cart.child)[0];
//!     world.kill(first);
//!     world.settle(Duration::from_secs(10));
//!
//!     // It runs again, once, and somewhere else.
//!     assert_eq!(world.running_child(cart.child).len(), 1);
//!     assert_ne!(world.running_child(cart.child)[0], first);
//! }
//! ```
//!
//! # Two tiers
//!
//! A [`World`] drives the state machines alone, step by step: every promise is watched at every
//! step, every fault can be had, and thousands of clusters take minutes. What it cannot see is the
//! shell around them: tasks, mailboxes, timers, sockets, cryptography.
//!
//! With the feature `madsim`, and built with `--cfg madsim`, the module `mad` runs the same kind of
//! plans with whole nodes on both transports, on a simulated runtime, and holds them to the same
//! promises by what users and processes see. Its network and its clocks can do less: what they
//! cannot is listed there. `cargo test -p ordu-sim --test mad` runs twenty seeds of five minutes,
//! each twice, and
//!
//! ```text
//! ORDU_SEED_FACTOR=10 cargo test --release -p ordu-sim --test mad plans:: -- --nocapture
//! ```
//!
//! two hundred. `ORDU_SEED_BASE` says where to begin, and `ORDU_SEED` runs one seed alone.

#[cfg(all(feature = "madsim", not(madsim)))]
compile_error!(
    "feature `madsim` needs `--cfg madsim`; a RUSTFLAGS variable replaces the flags of \
     .cargo/config.toml, so add it there, too"
);

mod behaviour;
mod builder;
mod checks;
mod clock;
mod electorates;
mod event;
pub mod explain;
mod failure;
mod faults;
pub mod fuzz;
mod host;
pub mod invariants;
pub mod kit;
mod leases;
mod lies;
mod machine;
#[cfg(all(feature = "madsim", madsim))]
pub mod mad;
mod marks;
mod model;
mod network;
mod oracle;
mod pace;
pub mod plan;
mod processes;
mod recording;
mod requests;
mod run;
mod seeds;
mod sessions;
pub mod shrink;
pub mod soak;
mod tampering;
mod tenures;
mod tokens;
mod topology;
mod trace;
mod verdict;
mod view;
mod watching;
mod world;

pub use crate::behaviour::{Behaviour, Replies, Starting};
pub use crate::builder::WorldBuilder;
pub use crate::failure::{Failure, FailureError, hex};
pub use crate::host::{Host, N1, N2, N3, N4, N5};
pub use crate::lies::Lie;
pub use crate::machine::{Machine, MachineMaker};
pub use crate::marks::{Mark, Marks};
pub use crate::model::Model;
pub use crate::network::{Network, Preset};
pub use crate::oracle::Readings;
pub use crate::pace::Pace;
pub use crate::processes::Run;
pub use crate::requests::{PATIENCE, Ticket, locks, name, named, register, scope, spec};
pub use crate::run::{Report, Tally, run, run_traced, run_with};
pub use crate::seeds::{SEED_BASE_VARIABLE, SEED_FACTOR_VARIABLE, SEED_VARIABLE, seeds};
pub use crate::tampering::{Tamper, Tampered};
pub use crate::topology::Topology;
pub use crate::verdict::{Class, Verdict, Violation};
pub use crate::view::View;
pub use crate::world::World;
