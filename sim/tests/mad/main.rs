//! Simulations of what runs on a runtime: timers, tasks, sockets, sessions, and whole nodes.

#![allow(clippy::print_stdout, reason = "a soak prints its sums")]

mod carts;
mod clusters;
mod counter;
mod discovery;
#[path = "../kit/cart.rs"]
mod items;
mod plans;
mod replays;
mod rules;
mod runtime;
mod sessions;
