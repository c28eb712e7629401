//! Where things belong: which members come into question for a key, and in which order.

mod moves;
mod need;
mod ring;

pub use crate::placement::moves::{Move, Redistribution};
pub use crate::placement::need::{Exclusion, Need};
pub use crate::placement::ring::{Candidates, Ring, Weight};
