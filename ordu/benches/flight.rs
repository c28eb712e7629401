//! What a flight recorder costs a whole node: processor time of two nodes on real sockets, with
//! and without recorders.
//!
//! `cargo bench -p ordu --bench flight`. Two nodes in one program start 2,000 children, call them
//! 64,000 times from both sides with 200 bytes, and register 3,200 names meanwhile; in turns
//! without recorders, with ones that hash payloads, and with ones that keep them. Prints the
//! processor time of a call, the least of all rounds, and by how much a recorder adds to it.

#![allow(clippy::print_stdout, reason = "printing is what a bench is for")]

use std::sync::Arc;
use std::time::Duration;

use ordu::{
    ChildSpec, Context, FlightRecorder, Node, NodeBuilder, Payloads, Process, Secret, StartError,
};
use tokio::task::JoinSet;

const ROUNDS: usize = 6;
const CHILDREN: u64 = 2_000;
const CALLERS: u64 = 16;
const CALLS: u64 = 4_000;
const PAYLOAD: usize = 200;

/// A child that says how much it was told.
struct Echo;

impl Process for Echo {
    const KIND: &'static str = "echo";
    type Args = ();
    type Message = Vec<u8>;
    type Reply = u64;

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, StartError> {
        Ok(Self)
    }

    async fn handle(&mut self, told: Vec<u8>, _: &mut Context<Self>) -> u64 {
        told.len() as u64
    }
}

/// Returns the processor time of the whole program so far.
#[cfg(unix)]
fn spent() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).expect("it is not negative")
}

/// Returns the time on the wall, where nobody says how long the processor was busy.
#[cfg(not(unix))]
#[allow(clippy::disallowed_methods, reason = "a bench takes real time")]
fn spent() -> Duration {
    std::time::SystemTime::UNIX_EPOCH.elapsed().expect("the clock is past 1970")
}

fn node(id: &str, payloads: Option<Payloads>) -> NodeBuilder {
    let secret = Secret::from_bytes(*b"correct horse battery staple, 32").expect("it is long");
    let node = Node::builder("bench", id).kind::<Echo>().secret(secret);
    match payloads {
        Some(payloads) => {
            // Nobody loses here, so that nothing is written.
            let directory = std::env::temp_dir().join("ordu-bench-flight");
            node.flight_recorder(FlightRecorder::new(directory).payloads(payloads))
        }
        None => node,
    }
}

/// Returns the processor time of one round.
async fn round(payloads: Option<Payloads>) -> Duration {
    let a = node("a", payloads).start().await.expect("loopback has free ports");
    let b = node("b", payloads).seeds([a.local_addr()]).start().await.expect("as before");
    b.ready(Duration::from_secs(20)).await.expect("the other one listens");
    b.settled().await.expect("two nodes come to rest");
    let holder = a.spawn(async |context: Context| context.stopped().await).await.expect("it runs");
    let before = spent();
    for number in 0..CHILDREN {
        let child = ChildSpec::new::<Echo>(&()).named(format!("echo/{number}"));
        a.supervisor("default").start_child(child).await.expect("the name is free");
    }
    let message = Arc::new(vec![7; PAYLOAD]);
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let registry = [&a, &b][caller as usize % 2].registry("default");
        let (holder, message) = (holder.clone(), Arc::clone(&message));
        callers.spawn(async move {
            for call in 0..CALLS {
                let name = format!("echo/{}", (call * 7 + caller) % CHILDREN);
                registry.call::<Echo>(name, &message).await.expect("it runs");
                if call % 20 == 0 {
                    let name = format!("name/{caller}/{call}");
                    registry.register(name, holder.clone()).await.expect("it is free");
                }
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended.expect("no caller panics");
    }
    let took = spent() - before;
    a.halt().await;
    b.halt().await;
    took
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let kinds = [None, Some(Payloads::Hashed), Some(Payloads::Kept)];
    let mut least = [Duration::MAX; 3];
    for _ in 0..ROUNDS {
        for (least, payloads) in least.iter_mut().zip(kinds) {
            *least = round(payloads).await.min(*least);
        }
    }
    let each = |took: Duration| took.as_secs_f64() * 1e6 / (CALLERS * CALLS) as f64;
    let more = |took: Duration| (took.as_secs_f64() / least[0].as_secs_f64() - 1.0) * 100.0;
    println!(
        "{:.1} µs of processor time a call; payloads hashed {:+.2} %, kept {:+.2} %",
        each(least[0]),
        more(least[1]),
        more(least[2]),
    );
}
