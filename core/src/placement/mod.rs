//! Where things belong: which members come into question for a key, and in which order.

mod ring;

pub use crate::placement::ring::{Candidates, Ring, Weight};
