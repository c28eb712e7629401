//! What users ask of nodes, and what they are answered.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::Duration;

use ordu_core::placement::{Move, Redistribution};
use ordu_core::{
    Blob, CallError, ChangeVotersError, ChildId, ChildSpec, Command, Domain, Electorate,
    EvictError, ExplainError, Explanation, Input, JoinGroupError, LeaveError, LeaveGroupError,
    LinksView, Name, ProcessId, PublishError, Published, Quarantined, QuorumError, QuorumView,
    RegisterError, ReleaseError, Replicas, Reply, RestartChildError, Scope, SetMembersError,
    SettleError, StartChildError, StartedChild, Target, TerminateError, Time, UnregisterError,
    UpdateError, Updated, VoterChange, WriteMetaError,
};

use crate::World;
use crate::host::Host;
use crate::processes::number_in;

/// How long a request may take, where nothing else is said.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How much later than its deadline an answer may come.
const LATE_MAX: Duration = Duration::from_millis(10);

/// A request under way, by which its answer is found.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ticket(u64);

/// All requests of a world.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    last: u64,
    open: BTreeMap<Ticket, Open>,
    deadlines: BTreeSet<(Time, Ticket)>,
    replies: BTreeMap<Ticket, Reply>,
}

/// A request that is not answered yet.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) host: Host,
    pub(crate) life: u64,
    /// When it must be answered, by the clock of the machine.
    pub(crate) until: Time,
    pub(crate) command: Command,
}

/// A request and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) command: Command,
    pub(crate) reply: Reply,
}

impl Requests {
    fn open(&mut self, open: Open, until: Time) -> Ticket {
        self.last += 1;
        let ticket = Ticket(self.last);
        self.open.insert(ticket, open);
        self.deadlines.insert((until + LATE_MAX, ticket));
        ticket
    }

    /// Takes in the answer to a request.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it: each request is answered once, by whom it was asked, in kind.
    pub(crate) fn handle_reply(
        &mut self,
        host: Host,
        ticket: u64,
        reply: Reply,
    ) -> Result<Answered, String> {
        let ticket = Ticket(ticket);
        let Some(open) = self.open.remove(&ticket) else {
            return Err(format!("request {} is not open, and is answered {reply:?}", ticket.0));
        };
        if open.host != host {
            return Err(format!("request {} was made to {}", ticket.0, open.host));
        }
        let matches = match (&open.command, &reply) {
            (
                Command::Start { .. } | Command::StartOnce { .. } | Command::Ensure { .. },
                Reply::Start(_),
            )
            | (Command::Restart { .. }, Reply::Restart(_))
            | (Command::Release { .. }, Reply::Release(_))
            | (Command::Quarantined { .. }, Reply::Quarantined(_))
            | (Command::Quorum { .. }, Reply::Quorum(_))
            | (Command::ChangeVoters { .. }, Reply::ChangeVoters(_))
            | (Command::Links, Reply::Links(_))
            | (Command::PlanMoves { .. }, Reply::PlanMoves(_))
            | (Command::PauseMoves { .. }, Reply::PauseMoves(_))
            | (Command::AwaitQuorum, Reply::AwaitQuorum(_))
            | (Command::Explain { .. }, Reply::Explain(_))
            | (Command::Terminate { .. }, Reply::Terminate(_))
            | (Command::Spawn { .. }, Reply::Spawn(_) | Reply::Call(Err(CallError::NotReady)))
            | (Command::Register { .. }, Reply::Register(_))
            | (Command::Unregister { .. }, Reply::Unregister(_))
            | (Command::Call { .. }, Reply::Call(_))
            | (Command::Send { .. }, Reply::Send(_))
            | (Command::Update { .. }, Reply::Update(_))
            | (Command::JoinGroup { .. }, Reply::JoinGroup(_))
            | (Command::LeaveGroup { .. }, Reply::LeaveGroup(_))
            | (Command::Publish { .. }, Reply::Publish(_))
            | (Command::WriteMeta { .. }, Reply::WriteMeta(_))
            | (Command::SetMembers { .. }, Reply::SetMembers(_))
            | (Command::Evict { .. }, Reply::Evict(_))
            | (Command::Leave, Reply::Leave(_))
            | (Command::CatchUp { .. }, Reply::CatchUp(_))
            | (Command::Settled, Reply::Settled(_)) => true,
            (_, _) => false,
        };
        if !matches {
            return Err(format!("{:?} is answered {reply:?}", open.command));
        }
        self.replies.insert(ticket, reply.clone());
        Ok(Answered { command: open.command, reply })
    }

