//! One binary for every integration test.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::disallowed_methods, reason = "real processes and sockets take real time")]

mod behaviours;
mod dependencies;
mod discovery;
mod fuzz;
mod leases;
mod processes;
mod promises;
mod sockets;
mod teeth;
mod tidy;
