//! Carries out what the inner machines ask for, in rounds, until none asks for more.

use alloc::format;
use core::time::Duration;

use crate::effect::Effect;
use crate::entry::Key;
use crate::hindsight::Hindsight;
use crate::membership::{Output as MembershipOutput, Presence};
use crate::node::Node;
use crate::node::upkeep::DELETES_KEPT;
use crate::replication::Output as ReplicationOutput;
use crate::{Event, ExitReason, Output, ProcessEvent, Replica, StopReason};

/// Most rounds that one input may cause; past it two machines chase each other.
const ROUNDS_MAX: u64 = 10_000_000;

impl Node {
    /// Carries out everything that the inner machines ask for, and tells readers and users.
    pub(super) fn settle_effects(&mut self) {
        self.carry_out_effects();
        if !self.is_full && self.supervisor.is_full() {
            self.say_whether_full();
        }
        self.check_arrival();
        self.carry_out_effects();
        // The wait for takeovers ends by time alone, with no member that changes.
        let may_take_over = self.membership.may_take_over(self.now);
        let outlook = self.targets.outlook();
        if self.members_changed
            || may_take_over != outlook.may_take_over
            || self.reaches_majority() != outlook.reaches_majority
        {
            self.handle_members();
            self.carry_out_effects();
        }
        if self.presence != Presence::Here && !self.is_over {
            self.check_leave();
            self.carry_out_effects();
        }
        self.find_again();
    }

    /// Carries out what the inner machines ask for, until none asks for more.
    pub(super) fn carry_out_effects(&mut self) {
        for _ in 0..ROUNDS_MAX {
            if self.carry_out_next() || self.show_cell() {
                // Who gave a child up is told before the child is placed.
            } else if self.arrival.is_none()
                // They are placed once it is known where they may run now.
                && !self.members_changed
                && self.supervisor.may_place(&self.targets)
            {
                self.with_supervisor(|supervisor, around| supervisor.place(around));
            } else {
                return;
            }
        }
        unreachable!("one input makes the machines ask without end");
    }

    /// Carries out the next thing that the inner machines ask for, but for what waits until there
    /// is nothing else; returns whether there was one.
    pub(super) fn carry_out_next(&mut self) -> bool {
        if let Some(output) = self.membership.poll_output() {
            self.carry_out_membership(output);
        } else if let Some(output) = self.replication.poll_output() {
            self.carry_out_replication(output);
        } else if let Some(effect) = self.next_effect() {
            self.carry_out(effect);
        } else if let Some(news) = self.next_news() {
            self.carry_out_news(news);
        } else {
            return false;
        }
        true
    }

    pub(super) fn next_effect(&mut self) -> Option<Effect> {
        let effect = self.supervisor.poll_effect().or_else(|| self.registry.poll_effect());
        let effect = effect.or_else(|| self.conflicts.poll_effect());
        let effect = effect.or_else(|| self.adoption.poll_effect());
        let effect = effect.or_else(|| self.cells.poll_effect());
        let effect = effect.or_else(|| self.messaging.poll_effect());
        effect.or_else(|| self.settling.poll_effect())
    }

