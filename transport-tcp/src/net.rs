//! Sockets of a runtime: the one thing that differs between tokio and a simulation.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use ordu_core::transport::Runtime;
use tokio::io::{AsyncRead, AsyncWrite};

/// A runtime with TCP sockets.
///
/// Streams send at once what is flushed (no Nagle delay). Nothing but the I/O traits of tokio is
/// asked of them: they are split by [`tokio::io::split`], flushed after every write, and dropped
/// to end them.
pub trait Net: Runtime {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;
    /// What connections are accepted from.
    type Listener: Send + Sync + 'static;

    /// Listens at `address` and returns with it the address that came of it, port included.
    fn bind(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<(Self::Listener, SocketAddr)>> + Send;

    /// Waits for the next connection; called from one task only.
    fn accept(
        &self,
        listener: &Self::Listener,
    ) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// Connects to `address`, a host or an IP address with a port.
    fn connect(&self, address: &str) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}
