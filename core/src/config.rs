//! What a node is told once, at its start.

use alloc::borrow::ToOwned as _;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::crdt::Budget;
use crate::limits::{
    DELTA_BYTES_MAX, DELTA_ENTRIES_MAX, HOPS_MAX, MEMBERS_MAX, METAS_MAX, STRATEGIES_MAX,
    VALUE_BYTES_MAX,
};
use crate::mode::Modes;
use crate::placement::{Redistribution, UserStrategies, Weight};
use crate::{
    Address, Blob, Electorate, Export, Labels, Mode, Name, NodeId, Quorum, Role, Rule, Scope,
    Terms, VoterStore, Voters, VotersError,
};

/// What a [`Node`](crate::Node) is told once, at its start.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The node's own stable name.
    pub id: NodeId,
    /// Where peers reach it.
    pub address: Address,
    /// Where members may be found that know the cluster; without any the node starts alone.
    pub seeds: Vec<Address>,
    /// Whether more seeds are found while the node runs ([`Input::Seeds`](crate::Input::Seeds)).
    /// It then begins no cluster of its own before it has looked for one for `failure_timeout`,
    /// even if it has no seeds yet or all refuse; `false` by default.
    pub awaits_seeds: bool,
    /// The kinds of processes that the node has code for.
    pub kinds: Vec<String>,
    /// What the node does for its cluster; it runs children by default.
    pub role: Role,
    /// What its operator says of it, for all members to see.
    pub labels: Labels,
    /// Metadata of registries that the node adds once it is ready, under each key that has no value
    /// then. What anybody else puts meanwhile, or put behind a split, comes before it.
    pub metadata: BTreeMap<(Scope, Name), Blob>,
    /// What a cluster held that was before this one, for the node to add once it is ready, where
    /// nothing is known of it. Give it to any member of a cluster that starts anew, or to all: it
    /// is added once. Not to one that goes on: children that have ended there since, ten minutes
    /// ago and more, would start again.
    pub import: Export,
    /// Which nodes may be members, this one among them; anybody unless told otherwise. The node
    /// sets that list once it is ready ([`Command::SetMembers`]), where no list is known, and none
    /// that was lifted, which is remembered for ten minutes at least. What operators say meanwhile
    /// counts before it, and so does the list of an [`import`](Self::import). Give all nodes the
    /// same.
    ///
    /// [`Command::SetMembers`]: crate::Command::SetMembers
    pub members: Option<BTreeSet<NodeId>>,
    /// How long a member may be silent before it is taken for dead. Low finds the dead sooner and
    /// takes the slow for dead more often; 3 s by default. All other times of failure detection
    /// derive from it and from `beat_interval`.
    pub failure_timeout: Duration,
    /// How often a node says that it is there; 500 ms by default, at most a third of
    /// `failure_timeout`. Low costs bandwidth, high costs time to notice.
    pub beat_interval: Duration,
    /// How often a node compares its journals with those of a random peer; 1 s by default. It
    /// repairs what was lost on the way; what is not lost needs none of it.
    pub digest_interval: Duration,
    /// How long a silent member is remembered, with all that it wrote; 24 h by default. A member
    /// that returns later joins as a stranger.
    pub forget_after: Duration,
    /// How far a peer's wall clock may lie from ours; 500 ms by default. Further, and the session
    /// is refused.
    pub clock_bound: Duration,
    /// How long a start function may take; 10 s by default.
    pub start_timeout: Duration,
    /// How long the loser of a conflict may take to stop before it is stopped by force; 1 s by
    /// default.
    pub conflict_grace: Duration,
    /// How long a failed child waits before its next start; doubled each time up to
    /// `backoff_max`, with jitter. 100 ms by default.
    pub backoff_min: Duration,
    /// The longest wait between two starts of a child; 30 s by default. A child that runs for as
    /// long waits `backoff_min` again.
    pub backoff_max: Duration,
    /// How many processes may be starting at once; 1,000 by default. More wait, in order.
    pub starts_at_once: usize,
    /// How many children the node runs at most, those included that start, stop, or wait for their
    /// next start; as many as there are if `None`, by default. What belongs to a node that is full
    /// goes to the next one that is not, and stays there.
    pub max_children: Option<usize>,
    /// How many members that count ([`Role::counts`]) must be ready before this node starts a
    /// child; 1 by default. A cluster that starts as a whole then starts each child where it
    /// belongs, rather than all on the first member. It matters once: a node that has seen so many
    /// goes on with fewer.
    pub min_members: usize,
    /// How long the node waits for `min_members` at most, from its start on; 30 s by default.
    pub min_members_wait: Duration,
    /// What becomes of children that run here and belong elsewhere since members came; nothing, by
    /// default.
    pub redistribution: Redistribution,
    /// What the node does if children fail on it again and again that run elsewhere; nothing by
    /// default.
    pub escalation: Escalation,
    /// How many children the node takes, beside others: one of twice the weight takes twice as many
    /// of those that are placed by the ring, at random or by bounded loads. All have
    /// [`Weight::USUAL`] by default.
    pub weight: Weight,
    /// The strategies of users that the node has code for; none by default. A child that is placed
    /// by one runs on nodes alone that have it.
    pub strategies: UserStrategies,
    /// How often a child may be passed on before it starts ([`Placement`]); after that whoever was
    /// chosen last runs it, whatever its strategy says. 10 by default, 100 at most; 0 has whoever
    /// the ring names run it.
    ///
    /// [`Placement`]: crate::placement::Placement
    pub max_hops: u16,
    /// How many entries one delta of a journal carries before the next one starts; 8,192 by
    /// default, which is also the most that peers take. Low lets other messages pass in between
    /// and costs a message for every so many names; high catches up in fewer, longer ones.
    pub delta_entries_max: usize,
    /// How many bytes of keys and values one delta carries before the next one starts; 256 KiB by
    /// default, and at most. A single entry goes out whatever its size, and is alone then. Low and
    /// high do what they do to `delta_entries_max`.
    pub delta_bytes_max: usize,
    /// Up to how many members, itself included, each sends what it wrote to all others by itself;
    /// 16 by default. Where more are up, a node sends it to 2 log₂ n of them, who pass it on: it is
    /// everywhere after log₂ n network delays instead of one. Low spares whoever writes much, high
    /// makes writes seen sooner. All nodes of a cluster should have the same: where they differ,
    /// some may learn what was written from the writer's next beat only.
    pub push_to_all_max: usize,
    /// Who goes on when two processes claim one thing; the oldest by default. All nodes must go by
    /// one rule: they refuse each other otherwise.
    pub rule: Rule,
    /// The nodes that grant leases; none by default. Needed where a supervisor is
    /// [`Mode::Exclusive`], and of use there alone. The same on all nodes, which refuse each other
    /// otherwise.
    pub voters: Option<Voters>,
    /// Whether this node can store what it decides as a voter, and what it stored last; nothing by
    /// default. A later electorate that is stored there takes the place of the one in `voters`.
    pub voter_store: VoterStore,
    /// What becomes of children when the network splits, by supervisor; each goes on
    /// with all where nothing is said. The same on all nodes, which refuse each other otherwise.
    pub modes: BTreeMap<Scope, Mode>,
    /// What becomes of names when the network splits, by registry: [`Mode::Exclusive`] has a
    /// process hold a name under a lease alone, and by [`Mode::stopping`] a node that sees too few
    /// members gives up the names of its processes. Where either is said, processes that run
    /// children hold no names. Each side gives names away where nothing is. The same on all nodes,
    /// which refuse each other otherwise.
    pub registry_modes: BTreeMap<Scope, Mode>,
}

