//! Real nodes live through what befalls their machines, on both transports, and every such life is
//! lived twice: one seed is one history.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use ordu::{ChildId, Event, ExitReason, MemberStatus, Node};
use ordu_sim::mad::{Cluster, Log, Medium, replay};
use ordu_sim::{N1, N2, N3, N4, seeds};

use crate::counter::{
    CHILDREN, REST, add, assert_one_each, name_of, running, start_children, three, until_all_answer,
};

/// Runs `story` on each seed and transport, twice.
fn relive<S, F>(story: S)
where
    S: Fn(Log, Medium) -> F + Copy + Send + 'static,
    F: Future<Output = ()>,
{
    for medium in Medium::ALL {
        for seed in seeds(5) {
            replay(seed, move |log| story(log, medium));
        }
    }
}

/// Returns the children that run on `n3`; there are some.
fn on_n3(children: &[ChildId]) -> Vec<ChildId> {
    let there = |child: &ChildId| running(*child) == [N3];
    let those: Vec<_> = children.iter().copied().filter(there).collect();
    assert!(!those.is_empty(), "none of {CHILDREN} children runs on n3");
    those
}

#[test]
fn children_started_from_one_node_are_called_from_all() {
    relive(async |log, medium| {
        let cluster = three(&log, medium).await;
        let children = start_children(&cluster, N1).await;
        for host in cluster.up() {
            for number in 0..CHILDREN {
                let total = add(&cluster, host, number, 2).await;
                assert_eq!(total, Ok(2 * u64::from(host.number())), "{}", name_of(number));
            }
        }
        assert_one_each(&cluster, &children, |_| 6).await;
    });
}

#[test]
fn what_ran_on_a_node_that_is_killed_runs_elsewhere_and_nothing_is_lost() {
    relive(async |log, medium| {
        let mut cluster = three(&log, medium).await;
        let children = start_children(&cluster, N1).await;
        for number in 0..CHILDREN {
            assert_eq!(add(&cluster, N2, number, 5).await, Ok(5));
        }
        let lost = on_n3(&children);
        let mut events = cluster.node(N1).events();

        // A count that nobody saved dies with its machine; the child does not.
        cluster.kill(N3);
        until_all_answer(&cluster, N1).await;
        cluster.rest(REST).await;
        let total = |child| if lost.contains(&child) { 0 } else { 5 };
        assert_one_each(&cluster, &children, total).await;
        assert_eq!(cluster.members(N1).get("n3"), Some(&MemberStatus::Down));
        let told = loop {
            if let Event::MemberDown { replica, .. } = events.next().await.unwrap().unwrap() {
                break replica;
            }
        };
        assert_eq!(*told.node(), N3.id());

        // It comes back under its name, and is a member like any other.
        cluster.restart(N3);
        cluster.rest(REST).await;
        assert_eq!(cluster.members(N1).get("n3"), Some(&MemberStatus::Alive));
        assert_one_each(&cluster, &children, total).await;
    });
}

#[test]
fn a_frozen_node_is_replaced_and_yields_what_it_counted_once_it_goes_on() {
    relive(async |log, medium| {
        let cluster = three(&log, medium).await;
        let children = start_children(&cluster, N1).await;
        for number in 0..CHILDREN {
            assert_eq!(add(&cluster, N2, number, 5).await, Ok(5));
        }
        let frozen = on_n3(&children);

        // Nobody can know whether it is dead: its children run twice from now on.
        cluster.pause(N3);
        let judged = async || cluster.members(N1).get("n3") == Some(&MemberStatus::Down);
        cluster.until("n3 to be taken for dead", REST, judged).await;
        until_all_answer(&cluster, N1).await;
        for (number, child) in children.iter().enumerate() {
            let alone = !frozen.contains(child);
            assert_eq!(running(*child).len(), if alone { 1 } else { 2 }, "{child}");
            let total = add(&cluster, N1, number, 3).await;
            assert_eq!(total, Ok(if alone { 8 } else { 3 }), "{}", name_of(number));
        }

        // It goes on: one of each two goes on, with what both have counted.
        cluster.thaw(N3);
        cluster.rest(REST).await;
        assert_one_each(&cluster, &children, |_| 8).await;
    });
}