    /// Returns how many requests were answered.
    pub(crate) fn answered(&self) -> usize {
        self.replies.len()
    }

    /// Returns how many requests to the node of `host` are not answered yet.
    pub(crate) fn open_on(&self, host: Host) -> usize {
        self.open.values().filter(|open| open.host == host).count()
    }

    /// Returns a request that should have been answered by `now`, once.
    pub(crate) fn overdue(&mut self, now: Time) -> Option<(Ticket, Open)> {
        while let Some(&(until, ticket)) = self.deadlines.first()
            && until < now
        {
            self.deadlines.pop_first();
            if let Some(open) = self.open.get(&ticket) {
                return Some((ticket, open.clone()));
            }
        }
        None
    }

    /// Gives a request time until `until`: its node is frozen, or slow, or its clock is.
    pub(crate) fn postpone(&mut self, ticket: Ticket, until: Time) {
        self.deadlines.insert((until + LATE_MAX, ticket));
    }

    /// Forgets the requests to a node that is over, and returns them: nobody knows what came of
    /// them.
    pub(crate) fn abandon(&mut self, host: Host) -> Vec<Command> {
        let (abandoned, kept) =
            mem::take(&mut self.open).into_iter().partition(|(_, open)| open.host == host);
        self.open = kept;
        let abandoned: BTreeMap<_, Open> = abandoned;
        abandoned.into_values().map(|open| open.command).collect()
    }
}

impl World {
    /// Asks something of the node on `host`, now, with [`PATIENCE`].
    pub fn request(&mut self, host: Host, command: Command) -> Ticket {
        self.request_within(host, command, PATIENCE)
    }

    /// Asks something of the node on `host`, now, with a deadline after `timeout`.
    pub fn request_within(&mut self, host: Host, command: Command, timeout: Duration) -> Ticket {
        let state = self.state(host);
        if !state.is_up() {
            self.fail(format!("{host} is asked {command:?}, and is not up"));
        }
        let local = state.clock.local(self.now) + timeout;
        let until = state.clock.when(local);
        let open = Open { host, life: state.life, until: local, command: command.clone() };
        self.oracle.handle_request(&command);
        let ticket = self.requests.open(open, until);
        let now = self.now;
        self.state_mut(host).occupy(now);
        self.feed(host, Input::Request { ticket: ticket.0, timeout, command });
        ticket
    }

    /// Returns the answer to a request, if there is one yet.
    pub fn reply(&self, ticket: Ticket) -> Option<&Reply> {
        self.requests.replies.get(&ticket)
    }

    /// Lets time pass until a request is answered, and returns the answer.
    ///
    /// # Panics
    ///
    /// Panics if it is never answered, because the node ended first.
    pub fn answer(&mut self, ticket: Ticket) -> Reply {
        let open = |world: &Self| world.requests.open.contains_key(&ticket);
        while open(self) {
            self.run_until(PATIENCE, |world| !open(world));
        }
        let reply = self.reply(ticket).cloned();
        reply.unwrap_or_else(|| self.fail(format!("request {} has no answer", ticket.0)))
    }

    /// Starts a child through `host` and returns the answer.
    pub fn start_child(
        &mut self,
        host: Host,
        spec: ChildSpec,
    ) -> Result<StartedChild, StartChildError> {
        let Reply::Start(result) = self.ask(host, Command::Start { scope: scope(), spec }) else {
            self.out_of_kind()
        };
        result
    }

    /// Starts the child of its name through `host`, or finds it, and returns the answer.
    pub fn ensure_child(
        &mut self,
        host: Host,
        spec: ChildSpec,
    ) -> Result<StartedChild, StartChildError> {
        let Reply::Start(result) = self.ask(host, Command::Ensure { scope: scope(), spec }) else {
            self.out_of_kind()
        };
        result
    }

