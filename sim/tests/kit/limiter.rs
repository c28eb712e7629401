//! A rate limiter: what one process can promise, and two sides of a split cannot.

use std::time::Duration;

use ordu_sim::kit::{Expectation, Simulation, always, eventually, eventually_one};
use ordu_sim::plan::Fault;
use ordu_sim::shrink::Effort;
use ordu_sim::{Model, N1, N2, N3, Topology};

const NAME: &str = "limiter";
const LIMIT: u64 = 5;

/// Lets so many requests through, and no more.
struct Limiter {
    used: u64,
}

impl Model for Limiter {
    const KIND: &'static str = "limiter";
    type Args = ();
    type Message = ();
    type Reply = bool;

    fn start((): (), state: Option<&[u8]>) -> Result<Self, String> {
        let used = state.map_or(Ok([0; 8]), TryInto::try_into);
        Ok(Self { used: u64::from_le_bytes(used.map_err(|_| "a state has eight bytes")?) })
    }

    fn handle(&mut self, (): ()) -> bool {
        let is_free = self.used < LIMIT;
        self.used += u64::from(is_free);
        is_free
    }

    fn stop(self) -> Option<Vec<u8>> {
        Some(self.used.to_le_bytes().to_vec())
    }

    /// What either side let through is used up.
    fn absorb(&mut self, state: &[u8]) {
        let more = u64::from_le_bytes(state.try_into().expect("it was written so"));
        self.used = self.used.saturating_add(more);
    }
}

fn clients() -> Simulation {
    Simulation::new(3).child::<Limiter>(NAME, &()).seeds(5).calls::<Limiter>(
        NAME,
        Duration::from_secs(2),
        |_| (),
    )
}

/// A story instead of chance: a split after a moment, for as long as it takes to be taken for dead.
fn split(simulation: Simulation) -> Simulation {
    let cut = Topology::Split { left: vec![N1, N2], right: vec![N3] };
    simulation
        .at(Duration::from_millis(10), Fault::Cut(cut.clone()))
        .at(Duration::from_secs(50), Fault::Mend(cut))
}

fn at_most_the_limit_gets_through() -> Expectation {
    always("at most the limit gets through", |moment| {
        let answered = moment.answered::<Limiter>(NAME);
        let let_through = answered.iter().filter(|((), is_free)| *is_free).count() as u64;
        match let_through <= LIMIT {
            true => Ok(()),
            false => Err(format!("{let_through} got through")),
        }
    })
}

#[test]
fn one_limiter_keeps_its_limit() {
    clients().expect(at_most_the_limit_gets_through()).expect(eventually_one(NAME)).run();
}

#[test]
#[should_panic(expected = "at most the limit gets through")]
fn two_sides_of_a_split_let_the_limit_through_twice() {
    let effort = Effort { runs: 20, ..Effort::default() };
    split(clients()).expect(at_most_the_limit_gets_through()).effort(effort).run();
}

#[test]
fn what_both_sides_let_through_is_used_up_in_the_end() {
    let everything_counts = eventually("everything that got through counts", |moment| {
        let answered = moment.answered::<Limiter>(NAME);
        let let_through = answered.iter().filter(|((), is_free)| *is_free).count() as u64;
        let used = moment.model::<Limiter>(NAME)?.used;
        match let_through <= used {
            true => Ok(()),
            false => Err(format!("{let_through} got through, and {used} are counted")),
        }
    });
    split(clients()).expect(everything_counts).run();
}
