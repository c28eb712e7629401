//! Each promise broken on purpose, by a node with a part of it changed: the watch for it must see
//! it.

use std::collections::VecDeque;
use std::time::Duration;

use ordu_core::crdt::DeltaEntry;
use ordu_core::message::Message;
use ordu_core::{
    ChildId, ChildSpec, Command, Event, Input, MemberStatus, Node, Output, RegisterError, Reply,
    Restart, Start, StartReason, StartedChild, StopReason, Time, TimerKind, ViewChange,
};
use ordu_sim::{Machine, MachineMaker, N1, N2, N3, World, named, scope};

use crate::{LONG, SETTLE, SHORT};

/// A node whose words are changed on their way out.
struct Changed {
    node: Node,
    outputs: VecDeque<Output>,
    change: Change,
}

/// What is made of an output; `None` leaves it as it is.
type Change = fn(&Node, &Output) -> Option<Vec<Output>>;

impl Machine for Changed {
    fn handle(&mut self, now: Time, input: Input) {
        self.node.handle(now, input);
        while let Some(output) = self.node.poll_output() {
            let changed = (self.change)(&self.node, &output);
            self.outputs.extend(changed.unwrap_or_else(|| vec![output]));
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<(Time, TimerKind)> {
        self.node.poll_timeout()
    }

    fn state_hash(&self) -> u64 {
        self.node.state_hash()
    }

    fn node(&self) -> Option<&Node> {
        Some(&self.node)
    }
}

fn changed(change: Change) -> MachineMaker {
    Box::new(move |config, seed, now| {
        let node = Node::new(config, seed, now);
        Box::new(Changed { node, outputs: VecDeque::new(), change })
    })
}

/// A short life with a bit of everything: children, names, a conflict behind a split, a death.
fn live(change: Change) {
    live_on(3, change);
}

fn live_on(seed: u64, change: Change) {
    let mut world = World::builder(seed, 3).machines(changed(change)).joined();
    for number in 0..4 {
        let _ = world.start_child(N1, named("counter", &format!("cart-{number}")));
    }
    let process = world.spawn(N1);
    let _ = world.register(N1, "alias", &process);
    let _ = world.register(N2, "other-alias", &process);
    world.run_for(Duration::from_secs(1));
    let _ = world.count(N2, "alias", 1);
    world.partition(&[N1, N2], &[N3]);
    world.run_for(LONG);
    for host in [N1, N3] {
        let process = world.spawn(host);
        let _ = world.register(host, "contended", &process);
    }
    world.heal();
    world.run_for(LONG);
    let _ = world.unregister(N1, "alias", &process);
    world.kill(N2);
    world.run_for(LONG);
    world.start(N2);
    world.run_for(LONG);
    world.settle(SETTLE);
}

#[test]
fn with_nothing_changed_every_promise_is_kept() {
    live(|_, _| None);
}

/// A name is given, and the cluster is left alone.
fn rest(change: Change) {
    let mut world = World::builder(3, 5).machines(changed(change)).joined();
    let process = world.spawn(N1);
    world.register(N1, "alias", &process).expect("the name is free");
    world.run_for(LONG);
    world.settle(SETTLE);
    assert_eq!(world.readings().stable, 1);
    world.begin_quiet();
    world.run_for(LONG);
    world.end_quiet();
}

#[test]
fn with_nothing_changed_rest_is_quiet() {
    rest(|_, _| None);
}

#[test]
#[should_panic(expected = "L12: ")]
fn noise_at_rest_is_seen() {
    rest(|_, output| {
        let Output::Send { .. } = output else { return None };
        Some(vec![output.clone(); 3])
    });
}

#[test]
#[should_panic(expected = "L13: ")]
fn a_suspicion_of_the_living_is_seen() {
    rest(|_, output| {
        let Output::Event(Event::MemberUp { replica }) = output else { return None };
        let suspected = Event::MemberSuspect { replica: replica.clone() };
        Some(vec![output.clone(), Output::Event(suspected)])
    });
}

#[test]
#[should_panic(expected = "L13: ")]
fn a_death_that_nobody_sees_is_seen() {
    silence(|_, output| {
        let Output::View(ViewChange::Member { view: Some(view), .. }) = output else {
            return None;
        };
        (view.status == MemberStatus::Down).then(Vec::new)
    });
}

#[test]
#[should_panic(expected = "S3: ")]
fn a_beat_that_falls_back_is_seen() {
    live(|_, output| {
        let Output::Send { to, envelope } = output else { return None };
        let mut envelope = envelope.clone();
        envelope.beat = 100_u64.saturating_sub(envelope.beat);
        Some(vec![Output::Send { to: to.clone(), envelope }])
    });
}

#[test]
#[should_panic(expected = "S3: ")]
fn a_life_that_begins_twice_is_seen() {
    live(|_, output| {
        let Output::Event(Event::Joined { .. }) = output else { return None };
        Some(vec![output.clone(), output.clone()])
    });
}

#[test]
#[should_panic(expected = "S5: ")]
fn a_delta_that_lacks_an_entry_is_seen() {
    live(|_, output| {
        let Output::Send { to, envelope } = output else { return None };
        let mut envelope = envelope.clone();
        let Message::Delta(delta) = &mut envelope.message else { return None };
        delta.entries.pop();
        Some(vec![Output::Send { to: to.clone(), envelope }])
    });
}

#[test]
#[should_panic(expected = "S5: ")]
fn a_delta_with_an_entry_that_was_overwritten_is_seen() {
    // A seed by which the entry was overwritten before anybody was told of it: else S2 sees it
    // first.
    live_on(5, |_, output| {
        let Output::Send { to, envelope } = output else { return None };
        let mut envelope = envelope.clone();
        let Message::Delta(delta) = &mut envelope.message else { return None };
        let first = delta.entries.first().filter(|entry| entry.step > 1)?.clone();
        let stale = DeltaEntry { step: 1, ..first };
        delta.entries[0].step -= 1;
        delta.entries.insert(0, stale);
        Some(vec![Output::Send { to: to.clone(), envelope }])
    });
}

#[test]
#[should_panic(expected = "S8: ")]
fn an_answer_before_readers_are_told_is_seen() {
    live(|_, output| {
        let Output::View(ViewChange::Name { .. }) = output else { return None };
        Some(Vec::new())
    });
}

#[test]
#[should_panic(expected = "S8: ")]
fn a_start_that_readers_do_not_see_is_seen() {
    live(|_, output| {
        let Output::View(ViewChange::Child { .. }) = output else { return None };
        Some(Vec::new())
    });
}

#[test]
#[should_panic(expected = "S9: ")]
fn a_member_that_readers_are_not_told_of_is_seen() {
    live(|node, output| {
        let Output::View(ViewChange::Member { node: of, .. }) = output else { return None };
        (Some(of) == node.replica().map(|me| me.node())).then(Vec::new)
    });
}

#[test]
#[should_panic(expected = "S12: ")]
fn a_loser_that_is_told_twice_is_seen() {
    live(|_, output| {
        let Output::Stop { reason: StopReason::Conflict(_), .. } = output else { return None };
        Some(vec![output.clone(), output.clone()])
    });
}

#[test]
#[should_panic(expected = "S16: ")]
fn a_change_for_another_node_that_is_made_twice_is_seen() {
    live(|_, output| {
        let Output::View(ViewChange::Name { holder: Some(_), .. }) = output else { return None };
        Some(vec![output.clone(), output.clone()])
    });
}

#[test]
#[should_panic(expected = "S25: ")]
fn a_message_that_is_delivered_twice_is_seen() {
    live(|_, output| {
        let Output::Deliver { .. } = output else { return None };
        Some(vec![output.clone(), output.clone()])
    });
}

#[test]
#[should_panic(expected = "S32: ")]
fn a_node_that_says_everything_fifty_times_is_seen() {
    live(|_, output| {
        let Output::Send { .. } = output else { return None };
        Some(vec![output.clone(); 50])
    });
}

#[test]
#[should_panic(expected = "S33: ")]
fn a_child_that_starts_on_another_member_than_the_rings_is_seen() {
    live(|_, output| {
        let Output::Start(start) = output else { return None };
        let mut bytes = start.child.to_bytes();
        bytes.reverse();
        let child = ChildId::from_bytes(bytes);
        Some(vec![Output::Start(Start { child, ..start.clone() })])
    });
}

#[test]
#[should_panic(expected = "S34: ")]
fn an_answer_that_makes_one_node_two_is_seen() {
    let change: Change = |_, output| {
        let Output::Reply { ticket, reply: Reply::Start(Ok(started)) } = output else {
            return None;
        };
        let started = StartedChild { replicated: true, ..started.clone() };
        Some(vec![Output::Reply { ticket: *ticket, reply: Reply::Start(Ok(started)) }])
    };
    let mut world = World::builder(3, 2).machines(changed(change)).joined();
    world.crash_silently(N2);
    world.run_for(LONG);
    let _ = world.start_child(N1, named("counter", "cart"));
}

#[test]
#[should_panic(expected = "S35: ")]
fn a_temporary_child_that_is_started_again_is_seen() {
    let change: Change = |_, output| {
        let Output::Start(start) = output else { return None };
        Some(vec![Output::Start(Start { reason: StartReason::FailedOver, ..start.clone() })])
    };
    let mut world = World::builder(3, 2).machines(changed(change)).joined();
    let temporary = ChildSpec { restart: Restart::Temporary, ..named("counter", "cart") };
    let _ = world.start_child(N1, temporary);
    let host = world.running_name("cart")[0];
    let _ = world.leave(host);
    world.run_for(LONG);
}

#[test]
#[should_panic(expected = "S36: ")]
fn a_winner_that_is_not_given_what_the_loser_had_is_seen() {
    live(|_, output| {
        let Output::Absorb { .. } = output else { return None };
        Some(Vec::new())
    });
}

/// A member dies without a word.
fn silence(change: Change) {
    let mut world = World::builder(3, 3).machines(changed(change)).joined();
    world.crash_silently(N3);
    world.run_for(LONG);
}

#[test]
fn with_nothing_changed_the_silent_are_remembered() {
    silence(|_, _| None);
}

#[test]
#[should_panic(expected = "S38: ")]
fn a_silent_member_that_is_forgotten_at_once_is_seen() {
    silence(|_, output| {
        let Output::View(ViewChange::Member { node, view: Some(view) }) = output else {
            return None;
        };
        let forgotten = ViewChange::Member { node: node.clone(), view: None };
        let is_down = view.status == MemberStatus::Down;
        is_down.then(|| vec![output.clone(), Output::View(forgotten)])
    });
}

/// A node that nobody hears ends a child, or leaves, with less time than it takes to be missed.
fn unheard(change: Change, command: impl FnOnce(ChildId) -> Command) {
    let mut world = World::builder(3, 3).machines(changed(change)).joined();
    let child = world.start_child(N1, named("counter", "cart")).expect("it starts").child;
    world.run_for(LONG);
    world.partition(&[N1], &[N2, N3]);
    let ticket = world.request_within(N1, command(child), SHORT);
    let _ = world.answer(ticket);
}

const END: fn(ChildId) -> Command = |child| Command::Terminate { scope: scope(), child };
const LEAVE: fn(ChildId) -> Command = |_| Command::Leave;

#[test]
fn with_nothing_changed_who_is_not_heard_does_not_say_that_it_was() {
    unheard(|_, _| None, END);
    unheard(|_, _| None, LEAVE);
}

#[test]
#[should_panic(expected = "S34: ")]
fn an_end_that_is_confirmed_and_that_nobody_has_heard_of_is_seen() {
    let change: Change = |_, output| {
        let Output::Reply { ticket, reply: Reply::Terminate(Err(_)) } = output else {
            return None;
        };
        Some(vec![Output::Reply { ticket: *ticket, reply: Reply::Terminate(Ok(())) }])
    };
    unheard(change, END);
}

#[test]
#[should_panic(expected = "S37: ")]
fn a_leave_that_is_confirmed_and_that_nobody_has_heard_of_is_seen() {
    let change: Change = |_, output| {
        let Output::Reply { ticket, reply: Reply::Leave(Err(_)) } = output else { return None };
        Some(vec![Output::Reply { ticket: *ticket, reply: Reply::Leave(Ok(())) }])
    };
    unheard(change, LEAVE);
}

#[test]
#[should_panic(expected = "L16: ")]
fn a_leave_that_waits_for_those_who_do_not_say_that_they_know_is_seen() {
    let change: Change = |_, output| {
        let Output::Send { to, envelope } = output else { return None };
        let mut envelope = envelope.clone();
        if matches!(envelope.message, Message::Ack(_) | Message::Digest(_)) {
            return Some(Vec::new());
        }
        let Message::Beat(beat) = &mut envelope.message else { return None };
        beat.pulses.iter_mut().for_each(|pulse| pulse.head = 0);
        Some(vec![Output::Send { to: to.clone(), envelope }])
    };
    let mut world = World::builder(3, 3).machines(changed(change)).joined();
    world.run_for(LONG);
    let _ = world.leave(N1);
}

#[test]
#[should_panic(expected = "L17: ")]
fn a_write_that_runs_out_of_time_while_nothing_is_wrong_is_seen() {
    let change: Change = |_, output| {
        let Output::Reply { ticket, reply: Reply::Register(Ok(_)) } = output else { return None };
        let error = RegisterError::TimedOut { wanted: 2 };
        Some(vec![Output::Reply { ticket: *ticket, reply: Reply::Register(Err(error)) }])
    };
    let mut world = World::builder(3, 3).machines(changed(change)).joined();
    let process = world.spawn(N1);
    let _ = world.register(N1, "alias", &process);
    world.run_for(LONG);
}
