//! Real nodes on simulated machines, with what befalls them and what their users see of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ordu::{Event, MemberStatus, NameEvent, Node, NodeBuilder, Runtime, Secret, Time, Transport};
use ordu_core::Address;
use ordu_transport_mem::{Config as MemConfig, Hub, Mem};
use ordu_transport_tcp::{Config as TcpConfig, Tcp};

use crate::mad::{Lab, Log, MadRuntime};
use crate::{Host, Network};

/// How the nodes of a [`Cluster`] reach each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Medium {
    /// The TCP transport with a secret, on the simulated network. A cut delays what is sent.
    Tcp,
    /// The in-memory transport. A cut loses what is sent.
    Mem,
}

impl Medium {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Tcp, Self::Mem];
}

/// Real nodes, `n1` and so on, each on a machine of its own, that seek each other.
///
/// Its log gets every fault, every event of every node, every change of each node's view of the
/// registry `default`, and how nodes end: two runs that differ in anything that a user could have
/// observed differ in their hash.
pub struct Cluster {
    lab: Lab,
    hub: Option<Hub>,
    runtime: MadRuntime,
    log: Log,
    nodes: Nodes,
    /// What the life of a machine is made of, but for whose it is.
    mould: Life,
    hosts: u16,
    up: BTreeSet<Host>,
    links: Links,
}

/// The handles of the nodes' present lives.
type Nodes = Arc<Mutex<BTreeMap<Host, Node>>>;

/// What one life of a node is made of.
#[derive(Clone)]
struct Life {
    /// The machine.
    host: Host,
    /// Whose name the node goes by: the machine's own, unless it was copied from another.
    name: Host,
    seeds: Vec<String>,
    hub: Option<Hub>,
    describe: Arc<Describe>,
    hear: Arc<Hear>,
    nodes: Nodes,
    log: Log,
}

/// Completes the description of a node: what it can run, and its times.
type Describe = dyn Fn(Host, NodeBuilder) -> NodeBuilder + Send + Sync;

/// Hears what whoever listens to a node is told.
type Hear = dyn Fn(Host, &Told) + Send + Sync;

/// What whoever listens to a node is told.
#[derive(Debug)]
pub(crate) enum Told {
    /// Something happened.
    Event(Event),
    /// A name of the registry `default` changed.
    Name(NameEvent),
    /// The node is over.
    Over,
}

impl Cluster {
    const NAME: &'static str = "simulated";
    const SECRET: [u8; 32] = *b"known to everyone who reads this";
    /// Pause between two looks at whether something has come about.
    const LOOK: Duration = Duration::from_millis(50);

    /// Boots the machines `n1` to `n{hosts}`, within a simulation. Each life of a node is described
    /// by `describe` anew.
    ///
    /// # Panics
    ///
    /// Panics outside a simulation, and in the simulation if a description is not valid.
    pub fn boot(
        log: &Log,
        medium: Medium,
        hosts: u16,
        describe: impl Fn(Host, NodeBuilder) -> NodeBuilder + Send + Sync + 'static,
    ) -> Self {
        Self::boot_heard(log, medium, hosts, describe, |_, _| {})
    }

    /// As [`boot`](Self::boot); `hear` gets whatever the listeners on the machines are told.
    pub(crate) fn boot_heard(
        log: &Log,
        medium: Medium,
        hosts: u16,
        describe: impl Fn(Host, NodeBuilder) -> NodeBuilder + Send + Sync + 'static,
        hear: impl Fn(Host, &Told) + Send + Sync + 'static,
    ) -> Self {
        let runtime = MadRuntime::current();
        let hub = match medium {
            Medium::Tcp => None,
            Medium::Mem => {
                let mut seed = [0; 8];
                runtime.fill_random(&mut seed);
                Some(Hub::new(u64::from_le_bytes(seed)))
            }
        };
        let up: BTreeSet<Host> = (1..=hosts).map(Host::new).collect();
        let (mut lab, nodes) = (Lab::new(), Nodes::default());
        let any = Host::new(1);
        let mould = Life {
            host: any,
            name: any,
            seeds: Vec::new(),
            hub: hub.clone(),
            describe: Arc::new(describe),
            hear: Arc::new(hear),
            nodes: Arc::clone(&nodes),
            log: log.clone(),
        };
        for &host in &up {
            let life = mould.of(host, host, &up);
            lab.boot(host, move || life.clone().live());
        }
        let (log, links) = (log.clone(), Links::default());
        Self { lab, hub, runtime, log, nodes, mould, hosts, up, links }
    }

