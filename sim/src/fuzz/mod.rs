//! What a fuzzer drives: plain functions from bytes to a panic, or to none.
//!
//! The targets in `fuzz/` call them, and so does an ordinary test, over the committed corpus and
//! over random bytes; what one of them finds, the other repeats.

mod bytes;
mod config;
mod delta;
mod message;
mod node;
mod spec;

pub use self::config::{ConfigRun, config};
pub use self::delta::{DeltaRun, delta};
pub use self::message::{MessageRun, message};
pub use self::node::{NodeRun, node};
pub use self::spec::{SpecRun, spec};
