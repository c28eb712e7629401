//! Who is in which group, and what groups hear.

use std::time::Duration;

use ordu_core::{
    Blob, Command, JoinGroupError, LeaveGroupError, ProcessId, Published, Reply, Target,
};
use ordu_sim::{Host, N1, N2, N3, World, name, scope, seeds};

use crate::{LONG, SETTLE, SHORT};

/// Returns the members of a group with their metadata, as the readers of `host` see them.
fn members(world: &World, host: Host, group: &str) -> Vec<(ProcessId, String)> {
    let members = world.view(host).groups.iter();
    let members = members.filter(|((of, named, _), _)| *of == scope() && *named == name(group));
    members.map(|((.., process), metadata)| (process.clone(), metadata.to_string())).collect()
}

fn sorted(mut members: Vec<(ProcessId, String)>) -> Vec<(ProcessId, String)> {
    members.sort_unstable();
    members
}

/// Returns what the counter that `process` is has counted.
fn total(world: &mut World, process: &ProcessId) -> u64 {
    let host = Host::of(process.replica.node()).expect("it runs in this world");
    let sum = world.call(host, Target::Process(process.clone()), "0").expect("it runs");
    sum.to_string().parse().expect("a counter answers with a number")
}

/// Members of one group live on any nodes, and are asked in and out from any.
#[test]
fn all_nodes_see_the_members_of_a_group() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let processes = [N1, N2, N3].map(|host| world.spawn(host));
        for (process, by) in processes.iter().zip([N1, N3, N3]) {
            assert_eq!(world.join_group(by, "lobby", process, "first"), Ok(()), "seed {seed}");
            assert!(members(&world, by, "lobby").iter().any(|(member, _)| member == process));
        }
        world.join_group(N2, "lobby", &processes[0], "second").unwrap();
        let seen = members(&world, N2, "lobby");
        assert!(seen.contains(&(processes[0].clone(), "second".into())), "seed {seed}");
        world.settle(SETTLE);

        let texts = ["second", "first", "first"].map(String::from);
        let expected = sorted(processes.iter().cloned().zip(texts).collect());
        for host in [N1, N2, N3] {
            assert_eq!(members(&world, host, "lobby"), expected, "seed {seed}");
        }

        assert_eq!(world.leave_group(N1, "lobby", &processes[2]), Ok(()), "seed {seed}");
        assert_eq!(members(&world, N1, "lobby").len(), 2, "seed {seed}");
        let refused =
            LeaveGroupError::NotMember { group: name("lobby"), process: processes[2].clone() };
        assert_eq!(world.leave_group(N1, "lobby", &processes[2]), Err(refused), "seed {seed}");
        world.settle(SETTLE);

        // A process that ends is in no group any more, and cannot be brought back into one.
        world.end_process(&processes[1], None);
        world.run_for(Duration::from_millis(100));
        world.settle(SETTLE);
        for host in [N1, N2, N3] {
            let left = [(processes[0].clone(), "second".to_owned())];
            assert_eq!(members(&world, host, "lobby"), left, "seed {seed}");
            let refused = JoinGroupError::NoProcess { process: processes[1].clone() };
            assert_eq!(world.join_group(host, "lobby", &processes[1], ""), Err(refused));
        }
    }
}

