//! A machine that does little, and can be told to do it wrong: for tests of the simulator itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ordu_core::message::{Beat, Cast, Envelope, Message};
use ordu_core::placement::Weight;
use ordu_core::{
    Blob, CausalToken, ChildId, ChildView, Command, Config, Incarnation, Input, Labels,
    MemberStatus, MemberView, NodeId, Output, ProcessEvent, ProcessId, Replica, Reply, RequestId,
    Role, Scope, Stamp, Start, StartReason, StartedChild, StopReason, Time, TimerKind, ViewChange,
    hash64_seeded, wire,
};
use ordu_sim::{Host, Machine, MachineMaker};

/// How often a toy speaks.
pub(crate) const BEAT: Duration = Duration::from_millis(100);

/// What a toy does wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    None,
    /// It never moves its timer on.
    StuckTimer,
    /// It answers no request.
    Mute,
    /// It answers every request twice.
    AnswersTwice,
    /// It answers starts with what belongs to another request.
    AnswersOutOfKind,
    /// It starts every child twice.
    StartsTwice,
    /// It says that it runs every child, and starts none.
    StartsNothing,
    /// It forgets every child that it has started.
    Forgets,
    /// Its outputs depend on something outside it.
    Impure,
    /// It asks for ten thousand things at once.
    Floods,
}

/// Everything the toys were told, with their own time.
pub(crate) type Diary = Arc<Mutex<BTreeMap<Host, Vec<Entry>>>>;

/// One thing that a toy was told.
pub(crate) struct Entry {
    pub(crate) life: Incarnation,
    pub(crate) at: Time,
    pub(crate) input: Input,
}

/// Returns the maker of toys with one fault, and the diary that they all write.
pub(crate) fn toys(fault: Fault) -> (MachineMaker, Diary) {
    let diary = Diary::default();
    let writer = diary.clone();
    let maker: MachineMaker = Box::new(move |config, seed, now| {
        Box::new(Toy::new(config, seed, now, fault, writer.clone()))
    });
    (maker, diary)
}

struct Toy {
    config: Config,
    replica: Replica,
    fault: Fault,
    diary: Diary,
    outputs: VecDeque<Output>,
    beat_at: Time,
    beat: u64,
    peers: BTreeSet<NodeId>,
    starting: BTreeMap<u64, (u64, Scope, ChildId)>,
    stopping: BTreeMap<u64, u64>,
    children: BTreeMap<ChildId, u64>,
    last_number: u64,
    dialled: bool,
    state: u64,
}

impl Toy {
    fn new(config: Config, seed: u64, now: Time, fault: Fault, diary: Diary) -> Self {
        let incarnation = Incarnation { counter: 1, nonce: seed };
        Self {
            replica: Replica::new(config.id.clone(), incarnation),
            config,
            fault,
            diary,
            outputs: VecDeque::new(),
            beat_at: now + BEAT,
            beat: 0,
            peers: BTreeSet::new(),
            starting: BTreeMap::new(),
            stopping: BTreeMap::new(),
            children: BTreeMap::new(),
            last_number: 0,
            dialled: false,
            state: seed,
        }
    }

    fn speak(&mut self, now: Time) {
        self.beat_at = now + BEAT;
        self.beat += 1;
        let bulk = Cast { number: self.beat, payload: Blob::from("bulk") };
        for message in [Message::Beat(Beat { pulses: Vec::new() }), Message::Cast(bulk)] {
            for to in &self.peers {
                let incarnation = self.replica.incarnation();
                let envelope = Envelope { incarnation, beat: self.beat, message: message.clone() };
                self.outputs.push_back(Output::Send { to: to.clone(), envelope });
            }
        }
    }

    fn show(&mut self, node: &NodeId, status: MemberStatus) {
        let (incarnation, kinds) = (self.replica.incarnation(), self.config.kinds.clone());
        let (role, labels) = (Role::Worker, Labels::new());
        let (address, is_full) = (None, false);
        let (weight, joined) = (Weight::USUAL, None);
        let view = Some(MemberView {
            incarnation,
            address,
            status,
            role,
            kinds,
            labels,
            is_full,
            weight,
            joined,
        });
        self.outputs.push_back(Output::View(ViewChange::Member { node: node.clone(), view }));
    }

