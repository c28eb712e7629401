//! Simulations of what runs on a runtime: timers, tasks, sockets, sessions, and whole nodes.

mod clusters;
mod counter;
mod plans;
mod replays;
mod runtime;
mod sessions;
