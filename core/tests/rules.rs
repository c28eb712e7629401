//! The laws of conflict rules: ours keep them, and wrong ones are caught.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ordu_core::laws::{lawful_rule, order_free};
use ordu_core::strategies::{claims, precedences, ranks, schedules};
use ordu_core::{Config, ConfigError, ConflictRule, Contender, IdError, Precedence, Rank, Rule};
use proptest::prelude::*;
use proptest::test_runner::{Config as Runs, RngAlgorithm, TestError, TestRng, TestRunner};

type Compare = fn(&Contender<'_>, &Contender<'_>) -> Ordering;

/// A rule under a name.
struct Named(&'static str, Compare);

impl ConflictRule for Named {
    fn name(&self) -> &str {
        self.0
    }

    fn compare(&self, a: &Contender<'_>, b: &Contender<'_>) -> Ordering {
        (self.1)(a, b)
    }
}

const LARGEST: Named = Named("largest/1", |a, b| b.precedence.cmp(a.precedence));
/// Each prefers the other.
const POLITE: Named = Named("polite/1", |a, b| match a == b {
    true => Ordering::Equal,
    false => Ordering::Greater,
});
/// Rock, paper, scissors.
const CIRCLE: Named = Named("circle/1", |a, b| {
    let hand = |contender: &Contender<'_>| contender.precedence.first().map_or(0, |byte| byte % 3);
    match (3 + hand(a) - hand(b)) % 3 {
        0 => Ordering::Equal,
        1 => Ordering::Less,
        _ => Ordering::Greater,
    }
});

fn rules() -> [Rule; 3] {
    [Rule::oldest(), Rule::newest(), Rule::user(LARGEST)]
}

/// Returns what is found wrong with `rule`, made as small as can be.
fn counterexample(rule: &dyn ConflictRule) -> Option<(String, [Rank; 3])> {
    let runs = Runs { failure_persistence: None, cases: 2_000, ..Runs::default() };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let runner = &mut TestRunner::new_with_rng(runs, random);
    let found = runner.run(&(ranks(), ranks(), ranks()), |(a, b, c)| {
        lawful_rule(rule, [&a, &b, &c]);
        Ok(())
    });
    match found {
        Ok(()) => None,
        Err(TestError::Fail(reason, (a, b, c))) => Some((reason.message().to_owned(), [a, b, c])),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

proptest! {
    #[test]
    fn one_winner_in_whatever_order_claims_arrive(
        (claims, schedule) in claims().prop_flat_map(|all| (Just(all.clone()), schedules(all)))
    ) {
        for rule in rules() {
            order_free(&rule, &claims);
            order_free(&rule, &schedule);
            let best = |all: &[Rank]| all.iter().cloned().min_by(|a, b| rule.compare(a, b));
            prop_assert_eq!(best(&claims), best(&schedule));
        }
    }

    /// Whatever a user's rule says, wrong ones included.
    #[test]
    fn within_one_origin_and_lineage_the_moved_wins(a in ranks(), moves in 1..5_u64, b in ranks()) {
        let moved =
            Rank { moves: a.moves + moves, process: b.process, stamp: b.stamp, ..a.clone() };
        for rule in rules().into_iter().chain([POLITE, CIRCLE].map(Rule::user)) {
            prop_assert!(rule.beats(&moved, &a) && !rule.beats(&a, &moved), "{rule:?}");
        }
    }

    /// A rule that contradicts itself never has both of two lose, nor both win.
    #[test]
    fn of_two_one_goes_on_whatever_the_rule_says(a in ranks(), b in ranks()) {
        prop_assume!(a.process != b.process);
        for rule in rules().into_iter().chain([POLITE, CIRCLE].map(Rule::user)) {
            prop_assert!(rule.beats(&a, &b) != rule.beats(&b, &a), "{rule:?}");
        }
    }

    #[test]
    fn a_precedence_comes_back_from_its_bytes(precedence in precedences()) {
        let bytes = ordu_core::wire::encode(&precedence);
        prop_assert_eq!(ordu_core::wire::decode::<Precedence>(&bytes), Ok(precedence));
    }
}

#[test]
fn newest_is_oldest_but_for_where_they_come_from() {
    let runs = Runs { failure_persistence: None, ..Runs::default() };
    let found = TestRunner::new(runs).run(&(ranks(), ranks()), |(a, b)| {
        let (oldest, newest) = (Rule::oldest().compare(&a, &b), Rule::newest().compare(&a, &b));
        let expected =
            if a.origin == b.origin { oldest } else { a.origin.cmp(&b.origin).reverse() };
        prop_assert_eq!(newest, expected);
        Ok(())
    });
    assert_eq!(found, Ok(()));
}

#[test]
fn a_lawful_rule_of_a_user_passes() {
    assert_eq!(counterexample(&LARGEST), None);
}

#[test]
fn a_rule_that_prefers_the_other_is_caught() {
    let (reason, smallest) = counterexample(&POLITE).unwrap();
    assert!(reason.contains("not antisymmetric"), "{reason}");
    let small = smallest.iter().all(|rank| rank.precedence.as_bytes().len() <= 1);
    assert!(small, "it was made smaller: {smallest:?}");
}

#[test]
fn a_rule_that_runs_in_circles_is_caught() {
    let (reason, smallest) = counterexample(&CIRCLE).unwrap();
    assert!(reason.contains("in circles"), "{reason}");
    let mut hands =
        smallest.map(|rank| rank.precedence.as_bytes().first().copied().unwrap_or(0) % 3);
    hands.sort_unstable();
    assert_eq!(hands, [0, 1, 2], "one of each hand");
}

/// Goes by how often it was asked, as a rule that prefers who came first would.
struct ByArrival(AtomicU64);

impl ConflictRule for ByArrival {
    fn name(&self) -> &str {
        "by-arrival/1"
    }

    fn compare(&self, a: &Contender<'_>, b: &Contender<'_>) -> Ordering {
        match (a == b, self.0.fetch_add(1, Relaxed) % 3) {
            (true, _) => Ordering::Equal,
            (false, 0) => Ordering::Less,
            (false, _) => Ordering::Greater,
        }
    }
}

#[test]
fn a_rule_that_goes_by_more_than_it_is_shown_is_caught() {
    assert!(counterexample(&ByArrival(AtomicU64::new(0))).is_some());
}

#[test]
fn more_than_sixty_four_bytes_are_refused() {
    assert_eq!(Precedence::new(vec![1; 64]).unwrap().as_bytes(), [1; 64]);
    let refusal = IdError::TooLong { what: "precedence", bytes: 65, max: 64 };
    assert_eq!(Precedence::new(vec![1; 65]), Err(refusal));
    let hostile = ordu_core::wire::encode(&ordu_core::Blob::from(vec![1; 65]));
    assert!(ordu_core::wire::decode::<Precedence>(&hostile).is_err(), "nor from a peer");
}

#[test]
fn rules_are_told_apart_by_names_of_their_own() {
    let address = ordu_core::Address::new("a:1").unwrap();
    let mut config = Config::new(ordu_core::NodeId::new("a").unwrap(), address);
    for name in ["oldest/1", "newest/1", "", "a\nb"] {
        config.rule = Rule::user(Named(name, LARGEST.1));
        let refusal = ConfigError::RuleName { rule: config.rule.clone() };
        assert_eq!(config.check(), Err(refusal), "{name:?}");
    }
    config.rule = Rule::user(LARGEST);
    assert_eq!(config.check(), Ok(()));

    // Its code does not survive being stored, its name does.
    let stored: Config = ordu_core::wire::decode(&ordu_core::wire::encode(&config)).unwrap();
    assert_eq!(stored, config);
    assert_eq!(stored.check(), Err(ConfigError::RuleMissing { rule: config.rule }));
    let asked = AssertUnwindSafe(|| ordu_core::Node::new(stored, 1, ordu_core::Time::ZERO));
    assert!(catch_unwind(asked).is_err(), "no node goes by a rule that it does not have");
}
