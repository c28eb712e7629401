//! Whole nodes on real sockets, one program.

use std::time::Duration;

use ordu::{
    CallError, ChildSpec, Context, Event, ExitReason, Incoming, MemberStatus, NameEvent, Node,
    NodeBuilder, Process, RegisterError, Replicas, Restart, Role, StartChildError, StartError,
    StartReason, StopReason,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Counts; fails on demand, and hands its count on.
struct Counter {
    total: u64,
    reason: StartReason,
}

#[derive(serde::Serialize, serde::Deserialize)]
enum Ask {
    Add(u64),
    Why,
    Panic,
    Finish,
    Hang,
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
enum Told {
    Total(u64),
    Why(StartReason),
}

impl Process for Counter {
    const KIND: &'static str = "counter";
    type Args = Option<u64>;
    type Message = Ask;
    type Reply = Told;

    async fn start(first: Option<u64>, context: &mut Context<Self>) -> Result<Self, StartError> {
        let first = first.ok_or_else(|| StartError::new("nothing to count from"))?;
        let total = context.state().map_or(first, read_total);
        Ok(Self { total, reason: context.start_reason() })
    }

    async fn handle(&mut self, ask: Ask, context: &mut Context<Self>) -> Told {
        match ask {
            Ask::Add(more) => self.total += more,
            Ask::Why => return Told::Why(self.reason),
            Ask::Panic => panic!("on demand"),
            Ask::Finish => context.stop(),
            Ask::Hang => context.sleep(Duration::from_secs(3_600)).await,
        }
        Told::Total(self.total)
    }

    async fn stop(self, _: StopReason) -> Option<Vec<u8>> {
        Some(self.total.to_le_bytes().to_vec())
    }

    async fn absorb(&mut self, state: &[u8]) {
        self.total += read_total(state);
    }
}

fn read_total(state: &[u8]) -> u64 {
    u64::from_le_bytes(state.try_into().expect("it was written so"))
}

fn describe(id: &str) -> NodeBuilder {
    Node::builder("shop", id).kind::<Counter>().registry("tools").groups("rooms")
}

pub(crate) async fn started(builder: NodeBuilder) -> Node {
    let node = builder.start().await.unwrap();
    node.ready(PATIENCE).await.unwrap();
    node
}

/// Starts three nodes that know each other.
pub(crate) async fn three() -> [Node; 3] {
    let a = started(describe("a")).await;
    let b = started(describe("b").seeds([a.local_addr()])).await;
    let c = started(describe("c").seeds([a.local_addr()])).await;
    c.settled().timeout(PATIENCE).await.unwrap();
    [a, b, c]
}

/// Waits until `is_so`, for as long as patience lasts.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(tokio::time::Instant::now() < deadline, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_named_child_is_called_from_everywhere_and_ends_everywhere() {
    let [a, b, c] = three().await;
    let mut names = c.registry("default").subscribe().unwrap();
    assert_eq!(names.next().await, Some(NameEvent::Snapshot { names: vec![], missed: 0 }));

    let spec = ChildSpec::new::<Counter>(&Some(40)).named("cart/7");
    let cart = a.supervisor("default").start_child(spec.clone()).await.unwrap();
    let Some(NameEvent::Registered { found, .. }) = names.next().await else {
        panic!("it has one")
    };
    assert_eq!((found.process, found.child), (cart.process(), Some(cart.id())));

    for (node, total) in [(&c, 41), (&b, 42), (&a, 43)] {
        until("the name to be everywhere", async || {
            node.registry("default").lookup("cart/7").is_some()
        })
        .await;
        let told = node.registry("default").call::<Counter>("cart/7", &Ask::Add(1)).await;
        assert_eq!(told, Ok(Told::Total(total)));
    }
    assert_eq!(cart.call::<Counter>(&Ask::Add(0)).await, Ok(Told::Total(43)));
    assert_eq!(b.call::<Counter>(&cart.process(), &Ask::Add(0)).await, Ok(Told::Total(43)));
    cart.send::<Counter>(&Ask::Add(7)).await.unwrap();

    // The name is taken, and stays so for the life of the child.
    let again = b.supervisor("default").start_child(spec).await;
    assert!(matches!(again, Err(StartChildError::NameTaken { .. })), "{again:?}");
    let taken = b.registry("default").register("cart/7", cart.process()).await;
    assert!(matches!(taken, Err(RegisterError::NameTaken { .. })), "{taken:?}");

    // Seen from another node it is the same child; that node may end it.
    let same = b.supervisor("default").child(cart.id()).unwrap();
    assert_eq!(same.call::<Counter>(&Ask::Add(0)).await, Ok(Told::Total(50)));
    assert_eq!((b.supervisor("default").count(), b.registry("default").count()), (1, 1));
    same.terminate().await.unwrap();
    for node in [&a, &b, &c] {
        until("the end to be known", async || node.supervisor("default").count() == 0).await;
        let call = node.registry("default").call::<Counter>("cart/7", &Ask::Why);
        assert_eq!(call.await, Err(CallError::Nobody));
    }
    for node in [a, b, c] {
        node.leave().await.unwrap();
    }
}

/// B139. A handle outlives a restart; the number of the run that ended is told to be stale.
#[tokio::test]
async fn a_child_that_panics_starts_again_and_a_finished_one_does_not() {
    let a = started(describe("a")).await;
    let supervisor = a.supervisor("default");
    let mut events = a.events();

    let child = supervisor.start_child(ChildSpec::new::<Counter>(&Some(1))).await.unwrap();
    let first = child.process();
    let lost = child.call::<Counter>(&Ask::Panic).await;
    assert_eq!(lost, Err(CallError::Lost { process: first.clone() }));
    until("it to run again", async || {
        child.call::<Counter>(&Ask::Why).await == Ok(Told::Why(StartReason::Restarted))
    })
    .await;
    assert_ne!(child.process(), first);
    let failed = events.next().await.unwrap().unwrap();
    assert!(
        matches!(&failed, Event::ChildFailed { reason, .. } if reason == "it panicked: on demand"),
        "{failed:?}"
    );
    let stale = a.call::<Counter>(&first, &Ask::Why).await;
    assert_eq!(stale, Err(CallError::NoProcess { process: first }));

    let spec = ChildSpec::new::<Counter>(&Some(1)).restart(Restart::Transient);
    let once = supervisor.start_child(spec).await.unwrap();
    assert_eq!(once.call::<Counter>(&Ask::Finish).await, Ok(Told::Total(1)));
    until("its end", async || supervisor.child(once.id()).is_none()).await;

    let error = supervisor.start_child(ChildSpec::new::<Counter>(&None)).await.map(|_| ());
    let reason = "nothing to count from".to_owned();
    assert_eq!(error, Err(StartChildError::Failed { reason }));
    a.leave().await.unwrap();
}

/// B136. What is told to stop stops, by force if it has to be.
#[tokio::test]
async fn a_call_ends_at_its_deadline_whatever_the_process_does() {
    let a = started(describe("a")).await;
    let spec = ChildSpec::new::<Counter>(&Some(1)).grace(Duration::from_millis(200));
    let child = a.supervisor("default").start_child(spec).await.unwrap();
    let timeout = Duration::from_millis(300);
    let begin = tokio::time::Instant::now();
    let hung = child.call::<Counter>(&Ask::Hang).timeout(timeout).await;
    assert_eq!(hung, Err(CallError::TimedOut { timeout }));
    assert!((timeout..Duration::from_secs(3)).contains(&begin.elapsed()));

    // And it is stopped after its grace, though it still hangs.
    child.terminate().await.unwrap();
    a.leave().await.unwrap();
}

#[tokio::test]
async fn when_a_node_leaves_its_children_go_on_elsewhere() {
    let [a, b, c] = three().await;
    let supervisor = a.supervisor("default");
    let mut children = Vec::new();
    for first in 0..30 {
        let spec = ChildSpec::new::<Counter>(&Some(first)).named(format!("n/{first}"));
        children.push(supervisor.start_child(spec).await.unwrap());
    }
    let on_c = children.iter().filter(|child| child.process().replica.node() == c.id()).count();
    assert!(0 < on_c, "no child runs on c; choose other names");

    c.leave().await.unwrap();
    assert_eq!(c.over().await, Some(ExitReason::Left));
    for (first, child) in (0_u64..).zip(&children) {
        until("the children to be back", async || {
            child.call::<Counter>(&Ask::Add(0)).await == Ok(Told::Total(first))
        })
        .await;
        assert_ne!(child.process().replica.node(), c.id());
    }
    a.settled().timeout(PATIENCE).await.unwrap();
    assert_eq!(supervisor.count(), 30);
    for node in [a, b] {
        node.leave().await.unwrap();
    }
}

#[tokio::test]
async fn when_a_node_dies_its_children_start_elsewhere() {
    let [a, b, c] = three().await;
    let supervisor = a.supervisor("default");
    let mut children = Vec::new();
    for first in 0..30 {
        let spec = ChildSpec::new::<Counter>(&Some(first)).named(format!("n/{first}"));
        children.push(supervisor.start_child(spec).await.unwrap());
    }
    assert!(children.iter().any(|child| child.process().replica.node() == c.id()));

    c.halt().await;
    for child in &children {
        until("the children to be back", async || {
            child.call::<Counter>(&Ask::Add(0)).timeout(Duration::from_secs(1)).await.is_ok()
        })
        .await;
        assert_ne!(child.process().replica.node(), c.id());
    }
    let down = a.members().into_iter().find(|member| member.node == *c.id()).unwrap();
    assert_eq!(down.status, MemberStatus::Down);
    for node in [a, b] {
        node.leave().await.unwrap();
    }
}

#[tokio::test]
async fn a_process_without_a_supervisor_can_be_named_and_its_names_end_with_it() {
    let [a, b, c] = three().await;
    let echo = a
        .spawn(async |mut context: Context| {
            loop {
                match context.next().await {
                    Incoming::Message(letter) => {
                        let Ok(Ask::Add(number)) = letter.message() else { return };
                        letter.reply(&Told::Total(number)).await;
                    }
                    Incoming::Absorb(_) | Incoming::Stop(_) => return,
                }
            }
        })
        .await
        .unwrap();

    // Named from elsewhere, with a value; once all members hold it, all read it.
    let registry = b.registry("tools");
    let register = registry.register("echo", echo.clone()).value("v1");
    register.replicated(Replicas::All).await.unwrap();
    registry.register("echo/2", echo.clone()).await.unwrap();
    let found = c.registry("tools").lookup("echo").unwrap();
    assert_eq!((found.process, &*found.value), (echo.clone(), b"v1".as_slice()));
    assert_eq!(c.registry("default").lookup("echo"), None);
    let told = c.registry("tools").call::<Counter>("echo", &Ask::Add(5)).await;
    assert_eq!(told, Ok(Told::Total(5)));
    until("both names", async || c.registry("tools").names_of(&echo).len() == 2).await;

    registry.unregister("echo/2", echo.clone()).await.unwrap();
    until("one name", async || c.registry("tools").names_of(&echo).len() == 1).await;

    // It ends, and so do its names.
    a.send::<Counter>(&echo, &Ask::Finish).await.unwrap();
    for node in [&a, &b, &c] {
        until("no name", async || node.registry("tools").count() == 0).await;
        assert_eq!(node.registry("tools").lookup("echo"), None);
    }
    for node in [a, b, c] {
        node.leave().await.unwrap();
    }
}

/// B127. Whoever brings the token of a write to another node reads it there.
#[tokio::test]
async fn what_was_written_here_is_read_there_by_its_token() {
    let [a, b, c] = three().await;
    let spec = ChildSpec::new::<Counter>(&Some(0)).named("cart/1");
    let cart = a.supervisor("default").start_child(spec).await.unwrap();
    for number in 0..20 {
        let name = format!("alias/{number}");
        let mut token = a.registry("default").register(&*name, &cart).await.unwrap();
        token.join(cart.token());
        for node in [&b, &c] {
            node.caught_up(&token).timeout(PATIENCE).await.unwrap();
            for name in [&*name, "cart/1"] {
                let found = node.registry("default").lookup(name).unwrap();
                assert_eq!(found.process, cart.process());
            }
        }
    }
    for node in [a, b, c] {
        node.leave().await.unwrap();
    }
}

/// B69. What one process is given through two nodes it holds. B75. A question is answered on every
/// member. B77. A name that is given up is gone here at once, and on the others soon.
/// A group spans the cluster: all members see it, and all of it hears what is published.
#[tokio::test]
async fn names_values_and_groups_are_the_same_on_every_node() {
    let [a, b, c] = three().await;
    let idle = a.spawn(async |context: Context| context.stopped().await).await.unwrap();
    for (node, name) in [(&a, "cart/1"), (&b, "cart/2"), (&c, "other")] {
        let register = node.registry("tools").register(name, &idle).value("0");
        register.replicated(Replicas::All).await.unwrap();
    }
    for node in [&a, &b, &c] {
        let registry = node.registry("tools");
        let carts = registry.select().prefix("cart/").names().unwrap();
        assert_eq!(format!("{carts:?}"), r#"["cart/1", "cart/2"]"#);
        assert_eq!(registry.names_of(&idle).len(), 3);

        // Each adds to one value, from wherever it is, and reads what it wrote.
        let add = |old: &ordu::Blob| (old.to_string().parse::<u64>().unwrap() + 1).to_string();
        let (new, _) = registry.update("cart/1", &idle, add).await.unwrap();
        assert_eq!(registry.lookup("cart/1").unwrap().value, new);
    }
    let total = || a.registry("tools").lookup("cart/1").unwrap().value.to_string();
    until("all three", async || total() == "3").await;
    b.registry("tools").unregister("cart/2", &idle).await.unwrap();
    assert_eq!(b.registry("tools").lookup("cart/2"), None);
    until("gone", async || c.registry("tools").lookup("cart/2").is_none()).await;

    let spec = ChildSpec::new::<Counter>(&Some(0));
    let mut counters = Vec::new();
    for node in [&a, &b, &c] {
        let counter = node.spawn_process::<Counter>(&Some(0)).await.unwrap();
        node.groups("rooms").join("lobby", &counter).await.unwrap();
        counters.push(counter);
    }
    let child = a.supervisor("default").start_child(spec).await.unwrap();
    b.groups("rooms").join("lobby", &child).metadata("a child").await.unwrap();
    let everywhere = async || [&a, &b, &c].iter().all(|n| n.groups("rooms").count("lobby") == 4);
    until("four members", everywhere).await;
    let sent = c.groups("rooms").publish::<Counter>("lobby", &Ask::Add(7)).await.unwrap();
    assert_eq!((sent.nodes, sent.members, sent.unreachable), (3, 4, 0));
    counters.push(child.process());
    for counter in &counters {
        let heard = async || c.call::<Counter>(counter, &Ask::Add(0)).await == Ok(Told::Total(7));
        until("the news", heard).await;
    }
    let members = c.groups("rooms").members("lobby").unwrap();
    let of_child = members.iter().find(|member| member.process == child.process()).unwrap();
    assert_eq!(&*of_child.metadata, b"a child");
    for node in [a, b, c] {
        node.leave().await.unwrap();
    }
}

#[tokio::test]
async fn a_client_calls_what_runs_elsewhere_and_all_see_who_it_is() {
    let a = started(describe("a").label("zone", "north")).await;
    let shell = describe("shell").role(Role::Client).label("of", "an operator");
    let shell = started(shell.seeds([a.local_addr()])).await;
    shell.settled().timeout(PATIENCE).await.unwrap();

    let spec = ChildSpec::new::<Counter>(&Some(40)).named("cart/7");
    let cart = shell.supervisor("default").start_child(spec).await.unwrap();
    assert_eq!(cart.process().replica.node(), a.id());
    assert_eq!(cart.call::<Counter>(&Ask::Add(2)).await, Ok(Told::Total(42)));
    for node in [&a, &shell] {
        let members = node.members();
        let roles: Vec<Role> = members.iter().map(|member| member.role).collect();
        assert_eq!(roles, [Role::Worker, Role::Client]);
        assert_eq!(members[0].labels.value("zone"), Some("north"));
        assert_eq!(members[1].labels.value("of"), Some("an operator"));
        assert_eq!((members[0].kinds.len(), members[1].kinds.len()), (1, 0));
    }

    // It goes as it came, and the cluster is as it was.
    shell.leave().await.unwrap();
    assert_eq!(cart.process().replica.node(), a.id());
    let total = a.registry("default").call::<Counter>("cart/7", &Ask::Add(0)).await;
    assert_eq!(total, Ok(Told::Total(42)));
    a.leave().await.unwrap();
}

/// Whoever asks for a child by its name gets the one that there is, whatever it would have started.
#[tokio::test]
async fn a_child_is_started_once_and_found_ever_after() {
    let [a, b, c] = three().await;
    let spec = |total| ChildSpec::new::<Counter>(&Some(total));
    let cart = a.supervisor("default").ensure("cart/7", spec(40)).await.unwrap();
    assert_eq!(cart.was_replicated(), Some(true), "it was started here");
    for node in [&a, &b, &c] {
        let found = node.supervisor("default").ensure("cart/7", spec(0)).await.unwrap();
        assert_eq!((found.id(), found.was_replicated()), (cart.id(), None));
        let total = found.call::<Counter>(&Ask::Add(1)).await.unwrap();
        assert!(matches!(total, Told::Total(41..=43)), "{total:?}");
    }
    // In another registry, and under another supervisor, the name is another one.
    let tool = spec(1).named_in("tools", "any");
    let tool = b.supervisor("default").ensure("cart/7", tool).await.unwrap();
    assert_ne!(tool.id(), cart.id());
    assert!(c.registry("tools").lookup("cart/7").is_some());
    let other = c.supervisor("other").ensure("cart/7", spec(1)).await;
    assert!(matches!(other, Err(StartChildError::NameTaken { .. })), "{other:?}");
    let error = c.supervisor("default").ensure("", spec(1)).await.unwrap_err();
    assert!(matches!(error, StartChildError::BadName { .. }), "{error}");
    for node in [a, b, c] {
        node.halt().await;
    }
}