    fn request(&mut self, ticket: u64, command: Command) {
        match command {
            Command::CatchUp { .. } => self.reply(ticket, Reply::CatchUp(Ok(()))),
            Command::Settled => self.reply(ticket, Reply::Settled(Ok(()))),
            Command::Spawn { .. } => {
                self.last_number += 1;
                let process = self.process(self.last_number);
                self.reply(ticket, Reply::Spawn(process));
            }
            Command::Start { scope, spec }
            | Command::StartOnce { scope, spec, .. }
            | Command::Ensure { scope, spec } => {
                self.last_number += 1;
                let number = self.last_number;
                let origin = self.replica.clone();
                let request = RequestId { origin, counter: number, stamp: Stamp::default() };
                let child = ChildId::of(&request);
                let start = Start {
                    number,
                    scope,
                    child,
                    kind: spec.kind.clone(),
                    args: spec.args,
                    reason: StartReason::Fresh,
                    state: None,
                    timeout: self.config.start_timeout,
                    lease: None,
                };
                self.starting.insert(number, (ticket, scope, child));
                self.children.insert(child, number);
                let starts = self.times(Fault::StartsNothing, Fault::StartsTwice);
                for extra in 0..starts {
                    let start = Start { number: number + 1_000 * extra, ..start.clone() };
                    self.outputs.push_back(Output::Start(start));
                }
                if starts == 0 {
                    self.handle_process(number, ProcessEvent::Started);
                }
            }
            Command::Terminate { child, .. } => {
                let number = self.children[&child];
                self.stopping.insert(number, ticket);
                let (reason, grace) = (StopReason::Terminated, Duration::from_millis(500));
                self.outputs.push_back(Output::Stop { number, reason, grace });
            }
            Command::Restart { .. }
            | Command::Release { .. }
            | Command::Quarantined { .. }
            | Command::Quorum { .. }
            | Command::Links
            | Command::PlanMoves { .. }
            | Command::PauseMoves { .. }
            | Command::AwaitQuorum
            | Command::ChangeVoters { .. }
            | Command::Explain { .. }
            | Command::Register { .. }
            | Command::Unregister { .. }
            | Command::Call { .. }
            | Command::Send { .. }
            | Command::Update { .. }
            | Command::JoinGroup { .. }
            | Command::LeaveGroup { .. }
            | Command::Publish { .. }
            | Command::WriteMeta { .. }
            | Command::SetMembers { .. }
            | Command::Evict { .. }
            | Command::Leave => panic!("a toy knows nothing of it"),
        }
    }

    fn handle_process(&mut self, number: u64, event: ProcessEvent) {
        if let (ProcessEvent::Started, Some((ticket, scope, child))) =
            (&event, self.starting.remove(&number))
        {
            let process = self.process(number);
            let kind = "ok".to_owned();
            let view = ChildView { kind, name: None, process: Some(process.clone()), parent: None };
            if self.fault != Fault::Forgets {
                self.outputs.push_back(Output::View(ViewChange::Child {
                    scope,
                    child,
                    view: Some(view),
                }));
            }
            let token = CausalToken::default();
            let started = StartedChild { child, process, replicated: true, found: false, token };
            self.reply(ticket, Reply::Start(Ok(started)));
            if self.fault == Fault::Forgets {
                let (reason, grace) = (StopReason::NodeDown, Duration::ZERO);
                self.outputs.push_back(Output::Stop { number, reason, grace });
            }
        }
        if let ProcessEvent::Stopped { .. } = event
            && let Some(ticket) = self.stopping.remove(&number)
        {
            self.reply(ticket, Reply::Terminate(Ok(())));
        }
    }

    fn reply(&mut self, ticket: u64, reply: Reply) {
        let reply =
            if self.fault == Fault::AnswersOutOfKind { Reply::Settled(Ok(())) } else { reply };
        for _ in 0..self.times(Fault::Mute, Fault::AnswersTwice) {
            self.outputs.push_back(Output::Reply { ticket, reply: reply.clone() });
        }
    }

    /// Returns how often it does a thing, which one fault leaves out and another doubles.
    fn times(&self, never: Fault, twice: Fault) -> u64 {
        if self.fault == never {
            0
        } else if self.fault == twice {
            2
        } else {
            1
        }
    }

    fn process(&self, number: u64) -> ProcessId {
        ProcessId { replica: self.replica.clone(), number }
    }
}

impl Machine for Toy {
    fn handle(&mut self, now: Time, input: Input) {
        let host = Host::of(&self.config.id).expect("a toy lives on a host");
        let entry = Entry { life: self.replica.incarnation(), at: now, input: input.clone() };
        self.diary.lock().expect("no toy panics").entry(host).or_default().push(entry);
        self.state = hash64_seeded(&wire::encode(&(now, &input)), self.state);
        match input {
            Input::Connected { peer } => {
                self.show(&peer, MemberStatus::Alive);
                self.peers.insert(peer);
            }
            Input::Disconnected { peer } => {
                self.show(&peer, MemberStatus::Down);
                self.peers.remove(&peer);
            }
            Input::Request { ticket, command, .. } => self.request(ticket, command),
            Input::Process { number, event } => self.handle_process(number, event),
            Input::Wall(_) if !self.dialled => {
                self.dialled = true;
                for address in self.config.seeds.clone() {
                    self.outputs.push_back(Output::Dial { address });
                }
            }
            Input::Tick if self.fault == Fault::StuckTimer => {}
            Input::Tick if self.fault == Fault::Floods => {
                for _ in 0..10_000 {
                    let address = self.config.address.clone();
                    self.outputs.push_back(Output::HangUp { address });
                }
            }
            Input::Tick if self.fault == Fault::Impure => {
                static OUTSIDE: AtomicU64 = AtomicU64::new(0);
                self.beat += OUTSIDE.fetch_add(1, Ordering::Relaxed);
                self.speak(now);
            }
            Input::Persisted { .. } => (),
            Input::Tick => self.speak(now),
            Input::Refused { .. }
            | Input::Message { .. }
            | Input::Answer { .. }
            | Input::Wall(_)
            | Input::Flush
            | Input::Seeds(_) => {}
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<(Time, TimerKind)> {
        Some((self.beat_at, TimerKind::Membership))
    }

    fn state_hash(&self) -> u64 {
        self.state
    }
}
