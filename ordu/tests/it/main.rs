//! What users see of nodes.

mod cluster;
mod over;
mod start;
mod world;
