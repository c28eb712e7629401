//! Process groups, as users handle them.

use std::time::Duration;

use ordu::{
    Blob, Context, GroupMember, Incoming, JoinGroupError, LeaveGroupError, Name, Node, ProcessId,
    PublishError, Published,
};
use tokio::sync::mpsc;

use crate::names::{idle, ready};
use crate::over::{Echo, some_process};
use crate::world::alone;

fn member(process: &ProcessId, metadata: &str) -> GroupMember {
    GroupMember { process: process.clone(), metadata: Blob::from(metadata) }
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Returns a process that tells of each message, and ends with 0.
async fn listener(node: &Node, tell: mpsc::UnboundedSender<u64>) -> ProcessId {
    let listen = async move |mut context: Context| {
        while let Incoming::Message(letter) = context.next().await {
            let number = letter.message::<u64>().unwrap();
            tell.send(number).unwrap();
            if number == 0 {
                return;
            }
        }
    };
    node.spawn(listen).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn processes_join_and_leave_groups() {
    let node = ready().await;
    let rooms = node.groups("rooms");
    let (a, b) = (idle(&node).await, idle(&node).await);
    assert_eq!(rooms.members("lobby"), Ok(vec![]));
    rooms.join("lobby", &a).metadata("one").await.unwrap();
    rooms.join("lobby", &b).await.unwrap();
    rooms.join("bar", &a).await.unwrap();
    node.groups("default").join("lobby", &b).await.unwrap();
    assert_eq!(rooms.members("lobby"), Ok(vec![member(&a, "one"), member(&b, "")]));
    assert_eq!((rooms.count("lobby"), rooms.count("bar"), rooms.count("attic")), (2, 1, 0));
    assert_eq!(rooms.groups_of(&a), Ok(vec![name("bar"), name("lobby")]));
    assert_eq!(rooms.names(), Ok(vec![name("bar"), name("lobby")]));

    // Who joins again has other metadata; who leaves is no member, and cannot leave again.
    rooms.join("lobby", &a).metadata("two").await.unwrap();
    assert_eq!(rooms.members("lobby"), Ok(vec![member(&a, "two"), member(&b, "")]));
    rooms.leave("lobby", &b).await.unwrap();
    assert_eq!(rooms.members("lobby"), Ok(vec![member(&a, "two")]));
    let refused = LeaveGroupError::NotMember { group: name("lobby"), process: b.clone() };
    assert_eq!(rooms.leave("lobby", &b).await, Err(refused));

    let refused = JoinGroupError::NoProcess { process: some_process() };
    assert_eq!(rooms.join("lobby", some_process()).await, Err(refused));
    let (bytes, max) = ((64 << 10) + 1, 64 << 10);
    let refused = JoinGroupError::TooLarge { bytes, max };
    assert_eq!(rooms.join("lobby", &b).metadata(vec![0; bytes]).await, Err(refused));
    assert_eq!(rooms.members("lobby"), Ok(vec![member(&a, "two")]));
    assert_eq!(node.registry("default").count(), 0, "a group is no name");
    node.halt().await;
}

/// A message to a group reaches each member once, in the order of its sender, and a process that
/// ends is in no group any more.
#[tokio::test(start_paused = true)]
async fn a_group_hears_what_is_published() {
    let node = ready().await;
    let rooms = node.groups("rooms");
    let (tell, mut told) = mpsc::unbounded_channel();
    let (here, there) = (listener(&node, tell.clone()).await, listener(&node, tell).await);
    let sent = |nodes, members| Ok(Published { nodes, members, unreachable: 0 });
    assert_eq!(rooms.publish::<Echo>("lobby", &9).await, sent(0, 0));
    rooms.join("lobby", &here).await.unwrap();
    rooms.join("lobby", &there).await.unwrap();
    rooms.join("bar", &there).await.unwrap();

    for number in [1, 2] {
        assert_eq!(rooms.publish::<Echo>("lobby", &number).await, sent(1, 2));
        node.send::<Echo>(&here, &(number + 10)).await.unwrap();
    }
    assert_eq!(rooms.publish::<Echo>("bar", &0).await, sent(1, 1));
    let mut heard = Vec::new();
    for _ in 0..7 {
        heard.push(told.recv().await.unwrap());
    }
    let first = |number| heard.iter().position(|&n| n == number).unwrap();
    assert!(first(1) < first(11) && first(11) < first(12) && first(2) < first(12), "{heard:?}");
    heard.sort_unstable();
    assert_eq!(heard, [0, 1, 1, 2, 2, 11, 12]);

    while rooms.count("bar") != 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(rooms.members("lobby"), Ok(vec![member(&here, "")]));
    assert_eq!(rooms.groups_of(&there), Ok(vec![]));
    node.halt().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_too_long_is_published_to_nobody() {
    let node = ready().await;
    let long = "x".repeat(1 << 20);
    let refused = node.groups("rooms").publish::<Text>("lobby", &long).await.unwrap_err();
    assert!(matches!(refused, PublishError::TooLarge { max: 1_044_480, .. }), "{refused}");
    node.halt().await;
}

struct Text;

impl ordu::Process for Text {
    const KIND: &'static str = "text";
    type Args = ();
    type Message = String;
    type Reply = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, ordu::StartError> {
        Ok(Self)
    }

    async fn handle(&mut self, _: String, _: &mut Context<Self>) {}
}

/// Joins a group while it starts, and counts what it hears there.
struct Guest(u64);

impl ordu::Process for Guest {
    const KIND: &'static str = "guest";
    type Args = ();
    type Message = u64;
    type Reply = u64;

    async fn start((): (), context: &mut Context<Self>) -> Result<Self, ordu::StartError> {
        let rooms = context.node().groups("rooms");
        let joined = rooms.join("lobby", context.process_id()).await;
        joined.map_err(|error| ordu::StartError::new(error.to_string()))?;
        Ok(Self(0))
    }

    async fn handle(&mut self, more: u64, context: &mut Context<Self>) -> u64 {
        if more == 13 {
            context.fail("on demand");
        }
        self.0 += more;
        self.0
    }
}

/// A child that joins while it starts is a member from then on, and so is its next process.
#[tokio::test(start_paused = true)]
async fn a_child_joins_its_groups_whenever_it_starts() {
    let node = alone().kind::<Guest>().groups("rooms").start().await.unwrap();
    node.ready(Duration::from_secs(10)).await.unwrap();
    let rooms = node.groups("rooms");
    let guest = ordu::ChildSpec::new::<Guest>(&());
    let guest = node.supervisor("default").start_child(guest).await.unwrap();
    let first = guest.process();
    assert_eq!(rooms.members("lobby"), Ok(vec![member(&first, "")]));
    rooms.publish::<Guest>("lobby", &5).await.unwrap();
    assert_eq!(guest.call::<Guest>(&1).await, Ok(6));

    guest.send::<Guest>(&13).await.unwrap();
    while guest.call::<Guest>(&0).await != Ok(0) || guest.process() == first {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(rooms.members("lobby"), Ok(vec![member(&guest.process(), "")]));
    node.halt().await;
}
