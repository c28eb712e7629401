//! Voters that are changed while children run under the leases they grant.
//!
//! Every world checks that of each epoch there is one electorate (S44), and that no two leases
//! overlap (S19), over clocks at either end of what they may do.

use std::time::Duration;

use ordu_core::{
    ChangeVotersError, ChildId, Command, Electorate, Event, NodeId, Reply, VoterChange, VoterStore,
};
use ordu_sim::{Host, N1, N2, N3, N4, N5, World, WorldBuilder, seeds, spec};

use crate::drift::{ABSTENTION, TAKEOVER, all_run, drifting, granting};
use crate::{home, start_at_once};

/// Returns a cluster of `hosts` machines, of which the first `voters` grant leases.
fn builder(seed: u64, hosts: u16, voters: u16) -> WorldBuilder {
    drifting(seed, hosts).exclusive(voters)
}

/// Returns such a cluster, with children that run.
fn world(seed: u64, hosts: u16, voters: u16) -> (World, Vec<ChildId>) {
    let mut world = granting(builder(seed, hosts, voters));
    let up = world.up();
    let specs: Vec<_> = (0..12).map(|number| (up[number % up.len()], spec("counter"))).collect();
    let children = start_at_once(&mut world, specs);
    (world, children)
}

fn add(host: Host) -> VoterChange {
    VoterChange::Add(host.id())
}

fn remove(host: Host) -> VoterChange {
    VoterChange::Remove(host.id())
}

fn names(electorate: &Electorate) -> Vec<&str> {
    electorate.nodes.iter().map(NodeId::as_str).collect()
}

fn lapses(world: &World) -> usize {
    let lapsed = |event: &&Event| matches!(event, Event::LeaseLapsed { .. });
    world.events().iter().map(|(_, _, event)| event).filter(lapsed).count()
}

/// Returns which voters `host` went by last, if they changed since it started.
fn goes_by(world: &World, host: Host) -> Option<Electorate> {
    let mut events = world.events().iter().rev().filter(|(_, other, _)| *other == host);
    events.find_map(|(_, _, event)| {
        let Event::VotersChanged { electorate } = event else { return None };
        Some(electorate.clone())
    })
}

/// All voters are replaced, one after the other, and no lease ends over it.
#[test]
fn all_voters_are_replaced_and_no_lease_ends() {
    for seed in seeds(5) {
        let (mut world, children) = world(seed, 6, 3);
        let changes = [add(N4), remove(N1), add(N5), remove(N2), add(Host::new(6)), remove(N3)];
        for (done, change) in changes.into_iter().enumerate() {
            let electorate = change_by(&mut world, N1, change).expect("all are there");
            assert_eq!(electorate.epoch, done as u64 + 2, "seed {seed}");
        }
        world.run_for(Duration::from_secs(12));
        for number in 1..=6 {
            let electorate = goes_by(&world, Host::new(number)).expect("it has heard of it");
            assert_eq!(names(&electorate), ["n4", "n5", "n6"], "seed {seed}");
        }
        assert!(all_run(&children)(&world), "seed {seed}");
        assert_eq!((world.leases(), lapses(&world)), ((12, 0), 0), "seed {seed}");

        // Those that were voters count no more: the others go on without them.
        for host in [N1, N2, N3] {
            world.kill(host);
        }
        assert!(world.run_until(TAKEOVER, all_run(&children)), "seed {seed}: {}", world.tail());
        world.run_for(Duration::from_secs(20));
        assert!(all_run(&children)(&world), "seed {seed}");
    }
}

/// Disks that take longer than a proposer waits until it asks again delay a change, and no more.
#[test]
fn slow_disks_delay_changes_and_do_not_stop_them() {
    for seed in seeds(4) {
        let (mut world, children) = world(seed, 4, 3);
        world.set_disks(Duration::from_millis(1_500));
        let electorate = change_by(&mut world, N1, add(N4)).expect("all are there");
        assert_eq!(names(&electorate), ["n1", "n2", "n3", "n4"], "seed {seed}");
        world.run_for(Duration::from_secs(20));
        for host in world.up() {
            let stored = world.voter_store(host).record().expect("all have stores");
            assert_eq!(stored.electorate, electorate, "seed {seed}, {host}");
        }
        assert!(all_run(&children)(&world), "seed {seed}");
        assert_eq!(lapses(&world), 0, "seed {seed}");
    }
}

