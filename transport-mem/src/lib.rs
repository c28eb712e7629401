//! Sessions between nodes of one process, and what every transport must do.
//!
//! * [`Mem`] implements [`Transport`](ordu_core::transport::Transport) without a socket: a [`Hub`]
//!   joins the nodes of a cluster, copies their frames, and cuts, delays or loses them on demand.
//! * [`Faulty`] cuts a node of any other transport off, silently and on demand.
//! * [`conformance`] holds any transport, ours or yours, to what the trait promises.

pub mod conformance;
mod faulty;
mod hub;
mod mailbox;
mod mem;
mod pump;
mod session;

pub use crate::faulty::{FaultControl, Faulty};
pub use crate::hub::Hub;
pub use crate::mem::{BindError, Config, Mem};
