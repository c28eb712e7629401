//! Not written yet.

pub mod fuzz;
