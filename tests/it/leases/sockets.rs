//! Nodes in one process, each with sockets of its own that can be cut off.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ordu::{
    ChildSpec, Context, Event, FileStore, Incoming, Node, NodeId, ProcessId, RegisterError, Secret,
    StopReason, Voters,
};
use ordu_transport_mem::{FaultControl, Faulty};
use ordu_transport_tcp::{Config, Tcp, TokioNet};
use tokio::time::{sleep, timeout};

/// How long the slowest machine may take to do what a fast one does at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a child works.
const PAUSE: Duration = Duration::from_millis(10);

/// A lease that is soon over.
const SHORT: Duration = Duration::from_millis(600);

/// The supervisor whose children run under leases.
const SUPERVISOR: &str = "payments";

/// The registry whose names are held under leases.
const LOCKS: &str = "locks";

/// What one process of a child did.
#[derive(Clone, Debug)]
struct Stint {
    node: String,
    child: u32,
    token: u64,
    /// When it was polled first and last.
    first: Instant,
    last: Instant,
}

/// What all processes did, in the order in which they started.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Stint>>>);

impl Log {
    /// Works for as long as it is polled.
    async fn work(self, node: String, context: Context) -> Result<(), String> {
        let child = context.args::<u32>().map_err(|error| error.to_string())?;
        let token = context.token().ok_or("it has no token")?.as_u64();
        let now = Instant::now();
        let place = {
            let mut stints = self.0.lock().unwrap();
            stints.push(Stint { node, child, token, first: now, last: now });
            stints.len() - 1
        };
        loop {
            let now = Instant::now();
            self.0.lock().unwrap()[place].last = now;
            context.sleep(PAUSE).await;
        }
    }

    fn stints(&self) -> Vec<Stint> {
        self.0.lock().unwrap().clone()
    }

    fn last(&self) -> Option<Stint> {
        self.0.lock().unwrap().last().cloned()
    }

    /// Waits until `found` returns something of what was done.
    async fn wait<T>(&self, what: &str, found: impl Fn(&[Stint]) -> Option<T>) -> T {
        let waiting = async {
            loop {
                if let Some(found) = found(&self.stints()) {
                    return found;
                }
                sleep(PAUSE).await;
            }
        };
        match timeout(PATIENCE, waiting).await {
            Ok(found) => found,
            Err(_) => panic!("{what}: not within {PATIENCE:?}; {:#?}", self.stints()),
        }
    }

    /// Checks that no two processes of a child worked at once, and that tokens tell them apart.
    fn assert_exclusive(&self) {
        let mut stints = self.stints();
        stints.sort_by_key(|stint| (stint.child, stint.first));
        for pair in stints.windows(2).filter(|pair| pair[0].child == pair[1].child) {
            let (before, after) = (&pair[0], &pair[1]);
            assert!(before.last < after.first, "two at once: {before:?} and {after:?}");
            assert!(before.token < after.token, "no higher token: {before:?} and {after:?}");
        }
    }

    /// Returns of how many children a process has worked within the last second.
    fn alive(&self) -> usize {
        let recent = |stint: &&Stint| stint.last.elapsed() < Duration::from_secs(1);
        self.stints().iter().filter(recent).count()
    }
}

/// Nodes called `n1` and so on, the first of which are voters.
struct Cluster {
    voters: Voters,
    /// Where nodes store what they decide as voters.
    stores: PathBuf,
    nodes: Vec<Node>,
    cuts: Vec<FaultControl>,
    log: Log,
}

impl Cluster {
    /// Starts `count` nodes whose leases last for `lease`, and which take each other for dead after
    /// as long.
    async fn start(count: usize, lease: Duration) -> Self {
        Self::start_with(count, count, lease).await
    }

    /// Starts `count` nodes, of which the first `voters` grant leases.
    async fn start_with(count: usize, voters: usize, lease: Duration) -> Self {
        let ids: Vec<NodeId> =
            (1..=count).map(|number| NodeId::new(format!("n{number}")).unwrap()).collect();
        let voters = Voters { lease, ..Voters::new(ids[..voters].to_vec()) };
        let (nodes, cuts, log) = (Vec::new(), Vec::new(), Log::default());
        let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let stores = format!("ordu-voters-{}-{begun}", std::process::id());
        let stores = std::env::temp_dir().join(stores);
        fs::create_dir(&stores).unwrap();
        let mut cluster = Self { voters, stores, nodes, cuts, log };
        for id in &ids {
            let (node, cut) = cluster.boot(id, cluster.nodes.first()).await;
            cluster.nodes.push(node);
            cluster.cuts.push(cut);
        }
        cluster
    }

