//! The shell and the transports on madsim's runtime, network and clock.
//!
//! [`simulate`] runs a simulation on a seed and returns a hash of what it logged; a [`Lab`] boots
//! machines in it, and kills, freezes and parts them; and [`MadRuntime`] is what a node takes for
//! its runtime and its network there.
//!
//! Madsim's TCP is kinder than the real one: a link that is cut only delays, a killed machine is
//! noticed at once, and writers are never held back. What it hides is tried in the step-driven
//! [`World`](crate::World) and on real sockets.

mod lab;
mod runtime;
mod simulation;

pub use crate::mad::lab::Lab;
pub use crate::mad::runtime::MadRuntime;
pub use crate::mad::simulation::{Log, simulate};
