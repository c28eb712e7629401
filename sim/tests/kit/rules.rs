//! Users' own conflict rules: those that are kept through splits, and those that break the law and
//! are found.

use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use ordu_core::{ChildSpec, ConflictRule, Contender, Precedence, Rule};
use ordu_sim::kit::{Simulation, Trouble, at_most_one_per_side, eventually_one};
use ordu_sim::{Host, Mark, Model, N1, N2, N3, World, WorldBuilder, named, seeds};

const NAME: &str = "game/7";
const LONG: Duration = Duration::from_secs(30);

/// The game that was started with the most seats goes on; of equal ones, the oldest.
struct MostSeats;

impl ConflictRule for MostSeats {
    fn name(&self) -> &str {
        "most-seats/1"
    }

    fn compare(&self, a: &Contender<'_>, b: &Contender<'_>) -> Ordering {
        b.precedence.cmp(a.precedence)
    }
}

/// What took over goes on, rather than what was taken for dead.
struct LatestTakeover;

impl ConflictRule for LatestTakeover {
    fn name(&self) -> &str {
        "latest-takeover/1"
    }

    fn compare(&self, a: &Contender<'_>, b: &Contender<'_>) -> Ordering {
        b.lineage.cmp(&a.lineage)
    }
}

/// The game goes on that was the first its node heard of: an order on each node, and not the same.
struct ByArrival {
    is_large_first: bool,
}

impl ConflictRule for ByArrival {
    fn name(&self) -> &str {
        "by-arrival/1"
    }

    fn compare(&self, a: &Contender<'_>, b: &Contender<'_>) -> Ordering {
        match self.is_large_first {
            true => b.precedence.cmp(a.precedence),
            false => a.precedence.cmp(b.precedence),
        }
    }
}

/// Says of each that the other one goes on.
struct Polite;

impl ConflictRule for Polite {
    fn name(&self) -> &str {
        "polite/1"
    }

    fn compare(&self, _: &Contender<'_>, _: &Contender<'_>) -> Ordering {
        Ordering::Greater
    }
}

/// A game that counts its moves.
struct Game(u64);

impl Model for Game {
    const KIND: &'static str = "game";
    type Args = ();
    type Message = ();
    type Reply = u64;

    fn start((): (), state: Option<&[u8]>) -> Result<Self, String> {
        let moves = state.map_or(Ok([0; 8]), TryInto::try_into);
        Ok(Self(u64::from_le_bytes(moves.map_err(|_| "a state has eight bytes")?)))
    }

    fn handle(&mut self, (): ()) -> u64 {
        self.0 += 1;
        self.0
    }

    fn stop(self) -> Option<Vec<u8>> {
        Some(self.0.to_le_bytes().to_vec())
    }

    fn absorb(&mut self, state: &[u8]) {
        self.0 += u64::from_le_bytes(state.try_into().expect("it was written so"));
    }
}

fn games(rule: impl Into<Rule>) -> Simulation {
    Simulation::new(3)
        .conflict_rule(rule)
        .child::<Game>(NAME, &())
        .calls::<Game>(NAME, Duration::from_secs(1), |_| ())
        .trouble(Trouble::Splits, Duration::from_secs(15))
        .expect(at_most_one_per_side(NAME, Duration::from_secs(20)))
        .expect(eventually_one(NAME))
        .seeds(5)
}

#[test]
fn a_lawful_rule_leaves_one_game_after_splits() {
    for rule in [Rule::newest(), Rule::user(MostSeats), Rule::user(LatestTakeover)] {
        let summary = games(rule).run();
        assert!(summary.marks.count(Mark::Merged) > 0, "no two games ever became one");
    }
}

#[test]
fn a_rule_that_contradicts_itself_counts_for_nothing_and_stops_nobody_else() {
    let summary = games(Polite).run();
    assert!(summary.marks.count(Mark::Merged) > 0, "no two games ever became one");
}

/// Each side of a split keeps to the game that it saw first, so that none of the two ever ends.
#[test]
fn a_rule_that_goes_by_arrival_is_found() {
    for seed in seeds(10) {
        let builder = World::builder(seed, 3).configure(|host, config| {
            config.rule = Rule::user(ByArrival { is_large_first: host != N3 });
        });
        let played = catch_unwind(AssertUnwindSafe(|| seats_after_a_split(builder)));
        let panic = played.expect_err("nodes that disagree pass for nodes that agree");
        let found = panic.downcast_ref::<String>().expect("a promise is broken in words");
        assert!(found.starts_with("S11: "), "seed {seed}: {found}");
    }
}

/// Returns the machine that runs the game.
fn home(world: &World) -> Host {
    let hosts = world.running_name(NAME);
    assert_eq!(hosts.len(), 1, "{hosts:?} run it; seed {}", world.seed());
    hosts[0]
}

/// Two games of one name are started on the sides of a split: the small one first. Returns how many
/// seats the game has that goes on.
fn seats_after_a_split(builder: WorldBuilder) -> u8 {
    let mut world = builder.joined();
    world.partition(&[N1, N2], &[N3]);
    let game = |seats: u8| {
        let precedence = Precedence::new([seats].as_slice()).expect("one byte is few");
        ChildSpec { precedence, ..named("ok", NAME) }
    };
    world.run_for(LONG);
    let small = world.start_child(N3, game(2)).expect("its side has no game").child;
    world.run_for(Duration::from_secs(1));
    let large = world.start_child(N1, game(8)).expect("its side has no game").child;
    world.run_for(Duration::from_secs(1));

    world.heal();
    world.run_for(LONG);
    world.settle(LONG);
    home(&world);
    match (world.running_child(small).len(), world.running_child(large).len()) {
        (1, 0) => 2,
        (0, 1) => 8,
        both => panic!("{both:?} run; seed {}", world.seed()),
    }
}

#[test]
fn the_game_with_the_most_seats_goes_on_whichever_was_first() {
    for seed in seeds(10) {
        let seats = |rule| seats_after_a_split(World::builder(seed, 3).conflict_rule(rule));
        assert_eq!(seats(Rule::oldest()), 2, "seed {seed}");
        assert_eq!(seats(Rule::newest()), 8, "seed {seed}");
        assert_eq!(seats(Rule::user(MostSeats)), 8, "seed {seed}");
        assert_eq!(seats(Rule::user(Polite)), 2, "seed {seed}");
    }
}

#[test]
fn what_took_over_goes_on_if_a_rule_says_so() {
    for seed in seeds(10) {
        for (rule, stays) in [(Rule::oldest(), true), (Rule::user(LatestTakeover), false)] {
            let mut world = World::builder(seed, 3).conflict_rule(rule).joined();
            world.start_child(N1, named("ok", NAME)).unwrap();
            world.settle(LONG);
            let alone = home(&world);
            let others: Vec<Host> =
                [N1, N2, N3].into_iter().filter(|&host| host != alone).collect();
            world.partition(&[alone], &others);
            world.run_for(LONG);

            world.heal();
            world.run_for(LONG);
            world.settle(LONG);
            assert_eq!(home(&world) == alone, stays, "seed {seed}");
        }
    }
}
