//! Tokio's runtime: the only place that reads a clock, starts a task, or opens a socket.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ordu_core::transport::{BoxFuture, Runtime};
use ordu_core::{Time, Wall};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;

use crate::net::Net;

/// Tokio's runtime and sockets. A clone is of the same runtime and clock.
#[derive(Clone, Debug)]
pub struct TokioNet {
    handle: Handle,
    origin: Duration,
}

impl TokioNet {
    /// Longest stretch slept at once: tokio's timers stand still while the machine sleeps, so one
    /// that was due meanwhile fires at most this much after the thaw.
    const NAP: Duration = Duration::from_secs(5);

    /// Connections that wait to be accepted.
    const BACKLOG: u32 = 1_024;

    /// Returns the runtime of `handle`, with a clock that starts now.
    ///
    /// The runtime must have I/O and time enabled.
    pub fn new(handle: Handle) -> Self {
        Self { handle, origin: elapsed() }
    }

    /// Returns the runtime that the caller runs in.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime.
    pub fn current() -> Self {
        Self::new(Handle::current())
    }

    fn listen(&self, address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
        let _guard = self.handle.enter();
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A restarted node listens where its last life's connections still linger. On Windows the
        // option would let two listeners share the port.
        if cfg!(unix) {
            socket.set_reuseaddr(true)?;
        }
        socket.bind(address)?;
        let listener = socket.listen(Self::BACKLOG)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }
}

impl Runtime for TokioNet {
    fn spawn(&self, task: BoxFuture<()>) {
        self.handle.spawn(task);
    }

    fn now(&self) -> Time {
        let us = elapsed().saturating_sub(self.origin).as_micros();
        Time::from_micros(u64::try_from(us).expect("584 000 years are enough"))
    }

    fn wall(&self) -> Wall {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Wall::from_millis(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
    }

    fn sleep_until(&self, at: Time) -> BoxFuture<()> {
        let net = self.clone();
        Box::pin(async move {
            loop {
                let left = at.since(net.now());
                if left.is_zero() {
                    return;
                }
                let nap = {
                    let _guard = net.handle.enter();
                    tokio::time::sleep(left.min(Self::NAP))
                };
                nap.await;
            }
        })
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the system has randomness");
    }
}

impl Net for TokioNet {
    type Stream = TcpStream;
    type Listener = TcpListener;

    async fn bind(&self, address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
        self.listen(address)
    }

    async fn accept(&self, listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, address))
    }

    async fn connect(&self, address: &str) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Returns the time since some fixed point, such as the machine's start.
///
/// Linux's `CLOCK_MONOTONIC` stops in suspend and `CLOCK_BOOTTIME` does not; on Apple's systems it
/// is `CLOCK_MONOTONIC` that goes on.
#[cfg(any(
    target_os = "linux",
    target_os = "android",
    target_os = "fuchsia",
    target_vendor = "apple"
))]
fn elapsed() -> Duration {
    use rustix::time::{ClockId, clock_gettime};

    #[cfg(not(target_vendor = "apple"))]
    const CLOCK: ClockId = ClockId::Boottime;
    #[cfg(target_vendor = "apple")]
    const CLOCK: ClockId = ClockId::Monotonic;

    let now = clock_gettime(CLOCK);
    let seconds = u64::try_from(now.tv_sec).expect("the machine started before now");
    let nanoseconds = u32::try_from(now.tv_nsec).expect("a second has fewer than 2^32 of them");
    Duration::new(seconds, nanoseconds)
}

/// Returns the time since the first call, on the clock that the standard library chose.
#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "fuchsia",
    target_vendor = "apple"
)))]
fn elapsed() -> Duration {
    static ORIGIN: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    ORIGIN.get_or_init(std::time::Instant::now).elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleep_ends_when_its_time_has_come() {
        let net = TokioNet::current();
        let at = net.now() + Duration::from_millis(30);
        net.sleep_until(at).await;
        assert!(net.now() >= at, "woke at {} for {at}", net.now());
        net.sleep_until(Time::ZERO).await;
    }

    #[tokio::test]
    async fn randomness_is_not_the_same_twice() {
        let net = TokioNet::current();
        let (mut a, mut b) = ([0; 32], [0; 32]);
        net.fill_random(&mut a);
        net.fill_random(&mut b);
        assert_ne!(a, b);
    }

    #[test]
    fn the_clock_goes_forward_by_what_passes() {
        let before = elapsed();
        std::thread::sleep(Duration::from_millis(20));
        let passed = elapsed() - before;

        assert!(passed >= Duration::from_millis(20), "{passed:?} passed");
        assert!(passed < Duration::from_secs(20), "{passed:?} passed");
    }
}
