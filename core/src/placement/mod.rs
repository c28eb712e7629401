//! Where things belong: which members come into question for a key, and in which order.

mod built_in;
mod moves;
mod need;
mod ring;
mod strategy;

pub use crate::placement::built_in::{Bounded, Random, Spread, Uniform};
pub use crate::placement::moves::{Move, MovePlan, Redistribution};
pub use crate::placement::need::{Exclusion, Need};
pub use crate::placement::ring::{Candidates, Ring, Weight};
pub use crate::placement::strategy::{Choice, Host, Placement, PlacementStrategy, UserStrategies};
