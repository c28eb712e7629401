//! A description that makes no sense is refused before anything runs.

use std::error::Error;
use std::time::Duration;

use ordu::{
    ConfigError, Context, IdError, LabelError, Mode, Node, NodeId, Quorum, Role, StartNodeError,
    Voters, VotersError,
};

use crate::world::alone;

#[tokio::test]
async fn a_name_that_cannot_be_one_is_refused() {
    let error = Node::builder("shop", "").start().await.unwrap_err();
    assert!(matches!(error, StartNodeError::NodeId { source: IdError::Empty { .. } }), "{error:?}");
    assert_eq!(error.source().unwrap().to_string(), "node id is empty");

    for cluster in ["", &"x".repeat(65)] {
        let error = Node::builder(cluster, "a").start().await.unwrap_err();
        assert!(
            matches!(error, StartNodeError::ClusterName { max: 64, .. }),
            "{cluster:?}: {error:?}"
        );
    }
    for name in ["", "a\tb", &"x".repeat(513)] {
        for builder in [alone().registry(name), alone().groups(name)] {
            let error = builder.start().await.unwrap_err();
            assert!(matches!(error, StartNodeError::RegistryName { .. }), "{name:?}: {error:?}");
        }
    }
    let longest = "x".repeat(64);
    let error = Node::builder(longest, "a\n").start().await.unwrap_err();
    assert!(matches!(error, StartNodeError::NodeId { .. }), "{error:?}");
}

#[tokio::test]
async fn settings_that_do_not_fit_together_are_refused() {
    let error = alone().failure_timeout(Duration::from_secs(1)).start().await.unwrap_err();
    let StartNodeError::Config { source } = error else { panic!("{error:?}") };
    assert!(matches!(source, ConfigError::FailureTimeoutTooShort { .. }), "{source:?}");

    // With beats that are frequent enough the same timeout is fine.
    let fast = alone().failure_timeout(Duration::from_secs(1));
    let node = fast.beat_interval(Duration::from_millis(100)).start().await.unwrap();
    node.halt().await;

    let error = alone().starts_at_once(0).start().await.unwrap_err();
    assert!(matches!(error, StartNodeError::Config { .. }), "{error:?}");
    let error = alone().messages_max(0).start().await.unwrap_err();
    assert!(matches!(error, StartNodeError::NoMessages), "{error:?}");
}

#[tokio::test]
async fn a_seed_must_be_an_address_and_a_kind_must_have_a_name_of_its_own() {
    let error = alone().seeds(["b:1", ""]).start().await.unwrap_err();
    assert!(matches!(error, StartNodeError::Seed { .. }), "{error:?}");

    let twice = alone().kind_fn("x", async |_: Context| ()).kind_fn("x", async |_: Context| ());
    let error = twice.start().await.unwrap_err();
    assert_eq!(error.to_string(), "two kinds of processes are called \"x\"");
}

#[tokio::test]
async fn a_label_must_be_one_and_a_client_must_have_something_to_join() {
    let error = alone().label("zone", "eu\n1").start().await.unwrap_err();
    let StartNodeError::Label { source } = error else { panic!("{error:?}") };
    assert_eq!(source, LabelError::ControlCharacter { key: "zone".into() });
    let error = alone().label("", "eu").start().await.unwrap_err();
    assert!(matches!(error, StartNodeError::Label { .. }), "{error:?}");

    let error = Node::builder("shop", "a").role(Role::Client).start().await.unwrap_err();
    assert!(matches!(error, StartNodeError::NothingToJoin), "{error:?}");
}

#[tokio::test]
async fn leases_need_voters_that_can_be_some_and_supervisors_that_can_be_called_so() {
    let error = alone().exclusive("payments").start().await.unwrap_err();
    assert!(matches!(error, StartNodeError::NoVoters { .. }), "{error:?}");
    let text = "the supervisor \"payments\" is exclusive, and there are no voters; name 3 or 5";
    assert_eq!(error.to_string(), text);

    let error = alone().voters(["a", "b\n", "c"]).start().await.unwrap_err();
    let StartNodeError::Voter { voter, .. } = error else { panic!("{error:?}") };
    assert_eq!(voter, "b\n");
    let error = alone().voters(["a"]).exclusive("").start().await.unwrap_err();
    assert!(matches!(error, StartNodeError::SupervisorName { .. }), "{error:?}");

    let nobody = Mode::stopping(Quorum::Static { size: 0 });
    let error = alone().registry_mode("tills", nobody).start().await.unwrap_err();
    let StartNodeError::Config { source } = error else { panic!("{error:?}") };
    assert_eq!(source.to_string(), "Quorum::Static.size must not be zero");
    let most = Mode::stopping(Quorum::Voters);
    let error = alone().registry_mode("tills", most).start().await.unwrap_err();
    let StartNodeError::Config { source } = error else { panic!("{error:?}") };
    assert!(matches!(source, ConfigError::NoVoters { .. }), "{source:?}");

    let refusal = async |voters: Voters| {
        let error = alone().leases_granted_by(voters).start().await.unwrap_err();
        let StartNodeError::Config { source } = error else { panic!("{error:?}") };
        let ConfigError::Voters(refusal) = source else { panic!("{source:?}") };
        refusal
    };
    let a = NodeId::new("a").unwrap();
    let short = Voters { lease: Duration::from_millis(1), ..Voters::new([a.clone()]) };
    assert!(matches!(refusal(short).await, VotersError::Lease { .. }));
    let wild = Voters { rate_error_ppm: 1_000_000, ..Voters::new([a]) };
    assert!(matches!(refusal(wild).await, VotersError::RateError { .. }));
    assert!(matches!(refusal(Voters::new([])).await, VotersError::Count { count: 0, .. }));

    let node = alone().voters(["n1", "n2", "n3"]).exclusive("payments").start().await.unwrap();
    node.halt().await;
}
