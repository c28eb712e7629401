//! The story of one name or child, across all machines, as a diagram of space and time.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use ordu_core::message::{Message, Operation, Seat};
use ordu_core::{
    ChildId, Command, Event, ExitReason, Input, Loss, Name, Output, ProcessEvent, Reply, Time,
    ViewChange,
};

use crate::host::Host;
use crate::plan::Plan;
use crate::run::{Report, run_watched};
use crate::trace::{Line, What};

/// What a story is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Subject {
    /// A name.
    Name(String),
    /// A child, by the beginning of its id.
    Child(String),
}

/// Runs `plan` and tells what happened to `subject`, with every fault in between.
///
/// A column stands for a machine: `|` while its node is up, `:` while it is frozen, nothing while
/// there is none, and `*` where something happens to it.
pub fn explain(plan: &Plan, subject: &Subject) -> (Report, String) {
    let teller = Teller::new(plan.setup.hosts, subject.clone());
    let shared = Arc::new(Mutex::new(teller));
    let hears = Arc::clone(&shared);
    let (report, world) = run_watched(plan, None, |world| {
        world.trace.listen(Box::new(move |line| {
            hears.lock().unwrap_or_else(PoisonError::into_inner).hear(line);
        }));
    });
    drop(world);
    let mut teller = shared.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(violation) = report.verdict.violation() {
        let _ = writeln!(teller.story, "{violation}");
    }
    let story = std::mem::take(&mut teller.story);
    (report, story)
}

/// How a machine is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Up,
    Frozen,
    Gone,
}

struct Teller {
    subject: Subject,
    states: BTreeMap<Host, State>,
    /// The processes of the subject, by machine and number.
    processes: BTreeMap<(Host, u64), String>,
    story: String,
}

impl Teller {
    fn new(hosts: u16, subject: Subject) -> Self {
        let states: BTreeMap<Host, State> =
            (1..=hosts).map(|number| (Host::new(number), State::Gone)).collect();
        let mut story = format!("{:>12} ", "time");
        for host in states.keys() {
            let _ = write!(story, "{:>3}", host.to_string());
        }
        story.push('\n');
        Self { subject, states, processes: BTreeMap::new(), story }
    }

    fn hear(&mut self, line: &Line) {
        let text = match (&line.what, line.host) {
            (What::Note(note), _) => {
                self.note_state(line.host, note);
                Some(note.clone())
            }
            (What::Input(input), Some(host)) => self.of_input(host, input),
            (What::Output(output), Some(host)) => self.of_output(host, output),
            (What::Input(_) | What::Output(_), None) => None,
        };
        if let Some(text) = text {
            self.tell(line.at, line.host, &text);
        }
    }

    fn tell(&mut self, at: Time, host: Option<Host>, text: &str) {
        let _ = write!(self.story, "{:>12} ", at.to_string());
        for (&column, state) in &self.states {
            let mark = match state {
                _ if host == Some(column) => '*',
                State::Up => '|',
                State::Frozen => ':',
                State::Gone => ' ',
            };
            let _ = write!(self.story, "{mark:>3}");
        }
        let _ = writeln!(self.story, "   {text}");
    }

    fn note_state(&mut self, host: Option<Host>, note: &str) {
        let Some(state) = host.and_then(|host| self.states.get_mut(&host)) else { return };
        match note {
            "starts" | "thaws" => *state = State::Up,
            "freezes" => *state = State::Frozen,
            "is killed" | "goes dark" => *state = State::Gone,
            _ => {}
        }
    }

    fn is_name(&self, name: &Name) -> bool {
        matches!(&self.subject, Subject::Name(text) if name.as_bytes() == text.as_bytes())
    }

    fn is_child(&self, child: ChildId) -> bool {
        matches!(&self.subject, Subject::Child(start) if child.to_string().starts_with(start))
    }

    fn is_seat(&self, seat: &Seat) -> bool {
        match seat {
            Seat::Child(_, child) => self.is_child(*child),
            Seat::Name(_, name) => self.is_name(name),
        }
    }

    fn of_input(&mut self, host: Host, input: &Input) -> Option<String> {
        match input {
            Input::Request { ticket, command, .. } => {
                let about = match command {
                    Command::Start { spec, .. }
                    | Command::StartOnce { spec, .. }
                    | Command::Ensure { spec, .. } => {
                        spec.name.as_ref().is_some_and(|(_, name)| self.is_name(name))
                    }
                    Command::Terminate { child, .. }
                    | Command::Restart { child, .. }
                    | Command::Release { child, .. }
                    | Command::Explain { child, .. } => self.is_child(*child),
                    Command::Register { name, .. }
                    | Command::Unregister { name, .. }
                    | Command::Update { name, .. } => self.is_name(name),
                    Command::Spawn { .. }
                    | Command::Quarantined { .. }
                    | Command::Quorum { .. }
                    | Command::Links
                    | Command::PlanMoves { .. }
                    | Command::PauseMoves { .. }
                    | Command::AwaitQuorum
                    | Command::ChangeVoters { .. }
                    | Command::Call { .. }
                    | Command::Send { .. }
                    | Command::JoinGroup { .. }
                    | Command::LeaveGroup { .. }
                    | Command::Publish { .. }
                    | Command::WriteMeta { .. }
                    | Command::SetMembers { .. }
                    | Command::Evict { .. }
                    | Command::CatchUp { .. }
                    | Command::Leave
                    | Command::Settled => false,
                };
                about.then(|| format!("is asked, {ticket}: {command:?}"))
            }
            Input::Message { from, envelope } => {
                Some(format!("hears from {from}: {}", self.of_message(&envelope.message)?))
            }
            Input::Process { number, event } => {
                let process = self.processes.get(&(host, *number))?.clone();
                if !matches!(event, ProcessEvent::Started) {
                    self.processes.remove(&(host, *number));
                }
                Some(format!("process {number} of {process}: {event:?}"))
            }
            Input::Connected { .. }
            | Input::Disconnected { .. }
            | Input::Refused { .. }
            | Input::Answer { .. }
            | Input::Wall(_)
            | Input::Flush
            | Input::Persisted { .. }
            | Input::Tick
            | Input::Seeds(_) => None,
        }
    }

