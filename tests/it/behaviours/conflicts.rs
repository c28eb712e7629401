//! Both sides of a split, and what becomes of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ordu::{ChildSpec, Context, Incoming, Loss, NameEvent, Node, ProcessId, Replicas, StopReason};

use super::ground::{Clerk, Ground, deaf, everywhere, idle, members, on_machines};

/// Longer than a silent member is waited for.
const SPLIT: Duration = Duration::from_secs(10);

/// What a process was told when it was to stop.
type LastWords = Arc<Mutex<Option<StopReason>>>;

/// Runs a process that notes why it is to stop.
async fn noting(node: &Node) -> (ProcessId, LastWords) {
    let words = LastWords::default();
    let noted = Arc::clone(&words);
    let process = async move |mut context: Context| {
        if let Incoming::Stop(reason) = context.next().await {
            *noted.lock().unwrap() = Some(reason);
        }
    };
    (node.spawn(process).await.unwrap(), words)
}

/// Parts two nodes and lets a process on each take `throne`, and a name of its own.
async fn two_kings(ground: &mut Ground) -> [(ProcessId, LastWords); 2] {
    let [a, b] = ground.nodes();
    ground.part(&[1], &[2]);
    ground.pass(SPLIT).await;
    let first = noting(&a).await;
    // The clocks agree: whoever comes later is the younger.
    ground.pass(Duration::from_secs(2)).await;
    let second = noting(&b).await;
    for (node, (process, _), own) in [(&a, &first, "own/1"), (&b, &second, "own/2")] {
        node.registry("carts").register("throne", process).value(own).await.unwrap();
        node.registry("carts").register(own, process).await.unwrap();
    }
    [first, second]
}

/// B63. Of two that took one name on both sides of a split one has it in the end, everywhere, and
/// the other is told by whom it was beaten. B64. The loser's other names are free, the winner's are
/// its own. B128. The elder wins. B99. Listeners hear it lose the name.
#[test]
fn of_two_holders_the_younger_gives_way() {
    on_machines(2, async |mut ground| {
        let [a, b] = ground.nodes();
        let [(winner, spared), (loser, beaten)] = two_kings(&mut ground).await;
        let mut names = b.registry("carts").subscribe().unwrap();
        let _ = names.next().await;

        ground.heal();
        ground.rest().await;
        for node in [&a, &b] {
            let registry = node.registry("carts");
            assert_eq!(registry.lookup("throne").unwrap().process, winner);
            assert_eq!(registry.lookup("own/1").unwrap().process, winner);
            assert_eq!(registry.lookup("own/2"), None);
            assert_eq!(registry.names_of(&loser), []);
        }
        assert_eq!(*spared.lock().unwrap(), None, "the winner is not told anything");
        let Some(StopReason::Conflict(conflict)) = beaten.lock().unwrap().clone() else {
            panic!("the loser is told")
        };
        assert_eq!(conflict.winner, winner);
        assert_eq!(conflict.name.map(|name| name.to_string()), Some("throne".to_owned()));
        let moved = loop {
            let event = names.next().await.unwrap();
            if let NameEvent::Moved { name, from, found, loss } = event
                && name.as_bytes() == b"throne"
            {
                break (from, found.process, loss);
            }
        };
        assert_eq!(moved, (loser, winner, Loss::Conflict));
    });
}

/// B143. A loser that does not heed the notice is stopped by force after its grace.
#[test]
fn a_loser_that_does_not_heed_is_stopped_by_force() {
    on_machines(2, async |mut ground| {
        let [a, b] = ground.nodes();
        ground.part(&[1], &[2]);
        ground.pass(SPLIT).await;
        let first = idle(&a).await;
        ground.pass(Duration::from_secs(2)).await;
        let second = deaf(&b).await;
        a.registry("carts").register("throne", &first).await.unwrap();
        b.registry("carts").register("throne", &second).await.unwrap();
        b.registry("carts").register("own", &second).await.unwrap();
        ground.heal();
        ground.rest().await;
        assert_eq!(b.registry("carts").lookup("throne").unwrap().process, first);
        assert_eq!(a.registry("carts").lookup("own"), None);
        let sent = b.send::<Clerk>(&second, &1).await;
        assert!(sent.is_err(), "nothing of it is left: {sent:?}");
    });
}

