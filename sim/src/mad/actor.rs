//! Model processes for real nodes: each kind behaves as it does in the step-driven world.

use std::time::Duration;

use ordu::{Context, NodeBuilder, Process, StartError, StopReason};
use serde::{Deserialize, Serialize};

use crate::behaviour::{Behaviour, Starting, common};
use crate::mad::ledger::{Ledger, Presence};

/// The kinds that plans for the shell start.
const KINDS: [&str; 9] = [
    "counter",
    "ok",
    "slow-start",
    "slow-stop",
    "crash-after-50ms",
    "fails-first-3",
    "fails-later",
    "ends-after-50ms",
    "ends-after-8s",
];

/// A process that counts, and runs without a supervisor as well.
pub(crate) type Counter = Actor<0>;

/// What is said to a model process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    /// Add this much and reply the sum.
    Add(u64),
    /// End, with this failure if there is one.
    End(Option<String>),
}

/// A model process of the kind with that place in the list of kinds.
pub(crate) struct Actor<const KIND: usize> {
    presence: Presence,
    behaviour: Behaviour,
    clock: ordu::Clock,
    total: u64,
}

impl<const KIND: usize> Process for Actor<KIND> {
    const KIND: &'static str = KINDS[KIND];
    type Args = u64;
    type Message = Message;
    type Reply = u64;

    async fn start(args: u64, context: &mut Context<Self>) -> Result<Self, StartError> {
        let behaviour = behaviour_of(Self::KIND);
        let process = context.process_id().clone();
        let child = context.child_id();
        let ledger = Ledger::current();
        let mut presence = ledger.begin(&process, child, Self::KIND, context.start_reason());
        match &behaviour.start {
            Starting::Takes(delay) => context.sleep(*delay).await,
            Starting::FailsOn(starts) => {
                let start = child.map_or(0, |child| ledger.count_start(child));
                if starts.contains(&start) {
                    return Err(StartError::new("not yet"));
                }
            }
            Starting::Never => return Err(StartError::new("never")),
            Starting::Ignores => return Err(StartError::ignore()),
            Starting::Hangs => std::future::pending().await,
        }
        presence.run();
        if let Some((life, failure)) = behaviour.life.clone() {
            let (node, clock) = (context.node().clone(), context.clock());
            context.spawn(async move {
                clock.sleep(life).await;
                // A node that is over has ended the process already.
                let _ = node.send::<Self>(&process, &Message::End(failure)).await;
            });
        }
        let total = context.state().map_or(args, read_total);
        Ok(Self { presence, behaviour, clock: context.clock(), total })
    }

    async fn handle(&mut self, message: Message, context: &mut Context<Self>) -> u64 {
        match message {
            Message::Add(more) => self.total = self.total.saturating_add(more),
            Message::End(failure) => {
                self.presence.exit(failure.clone());
                match failure {
                    None => context.stop(),
                    Some(reason) => context.fail(reason),
                }
            }
        }
        self.total
    }

    async fn stop(mut self, reason: StopReason) -> Option<Vec<u8>> {
        self.presence.stop(&reason);
        self.clock.sleep(self.behaviour.stop).await;
        Some(self.total.to_le_bytes().to_vec())
    }

    async fn absorb(&mut self, state: &[u8]) {
        self.total = self.total.saturating_add(read_total(state));
    }
}

fn read_total(state: &[u8]) -> u64 {
    u64::from_le_bytes(state.try_into().expect("it was written so"))
}

/// Lets a node run every kind that plans start.
pub(crate) fn add_kinds(builder: NodeBuilder) -> NodeBuilder {
    builder
        .kind::<Actor<0>>()
        .kind::<Actor<1>>()
        .kind::<Actor<2>>()
        .kind::<Actor<3>>()
        .kind::<Actor<4>>()
        .kind::<Actor<5>>()
        .kind::<Actor<6>>()
        .kind::<Actor<7>>()
        .kind::<Actor<8>>()
}

/// Returns whether processes of `kind` start when told and then run until they are stopped.
pub(crate) fn is_steady(kind: &str) -> bool {
    behaviour_of(kind).is_steady()
}

fn behaviour_of(kind: &str) -> Behaviour {
    match kind {
        "fails-later" => Behaviour::fails_on(&[2, 3, 5]),
        "ends-after-8s" => Behaviour::ends_after(Duration::from_secs(8)),
        _ => common().remove(kind).expect("plans start kinds that there are"),
    }
}
