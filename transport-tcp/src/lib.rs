//! Sessions between nodes over TCP: authenticated, encrypted, bounded.
//!
//! [`Tcp`] implements [`Transport`](ordu_core::transport::Transport) on any runtime that has
//! sockets ([`Net`]); [`TokioNet`] is tokio's. With a [`Secret`] every session is a Noise one
//! (`Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s`), and nobody without the secret is heard. Without one
//! it is plain text, which is allowed on loopback only.
//!
//! ```text
//!  dial ─▶ handshake ─▶ table: who survives? ─▶ session ─┬─▶ records ─▶ events ─▶ next()
//!  accept ─▶    (no I/O)         (no I/O)                └─◀ records ◀─ outbox ◀─ send()
//! ```
//!
//! One session holds between two nodes, whoever dials, and a new one from a peer that has lost the
//! old one replaces it at once. Control never waits behind more than one record (64 KiB) of bulk.

mod accept;
mod config;
mod dial;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod greet;
mod handshake;
mod net;
mod noise;
mod outbox;
mod records;
mod runtime;
mod secret;
mod session;
mod shared;
mod signal;
mod table;
mod tcp;

pub use crate::config::{BindError, Config, Limits};
pub use crate::net::Net;
pub use crate::runtime::TokioNet;
pub use crate::secret::{Secret, SecretError};
pub use crate::tcp::Tcp;
