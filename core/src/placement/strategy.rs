//! How one of the members that can run a child is picked: the strategies, and what they go by.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize, Serializer};

use crate::limits::RULE_BYTES_MAX;
use crate::placement::{Bounded, Random, Spread, Uniform, Weight};
use crate::{ChildId, ChildSpec, Labels, NodeId};

/// How one of the members that can run a child is picked.
///
/// By `Ring`, each member reckons by itself where a child runs, and nothing is asked. Any other
/// strategy is asked by one member, the one that the ring names; its choice is written down, and
/// whoever was chosen is asked in turn: it runs the child, or passes it on, up to
/// [`Config::max_hops`](crate::Config::max_hops) times. That costs one more network delay for each
/// start, and one entry of the journal until it has started.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Placement {
    /// The first from the child's placement key on; shares are even by weight, and a change of
    /// members concerns the share of who came or went alone.
    #[default]
    Ring,
    /// Any, the likelier the more it weighs.
    Random,
    /// As by the ring, but nobody has much more than its share.
    Bounded(Bounded),
    /// Apart from others with the same placement key.
    Spread(Spread),
    /// As a strategy of this name says, that users wrote; only members run the child that have code
    /// for it.
    User(String),
}

impl Placement {
    /// As by the ring, but nobody has more than `percent` of its share of all children, by weight;
    /// 125 is usual, and less than 100 counts as 100.
    pub const fn bounded(percent: u16) -> Self {
        Self::Bounded(Bounded { percent })
    }

    /// Apart from others with the same placement key: on a member with the fewest of them.
    pub const fn spread() -> Self {
        Self::Spread(Spread { label: None })
    }

    /// Apart from others with the same placement key: where members say the value of the label
    /// `key` that the fewest of them run under, and there on a member with the fewest of them.
    pub fn spread_over(key: impl Into<String>) -> Self {
        Self::Spread(Spread { label: Some(key.into()) })
    }

    /// Returns whether each member reckons by itself where a child runs.
    pub const fn is_ring(&self) -> bool {
        matches!(self, Self::Ring)
    }

    /// Returns the name of the strategy.
    pub fn name(&self) -> &str {
        match self {
            Self::Ring => Uniform.name(),
            Self::Random => Random.name(),
            Self::Bounded(bounded) => bounded.name(),
            Self::Spread(spread) => spread.name(),
            Self::User(name) => name,
        }
    }

    /// Returns the strategy; `None` if it is none of ours and not among `users`.
    pub fn strategy<'a>(&'a self, users: &'a UserStrategies) -> Option<&'a dyn PlacementStrategy> {
        match self {
            Self::Ring => Some(&Uniform),
            Self::Random => Some(&Random),
            Self::Bounded(bounded) => Some(bounded),
            Self::Spread(spread) => Some(spread),
            Self::User(name) => users.code(name),
        }
    }
}

/// A strategy that picks one of the members that can run a child; users may write their own.
///
/// It should go by what it is shown alone, [`Choice::chance`] included: a node that is replayed, or
/// simulated, asks it again. It may choose otherwise on one node than on another, as one member is
/// asked at a time. One that panics ends its node.
///
/// # Example
///
/// ```
/// use ordu_core::placement::{Choice, Host, PlacementStrategy};
///
/// /// Whoever has the fewest children.
/// struct Idlest;
///
/// impl PlacementStrategy for Idlest {
///     fn name(&self) -> &str {
///         "idlest/1"
///     }
///
///     fn choose<'a>(&self, choice: &Choice<'a>) -> Option<&'a Host<'a>> {
///         choice.able().min_by_key(|host| host.children)
///     }
/// }
/// ```
pub trait PlacementStrategy: Send + Sync {
    /// Returns its name and version, as `idlest/1`; a changed strategy needs a new one.
    fn name(&self) -> &str;

    /// Returns who is to run the child: one of [`Choice::able`]. Anything else leaves it to wait;
    /// the strategy is asked again a beat later, and whenever members change. A cluster with a
    /// child that waits so is not at rest.
    fn choose<'a>(&self, choice: &Choice<'a>) -> Option<&'a Host<'a>>;

    /// Returns whether the child may stay on `host`, where it runs, since members came or changed;
    /// asked by nodes that redistribute ([`Redistribution`](crate::placement::Redistribution)).
    ///
    /// By default it may. Say no only to who has clearly too much, or children go to and fro.
    fn keeps(&self, choice: &Choice<'_>, host: &Host<'_>) -> bool {
        let _ = (choice, host);
        true
    }
}

