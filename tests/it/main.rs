//! One binary for every integration test.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod dependencies;
mod fuzz;
mod tidy;
