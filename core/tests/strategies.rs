//! Strategies of users: what they may be called, and that a node has their code.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use ordu_core::limits::{HOPS_MAX, STRATEGIES_MAX};
use ordu_core::placement::{Choice, Host, PlacementStrategy, Weight};
use ordu_core::{Address, Config, ConfigError, NodeId, wire};

struct Named(String);

impl PlacementStrategy for Named {
    fn name(&self) -> &str {
        &self.0
    }

    fn choose<'a>(&self, choice: &Choice<'a>) -> Option<&'a Host<'a>> {
        choice.able().last()
    }
}

fn config(names: &[&str]) -> Config {
    let mut config = Config::new(NodeId::new("a").unwrap(), Address::new("a:1").unwrap());
    names.iter().for_each(|name| config.strategies.insert(Named((*name).into())));
    config
}

#[test]
fn strategies_are_told_apart_by_names_of_their_own() {
    let long = "x".repeat(65);
    for name in ["ring/1", "random/1", "bounded/1", "spread/1", "", "a\nb", long.as_str()] {
        let refusal = ConfigError::StrategyName { name: name.into() };
        assert_eq!(config(&["fine/1", name]).check(), Err(refusal), "{name:?}");
    }
    assert_eq!(config(&["fine/1", "ring/2", &"x".repeat(64)]).check(), Ok(()));
}

/// Their code does not survive being stored, their names do.
#[test]
fn a_stored_configuration_lacks_the_code_of_its_strategies() {
    let config = config(&["fine/1"]);
    let stored: Config = wire::decode(&wire::encode(&config)).unwrap();
    assert_eq!(stored, config);
    let refusal = ConfigError::StrategyMissing { name: "fine/1".into() };
    assert_eq!(stored.check(), Err(refusal));
}

#[test]
fn more_than_works_is_refused_by_name() {
    let names: Vec<String> = (0..=STRATEGIES_MAX).map(|number| format!("s{number}/1")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(config(&names[1..]).check(), Ok(()));
    let too_large = |what, asked, most| Err(ConfigError::TooLarge { what, asked, most });
    assert_eq!(config(&names).check(), too_large("strategies", 65, STRATEGIES_MAX));

    let mut far = config(&[]);
    far.max_hops = 100;
    assert_eq!(far.check(), Ok(()));
    far.max_hops = 101;
    assert_eq!(far.check(), too_large("max_hops", 101, HOPS_MAX));

    let mut idle = config(&[]);
    idle.redistribution = ordu_core::placement::Redistribution::Active {
        at_once: 0,
        quiet: std::time::Duration::ZERO,
    };
    assert_eq!(idle.check(), Err(ConfigError::Zero { what: "redistribution.at_once" }));
    let mut many = config(&[]);
    many.min_members = 1_025;
    assert_eq!(many.check(), too_large("min_members", 1_025, 1_024));
}

/// A weight that no member may have is not read from the wire either.
#[test]
fn a_weight_is_read_as_far_as_there_is_one() {
    for points in [0, 4_097, u16::MAX] {
        assert_eq!(Weight::new(points), None);
        assert!(wire::decode::<Weight>(&wire::encode(&points)).is_err(), "{points}");
    }
    let most = Weight::new(4_096).unwrap();
    assert_eq!(wire::decode::<Weight>(&wire::encode(&most)), Ok(most));
}