    /// Starts the node `id` and waits until it knows what `member` knows.
    async fn boot(&self, id: &NodeId, member: Option<&Node>) -> (Node, FaultControl) {
        let net = Arc::new(TokioNet::current());
        let mut config = Config::new("bank", id.clone(), (Ipv4Addr::LOCALHOST, 0).into());
        config.secret = Some(Secret::from_bytes((1..=32).collect::<Vec<u8>>()).unwrap());
        let transport = Faulty::new(Tcp::bind(Arc::clone(&net), config).await.unwrap());
        let cut = transport.control();

        let (log, name, lease) = (self.log.clone(), id.to_string(), self.voters.lease);
        let node = Node::builder("bank", id.as_str())
            .kind_fn("ledger", move |context| log.clone().work(name.clone(), context))
            .leases_granted_by(self.voters.clone())
            .voter_store(FileStore::new(self.stores.join(id.as_str())))
            .exclusive(SUPERVISOR)
            .exclusive_registry(LOCKS)
            .failure_timeout(lease)
            .beat_interval(lease / 6)
            .transport(Arc::new(transport))
            .runtime(net)
            .seeds(member.map(|member| member.local_addr().to_string()))
            .start()
            .await
            .unwrap();
        node.ready(PATIENCE).await.unwrap();
        (node, cut)
    }

    /// Starts `count` children, and waits until they all work.
    async fn start_children(&self, count: u32) {
        let spec = |number: u32| ChildSpec::of_kind("ledger", &number);
        let starting = self.nodes[0].supervisor(SUPERVISOR).start_children((0..count).map(spec));
        for started in starting.timeout(PATIENCE).await {
            started.unwrap();
        }
        let all = usize::try_from(count).unwrap();
        self.log.wait("the children work", |stints| (all <= stints.len()).then_some(())).await;
    }

    fn place(&self, name: &str) -> usize {
        self.nodes.iter().position(|node| node.id().as_str() == name).unwrap()
    }

    /// Loses all frames between the node at `place` and the others.
    fn isolate(&self, place: usize) {
        let ids: Vec<NodeId> = self.nodes.iter().map(|node| node.id().clone()).collect();
        self.cuts[place].cut(&ids);
    }

    async fn halt(&self) {
        for node in &self.nodes {
            node.halt().await;
        }
        fs::remove_dir_all(&self.stores).unwrap();
    }
}

/// Waits until a process elsewhere than on the node of `before` has worked for a while.
async fn goes_on_elsewhere(log: &Log, before: &Stint) -> Stint {
    let elsewhere = |stints: &[Stint]| {
        let last = stints.last()?;
        let works = Duration::from_millis(200) < last.last.duration_since(last.first);
        (last.node != before.node && works).then(|| last.clone())
    };
    let after = log.wait("the child works elsewhere", elsewhere).await;
    assert!(before.token < after.token, "{before:?} and {after:?}");
    after
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_holder_dies_its_child_works_elsewhere_with_a_higher_token() {
    let cluster = Cluster::start(3, SHORT).await;
    cluster.start_children(1).await;

    let before = cluster.log.last().unwrap();
    cluster.nodes[cluster.place(&before.node)].halt().await;
    goes_on_elsewhere(&cluster.log, &before).await;
    cluster.halt().await;
    cluster.log.assert_exclusive();
}

/// Nobody can tell the holder that it is not one any more; it goes by its clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_is_cut_off_has_stopped_before_another_works() {
    let cluster = Cluster::start(3, SHORT).await;
    cluster.start_children(1).await;

    for _ in 0..3 {
        let before = cluster.log.last().unwrap();
        let place = cluster.place(&before.node);
        let mut events = cluster.nodes[place].events();
        cluster.isolate(place);
        let after = goes_on_elsewhere(&cluster.log, &before).await;
        let lapsed = async {
            loop {
                if let Some(Ok(Event::LeaseLapsed { .. })) = events.next().await {
                    break;
                }
            }
        };
        timeout(PATIENCE, lapsed).await.expect("the holder says so");

        // Healed, it learns that its child works elsewhere, and leaves it there.
        cluster.cuts[place].heal();
        let seen = cluster.log.stints().len();
        sleep(2 * SHORT).await;
        let more = cluster.log.stints();
        assert!(more[seen..].iter().all(|stint| stint.token > after.token), "{more:#?}");
        cluster.log.assert_exclusive();
    }
    cluster.halt().await;
    cluster.log.assert_exclusive();
}

