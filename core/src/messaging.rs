//! Messages to processes: from anywhere to anywhere, and a call always ends.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::effect::Effect;
use crate::message::{Call, CallFailure, CallReply, Cast, Message, Publish};
use crate::{Blob, CallError, CallId, NodeId, Output, ProcessId, Reply, Time};

/// The calls under way from and to this node.
///
/// Invariant: `by_process` and `expiries` index exactly the calls of `incoming`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Messaging {
    last: u64,
    /// Calls of this node's users to processes of other nodes.
    outgoing: BTreeMap<u64, Outgoing>,
    /// Calls to processes of this node that have not been answered.
    incoming: BTreeMap<CallId, Incoming>,
    by_process: BTreeSet<(u64, CallId)>,
    expiries: BTreeSet<(Time, CallId)>,
    effects: VecDeque<Effect>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Outgoing {
    ticket: u64,
    process: ProcessId,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Incoming {
    caller: Caller,
    process: ProcessId,
    expires: Time,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Caller {
    Here { ticket: u64 },
    There { node: NodeId, id: u64 },
}

impl Messaging {
    /// Returns the next effect, in order.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Returns how many calls of ours, and how many calls to us, have not been answered.
    pub(crate) fn pending(&self) -> (usize, usize) {
        (self.outgoing.len(), self.incoming.len())
    }

    /// Returns how many effects wait to be carried out.
    pub(crate) fn queued(&self) -> usize {
        self.effects.len()
    }

    /// Checks that the calls to us are found by process and by their end.
    ///
    /// # Errors
    ///
    /// Says that they are not.
    pub(crate) fn audit(&self) -> Result<(), alloc::string::String> {
        let calls = || self.incoming.iter();
        let by_process = calls().map(|(call, incoming)| (incoming.process.number, *call));
        let expiries = calls().map(|(call, incoming)| (incoming.expires, *call));
        let are_found = self.by_process == by_process.collect::<BTreeSet<_>>()
            && self.expiries == expiries.collect::<BTreeSet<_>>();
        are_found.then_some(()).ok_or_else(|| "calls are not found by process or end".into())
    }

    /// Calls `process`, which runs on this node, for the user behind `ticket`.
    pub(crate) fn call_here(
        &mut self,
        ticket: u64,
        process: ProcessId,
        payload: Blob,
        expires: Time,
    ) {
        self.deliver(Caller::Here { ticket }, process, payload, expires);
    }

    /// Calls `process`, which runs on another node, for the user behind `ticket`.
    pub(crate) fn call_there(
        &mut self,
        ticket: u64,
        process: ProcessId,
        payload: Blob,
        timeout: Duration,
    ) {
        self.last += 1;
        let id = self.last;
        let to = process.replica.node().clone();
        let remaining_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let message = Message::Call(Call { id, number: process.number, remaining_ms, payload });
        self.outgoing.insert(id, Outgoing { ticket, process });
        self.effects.push_back(Effect::Send { to, message });
    }

    /// Brings a message to `process`, with nobody waiting.
    pub(crate) fn cast(&mut self, process: &ProcessId, is_here: bool, payload: Blob) {
        let number = process.number;
        let effect = if is_here {
            Effect::Emit(Output::Deliver { number, payload, call: None })
        } else {
            let message = Message::Cast(Cast { number, payload });
            Effect::Send { to: process.replica.node().clone(), message }
        };
        self.effects.push_back(effect);
    }

    /// Brings a message to the members of a group on the node `to`, behind what was sent before.
    pub(crate) fn publish(&mut self, to: &NodeId, publish: Publish) {
        let message = Message::Publish(publish);
        self.effects.push_back(Effect::Send { to: to.clone(), message });
    }

    /// Takes in a call from `node` to `process` of this node; `None` if there is no such process.
    pub(crate) fn handle_call(
        &mut self,
        now: Time,
        node: &NodeId,
        process: Option<ProcessId>,
        call: Call,
    ) {
        match process {
            Some(process) => {
                let expires = now + Duration::from_millis(call.remaining_ms);
                let caller = Caller::There { node: node.clone(), id: call.id };
                self.deliver(caller, process, call.payload, expires);
            }
            None => {
                let result = Err(CallFailure::NoProcess);
                let message = Message::Reply(CallReply { id: call.id, result });
                self.effects.push_back(Effect::Send { to: node.clone(), message });
            }
        }
    }

    /// Takes in the answer of a process of this node; a second one to the same call is dropped.
    pub(crate) fn handle_answer(&mut self, call: CallId, result: Result<Blob, CallFailure>) {
        let Some(incoming) = self.remove_incoming(call) else { return };
        match incoming.caller {
            Caller::Here { ticket } => self.answer(ticket, incoming.process, result),
            Caller::There { node, id } => {
                let message = Message::Reply(CallReply { id, result });
                self.effects.push_back(Effect::Send { to: node, message });
            }
        }
    }

    /// Takes in the reply of `from` to a call of ours; one that nobody waits for is dropped.
    pub(crate) fn handle_reply(&mut self, from: &NodeId, reply: CallReply) {
        let is_asked = |outgoing: &Outgoing| outgoing.process.replica.node() == from;
        if self.outgoing.get(&reply.id).is_some_and(is_asked) {
            let outgoing = self.outgoing.remove(&reply.id).expect("it was just seen");
            self.answer(outgoing.ticket, outgoing.process, reply.result);
        }
    }

    /// Takes in that a process of this node is gone: nobody will answer for it.
    pub(crate) fn handle_gone(&mut self, number: u64) {
        let calls = self.by_process.range((number, CallId(0))..=(number, CallId(u64::MAX)));
        let calls: Vec<CallId> = calls.map(|(_, call)| *call).collect();
        for call in calls {
            self.handle_answer(call, Err(CallFailure::Ended));
        }
    }

    /// Takes in that the session with `peer` is over: replies of its processes are lost.
    pub(crate) fn handle_disconnected(&mut self, peer: &NodeId) {
        let is_lost = |outgoing: &Outgoing| outgoing.process.replica.node() == peer;
        let lost = self.outgoing.iter().filter(|(_, outgoing)| is_lost(outgoing));
        let lost: Vec<u64> = lost.map(|(id, _)| *id).collect();
        for id in lost {
            let outgoing = self.outgoing.remove(&id).expect("it was just seen");
            self.answer(outgoing.ticket, outgoing.process, Err(CallFailure::Ended));
        }
    }

    /// Forgets the call behind `ticket`: its user has been answered.
    pub(crate) fn cancel(&mut self, ticket: u64) {
        self.outgoing.retain(|_, outgoing| outgoing.ticket != ticket);
    }

    /// Drops the calls whose callers wait no longer.
    pub(crate) fn handle_timeout(&mut self, now: Time) {
        while let Some(&(at, call)) = self.expiries.first()
            && at <= now
        {
            self.remove_incoming(call);
        }
    }

    fn deliver(&mut self, caller: Caller, process: ProcessId, payload: Blob, expires: Time) {
        self.last += 1;
        let (call, number) = (CallId(self.last), process.number);
        self.by_process.insert((number, call));
        self.expiries.insert((expires, call));
        self.incoming.insert(call, Incoming { caller, process, expires });
        let call = Some(call);
        self.effects.push_back(Effect::Emit(Output::Deliver { number, payload, call }));
    }

    fn remove_incoming(&mut self, call: CallId) -> Option<Incoming> {
        let incoming = self.incoming.remove(&call)?;
        self.by_process.remove(&(incoming.process.number, call));
        self.expiries.remove(&(incoming.expires, call));
        assert_eq!(self.incoming.len(), self.by_process.len(), "one place for each call");
        Some(incoming)
    }

    fn answer(&mut self, ticket: u64, process: ProcessId, result: Result<Blob, CallFailure>) {
        let result = result.map_err(|failure| match failure {
            CallFailure::NoProcess => CallError::NoProcess { process },
            CallFailure::Overloaded => CallError::Overloaded { process },
            CallFailure::Ended => CallError::Lost { process },
            CallFailure::Malformed => CallError::Malformed,
        });
        self.effects.push_back(Effect::Answer { ticket, reply: Reply::Call(result) });
    }
}
