//! Carries out what a node's state machine asks for; decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ordu_core::message::{CallFailure, Envelope};
use ordu_core::transport::{BoxFuture, Runtime, SendError, Transport};
use ordu_core::wire::encode_frame;
use ordu_core::{
    Blob, Event, ExitReason, Input, Lease, Name, NodeId, Output, ProcessEvent, ProcessId, Replica,
    Reply, Scope, Start, StartReason, StopReason, Time, VoterRecord,
};
use tokio::select;
use tokio::sync::{mpsc, oneshot};

use crate::gate::Gate;
use crate::inbox::{DeliverError, Delivery, Inbox};
use crate::kinds::Kinds;
use crate::log;
use crate::node::Node;
use crate::runner::{BeginOnce, Birth, End, Life, run};
use crate::store::Keeper;
use crate::watchdog::Watchdog;

/// The hands of a driver: its processes, its sessions, and all who wait for an answer.
///
/// Invariant: `processes` holds each number from its start until the event that ends it was taken
/// from the mailbox; `leased` those of them that were started under a lease.
pub(crate) struct Hands {
    node: Node,
    transport: Arc<dyn Transport>,
    kinds: Kinds,
    processes: BTreeMap<u64, Arc<Inbox>>,
    leased: BTreeMap<u64, Arc<Gate>>,
    /// Watches those whose supervisor was told to abort.
    watchdog: Option<Watchdog>,
    /// The names that processes hold under leases.
    holding: BTreeMap<u64, BTreeSet<(Scope, Name)>>,
    /// How long a process may go on that has lost a name.
    conflict_grace: Duration,
    waiting: BTreeMap<u64, Waiting>,
    tickets: u64,
    replica: Option<Replica>,
    /// Who saves what is to be stored, if there is a store.
    keeper: Option<Keeper>,
    /// What was found out while outputs were carried out, to be fed at once.
    inputs: Vec<Input>,
    exit: Option<ExitReason>,
    /// The last envelope sent and its frame: what goes to many peers is encoded once.
    sent: Option<(Envelope, Blob)>,
    alive: mpsc::Sender<()>,
    all_over: mpsc::Receiver<()>,
}

/// Who waits for the answer to a request.
enum Waiting {
    Reply(oneshot::Sender<Reply>),
    Spawn(Box<BeginOnce>, oneshot::Sender<ProcessId>),
}

/// How long a process may take to start, and to run.
#[derive(Clone, Copy, Debug, Default)]
struct Limits {
    /// When it is started, and how long that may take; `None` if no supervisor waits for it.
    start: Option<(Time, Duration)>,
    /// When its lease ends unless it is renewed; `None` if it needs none.
    leased_until: Option<Time>,
    /// Whether the program is aborted if it is being polled when its lease ends.
    is_watched: bool,
}

impl Hands {
    /// How much longer than their grace processes are waited for at the end of a node: one that
    /// blocks its thread never notices that its time is over.
    const PATIENCE: Duration = Duration::from_secs(1);

    /// Creates hands with nothing in them.
    pub(crate) fn new(node: Node, transport: Arc<dyn Transport>, kinds: Kinds) -> Self {
        let (alive, all_over) = mpsc::channel(1);
        Self {
            node,
            transport,
            kinds,
            processes: BTreeMap::new(),
            leased: BTreeMap::new(),
            watchdog: None,
            holding: BTreeMap::new(),
            conflict_grace: Duration::ZERO,
            waiting: BTreeMap::new(),
            tickets: 0,
            keeper: None,
            replica: None,
            inputs: Vec::new(),
            exit: None,
            sent: None,
            alive,
            all_over,
        }
    }

    /// Returns them with `keeper` to save what is to be stored.
    pub(crate) fn with_store(mut self, keeper: Option<Keeper>) -> Self {
        self.keeper = keeper;
        self
    }

    /// Gives processes that have lost a name `grace` to stop.
    pub(crate) fn with_grace(mut self, grace: Duration) -> Self {
        self.conflict_grace = grace;
        self
    }

    /// Returns them with `watchdog` to watch their processes.
    pub(crate) fn watched_by(mut self, watchdog: Option<Watchdog>) -> Self {
        self.watchdog = watchdog;
        self
    }

    /// Returns a new ticket, whose reply goes to `answer`.
    pub(crate) fn expect_reply(&mut self, answer: oneshot::Sender<Reply>) -> u64 {
        self.expect(Waiting::Reply(answer))
    }

    /// Returns a new ticket, whose reply starts the process that `begin` makes.
    pub(crate) fn expect_spawn(
        &mut self,
        begin: Box<BeginOnce>,
        answer: oneshot::Sender<ProcessId>,
    ) -> u64 {
        self.expect(Waiting::Spawn(begin, answer))
    }

    fn expect(&mut self, waiting: Waiting) -> u64 {
        self.tickets += 1;
        self.waiting.insert(self.tickets, waiting);
        self.tickets
    }

