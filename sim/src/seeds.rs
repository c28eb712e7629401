//! Which seeds a test runs, and how to run one of them again.

use std::ops::Range;

/// The variable of the environment that makes every test run one seed alone.
pub const SEED_VARIABLE: &str = "ORDU_SEED";

/// Returns the seeds that a test runs: `0..count`, or the one in `ORDU_SEED`.
///
/// # Panics
///
/// Panics if the variable is set to something else than a number.
pub fn seeds(count: u64) -> Range<u64> {
    match std::env::var(SEED_VARIABLE) {
        Err(_) => 0..count,
        Ok(seed) => {
            let seed = seed.parse().expect("ORDU_SEED is a number");
            seed..seed + 1
        }
    }
}

/// Returns the command that runs this test again, with `seed` alone.
pub(crate) fn replay_command(seed: u64) -> String {
    let package = std::env::var("CARGO_PKG_NAME").map(|name| format!(" -p {name}"));
    let thread = std::thread::current();
    let test = thread.name().filter(|&name| name != "main").unwrap_or_default();
    let package = package.unwrap_or_default();
    format!("{SEED_VARIABLE}={seed} cargo test{package} {test}")
}
