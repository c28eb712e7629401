//! Sets whose members come in order, each once: so that there is one encoding of each set.

use alloc::collections::BTreeSet;
use core::fmt;
use core::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Reads a set, and refuses one whose members are out of order or repeated.
///
/// For `#[serde(deserialize_with)]`; sets are written in order anyway.
pub(crate) fn set<'de, D, T>(deserializer: D) -> Result<BTreeSet<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Ord,
{
    deserializer.deserialize_seq(InOrder(PhantomData))
}

/// Reads what may be a set, as [`set`] does.
pub(crate) fn optional_set<'de, D, T>(deserializer: D) -> Result<Option<BTreeSet<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Ord,
{
    #[derive(Deserialize)]
    #[serde(bound = "T: Deserialize<'de> + Ord")]
    struct Ordered<T>(#[serde(deserialize_with = "set")] BTreeSet<T>);

    let ordered = Option::<Ordered<T>>::deserialize(deserializer)?;
    Ok(ordered.map(|Ordered(set)| set))
}

/// Takes members as long as each is above the one before.
struct InOrder<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Ord> Visitor<'de> for InOrder<T> {
    type Value = BTreeSet<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the members of a set in order, each once")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut set = BTreeSet::new();
        while let Some(member) = members.next_element()? {
            if set.last().is_some_and(|last| member <= *last) {
                return Err(A::Error::custom("the members of a set are out of order"));
            }
            set.insert(member);
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::wire::{self, WireError};

    #[derive(Debug, PartialEq, Deserialize)]
    struct Sets {
        #[serde(deserialize_with = "set")]
        all: BTreeSet<u8>,
        #[serde(deserialize_with = "optional_set")]
        some: Option<BTreeSet<u8>>,
    }

    fn read(all: Vec<u8>, some: Option<Vec<u8>>) -> Result<Sets, WireError> {
        wire::decode(&wire::encode(&(all, some)))
    }

    #[test]
    fn what_is_in_order_is_read() {
        let all = BTreeSet::from([1, 2, 9]);
        let some = Some(BTreeSet::new());
        assert_eq!(read(vec![1, 2, 9], Some(vec![])), Ok(Sets { all, some }));
        assert_eq!(read(vec![], None), Ok(Sets { all: BTreeSet::new(), some: None }));
    }

    #[test]
    fn what_is_out_of_order_or_repeated_is_refused() {
        assert_eq!(read(vec![2, 1], None), Err(WireError::Malformed));
        assert_eq!(read(vec![1, 1], None), Err(WireError::Malformed));
        assert_eq!(read(vec![], Some(vec![3, 1])), Err(WireError::Malformed));
    }
}