    /// Takes note of what happened to a process, before the machine does.
    pub(crate) fn note_process(&mut self, number: u64, event: &ProcessEvent) {
        match event {
            ProcessEvent::Started => (),
            ProcessEvent::StartFailed { .. }
            | ProcessEvent::Ignored
            | ProcessEvent::Exited { .. }
            | ProcessEvent::Stopped { .. } => {
                let gone = self.processes.remove(&number);
                assert!(gone.is_some(), "process {number} ends once");
                self.leased.remove(&number);
                self.holding.remove(&number);
            }
        }
    }

    /// Returns what was found out while outputs were carried out.
    pub(crate) fn take_inputs(&mut self) -> Vec<Input> {
        std::mem::take(&mut self.inputs)
    }

    /// Returns why the node is over, once it is.
    pub(crate) fn take_exit(&mut self) -> Option<ExitReason> {
        self.exit.take()
    }

    /// Carries out one output.
    pub(crate) fn carry_out(&mut self, now: Time, output: Output) {
        match output {
            Output::Send { to, envelope } => self.send(&to, envelope),
            Output::Dial { address } => self.transport.dial(&address),
            Output::HangUp { address } => self.transport.hang_up(&address),
            Output::Disconnect { peer } => self.transport.disconnect(&peer),
            Output::Start(start) => self.start(now, start),
            Output::Stop { number, reason, grace } => {
                if let Some(inbox) = self.processes.get(&number) {
                    inbox.stop(reason, now + grace);
                }
            }
            Output::Renew { until, but } => self.renew(now, until, but),
            Output::Persist { number, record } => self.persist(number, record),
            Output::Hold { number, scope, name, lease } => self.hold(number, (scope, name), lease),
            Output::Absorb { number, state } => {
                let absorbed = self.processes.get(&number).is_some_and(|p| p.absorb(state));
                if !absorbed {
                    tracing::warn!(number, "a state came for a process that is over");
                }
            }
            Output::Deliver { number, payload, call } => {
                self.deliver(number, Delivery { payload, call });
            }
            Output::Reply { ticket, reply } => self.reply(ticket, reply),
            Output::View(change) => self.node.view().apply(change),
            Output::Event(event) => self.tell(event),
            Output::Exit(reason) => self.exit = Some(reason),
        }
    }

    fn send(&mut self, to: &NodeId, envelope: Envelope) {
        let lane = envelope.message.lane();
        let frame = match &self.sent {
            Some((before, frame)) if *before == envelope => frame.clone(),
            _ => Blob::from(encode_frame(&envelope)),
        };
        match self.transport.send(to, lane, frame.clone()) {
            Ok(()) => (),
            Err(error @ SendError::TooLong { .. }) => {
                tracing::error!(%error, "a frame was dropped")
            }
            Err(error) => tracing::debug!(%error, "a frame was dropped"),
        }
        self.sent = Some((envelope, frame));
    }

    fn start(&mut self, now: Time, start: Start) {
        let Start { number, scope, child, kind, args, reason, state, timeout, lease } = start;
        let Some(begin) = self.kinds.find(&kind) else {
            let reason = format!("this node has no code for kind {kind:?}");
            let event = ProcessEvent::StartFailed { reason };
            self.inputs.push(Input::Process { number, event });
            return;
        };
        let (process, token) = (self.process(number), lease.map(|lease| lease.token));
        let birth = Birth { process, child: Some(child), args, reason, state, token };
        let leased_until = lease.map(|Lease { until, .. }| until);
        let is_watched = self.watchdog.as_ref().is_some_and(|watchdog| watchdog.watches(scope));
        let limits = Limits { start: Some((now, timeout)), leased_until, is_watched };
        self.launch(birth, limits, |life| begin(life));
    }

    fn persist(&mut self, number: u64, record: VoterRecord) {
        let keeper = self.keeper.as_ref().expect("only who has a store is told to store");
        keeper.save(number, record);
    }

    /// Lets all processes that run under a lease go on until `until`, all but those that are
    /// listed in `but`; what has ended meanwhile stays so.
    fn renew(&mut self, now: Time, until: Time, but: Vec<u64>) {
        let but: BTreeSet<u64> = but.into_iter().collect();
        let runtime = self.node.runtime();
        for (number, gate) in self.leased.iter().filter(|(number, _)| !but.contains(number)) {
            if !gate.renew(until, &**runtime) {
                tracing::debug!(number, "a lease was renewed that had ended here");
            }
        }
        for number in self.holding.keys().filter(|number| !but.contains(number)) {
            let Some(inbox) = self.processes.get(number) else { continue };
            if !inbox.gate().renew_names(until, &**runtime) {
                tracing::debug!(number, "a lease on a name was renewed that had ended here");
                inbox.stop(StopReason::NameLapsed, now + self.conflict_grace);
            }
        }
    }

