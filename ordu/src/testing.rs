//! What the unit tests run on: tokio's clock, and a transport that only listens.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ordu_core::transport::{
    Address, BoxFuture, Lane, Runtime, SendError, Transport, TransportEvent,
};
use ordu_core::{Blob, NodeId, Time, Wall};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::conflicts::ConflictJournal;
use crate::declared::Declared;
use crate::driver::Mail;
use crate::feed::Feed;
use crate::node::{Node, Shared};
use crate::phase::{Announcer, Phases};
use crate::view::View;

/// Tokio's clock and tasks; virtual where the test has paused it.
#[derive(Debug)]
pub(crate) struct TestRuntime {
    origin: Instant,
}

impl TestRuntime {
    /// Returns a runtime whose clock starts an hour ago.
    pub(crate) fn shared() -> Arc<dyn Runtime> {
        Arc::new(Self { origin: Instant::now() })
    }

    const HEAD_START: Duration = Duration::from_secs(3_600);
}

impl Runtime for TestRuntime {
    fn spawn(&self, task: BoxFuture<()>) {
        tokio::spawn(task);
    }

    fn now(&self) -> Time {
        Time::ZERO + Self::HEAD_START + self.origin.elapsed()
    }

    fn wall(&self) -> Wall {
        let ms = u64::try_from(self.origin.elapsed().as_millis()).unwrap();
        Wall::from_millis(1_000_000 + ms)
    }

    fn sleep_until(&self, at: Time) -> BoxFuture<()> {
        let wait = at.since(self.now());
        Box::pin(tokio::time::sleep(wait))
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

/// A clock that shows what the test has set it to, in microseconds.
pub(crate) struct SetClock(Arc<AtomicU64>);

impl SetClock {
    /// Returns a clock that shows `us`, and what it is set by.
    pub(crate) fn shared(us: u64) -> (Arc<dyn Runtime>, Arc<AtomicU64>) {
        let time = Arc::new(AtomicU64::new(us));
        (Arc::new(Self(Arc::clone(&time))), time)
    }
}

impl Runtime for SetClock {
    fn spawn(&self, _: BoxFuture<()>) {
        unreachable!("only its clock is read");
    }

    fn now(&self) -> Time {
        Time::from_micros(self.0.load(Ordering::SeqCst))
    }

    fn wall(&self) -> Wall {
        Wall::from_millis(0)
    }

    fn sleep_until(&self, _: Time) -> BoxFuture<()> {
        Box::pin(std::future::pending())
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

/// What a [`TestTransport`] was asked to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Asked {
    Dial(Address),
    HangUp(Address),
    Disconnect(NodeId),
    Send(NodeId, Lane, Blob),
    Close,
}

/// A transport that writes down what it is asked, and says what the test lets it say.
pub(crate) struct TestTransport {
    asked: Mutex<Vec<Asked>>,
    events: tokio::sync::Mutex<mpsc::UnboundedReceiver<TransportEvent>>,
}

impl TestTransport {
    /// Returns a transport and the end to make it speak by.
    pub(crate) fn new() -> (Arc<Self>, mpsc::UnboundedSender<TransportEvent>) {
        let (speak, events) = mpsc::unbounded_channel();
        let events = tokio::sync::Mutex::new(events);
        (Arc::new(Self { asked: Mutex::default(), events }), speak)
    }

    /// Returns what it was asked since the last call.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, asked: Asked) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
    }
}

#[async_trait]
impl Transport for TestTransport {
    fn local_address(&self) -> Address {
        Address::new("test:1").unwrap()
    }

    fn dial(&self, address: &Address) {
        self.note(Asked::Dial(address.clone()));
    }

    fn hang_up(&self, address: &Address) {
        self.note(Asked::HangUp(address.clone()));
    }

    fn disconnect(&self, peer: &NodeId) {
        self.note(Asked::Disconnect(peer.clone()));
    }

    fn send(&self, peer: &NodeId, lane: Lane, frame: Blob) -> Result<(), SendError> {
        self.note(Asked::Send(peer.clone(), lane, frame));
        Ok(())
    }

    async fn next(&self) -> Option<TransportEvent> {
        self.events.lock().await.recv().await
    }

    async fn close(&self) {
        self.note(Asked::Close);
    }
}

/// A node without a driver: the test reads its mailbox.
pub(crate) struct Undriven {
    pub(crate) node: Node,
    pub(crate) mails: mpsc::Receiver<Mail>,
    pub(crate) phase: Announcer,
}

fn declared(names: &[&str]) -> Declared {
    let mut declared = Declared::default();
    names.iter().for_each(|name| declared.declare(name));
    declared
}

/// Returns a node without a driver, whose processes may have `messages_max` messages waiting.
pub(crate) fn undriven(messages_max: usize) -> Undriven {
    let (mailbox, mails) = mpsc::channel(64);
    let (announcer, phases) = Phases::new();
    let node = Node::from_shared(Shared {
        id: NodeId::new("a").unwrap(),
        address: Address::new("test:1").unwrap(),
        runtime: TestRuntime::shared(),
        mailbox,
        view: View::new(1),
        events: Feed::new(),
        conflicts: ConflictJournal::default(),
        phases,
        messages_max,
        registries: declared(&["shop", "bank"]),
        groups: Declared::default(),
    });
    Undriven { node, mails, phase: announcer }
}
