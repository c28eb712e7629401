//! The transport in memory, from outside.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod conformance;
mod faults;
