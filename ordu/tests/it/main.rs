//! What users see of a node, without a network.

mod over;
mod start;
mod world;
