//! Nodes on real sockets, and who is not let in.

use std::net::Ipv4Addr;
use std::time::Duration;

use ordu::{
    ChildSpec, Context, Event, MemberStatus, Node, NodeBuilder, Process, Rule, Secret, StartError,
};
use tokio::net::TcpStream;
use tokio::select;
use tokio::time::{sleep, timeout};

/// How long the slowest machine may take to do what a fast one does at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// Adds up what it is told.
struct Sum(u64);

impl Process for Sum {
    const KIND: &'static str = "sum";
    type Args = u64;
    type Message = u64;
    type Reply = u64;

    async fn start(first: u64, _: &mut Context<Self>) -> Result<Self, StartError> {
        Ok(Self(first))
    }

    async fn handle(&mut self, more: u64, _: &mut Context<Self>) -> u64 {
        self.0 += more;
        self.0
    }
}

fn secret(first: u8) -> Secret {
    Secret::from_bytes((first..first + 32).collect::<Vec<u8>>()).unwrap()
}

fn describe(cluster: &str, node: &str, secret: Secret) -> NodeBuilder {
    Node::builder(cluster, node).kind::<Sum>().secret(secret).listen((Ipv4Addr::LOCALHOST, 0))
}

async fn first_node() -> Node {
    let node = describe("shop", "a", secret(1)).start().await.unwrap();
    node.ready(PATIENCE).await.unwrap();
    node
}

/// A stranger knocks for a while, and the members never hear of it.
async fn is_kept_out(member: &Node, stranger: NodeBuilder) {
    let stranger = stranger.seeds([member.local_addr()]).start().await.unwrap();
    assert!(stranger.ready(Duration::from_secs(2)).await.is_err(), "it must not get in");
    assert_eq!(member.members().len(), 1, "{:?}", member.members());
    stranger.halt().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_another_secret_stays_outside() {
    let member = first_node().await;
    is_kept_out(&member, describe("shop", "b", secret(2))).await;
    is_kept_out(&member, describe("mill", "b", secret(1))).await;

    // One that does not share these faults is let in, so they were what kept the others out.
    let friend = describe("shop", "b", secret(1)).seeds([member.local_addr()]);
    let friend = friend.start().await.unwrap();
    friend.ready(PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_goes_by_another_conflict_rule_stays_outside() {
    let member = first_node().await;
    let newest = describe("shop", "b", secret(1)).conflict_rule(Rule::newest());
    is_kept_out(&member, newest).await;
}

/// Two nodes that count other voters could both find a majority.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_goes_by_other_voters_or_modes_stays_outside() {
    let with_voters = |node| describe("shop", node, secret(1)).voters(["a", "b"]);
    let member = with_voters("a").start().await.unwrap();
    member.ready(PATIENCE).await.unwrap();
    is_kept_out(&member, describe("shop", "b", secret(1))).await;
    is_kept_out(&member, describe("shop", "b", secret(1)).voters(["a", "b", "c"])).await;
    is_kept_out(&member, with_voters("b").exclusive("payments")).await;

    // Whichever is greeted first says so.
    let mut events = member.events();
    let stranger = with_voters("b").exclusive("payments").seeds([member.local_addr()]);
    let stranger = stranger.start().await.unwrap();
    let mut theirs = stranger.events();
    let refused = async {
        loop {
            let event = select! {
                biased;
                event = events.next() => event,
                event = theirs.next() => event,
            };
            if let Some(Ok(Event::TermsRefused { ours, theirs, .. })) = event {
                break (ours, theirs);
            }
        }
    };
    let (ours, theirs) = timeout(PATIENCE, refused).await.expect("one of them says so");
    let epoch = |terms: &ordu::Terms| terms.electorate.as_ref().map(|voters| voters.epoch);
    assert_eq!((epoch(&ours), epoch(&theirs)), (Some(1), Some(1)));
    assert_ne!(ours.digest, theirs.digest);
    stranger.halt().await;

    // One that goes by the same is let in.
    let friend = with_voters("b").seeds([member.local_addr()]).start().await.unwrap();
    friend.ready(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn beyond_loopback_nothing_listens_without_a_secret() {
    let open = Node::builder("shop", "a").kind::<Sum>().listen((Ipv4Addr::UNSPECIFIED, 0));
    let error = open.start().await.unwrap_err();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    assert!(text.contains("secret"), "{text}");
}

/// Bytes that are no handshake end the connection, and change nothing for those inside.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_the_port_is_not_answered_and_harms_nobody() {
    let node = first_node().await;
    let name = ChildSpec::new::<Sum>(&1).named("sum");
    node.supervisor("default").start_child(name).await.unwrap();

    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4_096], &[0; 64], b"\x00\x01x"] {
        let mut stranger = TcpStream::connect(node.local_addr().as_str()).await.unwrap();
        // It may be cut off in the middle of it.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stranger, garbage).await;
        let mut answer = Vec::new();
        let read = tokio::io::AsyncReadExt::read_to_end(&mut stranger, &mut answer);
        timeout(PATIENCE, read).await.expect("it is closed in good time").ok();
        assert!(answer.is_empty(), "nothing is said to {garbage:?}");
    }

    let sum = node.registry("default").call::<Sum>("sum", &1).await.unwrap();
    assert_eq!(sum, 2);
    assert_eq!(node.members().len(), 1);
}

/// Where a node halts its children go on, though nobody said goodbye.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_halts_is_replaced_over_real_sockets() {
    let a = first_node().await;
    let b = describe("shop", "b", secret(1)).seeds([a.local_addr()]).start().await.unwrap();
    b.ready(PATIENCE).await.unwrap();
    for number in 0..20 {
        let child = ChildSpec::new::<Sum>(&number).named(format!("sum/{number}"));
        a.supervisor("default").start_child(child).await.unwrap();
    }
    a.settled().await.unwrap();

    b.halt().await;
    for number in 0..20 {
        let name = format!("sum/{number}");
        let answered = async {
            loop {
                let call = a.registry("default").call::<Sum>(name.as_str(), &0);
                match call.timeout(Duration::from_secs(1)).await {
                    Ok(sum) => break sum,
                    Err(_) => sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let sum = timeout(PATIENCE, answered).await;
        assert_eq!(sum, Ok(number), "{name} runs again, from its arguments");
    }
    let members = a.members();
    let alive = members.iter().filter(|member| member.status == MemberStatus::Alive);
    assert_eq!(alive.count(), 1, "{members:?}");
}