    /// Starts the child of `key` through `host`, or waits for it, and returns the answer.
    pub fn start_once(
        &mut self,
        host: Host,
        key: &str,
        spec: ChildSpec,
    ) -> Result<StartedChild, StartChildError> {
        let command = Command::StartOnce { scope: scope(), key: Blob::from(key), spec };
        let Reply::Start(result) = self.ask(host, command) else { self.out_of_kind() };
        result
    }

    /// Starts a child again through `host` and returns the answer.
    pub fn restart_child(
        &mut self,
        host: Host,
        child: ChildId,
    ) -> Result<ProcessId, RestartChildError> {
        let command = Command::Restart { scope: scope(), child };
        let Reply::Restart(result) = self.ask(host, command) else { self.out_of_kind() };
        result
    }

    /// Lets the nodes that gave a child up try it again, and returns the answer of `host`.
    pub fn release_child(&mut self, host: Host, child: ChildId) -> Result<(), ReleaseError> {
        let command = Command::Release { scope: scope(), child };
        let Reply::Release(result) = self.ask(host, command) else { self.out_of_kind() };
        result
    }

    /// Returns the children that nobody tries any more, as `host` sees it.
    pub fn quarantined(&mut self, host: Host) -> Vec<Quarantined> {
        let command = Command::Quarantined { scope: scope() };
        let Reply::Quarantined(all) = self.ask(host, command) else { self.out_of_kind() };
        all
    }

    /// Returns the children that run elsewhere than they belong, as `host` sees it; as if the node
    /// of `without` had left, if that is given.
    pub fn plan_moves(&mut self, host: Host, without: Option<Host>) -> Vec<Move> {
        let without = without.map(Host::id);
        let command = Command::PlanMoves { scope: scope(), without };
        let Reply::PlanMoves(plan) = self.ask(host, command) else { self.out_of_kind() };
        plan.moves
    }

    /// Leaves all children where they run, or lets them move again, through `host`.
    pub fn pause_moves(&mut self, host: Host, is_paused: bool) {
        let command = Command::PauseMoves { scope: scope(), is_paused };
        let Reply::PauseMoves(result) = self.ask(host, command) else { self.out_of_kind() };
        assert_eq!(result, Ok(()), "{host} is ready");
    }

    /// Returns why a child runs where it runs, as `host` sees it.
    pub fn explain(&mut self, host: Host, child: ChildId) -> Result<Explanation, ExplainError> {
        let command = Command::Explain { scope: scope(), child };
        let Reply::Explain(result) = self.ask(host, command) else { self.out_of_kind() };
        result
    }

    /// Returns whether children may run on `host`, as it sees it.
    pub fn quorum(&mut self, host: Host) -> QuorumView {
        self.quorum_of(host, Domain::Supervisor(scope()))
    }

    /// Returns whether `host` has a quorum for `domain`, as it sees it.
    pub fn quorum_of(&mut self, host: Host, domain: Domain) -> QuorumView {
        let Reply::Quorum(view) = self.ask(host, Command::Quorum { domain }) else {
            self.out_of_kind()
        };
        view
    }

    /// Changes who grants leases through `host`, and returns the answer.
    pub fn change_voters(
        &mut self,
        host: Host,
        change: VoterChange,
    ) -> Result<Electorate, ChangeVotersError> {
        let Reply::ChangeVoters(result) = self.ask(host, Command::ChangeVoters { change }) else {
            self.out_of_kind()
        };
        result
    }

    /// Returns which members hear each other, as `host` sees it.
    pub fn links(&mut self, host: Host) -> LinksView {
        let Reply::Links(view) = self.ask(host, Command::Links) else { self.out_of_kind() };
        view
    }

    /// Waits through `host` until more than half of the members are up, and returns the answer.
    pub fn wait_for_quorum(&mut self, host: Host) -> Result<(), QuorumError> {
        let Reply::AwaitQuorum(result) = self.ask(host, Command::AwaitQuorum) else {
            self.out_of_kind()
        };
        result
    }

