//! What a member does for its cluster, and what its operator says of it.

use alloc::collections::BTreeMap;
use alloc::string::String;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::limits::{LABEL_KEY_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_MAX};

/// What a member does for its cluster.
///
/// Every member keeps what the cluster knows, finds names, calls processes, and may hold names for
/// processes of its own, which are hidden with it as anybody's are.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize,
)]
pub enum Role {
    /// It runs children, and counts when members are counted.
    #[default]
    Worker,
    /// It runs no children, and counts when members are counted.
    Keeper,
    /// It runs no children and counts for nothing: it may come and go as it likes, and takes over
    /// nothing from who has gone. It never begins a cluster of its own.
    Client,
}

impl Role {
    /// Returns whether children may be put on the member.
    pub const fn runs_children(self) -> bool {
        match self {
            Self::Worker => true,
            Self::Keeper | Self::Client => false,
        }
    }

    /// Returns whether the member counts in a majority, and for [`All`](crate::Replicas::All).
    pub const fn counts(self) -> bool {
        match self {
            Self::Worker | Self::Keeper => true,
            Self::Client => false,
        }
    }
}

/// What an operator says of a member: up to 32 keys, each with a value.
///
/// All members see them. A key has 1 to 64 bytes and a value up to 256, without control characters.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// Returns no labels.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Sets the value of `key`.
    ///
    /// # Errors
    ///
    /// Refuses a key or a value that cannot be one, and more labels than there may be. The labels
    /// are as they were.
    pub fn insert(
        &mut self,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<(), LabelError> {
        let (key, value) = (key.into(), value.into());
        let (bytes, max) = (key.len(), LABEL_KEY_BYTES_MAX);
        if !(1..=max).contains(&bytes) {
            return Err(LabelError::Key { key, bytes, max });
        }
        let (bytes, max) = (value.len(), LABEL_VALUE_BYTES_MAX);
        if max < bytes {
            return Err(LabelError::Value { key, bytes, max });
        }
        if key.chars().chain(value.chars()).any(char::is_control) {
            return Err(LabelError::ControlCharacter { key });
        }
        if LABELS_MAX <= self.0.len() && !self.0.contains_key(&key) {
            return Err(LabelError::TooMany { max: LABELS_MAX });
        }
        self.0.insert(key, value);
        Ok(())
    }

    /// Returns the value of `key`.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Iterates over keys and values, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut labels = Self::new();
        for (key, value) in BTreeMap::<String, String>::deserialize(deserializer)? {
            labels.insert(key, value).map_err(D::Error::custom)?;
        }
        Ok(labels)
    }
}

/// Why something cannot be a label. The labels are as they were.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// The key is empty or too long; shorten it.
    #[error("the label {key:?} has a key of {bytes} bytes; it must have 1 to {max}")]
    Key {
        /// The key.
        key: String,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// The value is too long; shorten it.
    #[error("the label {key:?} has a value of {bytes} bytes, over the limit of {max}")]
    Value {
        /// The key.
        key: String,
        /// How long the value is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// The key or the value holds a control character, which would garble logs; leave it out.
    #[error("the label {key:?} holds a control character")]
    ControlCharacter {
        /// The key.
        key: String,
    },
    /// There are too many labels; leave one out.
    #[error("more than {max} labels")]
    TooMany {
        /// How many there may be.
        max: usize,
    },
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::wire;

    #[test]
    fn labels_are_what_they_were_after_their_way_over_the_wire() {
        let mut labels = Labels::new();
        labels.insert("zone", "eu-1").unwrap();
        labels.insert("disk", "").unwrap();
        labels.insert("zone", "eu-2").unwrap();
        assert_eq!(labels.iter().collect::<alloc::vec::Vec<_>>(), [("disk", ""), ("zone", "eu-2")]);
        assert_eq!(labels.value("zone"), Some("eu-2"));
        assert_eq!(wire::decode::<Labels>(&wire::encode(&labels)), Ok(labels));
    }

    #[test]
    fn what_is_no_label_is_refused_here_and_from_peers() {
        let mut labels = Labels::new();
        let long = |bytes: usize| "x".repeat(bytes);
        assert!(labels.insert(long(LABEL_KEY_BYTES_MAX), long(LABEL_VALUE_BYTES_MAX)).is_ok());
        let before = labels.clone();
        for (key, value) in [
            (long(0), long(1)),
            (long(LABEL_KEY_BYTES_MAX + 1), long(1)),
            (long(1), long(LABEL_VALUE_BYTES_MAX + 1)),
            (long(1), String::from("a\nb")),
            (String::from("\u{1b}"), long(1)),
        ] {
            assert!(labels.insert(key.clone(), value.clone()).is_err(), "{key:?} {value:?}");
            assert_eq!(labels, before);
            let bytes = wire::encode(&BTreeMap::from([(key, value)]));
            assert!(wire::decode::<Labels>(&bytes).is_err(), "as a peer's");
        }
    }

    #[test]
    fn there_are_so_many_labels_and_no_more() {
        let mut labels = Labels::new();
        for number in 0..LABELS_MAX {
            labels.insert(format!("key-{number}"), "").unwrap();
        }
        let full = Err(LabelError::TooMany { max: LABELS_MAX });
        assert_eq!(labels.insert("one-more", ""), full);
        assert_eq!(labels.insert("key-0", "changed"), Ok(()), "what is there may change");
    }
}
