//! The worked example of `SIMULATION.md`: carts whose merge keeps all items, and some whose merge
//! does not.

use std::time::Duration;

use ordu_sim::kit::{
    Expectation, Simulation, Trouble, at_most_one, at_most_one_per_side, eventually, eventually_one,
};
use ordu_sim::shrink::Effort;
use ordu_sim::{Mark, Model};

use crate::cart::Items;

const NAME: &str = "cart/7";

/// A cart that keeps what both sides of a split were told.
struct Cart(Items);

impl Model for Cart {
    const KIND: &'static str = "cart";
    type Args = ();
    type Message = u64;
    type Reply = usize;

    fn start((): (), state: Option<&[u8]>) -> Result<Self, String> {
        Ok(Self(Items::from_bytes(state.unwrap_or_default())?))
    }

    fn handle(&mut self, order: u64) -> usize {
        self.0.add(order)
    }

    fn stop(self) -> Option<Vec<u8>> {
        Some(self.0.to_bytes())
    }

    fn absorb(&mut self, state: &[u8]) {
        self.0.merge(&Items::from_bytes(state).expect("it was written so"));
    }
}

/// The same cart, but the winner of a conflict ignores what the loser held.
struct Forgetful(Items);

impl Model for Forgetful {
    const KIND: &'static str = "cart";
    type Args = ();
    type Message = u64;
    type Reply = usize;

    fn start((): (), state: Option<&[u8]>) -> Result<Self, String> {
        Ok(Self(Items::from_bytes(state.unwrap_or_default())?))
    }

    fn handle(&mut self, order: u64) -> usize {
        self.0.add(order)
    }

    fn stop(self) -> Option<Vec<u8>> {
        Some(self.0.to_bytes())
    }
}

/// Access to the items, whichever cart it is.
trait HoldsItems: Model<Message = u64, Reply = usize, Args = ()> {
    fn items(&self) -> &Items;
}

impl HoldsItems for Cart {
    fn items(&self) -> &Items {
        &self.0
    }
}

impl HoldsItems for Forgetful {
    fn items(&self) -> &Items {
        &self.0
    }
}

/// Every order that a customer was told is in the cart is in the one that is left.
fn no_order_is_lost<C: HoldsItems>() -> Expectation {
    eventually("no order is lost", |moment| {
        let told = moment.answered::<C>(NAME).into_iter().map(|(order, _)| order);
        moment.model::<C>(NAME)?.items().check_holds(told)
    })
}

/// Three machines, a cart, and customers who put orders in on all of them.
fn shop<C: HoldsItems>() -> Simulation {
    Simulation::new(3)
        .child::<C>(NAME, &())
        .calls::<C>(NAME, Duration::from_secs(1), |chance| chance.draw())
}

#[test]
fn no_order_is_lost_when_the_network_splits_and_machines_freeze() {
    let summary = shop::<Cart>()
        .trouble(Trouble::Splits, Duration::from_secs(15))
        .trouble(Trouble::Freezes, Duration::from_secs(30))
        .expect(at_most_one_per_side(NAME, Duration::from_secs(20)))
        .expect(at_most_one(NAME).once_settled())
        .expect(eventually_one(NAME))
        .expect(no_order_is_lost::<Cart>())
        .run();

    // Two carts did become one; else all this would say nothing.
    assert!(summary.marks.count(Mark::Merged) > 5, "{summary:?}");
}

#[test]
#[should_panic(expected = "no order is lost")]
fn a_merge_that_forgets_the_loser_is_found() {
    shop::<Forgetful>()
        .trouble(Trouble::Splits, Duration::from_secs(15))
        .expect(eventually_one(NAME))
        .expect(no_order_is_lost::<Forgetful>())
        .effort(Effort { runs: 20, ..Effort::default() })
        .run();
}

#[test]
fn a_failure_says_how_to_see_it_again_and_what_brought_it_about() {
    let simulation = shop::<Forgetful>()
        .trouble(Trouble::Splits, Duration::from_secs(15))
        .expect(no_order_is_lost::<Forgetful>());
    let found = simulation.check().expect_err("it forgets");
    assert_eq!(found.violation.promise, "no order is lost");
    assert!(found.smallest.is_like(&found.violation), "{found}");

    // What is left is one split and one order on the side that loses.
    let left = found.plan.steps.len();
    assert!(left <= 4 && left * 5 <= found.steps_before, "{found}");
    let text = found.to_string();
    let again = format!("again: ORDU_SEED={} cargo test", found.seed);
    for part in [&again, "calls \"cart/7\" with", "everything is mended", "is lost"] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    let splits = ["Cut(", "Part("];
    assert!(splits.iter().any(|split| text.contains(split)), "no split is in:\n{text}");
}

#[test]
fn a_cart_survives_every_machine_it_runs_on() {
    let summary = shop::<Cart>()
        .trouble(Trouble::Deaths, Duration::from_secs(15))
        .expect(at_most_one(NAME).once_settled())
        .expect(eventually_one(NAME).within(Duration::from_secs(30)))
        .run();
    assert!(summary.marks.count(Mark::FailedOver) > 5, "{summary:?}");
}