/// Both sides of a split change one group; once healed it is the union of what they say, and nobody
/// stops for that.
#[test]
fn a_group_that_was_split_is_one_again_without_conflict() {
    for seed in seeds(20) {
        let mut world = World::new(seed, 3);
        let [a, b, c] = [N1, N2, N3].map(|host| world.spawn(host));
        for process in [&a, &b, &c] {
            world.join_group(N1, "lobby", process, "before").unwrap();
        }
        world.settle(SETTLE);

        world.partition(&[N1, N2], &[N3]);
        world.run_for(LONG);
        // Who is beyond the split is hidden, on both sides.
        assert_eq!(members(&world, N2, "lobby").len(), 2, "seed {seed}");
        assert_eq!(members(&world, N3, "lobby").len(), 1, "seed {seed}");
        let late = world.spawn(N3);
        world.join_group(N3, "lobby", &late, "during").unwrap();
        world.join_group(N3, "lobby", &c, "during").unwrap();
        world.leave_group(N2, "lobby", &a).unwrap();
        world.run_for(SHORT);

        world.heal();
        world.run_for(LONG);
        world.settle(SETTLE);
        let expected = sorted(vec![
            (b.clone(), "before".into()),
            (c.clone(), "during".into()),
            (late.clone(), "during".into()),
        ]);
        for host in [N1, N2, N3] {
            assert_eq!(members(&world, host, "lobby"), expected, "seed {seed}");
        }
        for process in [&a, &b, &c, &late] {
            assert!(world.runs_process(process), "a group is worth no fight; seed {seed}");
        }
    }
}

/// The members on a node that dies are hidden with it, and those of its next life are others.
#[test]
fn the_members_of_a_dead_node_are_gone() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let (here, there) = (world.spawn(N1), world.spawn(N3));
        world.join_group(N1, "lobby", &here, "").unwrap();
        world.join_group(N1, "lobby", &there, "").unwrap();
        world.settle(SETTLE);

        world.kill(N3);
        world.run_for(LONG);
        assert_eq!(members(&world, N2, "lobby"), [(here.clone(), String::new())], "seed {seed}");
        world.start(N3);
        world.run_for(LONG);
        world.settle(SETTLE);
        for host in [N1, N2, N3] {
            assert_eq!(members(&world, host, "lobby"), [(here.clone(), String::new())]);
        }
    }
}

/// What is published reaches every member once, wherever it runs; one node gets one message,
/// whatever the number of its members.
#[test]
fn a_publication_reaches_every_member_once() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 3);
        let mut processes = Vec::new();
        for host in [N1, N2, N2, N2, N3] {
            processes.push(world.spawn(host));
        }
        for process in &processes[..4] {
            world.join_group(N3, "lobby", process, "").unwrap();
        }
        world.settle(SETTLE);

        for (host, number) in [(N1, "1"), (N2, "20"), (N3, "300")] {
            let sent = Published { nodes: 2, members: 4, unreachable: 0 };
            assert_eq!(world.publish(host, "lobby", number), Ok(sent), "seed {seed}");
        }
        world.run_for(Duration::from_secs(1));
        let totals: Vec<u64> = processes.iter().map(|p| total(&mut world, p)).collect();
        assert_eq!(totals, [321, 321, 321, 321, 0], "seed {seed}");
        assert_eq!(world.publish(N1, "attic", "1"), Ok(Published::default()), "seed {seed}");

        // Members without a session are counted apart, as long as they show.
        world.cut_link(N1, N2);
        world.run_for(SHORT);
        let Ok(sent) = world.publish(N1, "lobby", "1000") else { panic!("seed {seed}") };
        assert_eq!(sent.members + sent.unreachable, 4, "{sent:?}; seed {seed}");
        world.heal();
        world.settle(SETTLE);
    }
}

/// What one node says to a process arrives in order, said to it alone or to its group.
#[test]
fn publications_and_messages_keep_the_order_of_their_sender() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 2);
        let process = world.spawn(N2);
        world.join_group(N2, "lobby", &process, "").unwrap();
        world.settle(SETTLE);

        // The last one is a call: once it is answered, all before it have been counted.
        for _ in 0..20 {
            let payload = Blob::from("1");
            let (target, group) = (Target::Process(process.clone()), name("lobby"));
            let publish = Command::Publish { scope: scope(), group, payload: payload.clone() };
            world.request(N1, Command::Send { target: target.clone(), payload });
            world.request(N1, publish);
        }
        let ticket = world.request(
            N1,
            Command::Call { target: Target::Process(process), payload: Blob::from("0") },
        );
        assert_eq!(world.answer(ticket), Reply::Call(Ok(Blob::from("40"))), "seed {seed}");
    }
}
