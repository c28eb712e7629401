//! Where users and operators have children run, on real sockets.

use std::collections::BTreeMap;
use std::time::Duration;

use ordu::placement::{Choice, Host};
use ordu::{
    Child, ChildSpec, Context, Exclusion, Node, NodeBuilder, PassageCause, Placement,
    PlacementStrategy, Process, StartError, StopReason, Weight,
};

use crate::cluster::started;

/// Says on which node it runs.
struct Scout;

impl Process for Scout {
    const KIND: &'static str = "scout";
    type Args = ();
    type Message = ();
    type Reply = String;

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, StartError> {
        Ok(Self)
    }

    async fn handle(&mut self, (): (), context: &mut Context<Self>) -> String {
        context.process_id().replica.node().to_string()
    }

    async fn stop(self, _: StopReason) -> Option<Vec<u8>> {
        None
    }
}

/// Whoever has the fewest children.
struct Idlest;

impl PlacementStrategy for Idlest {
    fn name(&self) -> &'static str {
        "idlest/1"
    }

    fn choose<'a>(&self, choice: &Choice<'a>) -> Option<&'a Host<'a>> {
        choice.able().min_by_key(|host| host.children)
    }
}

fn describe(id: &str) -> NodeBuilder {
    Node::builder("shop", id).kind::<Scout>()
}

async fn three(describe: impl Fn(&str) -> NodeBuilder) -> [Node; 3] {
    let a = started(describe("a")).await;
    let b = started(describe("b").seeds([a.local_addr()])).await;
    let c = started(describe("c").seeds([a.local_addr()])).await;
    a.settled().await.unwrap();
    [a, b, c]
}

async fn home(child: &Child) -> String {
    child.call::<Scout>(&()).await.unwrap()
}

async fn homes(children: &[Child]) -> BTreeMap<String, usize> {
    let mut homes = BTreeMap::new();
    for child in children {
        *homes.entry(home(child).await).or_default() += 1;
    }
    homes
}

async fn start(node: &Node, specs: impl IntoIterator<Item = ChildSpec>) -> Vec<Child> {
    let started = node.supervisor("default").start_children(specs).await;
    started.into_iter().map(Result::unwrap).collect()
}

/// B34, B39. Two hundred children that are placed at random are all started at once.
#[tokio::test]
async fn children_are_placed_by_strategies_of_ours_and_of_users() {
    let [a, b, c] = three(|id| match id {
        "c" => describe(id).weight(Weight::new(512).unwrap()),
        _ => describe(id).placement_strategy(Idlest).max_hops(1),
    })
    .await;
    let random = ChildSpec::new::<Scout>(&()).placement(Placement::Random);
    let random = start(&a, (0..200).map(|_| random.clone())).await;
    let counts = homes(&random).await;
    assert!(counts.values().all(|count| 30 < *count) && counts.len() == 3, "{counts:?}");
    assert!(b.members().iter().any(|member| member.weight.points() == 512));

    let copies =
        ChildSpec::new::<Scout>(&()).placement_key("copies").placement(Placement::spread());
    let mut spread = Vec::new();
    for _ in 0..3 {
        spread.push(c.supervisor("default").start_child(copies.clone()).await.unwrap());
    }
    assert_eq!(homes(&spread).await.len(), 3, "each on its own");

    let idlest = ChildSpec::new::<Scout>(&()).placement(Placement::User("idlest/1".into()));
    let idlest = c.supervisor("default").start_child(idlest).await.unwrap();
    assert_ne!(home(&idlest).await, "c");
    let explained = a.supervisor("default").explain(idlest.id()).await.unwrap();
    assert_eq!(explained.strategy, "idlest/1");
    let without: Vec<_> = explained.candidates.iter().filter(|by| by.exclusion.is_some()).collect();
    assert_eq!(
        (without[0].node.as_str(), &without[0].exclusion),
        ("c", &Some(Exclusion::Strategy))
    );
    assert_eq!(explained.candidates.iter().map(|by| by.children).sum::<usize>(), 203);
    for node in [a, b, c] {
        node.halt().await;
    }
}

/// A child is explained with where it was and why; moves stay undone while they are paused.
#[tokio::test]
async fn moves_are_paused_and_remembered() {
    use ordu::Redistribution;

    let redistribution = Redistribution::Active { at_once: 5, quiet: Duration::from_millis(50) };
    let describe = |id: &str| describe(id).redistribution(redistribution);
    let a = started(describe("a")).await;
    let supervisor = a.supervisor("default");
    let children = start(&a, (0..20).map(|_| ChildSpec::new::<Scout>(&()))).await;
    supervisor.pause_moves().await.unwrap();
    let b = started(describe("b").seeds([a.local_addr()])).await;
    let plan = b.supervisor("default").plan_moves().await;
    assert!(plan.is_paused && !plan.moves.is_empty(), "{plan:?}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(homes(&children).await, BTreeMap::from([("a".to_owned(), 20)]));

    b.supervisor("default").resume_moves().await.unwrap();
    let moved = plan.moves[0].child;
    let explained = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let explained = supervisor.explain(moved).await.unwrap();
            if !explained.history.is_empty() {
                return explained;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let explained = explained.await.unwrap();
    let [passage] = explained.history.as_slice() else { panic!("{explained:?}") };
    assert_eq!((passage.from.as_str(), passage.to.as_str()), ("a", "b"));
    assert_eq!((passage.cause, explained.belongs), (PassageCause::Redistributed, None));
    a.settled().await.unwrap();
    assert!(homes(&children).await["b"] >= plan.moves.len());
    a.halt().await;
    b.halt().await;
}
