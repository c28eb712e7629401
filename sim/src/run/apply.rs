//! How the steps of a plan are carried out.

use std::time::Duration;

use ordu_core::{Blob, ChildSpec, Command, Holder, ProcessId, Reply, Scope, Target, VoterChange};

use crate::host::Host;
use crate::plan::{Action, Ask, Care, Fault, Holding, Writing, key_of, need_of, placed};
use crate::requests::{locks, name, named, register, scope, spec};
use crate::run::{Run, Sent};

impl Run<'_> {
    /// Does what a step says, as far as it can be done now.
    pub(crate) fn apply(&mut self, action: &Action) {
        match action {
            Action::Ask { host, ask } => {
                if self.world.is_up(*host) {
                    self.ask(*host, ask);
                }
            }
            Action::Fault(fault) => self.harm(fault),
        }
    }

    /// Learns the ids of children whose starts were answered.
    pub(crate) fn note_starts(&mut self) {
        let starts = std::mem::take(&mut self.starts);
        for (child, ticket) in starts {
            match self.world.reply(ticket) {
                Some(Reply::Start(Ok(started))) => {
                    self.children.insert(child, started.child);
                }
                Some(_) => (),
                None => self.starts.push((child, ticket)),
            }
        }
    }

    fn ask(&mut self, host: Host, ask: &Ask) {
        let command = match ask {
            Ask::Start { child, kind, restart, name } => {
                let mut spec = match name {
                    Some(name) => named(kind, name),
                    None => spec(kind),
                };
                spec.restart = *restart;
                let ticket = self.world.request(host, Command::Start { scope: scope(), spec });
                self.starts.push((*child, ticket));
                return;
            }
            Ask::Care(care) => {
                let Some(command) = self.care(host, care) else { return };
                command
            }
            Ask::Spawn { process } => return self.spawn(host, *process),
            Ask::Leave => Command::Leave,
            Ask::ChangeVoters { voter, adds } => {
                let change = if *adds { VoterChange::Add } else { VoterChange::Remove };
                let command = Command::ChangeVoters { change: change(voter.id()) };
                self.world.request_within(host, command, Duration::from_secs(30));
                return;
            }
            Ask::Terminate { child } => {
                let Some(&child) = self.children.get(child) else { return };
                Command::Terminate { scope: scope(), child }
            }
            Ask::Register { name, holder, replicas } => {
                let Some(process) = self.process(host, *holder) else { return };
                let scope = self.registry_of(name);
                let Command::Register { name, process, value, replicas, .. } =
                    register(name, &process, *replicas)
                else {
                    return;
                };
                // Names that may be lost are asked for on the node of the process.
                let own = Host::of(process.replica.node()).filter(|_| scope == locks());
                let on = own.unwrap_or(host);
                if !self.world.is_up(on) {
                    return;
                }
                let command = Command::Register { scope, name, process, value, replicas };
                self.world.request(on, command);
                return;
            }
            Ask::Unregister { name: text } => {
                let (scope, name) = (self.registry_of(text), name(text));
                let holder = self.world.view(host).names.get(&(scope, name.clone()));
                let Some(process) = holder.map(|holder| holder.process.clone()) else { return };
                Command::Unregister { scope, name, process }
            }
            Ask::Write(writing) => {
                let Some(command) = self.writing(host, writing) else { return };
                command
            }
            Ask::Publish { group } => {
                let payload = Blob::from("1");
                Command::Publish { scope: scope(), group: name(group), payload }
            }
            Ask::CallName { name: text } => Command::Call {
                target: Target::Name(scope(), name(text)),
                payload: Blob::from("1"),
            },
            Ask::Message { name: text, payload } => {
                let target = Target::Name(scope(), name(text));
                let command = Command::Call { target, payload: Blob::from(&payload[..]) };
                let ticket = self.world.request(host, command);
                let (name, payload) = (text.clone(), payload.clone());
                self.sent.push(Sent { name, payload, ticket });
                return;
            }
            Ask::CallChild { child } => {
                let Some(&child) = self.children.get(child) else { return };
                Command::Call { target: Target::Child(scope(), child), payload: Blob::from("1") }
            }
        };
        self.world.request(host, command);
    }

    /// Returns the registry that `text` is a name of: where children run under leases, or stop in
    /// the minority, every other name is held or given up likewise.
    fn registry_of(&self, text: &str) -> Scope {
        let tuning = &self.plan.setup.tuning;
        let have_modes = tuning.leases.is_some() || tuning.quorum.is_some();
        let is_moded = text.bytes().map(u32::from).sum::<u32>().is_multiple_of(2);
        if have_modes && is_moded { locks() } else { scope() }
    }

    /// Returns what asks about a child as a plan says; `None` if that is asked already, or not
    /// known.
    fn care(&mut self, host: Host, care: &Care) -> Option<Command> {
        let scope = scope();
        let (child, command) = match care {
            Care::Once { child, kind } => {
                let (key, spec) = (key_of(*child), spec(kind));
                (*child, Command::StartOnce { scope, key, spec })
            }
            Care::Inside { child, kind, zone } => {
                let spec = ChildSpec { needs: vec![need_of(*zone)], ..spec(kind) };
                (*child, Command::Start { scope, spec })
            }
            Care::Placed { child, kind, placement } => {
                (*child, Command::Start { scope, spec: placed(kind, placement) })
            }
            Care::Nested { child, kind, parent, escalates } => {
                let (parent, escalates) = (Some(*self.children.get(parent)?), *escalates);
                let spec = ChildSpec { parent, escalates, ..spec(kind) };
                (*child, Command::Start { scope, spec })
            }
            Care::Restart { child } => {
                return Some(Command::Restart { scope, child: *self.children.get(child)? });
            }
            Care::Release { child } => {
                return Some(Command::Release { scope, child: *self.children.get(child)? });
            }
        };
        let ticket = self.world.request(host, command);
        self.starts.push((child, ticket));
        None
    }

    /// Returns what writes as a plan says, as far as `host` knows what it speaks of.
    fn writing(&self, host: Host, writing: &Writing) -> Option<Command> {
        let scope = scope();
        Some(match writing {
            Writing::Value { name: text, value } => {
                let Holder { process, value: expected, .. } =
                    self.world.lookup(host, text)?.clone();
                let (name, value) = (name(text), Blob::from(value.as_str()));
                Command::Update { scope, name, process, expected, value }
            }
            Writing::Meta { key, value, replicas } => {
                let (key, value) = (name(key), value.as_deref().map(Blob::from));
                Command::WriteMeta { scope, key, value, replicas: *replicas }
            }
            Writing::JoinGroup { group, holder, metadata } => {
                let (group, metadata) = (name(group), Blob::from(metadata.as_str()));
                let process = self.process(host, *holder)?;
                Command::JoinGroup { scope, group, process, metadata }
            }
            Writing::LeaveGroup { group, holder } => {
                let process = self.process(host, *holder)?;
                Command::LeaveGroup { scope, group: name(group), process }
            }
        })
    }

    /// Returns the process that a plan speaks of, as far as `host` knows it.
    fn process(&self, host: Host, holder: Holding) -> Option<ProcessId> {
        match holder {
            Holding::Process(process) => self.processes.get(&process).cloned(),
            Holding::Child(child) => {
                let child = self.children.get(&child)?;
                self.world.children(host).get(child)?.process.clone()
            }
        }
    }

    fn spawn(&mut self, host: Host, process: u32) {
        // Before it has joined a node has no life that a process could be of.
        if !self.world.members(host).contains_key(&host.id()) {
            return;
        }
        let ticket = self
            .world
            .request(host, Command::Spawn { precedence: ordu_core::Precedence::default() });
        if let Some(Reply::Spawn(id)) = self.world.reply(ticket) {
            self.processes.insert(process, id.clone());
        }
    }

    fn harm(&mut self, fault: &Fault) {
        let world = &mut self.world;
        match fault {
            Fault::Kill(host) if world.has_node(*host) => world.kill(*host),
            Fault::GoDark(host) if world.has_node(*host) => world.crash_silently(*host),
            Fault::Boot(host) if world.is_dead(*host) => world.start(*host),
            Fault::Restart(host) if world.is_up(*host) => world.restart(*host),
            Fault::Pause(host) if world.is_up(*host) => world.pause(*host),
            Fault::Thaw(host) if world.is_paused(*host) => world.thaw(*host),
            Fault::Kill(_)
            | Fault::GoDark(_)
            | Fault::Boot(_)
            | Fault::Restart(_)
            | Fault::Pause(_)
            | Fault::Thaw(_) => {}
            Fault::Cut(shape) => {
                world.shape(shape);
                self.cuts.push(shape.clone());
            }
            Fault::Part(shape) => {
                world.shape(shape);
                for (from, to) in shape.cuts(self.plan.setup.hosts) {
                    world.break_session(from, to);
                }
                self.cuts.push(shape.clone());
            }
            Fault::Mend(shape) => {
                if let Some(cut) = self.cuts.iter().position(|cut| cut == shape) {
                    self.cuts.remove(cut);
                    world.unshape(shape);
                }
            }
            Fault::Weather(network) => world.set_network(network.clone()),
            Fault::Calm => world.set_network(self.usual.clone()),
            Fault::BreakSession(a, b) => world.break_session(*a, *b),
            Fault::HalfOpen(a, b) => world.half_open(*a, *b),
            Fault::Lie(host, to, lie) => world.lie(*host, *to, *lie),
            Fault::WallOffset(host, offset_ms) => world.set_wall_offset_ms(*host, *offset_ms),
            Fault::ClockGain(host, gain_ppm) => world.set_clock_gain_ppm(*host, *gain_ppm),
            Fault::Work(host, pace) => world.set_pace(*host, *pace),
            Fault::CrashChild(child) => self.end_child(*child, Some("it was told to crash")),
            Fault::FinishChild(child) => self.end_child(*child, None),
        }
    }

    fn end_child(&mut self, child: u32, failure: Option<&str>) {
        let Some(&child) = self.children.get(&child) else { return };
        if let Some(process) = self.world.process_of(child) {
            self.world.end_process(&process, failure);
        }
    }
}