#[test]
fn both_sides_of_a_partition_count_and_both_count_in_the_end() {
    relive(async |log, medium| {
        let mut cluster = three(&log, medium).await;
        let children = start_children(&cluster, N1).await;
        for number in 0..CHILDREN {
            assert_eq!(add(&cluster, N2, number, 5).await, Ok(5));
        }

        // Each side takes the other for dead, and goes on alone.
        cluster.partition(&[N1, N2], &[N3]);
        for (host, others) in [(N1, vec![N3]), (N2, vec![N3]), (N3, vec![N1, N2])] {
            let down = async || {
                let members = cluster.members(host);
                let status = |other: &_| members[&format!("{other}")];
                others.iter().all(|other| status(other) == MemberStatus::Down)
            };
            cluster.until("the other side to be taken for dead", REST, down).await;
        }
        for host in [N1, N3] {
            until_all_answer(&cluster, host).await;
        }
        for (number, child) in children.iter().enumerate() {
            assert_eq!(running(*child).len(), 2, "{child} runs once on each side");
            add(&cluster, N1, number, 3).await.unwrap();
            add(&cluster, N3, number, 2).await.unwrap();
        }

        cluster.heal();
        cluster.rest(REST).await;
        assert_one_each(&cluster, &children, |_| 10).await;
    });
}

#[test]
fn what_ran_on_a_node_that_leaves_goes_on_elsewhere_without_a_wait() {
    relive(async |log, medium| {
        let mut cluster = three(&log, medium).await;
        let children = start_children(&cluster, N1).await;
        for number in 0..CHILDREN {
            assert_eq!(add(&cluster, N2, number, 5).await, Ok(5));
        }
        let moved = on_n3(&children);

        // Long before a failure would be noticed its children run elsewhere. They begin anew: what
        // they counted does not move with them.
        let before = cluster.now();
        cluster.leave(N3).await;
        cluster.rest(REST).await;
        assert!(cluster.now().since(before) < Duration::from_secs(1), "{}", cluster.now());
        let total = |child| if moved.contains(&child) { 0 } else { 5 };
        assert_one_each(&cluster, &children, total).await;
        assert_eq!(cluster.members(N1).get("n3"), None, "it left for good");

        // And nothing changes any more.
        cluster.pass(REST).await;
        assert_one_each(&cluster, &children, total).await;
    });
}

/// F14. A machine is copied while it runs, and both copies go by one name: the later one stays, the
/// earlier is told why it must go, and every child runs once again.
#[test]
fn of_two_machines_with_one_name_the_later_stays_and_the_other_is_told() {
    for seed in seeds(5) {
        replay(seed, async |log| {
            let mut cluster = three(&log, Medium::Tcp).await;
            let children = start_children(&cluster, N1).await;
            let original = cluster.node(N3);

            cluster.clone_machine(N3, N4);
            let reason = until_over(&cluster, &original).await;
            assert!(matches!(reason, Some(ExitReason::Superseded { .. })), "{reason:?}");

            cluster.pass(REST).await;
            assert_eq!(cluster.members(N1).get("n3"), Some(&MemberStatus::Alive));
            assert_eq!(cluster.members(N4).len(), 3, "the copy is a member like others");
            until_all_answer(&cluster, N1).await;
            until_all_answer(&cluster, N4).await;
            for &child in &children {
                assert_eq!(running(child).len(), 1, "{child} runs once");
            }
            let copy = cluster.node(N4).settled().timeout(REST).await;
            assert_eq!(copy, Ok(()), "all is at rest");
        });
    }
}

/// Waits until `node` is over, and returns why it is.
async fn until_over(cluster: &Cluster, node: &Node) -> Option<ExitReason> {
    let mut over = pin!(node.over());
    let mut reason = None;
    cluster
        .until("the node to be over", REST, async || {
            let look = poll_fn(|context| Poll::Ready(over.as_mut().poll(context)));
            if let Poll::Ready(told) = look.await {
                reason = told;
                return true;
            }
            false
        })
        .await;
    reason
}