/// Asks `host` for a change, with as much time as the wait for the one before takes.
fn change_by(
    world: &mut World,
    host: Host,
    change: VoterChange,
) -> Result<Electorate, ChangeVotersError> {
    let command = Command::ChangeVoters { change };
    let ticket = world.request_within(host, command, Duration::from_secs(20));
    let Reply::ChangeVoters(result) = world.answer(ticket) else {
        panic!("a change is answered as such");
    };
    result
}

/// A voter that is lost for good is replaced by those that are left; after that, another one may
/// fail.
#[test]
fn a_lost_voter_is_replaced_by_the_others() {
    for seed in seeds(10) {
        let (mut world, children) = world(seed, 4, 3);
        world.kill(N3);
        assert!(world.run_until(TAKEOVER, all_run(&children)), "seed {seed}");
        change_by(&mut world, N2, add(N4)).expect("two of three, and three of four");
        let electorate = change_by(&mut world, N4, remove(N3)).expect("so are all others");
        assert_eq!(names(&electorate), ["n1", "n2", "n4"], "seed {seed}");
        world.kill(N1);
        assert!(world.run_until(TAKEOVER, all_run(&children)), "seed {seed}: {}", world.tail());
    }
}

/// Whoever was asked for a change dies once some have accepted it: those bring it about.
#[test]
fn a_change_whose_proposer_is_gone_comes_about() {
    for seed in seeds(10) {
        let (mut world, children) = world(seed, 5, 3);
        let command = Command::ChangeVoters { change: add(N4) };
        let _ = world.request_within(N5, command, Duration::from_secs(10));
        let accepted = |world: &World| {
            let stored = |host| {
                world.voter_store(host).record().is_some_and(|record| record.accepted.is_some())
            };
            [N1, N2, N3].into_iter().any(stored)
        };
        assert!(world.run_until(Duration::from_secs(2), accepted), "seed {seed}");
        world.kill(N5);
        let all = |world: &World| {
            let four = |host| goes_by(world, host).is_some_and(|ours| ours.nodes.len() == 4);
            [N1, N2, N3, N4].into_iter().all(four)
        };
        assert!(world.run_until(Duration::from_secs(30), all), "seed {seed}: {}", world.tail());
        assert!(world.run_until(TAKEOVER, all_run(&children)), "seed {seed}");
    }
}

/// Who is cut off with a minority of the voters changes nothing, and is told why; the others do,
/// and both are of one mind once they meet.
#[test]
fn a_minority_changes_nothing() {
    for seed in seeds(10) {
        let (mut world, children) = world(seed, 5, 3);
        world.partition(&[N1, N4], &[N2, N3, N5]);
        world.run_for(ABSTENTION);
        let refused = change_by(&mut world, N1, add(N4)).unwrap_err();
        let ChangeVotersError::TimedOut { silent, .. } = &refused else { panic!("{refused}") };
        assert!(silent.contains(&N2.id()) && silent.contains(&N3.id()), "seed {seed}: {refused}");
        let electorate = change_by(&mut world, N2, add(N5)).expect("two of three, three of four");
        assert_eq!(names(&electorate), ["n1", "n2", "n3", "n5"], "seed {seed}");
        world.heal();
        let heard = |world: &World| goes_by(world, N4).is_some_and(|ours| ours == electorate);
        assert!(world.run_until(Duration::from_secs(15), heard), "seed {seed}: {}", world.tail());
        assert!(world.run_until(TAKEOVER, all_run(&children)), "seed {seed}");
    }
}

/// A voter that does not answer is not added: where it would be needed for a majority, nothing
/// would be granted any more.
#[test]
fn who_does_not_answer_does_not_become_a_voter() {
    for seed in seeds(5) {
        let mut world = builder(seed, 3, 1).joined();
        world.run_for(ABSTENTION);
        world.pause(N2);
        let refused = change_by(&mut world, N3, add(N2)).unwrap_err();
        let silent = vec![N2.id()];
        let expected = ChangeVotersError::TimedOut { silent, settles_in: None };
        assert_eq!(refused, expected, "seed {seed}");
        assert_eq!(
            refused.to_string(),
            "the voters were not changed in time: no word came from n2"
        );
        world.run_for(Duration::from_secs(20));
        let child = start_at_once(&mut world, vec![(N1, spec("counter"))]);
        assert!(all_run(&child)(&world), "seed {seed}");
        assert_eq!(world.quorum(N1).electorate.map(|voters| voters.epoch), Some(1));
    }
}

