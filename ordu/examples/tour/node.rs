//! One node process: a program that uses Ordu, and does what the tour asks it over a pipe.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ordu::{ChildSpec, Context, MemberStatus, Node, NodeId, Process, StartError, StopReason};
use ordu_transport_mem::{FaultControl, Faulty};
use ordu_transport_tcp::{Config, Secret, Tcp, TokioNet};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, Stdin, Stdout};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::Failure;
use crate::words::{Answer, Asked, Line, Member, Members, Request, Setup};

/// The cluster that all tours are.
const CLUSTER: &str = "tour";
/// The supervisor and the registry that the children are in.
const SCOPE: &str = "default";
/// How many calls or starts are under way at once.
const AT_ONCE: usize = 32;
/// How long one call may take, and how long to wait before the next.
const CALL: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_millis(5);
/// How often the members are looked at.
const LOOK: Duration = Duration::from_millis(5);

/// A child: it knows its place among the names and counts how often it was called.
struct Child {
    calls: u64,
    _instance: Instance,
}

/// What a child answers.
#[derive(serde::Serialize, serde::Deserialize)]
struct Called {
    process: String,
    calls: u64,
}

impl Process for Child {
    const KIND: &'static str = "tour/child";
    type Args = u32;
    type Message = ();
    type Reply = Called;

    async fn start(place: u32, context: &mut Context<Self>) -> Result<Self, StartError> {
        let calls = context.state().map_or(0, read_count);
        Ok(Self { calls, _instance: Instance::new(place) })
    }

    async fn handle(&mut self, (): (), context: &mut Context<Self>) -> Called {
        self.calls += 1;
        Called { process: context.process_id().to_string(), calls: self.calls }
    }

    async fn stop(self, _: StopReason) -> Option<Vec<u8>> {
        Some(self.calls.to_le_bytes().to_vec())
    }

    /// Both sides of a split counted; whoever goes on has the counts of both.
    async fn absorb(&mut self, state: &[u8]) {
        self.calls += read_count(state);
    }
}

fn read_count(state: &[u8]) -> u64 {
    state.try_into().map_or(0, u64::from_le_bytes)
}

/// Every child that exists in this process, counted by what constructors and destructors do: the
/// one truth about doubles that does not come from the cluster itself.
static INSTANCES: Mutex<BTreeMap<u32, usize>> = Mutex::new(BTreeMap::new());

fn instances() -> MutexGuard<'static, BTreeMap<u32, usize>> {
    INSTANCES.lock().expect("nobody panics with the lock")
}

/// One child that exists in this process, for as long as this value does.
struct Instance(u32);

impl Instance {
    fn new(place: u32) -> Self {
        *instances().entry(place).or_default() += 1;
        Self(place)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let mut instances = instances();
        let count = instances.get_mut(&self.0).expect("its constructor counted it");
        *count -= 1;
        if *count == 0 {
            instances.remove(&self.0);
        }
    }
}

