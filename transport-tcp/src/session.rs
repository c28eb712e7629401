//! One session: its two loops, and what is reported of it.

use std::io;
use std::sync::Arc;

use ordu_core::{Blob, NodeId};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Limits;
use crate::handshake::SessionId;
use crate::net::Net;
use crate::noise::Channel;
use crate::outbox::{FRAME_COST_BYTES, Outbox};
use crate::records::{Packer, RecordError, Unpacker};
use crate::shared::{Delivery, Shared};
use crate::signal::Signal;

/// Bytes asked for in one read, unless a record needs more.
const READ_BYTES: usize = 16 << 10;
/// Bytes of each buffer that an idle session keeps.
const KEPT_BYTES: usize = 16 << 10;

/// What others hold of a session.
pub(crate) struct Session {
    pub(crate) peer: NodeId,
    pub(crate) id: SessionId,
    pub(crate) outbox: Outbox,
    /// Raised to end it, by whoever finds that it is over.
    pub(crate) end: Signal,
}

/// A connection whose handshake is through.
pub(crate) struct Line<S> {
    pub(crate) stream: S,
    pub(crate) channel: Channel,
    /// Bytes of the session that came with the end of the handshake.
    pub(crate) arrived: Vec<u8>,
    /// Bytes of the handshake that are still to be sent.
    pub(crate) unsent: Vec<u8>,
}

