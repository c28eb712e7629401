//! What the nodes of a run are configured with.

use std::time::Duration;

use ordu_core::limits::{DELTA_BYTES_MAX, DELTA_ENTRIES_MAX};
use ordu_core::placement::Redistribution;
use ordu_core::{Config, Mode, Quorum, Random, VoterStore, Voters};
use serde::{Deserialize, Serialize};

use crate::host::Host;
use crate::requests::{locks, scope};

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
    /// [`Config::delta_entries_max`].
    #[serde(default = "entries_max")]
    pub delta_entries_max: usize,
    /// [`Config::delta_bytes_max`].
    #[serde(default = "bytes_max")]
    pub delta_bytes_max: usize,
    /// [`Config::push_to_all_max`].
    #[serde(default = "push_to_all_max")]
    pub push_to_all_max: usize,
    /// [`Config::max_children`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_children: Option<usize>,
    /// [`Config::redistribution`]: how many children of a node move at once, and after how long a
    /// quiet; none if they do not move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moves: Option<(usize, u64)>,
    /// The leases that children run under; they need none if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leases: Option<Leases>,
    /// By which rule nodes stop children and give names up in the minority; they do not if there is
    /// none. The first three machines are the voters, or all if they are fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<Quorum>,
}

/// The leases that the children of a run need.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Leases {
    /// How many machines grant them, the first ones.
    pub voters: u16,
    /// [`Voters::lease`].
    pub lease_ms: u64,
    /// [`Voters::rate_error_ppm`].
    pub rate_error_ppm: u32,
    /// How long the disks of voters take to store what they decide.
    #[serde(default = "disk_ms")]
    pub disk_ms: u64,
}

impl Leases {
    /// Returns the defaults, with three voters.
    pub(crate) const fn usual() -> Self {
        Self { voters: 3, lease_ms: 5_000, rate_error_ppm: 10_000, disk_ms: disk_ms() }
    }

    /// Returns what the nodes are told of the voters.
    pub(crate) fn voters(self) -> Voters {
        let nodes = (1..=self.voters).map(|number| Host::new(number).id());
        let lease = Duration::from_millis(self.lease_ms);
        Voters { lease, rate_error_ppm: self.rate_error_ppm, ..Voters::new(nodes) }
    }
}

/// Returns what plans mean that were kept before disks could be slow.
const fn disk_ms() -> u64 {
    10
}

/// Returns what plans mean that were kept before deltas could be small.
const fn entries_max() -> usize {
    DELTA_ENTRIES_MAX
}

/// Returns what plans mean that were kept before deltas could be small.
const fn bytes_max() -> usize {
    DELTA_BYTES_MAX
}

/// Returns what plans mean that were kept before writes were passed on.
const fn push_to_all_max() -> usize {
    16
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
            delta_entries_max: DELTA_ENTRIES_MAX,
            delta_bytes_max: DELTA_BYTES_MAX,
            push_to_all_max: push_to_all_max(),
            max_children: None,
            moves: None,
            leases: None,
            quorum: None,
        }
    }

    /// Returns this with the limits that `seed` draws. Each is as it is in half of the runs; else
    /// deltas are so small that whatever was written at once takes several, and so few nodes tell
    /// all others by themselves that what they write is passed on.
    ///
    /// They are drawn from generators of their own, so that all else is drawn as it was without
    /// them.
    pub(crate) fn with_limits_of(self, seed: u64) -> Self {
        self.with_deltas_of(seed).with_relays_of(seed).with_room_of(seed).with_moves_of(seed)
    }

    /// In a third of the runs, children move to members that come.
    fn with_moves_of(self, seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x0fed_1337);
        if random.below(3) != 0 {
            return self;
        }
        let at_once = [1, 3, 1_000][random.below(3) as usize];
        let quiet_ms = [1, 1_000, 10_000][random.below(3) as usize];
        Self { moves: Some((at_once, quiet_ms)), ..self }
    }

    /// In a quarter of the runs, so little room that most children do not run where they belong, or
    /// some of them not at all.
    fn with_room_of(self, seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0xf111_ed00);
        if random.below(4) != 0 {
            return self;
        }
        Self { max_children: Some([1, 3, 10, 20][random.below(4) as usize]), ..self }
    }

    fn with_deltas_of(self, seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x11b1_7ed0);
        if random.below(2) == 0 {
            return self;
        }
        let delta_entries_max = [1, 2, 7, DELTA_ENTRIES_MAX][random.below(4) as usize];
        let delta_bytes_max = [1, 100, 1_000, DELTA_BYTES_MAX][random.below(4) as usize];
        Self { delta_entries_max, delta_bytes_max, ..self }
    }

    fn with_relays_of(self, seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x4e1a_75ed);
        if random.below(2) == 0 {
            return self;
        }
        Self { push_to_all_max: [1, 2, 3, 5][random.below(4) as usize], ..self }
    }

    /// Returns what becomes of children that belong elsewhere.
    pub(crate) fn redistribution(&self) -> Redistribution {
        self.moves.map_or(Redistribution::Passive, |(at_once, quiet_ms)| Redistribution::Active {
            at_once,
            quiet: Duration::from_millis(quiet_ms),
        })
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
        config.delta_entries_max = self.delta_entries_max;
        config.delta_bytes_max = self.delta_bytes_max;
        config.push_to_all_max = self.push_to_all_max;
        config.max_children = self.max_children;
        config.redistribution = self.redistribution();
        if let Some(leases) = self.leases {
            config.voters = Some(leases.voters());
            config.voter_store = VoterStore::Empty;
            config.modes.insert(scope(), Mode::Exclusive);
            config.registry_modes.insert(locks(), Mode::Exclusive);
        }
        if let Some(quorum) = self.quorum {
            config.voters = Some(Leases::usual().voters());
            config.modes.insert(scope(), Mode::stopping(quorum));
            config.registry_modes.insert(locks(), Mode::stopping(quorum));
        }
    }
}