/// What a [`PlacementStrategy`] goes by.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// The child.
    pub child: ChildId,
    /// What it is.
    pub spec: &'a ChildSpec,
    /// All members that are up, in the order of the ring from the child's placement key on.
    pub hosts: &'a [Host<'a>],
    /// Who asks.
    pub me: &'a NodeId,
    /// Whether whoever asks has been chosen, rather than is named by the ring.
    pub is_chosen: bool,
    /// How often the child has been passed on before, since its last start.
    pub hops: u16,
    /// A random number, of the node's own seed.
    pub chance: u64,
}

impl<'a> Choice<'a> {
    /// Iterates over the members that can run the child, in the order of the ring.
    pub fn able(&self) -> impl Iterator<Item = &'a Host<'a>> + use<'a> {
        self.hosts.iter().filter(|host| host.is_able)
    }

    /// Returns the member that asks, if it has been chosen and can run the child.
    pub fn chosen_before(&self) -> Option<&'a Host<'a>> {
        let me = self.me;
        self.able().find(|host| self.is_chosen && host.node == me)
    }
}

/// A member, as a [`PlacementStrategy`] sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Host<'a> {
    /// Who it is.
    pub node: &'a NodeId,
    /// What its operator says of it.
    pub labels: &'a Labels,
    /// How much it takes, beside others.
    pub weight: Weight,
    /// How many children of all supervisors are on it or on their way to it, but for this one; as
    /// far as whoever asks has heard.
    pub children: usize,
    /// How many of those have this one's supervisor and placement key and are not placed by the
    /// ring; 0 if it was given no key.
    pub kin: usize,
    /// Whether it can run the child: it has code for it, is what it needs, has room, and did not
    /// give it up.
    pub is_able: bool,
}

/// The strategies that users wrote and a node has code for, by their names.
///
/// Stored as names. What was stored has to be supplied with the code before use, see
/// [`Dump::supply_strategies`](crate::flight::Dump::supply_strategies).
#[derive(Clone, Default)]
pub struct UserStrategies(BTreeMap<Arc<str>, Option<Arc<dyn PlacementStrategy>>>);

impl UserStrategies {
    /// Adds `strategy`; it takes the place of one of the same name. Names are looked at by
    /// [`Config::check`](crate::Config::check).
    pub fn insert(&mut self, strategy: impl PlacementStrategy + 'static) {
        self.0.insert(Arc::from(strategy.name()), Some(Arc::new(strategy)));
    }

    /// Iterates over the names, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name)
    }

    /// Returns the strategy called `name`, if there is code for it.
    pub fn code(&self, name: &str) -> Option<&dyn PlacementStrategy> {
        self.0.get(name)?.as_deref()
    }

    /// Returns the first whose code was left behind when they were stored.
    pub fn missing(&self) -> Option<&str> {
        self.0.iter().find(|(_, code)| code.is_none()).map(|(name, _)| &**name)
    }

    /// Returns the first that cannot be called as it is: in no way, in over 64 bytes, or as one of
    /// ours.
    pub(crate) fn ill_named(&self) -> Option<&str> {
        let ours =
            [Placement::Ring, Placement::Random, Placement::bounded(100), Placement::spread()];
        let is_ours = |name: &str| ours.iter().any(|placement| placement.name() == name);
        self.names().find(|name| {
            !(1..=RULE_BYTES_MAX).contains(&name.len())
                || name.chars().any(char::is_control)
                || is_ours(name)
        })
    }
}

impl PartialEq for UserStrategies {
    /// Compares the names.
    fn eq(&self, other: &Self) -> bool {
        self.names().eq(other.names())
    }
}

impl Eq for UserStrategies {}

impl fmt::Debug for UserStrategies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

impl Serialize for UserStrategies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

impl<'de> Deserialize<'de> for UserStrategies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        Ok(Self(names.into_iter().map(|name| (Arc::from(name), None)).collect()))
    }
}