impl Config {
    /// Returns the configuration of a node, with the defaults and nothing to join.
    pub fn new(id: NodeId, address: Address) -> Self {
        Self {
            id,
            address,
            seeds: Vec::new(),
            awaits_seeds: false,
            kinds: Vec::new(),
            role: Role::default(),
            labels: Labels::new(),
            metadata: BTreeMap::new(),
            import: Export::default(),
            members: None,
            failure_timeout: Duration::from_secs(3),
            beat_interval: Duration::from_millis(500),
            digest_interval: Duration::from_secs(1),
            forget_after: Duration::from_secs(24 * 60 * 60),
            clock_bound: Duration::from_millis(500),
            start_timeout: Duration::from_secs(10),
            conflict_grace: Duration::from_secs(1),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(30),
            starts_at_once: 1_000,
            max_children: None,
            min_members: 1,
            min_members_wait: Duration::from_secs(30),
            redistribution: Redistribution::default(),
            escalation: Escalation::default(),
            weight: Weight::USUAL,
            strategies: UserStrategies::default(),
            max_hops: 10,
            delta_entries_max: DELTA_ENTRIES_MAX,
            delta_bytes_max: DELTA_BYTES_MAX,
            push_to_all_max: 16,
            rule: Rule::default(),
            voters: None,
            voter_store: VoterStore::Absent,
            modes: BTreeMap::new(),
            registry_modes: BTreeMap::new(),
        }
    }

