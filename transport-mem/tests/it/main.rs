//! The transport in memory, from outside.

mod conformance;
mod faults;