    fn of_message(&self, message: &Message) -> Option<String> {
        match message {
            Message::Won(won) if self.is_seat(&won.seat) => Some(format!("{won:?}")),
            Message::Yield(given) if self.is_seat(&given.seat) => Some(format!("{given:?}")),
            Message::Forward(forward) => match &forward.operation {
                Operation::Register { name, .. }
                | Operation::Unregister { name, .. }
                | Operation::Update { name, .. } => {
                    self.is_name(name).then(|| format!("{forward:?}"))
                }
                Operation::RestartChild { child, .. } => {
                    self.is_child(*child).then(|| format!("{forward:?}"))
                }
                Operation::JoinGroup { .. } | Operation::LeaveGroup { .. } => None,
            },
            Message::Hello(_)
            | Message::Join
            | Message::Welcome(_)
            | Message::Beat(_)
            | Message::Digest(_)
            | Message::Need(_)
            | Message::Delta(_)
            | Message::Ack(_)
            | Message::Won(_)
            | Message::Yield(_)
            | Message::Forwarded(_)
            | Message::Call(_)
            | Message::Reply(_)
            | Message::Cast(_)
            | Message::Probe(_)
            | Message::Condition(_)
            | Message::Publish(_)
            | Message::Excluded(_)
            | Message::LeaseRequest(_)
            | Message::LeaseReply(_)
            | Message::Electorate(_)
            | Message::Proposal(_)
            | Message::Vote(_) => None,
        }
    }

    fn of_output(&mut self, host: Host, output: &Output) -> Option<String> {
        match output {
            Output::Send { to, envelope } => {
                Some(format!("says to {to}: {}", self.of_message(&envelope.message)?))
            }
            Output::Start(start) if self.is_child(start.child) => {
                self.processes.insert((host, start.number), format!("child {}", start.child));
                let (number, reason) = (start.number, start.reason);
                Some(format!("starts process {number}: {reason:?}"))
            }
            Output::Stop { number, reason, .. } => {
                let process = self.processes.get(&(host, *number))?;
                Some(format!("stops process {number} of {process}: {reason:?}"))
            }
            Output::View(ViewChange::Name { name, holder, loss, .. }) if self.is_name(name) => {
                let lost = match loss {
                    None => "",
                    Some(Loss::Unregistered) => " (unregistered)",
                    Some(Loss::Ended) => " (it ended)",
                    Some(Loss::Conflict) => " (it lost a conflict)",
                    Some(Loss::NodeLost) => " (its node is lost)",
                    Some(Loss::Lapsed) => " (its lease ended)",
                    Some(Loss::NoQuorum) => " (its node sees too few)",
                    Some(_) => " (for a reason not known here)",
                };
                let Some(holder) = holder else {
                    return Some(format!("sees nobody as {name} any more{lost}"));
                };
                if let Some(of) = Host::of(holder.process.replica.node()) {
                    self.processes.insert((of, holder.process.number), name.to_string());
                }
                Some(format!("sees {} as {name}{lost}", holder.process))
            }
            Output::View(ViewChange::Child { child, view, .. }) if self.is_child(*child) => {
                let Some(view) = view else { return Some("sees the child ended".to_owned()) };
                match &view.process {
                    Some(process) => Some(format!("sees the child run as {process}")),
                    None => Some("sees the child between two runs".to_owned()),
                }
            }
            Output::Event(
                event @ (Event::MemberDown { .. }
                | Event::MemberUp { .. }
                | Event::MemberRetired { .. }
                | Event::Joined { .. }
                | Event::Ready { .. }
                | Event::Refused { .. }),
            ) => Some(format!("says {event:?}")),
            Output::Event(Event::Conflict(conflict))
                if conflict.name.as_ref().is_some_and(|name| self.is_name(name))
                    || conflict.child.is_some_and(|child| self.is_child(child)) =>
            {
                let (winner, loser) = (&conflict.winner.process, &conflict.loser.process);
                Some(format!("says that {winner} goes on, and {loser} stops"))
            }
            Output::Reply { ticket, reply: Reply::Start(Ok(started)) }
                if self.is_child(started.child) =>
            {
                Some(format!("answers {ticket}: it started as {}", started.process))
            }
            Output::Exit(reason) => {
                if let Some(state) = self.states.get_mut(&host) {
                    *state = State::Gone;
                }
                Some(match reason {
                    ExitReason::Left => "has left".to_owned(),
                    ExitReason::Superseded { by } => format!("gives up for {by:?}"),
                    ExitReason::Evicted => "is evicted".to_owned(),
                    ExitReason::NotListed => "is not on the list of members".to_owned(),
                    ExitReason::Unfit { children } => {
                        format!("leaves, since {children} children run elsewhere that failed here")
                    }
                })
            }
            Output::Dial { .. }
            | Output::HangUp { .. }
            | Output::Renew { .. }
            | Output::Persist { .. }
            | Output::Hold { .. }
            | Output::Disconnect { .. }
            | Output::Start(_)
            | Output::Absorb { .. }
            | Output::Deliver { .. }
            | Output::Reply { .. }
            | Output::View(_)
            | Output::Event(_) => None,
        }
    }
}
