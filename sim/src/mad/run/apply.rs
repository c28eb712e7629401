//! How the steps of a plan are carried out with the whole shell.

use std::collections::BTreeSet;
use std::future::IntoFuture;

use ordu::{Blob, CallError, ChildId, ChildSpec, Node, ProcessId};
use ordu_core::{Command, Reply, StartedChild, Target, Updated};

use crate::Host;
use crate::mad::actor::{Counter, Message};
use crate::mad::run::{Condition, Run};
use crate::plan::{Action, Ask, Care, Fault, Holding, Writing, key_of, need_of, placed};
use crate::requests::{PATIENCE, name, named, register, scope, spec};
use crate::topology::Topology;

impl Run<'_> {
    /// Does what a step says, as far as it can be done now.
    pub(super) fn apply(&mut self, action: &Action) {
        match action {
            Action::Ask { host, ask } => {
                if self.is_up(*host)
                    && let Some(node) = self.cluster.started(*host)
                {
                    self.ask(*host, &node, ask);
                }
            }
            Action::Fault(fault) => {
                self.cluster.note(format_args!("fault: {fault:?}"));
                self.harm(fault);
            }
        }
    }

    fn ask(&mut self, host: Host, node: &Node, ask: &Ask) {
        let (supervisor, registry) = (node.supervisor("default"), node.registry("default"));
        match ask {
            Ask::Start { child, kind, restart, name: text } => {
                let shell = ChildSpec::of_kind(kind, &0_u64).restart(*restart);
                let (shell, mut core) = match text {
                    Some(text) => (shell.named(text.as_str()), named(kind, text)),
                    None => (shell, spec(kind)),
                };
                core.restart = *restart;
                let start = supervisor.start_child(shell).timeout(PATIENCE);
                self.start(host, *child, core, start);
            }
            Ask::Care(care) => self.care(host, node, care),
            Ask::Terminate { child } => {
                let Some(child) = self.child(*child) else { return };
                let command = Command::Terminate { scope: scope(), child };
                self.terminate(host, command, supervisor.terminate_child(child));
            }
            Ask::Spawn { process } => {
                let spawn = node.spawn_process::<Counter>(&0).timeout(PATIENCE);
                let (ledger, number) = (self.ledger.clone(), *process);
                self.request(
                    host,
                    Command::Spawn { precedence: ordu_core::Precedence::default() },
                    async move {
                        let id = spawn.await.ok()?;
                        ledger.pages().processes.insert(number, id.clone());
                        Some(Reply::Spawn(id))
                    },
                );
            }
            Ask::Register { name: text, holder, replicas } => {
                let Some(process) = self.holder(node, *holder) else { return };
                let command = register(text, &process, *replicas);
                let register = registry.register(text.as_str(), process);
                let register = register.replicated(*replicas).timeout(PATIENCE);
                self.request(host, command, async { Some(Reply::Register(register.await)) });
            }
            Ask::Unregister { name: text } => {
                let Some(process) = registry.lookup(text).map(|found| found.process) else {
                    return;
                };
                let command = Command::Unregister {
                    scope: scope(),
                    name: name(text),
                    process: process.clone(),
                };
                let unregister = registry.unregister(text.as_str(), process).timeout(PATIENCE);
                self.request(host, command, async { Some(Reply::Unregister(unregister.await)) });
            }
            Ask::Write(writing) => self.write(host, node, writing),
            Ask::Publish { group } => {
                let (scope, payload) = (scope(), Blob::from("1"));
                let command = Command::Publish { scope, group: name(group), payload };
                let publish =
                    node.groups("default").publish::<Counter>(group.as_str(), &Message::Add(1));
                let publish = publish.timeout(PATIENCE).into_future();
                self.request(host, command, async { Some(Reply::Publish(publish.await)) });
            }
            Ask::CallName { name: text } => {
                let call = registry.call::<Counter>(text.as_str(), &Message::Add(1));
                let call = call.timeout(PATIENCE).into_future();
                self.call(host, Target::Name(scope(), name(text)), call);
            }
            Ask::CallChild { child } => {
                let Some(child) = self.child(*child) else { return };
                let Some(handle) = supervisor.child(child) else { return };
                let call = handle.call::<Counter>(&Message::Add(1)).timeout(PATIENCE);
                self.call(host, Target::Child(scope(), child), call.into_future());
            }
            // Nobody here understands what users' own processes do.
            Ask::Message { .. } => self.skipped += 1,
            // No plan for it has leases.
            Ask::ChangeVoters { .. } => self.skipped += 1,
            Ask::Leave => {
                let leave = node.leave();
                self.request(host, Command::Leave, async { Some(Reply::Leave(leave.await)) });
            }
        }
    }

    fn care(&self, host: Host, node: &Node, care: &Care) {
        let (scope, supervisor) = (scope(), node.supervisor("default"));
        match care {
            Care::Once { child, kind } => {
                let (key, spec) = (key_of(*child), spec(kind));
                let shell = ChildSpec::of_kind(kind, &0_u64);
                let start = supervisor.start_child(shell).once(key.clone()).timeout(PATIENCE);
                self.start_as(host, *child, Command::StartOnce { scope, key, spec }, start);
            }
            Care::Inside { child, kind, zone } => {
                let shell = ChildSpec::of_kind(kind, &0_u64).needs(need_of(*zone));
                let core = ordu_core::ChildSpec { needs: vec![need_of(*zone)], ..spec(kind) };
                let start = supervisor.start_child(shell).timeout(PATIENCE);
                self.start(host, *child, core, start);
            }
            Care::Placed { child, kind, placement } => {
                let shell = ChildSpec::of_kind(kind, &0_u64).placement(placement.clone());
                let start = supervisor.start_child(shell.placement_key("kin")).timeout(PATIENCE);
                self.start(host, *child, placed(kind, placement), start);
            }
            Care::Nested { child, kind, parent, escalates } => {
                let Some(parent) = self.child(*parent) else { return };
                let shell = ChildSpec::of_kind(kind, &0_u64).parent(parent);
                let shell = if *escalates { shell.escalates() } else { shell };
                let (parent, escalates) = (Some(parent), *escalates);
                let core = ordu_core::ChildSpec { parent, escalates, ..spec(kind) };
                self.start(host, *child, core, supervisor.start_child(shell).timeout(PATIENCE));
            }
            Care::Restart { child } => {
                let Some(child) = self.child(*child) else { return };
                let restart = supervisor.restart_child(child).timeout(PATIENCE).into_future();
                let command = Command::Restart { scope, child };
                self.request(host, command, async { Some(Reply::Restart(restart.await)) });
            }
            Care::Release { child } => {
                let Some(child) = self.child(*child) else { return };
                let release = supervisor.release(child).timeout(PATIENCE).into_future();
                let command = Command::Release { scope, child };
                self.request(host, command, async { Some(Reply::Release(release.await)) });
            }
        }
    }

    fn write(&self, host: Host, node: &Node, writing: &Writing) {
        let (scope, registry, groups) = (scope(), node.registry("default"), node.groups("default"));
        match writing {
            Writing::Value { name: text, value } => {
                let Some(found) = registry.lookup(text) else { return };
                let (process, expected) = (found.process, found.value);
                let (name, value) = (name(text), Blob::from(value.as_str()));
                let update = registry.update(text.as_str(), &process, {
                    let value = value.clone();
                    move |_| value.clone()
                });
                let update = update.timeout(PATIENCE).into_future();
                let command = Command::Update { scope, name, process, expected, value };
                self.request(host, command, async {
                    Some(Reply::Update(update.await.map(|_| Updated::Done)))
                });
            }
            Writing::Meta { key, value, replicas } => {
                let write = match value {
                    Some(value) => registry.put_meta(key.as_str(), value.as_str()),
                    None => registry.delete_meta(key.as_str()),
                };
                let write = write.replicated(*replicas).timeout(PATIENCE).into_future();
                let (key, value) = (name(key), value.as_deref().map(Blob::from));
                let command = Command::WriteMeta { scope, key, value, replicas: *replicas };
                self.request(host, command, async { Some(Reply::WriteMeta(write.await)) });
            }
            Writing::JoinGroup { group, holder, metadata } => {
                let Some(process) = self.holder(node, *holder) else { return };
                let join = groups.join(group.as_str(), &process).metadata(metadata.as_str());
                let join = join.timeout(PATIENCE).into_future();
                let (group, metadata) = (name(group), Blob::from(metadata.as_str()));
                let command = Command::JoinGroup { scope, group, process, metadata };
                self.request(host, command, async { Some(Reply::JoinGroup(join.await)) });
            }
            Writing::LeaveGroup { group, holder } => {
                let Some(process) = self.holder(node, *holder) else { return };
                let leave = groups.leave(group.as_str(), &process).timeout(PATIENCE).into_future();
                let command = Command::LeaveGroup { scope, group: name(group), process };
                self.request(host, command, async { Some(Reply::LeaveGroup(leave.await)) });
            }
        }
    }

    fn start(&self, host: Host, number: u32, spec: ordu_core::ChildSpec, start: ordu::StartChild) {
        self.start_as(host, number, Command::Start { scope: scope(), spec }, start);
    }

    fn start_as(&self, host: Host, number: u32, command: Command, start: ordu::StartChild) {
        let ledger = self.ledger.clone();
        self.request(host, command, async move {
            let started = start.await.map(|child| StartedChild {
                child: child.id(),
                process: child.process(),
                replicated: child.was_replicated().expect("the handle started it"),
                found: false,
                token: child.token().clone(),
            });
            if let Ok(started) = &started {
                ledger.pages().children.insert(number, started.child);
            }
            Some(Reply::Start(started))
        });
    }

    fn call(
        &self,
        host: Host,
        target: Target,
        call: impl Future<Output = Result<u64, CallError>> + Send + 'static,
    ) {
        self.request(host, Command::Call { target, payload: Blob::from("1") }, async {
            Some(Reply::Call(call.await.map(|sum| Blob::from(sum.to_string().as_str()))))
        });
    }

    /// Writes down that `command` is asked for, and lets `operation` ask and wait for the answer.
    fn request(
        &self,
        host: Host,
        command: Command,
        operation: impl Future<Output = Option<Reply>> + Send + 'static,
    ) {
        // To leave takes as long as its timeout, and what follows it.
        let timeout = if command == Command::Leave { 4 * PATIENCE } else { PATIENCE };
        let ticket = self.ledger.ask(host, &command, timeout);
        let ledger = self.ledger.clone();
        self.cluster.spawn(async move { ledger.answer(ticket, operation.await) });
    }

    /// Asks `host` for the end of a child.
    pub(super) fn terminate(&self, host: Host, command: Command, end: ordu::Terminate) {
        self.request(host, command, async { Some(Reply::Terminate(end.timeout(PATIENCE).await)) });
    }

    fn child(&self, number: u32) -> Option<ChildId> {
        self.ledger.pages().children.get(&number).copied()
    }

    fn holder(&self, node: &Node, holder: Holding) -> Option<ProcessId> {
        match holder {
            Holding::Process(number) => self.ledger.pages().processes.get(&number).cloned(),
            Holding::Child(number) => {
                let child = self.child(number)?;
                let children = node.supervisor("default").children().into_iter();
                children.filter(|info| info.id == child).find_map(|info| info.process)
            }
        }
    }

    fn harm(&mut self, fault: &Fault) {
        match fault {
            Fault::Kill(host) if !self.is_dead(*host) => self.kill(*host),
            Fault::GoDark(host) if !self.is_dead(*host) => self.go_dark(*host),
            Fault::Boot(host) if self.is_dead(*host) => self.boot(*host),
            Fault::Restart(host) if self.is_up(*host) => {
                self.kill(*host);
                self.boot(*host);
            }
            Fault::Pause(host) if self.is_up(*host) => {
                self.ledger.pages().disturb(*host);
                self.cluster.pause(*host);
                self.conditions.insert(*host, Condition::Frozen);
            }
            Fault::Thaw(host) => self.thaw(*host),
            Fault::Kill(_)
            | Fault::GoDark(_)
            | Fault::Boot(_)
            | Fault::Restart(_)
            | Fault::Pause(_) => {}
            Fault::Cut(shape) => self.cut(shape),
            Fault::Part(shape) => {
                for (from, to) in shape.cuts(self.plan.setup.hosts) {
                    self.break_session(from, to);
                }
                self.cut(shape);
            }
            Fault::Mend(shape) => {
                if let Some(cut) = self.cuts.iter().position(|cut| cut == shape) {
                    self.cuts.remove(cut);
                    self.apply_cuts();
                }
            }
            Fault::Weather(network) => self.cluster.set_weather(network),
            Fault::Calm => self.cluster.set_weather(&self.plan.setup.network),
            Fault::BreakSession(a, b) => self.break_session(*a, *b),
            Fault::HalfOpen(..)
            | Fault::WallOffset(..)
            | Fault::ClockGain(..)
            | Fault::Lie(..)
            | Fault::Work(..) => self.skipped += 1,
            Fault::CrashChild(number) => {
                self.end_child(*number, Some("it was told to crash".to_owned()));
            }
            Fault::FinishChild(number) => self.end_child(*number, None),
        }
    }

    fn kill(&mut self, host: Host) {
        self.cluster.kill(host);
        self.die(host, Condition::Dead);
    }

    /// Freezes `host` for good: who dials it hears nothing.
    pub(super) fn go_dark(&mut self, host: Host) {
        self.cluster.pause(host);
        self.die(host, Condition::Dark);
    }

    pub(super) fn boot(&mut self, host: Host) {
        self.cluster.restart(host);
        self.conditions.insert(host, Condition::Up);
        self.lives += 1;
    }

    pub(super) fn thaw(&mut self, host: Host) {
        if self.condition(host) == Condition::Frozen {
            self.ledger.pages().disturb(host);
            self.cluster.thaw(host);
            self.conditions.insert(host, Condition::Up);
        }
    }

    fn cut(&mut self, shape: &Topology) {
        self.cuts.push(shape.clone());
        self.apply_cuts();
    }

    fn apply_cuts(&mut self) {
        let hosts = self.plan.setup.hosts;
        let cuts = self.cuts.iter().flat_map(|shape| shape.cuts(hosts));
        self.cluster.set_cuts(cuts.collect::<BTreeSet<_>>());
    }

    fn break_session(&mut self, a: Host, b: Host) {
        self.skipped += u64::from(!self.cluster.break_session(a, b));
    }

    /// Lets a process of a child fail, by telling it to.
    fn end_child(&mut self, number: u32, failure: Option<String>) {
        let Some(child) = self.child(number) else { return };
        let place =
            self.ledger.pages().running().find(|run| run.child == Some(child)).map(|run| run.host);
        let Some(host) = place.filter(|&host| self.is_up(host)) else { return };
        let Some(node) = self.cluster.started(host) else { return };
        let Some(handle) = node.supervisor("default").child(child) else { return };
        self.cluster.spawn(async move {
            let end = Message::End(failure);
            // It may have ended by itself.
            let _ = handle.send::<Counter>(&end).await;
        });
    }
}
