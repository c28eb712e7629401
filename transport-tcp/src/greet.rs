//! Drives a handshake over a stream.

use std::io;

use ordu_core::NodeId;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::handshake::{Handshake, HandshakeError, MESSAGE_BYTES_MAX, Step};

/// Why a connection did not become a session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GreetError {
    /// What the peer says is wrong.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The peer did not finish in time.
    #[error("the peer did not finish its handshake in time; check what listens or dials there")]
    TimedOut,
    /// The connection broke.
    #[error("the connection broke in the handshake")]
    Io(#[from] io::Error),
    /// The session with `peer` is, or will be, another connection.
    #[error("another connection is the session with node {peer}")]
    Superseded {
        /// The peer.
        peer: NodeId,
    },
    /// We are closing.
    #[error("the transport is closing")]
    Closing,
}

/// Sends what `handshake` has to say and reads until it needs something else than bytes.
///
/// What it has to say last, before that or before an error, is sent as well; after
/// [`Handshake::decide`] it is the caller's to send.
pub(crate) async fn advance<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    handshake: &mut Handshake,
) -> Result<Step, GreetError> {
    let mut bytes = [0; MESSAGE_BYTES_MAX];
    let mut read = 0;
    loop {
        let step = handshake.handle(&bytes[..read]);
        let output = handshake.take_output();
        if !output.is_empty() {
            let sent = send(stream, &output).await;
            // What is wrong matters more than that it could not be told.
            if step.is_ok() {
                sent?;
            }
        }
        match step? {
            Step::Read => (),
            step @ (Step::State(_) | Step::Decide(..) | Step::Answered(_)) => return Ok(step),
        }
        read = stream.read(&mut bytes).await?;
        if read == 0 {
            return Err(GreetError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

/// Sends `bytes` at once.
pub(crate) async fn send<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}
