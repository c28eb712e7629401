//! Stories of several machines on a model network.

mod failures;
mod hostile;
mod joining;
mod lives;
mod world;
