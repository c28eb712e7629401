//! A wire between two nodes that can be tampered with.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ordu_core::transport::Address;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, tcp};

/// What the wire does to the bytes that go from the dialer to the listener.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Harm {
    None,
    /// One bit of the byte at this offset is flipped.
    Flip(usize, u8),
    /// The connection ends after so many bytes.
    Cut(usize),
    /// Nothing passes after so many bytes, and nobody is told.
    Swallow(usize),
}

/// Relays every connection to `to`, until it is frozen.
pub(crate) struct Proxy {
    pub(crate) address: Address,
    frozen: Arc<AtomicBool>,
}

impl Proxy {
    pub(crate) async fn start(to: &Address, harm: Harm) -> Self {
        let to: SocketAddr = to.as_str().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::new(listener.local_addr().unwrap().to_string()).unwrap();
        let frozen = Arc::new(AtomicBool::new(false));
        let is_frozen = Arc::clone(&frozen);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(to).await else { continue };
                let ((near_in, near_out), (far_in, far_out)) =
                    (near.into_split(), far.into_split());
                tokio::spawn(relay(near_in, far_out, harm, Arc::clone(&is_frozen)));
                tokio::spawn(relay(far_in, near_out, Harm::None, Arc::clone(&is_frozen)));
            }
        });
        Self { address, frozen }
    }

    /// Lets nothing pass any more, not even the news that a side is gone.
    pub(crate) fn freeze(&self) {
        self.frozen.store(true, Ordering::SeqCst);
    }
}

async fn relay(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    harm: Harm,
    frozen: Arc<AtomicBool>,
) {
    let mut passed = 0;
    let mut bytes = vec![0; 16 << 10];
    loop {
        let read = from.read(&mut bytes).await.unwrap_or(0);
        if frozen.load(Ordering::SeqCst) {
            // Both sockets stay open, and nobody reads from them.
            std::future::pending::<()>().await;
        }
        if read == 0 {
            return;
        }
        let bytes = &mut bytes[..read];
        match harm {
            Harm::Flip(at, bit) if (passed..passed + read).contains(&at) => {
                bytes[at - passed] ^= 1 << bit;
            }
            Harm::Cut(at) if passed + read > at => {
                let _ = to.write_all(&bytes[..at - passed]).await;
                return;
            }
            Harm::Swallow(at) if passed + read > at => {
                let _ = to.write_all(&bytes[..at - passed]).await;
                std::future::pending::<()>().await;
            }
            Harm::None | Harm::Flip(..) | Harm::Cut(_) | Harm::Swallow(_) => (),
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
        passed += read;
    }
}
