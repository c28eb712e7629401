//! One node process: it does what the bench asks, and takes the time itself.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ordu::{
    ChildSpec, Context, MemberStatus, Node, NodeId, Process, ProcessId, Secret, StartError,
};
use ordu_transport_mem::{FaultControl, Faulty};
use ordu_transport_tcp::{Config, Tcp, TokioNet};
use tokio::task::JoinSet;

use crate::counting::{Counted, Counting};
use crate::words::{Answer, Request, Setup, wall_nanos};

/// How long anything may take before the bench is given up.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long to rest between two looks at what is awaited.
const LOOK: Duration = Duration::from_micros(20);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A child that does nothing.
struct Idle;

impl Process for Idle {
    const KIND: &'static str = "idle";
    type Args = ();
    type Message = ();
    type Reply = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, StartError> {
        Ok(Self)
    }

    async fn handle(&mut self, (): (), _: &mut Context<Self>) {}
}

/// Runs a node process until the bench has nothing more to ask.
pub(crate) fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("the system has threads");
    if let Err(error) = runtime.block_on(run()) {
        eprintln!("a node process failed: {error}");
        std::process::exit(1);
    }
    // Whatever still runs has nobody left to measure it.
    std::process::exit(0);
}

async fn run() -> Result<(), Failure> {
    let mut lines = std::io::stdin().lock().lines();
    let first = lines.next().ok_or("the bench said nothing")??;
    let bench = Bench::start(serde_json::from_str(&first)?).await?;
    say(&bench.node.local_addr().to_string())?;
    for line in lines {
        let answer = bench.answer(serde_json::from_str(&line?)?).await?;
        say(&answer)?;
    }
    Ok(())
}

fn say(value: &impl serde::Serialize) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(value)?)?;
    Ok(out.flush()?)
}

/// The node, what its transport counts and loses, and the processes on it that hold names.
struct Bench {
    node: Node,
    counted: Counted,
    faults: FaultControl,
    /// It holds all names but those of [`Request::Hold`].
    holder: ProcessId,
    /// How many of the others were told to stop.
    stopped: Arc<AtomicUsize>,
}

impl Bench {
    async fn start(setup: Setup) -> Result<Self, Failure> {
        let net = Arc::new(TokioNet::new(tokio::runtime::Handle::current()));
        let id = NodeId::new(setup.node.as_str())?;
        let loopback = (std::net::Ipv4Addr::LOCALHOST, 0);
        let mut config = Config::new("bench", id, loopback.into());
        config.secret = Some(Secret::from_bytes(setup.secret)?);
        let transport = Faulty::new(Tcp::bind(Arc::clone(&net), config).await?);
        let faults = transport.control();
        let transport = Counting::new(transport);
        let counted = transport.counted();
        let node = Node::builder("bench", setup.node)
            .kind::<Idle>()
            .seeds(setup.seeds)
            .transport(Arc::new(transport))
            .runtime(net)
            .start()
            .await?;
        node.ready(PATIENCE).await?;
        let holder = node.spawn(|context: Context| async move { context.stopped().await }).await?;
        Ok(Self { node, counted, faults, holder, stopped: Arc::default() })
    }

    async fn answer(&self, request: Request) -> Result<Answer, Failure> {
        let began = wall_nanos();
        match request {
            Request::Register { prefix, count, at_once } => {
                let (node, holder) = (self.node.clone(), self.holder.clone());
                each(count, at_once, move |number| {
                    let name = format!("{prefix}{number}");
                    let register = node.registry("default").register(name, holder.clone());
                    async move { Ok(register.await.map(drop)?) }
                })
                .await?;
            }
            Request::Hold { prefix, count } => self.hold(prefix, count).await?,
            Request::AwaitStopped { count } => {
                let stopped = Arc::clone(&self.stopped);
                until(move || stopped.load(Ordering::Relaxed) >= count).await?;
            }
            Request::AwaitMembers { count } => {
                let node = self.node.clone();
                until(move || {
                    let members = node.members().into_iter();
                    members.filter(|member| member.status != MemberStatus::Down).count() == count
                })
                .await?;
            }
            Request::Cut { from } => self.faults.cut(&[NodeId::new(from.as_str())?]),
            Request::Heal => self.faults.heal(),
            Request::Start { count, at_once } => {
                let node = self.node.clone();
                each(count, at_once, move |_| {
                    let start = node.supervisor("default").start_child(ChildSpec::new::<Idle>(&()));
                    async move { Ok(start.timeout(PATIENCE).await.map(drop)?) }
                })
                .await?;
            }
            Request::AwaitNames { count } => {
                let registry = self.node.registry("default");
                until(move || registry.count() >= count).await?;
            }
            Request::AwaitName { name } => {
                let registry = self.node.registry("default");
                until(move || registry.lookup(&name).is_some()).await?;
            }
            Request::AwaitRunning { children, not_on } => {
                let supervisor = self.node.supervisor("default");
                until(move || {
                    let all = supervisor.children();
                    let runs = |process: &Option<ProcessId>| {
                        process.as_ref().is_some_and(|p| p.replica.node().as_str() != not_on)
                    };
                    all.len() == children && all.iter().all(|child| runs(&child.process))
                })
                .await?;
            }
            Request::Settle => self.node.settled().timeout(PATIENCE).await?,
            Request::Lookup { prefix, count, rounds, writes } => {
                let writer =
                    writes.then(|| tokio::spawn(write(self.node.clone(), self.holder.clone())));
                let registry = self.node.registry("default");
                let nanos = look_up(&prefix, count, rounds, move |name| {
                    std::hint::black_box(registry.lookup(name).expect("it is registered"));
                });
                let nanos = nanos.await?;
                if let Some(writer) = writer {
                    writer.abort();
                }
                return Ok(Answer::Each { nanos });
            }
            Request::LookupBare { prefix, count, rounds } => {
                let state = foldhash::fast::FixedState::with_seed(7);
                let map = papaya::HashMap::with_hasher(state);
                for number in 0..count {
                    map.pin().insert(format!("{prefix}{number}"), self.holder.clone());
                }
                let nanos = look_up(&prefix, count, rounds, move |name| {
                    std::hint::black_box(map.pin().get(name).cloned().expect("it is there"));
                });
                return Ok(Answer::Each { nanos: nanos.await? });
            }
            Request::Select { prefix, count, rounds } => {
                return self.select(&prefix, count, rounds);
            }
            Request::Memory => return Ok(Answer::Bytes(resident_bytes()?)),
            Request::Traffic => return Ok(Answer::Bytes(self.counted.bytes())),
        }
        Ok(Answer::Took { began, ended: wall_nanos() })
    }

