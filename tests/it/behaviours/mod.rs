//! What users may expect of a cluster, seen on every ground there is; `BEHAVIOURS.md` lists it all.

mod conflicts;
mod ground;
mod members;
mod metadata;
mod names;
mod queries;
mod stores;
mod table;
