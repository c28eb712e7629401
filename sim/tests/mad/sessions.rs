//! Sockets of the simulation, raw and under the real TCP transport.

use std::sync::Arc;
use std::time::Duration;

use ordu_core::transport::{Lane, Runtime, Transport, TransportEvent};
use ordu_core::{Address, Blob};
use ordu_sim::mad::{Lab, Log, MadRuntime, simulate};
use ordu_sim::{Host, N1, N2, seeds};
use ordu_transport_tcp::{Config, Net, Secret, Tcp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn a_raw_connection_carries_bytes_both_ways() {
    for seed in seeds(5) {
        simulate(seed, async |_| {
            let mut lab = Lab::new();
            lab.boot(N1, async || {
                let net = MadRuntime::current();
                let (listener, bound) = net.bind(Lab::address(N1)).await.unwrap();
                assert_eq!(bound, Lab::address(N1));
                let (mut stream, _) = net.accept(&listener).await.unwrap();
                let mut bytes = [0; 5];
                stream.read_exact(&mut bytes).await.unwrap();
                stream.write_all(&bytes).await.unwrap();
                stream.flush().await.unwrap();
                std::future::pending().await
            });
            let (sender, receiver) = tokio::sync::oneshot::channel();
            lab.boot(N2, std::future::pending);
            lab.spawn(N2, async move {
                let net = MadRuntime::current();
                let address = Lab::address(N1).to_string();
                net.sleep_until(net.now() + Duration::from_millis(50)).await;
                let mut stream = net.connect(&address).await.unwrap();
                stream.write_all(b"hello").await.unwrap();
                stream.flush().await.unwrap();
                let mut bytes = [0; 5];
                stream.read_exact(&mut bytes).await.unwrap();
                sender.send(bytes).unwrap();
            });
            assert_eq!(&receiver.await.unwrap(), b"hello");
        });
    }
}

#[test]
fn nobody_listens_where_nobody_was_booted() {
    simulate(1, async |_| {
        let mut lab = Lab::new();
        lab.boot(N1, std::future::pending);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        lab.spawn(N1, async move {
            let result = MadRuntime::current().connect(&Lab::address(N2).to_string()).await;
            sender.send(result.map(drop).map_err(|error| error.kind())).unwrap();
        });
        assert_eq!(receiver.await.unwrap(), Err(std::io::ErrorKind::ConnectionRefused));
    });
}

/// One life of a machine whose transport dials the other, sends a frame every 100 ms on either
/// lane, and logs all that it hears.
async fn chat(host: Host, peer: Host, log: Log) {
    let runtime = Arc::new(MadRuntime::current());
    let mut config = Config::new("test", host.id(), Lab::address(host));
    config.secret =
        Some(Secret::from_bytes((0..32).collect::<Vec<u8>>()).expect("it is long enough"));
    let transport =
        Arc::new(Tcp::bind(Arc::clone(&runtime), config).await.expect("nobody else listens there"));
    let address = Address::new(Lab::address(peer).to_string()).expect("an address is an address");
    transport.dial(&address);

    let (sender, ours) = (Arc::clone(&transport), Arc::clone(&runtime));
    runtime.spawn(Box::pin(async move {
        for number in 0_u32.. {
            ours.sleep_until(ours.now() + Duration::from_millis(100)).await;
            let lane = if number.is_multiple_of(2) { Lane::Control } else { Lane::Bulk };
            // Without a session the frame is lost, and that is all.
            let _ = sender.send(&peer.id(), lane, Blob::from(number.to_string().as_str()));
        }
    }));
    while let Some(event) = transport.next().await {
        if let TransportEvent::Disconnected { .. } = event {
            transport.dial(&address);
        }
        log.note(format!("{host} {event:?}"));
    }
}

async fn chat_through_trouble(log: Log) {
    let mut lab = Lab::new();
    for (host, peer) in [(N1, N2), (N2, N1)] {
        let log = log.clone();
        lab.boot(host, move || chat(host, peer, log.clone()));
    }
    let runtime = MadRuntime::current();
    let pass = async |seconds| {
        runtime.sleep_until(runtime.now() + Duration::from_secs(seconds)).await;
    };
    // Returns how much `host` wrote in the log since the line `from` that holds `text`.
    let heard = |from: usize, host: Host, text: &str| {
        let lines = log.written();
        // A line is a time, a host and what the host heard.
        let by = |line: &&String| line.split_whitespace().nth(1) == Some(&host.to_string());
        lines[from..].iter().filter(by).filter(|line| line.contains(text)).count()
    };

    pass(5).await;
    assert_eq!(heard(0, N1, " Connected"), 1, "one session, whoever dials");
    assert_eq!(heard(0, N2, " Connected"), 1, "one session, whoever dials");
    assert!(heard(0, N1, "Frame") >= 40);

    // A cut link is silence, then everything.
    let from = log.written().len();
    lab.partition(&[N1], &[N2]);
    pass(3).await;
    assert!(heard(from, N1, "Frame") <= 1, "what was on its way may arrive");
    lab.heal();
    pass(12).await;
    assert!(heard(from, N1, "Frame") >= 20);

    // A killed machine is noticed, and found again after its restart.
    let from = log.written().len();
    lab.kill(N2);
    pass(2).await;
    assert_eq!(heard(from, N1, "Disconnected"), 1);
    assert!(heard(from, N1, "Refused") >= 1);
    lab.restart(N2);
    pass(10).await;
    assert_eq!(heard(from, N1, " Connected"), 1);
    assert!(heard(from, N1, "Frame") >= 20);
}

#[test]
fn the_tcp_transport_lives_through_cuts_and_deaths() {
    for seed in seeds(5) {
        simulate(seed, chat_through_trouble);
    }
}

#[test]
fn sessions_over_tcp_are_the_same_for_the_same_seed() {
    for seed in seeds(3) {
        let hash = simulate(seed, chat_through_trouble);
        assert_eq!(hash, simulate(seed, chat_through_trouble), "seed {seed}");
        assert_ne!(hash, simulate(seed + 1, chat_through_trouble), "seed {seed}");
    }
}
