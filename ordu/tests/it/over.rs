//! A node that is joining or over: every operation ends with an error that says so.

use std::time::Duration;

use ordu::{
    CallError, ChildId, ChildSpec, Context, Incarnation, JoinGroupError, LeaveGroupError, Node,
    NodeId, Process, ProcessId, PublishError, QuorumError, ReadyError, RegisterError, Replica,
    SettleError, SpawnError, StartChildError, StartError, TerminateError, UnregisterError,
    UpdateError, WriteMetaError,
};

use crate::world::alone;

pub(crate) struct Echo;

impl Process for Echo {
    const KIND: &'static str = "echo";
    type Args = ();
    type Message = u64;
    type Reply = u64;

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, StartError> {
        Ok(Self)
    }

    async fn handle(&mut self, message: u64, _: &mut Context<Self>) -> u64 {
        message
    }
}

pub(crate) fn some_process() -> ProcessId {
    let replica = Replica::new(NodeId::new("b").unwrap(), Incarnation { counter: 1, nonce: 1 });
    ProcessId { replica, number: 1 }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_still_waits_for_its_seeds_is_not_ready() {
    let node = alone().start().await.unwrap();
    let timeout = Duration::from_secs(1);
    assert_eq!(node.ready(timeout).await, Err(ReadyError::TimedOut { timeout }));
    assert_eq!(node.spawn(async |_: Context| ()).await, Err(SpawnError::NotReady));

    // It gives them up after the failure timeout and is a cluster of its own.
    assert_eq!(node.ready(Duration::from_secs(3)).await, Ok(()));
    assert!(node.spawn(async |_: Context| ()).await.is_ok());
    node.halt().await;
}

#[tokio::test(start_paused = true)]
async fn once_a_node_is_over_nothing_hangs() {
    let node = alone().kind::<Echo>().start().await.unwrap();
    let mut names = node.registry("default").subscribe().unwrap();
    let mut events = node.events();
    let waiting = tokio::spawn({
        let node = node.clone();
        async move { node.ready(Duration::from_secs(3_600)).await }
    });
    assert!(names.next().await.is_some(), "a snapshot comes at once");
    node.halt().await;

    assert_eq!(waiting.await.unwrap(), Err(ReadyError::Over));
    assert_eq!(node.ready(Duration::from_secs(1)).await, Err(ReadyError::Over));
    assert_eq!(node.over().await, None);
    assert_eq!(names.next().await, None);
    assert_eq!(events.next().await, None);
    assert_eq!(node.events().next().await, None);
    assert_eq!(node.members(), []);
    assert_eq!(node.registry("default").lookup("x"), None);
    all_operations_answer(&node).await;

    // To leave, or to end, what is over is no error.
    assert_eq!(node.leave().await, Ok(()));
    node.halt().await;
}

/// B40. What is read of a node, to watch it, can be read before it has joined, and once it is over.
#[tokio::test(start_paused = true)]
async fn readings_of_a_node_that_is_not_there_are_no_error() {
    let node = alone().kind::<Echo>().start().await.unwrap();
    let supervisor = node.supervisor("default");
    let nothing = async || {
        assert_eq!((supervisor.count(), supervisor.children()), (0, Vec::new()));
        assert_eq!(supervisor.quarantined().await, Vec::new());
        assert_eq!(supervisor.plan_moves().await.moves, Vec::new());
        assert_eq!((node.members(), node.member_list()), (Vec::new(), None));
        assert_eq!(node.registry("default").lookup("x"), None);
    };
    nothing().await;
    node.ready(Duration::from_secs(10)).await.unwrap();
    supervisor.start_child(ChildSpec::new::<Echo>(&())).await.unwrap();
    let is_here = |child: &ordu::ChildInfo| {
        child.process.as_ref().is_some_and(|process| process.replica.node() == node.id())
    };
    let here = supervisor.children().iter().filter(|child| is_here(child)).count();
    assert_eq!((supervisor.count(), here, node.members().len()), (1, 1, 1));
    node.halt().await;
    nothing().await;
    assert_eq!(node.wait_for_quorum().await, Err(QuorumError::NotReady));
}

async fn all_operations_answer(node: &Node) {
    let (supervisor, registry) = (node.supervisor("default"), node.registry("default"));
    let child = ChildId::from_bytes([1; 16]);

    let started = supervisor.start_child(ChildSpec::new::<Echo>(&())).await.map(|_| ());
    assert_eq!(started, Err(StartChildError::NotReady));
    assert_eq!(supervisor.terminate_child(child).await, Err(TerminateError::NotReady));
    assert_eq!(registry.register("x", some_process()).await, Err(RegisterError::NotReady));
    assert_eq!(registry.unregister("x", some_process()).await, Err(UnregisterError::NotReady));
    assert_eq!(registry.call::<Echo>("x", &1).await, Err(CallError::NotReady));
    assert_eq!(registry.send::<Echo>("x", &1).await, Err(CallError::NotReady));
    assert_eq!(node.call::<Echo>(&some_process(), &1).await, Err(CallError::NotReady));
    assert_eq!(node.send::<Echo>(&some_process(), &1).await, Err(CallError::NotReady));
    assert_eq!(node.spawn(async |_: Context| ()).await, Err(SpawnError::NotReady));
    assert_eq!(node.spawn_process::<Echo>(&()).await, Err(SpawnError::NotReady));
    assert_eq!(node.settled().await, Err(SettleError::NotReady));
    let updated = registry.update("x", some_process(), |_| "new").await;
    assert_eq!(updated, Err(UpdateError::NotReady));
    assert_eq!(registry.put_meta("x", "y").await, Err(WriteMetaError::NotReady));
    assert_eq!(registry.delete_meta("x").await, Err(WriteMetaError::NotReady));
    assert_eq!(registry.meta("x"), None);
    let freed = registry.unregister_matching(some_process(), |_, _| true).await;
    assert_eq!(freed, Err(UnregisterError::NotReady));

    let groups = node.groups("default");
    assert_eq!(groups.join("x", some_process()).await, Err(JoinGroupError::NotReady));
    assert_eq!(groups.leave("x", some_process()).await, Err(LeaveGroupError::NotReady));
    assert_eq!(groups.publish::<Echo>("x", &1).await, Err(PublishError::NotReady));
}