/// Runs a node process until it has left, or until the tour is gone.
pub(crate) fn main() -> ExitCode {
    die_with_parent();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.map_err(Failure::from).and_then(|runtime| runtime.block_on(run())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("a node process failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Lets the system end this process with the tour, even while it is frozen and cannot see that
/// its pipe is closed.
fn die_with_parent() {
    #[cfg(target_os = "linux")]
    {
        let signal = Some(rustix::process::Signal::KILL);
        // Elsewhere, and should this fail, the closed pipe does the same to all that are not
        // frozen.
        let _ = rustix::process::set_parent_process_death_signal(signal);
    }
}

async fn run() -> Result<(), Failure> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let out = Arc::new(tokio::sync::Mutex::new(tokio::io::stdout()));
    let first = lines.next_line().await?.ok_or("the tour said nothing")?;
    let setup: Setup = serde_json::from_str(&first)?;
    let (node, cut) = start(&setup).await?;
    say(&out, &Line::Ready { address: node.local_addr().to_string() }).await?;

    let tour = Arc::new(Tour { node, cut, names: setup.names });
    tokio::spawn(report_members(Arc::clone(&tour), Arc::clone(&out)));
    answer_all(&mut lines, &tour, &out).await
}

/// Starts the node, with a cut between it and its real sockets.
///
/// A program without such a cut says `.secret(..).listen(..)` and needs no transport of its own.
async fn start(setup: &Setup) -> Result<(Node, FaultControl), Failure> {
    let net = Arc::new(TokioNet::new(tokio::runtime::Handle::current()));
    let id = NodeId::new(setup.node.as_str())?;
    let mut config = Config::new(CLUSTER, id, (Ipv4Addr::LOCALHOST, setup.port).into());
    config.secret = Some(Secret::from_bytes(setup.secret.clone())?);
    let transport = Faulty::new(Tcp::bind(Arc::clone(&net), config).await?);
    let cut = transport.control();

    let node = Node::builder(CLUSTER, &setup.node)
        .kind::<Child>()
        .seeds(setup.seeds.clone())
        .transport(Arc::new(transport))
        .runtime(net)
        .start()
        .await?;
    node.ready(Duration::from_secs(30)).await?;
    Ok((node, cut))
}

/// The node, and what it needs to do what it is asked.
struct Tour {
    node: Node,
    cut: FaultControl,
    names: Vec<String>,
}

/// Answers the tour until it has nothing more to ask; each request in a task of its own.
async fn answer_all(
    lines: &mut Lines<BufReader<Stdin>>,
    tour: &Arc<Tour>,
    out: &Arc<tokio::sync::Mutex<Stdout>>,
) -> Result<(), Failure> {
    while let Some(line) = lines.next_line().await? {
        let Asked { number, request } = serde_json::from_str(&line)?;
        let (tour, out) = (Arc::clone(tour), Arc::clone(out));
        tokio::spawn(async move {
            let result = tour.answer(request).await.map_err(|error| error.to_string());
            // A tour that is gone wants no answer.
            let _ = say(&out, &Line::Answer { number, result }).await;
        });
    }
    Ok(())
}

impl Tour {
    async fn answer(self: &Arc<Self>, request: Request) -> Result<Answer, Failure> {
        match request {
            Request::Start { from, to } => self.start_children(from, to).await?,
            Request::Call { names, within_ms } => {
                let until = Instant::now() + Duration::from_millis(within_ms);
                return Ok(Answer::Called(self.call_all(names, until).await));
            }
            Request::Running => {
                let each = |(&place, &count)| std::iter::repeat_n(place as usize, count);
                return Ok(Answer::Running(instances().iter().flat_map(each).collect()));
            }
            Request::Settle { within_ms } => {
                self.node.settled().timeout(Duration::from_millis(within_ms)).await?;
            }
            Request::Cut { peers } => {
                let peers: Result<Vec<NodeId>, _> = peers.into_iter().map(NodeId::new).collect();
                self.cut.cut(&peers?);
            }
            Request::Heal => self.cut.heal(),
            Request::Leave { within_ms } => {
                self.node.leave().timeout(Duration::from_millis(within_ms)).await?;
            }
        }
        Ok(Answer::Done)
    }

    /// Starts the children in a range of the names, a few at once.
    async fn start_children(self: &Arc<Self>, from: usize, to: usize) -> Result<(), Failure> {
        let next = Arc::new(AtomicUsize::new(from));
        let mut workers = JoinSet::new();
        for _ in 0..AT_ONCE {
            let (tour, next) = (Arc::clone(self), Arc::clone(&next));
            workers.spawn(async move {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    if place >= to {
                        return Ok::<_, Failure>(());
                    }
                    let name = tour.names[place].as_str();
                    let spec = ChildSpec::new::<Child>(&(place as u32)).named(name);
                    let started = tour.node.supervisor(SCOPE).start_child(spec).await;
                    started.map_err(|error| format!("{name}: {error}"))?;
                }
            });
        }
        while let Some(worker) = workers.join_next().await {
            worker??;
        }
        Ok(())
    }

    /// Calls children by name until each has answered or it is `until`; returns who answered.
    async fn call_all(self: &Arc<Self>, places: Vec<usize>, until: Instant) -> Vec<Option<String>> {
        let count = places.len();
        let places = Arc::new(places);
        let next = Arc::new(AtomicUsize::new(0));
        let mut workers = JoinSet::new();
        for _ in 0..AT_ONCE.min(count) {
            let (tour, places, next) = (Arc::clone(self), Arc::clone(&places), Arc::clone(&next));
            workers.spawn(async move {
                let mut answered = Vec::new();
                loop {
                    let turn = next.fetch_add(1, Ordering::Relaxed);
                    let Some(&place) = places.get(turn) else { return answered };
                    let call = tour.call_until_answered(&tour.names[place]);
                    answered.extend(timeout_at(until, call).await.ok().map(|by| (turn, by)));
                }
            });
        }
        let mut answers = vec![None; count];
        for (turn, process) in workers.join_all().await.into_iter().flatten() {
            answers[turn] = Some(process);
        }
        answers
    }

    /// Calls the child called `name`, wherever it runs, until it answers.
    async fn call_until_answered(&self, name: &str) -> String {
        loop {
            let call = self.node.registry(SCOPE).call::<Child>(name, &());
            match call.timeout(CALL).await {
                Ok(called) => return called.process,
                // Whatever it is, a takeover mends it or the deadline ends it.
                Err(_) => sleep(RETRY).await,
            }
        }
    }
}

/// Tells the tour whenever the members change.
async fn report_members(tour: Arc<Tour>, out: Arc<tokio::sync::Mutex<Stdout>>) {
    let mut last = Members::new();
    loop {
        let members = look_at_members(&tour.node);
        if members != last {
            if say(&out, &Line::Members(members.clone())).await.is_err() {
                return;
            }
            last = members;
        }
        sleep(LOOK).await;
    }
}

fn look_at_members(node: &Node) -> Members {
    let members = node.members().into_iter();
    let seen = members.map(|member| {
        let up = match member.status {
            MemberStatus::Alive | MemberStatus::Suspect => true,
            MemberStatus::Joining | MemberStatus::Down | MemberStatus::Leaving => false,
        };
        (member.node.to_string(), Member { up, life: member.incarnation.counter })
    });
    seen.collect()
}

async fn say(out: &tokio::sync::Mutex<Stdout>, line: &Line) -> Result<(), Failure> {
    let mut json = serde_json::to_vec(line)?;
    json.push(b'\n');
    let mut out = out.lock().await;
    out.write_all(&json).await?;
    Ok(out.flush().await?)
}
