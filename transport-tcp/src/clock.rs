//! A monotonic clock that goes on while the machine sleeps, where the system has one.

use std::time::Duration;

/// Returns the time since some fixed point, such as the machine's start.
///
/// Linux's `CLOCK_MONOTONIC` stops in suspend and `CLOCK_BOOTTIME` does not; on Apple's systems it
/// is `CLOCK_MONOTONIC` that goes on.
#[cfg(any(
    target_os = "linux",
    target_os = "android",
    target_os = "fuchsia",
    target_vendor = "apple"
))]
pub(crate) fn elapsed() -> Duration {
    use rustix::time::{ClockId, clock_gettime};

    #[cfg(not(target_vendor = "apple"))]
    const CLOCK: ClockId = ClockId::Boottime;
    #[cfg(target_vendor = "apple")]
    const CLOCK: ClockId = ClockId::Monotonic;

    let now = clock_gettime(CLOCK);
    let seconds = u64::try_from(now.tv_sec).expect("the machine started before now");
    let nanoseconds = u32::try_from(now.tv_nsec).expect("a second has fewer than 2^32 of them");
    Duration::new(seconds, nanoseconds)
}

/// Returns the time since the first call, on the clock that the standard library chose.
#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "fuchsia",
    target_vendor = "apple"
)))]
pub(crate) fn elapsed() -> Duration {
    static ORIGIN: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    ORIGIN.get_or_init(std::time::Instant::now).elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_forward_by_what_passes() {
        let before = elapsed();
        std::thread::sleep(Duration::from_millis(20));
        let passed = elapsed() - before;

        assert!(passed >= Duration::from_millis(20), "{passed:?} passed");
        assert!(passed < Duration::from_secs(20), "{passed:?} passed");
    }
}
