//! S8. Whoever is told that a name or a child is there can read it there at once.

use std::collections::BTreeMap;

use ordu_core::{Command, Holder, Input, MemberStatus, Output, ProcessId, Reply, ViewChange};
use ordu_core::{Name, Scope, UnregisterError};

use crate::host::Host;
use crate::invariants::{Finding, Invariant, Promise, Scene};
use crate::verdict::Class;

/// Remembers what was asked for, and compares answers with what readers see.
#[derive(Default)]
pub(crate) struct NodesReadTheirWrites {
    names: BTreeMap<(Host, u64), Asked>,
    starts: BTreeMap<(Host, u64), Scope>,
    /// What somebody asked to take away, and was not told what came of it: a word to another node
    /// may be overtaken.
    under_way: BTreeMap<(Host, u64), Taken>,
}

/// A name, and the process that it is taken from.
type Taken = ((Scope, Name), ProcessId);

/// A name that was asked for.
struct Asked {
    key: (Scope, Name),
    process: ProcessId,
    /// Whether readers saw the process there since, or it lost the name again, or is gone.
    may_be_gone: bool,
    /// Whether more happened since than the request itself.
    is_old: bool,
}

impl NodesReadTheirWrites {
    fn check_name(&mut self, scene: &Scene<'_>, ticket: u64) -> Finding {
        let Some(asked) = self.names.remove(&(scene.host, ticket)) else { return Ok(()) };
        let holder = scene.view.names.get(&asked.key);
        if holder.is_some_and(|holder| holder.process == asked.process) || asked.may_be_gone {
            return Ok(());
        }
        // Between the write and the answer a better claim may have shown, or the owner gone.
        let member = scene.view.members.get(asked.process.replica.node());
        let is_up = member.is_some_and(|member| {
            member.incarnation == asked.process.replica.incarnation()
                && member.status != MemberStatus::Down
        });
        if asked.is_old && (holder.is_some() || !is_up) {
            return Ok(());
        }
        let (name, process) = (&asked.key.1, &asked.process);
        Err(format!("{} says that {process} has the name {name}, and shows {holder:?}", scene.host))
    }

    /// Takes in that `gone` says of what may be gone before its answer comes.
    fn lose(&mut self, gone: impl Fn(&Asked) -> bool) {
        for asked in self.names.values_mut() {
            asked.may_be_gone |= gone(asked);
        }
    }

    fn see(&mut self, host: Host, key: (&Scope, &Name), holder: &Holder) {
        for asked in self.names.range_mut((host, 0)..=(host, u64::MAX)).map(|(_, asked)| asked) {
            let is_it = (&asked.key.0, &asked.key.1) == key && asked.process == holder.process;
            asked.may_be_gone |= is_it;
        }
    }
}

impl Invariant for NodesReadTheirWrites {
    fn promise(&self) -> Promise {
        Promise {
            id: "S8",
            says: "whoever is told that a name or a child is there can read it there at once",
            made_in: "ordu_core::Reply",
            class: Class::Safety,
        }
    }