    /// Notes that a process holds `name` under a lease, or does not any more.
    fn hold(&mut self, number: u64, name: (Scope, Name), lease: Option<Lease>) {
        let Some(inbox) = self.processes.get(&number) else { return };
        let names = self.holding.entry(number).or_default();
        if let Some(Lease { until, .. }) = lease {
            names.insert(name);
            inbox.gate().hold_name(until);
            return;
        }
        names.remove(&name);
        if names.is_empty() {
            self.holding.remove(&number);
            inbox.gate().hold_no_name();
        }
    }

    /// Runs what `begin` makes as the process of `birth`.
    fn launch(
        &mut self,
        birth: Birth,
        limits: Limits,
        begin: impl FnOnce(Arc<Life>) -> BoxFuture<End>,
    ) {
        let number = birth.process.number;
        let Limits { start, leased_until, is_watched } = limits;
        let starts_by = start.map(|(now, timeout)| now + timeout);
        let gate = Gate::new(starts_by, leased_until);
        let gate = match self.watchdog.as_ref().filter(|_| is_watched) {
            Some(watchdog) => watchdog.watch(gate, &birth.process),
            None => Arc::new(gate),
        };
        let inbox = Arc::new(Inbox::new(gate, self.node.messages_max()));
        let before = self.processes.insert(number, Arc::clone(&inbox));
        assert!(before.is_none(), "process {number} runs already");
        if leased_until.is_some() {
            self.leased.insert(number, Arc::clone(inbox.gate()));
        }

        let supervised = start.map(|(_, timeout)| timeout);
        let life = Arc::new(Life { node: self.node.clone(), inbox, birth, supervised });
        let body = begin(Arc::clone(&life));
        self.node.runtime().spawn(Box::pin(run(life, body, self.alive.clone())));
    }

    fn process(&self, number: u64) -> ProcessId {
        let replica = self.replica.clone().expect("a node joins before it starts anything");
        ProcessId { replica, number }
    }

    fn deliver(&mut self, number: u64, delivery: Delivery) {
        let call = delivery.call;
        let result = match self.processes.get(&number) {
            Some(inbox) => inbox.deliver(delivery),
            None => Err(DeliverError::Over),
        };
        let failure = match result {
            Ok(()) => return,
            Err(DeliverError::Full) => CallFailure::Overloaded,
            Err(DeliverError::Over) => CallFailure::NoProcess,
        };
        match call {
            Some(call) => self.inputs.push(Input::Answer { call, result: Err(failure) }),
            None => tracing::warn!(number, ?failure, "a message without a caller was dropped"),
        }
    }

    fn reply(&mut self, ticket: u64, reply: Reply) {
        let waiting = self.waiting.remove(&ticket);
        // Whoever asked may be gone; then nobody wants the answer.
        match waiting.expect("a request is answered once") {
            Waiting::Reply(answer) => drop(answer.send(reply)),
            Waiting::Spawn(begin, answer) => {
                // Every other reply is a refusal, and the closed channel says so.
                let Reply::Spawn(process) = reply else { return };
                let birth = Birth {
                    process: process.clone(),
                    child: None,
                    args: Blob::default(),
                    reason: StartReason::Fresh,
                    state: None,
                    token: None,
                };
                self.launch(birth, Limits::default(), begin);
                drop(answer.send(process));
            }
        }
    }

    fn tell(&mut self, event: Event) {
        log::event(&event);
        if let Event::Joined { replica } = &event {
            self.replica = Some(replica.clone());
        }
        if let Event::Conflict(conflict) = &event {
            self.node.conflict_journal().add(conflict);
        }
        self.node.events_feed().send(|| event);
    }

    /// Stops every process, waits until all are over or `stop_by` has passed.
    pub(crate) async fn stop_all(&mut self, stop_by: Time, runtime: &dyn Runtime) {
        for inbox in self.processes.values() {
            inbox.stop(StopReason::NodeDown, stop_by);
        }
        let (unused, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut self.alive, unused));
        select! {
            biased;
            // Nothing is ever sent: this ends when the last process is gone.
            _ = self.all_over.recv() => (),
            () = runtime.sleep_until(stop_by + Self::PATIENCE) => {
                tracing::error!("a process blocks its thread and cannot be stopped");
            }
        }
    }

    /// Ends all that is left.
    pub(crate) async fn finish(&mut self) {
        self.close_gates();
        self.waiting.clear();
        self.node.view().close();
        self.node.events_feed().close();
        self.transport.close().await;
        if let Some(keeper) = self.keeper.take() {
            keeper.finish(&**self.node.runtime()).await;
        }
    }

    fn close_gates(&mut self) {
        self.leased.clear();
        self.holding.clear();
        for inbox in std::mem::take(&mut self.processes).into_values() {
            inbox.stop(StopReason::NodeDown, Time::ZERO);
        }
    }
}

impl Drop for Hands {
    /// Lets no process outlive its node, not even one whose driver panicked.
    fn drop(&mut self) {
        self.close_gates();
    }
}

#[cfg(test)]
mod tests;
