//! Which of two processes goes on: the rules that a cluster may go by.

use alloc::string::String;
use alloc::sync::Arc;
use core::cmp::Ordering;
use core::fmt;

use serde::de::{Deserialize, Deserializer, Error};
use serde::{Serialize, Serializer};

use crate::limits::{PRECEDENCE_BYTES_MAX, RULE_BYTES_MAX};
use crate::{Blob, IdError, Origin, Rank};

/// Bytes that a process is given for life, for a [`ConflictRule`] to go by; none by default.
///
/// At most 64. They are fixed where the child is started or the process is spawned, travel with
/// each of its claims, and are the same for all processes that a child ever has.
#[derive(Clone, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Precedence(Option<Blob>);

impl Precedence {
    /// Returns `bytes` as a precedence.
    ///
    /// # Errors
    ///
    /// Refuses more than 64 bytes: they are stored beside every name.
    pub fn new(bytes: impl Into<Blob>) -> Result<Self, IdError> {
        let blob = bytes.into();
        let (bytes, max) = (blob.len(), PRECEDENCE_BYTES_MAX);
        if max < bytes {
            return Err(IdError::TooLong { what: "precedence", bytes, max });
        }
        Ok(Self((!blob.is_empty()).then_some(blob)))
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl fmt::Debug for Precedence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(bytes) => fmt::Debug::fmt(bytes, f),
            None => f.write_str("\"\""),
        }
    }
}

impl Serialize for Precedence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.as_bytes())
    }
}

impl<'de> Deserialize<'de> for Precedence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Blob::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// What a [`ConflictRule`] sees of a process: what never changes while it runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Contender<'a> {
    /// Where the process comes from.
    pub origin: Origin,
    /// How often its child was taken over from a node that went silent.
    pub lineage: u32,
    /// The bytes that it was given for life.
    pub precedence: &'a [u8],
}

/// A user's own rule for who goes on when two processes claim one thing.
///
/// It must be a total order, up to contenders that it takes for equals: which of those goes on, the
/// default order decides. And it must go by what it is shown alone: no clock, no chance, no state.
/// All nodes must have the same rule, and refuse each other otherwise by its name.
/// [`laws::lawful_rule`](crate::laws::lawful_rule) holds a rule to this.
///
/// # A rule that breaks the law
///
/// Contenders of which each is said to beat the other, or of which neither is said to while they
/// are no equals to the rule, count as equals. A rule that runs in circles is asked in a fixed
/// order, so that nodes with equal journals agree on who is best on one seat, and that one goes on;
/// but processes that meet on several seats may then each be beaten on one of them, and all go on.
/// A rule that goes by more than it is shown has nodes disagree, and a conflict may stay open. One
/// that panics ends its node.
///
/// # Example
///
/// ```
/// use core::cmp::Ordering;
/// use ordu_core::{ConflictRule, Contender};
///
/// /// The highest level of service goes on.
/// struct BestService;
///
/// impl ConflictRule for BestService {
///     fn name(&self) -> &str {
///         "best-service/1"
///     }
///
///     fn compare(&self, a: &Contender<'_>, b: &Contender<'_>) -> Ordering {
///         b.precedence.cmp(a.precedence)
///     }
/// }
/// ```
pub trait ConflictRule: Send + Sync {
    /// Returns its name and version, as `best-service/1`; a changed rule needs a new one.
    fn name(&self) -> &str;

    /// Returns `Less` if `a` goes on, `Greater` if `b` does.
    fn compare(&self, a: &Contender<'_>, b: &Contender<'_>) -> Ordering;
}

/// The rule that a node goes by; [`Rule::oldest`] by default.
///
/// Stored as its name. A user's rule is code and cannot be stored: what was stored with one has to
/// be supplied with it before use, see [`Dump::supply_rule`](crate::flight::Dump::supply_rule).
#[derive(Clone, Default)]
pub struct Rule(Kind);