/// B100. Both sides of a split run the same worker; healed there is one, the same to both. B101. It
/// outlives the node that it ran beside.
#[test]
fn of_a_worker_on_both_sides_one_goes_on() {
    on_machines(2, async |mut ground| {
        let [a, b] = ground.nodes();
        let spec = ChildSpec::new::<Clerk>(&0).named_in("carts", "worker");
        let worker = a.supervisor("default").start_child(spec).await.unwrap();
        ground.rest().await;
        ground.part(&[1], &[2]);
        ground.pass(SPLIT).await;
        for node in [&a, &b] {
            assert!(node.registry("carts").lookup("worker").is_some(), "each side has one");
        }
        ground.heal();
        ground.rest().await;
        let process = a.registry("carts").lookup("worker").unwrap().process;
        assert_eq!(b.registry("carts").lookup("worker").unwrap().process, process);
        for node in [&a, &b] {
            let children = node.supervisor("default").children();
            assert_eq!(children.len(), 1);
            assert_eq!(worker.id(), children[0].id);
        }
        let (runs, other) = if process.replica.node() == a.id() { (&a, &b) } else { (&b, &a) };
        runs.leave().await.unwrap();
        let answers = async || other.call::<Clerk>(&worker, &0).await.is_ok();
        ground.until("it to run on", answers).await;
    });
}

/// B141. A split that is shorter than members are waited for is as if it had not been.
#[test]
fn a_brief_split_takes_nothing_away() {
    on_machines(3, async |mut ground| {
        let [a, b, c] = ground.nodes();
        let process = idle(&c).await;
        c.registry("carts").register("clerk", &process).replicated(Replicas::All).await.unwrap();
        let mut names = a.registry("carts").subscribe().unwrap();
        let _ = names.next().await;
        ground.part(&[1, 2], &[3]);
        ground.pass(Duration::from_secs(1)).await;
        ground.heal();
        ground.rest().await;
        assert_eq!(members(&b), ["n1", "n2", "n3"]);
        assert_eq!(b.registry("carts").lookup("clerk").unwrap().process, process);
        // The next change that anybody hears of is the next one that anybody makes.
        c.registry("carts").register("other", &process).await.unwrap();
        let Some(NameEvent::Registered { name, .. }) = names.next().await else {
            panic!("nothing else happened")
        };
        assert_eq!(name.as_bytes(), b"other");
    });
}

/// B144. When a process ends just as its name is won elsewhere, the winner keeps it.
#[test]
fn a_name_that_is_won_outlives_the_end_of_its_last_holder() {
    on_machines(2, async |mut ground| {
        let [a, b] = ground.nodes();
        let [(winner, _), (loser, _)] = two_kings(&mut ground).await;
        ground.heal();
        // At this very moment the loser's end is under way, by one way or the other.
        let _ = b.send::<Clerk>(&loser, &1).await;
        b.registry("carts").unregister_matching(&loser, |_, _| true).await.unwrap_or_default();
        ground.rest().await;
        for node in [&a, &b] {
            assert_eq!(node.registry("carts").lookup("throne").unwrap().process, winner);
        }
    });
}

/// B62. On nodes that hear each other no two processes ever hold one name.
#[test]
fn two_nodes_that_hear_each_other_have_one_holder() {
    everywhere(2, async |ground| {
        let [a, b] = ground.nodes();
        let (first, second) = (idle(&a).await, idle(&b).await);
        a.registry("carts").register("throne", &first).replicated(Replicas::All).await.unwrap();
        assert!(b.registry("carts").register("throne", &second).await.is_err());
        assert_eq!(b.registry("carts").lookup("throne").unwrap().process, first);
        ground.end().await;
    });
}
