//! What users see of nodes.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "these are tests, and run on tokio"
)]

mod children;
mod cluster;
mod flight;
mod groups;
mod links;
mod metadata;
mod minority;
mod names;
mod nested;
mod over;
mod placements;
mod policy;
mod queries;
mod start;
mod world;
