//! Which seeds a test runs, and how to run one of them again.

use std::ops::Range;

/// The variable of the environment that makes every test run one seed alone.
pub const SEED_VARIABLE: &str = "ORDU_SEED";

/// The variable that says where the seeds of a test begin, 0 unless told otherwise: a soak takes
/// others every time.
pub const SEED_BASE_VARIABLE: &str = "ORDU_SEED_BASE";

/// The variable that says how many times as many seeds a test runs.
pub const SEED_FACTOR_VARIABLE: &str = "ORDU_SEED_FACTOR";

/// Returns the seeds that a test runs: `0..count`, or the one in `ORDU_SEED`, or what
/// `ORDU_SEED_BASE` and `ORDU_SEED_FACTOR` make of it.
///
/// # Panics
///
/// Panics if a variable is set to something else than a number.
pub fn seeds(count: u64) -> Range<u64> {
    if let Some(seed) = number_in(SEED_VARIABLE) {
        return seed..seed + 1;
    }
    let base = number_in(SEED_BASE_VARIABLE).unwrap_or(0);
    base..base + count * number_in(SEED_FACTOR_VARIABLE).unwrap_or(1)
}

fn number_in(variable: &str) -> Option<u64> {
    let number = std::env::var(variable).ok()?;
    Some(number.parse().unwrap_or_else(|_| panic!("{variable} is {number:?}, not a number")))
}

/// Returns the command that runs this test again, with `seed` alone.
pub(crate) fn replay_command(seed: u64) -> String {
    let package = std::env::var("CARGO_PKG_NAME").map(|name| format!(" -p {name}"));
    let thread = std::thread::current();
    let test = thread.name().filter(|&name| name != "main").unwrap_or_default();
    let package = package.unwrap_or_default();
    format!("{SEED_VARIABLE}={seed} cargo test{package} {test}")
}