    /// Checks that the times fit together, that peers take what is sent, and that there is a rule.
    ///
    /// # Errors
    ///
    /// Names the first setting that does not fit, and what it must be.
    pub fn check(&self) -> Result<(), ConfigError> {
        let zero = |what| Err(ConfigError::Zero { what });
        if self.beat_interval < Duration::from_millis(1) {
            return zero("beat_interval");
        }
        if self.digest_interval < Duration::from_millis(1) {
            return zero("digest_interval");
        }
        if self.backoff_min < Duration::from_millis(1) {
            return zero("backoff_min");
        }
        if self.starts_at_once == 0 {
            return zero("starts_at_once");
        }
        if matches!(self.redistribution, Redistribution::Active { at_once: 0, .. }) {
            return zero("redistribution.at_once");
        }
        if MEMBERS_MAX < self.min_members {
            let (what, asked, most) = ("min_members", self.min_members, MEMBERS_MAX);
            return Err(ConfigError::TooLarge { what, asked, most });
        }
        let deltas = [
            ("delta_entries_max", self.delta_entries_max, DELTA_ENTRIES_MAX),
            ("delta_bytes_max", self.delta_bytes_max, DELTA_BYTES_MAX),
        ];
        for (what, asked, most) in deltas {
            if asked == 0 {
                return zero(what);
            }
            if most < asked {
                return Err(ConfigError::TooLarge { what, asked, most });
            }
        }
        if is_below(self.failure_timeout, self.beat_interval, 3) {
            let (failure_timeout, least) =
                (self.failure_timeout, self.beat_interval.saturating_mul(3));
            return Err(ConfigError::FailureTimeoutTooShort { failure_timeout, least });
        }
        if is_below(self.forget_after, self.failure_timeout, 4) {
            let (forget_after, least) = (self.forget_after, self.failure_timeout.saturating_mul(4));
            return Err(ConfigError::ForgetTooSoon { forget_after, least });
        }
        self.check_metadata()?;
        self.check_members()?;
        self.check_modes()?;
        if !self.rule.is_well_named() {
            return Err(ConfigError::RuleName { rule: self.rule.clone() });
        }
        if self.rule.is_missing() {
            return Err(ConfigError::RuleMissing { rule: self.rule.clone() });
        }
        if let Some(name) = self.strategies.ill_named() {
            return Err(ConfigError::StrategyName { name: name.to_owned() });
        }
        if let Some(name) = self.strategies.missing() {
            return Err(ConfigError::StrategyMissing { name: name.to_owned() });
        }
        if HOPS_MAX < usize::from(self.max_hops) {
            let (what, asked) = ("max_hops", usize::from(self.max_hops));
            return Err(ConfigError::TooLarge { what, asked, most: HOPS_MAX });
        }
        if STRATEGIES_MAX < self.strategies.names().count() {
            let (what, asked) = ("strategies", self.strategies.names().count());
            return Err(ConfigError::TooLarge { what, asked, most: STRATEGIES_MAX });
        }
        Ok(())
    }

