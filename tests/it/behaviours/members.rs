//! Who is a member.

use std::collections::BTreeSet;
use std::time::Duration;

use ordu::{ChildSpec, ExitReason, Replicas};

use super::ground::{Clerk, everywhere, id, idle, members, on_machines};

/// B41, B42, B52, B53, B59, B60, B115. Nodes that were given one of them know all, themselves
/// included. B55. One that leaves is gone at once.
#[test]
fn nodes_that_find_each_other_know_all() {
    everywhere(3, async |ground| {
        let [a, b, c] = ground.nodes();
        for node in [&a, &b, &c] {
            assert_eq!(members(node), ["n1", "n2", "n3"]);
        }
        c.leave().await.unwrap();
        for node in [&a, &b] {
            ground.until("it to be gone", async || members(node) == ["n1", "n2"]).await;
        }
        ground.end().await;
    });
}

/// B43 to B48. A list is set again and again, with nodes that are not there, and answered each
/// time. B49, B50, B96. Who is not on it any more leaves, and its names vanish. B51. A child starts
/// right after a node has made itself the list.
#[test]
fn the_list_says_who_is_a_member() {
    everywhere(3, async |ground| {
        let [a, b, c] = ground.nodes();
        let process = idle(&c).await;
        c.registry("carts").register("clerk", &process).replicated(Replicas::All).await.unwrap();
        for node in [&a, &a, &b] {
            let all = ["n1", "n2", "n3", "nobody"].map(id);
            let set = node.set_members(all.clone()).timeout(Duration::from_millis(500)).await;
            let token = set.unwrap();
            for other in [&a, &b, &c] {
                other.caught_up(&token).await.unwrap();
                assert_eq!(other.member_list(), Some(BTreeSet::from(all.clone())));
            }
            assert_eq!(members(node), ["n1", "n2", "n3"]);
        }

        let token = a.set_members(["n1", "n2"].map(id)).await.unwrap();
        b.caught_up(&token).await.unwrap();
        assert_eq!(c.over().await, Some(ExitReason::NotListed));
        for node in [&a, &b] {
            ground.until("it to be gone", async || members(node) == ["n1", "n2"]).await;
            assert_eq!(node.registry("carts").lookup("clerk"), None);
        }
        b.set_members([id("n2")]).await.unwrap();
        let spec = ChildSpec::new::<Clerk>(&7).named("alone");
        let child = b.supervisor("default").start_child(spec).await.unwrap();
        assert_eq!(a.over().await, Some(ExitReason::NotListed));
        ground.until("it to be gone", async || members(&b) == ["n2"]).await;
        let answers = async || child.call::<Clerk>(&0).await == Ok(7);
        ground.until("it to run here", answers).await;
        ground.end().await;
    });
}

/// B138. Who is evicted hands its children over before it goes.
#[test]
fn who_is_evicted_hands_its_children_over() {
    everywhere(3, async |ground| {
        let [a, b, c] = ground.nodes();
        let mut children = Vec::new();
        for number in 0..12 {
            let spec = ChildSpec::new::<Clerk>(&number).named(format!("clerk/{number}"));
            children.push(b.supervisor("default").start_child(spec).await.unwrap());
        }
        let on_c = |child: &&ordu::Child| child.process().replica.node() == c.id();
        assert!(children.iter().filter(on_c).count() > 0, "some run there");
        a.evict(c.id()).await.unwrap();
        assert_eq!(c.over().await, Some(ExitReason::Evicted));
        for (number, child) in (0..).zip(&children) {
            let answers = async || child.call::<Clerk>(&0).await == Ok(number);
            ground.until("it to run elsewhere", answers).await;
            assert_ne!(child.process().replica.node(), c.id());
        }
        ground.end().await;
    });
}

/// B140. A node that comes back under its name is a new life: what the old one held is free.
/// B54. One that comes is known everywhere.
#[test]
fn a_node_that_comes_back_is_another_life() {
    on_machines(3, async |mut ground| {
        let [a, b, c] = ground.nodes();
        let process = idle(&c).await;
        c.registry("carts").register("clerk", &process).replicated(Replicas::All).await.unwrap();
        let before = a.members()[2].incarnation;
        ground.restart(3);
        ground.rest().await;
        assert_eq!(members(&b), ["n1", "n2", "n3"]);
        assert!(before < a.members()[2].incarnation);
        for node in [&a, &b, &ground.present(3)] {
            assert_eq!(node.registry("carts").lookup("clerk"), None);
        }
    });
}
