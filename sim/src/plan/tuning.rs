//! What the nodes of a run are configured with.

use std::time::Duration;

use ordu_core::Config;
use serde::{Deserialize, Serialize};

/// What every node of a run is configured with, in milliseconds where it is a time.
///
/// Limits are drawn small, so that runs reach them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Tuning {
    /// [`Config::failure_timeout`].
    pub failure_timeout_ms: u64,
    /// [`Config::beat_interval`].
    pub beat_interval_ms: u64,
    /// [`Config::digest_interval`].
    pub digest_interval_ms: u64,
    /// [`Config::forget_after`].
    pub forget_after_ms: u64,
    /// [`Config::conflict_grace`].
    pub conflict_grace_ms: u64,
    /// [`Config::backoff_max`].
    pub backoff_max_ms: u64,
    /// [`Config::starts_at_once`].
    pub starts_at_once: usize,
}

impl Tuning {
    /// Returns the defaults of [`Config`], but for the longest wait of a child that fails.
    pub fn usual() -> Self {
        Self {
            failure_timeout_ms: 3_000,
            beat_interval_ms: 500,
            digest_interval_ms: 1_000,
            forget_after_ms: 24 * 60 * 60 * 1_000,
            conflict_grace_ms: 1_000,
            backoff_max_ms: 30_000,
            starts_at_once: 1_000,
        }
    }

    /// Sets `config` accordingly.
    pub(crate) fn configure(&self, config: &mut Config) {
        config.failure_timeout = Duration::from_millis(self.failure_timeout_ms);
        config.beat_interval = Duration::from_millis(self.beat_interval_ms);
        config.digest_interval = Duration::from_millis(self.digest_interval_ms);
        config.forget_after = Duration::from_millis(self.forget_after_ms);
        config.conflict_grace = Duration::from_millis(self.conflict_grace_ms);
        config.backoff_max = Duration::from_millis(self.backoff_max_ms);
        config.starts_at_once = self.starts_at_once;
    }
}