/// Who is left alone keeps nothing running, and starts nothing, for as long as it is alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_nothing_works_until_there_is_one_again() {
    let mut cluster = Cluster::start(3, SHORT).await;
    cluster.start_children(6).await;
    let (dead, alone) = (&cluster.nodes[1..], &cluster.nodes[0]);
    for node in dead {
        node.halt().await;
    }
    sleep(3 * SHORT).await;
    assert_eq!(cluster.log.alive(), 0, "{:#?}", cluster.log.stints());
    let before = cluster.log.stints().len();
    sleep(5 * SHORT).await;
    assert_eq!(cluster.log.stints().len(), before, "{:#?}", cluster.log.stints());

    // One more is enough, though it has forgotten what it had promised.
    let id = cluster.nodes[1].id().clone();
    let (node, cut) = cluster.boot(&id, Some(alone)).await;
    (cluster.nodes[1], cluster.cuts[1]) = (node, cut);
    cluster.log.wait("all work again", |_| (cluster.log.alive() == 6).then_some(())).await;
    cluster.halt().await;
    cluster.log.assert_exclusive();
}

/// What is released is not waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_leaves_hands_its_child_over_before_its_lease_would_have_ended() {
    let cluster = Cluster::start(3, Duration::from_secs(10)).await;
    cluster.start_children(1).await;
    cluster.nodes[0].settled().timeout(PATIENCE).await.unwrap();

    let before = cluster.log.last().unwrap();
    let begin = Instant::now();
    cluster.nodes[cluster.place(&before.node)].leave().timeout(PATIENCE).await.unwrap();
    let after = goes_on_elsewhere(&cluster.log, &before).await;
    let took = after.first.duration_since(begin);
    assert!(took < Duration::from_secs(8), "it took {took:?}");
    cluster.halt().await;
    cluster.log.assert_exclusive();
}

/// A machine that holds a voter is lost for good, and another takes its place while children work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_voter_is_replaced_and_what_was_decided_is_found_again() {
    let mut cluster = Cluster::start_with(4, 3, SHORT).await;
    cluster.start_children(4).await;
    let ids: Vec<NodeId> = cluster.nodes.iter().map(|node| node.id().clone()).collect();
    cluster.nodes[2].halt().await;
    cluster.log.wait("all work", |_| (cluster.log.alive() == 4).then_some(())).await;

    let added = cluster.nodes[0].add_voter(&ids[3]).timeout(PATIENCE).await.unwrap();
    assert_eq!((added.epoch, added.nodes.len()), (2, 4));
    let removed = cluster.nodes[3].remove_voter(&ids[2]).timeout(PATIENCE).await.unwrap();
    assert_eq!(removed.nodes.iter().collect::<Vec<_>>(), [&ids[0], &ids[1], &ids[3]]);

    // The new voter counts: with it, two of three are left when another one dies.
    cluster.nodes[0].halt().await;
    sleep(3 * SHORT).await;
    cluster.log.wait("all work", |_| (cluster.log.alive() == 4).then_some(())).await;

    // Told of the first voters only, a node finds in its store by whom they were followed.
    let (node, cut) = cluster.boot(&ids[0], Some(&cluster.nodes[1])).await;
    (cluster.nodes[0], cluster.cuts[0]) = (node, cut);
    let same = cluster.nodes[0].remove_voter(&ids[2]).timeout(PATIENCE).await.unwrap();
    assert_eq!(same, removed);

    let dead = cluster.nodes[1].remove_voter(&ids[2]).timeout(PATIENCE).await.unwrap();
    assert_eq!(dead, removed, "to ask again changes nothing");
    let seen = cluster.nodes[1].supervisor(SUPERVISOR).quorum().await.unwrap();
    assert_eq!(seen.electorate, Some(removed));
    cluster.halt().await;
    cluster.log.assert_exclusive();
}

/// For how long a link is cut: 15 s, or as many as `ORDU_LINK_CUT_SECS` says, where more time is to
/// be had. The longer, the more often leases are renewed meanwhile.
fn cut_for() -> Duration {
    let said = std::env::var("ORDU_LINK_CUT_SECS").ok();
    Duration::from_secs(said.map_or(15, |secs| secs.parse().expect("it is a number")))
}

