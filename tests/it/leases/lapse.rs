//! A real process whose child blocks within a poll when its lease ends, and one whose child does
//! not.
//!
//! Two of three voters run here; the third and the child run in a process of their own, which is
//! this program once more, told by a variable what its child does.

use std::env;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use ordu::{ChildSpec, Context, Node, NodeBuilder, NodeId, OnLapse, StartNodeError, Voters};
use rustix::process::Signal;
use tokio::runtime::{Builder, Runtime};

/// How long the slowest machine may take to do what a fast one does at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a lease is.
const LEASE: Duration = Duration::from_millis(600);

/// For how long a child blocks: longer than any test waits.
const BLOCKED: Duration = Duration::from_secs(300);

/// The supervisor whose children run under leases.
const SUPERVISOR: &str = "payments";

/// What tells the other process what its child does, and where the voters are.
const WAY: &str = "ORDU_TEST_LAPSE";
const SEED: &str = "ORDU_TEST_LAPSE_SEED";

/// The child blocks a thread of two.
const BLOCKS_A_THREAD: &str = "blocks a thread";
/// The child blocks the only thread, and its node with it.
const BLOCKS_THE_THREAD: &str = "blocks the thread";
/// The child waits as it should.
const WAITS: &str = "waits";

fn describe(node: &str) -> NodeBuilder {
    let voters = ["a", "b", "c"].map(|name| NodeId::new(name).unwrap());
    Node::builder("bank", node)
        .leases_granted_by(Voters { lease: LEASE, ..Voters::new(voters) })
        .exclusive(SUPERVISOR)
        .failure_timeout(LEASE)
        .beat_interval(LEASE / 6)
}

/// What the child does.
async fn work(context: Context, blocks: bool) {
    let mut output = io::stdout();
    writeln!(output, "\n@works").unwrap();
    if blocks {
        std::thread::sleep(BLOCKED);
    }
    loop {
        context.sleep(Duration::from_millis(20)).await;
    }
}

/// The other process; where nobody told it what to do it is a test that shows nothing.
#[test]
fn is_run_as_a_process_of_its_own() {
    let Ok(way) = env::var(WAY) else { return };
    let mut runtime = match way.as_str() {
        BLOCKS_THE_THREAD => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let blocks = way != WAITS;
        let node = describe("a").kind_fn("ledger", move |context| work(context, blocks));
        let node = node.on_lapse(SUPERVISOR, OnLapse::Abort).seeds([env::var(SEED).unwrap()]);
        let node = node.start().await.unwrap();
        node.ready(PATIENCE).await.unwrap();
        let supervisor = node.supervisor(SUPERVISOR);
        while supervisor.start_child(ChildSpec::of_kind("ledger", &())).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // It goes on until its input ends.
        let (ended, end) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || ended.send(io::stdin().read_to_end(&mut Vec::new()).is_ok()));
        assert!(end.await.unwrap());
    });
    std::process::exit(0);
}

/// The other process, from outside; it is killed with this value.
struct Process {
    child: Child,
    works: Receiver<()>,
}

impl Process {
    fn start(way: &str, seed: &Node) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["leases::lapse::is_run_as_a_process_of_its_own", "--exact", "--nocapture"]);
        command.env(WAY, way).env(SEED, seed.local_addr().to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (tell, works) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if line == "@works" && tell.send(()).is_err() {
                    return;
                }
            }
        });
        Self { child, works }
    }

    fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until the process is over, and returns how it ended and what it said.
    fn ended(&mut self, patience: Duration) -> (ExitStatus, String) {
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begin.elapsed() < patience, "it still runs after {patience:?}");
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut said = String::new();
        let errors: Option<ChildStderr> = self.child.stderr.take();
        errors.unwrap().read_to_string(&mut said).unwrap();
        (status, said)
    }

    /// Waits until the process is over, which must have aborted itself.
    fn is_aborted(&mut self, patience: Duration) {
        let (status, said) = self.ended(patience);
        assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()), "{status}: {said}");
        assert!(said.contains("ordu: the lease of process a"), "{said}");
        assert!(said.contains("on_lapse"), "{said}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts two voters that run no children.
fn voters() -> (Runtime, [Node; 2]) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let voters = runtime.block_on(async {
        let b = describe("b").start().await.unwrap();
        let c = describe("c").seeds([b.local_addr()]).start().await.unwrap();
        [b, c]
    });
    (runtime, voters)
}

/// A child that blocks is left alone as long as its lease is renewed. Once there are no voters any
/// more its program is gone soon after the lease.
#[test]
fn a_program_is_aborted_whose_child_blocks_beyond_its_lease() {
    let (runtime, voters) = voters();
    let mut process = Process::start(BLOCKS_A_THREAD, &voters[0]);
    process.works.recv_timeout(PATIENCE).unwrap();
    std::thread::sleep(4 * LEASE);
    assert!(process.is_running(), "{:?}", process.ended(PATIENCE));

    runtime.block_on(async {
        for voter in &voters {
            voter.halt().await;
        }
    });
    process.is_aborted(LEASE + Duration::from_secs(10));
}

/// Where the child blocks all there is, nobody renews its lease, though the voters would; and
/// nobody but the watchdog can tell.
#[test]
fn a_program_is_aborted_whose_child_blocks_its_only_thread() {
    let (runtime, voters) = voters();
    let mut process = Process::start(BLOCKS_THE_THREAD, &voters[0]);
    process.works.recv_timeout(PATIENCE).unwrap();
    process.is_aborted(LEASE + Duration::from_secs(10));
    runtime.block_on(async {
        for voter in &voters {
            voter.halt().await;
        }
    });
}

/// A child that waits between short polls is dropped when its lease ends, and nothing else happens.
#[test]
fn a_program_whose_child_does_not_block_outlives_the_lease() {
    let (runtime, voters) = voters();
    let mut process = Process::start(WAITS, &voters[0]);
    process.works.recv_timeout(PATIENCE).unwrap();
    runtime.block_on(async {
        for voter in &voters {
            voter.halt().await;
        }
    });
    std::thread::sleep(6 * LEASE);
    assert!(process.is_running(), "{:?}", process.ended(PATIENCE));
    drop(process.child.stdin.take());
    let (status, said) = process.ended(PATIENCE);
    assert!(status.success(), "{status}: {said}");
}

/// What has no lease cannot outlast it.
#[tokio::test]
async fn a_supervisor_that_is_not_exclusive_has_nothing_to_abort_for() {
    for on_lapse in [OnLapse::Stop, OnLapse::Abort] {
        let node = describe("a").on_lapse("carts", on_lapse).start().await;
        let Err(StartNodeError::NotExclusive { supervisor }) = node else {
            panic!("{node:?} started")
        };
        assert_eq!(supervisor, "carts");
    }
}
