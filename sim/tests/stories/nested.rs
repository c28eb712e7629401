//! Children that belong to others, and nodes that are not fit for children.

use std::time::Duration;

use ordu_core::{
    ChildId, ChildSpec, Escalation, ExitReason, Outcome, Restart, StartChildError, StopReason,
};
use ordu_sim::{Behaviour, Host, N1, N2, N3, N4, World, seeds, spec};

use crate::{LONG, SETTLE, SHORT, home, others, start_children};

/// Long enough for three nodes to spend their budgets, and for a parent to be started again.
const THREE_BUDGETS: Duration = Duration::from_secs(60);

fn under(parent: ChildId, kind: &str) -> ChildSpec {
    ChildSpec { parent: Some(parent), ..spec(kind) }
}

/// Starts a child with five that belong to it, one of which has two of its own; the parent first.
fn family(world: &mut World) -> Vec<ChildId> {
    let mut children = vec![start_children(world, "ok", 1)[0]];
    for (parent, count) in [(0, 5), (1, 2)] {
        for number in 0..count {
            let host = world.up()[number % world.up().len()];
            let spec = under(children[parent], "ok");
            children.push(world.start_child(host, spec).expect("it has a parent").child);
        }
    }
    children
}

fn running(world: &World, children: &[ChildId]) -> usize {
    children.iter().filter(|&&child| !world.running_child(child).is_empty()).count()
}

/// B24. A child that belongs to another is looked after as any: it is restarted when it ends, as
/// its restart type says, and nothing happens to the one that it belongs to; nor the other way
/// round.
#[test]
fn a_nested_child_that_ends_is_restarted() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 3);
        let parent = world.start_child(N1, spec("ok")).unwrap();
        let nested = world.start_child(N2, under(parent.child, "ok")).unwrap();
        let once = ChildSpec { restart: Restart::Transient, ..under(parent.child, "ok") };
        let once = world.start_child(N3, once).unwrap();
        world.end_process(&nested.process, None);
        world.end_process(&once.process, None);
        world.run_for(SHORT);
        assert_eq!(running(&world, &[parent.child, nested.child, once.child]), 2, "seed {seed}");
        assert_eq!(world.runs_of(nested.child).len(), 2, "seed {seed}");
        assert_eq!(world.runs_of(parent.child).len(), 1, "seed {seed}");

        world.end_process(&parent.process, Some("killed"));
        world.run_for(SHORT);
        assert_eq!(world.runs_of(parent.child).len(), 2, "seed {seed}");
        assert_eq!(world.runs_of(nested.child).len(), 2, "it outlives a restart; seed {seed}");
        world.settle(SETTLE);
    }
}

/// What belongs to a child, and what belongs to that, outlives the death of its node, and ends with
/// it when it ends for good.
#[test]
fn what_belongs_to_a_child_ends_with_it_and_not_before() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 4);
        let bystanders = start_children(&mut world, "ok", 4);
        let family = family(&mut world);
        let home_of_all = home(&world, family[0]);
        world.kill(home_of_all);
        world.run_for(LONG);
        assert_eq!(running(&world, &family), family.len(), "seed {seed}");

        let host = world.up()[0];
        assert_eq!(world.terminate(host, family[0]), Ok(()));
        world.settle(LONG);
        assert_eq!(running(&world, &family), 0, "seed {seed}");
        assert_eq!(running(&world, &bystanders), bystanders.len(), "seed {seed}");
        let refused = world.start_child(host, under(family[0], "ok")).unwrap_err();
        assert_eq!(refused, StartChildError::NoParent { parent: family[0] }, "seed {seed}");
        world.start(home_of_all);
        world.settle(LONG);
        assert_eq!(running(&world, &family), 0, "nothing comes back; seed {seed}");
    }
}

/// A child that is cut off when the one that it belongs to ends runs on, ends once that is heard,
/// and one that is started there meanwhile ends as well and says why.
#[test]
fn who_is_cut_off_hears_later_that_what_it_belongs_to_has_ended() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 4);
        let family = family(&mut world);
        let (left, right) = ([N1, N2, N3], [N4]);
        world.partition(&left, &right);
        world.run_for(LONG);
        assert_eq!(world.terminate(N1, family[0]), Ok(()));
        let late = world.start_child(N4, under(family[0], "ok")).unwrap().child;
        world.run_for(LONG);
        let there = |child: &&ChildId| world.running_child(**child) == [N4];
        assert_eq!(family.iter().filter(there).count(), family.len(), "N4 runs all; seed {seed}");
        assert_eq!(running(&world, &[late]), 1, "seed {seed}");

        world.heal();
        world.settle(LONG);
        assert_eq!(running(&world, &family) + running(&world, &[late]), 0, "seed {seed}");
    }
}

/// However many nodes die while a child ends, what belongs to it ends on those that are left.
#[test]
fn what_belongs_to_a_child_ends_whoever_dies_meanwhile() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 4);
        let family = family(&mut world);
        let ender = world.up()[usize::try_from(seed % 4).unwrap()];
        assert_eq!(world.terminate(ender, family[0]), Ok(()));
        world.kill(ender);
        world.run_for(Duration::from_micros(100 * (seed % 16)));
        let next = others(&world, ender)[0];
        world.restart(next);
        world.settle(2 * LONG);
        assert_eq!(running(&world, &family), 0, "seed {seed}");
    }
}