/// Both ends of a broken link see most of the members, which is no reason to start anything.
async fn one_broken_link_starts_nothing(count: usize) {
    const CHILDREN: u32 = 24;
    let all = usize::try_from(CHILDREN).unwrap();
    let cluster = Cluster::start(count, Duration::from_secs(3)).await;
    cluster.start_children(CHILDREN).await;
    cluster.nodes[0].settled().timeout(PATIENCE).await.unwrap();
    let before = cluster.log.stints().len();
    assert_eq!((before, cluster.log.alive()), (all, all), "each was started once");

    let (one, other) = (cluster.nodes[0].id().clone(), cluster.nodes[1].id().clone());
    cluster.cuts[0].cut(&[other]);
    cluster.cuts[1].cut(&[one]);
    let cut = Instant::now();
    sleep(cut_for()).await;
    let stints = cluster.log.stints();
    assert_eq!(stints.len() - before, 0, "starts more than before the cut: {stints:#?}");
    assert_eq!(cluster.log.alive(), all, "they all work on");
    assert!(stints.iter().all(|stint| stint.first < cut));

    cluster.cuts.iter().for_each(FaultControl::heal);
    sleep(Duration::from_secs(5)).await;
    let stints = cluster.log.stints();
    assert_eq!(stints.len() - before, 0, "starts more than before the cut: {stints:#?}");
    assert_eq!(cluster.log.alive(), all, "they all work on");
    cluster.halt().await;
    cluster.log.assert_exclusive();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_broken_link_among_three_starts_nothing() {
    one_broken_link_starts_nothing(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_broken_link_among_five_starts_nothing() {
    one_broken_link_starts_nothing(5).await;
}

/// When processes were told to stop, and why.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<(Instant, StopReason)>>>);

impl Told {
    /// Starts a process on `node` that writes down when it is told to stop.
    async fn spawn(&self, node: &Node) -> ProcessId {
        let told = self.clone();
        let process = |mut context: Context| async move {
            loop {
                if let Incoming::Stop(reason) = context.next().await {
                    told.0.lock().unwrap().push((Instant::now(), reason));
                    return;
                }
            }
        };
        node.spawn(process).await.unwrap()
    }
}

/// Registers `process` as soon as nobody has the name, and returns when that was.
async fn register_when_free(node: &Node, process: &ProcessId) -> Instant {
    let registering = async {
        loop {
            match node.registry(LOCKS).register("ledger", process).timeout(2 * SHORT).await {
                Ok(_) => return Instant::now(),
                Err(RegisterError::NameTaken { .. } | RegisterError::NotGranted { .. }) => {
                    sleep(PAUSE).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    };
    timeout(PATIENCE, registering).await.expect("the name falls free")
}

/// Who holds a name and is cut off is told that it lost it before anybody else is granted it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_of_a_name_that_is_cut_off_is_told_before_another_registers_it() {
    let cluster = Cluster::start(3, SHORT).await;
    let told = Told::default();
    let first = told.spawn(&cluster.nodes[0]).await;
    register_when_free(&cluster.nodes[0], &first).await;
    sleep(3 * SHORT).await;
    assert!(told.0.lock().unwrap().is_empty(), "it is renewed for as long as it is heard");
    let token = |place: usize| {
        let found = cluster.nodes[place].registry(LOCKS).lookup("ledger");
        found.and_then(|found| found.token)
    };
    let before = token(1).expect("all see who holds it");

    cluster.isolate(0);
    let second = Told::default().spawn(&cluster.nodes[1]).await;
    let granted = register_when_free(&cluster.nodes[1], &second).await;
    let (at, reason) = told.0.lock().unwrap().first().cloned().expect("it was told by then");
    assert!(at < granted, "told {:?} too late", at - granted);
    assert_eq!(reason, StopReason::NameLapsed);
    assert!(Some(before) < token(1), "the later has the higher token");

    // Whoever is cut off is told that it cannot be granted anything.
    let late = told.spawn(&cluster.nodes[0]).await;
    let refused = cluster.nodes[0].registry(LOCKS).register("other", &late).await;
    assert_eq!(refused.unwrap_err(), RegisterError::NoQuorum { up: 1, of: 3 });

    // Healed, it finds the name where it went.
    cluster.cuts[0].heal();
    let is_seen = async {
        while cluster.nodes[0].registry(LOCKS).lookup("ledger").is_none_or(|f| f.process != second)
        {
            sleep(PAUSE).await;
        }
    };
    timeout(PATIENCE, is_seen).await.expect("it hears of the others again");
    cluster.halt().await;
}
