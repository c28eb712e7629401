//! Helpers shared by the integration tests.

mod repository;
pub mod teeth;

pub use crate::repository::{Metadata, metadata, root, sources};

/// The example of the README, which must compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

/// The example of the chapter on simulations, which must hold.
#[cfg(doctest)]
#[doc = include_str!("../../SIMULATION.md")]
pub struct Simulation;