    /// Ends a child through `host` and returns the answer.
    pub fn terminate(&mut self, host: Host, child: ChildId) -> Result<(), TerminateError> {
        let Reply::Terminate(result) = self.ask(host, Command::Terminate { scope: scope(), child })
        else {
            self.out_of_kind()
        };
        result
    }

    /// Runs a process without a supervisor on `host`: a counter.
    pub fn spawn(&mut self, host: Host) -> ProcessId {
        let Reply::Spawn(process) =
            self.ask(host, Command::Spawn { precedence: ordu_core::Precedence::default() })
        else {
            self.out_of_kind()
        };
        process
    }

    /// Gives `process` the name `text` through `host`, and returns the answer.
    pub fn register(
        &mut self,
        host: Host,
        text: &str,
        process: &ProcessId,
    ) -> Result<(), RegisterError> {
        self.register_on(host, text, process, Replicas::One)
    }

    /// Gives `process` the name `text` through `host`, and returns the answer, which waits for
    /// `replicas`.
    pub fn register_on(
        &mut self,
        host: Host,
        text: &str,
        process: &ProcessId,
        replicas: Replicas,
    ) -> Result<(), RegisterError> {
        let Reply::Register(result) = self.ask(host, register(text, process, replicas)) else {
            self.out_of_kind()
        };
        result.map(drop)
    }

    /// Takes the name `text` from `process` through `host`, and returns the answer.
    pub fn unregister(
        &mut self,
        host: Host,
        text: &str,
        process: &ProcessId,
    ) -> Result<(), UnregisterError> {
        let process = process.clone();
        let Reply::Unregister(result) =
            self.ask(host, Command::Unregister { scope: scope(), name: name(text), process })
        else {
            self.out_of_kind()
        };
        result
    }

    /// Replaces the value beside the name `text` of `process` through `host`, if it is `expected`,
    /// and returns the answer.
    pub fn update(
        &mut self,
        host: Host,
        text: &str,
        process: &ProcessId,
        expected: &str,
        value: &str,
    ) -> Result<Updated, UpdateError> {
        let (scope, name, process) = (scope(), name(text), process.clone());
        let (expected, value) = (Blob::from(expected), Blob::from(value));
        let Reply::Update(result) =
            self.ask(host, Command::Update { scope, name, process, expected, value })
        else {
            self.out_of_kind()
        };
        result
    }

    /// Keeps `value` under `key` in the metadata of the registry through `host`, or deletes what is
    /// kept there; returns the answer, which waits for `replicas`.
    pub fn write_meta(
        &mut self,
        host: Host,
        key: &str,
        value: Option<&str>,
        replicas: Replicas,
    ) -> Result<(), WriteMetaError> {
        let (scope, key, value) = (scope(), name(key), value.map(Blob::from));
        let Reply::WriteMeta(result) =
            self.ask(host, Command::WriteMeta { scope, key, value, replicas })
        else {
            self.out_of_kind()
        };
        result.map(drop)
    }

    /// Lets `others` be members and nobody else, or anybody, through `host`; returns the answer.
    pub fn set_members(
        &mut self,
        host: Host,
        others: Option<&[Host]>,
    ) -> Result<(), SetMembersError> {
        let members = others.map(|others| others.iter().map(|other| other.id()).collect());
        let Reply::SetMembers(result) =
            self.ask(host, Command::SetMembers { members, replicas: Replicas::One })
        else {
            self.out_of_kind()
        };
        result.map(drop)
    }

    /// Evicts `other` through `host`, and returns the answer.
    pub fn evict(&mut self, host: Host, other: Host, at_once: bool) -> Result<(), EvictError> {
        let Reply::Evict(result) = self.ask(host, Command::Evict { node: other.id(), at_once })
        else {
            self.out_of_kind()
        };
        result
    }

    /// Makes `process` a member of the group `text` through `host`, and returns the answer.
    pub fn join_group(
        &mut self,
        host: Host,
        text: &str,
        process: &ProcessId,
        metadata: &str,
    ) -> Result<(), JoinGroupError> {
        let (group, process, metadata) = (name(text), process.clone(), Blob::from(metadata));
        let Reply::JoinGroup(result) =
            self.ask(host, Command::JoinGroup { scope: scope(), group, process, metadata })
        else {
            self.out_of_kind()
        };
        result
    }