#[derive(Clone, Default)]
enum Kind {
    #[default]
    Oldest,
    Newest,
    User {
        name: Arc<str>,
        code: Arc<dyn ConflictRule>,
    },
    /// The code of this name was left behind when it was stored.
    Missing {
        name: Arc<str>,
    },
}

impl Rule {
    const OLDEST: &'static str = "oldest/1";
    const NEWEST: &'static str = "newest/1";

    /// Returns the rule `oldest/1`: what was accepted first goes on.
    pub const fn oldest() -> Self {
        Self(Kind::Oldest)
    }

    /// Returns the rule `newest/1`: what was accepted last goes on. Of one child, the process that
    /// was not taken over on suspicion still does.
    pub const fn newest() -> Self {
        Self(Kind::Newest)
    }

    /// Returns a user's rule. Its name is looked at by [`Config::check`](crate::Config::check).
    pub fn user(rule: impl ConflictRule + 'static) -> Self {
        Self(Kind::User { name: Arc::from(rule.name()), code: Arc::new(rule) })
    }

    /// Returns its name and version: equal on all nodes, or they refuse each other.
    pub fn name(&self) -> &str {
        match &self.0 {
            Kind::Oldest => Self::OLDEST,
            Kind::Newest => Self::NEWEST,
            Kind::User { name, .. } | Kind::Missing { name } => name,
        }
    }

    /// Returns whether its code is missing.
    pub fn is_missing(&self) -> bool {
        match self.0 {
            Kind::Missing { .. } => true,
            Kind::Oldest | Kind::Newest | Kind::User { .. } => false,
        }
    }

    /// Returns whether users' rules may be called as it is: neither empty, nor long, nor as ours.
    pub(crate) fn is_well_named(&self) -> bool {
        match &self.0 {
            Kind::Oldest | Kind::Newest => true,
            Kind::User { name, .. } | Kind::Missing { name } => {
                (1..=RULE_BYTES_MAX).contains(&name.len())
                    && !name.chars().any(char::is_control)
                    && **name != *Self::OLDEST
                    && **name != *Self::NEWEST
            }
        }
    }

    /// Returns whether it is a total order for certain.
    pub(crate) fn is_built_in(&self) -> bool {
        match self.0 {
            Kind::Oldest | Kind::Newest => true,
            Kind::User { .. } | Kind::Missing { .. } => false,
        }
    }

    /// Returns `Less` if the process of rank `a` goes on where one of `b` stops.
    ///
    /// Never says of two ranks that each beats the other, whatever a user's rule says.
    ///
    /// # Panics
    ///
    /// Panics if the rule's code is missing.
    pub fn compare(&self, a: &Rank, b: &Rank) -> Ordering {
        match &self.0 {
            Kind::Oldest => a.cmp(b),
            Kind::Newest => b.origin.cmp(&a.origin).then_with(|| a.cmp(b)),
            Kind::User { code, .. } => {
                let (one, other) = (a.contender(), b.contender());
                if one == other {
                    return a.cmp(b);
                }
                let verdict = code.compare(&one, &other);
                let is_mutual = verdict == code.compare(&other, &one).reverse();
                let verdict = if is_mutual { verdict } else { Ordering::Equal };
                verdict.then_with(|| a.cmp(b))
            }
            Kind::Missing { name } => panic!("the code of the conflict rule {name} is missing"),
        }
    }

    /// Returns whether a process of rank `a` goes on where one of `b` stops.
    pub fn beats(&self, a: &Rank, b: &Rank) -> bool {
        self.compare(a, b).is_lt()
    }
}

impl<R: ConflictRule + 'static> From<R> for Rule {
    fn from(rule: R) -> Self {
        Self::user(rule)
    }
}

impl PartialEq for Rule {
    /// Compares the names, as nodes do.
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Rule {}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.name().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Ok(Self(match name.as_str() {
            Self::OLDEST => Kind::Oldest,
            Self::NEWEST => Kind::Newest,
            _ => Kind::Missing { name: Arc::from(name) },
        }))
    }
}
