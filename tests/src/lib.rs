//! Helpers shared by the integration tests.

mod repository;

pub use crate::repository::{Metadata, metadata, root, sources};
