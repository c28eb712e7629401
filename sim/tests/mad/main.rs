//! Simulations of what runs on a runtime: timers, tasks, sockets, sessions, and whole nodes.

mod carts;
mod clusters;
mod counter;
#[path = "../kit/cart.rs"]
mod items;
mod plans;
mod replays;
mod runtime;
mod sessions;