/// Two operators that want different things at one time both get them.
#[test]
fn changes_that_meet_are_both_made() {
    for seed in seeds(10) {
        let (mut world, children) = world(seed, 5, 3);
        let ask = |world: &mut World, host, change| {
            let command = Command::ChangeVoters { change };
            world.request_within(host, command, Duration::from_secs(30))
        };
        let first = ask(&mut world, N1, add(N4));
        let second = ask(&mut world, N5, add(N5));
        for ticket in [first, second] {
            let reply = world.answer(ticket);
            assert!(matches!(reply, Reply::ChangeVoters(Ok(_))), "seed {seed}: {reply:?}");
        }
        world.run_for(Duration::from_secs(1));
        let electorate = goes_by(&world, N2).expect("it decided");
        assert_eq!((electorate.epoch, electorate.nodes.len()), (3, 5), "seed {seed}");
        assert_eq!(lapses(&world), 0, "seed {seed}");
        assert!(all_run(&children)(&world), "seed {seed}");
    }
}

/// All nodes crash at once, at any moment of a change: what was decided is not decided otherwise by
/// those that come back.
#[test]
fn what_was_decided_outlasts_a_crash_of_all() {
    let mut decided = 0;
    for seed in seeds(20) {
        let (mut world, _) = world(seed, 4, 3);
        let command = Command::ChangeVoters { change: add(N4) };
        let ticket = world.request_within(N1, command, Duration::from_secs(10));
        world.run_for(Duration::from_millis(seed % 20 * 2));
        decided += u32::from(world.reply(ticket).is_some());
        let hosts = [N1, N2, N3, N4];
        for host in hosts {
            world.kill(host);
        }
        for host in hosts {
            world.start(host);
        }
        world.run_for(ABSTENTION + ABSTENTION);
        let electorate = change_by(&mut world, N2, remove(N3)).expect("all are there");
        world.run_for(Duration::from_secs(11));
        let stored = |host| match world.voter_store(host) {
            VoterStore::Holds(record) => Some(&record.electorate),
            VoterStore::Absent | VoterStore::Empty => None,
        };
        assert_eq!(hosts.map(stored), [Some(&electorate); 4], "seed {seed}");
        match names(&electorate)[..] {
            ["n1", "n2"] => assert_eq!(electorate.epoch, 2, "seed {seed}"),
            ["n1", "n2", "n4"] => assert_eq!(electorate.epoch, 3, "seed {seed}"),
            ref other => panic!("nobody asked for {other:?}; seed {seed}"),
        }
    }
    assert!(0 < decided, "in some worlds it was decided before");
}

/// The voters are replaced as fast as they decide it, while one that is cut off holds leases of
/// those that were voters first: nobody else is granted these before they are over.
#[test]
fn what_the_first_voters_granted_is_over_before_the_last_grant_it() {
    for seed in seeds(5) {
        let mut world = builder(seed, 6, 3).joined();
        world.run_for(ABSTENTION);
        let holder = Host::new(6);
        // One of the voters promises it nothing.
        world.cut_link(N3, holder);
        world.run_for(ABSTENTION);
        let hosts = [holder; 60];
        let children: Vec<_> = hosts.map(|host| (host, spec("counter"))).into();
        let children = start_at_once(&mut world, children);
        let others = [N1, N2, N3, N4, N5];
        let held: Vec<ChildId> =
            children.into_iter().filter(|&child| home(&world, child) == holder).collect();
        assert!(!held.is_empty(), "seed {seed}");
        world.partition(&[holder], &others);
        for change in [add(N4), remove(N1), add(N5), remove(N2)] {
            change_by(&mut world, N3, change).expect("all voters are there");
        }
        let elsewhere = |world: &World| {
            let on = |&child: &ChildId| world.running_child(child);
            held.iter().all(|child| on(child).iter().any(|host| *host != holder))
        };
        assert!(world.run_until(TAKEOVER, elsewhere), "seed {seed}: {}", world.tail());
    }
}

