//! Partition simulations of users' own processes, in an ordinary `#[test]`.
//!
//! A [`Simulation`] says which processes run and what clients ask of them, what goes wrong
//! meanwhile, and what is expected nevertheless. It runs on many seeds; a seed on which something
//! is not as expected fails the test, with the seed, what was seen and when, the command that runs
//! that seed again, and the fewest faults and messages found that bring it about.
//!
//! ```
//! use std::collections::BTreeSet;
//! use std::time::Duration;
//!
//! use ordu_sim::Model;
//! use ordu_sim::kit::{Simulation, Trouble, at_most_one_per_side, eventually, eventually_one};
//!
//! /// Remembers which orders it was sent.
//! struct Cart(BTreeSet<u8>);
//!
//! impl Model for Cart {
//!     const KIND: &'static str = "cart";
//!     type Args = ();
//!     type Message = u8;
//!     type Reply = ();
//!
//!     fn start((): (), state: Option<&[u8]>) -> Result<Self, String> {
//!         Ok(Self(state.unwrap_or_default().iter().copied().collect()))
//!     }
//!
//!     fn handle(&mut self, order: u8) {
//!         self.0.insert(order);
//!     }
//!
//!     fn stop(self) -> Option<Vec<u8>> {
//!         Some(self.0.into_iter().collect())
//!     }
//!
//!     // Of two carts after a split one goes on, and takes in what the other one held.
//!     fn absorb(&mut self, state: &[u8]) {
//!         self.0.extend(state);
//!     }
//! }
//!
//! Simulation::new(3)
//!     .child::<Cart>("cart/7", &())
//!     .calls::<Cart>("cart/7", Duration::from_secs(1), |chance| chance.below(256) as u8)
//!     .trouble(Trouble::Splits, Duration::from_secs(20))
//!     .expect(at_most_one_per_side("cart/7", Duration::from_secs(20)))
//!     .expect(eventually_one("cart/7"))
//!     .expect(eventually("no order is lost", |moment| {
//!         let cart = moment.model::<Cart>("cart/7")?;
//!         let mut answered = moment.answered::<Cart>("cart/7").into_iter();
//!         match answered.find(|(order, ())| !cart.0.contains(order)) {
//!             Some((order, ())) => Err(format!("order {order} is lost")),
//!             None => Ok(()),
//!         }
//!     }))
//!     .seeds(3)
//!     .run();
//! ```
//!
//! Beside what is expected, every promise of safety that Ordu itself makes is watched at each step;
//! see [`invariants`](crate::invariants).
//!
//! # What can be expected
//!
//! Ordu runs in the eventual mode: each side of a split goes on, so that a child may run on both,
//! and a frozen machine that is replaced still runs what it ran. [`at_most_one`] is therefore found
//! broken wherever links are cut or machines freeze for longer than the failure timeout; expect it
//! where there is no such trouble, or only [once settled](Expectation::once_settled). What holds
//! through splits is [`at_most_one_per_side`], and [`eventually_one`] after them.
//!
//! What a process held in memory dies with its machine, and on a planned leave a child begins from
//! its arguments elsewhere: "nothing is lost" can be expected through splits and freezes, not
//! through deaths and leaves.
//!
//! Which of two processes wins a conflict, the cluster's rule decides: the oldest, unless
//! [`Simulation::conflict_rule`] says otherwise. What becomes of what the loser knew is
//! [`Model::absorb`](crate::Model::absorb), a user's own rule, too.

mod counterexample;
mod expectation;
mod moment;
mod rehearsal;
mod simulation;
mod trouble;

pub use crate::kit::counterexample::Counterexample;
pub use crate::kit::expectation::{
    Expectation, always, at_most_one, at_most_one_per_side, eventually, eventually_one,
    eventually_running,
};
pub use crate::kit::moment::Moment;
pub use crate::kit::simulation::{Simulation, Summary};
pub use crate::kit::trouble::Trouble;
