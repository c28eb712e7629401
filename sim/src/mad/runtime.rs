//! What a node in a simulation runs on.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, UNIX_EPOCH};

use madsim::net::{TcpListener, TcpStream};
use madsim::rand::{self, RngCore};
use madsim::runtime::{Handle, NodeHandle};
use madsim::time::{Sleep, TimeHandle};
use ordu_core::transport::{BoxFuture, Runtime};
use ordu_core::{Time, Wall};
use ordu_transport_tcp::Net;

/// The clock, the tasks, the randomness and the sockets of one machine of a simulation.
///
/// Make one for each life of a machine, within it; everything it spawns dies with that life.
#[derive(Clone)]
pub struct MadRuntime {
    node: NodeHandle,
}

impl MadRuntime {
    /// Returns the runtime of the machine that the caller runs on.
    ///
    /// # Panics
    ///
    /// Panics outside a simulation.
    pub fn current() -> Self {
        let node = Handle::current().get_node(madsim::plugin::node());
        Self { node: node.expect("who calls runs on a machine") }
    }
}

impl Runtime for MadRuntime {
    fn spawn(&self, task: BoxFuture<()>) {
        drop(self.node.spawn(task));
    }

    fn now(&self) -> Time {
        Time::ZERO + TimeHandle::current().elapsed()
    }

    fn wall(&self) -> Wall {
        let wall = TimeHandle::current().now_time().duration_since(UNIX_EPOCH);
        let ms = wall.unwrap_or_default().as_millis();
        Wall::from_millis(u64::try_from(ms).unwrap_or(u64::MAX))
    }

    fn sleep_until(&self, at: Time) -> BoxFuture<()> {
        // A sleep counts from when it is made, so it is made on the first poll, like any other.
        let runtime = self.clone();
        Box::pin(async move {
            let left = at.since(runtime.now());
            if !left.is_zero() {
                // Madsim's clock has nanoseconds, ours microseconds: one more is never too early.
                let sleep = madsim::time::sleep(left + Duration::from_micros(1));
                Nap { sleep, waker: None }.await;
            }
        })
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        rand::thread_rng().fill_bytes(bytes);
    }
}

impl Net for MadRuntime {
    type Stream = TcpStream;
    type Listener = TcpListener;

    async fn bind(&self, address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    async fn accept(&self, listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        listener.accept().await
    }

    async fn connect(&self, address: &str) -> io::Result<TcpStream> {
        TcpStream::connect(address).await
    }
}

/// A sleep that sets one timer, however often it is polled.
///
/// Madsim's own sets another one at every poll and removes none, so that a loop that waits for a
/// message or a far deadline would gather timers without end.
struct Nap {
    sleep: Sleep,
    waker: Option<Waker>,
}

impl Future for Nap {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.sleep.is_elapsed() {
            return Poll::Ready(());
        }
        if self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            return Poll::Pending;
        }
        self.waker = Some(context.waker().clone());
        Pin::new(&mut self.sleep).poll(context)
    }
}
