//! Children that run under leases, on real sockets and in real processes.

#[cfg(unix)]
mod freeze;
#[cfg(unix)]
mod lapse;
mod sockets;
