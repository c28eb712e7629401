//! What the machine itself can do.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Instant;

use crate::rows::{Row, Tell};

/// One byte to another thread and back.
pub(super) fn round_trip(tell: Tell<'_>) {
    tell(Row {
        work: "bare TCP round trip of one byte, two threads",
        value: tcp_round_trip_us(),
        unit: "µs",
        target: "the limit of this run",
        peers: "23–45",
    });
}

/// Returns the median time that one byte takes to another thread and back, over loopback TCP.
fn tcp_round_trip_us() -> f64 {
    const TIMES: usize = 5_000;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
    let address = listener.local_addr().expect("it is bound");
    let echo = std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().expect("somebody connects");
        peer.set_nodelay(true).expect("it is connected");
        let mut byte = [0];
        while peer.read_exact(&mut byte).is_ok() && peer.write_all(&byte).is_ok() {}
    });
    let mut stream = TcpStream::connect(address).expect("it is listened there");
    stream.set_nodelay(true).expect("it is connected");
    let mut nanos = BTreeMap::new();
    for time in 0..TIMES {
        let (began, mut byte) = (Instant::now(), [7]);
        stream.write_all(&byte).and_then(|()| stream.read_exact(&mut byte)).expect("it echoes");
        nanos.insert((began.elapsed().as_nanos(), time), ());
    }
    drop(stream);
    echo.join().expect("an echo does not panic");
    let median = nanos.keys().nth(TIMES / 2).expect("it was measured");
    median.0 as f64 / 1e3
}