    /// Asks for names by prefix; answers how long each name took that was found.
    fn select(&self, prefix: &str, count: usize, rounds: usize) -> Result<Answer, Failure> {
        let registry = self.node.registry("default");
        let began = Instant::now();
        let mut found = 0;
        for number in (0..count).cycle().take(count * rounds) {
            found += registry.select().prefix(format!("{prefix}{number}")).entries()?.len();
        }
        Ok(Answer::Each { nanos: began.elapsed().as_nanos() as f64 / found as f64 })
    }

    /// Runs a process for each of the names, which waits until it is told to stop.
    async fn hold(&self, prefix: String, count: usize) -> Result<(), Failure> {
        let (node, stopped) = (self.node.clone(), Arc::clone(&self.stopped));
        each(count, 64, move |number| {
            let name = format!("{prefix}{number}");
            let (node, stopped) = (node.clone(), Arc::clone(&stopped));
            async move {
                let process = node.spawn(|context: Context| async move {
                    context.stopped().await;
                    stopped.fetch_add(1, Ordering::Relaxed);
                });
                let process = process.await?;
                Ok(node.registry("default").register(name, process).await.map(drop)?)
            }
        })
        .await
    }
}

/// Looks the names `{prefix}{number}` up, each `rounds` times, far from the last one, and returns
/// how long each took, in nanoseconds; on a thread of its own, beside the node.
async fn look_up(
    prefix: &str,
    count: usize,
    rounds: usize,
    find: impl Fn(&str) + Send + 'static,
) -> Result<f64, Failure> {
    // A prime stride that does not divide the count visits every name.
    const STRIDE: usize = 7_919;
    assert!(!count.is_multiple_of(STRIDE), "every name is visited");
    let places = (0..count).map(|turn| turn * STRIDE % count);
    let names: Vec<String> = places.map(|number| format!("{prefix}{number}")).collect();
    let looks = tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        for _ in 0..rounds {
            names.iter().for_each(|name| find(name));
        }
        began.elapsed().as_nanos() as f64 / (names.len() * rounds) as f64
    });
    Ok(looks.await?)
}

/// Gives names and gives them up again, ten thousand of them a second in all, until it is aborted.
async fn write(node: Node, holder: ProcessId) -> Result<(), Failure> {
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    let registry = node.registry("default");
    loop {
        ticks.tick().await;
        for number in 0..5 {
            let name = format!("written/{number}");
            registry.register(name.as_str(), holder.clone()).await?;
            registry.unregister(name.as_str(), holder.clone()).await?;
        }
    }
}

/// Does `work` for each number below `count`, `at_once` of them under way at once.
async fn each<F>(
    count: usize,
    at_once: usize,
    work: impl Fn(usize) -> F + Clone + Send + 'static,
) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>> + Send,
{
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..at_once {
        let (next, work) = (Arc::clone(&next), work.clone());
        workers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok::<_, Failure>(());
                }
                work(number).await?;
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    Ok(())
}

/// Waits until `is_so`, on a thread of its own so that nothing else waits for the looks.
async fn until(is_so: impl Fn() -> bool + Send + 'static) -> Result<(), Failure> {
    let looks = tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        while !is_so() {
            if began.elapsed() > PATIENCE {
                return Err(Failure::from("what was awaited did not come"));
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    });
    looks.await?
}

/// Returns how much memory this process has in use.
fn resident_bytes() -> Result<u64, Failure> {
    const PAGE_BYTES: u64 = 4_096;
    let pages = std::fs::read_to_string("/proc/self/statm")?;
    let resident = pages.split(' ').nth(1).ok_or("the second number is the resident pages")?;
    Ok(resident.parse::<u64>()? * PAGE_BYTES)
}
