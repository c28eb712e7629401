//! Replicated maps that converge: journals, each with one writer, and the laws they obey.

mod delta;

pub use crate::crdt::delta::{Delta, DeltaEntry, Version};