    fn handle_input(&mut self, scene: &Scene<'_>, input: &Input) -> Finding {
        if let Input::Process { number, .. } = input {
            let host = scene.host;
            self.lose(|asked| is_on(host, *number, &asked.process));
        }
        let Input::Request { ticket, command, .. } = input else { return Ok(()) };
        let request = (scene.host, *ticket);
        match command {
            Command::Register { scope, name, process, .. } => {
                let (key, process) = ((*scope, name.clone()), process.clone());
                let taken = (key.clone(), process.clone());
                let may_be_gone = self.under_way.values().any(|other| *other == taken);
                let asked = Asked { key, process, may_be_gone, is_old: false };
                self.names.insert(request, asked);
            }
            Command::Unregister { scope, name, process } => {
                self.lose(|asked| {
                    (&asked.key.0, &asked.key.1, &asked.process) == (scope, name, process)
                });
                let taken = ((*scope, name.clone()), process.clone());
                self.under_way.insert(request, taken);
            }
            Command::Start { scope, .. }
            | Command::StartOnce { scope, .. }
            | Command::Ensure { scope, .. } => {
                self.starts.insert(request, *scope);
            }
            Command::Terminate { .. }
            | Command::Restart { .. }
            | Command::Release { .. }
            | Command::Quarantined { .. }
            | Command::Quorum { .. }
            | Command::Links
            | Command::PlanMoves { .. }
            | Command::PauseMoves { .. }
            | Command::AwaitQuorum
            | Command::ChangeVoters { .. }
            | Command::Explain { .. }
            | Command::Spawn { .. }
            | Command::Call { .. }
            | Command::Send { .. }
            | Command::Update { .. }
            | Command::JoinGroup { .. }
            | Command::LeaveGroup { .. }
            | Command::Publish { .. }
            | Command::WriteMeta { .. }
            | Command::SetMembers { .. }
            | Command::Evict { .. }
            | Command::Leave
            | Command::CatchUp { .. }
            | Command::Settled => (),
        }
        Ok(())
    }

    fn handle_output(&mut self, scene: &Scene<'_>, output: &Output) -> Finding {
        match output {
            Output::View(ViewChange::Name { scope, name, holder: Some(holder), .. }) => {
                self.see(scene.host, (scope, name), holder);
                Ok(())
            }
            Output::Stop { number, .. } => {
                let host = scene.host;
                self.lose(|asked| is_on(host, *number, &asked.process));
                Ok(())
            }
            Output::Reply { ticket, reply: Reply::Unregister(result) } => {
                if !matches!(result, Err(UnregisterError::TimedOut)) {
                    self.under_way.remove(&(scene.host, *ticket));
                }
                Ok(())
            }
            Output::Reply { ticket, reply: Reply::Register(Ok(_)) } => {
                self.check_name(scene, *ticket)
            }
            Output::Reply { ticket, reply: Reply::Start(Ok(started)) } => {
                let Some(scope) = self.starts.remove(&(scene.host, *ticket)) else {
                    return Ok(());
                };
                let view = scene.view.children.get(&(scope, started.child));
                let process = view.and_then(|view| view.process.as_ref());
                // It may have ended by what came with the news that it runs.
                let has_ended = || scene.node.has_ended(scope, started.child);
                if process == Some(&started.process) || view.is_none() && has_ended() {
                    return Ok(());
                }
                let (child, by) = (started.child, &started.process);
                Err(format!("{} says that {by} runs {child}, and shows {view:?}", scene.host))
            }
            Output::Reply { ticket, .. } => {
                self.names.remove(&(scene.host, *ticket));
                self.starts.remove(&(scene.host, *ticket));
                Ok(())
            }
            // Whatever it was asked, it will not answer any more.
            Output::Exit(_) => {
                self.names.retain(|(host, _), _| *host != scene.host);
                self.starts.retain(|(host, _), _| *host != scene.host);
                Ok(())
            }
            Output::Send { .. }
            | Output::Dial { .. }
            | Output::HangUp { .. }
            | Output::Renew { .. }
            | Output::Persist { .. }
            | Output::Hold { .. }
            | Output::Disconnect { .. }
            | Output::Start(_)
            | Output::Absorb { .. }
            | Output::Deliver { .. }
            | Output::View(_)
            | Output::Event(_) => Ok(()),
        }
    }

    fn handle_step(&mut self, scene: &Scene<'_>, _: &Input) -> Finding {
        let host = scene.host;
        for asked in self.names.range_mut((host, 0)..=(host, u64::MAX)).map(|(_, asked)| asked) {
            asked.is_old = true;
        }
        Ok(())
    }
}

fn is_on(host: Host, number: u64, process: &ProcessId) -> bool {
    process.number == number && *process.replica.node() == host.id()
}