    fn check_metadata(&self) -> Result<(), ConfigError> {
        let mut counts = BTreeMap::new();
        for ((scope, key), value) in &self.metadata {
            let (key, bytes, most) = (key.clone(), value.len(), VALUE_BYTES_MAX);
            if most < bytes {
                return Err(ConfigError::MetadataTooLarge { key, bytes, most });
            }
            let count: &mut usize = counts.entry(scope).or_default();
            *count += 1;
            if METAS_MAX < *count {
                return Err(ConfigError::TooMuchMetadata { most: METAS_MAX });
            }
        }
        Ok(())
    }

    fn check_members(&self) -> Result<(), ConfigError> {
        match &self.members {
            Some(members) if !members.contains(&self.id) => {
                Err(ConfigError::NotListed { node: self.id.clone() })
            }
            Some(members) if MEMBERS_MAX < members.len() => {
                Err(ConfigError::TooManyMembers { count: members.len(), most: MEMBERS_MAX })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_modes(&self) -> Result<(), ConfigError> {
        let is_empty = |mode: &Mode| mode.quorum() == Some(Quorum::Static { size: 0 });
        if self.modes.values().chain(self.registry_modes.values()).any(is_empty) {
            return Err(ConfigError::Zero { what: "Quorum::Static.size" });
        }
        let modes = Modes::of(self);
        let bars_children = |registry: &Scope| modes.bars_children(*registry);
        if let Some(registry) = self.import.registries_of_children().find(bars_children) {
            return Err(ConfigError::ImportedName { registry });
        }
        if let Some(voters) = &self.voters {
            voters.check()?;
            return self.check_stored(voters);
        }
        let asks = |mode: &Mode| mode.is_exclusive() || mode.quorum() == Some(Quorum::Voters);
        let mut modes = self.modes.iter().chain(&self.registry_modes);
        match modes.find(|(_, mode)| asks(mode)) {
            Some((&scope, _)) => Err(ConfigError::NoVoters { scope }),
            None => Ok(()),
        }
    }

    fn check_stored(&self, voters: &Voters) -> Result<(), ConfigError> {
        let Some(record) = self.voter_store.record() else { return Ok(()) };
        let (stored, named) = (&record.electorate, Electorate::of(voters));
        if named.epoch < stored.epoch && !stored.follows(&named)
            || named.epoch == stored.epoch && named.nodes != stored.nodes
        {
            let (stored, named) = (stored.to_string(), named.to_string());
            return Err(ConfigError::OtherVoters { stored, named });
        }
        Ok(())
    }

    /// Returns what all nodes must have alike for leases to mean the same to all.
    pub(crate) fn terms(&self) -> Terms {
        Terms::of(self.voters.as_ref(), &self.modes).and_registries(&self.registry_modes)
    }

    /// Returns how much one delta may carry.
    pub(crate) fn delta_budget(&self) -> Budget {
        Budget { entries: self.delta_entries_max, bytes: self.delta_bytes_max }
    }
}

/// What a node does about itself if children fail on it that others can run.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub enum Escalation {
    /// Nothing: each is a matter of its own.
    #[default]
    Contain,
    /// It leaves the cluster, as asked to, once that many children that it has given up in this
    /// life have run elsewhere for as long as a failure counts
    /// ([`Budget::within`](crate::Budget)): it is the node that is ill, not they. A child that
    /// fails everywhere does not count.
    Leave {
        /// How many; 0 counts as 1.
        children: usize,
    },
}

/// Returns whether `time` is shorter than `unit`, so many times; no time is as long as one that
/// cannot be said.
fn is_below(time: Duration, unit: Duration, times: u32) -> bool {
    unit.checked_mul(times).is_none_or(|least| time < least)
}

/// Why a configuration makes no sense.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A setting is zero, or below a millisecond.
    #[error("{what} must not be zero")]
    Zero {
        /// Which one.
        what: &'static str,
    },
    /// A setting is above what works.
    #[error("{what} of {asked} is over {most}, the most that works")]
    TooLarge {
        /// Which one.
        what: &'static str,
        /// What was asked for.
        asked: usize,
        /// The most that works.
        most: usize,
    },
    /// A lost beat or two would count as a death.
    #[error("failure_timeout of {failure_timeout:?} is under three beat intervals, {least:?}")]
    FailureTimeoutTooShort {
        /// What was asked for.
        failure_timeout: Duration,
        /// The least that works.
        least: Duration,
    },
    /// A member would be forgotten while it is still being waited for.
    #[error("forget_after of {forget_after:?} is under four failure timeouts, {least:?}")]
    ForgetTooSoon {
        /// What was asked for.
        forget_after: Duration,
        /// The least that works.
        least: Duration,
    },
    /// Metadata is longer than any may be; keep what is large elsewhere.
    #[error("metadata of {bytes} bytes under {key:?} is over {most}, the most that is kept")]
    MetadataTooLarge {
        /// What it was to be kept under.
        key: Name,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        most: usize,
    },
    /// One registry is given more metadata than it keeps.
    #[error("a registry keeps {most} pieces of metadata, and is given more")]
    TooMuchMetadata {
        /// How many it keeps.
        most: usize,
    },
    /// The node is not on the list of members that it is given: it would leave as soon as it is
    /// ready. Add it.
    #[error("{node} is not on the list of members that it is given; add it")]
    NotListed {
        /// The node.
        node: NodeId,
    },
    /// There are more names on the list of members than a cluster may have.
    #[error("{count} names are on the list of members; at most {most} nodes are a cluster")]
    TooManyMembers {
        /// How many names were given.
        count: usize,
        /// Most that may be.
        most: usize,
    },
    /// Children or names are to be had under leases, or where a majority of the voters is heard,
    /// and there are no voters. Name some.
    #[error("{scope:?} needs voters, to grant leases or to be heard, and there are none")]
    NoVoters {
        /// The supervisor or the registry.
        scope: Scope,
    },
    /// The voters that are stored did not come from those that are named. Name those that are
    /// stored; or later ones by a higher epoch, once no node runs and a promise has passed.
    #[error("the voters named ({named}) are none that those stored ({stored}) came from")]
    OtherVoters {
        /// Those in the store.
        stored: String,
        /// Those in the configuration.
        named: String,
    },
    /// A child that is imported has a name in a registry whose names are held under leases, or are
    /// given up in the minority, where children hold none.
    #[error("an imported child has a name in {registry:?}, where children hold none by its mode")]
    ImportedName {
        /// The registry.
        registry: Scope,
    },
    /// The voters make no sense.
    #[error(transparent)]
    Voters(#[from] VotersError),
    /// A conflict rule is called as one of ours, or in no way at all; nodes tell rules apart by
    /// their names.
    #[error(
        "a conflict rule cannot be called {rule:?}: give it a name of its own, in 1 to 64 bytes"
    )]
    RuleName {
        /// The rule.
        rule: Rule,
    },
    /// A placement strategy is called as one of ours, or in no way at all.
    #[error(
        "a placement strategy cannot be called {name:?}: give it a name of its own, in 1 to 64 bytes"
    )]
    StrategyName {
        /// The name.
        name: String,
    },
    /// The code of a placement strategy was left behind when this was stored; supply it.
    #[error("the code of the placement strategy {name:?} is missing; supply it")]
    StrategyMissing {
        /// The name.
        name: String,
    },
    /// The conflict rule's code was left behind when this was stored; supply it.
    #[error("the code of the conflict rule {rule:?} is missing; supply it")]
    RuleMissing {
        /// The rule.
        rule: Rule,
    },
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    fn config() -> Config {
        Config::new(NodeId::new("a").unwrap(), Address::new("a:1").unwrap())
    }

    #[test]
    fn times_beyond_all_reason_are_refused_rather_than_reckoned_with() {
        let beat_interval = Duration::MAX;
        let endless = Config { beat_interval, failure_timeout: Duration::MAX, ..config() };
        let refusal = endless.check().unwrap_err();
        assert!(matches!(refusal, ConfigError::FailureTimeoutTooShort { .. }), "{refusal}");

        let patient = Config { failure_timeout: Duration::MAX / 2, ..config() };
        let forget_after = Duration::MAX;
        let refusal = Config { forget_after, ..patient }.check().unwrap_err();
        assert!(matches!(refusal, ConfigError::ForgetTooSoon { .. }), "{refusal}");
    }

    #[test]
    fn deltas_that_carry_nothing_or_more_than_peers_take_are_refused() {
        let refusal = |config: Config| config.check().unwrap_err().to_string();
        let (none, much) = (0, DELTA_ENTRIES_MAX + 1);
        let nothing = refusal(Config { delta_entries_max: none, ..config() });
        assert_eq!(nothing, "delta_entries_max must not be zero");
        let nothing = refusal(Config { delta_bytes_max: none, ..config() });
        assert_eq!(nothing, "delta_bytes_max must not be zero");
        let entries = refusal(Config { delta_entries_max: much, ..config() });
        let says = "delta_entries_max of 8193 is over 8192, the most that works";
        assert_eq!(entries, says);
        let bytes = refusal(Config { delta_bytes_max: DELTA_BYTES_MAX + 1, ..config() });
        assert!(bytes.starts_with("delta_bytes_max of 262145 is over 262144"), "{bytes}");

        let least = Config { delta_entries_max: 1, delta_bytes_max: 1, ..config() };
        assert_eq!(least.check(), Ok(()), "one entry always fits");
        assert_eq!(config().delta_budget(), Budget::default());
    }

    #[test]
    fn metadata_that_no_registry_keeps_is_refused() {
        let with = |count: usize, bytes: usize| {
            let value = Blob::from(alloc::vec![7; bytes].as_slice());
            let key = |number: usize| Name::new(number.to_string().as_str()).unwrap();
            let row = |number| ((Scope::named("default"), key(number)), value.clone());
            Config { metadata: (0..count).map(row).collect(), ..config() }.check()
        };
        assert_eq!(with(METAS_MAX, 1), Ok(()));
        assert_eq!(with(METAS_MAX + 1, 1), Err(ConfigError::TooMuchMetadata { most: METAS_MAX }));
        assert_eq!(with(1, VALUE_BYTES_MAX), Ok(()));
        let refusal = with(1, VALUE_BYTES_MAX + 1).unwrap_err().to_string();
        assert!(refusal.starts_with("metadata of 65537 bytes under"), "{refusal}");
    }

    #[test]
    fn a_list_of_members_without_the_node_or_with_too_many_is_refused() {
        let node = |number: usize| NodeId::new(alloc::format!("n{number}")).unwrap();
        let with = |count: usize| {
            let members = Some((0..count).map(node).collect());
            Config { id: node(0), members, ..config() }.check()
        };
        assert_eq!(with(0), Err(ConfigError::NotListed { node: node(0) }));
        assert_eq!(with(MEMBERS_MAX), Ok(()));
        let (count, most) = (MEMBERS_MAX + 1, MEMBERS_MAX);
        assert_eq!(with(count), Err(ConfigError::TooManyMembers { count, most }));
    }

    #[test]
    fn the_least_that_fits_is_accepted() {
        let exact = Config {
            beat_interval: Duration::from_secs(1),
            failure_timeout: Duration::from_secs(3),
            forget_after: Duration::from_secs(12),
            ..config()
        };
        assert_eq!(exact.check(), Ok(()));
    }
}