    /// Returns the handle of the node on `host`: of its present life, or of the last one.
    ///
    /// Everything that it does works from anywhere in the simulation; while the machine is frozen,
    /// nothing answers.
    ///
    /// # Panics
    ///
    /// Panics if the node has not started yet; it has once the cluster was at rest.
    pub fn node(&self, host: Host) -> Node {
        self.started(host).unwrap_or_else(|| panic!("{host} has not started"))
    }

    /// Returns the handle of the node on `host` once its present life, or the last, has begun.
    pub(crate) fn started(&self, host: Host) -> Option<Node> {
        locked(&self.nodes).get(&host).cloned()
    }

    /// Runs `task` beside the machines.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(Box::pin(task));
    }

    /// Returns the machines whose nodes run, frozen or not.
    pub fn up(&self) -> Vec<Host> {
        self.up.iter().copied().collect()
    }

    /// Returns the time, the same on all machines.
    pub fn now(&self) -> Time {
        self.runtime.now()
    }

    /// Writes into the log what a user saw, now.
    ///
    /// # Panics
    ///
    /// Panics outside a simulation.
    pub fn note(&self, what: impl fmt::Display) {
        self.log.note(what);
    }

    /// Lets `duration` pass.
    pub async fn pass(&self, duration: Duration) {
        self.runtime.sleep_until(self.runtime.now() + duration).await;
    }

    /// Lets time pass until `is_so`.
    ///
    /// # Panics
    ///
    /// Panics, naming `what` was waited for, once that takes longer than `within`.
    pub async fn until(&self, what: &str, within: Duration, mut is_so: impl AsyncFnMut() -> bool) {
        let deadline = self.runtime.now() + within;
        while !is_so().await {
            assert!(self.runtime.now() < deadline, "waited longer than {within:?} for {what}");
            self.pass(Self::LOOK).await;
        }
        self.note(format_args!("after a wait: {what}"));
    }

    /// Lets time pass until all nodes that run know each other and are at rest, and logs the
    /// members that each of them sees.
    ///
    /// # Panics
    ///
    /// Panics once that takes longer than `within`.
    pub async fn rest(&self, within: Duration) {
        let first = *self.up.first().expect("there is a cluster");
        self.until("all to be at rest", within, async || {
            self.know_each_other()
                && match self.node(first).settled().timeout(within).await {
                    Ok(()) => true,
                    Err(error) => {
                        self.note(format_args!("{first} is not at rest: {error}"));
                        false
                    }
                }
        })
        .await;
        for &host in &self.up {
            self.note(format_args!("{host} sees {:?}", self.members(host)));
        }
    }

    /// Returns the members that `host` knows, and how they are.
    pub fn members(&self, host: Host) -> BTreeMap<String, MemberStatus> {
        let members = self.node(host).members().into_iter();
        members.map(|member| (member.node.to_string(), member.status)).collect()
    }

    /// Returns whether each node that runs takes all others that run for alive.
    pub(crate) fn know_each_other(&self) -> bool {
        let started = |host: &Host| locked(&self.nodes).contains_key(host);
        let knows_all = |&host: &Host| {
            let members = self.members(host);
            let alive = |peer: &Host| members.get(&peer.to_string()) == Some(&MemberStatus::Alive);
            self.up.iter().all(alive)
        };
        self.up.iter().all(started) && self.up.iter().all(knows_all)
    }

    /// Kills `host`, and everything on it.
    pub fn kill(&mut self, host: Host) {
        self.note(format_args!("{host} is killed"));
        self.end(host);
        self.up.remove(&host);
    }

    /// Kills `host` unless it is down, and begins the next life of its node.
    pub fn restart(&mut self, host: Host) {
        self.note(format_args!("{host} is started again"));
        self.end(host);
        locked(&self.nodes).remove(&host);
        self.lab.restart(host);
        self.up.insert(host);
    }

    fn end(&self, host: Host) {
        self.lab.kill(host);
        if let Some(hub) = &self.hub {
            hub.kill(&host.id());
        }
    }

    /// Lets the node of `host` leave the cluster, and logs how it went.
    ///
    /// # Panics
    ///
    /// Panics if it could not leave in order.
    pub async fn leave(&mut self, host: Host) {
        self.note(format_args!("{host} is to leave"));
        let left = self.node(host).leave().await;
        self.note(format_args!("{host} has left: {left:?}"));
        assert_eq!(left, Ok(()), "{host} leaves in order");
        self.up.remove(&host);
    }

    /// Boots one more machine, `copy`, with all that `original` was set up with: its node goes by
    /// the same name, has the same secret, and an address of its own. Its handle is that of `copy`.
    ///
    /// # Panics
    ///
    /// Panics if there is such a machine.
    pub fn clone_machine(&mut self, original: Host, copy: Host) {
        self.note(format_args!("{original} is copied to {copy}"));
        let life = self.mould.of(copy, original, &self.up);
        self.lab.boot(copy, move || life.clone().live());
    }

    /// Freezes `host`: its connections stay open and silent.
    pub fn pause(&self, host: Host) {
        self.note(format_args!("{host} is frozen"));
        self.lab.pause(host);
    }

    /// Lets a frozen machine go on.
    pub fn thaw(&self, host: Host) {
        self.note(format_args!("{host} goes on"));
        self.lab.thaw(host);
    }

    /// Cuts every link between the two sides, both ways.
    pub fn partition(&mut self, left: &[Host], right: &[Host]) {
        self.note(format_args!("{left:?} and {right:?} are cut off from each other"));
        let mut cuts = self.links.cuts.clone();
        for (&a, &b) in left.iter().flat_map(|a| right.iter().map(move |b| (a, b))) {
            cuts.extend([(a, b), (b, a)]);
        }
        self.set_cuts(cuts);
    }

    /// Mends every link. On [`Medium::Tcp`] connections go on within ten seconds.
    pub fn heal(&mut self) {
        self.note("all links are mended");
        self.set_cuts(BTreeSet::new());
    }

    /// Cuts these ways, each from one machine to another, and mends all others.
    pub(crate) fn set_cuts(&mut self, cuts: BTreeSet<(Host, Host)>) {
        if self.hub.is_none() {
            for &(from, to) in self.links.cuts.difference(&cuts) {
                self.lab.mend_one_way(from, to);
            }
            for &(from, to) in cuts.difference(&self.links.cuts) {
                self.lab.cut_one_way(from, to);
            }
        }
        self.links.cuts = cuts;
        self.apply_to_hub();
    }

    /// Makes all links such as `weather` says: [`Medium::Tcp`] takes `delay` and `jitter` for all
    /// packets, and loss for a delay; [`Medium::Mem`] the longest of these delays, and loses
    /// frames. Nothing else of it can be had.
    pub(crate) fn set_weather(&mut self, weather: &Network) {
        let loss = u16::try_from(weather.loss_per_mille).expect("no more than all are lost");
        self.links.loss_per_mille = loss;
        self.links.delay = weather.delay + weather.jitter;
        if self.hub.is_none() {
            self.lab.set_latency(weather.delay..self.links.delay + Duration::from_micros(1));
            self.lab.set_loss_per_mille(loss);
        }
        self.apply_to_hub();
    }

    /// Ends the session between two machines, for both of them; says whether the medium can.
    pub(crate) fn break_session(&self, a: Host, b: Host) -> bool {
        let Some(hub) = &self.hub else { return false };
        hub.sever(&a.id(), &b.id());
        self.apply_to_hub();
        true
    }

    /// Tells the hub how its links are; it forgets all of it at every heal.
    fn apply_to_hub(&self) {
        let Some(hub) = &self.hub else { return };
        hub.heal();
        let hosts = || (1..=self.hosts).map(Host::new);
        for (from, to) in hosts().flat_map(|from| hosts().map(move |to| (from, to))) {
            if from != to {
                hub.delay(&from.id(), &to.id(), self.links.delay);
                hub.lose(&from.id(), &to.id(), self.links.loss_per_mille);
            }
        }
        for (from, to) in &self.links.cuts {
            hub.cut_one_way(&from.id(), &to.id());
        }
    }
}