    pub(super) fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Put { key, value } => {
                let own = self.own_value(&key);
                // Of an end that is written twice in one input the first stands, for all.
                let is_end = || Key::is_end_in(&key) && own.is_some();
                if own.as_ref() != Some(&value) && !is_end() {
                    self.replication.put(key, value);
                }
            }
            Effect::Delete { key, reason } => {
                self.replication.delete(&key, reason.byte());
            }
            Effect::Send { to, message } => self.send(&to, message),
            Effect::Emit(output) => self.outputs.push_back(output),
            Effect::Answer { ticket, reply } => {
                if self.requests.request(ticket).is_some() {
                    self.reply(ticket, reply);
                }
            }
            Effect::Starting { number, standing } => {
                self.registry.handle_starting(number, standing);
            }
            Effect::Running { number, standing } => {
                self.registry.handle_running(number, standing);
                self.release_failures_of(number);
            }
            Effect::Gone { number } => self.handle_gone(number),
            Effect::Freeze { number, conflict } => {
                self.registry.handle_frozen(number, true);
                self.give_up_asks_of(number);
                if self.registry.is_plain(number) {
                    let grace = self.config.conflict_grace;
                    let reason = StopReason::Conflict(conflict);
                    self.outputs.push_back(Output::Stop { number, reason, grace });
                } else if self.supervisor.is_present(number) {
                    self.supervisor.freeze(number, conflict);
                } else {
                    // The end of its back-off fell on the notice: another one runs in its place.
                    self.conflicts.handle_gone(number);
                }
            }
            Effect::Frozen { number, state } => self.conflicts.handle_frozen(number, state),
            Effect::Release { number, outcome } => {
                if let (Some(key), Some(outcome)) = (self.supervisor.child_of(number), outcome) {
                    self.with_supervisor(|supervisor, around| {
                        supervisor.end(around, key, outcome);
                    });
                }
                if self.registry.is_plain(number) {
                    self.handle_gone(number);
                } else {
                    self.supervisor.release(number);
                }
            }
            Effect::Resume { number, state } => {
                if self.registry.is_plain(number) {
                    // Its code is gone with it: nothing can be started again from what it left.
                    self.handle_gone(number);
                } else {
                    self.registry.handle_frozen(number, false);
                    self.with_supervisor(|supervisor, around| {
                        supervisor.resume(around, number, state);
                    });
                }
            }
            Effect::Absorbed { number } => self.supervisor.handle_absorbed(number),
            Effect::GiveUp { number, reason } => self.give_up(number, reason),
            Effect::Forget { replica } => {
                self.retired.remove(&replica);
                self.replication.forget(&replica);
                self.tell_arrival(|arrival| arrival.handle_forgotten(&replica));
            }
        }
    }

    fn handle_gone(&mut self, number: u64) {
        self.give_up_asks_of(number);
        self.registry.handle_gone(number);
        self.conflicts.handle_gone(number);
        self.messaging.handle_gone(number);
    }

    /// Takes in what happened to a process of this node.
    pub(super) fn handle_process(&mut self, number: u64, event: ProcessEvent) {
        if !self.registry.is_plain(number) {
            self.with_supervisor(|supervisor, around| {
                supervisor.handle_process(around, number, event);
            });
            return;
        }
        match event {
            ProcessEvent::Stopped { state } if self.conflicts.yields(number) => {
                self.registry.handle_stopped(number);
                self.conflicts.handle_frozen(number, state);
            }
            ProcessEvent::Started => (),
            ProcessEvent::StartFailed { .. }
            | ProcessEvent::Ignored
            | ProcessEvent::Exited { .. }
            | ProcessEvent::Stopped { .. } => self.handle_gone(number),
        }
    }

    pub(super) fn carry_out_replication(&mut self, output: ReplicationOutput) {
        match output {
            ReplicationOutput::Send { to, message } => self.send(&to, message),
            ReplicationOutput::Changed { replica, changes } => {
                for change in &changes {
                    self.handle_change(&replica, change);
                }
            }
            ReplicationOutput::Closed { replica, head } => {
                self.membership.handle_closed(self.now, &replica, head);
                self.tell_arrival(|arrival| arrival.handle_closed(&replica, head));
                self.check_journal_requests(&replica, u64::MAX);
                self.let_go_of_bare(&replica);
            }
            ReplicationOutput::Appeared { replica, silence } => {
                if !self.membership.handle_remembered(self.now, &replica, silence) {
                    self.replication.remove(&replica);
                    self.tell_arrival(|arrival| arrival.handle_forgotten(&replica));
                }
            }
            ReplicationOutput::Refused { from, reason } => {
                let (peer, reason) = (from.node().clone(), format!("it sent {reason}"));
                self.outputs.push_back(Output::Event(Event::Refused { peer, reason }));
            }
        }
    }

    fn carry_out_membership(&mut self, output: MembershipOutput) {
        match output {
            MembershipOutput::Send { to, message } => self.send(&to, message),
            MembershipOutput::Dial { address } => {
                self.outputs.push_back(Output::Dial { address });
            }
            MembershipOutput::HangUp { address } => {
                self.outputs.push_back(Output::HangUp { address });
            }
            MembershipOutput::Disconnect { peer } => {
                self.outputs.push_back(Output::Disconnect { peer });
            }
            MembershipOutput::Electorate { node, electorate } => {
                self.handle_electorate(&node, electorate);
            }
            MembershipOutput::Opened { peer } => self.replication.handle_connected(self.now, peer),
            MembershipOutput::Joined { replica, stamp_floor } => {
                self.clock.handle_stamp(stamp_floor);
                self.replication.begin(self.now, replica.clone());
                self.begin(replica);
            }
            MembershipOutput::Reborn { was, replica } => {
                self.replication.begin_again(self.now, replica.clone());
                self.end_life(&was);
                self.begin(replica.clone());
                self.outputs.push_back(Output::Event(Event::Joined { replica }));
            }
            MembershipOutput::Superseded { by } => self.exit(ExitReason::Superseded { by }),
            MembershipOutput::Unwanted(reason) => self.handle_unwanted(reason),
            MembershipOutput::Excluded(reason) => self.exit(reason),
            MembershipOutput::Up { replica } => {
                self.adoption.handle_back(&replica);
                self.set_visible(&replica, true);
            }
            MembershipOutput::Down { replica, .. } => {
                self.targets.handle_silence();
                self.replication.drop_staged(&replica);
                self.set_visible(&replica, false);
            }
            MembershipOutput::Retired { replica, .. } | MembershipOutput::Forgotten { replica } => {
                self.retire(&replica);
                self.check_evictions();
            }
            MembershipOutput::Changed { .. } => self.members_changed = true,
            MembershipOutput::Event(event) => self.outputs.push_back(Output::Event(event)),
        }
    }

    /// Begins this life: from here on there is a journal to write.
    fn begin(&mut self, replica: Replica) {
        self.visible.insert(replica.clone());
        let is_first = self.me.replace(replica).is_none();
        self.joined = self.clock.stamp();
        // The journal begins anew, and nothing in it is old.
        self.hindsight = Hindsight::new(DELETES_KEPT);
        let presence = self.arrive();
        self.write_member(presence);
        self.members_changed = true;
        if is_first {
            self.take_in_again();
        }
    }

    /// Ends the life `before`, which somebody else has lived on from: its processes go.
    fn end_life(&mut self, before: &Replica) {
        let mut numbers = self.supervisor.abandon();
        numbers.extend(self.registry.plain());
        if let Some(holder) = &mut self.holder {
            holder.abandon();
        }
        self.proposer.begin_again(self.now);
        for number in numbers {
            let (reason, grace) = (StopReason::NodeDown, Duration::ZERO);
            self.outputs.push_back(Output::Stop { number, reason, grace });
            self.handle_gone(number);
        }
        self.carry_out_effects();
        self.retire(before);
    }
}