/// Why a session is over.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the peer said farewell")]
    Farewell,
    #[error("the peer closed the connection")]
    Closed,
    #[error("it was ended here: disconnected, replaced or closed")]
    Here,
    #[error("the peer took nothing in for too long")]
    Stalled,
    #[error("the peer broke the rules")]
    Record(#[from] RecordError),
    #[error("the connection failed")]
    Io(#[from] io::Error),
}

impl Session {
    /// Returns a session that has not begun.
    pub(crate) fn new(peer: NodeId, id: SessionId, limits: &Limits) -> Self {
        Self { peer, id, outbox: Outbox::new(limits), end: Signal::new() }
    }

    /// Starts the tasks that carry the session over `line`. It is in the table, and counted among
    /// the `running` since it got there.
    pub(crate) fn start<N: Net>(
        self: Arc<Self>,
        shared: Arc<Shared<N>>,
        line: Line<N::Stream>,
        running: OwnedSemaphorePermit,
    ) {
        let Line { stream, channel, arrived, unsent } = line;
        let (reader, writer) = tokio::io::split(stream);
        let channel = Arc::new(channel);
        let net = Arc::clone(&shared.net);
        net.spawn(Box::pin({
            let (shared, session, channel) =
                (Arc::clone(&shared), Arc::clone(&self), Arc::clone(&channel));
            async move {
                let write = Writer { shared, channel, stream: writer }.run(&session.outbox, unsent);
                tokio::select! {
                    biased;
                    () = session.end.raised() => (),
                    written = write => if let Err(reason) = written {
                        tracing::debug!(peer = %session.peer, %reason, "cannot write");
                        session.end.raise();
                    },
                }
            }
        }));
        net.spawn(Box::pin(async move {
            self.report(&shared, Reader { channel, stream: reader, input: arrived }).await;
            drop(running);
        }));
    }

    /// Reports the session from its beginning to its end, in its turn.
    async fn report<N: Net>(self: &Arc<Self>, shared: &Shared<N>, reader: Reader<N::Stream>) {
        let turn = shared.turn(&self.peer);
        let order = tokio::select! {
            biased;
            () = self.end.raised() => None,
            order = turn.lock() => Some(order),
        };
        let connected = order.is_some() && {
            let connected = shared.events.send(Delivery::Connected(Arc::clone(self)));
            tokio::select! {
                biased;
                () = self.end.raised() => false,
                sent = connected => sent.is_ok(),
            }
        };
        if connected {
            let reason = tokio::select! {
                biased;
                () = self.end.raised() => End::Here,
                reason = reader.run(shared, self) => reason,
            };
            tracing::debug!(peer = %self.peer, %reason, "session over");
        }

        // Out of the table first: whoever hears of the end may dial at once.
        shared.end(self);
        self.outbox.close();
        if connected {
            tokio::select! {
                biased;
                // It fails when the transport was dropped, and nobody is there to hear of it.
                _ = shared.events.send(Delivery::Disconnected(Arc::clone(self))) => (),
                () = shared.closed.raised() => (),
            }
        }
        drop(order);
        shared.forget_turn(&self.peer, turn);
    }
}

struct Writer<N: Net> {
    shared: Arc<Shared<N>>,
    channel: Arc<Channel>,
    stream: WriteHalf<N::Stream>,
}

impl<N: Net> Writer<N> {
    /// Sends `unsent`, and then what waits in `outbox`, one record at a time, so that control
    /// waits for no more than one record of bulk. Returns when the outbox is finished and empty.
    async fn run(mut self, outbox: &Outbox, unsent: Vec<u8>) -> Result<(), End> {
        let mut packer = Packer::new();
        let mut out = unsent;
        self.write(&out).await?;
        loop {
            out.clear();
            // Asked before packing: what was pushed before the finish is packed after it.
            let finishing = outbox.is_finishing();
            if packer.pack(outbox, &self.channel, &mut out) {
                self.write(&out).await?;
            } else if finishing {
                packer.pack_farewell(&self.channel, &mut out);
                self.write(&out).await?;
                self.stream.shutdown().await?;
                return Ok(());
            } else {
                packer.shrink(KEPT_BYTES);
                out.shrink_to(KEPT_BYTES);
                outbox.woken().await;
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        let limit = self.shared.limits.write_stall;
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = self.shared.within(limit, self.stream.write(rest)).await;
            let written = written.ok_or(End::Stalled)??;
            if written == 0 {
                return Err(End::Closed);
            }
            rest = &rest[written..];
        }
        self.shared.within(limit, self.stream.flush()).await.ok_or(End::Stalled)??;
        Ok(())
    }
}

struct Reader<S> {
    channel: Arc<Channel>,
    stream: ReadHalf<S>,
    input: Vec<u8>,
}

impl<S> Reader<S> {
    /// Delivers what arrives until the session is over, and says why it is.
    async fn run<N: Net<Stream = S>>(mut self, shared: &Shared<N>, session: &Session) -> End
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite,
    {
        let mut unpacker = Unpacker::new();
        let budget = Arc::new(Semaphore::new(shared.limits.inbound_bytes));
        loop {
            let mut used = 0;
            let missing = loop {
                let input = &self.input[used..];
                let record = match Unpacker::record_bytes(input) {
                    Ok(bytes) => &input[..bytes],
                    Err(bytes) => break bytes - input.len(),
                };
                let unpacked = match unpacker.unpack(record, &self.channel) {
                    Ok(unpacked) => unpacked,
                    Err(error) => return End::Record(error),
                };
                used += record.len();
                for frame in unpacked.frames {
                    if !deliver(shared, session, &budget, frame).await {
                        return End::Here;
                    }
                }
                if unpacked.farewell {
                    return End::Farewell;
                }
            };
            self.input.drain(..used);
            self.input.reserve(missing.max(READ_BYTES));
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) => return End::Closed,
                Ok(_) => (),
                Err(error) => return End::Io(error),
            }
            if missing < READ_BYTES && self.input.len() < READ_BYTES {
                self.input.shrink_to(2 * KEPT_BYTES);
                unpacker.shrink(KEPT_BYTES);
            }
        }
    }
}

/// Hands `frame` on once there is room for it; until then nothing is read from the peer. Whether
/// somebody was there to take it.
async fn deliver<N: Net>(
    shared: &Shared<N>,
    session: &Session,
    budget: &Arc<Semaphore>,
    frame: Blob,
) -> bool {
    let cost = u32::try_from(frame.len() + FRAME_COST_BYTES).expect("frames are far shorter");
    let room = Arc::clone(budget).acquire_many_owned(cost).await;
    let room = room.expect("the budget is never closed");
    let peer = session.peer.clone();
    shared.events.send(Delivery::Frame { peer, frame, room }).await.is_ok()
}
