//! Simulations of what runs on a runtime: timers, tasks, sockets and sessions.

mod runtime;
mod sessions;
