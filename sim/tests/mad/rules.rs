//! Users' own conflict rules over the real shell, on both transports.

use std::cmp::Ordering;
use std::time::Duration;

use ordu::{ConflictRule, Contender, Event, Process, ProcessId, Rule};
use ordu_sim::mad::{Cluster, Log, Medium, simulate};
use ordu_sim::{Host, N1, N2, N3, seeds};
use tokio::select;

use crate::counter::{self, REST};

/// Whoever was given the highest bytes goes on.
struct Highest;

impl ConflictRule for Highest {
    fn name(&self) -> &str {
        "highest/1"
    }

    fn compare(&self, a: &Contender<'_>, b: &Contender<'_>) -> Ordering {
        b.precedence.cmp(a.precedence)
    }
}

/// Says nothing, and holds names.
struct Holder;

impl Process for Holder {
    const KIND: &'static str = "holder";
    type Args = ();
    type Message = ();
    type Reply = ();

    async fn start((): (), _: &mut ordu::Context<Self>) -> Result<Self, ordu::StartError> {
        Ok(Self)
    }

    async fn handle(&mut self, (): (), _: &mut ordu::Context<Self>) {}
}

/// Starts a process on `host` that is given `precedence`, and the names.
async fn holder(cluster: &Cluster, host: Host, precedence: &str, names: &[&str]) -> ProcessId {
    let node = cluster.node(host);
    let process = node.spawn_process::<Holder>(&()).precedence(precedence).await.expect("it may");
    for name in names {
        node.registry("default").register(*name, &process).await.expect("nobody has it here");
    }
    process
}

/// Both sides of a split give the same two names, in crossing order, to processes of their own.
async fn the_highest_keeps_all_its_names(log: Log, medium: Medium) {
    let mut cluster = Cluster::boot(&log, medium, 3, |_, builder| {
        builder.kind::<Holder>().conflict_rule(Rule::user(Highest))
    });
    cluster.rest(REST).await;
    cluster.partition(&[N1, N2], &[N3]);
    cluster.pass(Duration::from_secs(10)).await;
    let first = holder(&cluster, N1, "1", &["left", "right"]).await;
    cluster.pass(Duration::from_secs(1)).await;
    let highest = holder(&cluster, N3, "2", &["right", "left"]).await;
    cluster.heal();
    cluster.rest(REST).await;

    // By age the other one would have won.
    for host in cluster.up() {
        let registry = cluster.node(host).registry("default");
        for name in ["left", "right"] {
            let found = registry.lookup(name).expect("one of them goes on");
            assert_eq!(found.process, highest, "{host} on {name}");
        }
        assert_eq!(registry.names_of(&first), [], "{host}");
    }
    // Both of them can tell why, by what, and in which registry.
    for host in [N1, N3] {
        let told = cluster.node(host).conflicts();
        let [conflict] = &told[..] else { panic!("{host} was part of one: {told:?}") };
        let (winner, loser) = (&conflict.winner, &conflict.loser);
        assert_eq!((&winner.process, &loser.process), (&highest, &first), "{host}");
        assert!(loser.origin.stamp < winner.origin.stamp, "{host}: by age the other one had won");
        assert_eq!(
            (winner.precedence.as_bytes(), loser.precedence.as_bytes()),
            (&b"2"[..], &b"1"[..])
        );
        assert_eq!((conflict.rule.as_str(), conflict.child), ("highest/1", None), "{host}");
        assert!(conflict.name.is_some(), "{host}");
    }
    assert_eq!(cluster.node(N2).conflicts(), [], "it took no part");
}

/// The third node goes by another rule than the others, and they by the same.
async fn another_rule_stays_outside(log: Log, medium: Medium) {
    let cluster = Cluster::boot(&log, medium, 3, |host, builder| {
        let rule = if host == N3 { Rule::newest() } else { Rule::user(Highest) };
        counter::describe(host, builder).conflict_rule(rule)
    });
    cluster.pass(Duration::from_secs(1)).await;
    let mut events = cluster.node(N1).events();
    cluster.pass(REST).await;
    assert_eq!(cluster.members(N1).keys().collect::<Vec<_>>(), ["n1", "n2"]);
    assert!(!cluster.members(N3).contains_key("n1"), "{:?}", cluster.members(N3));

    let refused = async {
        while let Some(event) = events.next().await {
            if let Ok(Event::RuleRefused { peer, rule }) = event {
                return (peer.to_string(), rule);
            }
        }
        unreachable!("the node goes on")
    };
    select! {
        biased;
        refused = refused => assert_eq!(refused, ("n3".into(), "newest/1".into())),
        () = cluster.pass(REST) => panic!("whoever looks for the reason finds it among the events"),
    }
}

#[test]
fn of_two_sides_the_one_that_the_users_rule_prefers_goes_on() {
    for medium in Medium::ALL {
        for seed in seeds(2) {
            simulate(seed, move |log| the_highest_keeps_all_its_names(log, medium));
        }
    }
}

#[test]
fn nodes_of_two_rules_form_no_cluster() {
    for medium in Medium::ALL {
        simulate(1, move |log| another_rule_stays_outside(log, medium));
    }
}
