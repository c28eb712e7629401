//! Many seeds, one after the other and side by side.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::marks::Marks;
use crate::plan::{Choice, Plan};
use crate::run::{Tally, run};
use crate::verdict::{Verdict, Violation};

/// What a soak is to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Orders {
    /// The seeds to run.
    pub seeds: Range<u64>,
    /// The profiles of the runs.
    pub choice: Choice,
    /// How many runs go on at once.
    pub jobs: usize,
    /// After how much time no more run is begun, by the clock on the wall.
    pub within: Option<Duration>,
    /// After how many failures no more run is begun.
    pub failures_max: usize,
}

/// What a soak has seen so far; saved, it says where to go on.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How much of everything there was.
    pub tally: Tally,
    /// How many runs reached which mark.
    pub marks: Marks,
    /// The seeds that failed, and how.
    pub failures: BTreeMap<u64, Violation>,
    /// Every seed below was run.
    pub next_seed: u64,
    /// How much time it took, in milliseconds on the wall.
    pub wall_ms: u64,
}

impl Summary {
    /// Returns how many runs there were in a second on the wall.
    pub fn seeds_per_second(&self) -> f64 {
        self.tally.runs as f64 * 1_000.0 / self.wall_ms.max(1) as f64
    }

    /// Returns how many hours went by in all clusters together.
    pub fn simulated_hours(&self) -> f64 {
        self.tally.virtual_ms as f64 / 3_600_000.0
    }
}

/// Runs `plans`, `jobs` of them at once; the keys of the failures are places in `plans`.
pub fn run_all(plans: &[Plan], jobs: usize) -> Summary {
    let began = Instant::now();
    let shared = Mutex::new((0, Summary::default()));
    let lock = || shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let work = || {
        loop {
            let place = {
                let mut shared = lock();
                shared.0 += 1;
                shared.0 - 1
            };
            let Some(plan) = plans.get(place) else { return };
            let report = run(plan);
            let (_, summary) = &mut *lock();
            summary.tally.add(&report.tally);
            summary.marks.add(&report.marks);
            if let Verdict::Failed(violation) = report.verdict {
                let place = u64::try_from(place).expect("it fits");
                summary.failures.insert(place, violation);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(work);
        }
    });
    let mut summary = lock().1.clone();
    summary.wall_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    summary
}

/// The work that the jobs of a soak share.
struct Shared {
    next: u64,
    /// Seeds at or above `summary.next_seed` that are done.
    done: BTreeMap<u64, ()>,
    summary: Summary,
}

/// Runs the seeds of `orders`, going on from `before` if there was something before; `progress`
/// hears of each run that ends.
///
/// A failure stops nobody: the other seeds are run, too, and all failures are in the summary.
pub fn soak(
    orders: &Orders,
    before: Option<Summary>,
    progress: impl Fn(&Summary) + Sync,
) -> Summary {
    let began = Instant::now();
    let before = before.unwrap_or_default();
    let wall_ms_before = before.wall_ms;
    let first = before.next_seed.max(orders.seeds.start);
    let summary = Summary { next_seed: first, ..before };
    let shared = Mutex::new(Shared { next: first, done: BTreeMap::new(), summary });
    let shared = &shared;
    let lock = || shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let take = || {
        let mut shared = lock();
        let is_late = orders.within.is_some_and(|within| within <= began.elapsed());
        let is_over = is_late || orders.failures_max <= shared.summary.failures.len();
        let seed = shared.next;
        (seed < orders.seeds.end && !is_over).then(|| {
            shared.next += 1;
            seed
        })
    };
    let work = || {
        while let Some(seed) = take() {
            let report = run(&Plan::draw(seed, orders.choice.profile(seed)));
            let mut shared = lock();
            let Shared { done, summary, .. } = &mut *shared;
            summary.tally.add(&report.tally);
            summary.marks.add(&report.marks);
            if let Verdict::Failed(violation) = report.verdict {
                summary.failures.insert(seed, violation);
            }
            done.insert(seed, ());
            while done.remove(&summary.next_seed).is_some() {
                summary.next_seed += 1;
            }
            let elapsed = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            summary.wall_ms = wall_ms_before + elapsed;
            progress(summary);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..orders.jobs.max(1) {
            scope.spawn(work);
        }
    });
    lock().summary.clone()
}