/// Starts a child, and one that belongs to it and fails until three nodes have given it up, as
/// `escalates` says; then it works.
fn failing_family(seed: u64, escalates: bool) -> (World, ChildId, ChildId) {
    let failing = Behaviour::fails_on(&(2..=18).collect::<Vec<u64>>());
    let mut world = World::builder(seed, 4).kind("failing", failing).joined();
    let parent = start_children(&mut world, "ok", 1)[0];
    let spec = ChildSpec { escalates, ..under(parent, "failing") };
    let nested = world.start_child(N2, spec).expect("its first start succeeds");
    world.end_process(&nested.process, Some("killed"));
    world.run_for(THREE_BUDGETS);
    (world, parent, nested.child)
}

/// A quarantine that escalates fails the child that the failing one belongs to: that one is stopped
/// and started again, and the failing one with it.
#[test]
fn a_quarantine_that_escalates_starts_both_again() {
    for seed in seeds(5) {
        let (mut world, parent, nested) = failing_family(seed, true);
        let runs = world.runs_of(parent);
        assert_eq!(runs.len(), 2, "it was started again once; seed {seed}");
        assert_eq!(runs[0].stop, Some(StopReason::Escalated), "seed {seed}");
        home(&world, nested);
        assert_eq!(world.quarantined(N3), [], "seed {seed}");
        world.settle(SETTLE);
    }
}

/// One that does not escalate concerns nobody else, and outlives a restart of its parent; a parent
/// that comes up while one in quarantine escalates lets it out.
#[test]
fn a_quarantine_that_does_not_escalate_concerns_nobody_else() {
    for seed in seeds(5) {
        let (mut world, parent, nested) = failing_family(seed, false);
        let tried = world.runs_of(nested).len();
        assert_eq!(world.runs_of(parent).len(), 1, "seed {seed}");
        assert_eq!(world.quarantined(N3).len(), 1, "seed {seed}");
        world.restart_child(N4, parent).unwrap();
        world.run_for(LONG);
        assert_eq!((world.runs_of(nested).len(), world.quarantined(N1).len()), (tried, 1));
        assert_eq!(world.terminate(N2, parent), Ok(()));
        world.settle(SETTLE);
        assert_eq!(world.quarantined(N1), [], "it ended with the other; seed {seed}");
    }
}

/// Kills each process of `child` that runs on `host`, until `host` gives the child up.
fn fail_on(world: &mut World, host: Host, child: ChildId) {
    for _ in 0..6 {
        let process = world.children(host)[&child].process.clone();
        let Some(process) = process.filter(|at| *at.replica.node() == host.id()) else { return };
        world.end_process(&process, Some("the disk is full"));
        world.run_for(Duration::from_secs(4));
    }
}

/// A node on which children fail that run elsewhere leaves, if it was told to; one on which a child
/// fails that fails everywhere does not.
#[test]
fn a_node_on_which_what_runs_elsewhere_fails_leaves_if_it_was_told_to() {
    for seed in seeds(3) {
        let mut world = World::builder(seed, 3)
            .configure(|_, config| config.escalation = Escalation::Leave { children: 2 })
            .joined();
        let poison = start_children(&mut world, "crash-after-50ms", 3);
        let children = start_children(&mut world, "ok", 12);
        world.run_for(THREE_BUDGETS);
        assert_eq!(world.quarantined(N1).len(), poison.len(), "seed {seed}");
        assert_eq!(world.up().len(), 3, "that is nobody's fault; seed {seed}");

        let ill = home(&world, children[0]);
        let here: Vec<ChildId> =
            children.iter().copied().filter(|&child| home(&world, child) == ill).collect();
        if here.len() < 2 {
            continue;
        }
        fail_on(&mut world, ill, here[0]);
        world.run_for(THREE_BUDGETS);
        assert_eq!(world.exited(ill), None, "one is not enough; seed {seed}");
        fail_on(&mut world, ill, here[1]);
        assert_eq!(world.exited(ill), None, "who knows how it does elsewhere; seed {seed}");
        world.run_for(THREE_BUDGETS);
        assert_eq!(world.exited(ill), Some(&ExitReason::Unfit { children: 2 }), "seed {seed}");
        assert_eq!(running(&world, &children), children.len(), "seed {seed}");

        // Mended and started again, it stays, though nobody has released what failed on it.
        world.start(ill);
        world.run_for(THREE_BUDGETS);
        assert_eq!(world.exited(ill), None, "seed {seed}");
    }
}

/// Whoever asks for a child that has ended with another is told so.
#[test]
fn a_start_is_told_that_its_child_ended_with_its_parent() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 2);
        let parent = world.start_child(N1, spec("ok")).unwrap().child;
        world.start_once(N2, "key", under(parent, "ok")).unwrap();
        assert_eq!(world.terminate(N1, parent), Ok(()));
        world.settle(SETTLE);
        let outcome = Outcome::WithParent { parent };
        let ended = world.start_once(N1, "key", under(parent, "ok"));
        assert_eq!(ended.unwrap_err(), StartChildError::Ended { outcome }, "seed {seed}");
    }
}

/// A temporary child that is failed by one that belongs to it ends, and that one with it.
#[test]
fn a_temporary_child_that_is_failed_by_another_ends() {
    for seed in seeds(5) {
        let mut world = World::new(seed, 4);
        let temporary = ChildSpec { restart: Restart::Temporary, ..spec("ok") };
        let parent = world.start_child(N1, temporary).unwrap().child;
        let spec = ChildSpec { escalates: true, ..under(parent, "crash-after-50ms") };
        let nested = world.start_child(N2, spec).unwrap().child;
        world.run_for(THREE_BUDGETS);
        assert_eq!(running(&world, &[parent, nested]), 0, "seed {seed}");
        assert_eq!(world.runs_of(parent).len(), 1, "seed {seed}");
        world.settle(SETTLE);
        assert_eq!(world.children(N3).len(), 0, "seed {seed}");
    }
}
