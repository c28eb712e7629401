//! What the hash of a simulated cluster tells: equal for one seed, different for two, and different
//! where anything slips in that the seed does not decide.

use ordu_sim::mad::{Log, Medium, simulate};
use ordu_sim::{N1, N2, N3, seeds};

use crate::counter::{CHILDREN, REST, add, start_children, three};

/// A little of everything.
async fn live(log: Log, medium: Medium) {
    let mut cluster = three(&log, medium).await;
    start_children(&cluster, N2).await;
    cluster.kill(N3);
    for number in 0..CHILDREN {
        // Some calls meet the dead node; what they are told is part of the history.
        let _ = add(&cluster, N1, number, 1).await;
    }
    cluster.restart(N3);
    cluster.partition(&[N1], &[N2, N3]);
    cluster.pass(REST / 10).await;
    cluster.heal();
    cluster.rest(REST).await;
}

#[test]
fn two_seeds_have_two_histories() {
    for medium in Medium::ALL {
        for seed in seeds(2) {
            let hash = |seed| simulate(seed, move |log| live(log, medium));
            let first = hash(seed);
            assert_eq!(first, hash(seed), "seed {seed} on {medium:?}");
            assert_ne!(first, hash(seed + 1), "seed {seed} on {medium:?}");
        }
    }
}

/// The hash stands for this, so it had better hold all of it.
#[test]
fn the_log_holds_what_users_see_and_when() {
    for medium in Medium::ALL {
        simulate(1, async move |log| {
            live(log.clone(), medium).await;
            let lines = log.written();
            for seen in [
                "n1 names: Snapshot",
                "n2 names: Registered",
                "n1 names: Moved",
                "n1 MemberDown { replica: n2",
                "n1 Joined",
                "[n1] and [n2, n3] are cut off",
                "n1 sees {",
            ] {
                assert!(lines.iter().any(|line| line.contains(seen)), "{medium:?}: {seen}");
            }
            // Which counters ran on the node that died, the seed decides.
            let is_sum =
                |line: &String| line.contains("n1 adds 1 to counter/") && line.ends_with(": Ok(1)");
            assert!(lines.iter().any(is_sum), "{medium:?}: a sum");
            let at = |line: &String| line[..12].trim().parse::<f64>().expect("a time comes first");
            assert!(lines.is_sorted_by_key(|line| at(line).to_bits()), "{medium:?}");
        });
    }
}

/// Calls from one node and from another, as the program says or as nobody does.
async fn call_around(log: Log, biased: bool) {
    let cluster = three(&log, Medium::Mem).await;
    start_children(&cluster, N1).await;
    for number in 0..64 {
        let host = if biased {
            tokio::select! {
                biased;
                () = std::future::ready(()) => N1,
                () = std::future::ready(()) => N2,
            }
        } else {
            // It throws dice of its own.
            tokio::select! {
                () = std::future::ready(()) => N1,
                () = std::future::ready(()) => N2,
            }
        };
        add(&cluster, host, number % CHILDREN, 1).await.expect("all is well");
    }
}

/// A hash that nothing can change would pass every other test here.
#[test]
fn a_choice_that_the_seed_does_not_decide_shows() {
    let hash = |biased| simulate(1, move |log| call_around(log, biased));
    assert_eq!(hash(true), hash(true));
    assert_ne!(hash(false), hash(false));
}