/// Who becomes a voter knows what is claimed already, and promises it to nobody else.
#[test]
fn a_new_voter_keeps_what_it_grants_of_older_claims() {
    for seed in seeds(5) {
        let mut world = builder(seed, 6, 3).joined();
        world.run_for(ABSTENTION);
        let holder = Host::new(6);
        let children: Vec<_> = [holder; 60].map(|host| (host, spec("counter"))).into();
        let children = start_at_once(&mut world, children);
        let held: Vec<ChildId> =
            children.into_iter().filter(|&child| home(&world, child) == holder).collect();
        assert!(!held.is_empty(), "seed {seed}");
        for change in [add(N4), remove(N1)] {
            change_by(&mut world, N3, change).expect("all voters are there");
        }
        // From here on it is the new voter that makes the difference.
        world.cut_link(N2, holder);
        world.run_for(Duration::from_secs(10));
        assert!(held.iter().all(|&child| home(&world, child) == holder), "seed {seed}");
        world.partition(&[holder], &[N1, N2, N3, N4, N5]);
        let elsewhere = |world: &World| {
            let on = |&child: &ChildId| world.running_child(child);
            held.iter().all(|child| on(child).iter().any(|host| *host != holder))
        };
        let at = world.now();
        // Of three voters the other old one is out of reach, too: two are left to grant it.
        world.kill(N3);
        assert!(world.run_until(3 * TAKEOVER, elsewhere), "seed {seed}: {}", world.tail());
        assert!(Duration::from_millis(3_500) < world.now().since(at), "seed {seed}");
    }
}

/// Without stores nothing is decided, and whoever asks is told whose are missing.
#[test]
fn voters_without_a_store_change_nothing_and_say_so() {
    for seed in seeds(5) {
        let builder = builder(seed, 4, 3).configure(|host, config| {
            if host == N1 || host == N2 {
                config.voter_store = VoterStore::Absent;
            }
        });
        let mut world = builder.joined();
        world.run_for(ABSTENTION);
        let refused = world.change_voters(N4, add(N4)).unwrap_err();
        let nodes = vec![N1.id(), N2.id()];
        assert_eq!(refused, ChangeVotersError::NoStore { nodes }, "seed {seed}");
        let text = "of the voters, n1, n2 have no store, and so no say; start them with one";
        assert_eq!(refused.to_string(), text);
        let unknown = world.change_voters(N4, VoterChange::Add(NodeId::new("n9").unwrap()));
        let node = NodeId::new("n9").unwrap();
        assert_eq!(unknown, Err(ChangeVotersError::Unknown { node }), "seed {seed}");
    }
}

/// A node that was away while the voters changed is not refused when it comes back with its old
/// configuration, and neither is one that is configured with the new voters.
#[test]
fn old_and_new_configurations_find_each_other() {
    for seed in seeds(5) {
        let (mut world, children) = world(seed, 6, 3);
        world.kill(N5);
        world.kill(Host::new(6));
        change_by(&mut world, N1, add(N4)).expect("all voters are there");
        world.start(N5);
        world.reconfigure(Host::new(6), |config| {
            let voters = config.voters.as_mut().expect("there are some");
            voters.epoch = 2;
            voters.nodes.insert(N4.id());
        });
        world.start(Host::new(6));
        let four = |world: &World| {
            goes_by(world, N5).is_some_and(|ours| names(&ours) == ["n1", "n2", "n3", "n4"])
        };
        assert!(world.run_until(Duration::from_secs(15), four), "seed {seed}: {}", world.tail());
        assert!(world.run_until(Duration::from_secs(5), World::all_know_each_other));
        assert!(world.run_until(TAKEOVER, all_run(&children)), "seed {seed}");

        // Once more: the one with the new configuration follows, too.
        change_by(&mut world, Host::new(6), add(N5)).expect("all are there");
        assert!(all_run(&children)(&world), "seed {seed}");
    }
}

/// A holder that hears of a change late goes on: whoever it asks tells it.
#[test]
fn a_holder_that_has_not_heard_of_a_change_is_told_by_voters() {
    for seed in seeds(5) {
        let (mut world, children) = world(seed, 5, 3);
        world.cut_link(N1, N5);
        change_by(&mut world, N1, add(N4)).expect("all voters are there");
        world.run_for(Duration::from_secs(20));
        let electorate = goes_by(&world, N5).expect("others told it");
        assert_eq!(electorate.epoch, 2, "seed {seed}");
        assert!(all_run(&children)(&world), "seed {seed}");
        assert_eq!(lapses(&world), 0, "seed {seed}");
    }
}