/// What the links between the machines are like.
#[derive(Clone, Debug, Default)]
struct Links {
    cuts: BTreeSet<(Host, Host)>,
    delay: Duration,
    loss_per_mille: u16,
}

impl Life {
    /// Returns the same life, of a node called `name` on `host` that seeks all of `up`.
    fn of(&self, host: Host, name: Host, up: &BTreeSet<Host>) -> Self {
        let others = up.iter().filter(|&&other| other != host && other != name);
        let seeds = others.map(|&other| Lab::address(other).to_string()).collect();
        Self { host, name, seeds, ..self.clone() }
    }

    /// Lives until the node is over, or the machine is killed.
    async fn live(self) {
        let Self { host, seeds, describe, hear, nodes, log, .. } = &self;
        let runtime = Arc::new(MadRuntime::current());
        let transport = self.transport(&runtime).await;
        let builder = Node::builder(Cluster::NAME, self.name.to_string()).seeds(seeds);
        let builder = describe(self.name, builder).transport(transport);
        let node = builder.runtime(Arc::clone(&runtime) as Arc<dyn Runtime>).start().await;
        let node = node.unwrap_or_else(|error| panic!("{host} does not start: {error:?}"));

        // Nothing was awaited since the start, so nothing was missed.
        let (mut events, mut names) =
            (node.events(), node.registry("default").subscribe().expect("every node has it"));
        locked(nodes).insert(*host, node.clone());
        let (who, noted, heard) = (*host, log.clone(), Arc::clone(hear));
        runtime.spawn(Box::pin(async move {
            while let Some(change) = names.next().await {
                noted.note(format_args!("{who} names: {change:?}"));
                heard(who, &Told::Name(change));
            }
        }));
        while let Some(event) = events.next().await {
            let event = event.expect("whoever only writes a log is never too slow");
            log.note(format_args!("{host} {event:?}"));
            hear(*host, &Told::Event(event));
        }
        log.note(format_args!("{host} is over: {:?}", node.over().await));
        hear(*host, &Told::Over);
    }

    async fn transport(&self, runtime: &Arc<MadRuntime>) -> Arc<dyn Transport> {
        let (node, listen) = (self.name.id(), Lab::address(self.host));
        match &self.hub {
            None => {
                let mut config = TcpConfig::new(Cluster::NAME, node, listen);
                let secret = Secret::from_bytes(Cluster::SECRET);
                config.secret = Some(secret.expect("it is long and varied enough"));
                let tcp = Tcp::bind(Arc::clone(runtime), config).await;
                Arc::new(tcp.expect("the last life's socket died with it"))
            }
            Some(hub) => {
                let address = Address::new(listen.to_string());
                let address = address.expect("it is neither empty nor long");
                let config = MemConfig { cluster: Cluster::NAME.to_owned(), node, address };
                let mem = Mem::bind(hub, Arc::clone(runtime) as Arc<dyn Runtime>, config);
                Arc::new(mem.expect("the last life was taken from the hub"))
            }
        }
    }
}

/// Returns the handles, locked; never held across a wait.
fn locked(nodes: &Nodes) -> MutexGuard<'_, BTreeMap<Host, Node>> {
    nodes.lock().unwrap_or_else(PoisonError::into_inner)
}
