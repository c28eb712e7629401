//! What the users and the processes of the nodes do.

use std::time::Duration;

use ordu_core::{
    Blob, ChildSpec, Command, Input, Name, ProcessEvent, ProcessId, Replicas, Restart, Scope,
    Target,
};

use super::member::{KIND, Process, Request};
use super::{Cluster, NODES, TIMEOUT, id};
use crate::fuzz::bytes::Bytes;

impl Cluster {
    pub(super) fn request(&mut self, bytes: &mut Bytes<'_>) {
        let index = bytes.below(NODES);
        let command = self.command(index, bytes);
        self.tickets += 1;
        let (ticket, timeout) = (self.tickets, TIMEOUT);
        if !self.members[index].over {
            let request = Request { deadline: self.now + timeout, command: command.clone() };
            self.members[index].requests.insert(ticket, request);
            self.feed(index, Input::Request { ticket, timeout, command });
        }
    }

    fn command(&self, index: usize, bytes: &mut Bytes<'_>) -> Command {
        let scope = Scope::named("default");
        let name = Name::new([b'a' + bytes.byte() % 8].as_slice()).expect("one byte is a name");
        let known = |bytes: &mut Bytes<'_>| {
            let all: Vec<&ProcessId> = self.members.iter().flat_map(|m| &m.known).collect();
            (!all.is_empty()).then(|| all[bytes.below(all.len())].clone())
        };
        let payload = Blob::from([7; 3].as_slice());
        match bytes.byte() % 12 {
            0..=2 => {
                let byte = bytes.byte();
                let (named, finds) = (byte.is_multiple_of(2), byte >= 0xf0);
                let restart =
                    [Restart::Permanent, Restart::Transient, Restart::Temporary][bytes.below(3)];
                let spec = ChildSpec {
                    restart,
                    grace: Duration::from_secs(1),
                    name: named.then_some((scope, name)),
                    ..ChildSpec::new(KIND, payload)
                };
                if finds { Command::Ensure { scope, spec } } else { Command::Start { scope, spec } }
            }
            3 => match self.members[index].children.as_slice() {
                [] => Command::Spawn { precedence: ordu_core::Precedence::default() },
                all => Command::Terminate { scope, child: all[bytes.below(all.len())] },
            },
            4 | 5 => match known(bytes) {
                Some(process) => {
                    let all = [Replicas::One, Replicas::Two, Replicas::Majority, Replicas::All];
                    let replicas = all[bytes.below(4)];
                    Command::Register { scope, name, process, value: payload, replicas }
                }
                None => Command::Spawn { precedence: ordu_core::Precedence::default() },
            },
            6 => match known(bytes) {
                Some(process) => Command::Unregister { scope, name, process },
                None => Command::Spawn { precedence: ordu_core::Precedence::default() },
            },
            7 => Command::Call { target: Target::Name(scope, name), payload },
            8 => Command::Send { target: Target::Name(scope, name), payload },
            9 => Command::Settled,
            10 if bytes.byte().is_multiple_of(8) => Command::Leave,
            11 => match (bytes.byte() % 8, known(bytes)) {
                (0 | 1, Some(process)) => {
                    let metadata = Blob::from([bytes.byte() % 4].as_slice());
                    Command::JoinGroup { scope, group: name, process, metadata }
                }
                (2, Some(process)) => Command::LeaveGroup { scope, group: name, process },
                (3, _) => Command::Publish { scope, group: name, payload },
                (4, Some(process)) => {
                    let (expected, value) = (payload, Blob::from([bytes.byte()].as_slice()));
                    Command::Update { scope, name, process, expected, value }
                }
                (5, _) => {
                    let (key, value) = (name, Blob::from([bytes.byte()].as_slice()));
                    let value = Some(value).filter(|value| !value[0].is_multiple_of(4));
                    Command::WriteMeta { scope, key, value, replicas: Replicas::One }
                }
                (6, _) => {
                    let (node, at_once) = (id(bytes.below(NODES)), bytes.byte().is_multiple_of(2));
                    Command::Evict { node, at_once }
                }
                (7, _) => {
                    let listed = bytes.byte();
                    let on_it = (0..NODES).filter(|index| listed >> index & 1 == 1).map(id);
                    let members = (listed < 128).then(|| on_it.collect());
                    Command::SetMembers { members, replicas: Replicas::One }
                }
                (_, _) => Command::Spawn { precedence: ordu_core::Precedence::default() },
            },
            _ => Command::Spawn { precedence: ordu_core::Precedence::default() },
        }
    }

    /// Lets a process do what it may do next.
    pub(super) fn process_event(&mut self, bytes: &mut Bytes<'_>) {
        let index = bytes.below(NODES);
        let processes = &mut self.members[index].processes;
        if processes.is_empty() {
            return;
        }
        let (&number, &process) =
            processes.iter().nth(bytes.below(processes.len())).expect("it is within the length");
        let fails = bytes.byte().is_multiple_of(4);
        let event = match process {
            Process::Starting if fails => {
                ProcessEvent::StartFailed { reason: "it did not want to".into() }
            }
            Process::Starting => ProcessEvent::Started,
            Process::Running => {
                ProcessEvent::Exited { failure: fails.then(|| "it had enough".into()) }
            }
            Process::Stopping => {
                ProcessEvent::Stopped { state: fails.then(|| Blob::from("what is left")) }
            }
        };
        if event == ProcessEvent::Started {
            processes.insert(number, Process::Running);
        } else {
            processes.remove(&number);
        }
        self.feed(index, Input::Process { number, event });
    }

    pub(super) fn answer(&mut self, bytes: &mut Bytes<'_>) {
        let index = bytes.below(NODES);
        if let Some(call) = self.members[index].calls.pop() {
            self.feed(index, Input::Answer { call, result: Ok(Blob::from("well")) });
        }
    }
}