    /// Takes `process` out of the group `text` through `host`, and returns the answer.
    pub fn leave_group(
        &mut self,
        host: Host,
        text: &str,
        process: &ProcessId,
    ) -> Result<(), LeaveGroupError> {
        let (group, process) = (name(text), process.clone());
        let Reply::LeaveGroup(result) =
            self.ask(host, Command::LeaveGroup { scope: scope(), group, process })
        else {
            self.out_of_kind()
        };
        result
    }

    /// Sends a message from `host` to all members of the group `text`, and returns the answer.
    pub fn publish(
        &mut self,
        host: Host,
        text: &str,
        payload: &str,
    ) -> Result<Published, PublishError> {
        let (group, payload) = (name(text), Blob::from(payload));
        let Reply::Publish(result) =
            self.ask(host, Command::Publish { scope: scope(), group, payload })
        else {
            self.out_of_kind()
        };
        result
    }

    /// Calls `target` from `host` with a message, and returns its reply.
    pub fn call(&mut self, host: Host, target: Target, payload: &str) -> Result<Blob, CallError> {
        let Reply::Call(result) =
            self.ask(host, Command::Call { target, payload: Blob::from(payload) })
        else {
            self.out_of_kind()
        };
        result
    }

    /// Adds `more` to the counter that holds the name `text`, from `host`, and returns the sum.
    pub fn count(&mut self, host: Host, text: &str, more: u64) -> Result<u64, CallError> {
        let target = Target::Name(scope(), name(text));
        let sum = self.call(host, target, &more.to_string())?;
        number_in(&sum).ok_or(CallError::Malformed)
    }

    /// Lets the node on `host` hand its children over and leave, and returns the answer.
    pub fn leave(&mut self, host: Host) -> Result<(), LeaveError> {
        let Reply::Leave(result) = self.ask(host, Command::Leave) else { self.out_of_kind() };
        result
    }

    /// Asks `host` whether the whole cluster is at rest, and waits until it is.
    pub fn settled(&mut self, host: Host) -> Result<(), SettleError> {
        // Whether children have to move is looked at once members have not changed for so long, and
        // again once those have moved that had to, and made room: where there is little of it, one
        // move follows from the other.
        let config = &self.state(host).config;
        let quiet = match config.redistribution {
            Redistribution::Passive => Duration::ZERO,
            Redistribution::Active { quiet, .. } => quiet,
        };
        let is_tight = config.max_children.is_some();
        let children = u32::try_from(self.children(host).len()).unwrap_or(u32::MAX);
        let times = if is_tight { children.max(3) } else { 3 };
        let ticket = self.request_within(host, Command::Settled, PATIENCE + times * quiet);
        let Reply::Settled(result) = self.answer(ticket) else { self.out_of_kind() };
        result
    }

    fn ask(&mut self, host: Host, command: Command) -> Reply {
        let ticket = self.request(host, command);
        self.answer(ticket)
    }

    fn out_of_kind(&self) -> ! {
        self.fail("an answer out of kind is refused as it comes")
    }
}

/// Returns the one registry and supervisor that the short forms use, `default`.
pub fn scope() -> Scope {
    Scope::named("default")
}

/// Returns the registry whose names are held under leases, where some are.
pub fn locks() -> Scope {
    Scope::named("locks")
}

/// Returns `text` as a name.
///
/// # Panics
///
/// Panics if it is none.
pub fn name(text: &str) -> Name {
    Name::new(text).expect("a test gives a valid name")
}

/// Returns a permanent child of `kind`, without a name or arguments.
pub fn spec(kind: &str) -> ChildSpec {
    ChildSpec::new(kind, Blob::default())
}

/// Returns a permanent child of `kind` with the name `text`.
pub fn named(kind: &str, text: &str) -> ChildSpec {
    ChildSpec { name: Some((scope(), name(text))), ..spec(kind) }
}

/// Returns the command that gives `process` the name `text`.
pub fn register(text: &str, process: &ProcessId, replicas: Replicas) -> Command {
    let (name, process) = (name(text), process.clone());
    Command::Register { scope: scope(), name, process, value: Blob::default(), replicas }
}
