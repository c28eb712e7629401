//! Stories of several machines on a model network.

mod asked;
mod failures;
mod hostile;
mod joining;
mod lives;
mod world;
